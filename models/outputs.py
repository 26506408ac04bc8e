"""Outputs: what a model's logits mean.

An output turns logits into the probabilities of a task's classes, says which losses
train them, and names the number that explains a class. The predicted class is, for all
of them, the most probable one.
"""

import abc
import dataclasses
from typing import Any

import gin
import keras
import numpy as np
from keras import ops

from models import losses, probabilities

# exp() of it is 0, and 0 times it, unlike 0 times -inf, is 0.
_NEVER = -1e9


class Output(abc.ABC):
    """What logits mean.

    Attributes:
        name: By which `by_name` gives the output back.
        accepted_losses: The losses that train it.
        calibrations: What `evaluate.calibrate` can be with it, besides None.
    """

    name: str
    accepted_losses: tuple[type[keras.losses.Loss], ...]
    calibrations: tuple[str, ...] = ("temperature", "isotonic")

    def for_classes(self, num_classes: int) -> "Output":
        """The same output for a task of so many classes."""
        del num_classes  # Most see it from the logits.
        return self

    @abc.abstractmethod
    def num_outputs(self, num_classes: int) -> int:
        """How many logits a model of so many classes has."""

    @abc.abstractmethod
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logits `(batch, num_outputs)` -> float64 `(batch, num_classes)`, 0-1."""

    @abc.abstractmethod
    def predicted(self, logits: Any) -> Any:
        """The most probable class within a graph.

        Args:
            logits: float32 tensor of shape `(batch, num_outputs)`.

        Returns:
            int32 tensor of shape `(batch,)`.
        """

    @abc.abstractmethod
    def explained(self, logits: Any, classes: Any) -> Any:
        """The number whose gradient explains a class, within a graph.

        Never a probability: its gradient vanishes where the model is sure.

        Args:
            logits: float32 tensor of shape `(batch, num_outputs)`.
            classes: int tensor of shape `(batch,)`, the class to explain.

        Returns:
            Tensor of shape `(batch,)`.
        """

    @abc.abstractmethod
    def explained_gradient(self, logits: Any, classes: Any) -> Any:
        """The gradient of `explained` with respect to the logits, in closed form.

        Args:
            logits: float32 tensor of shape `(batch, num_outputs)`.
            classes: int tensor of shape `(batch,)`, the class to explain.

        Returns:
            Tensor of the shape of `logits`.
        """

    def check_loss(self, loss: keras.losses.Loss) -> None:
        """Raises ValueError, with the way out, for a loss that does not fit."""
        config = loss.get_config()
        # Keras' own losses of classes take probabilities unless they are told.
        takes_logits = config.get("from_logits", True)
        is_mean = config["reduction"] == "sum_over_batch_size"
        if isinstance(loss, self.accepted_losses) and takes_logits and is_mean:
            return
        accepted = " or ".join(map(_in_gin, self.accepted_losses))
        others = [
            f"train.output = @{one.name}()"
            for one in (Softmax, Ordinal, Regression)
            if isinstance(loss, one.accepted_losses) and one.name != self.name
        ]
        raise ValueError(
            f"`train.loss` must fit the output {self.name!r} and be the mean of a "
            f"batch: {accepted}. Received: {type(loss).__name__} with {config}."
            + "".join(f" It goes with {one}." for one in others)
        )


@gin.register("softmax")
@dataclasses.dataclass(frozen=True)
class Softmax(Output):
    """A logit a class; probabilities by the softmax.

    What explains a class is its logit, before the softmax (Selvaraju et al., 2017). Of
    two classes it is the difference of the two logits, the log-odds: training decides
    nothing but the difference, and half the evidence may be in the other logit.
    """

    name = "softmax"
    accepted_losses = (
        losses.Focal,
        losses.SmoothedCrossentropy,
        keras.losses.SparseCategoricalCrossentropy,
    )

    def num_outputs(self, num_classes: int) -> int:
        """One logit a class."""
        return num_classes

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logits `(batch, num_classes)` -> float64 of the same shape, 0-1."""
        return probabilities.softmax(logits)

    def predicted(self, logits):
        """The class of the largest logit."""
        return ops.argmax(logits, axis=-1)

    def explained(self, logits, classes):
        """The class's logit; of two classes less the other."""
        return ops.sum(logits * self.explained_gradient(logits, classes), axis=-1)

    def explained_gradient(self, logits, classes):
        """1 for the class; -1 for the other of two, 0 for others of more."""
        chosen = ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype)
        return 2 * chosen - 1 if logits.shape[-1] == 2 else chosen


@gin.register("ordinal")
@dataclasses.dataclass(frozen=True)
class Ordinal(Output):
    """Conditional probabilities of going on (CORN; Shi, Cao and Raschka, 2021).

    Logit k says how likely a photograph that reaches class k goes beyond it:
    `P(y > k | y >= k) = sigmoid(logit k)`. The chain rule makes probabilities of it,
    which fall from class to class whatever the logits.

    What explains a class is the log-odds of reaching it, `log P(y >= c) / P(y < c)`.
    All photographs reach the lowest class, which is explained by the log-odds of
    staying in it. Of two classes this is the logit, or minus the logit.
    """

    name = "ordinal"
    accepted_losses = (losses.Corn,)

    def num_outputs(self, num_classes: int) -> int:
        """One logit between two neighbouring classes."""
        return num_classes - 1

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logits `(batch, num_classes - 1)` -> float64 `(batch, num_classes)`, 0-1."""
        return probabilities.ordinal(logits)

    def predicted(self, logits):
        """The class of the largest probability."""
        reached = ops.cumsum(ops.log_sigmoid(logits), axis=-1)
        zero = ops.zeros_like(logits[:, :1])
        lower = _log_stays(logits)
        return ops.argmax(ops.concatenate([lower, reached[:, -1:] + zero], -1), axis=-1)

    def explained(self, logits, classes):
        """Log-odds of reaching the class; of the lowest, of staying in it."""
        sign, steps = _steps(logits, classes)
        reaches = ops.sum(steps * ops.log_sigmoid(logits), axis=-1)
        return sign * (reaches - _log_falls_short(logits, steps))

    def explained_gradient(self, logits, classes):
        """Of a step on the way, its share in falling short: `P(stops) / P(y < c)`."""
        sign, steps = _steps(logits, classes)
        short = ops.expand_dims(_log_falls_short(logits, steps), axis=-1)
        share = ops.log_sigmoid(-logits) - short  # Its log, on the way at most 0.
        share = ops.exp(ops.minimum(share, 0.0))
        return ops.expand_dims(sign, axis=-1) * steps * share


@gin.register("regression", denylist=["num_classes"])
@dataclasses.dataclass(frozen=True)
class Regression(Output):
    """One logit, the grade itself, on a scale from 0 to `num_classes - 1`.

    Probabilities are those of a cumulative probit model (McCullagh, 1980): `P(y > k) =
    Phi((value - cut_k) / sigma)`. Before anything is fitted the cut points are halfway
    between the grades and sigma is `probabilities.USUAL_SIGMA`; both are fitted on
    validation photographs by `evaluate.calibrate = 'cut_points'`.

    What explains a class is the value, which raises all classes but the lowest; of the
    lowest it is minus the value. So all higher classes have one explanation.

    Attributes:
        num_classes: How many classes; `for_classes` says it.
    """

    num_classes: int | None = None

    name = "regression"
    accepted_losses = (keras.losses.MeanSquaredError, keras.losses.Huber)
    calibrations = ("cut_points", "isotonic")

    def for_classes(self, num_classes: int) -> "Regression":
        """The same output for a task of so many classes."""
        return Regression(num_classes)

    def num_outputs(self, num_classes: int) -> int:
        """One logit, however many classes."""
        return 1

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logits `(batch, 1)` -> float64 `(batch, num_classes)`, 0-1."""
        return probabilities.grades(
            logits, self._cut_points(), probabilities.USUAL_SIGMA
        )

    def predicted(self, logits):
        """The most probable class, before anything is fitted."""
        scale = np.sqrt(2) * probabilities.USUAL_SIGMA
        cuts = ops.cast(self._cut_points(), logits.dtype)
        exceeds = (1 + ops.erf((logits - cuts) / scale)) / 2
        one = ops.ones_like(logits)
        exceeds = ops.concatenate([one, exceeds, 0 * one], axis=-1)
        return ops.argmax(exceeds[:, :-1] - exceeds[:, 1:], axis=-1)

    def explained(self, logits, classes):
        """The value; of the lowest class minus the value."""
        return ops.sum(logits * self.explained_gradient(logits, classes), axis=-1)

    def explained_gradient(self, logits, classes):
        """1; of the lowest class -1."""
        return ops.expand_dims(_sign(logits, classes), axis=-1)

    def _cut_points(self) -> np.ndarray:
        if self.num_classes is None:
            raise ValueError(
                "The output 'regression' needs the number of classes. Take "
                "Regression().for_classes(len(task.class_names))."
            )
        return probabilities.middles(self.num_classes)


def by_name(name: str, num_classes: int) -> Output:
    """The output that a run's `task.json` names.

    Args:
        name: Its `name`.
        num_classes: How many classes the task has.

    Returns:
        The output.

    Raises:
        ValueError: There is none of this name.
    """
    known = {one.name: one for one in (Softmax, Ordinal, Regression)}
    if name not in known:
        raise ValueError(
            f"The output must be one of {', '.join(known)}. Received: {name!r}. Use "
            "the version that trained the model."
        )
    return known[name]().for_classes(num_classes)


def _in_gin(loss: type[keras.losses.Loss]) -> str:
    """How a gin file binds a loss, as in "@focal()"."""
    if loss is keras.losses.SparseCategoricalCrossentropy:
        name = loss.__name__
        return f"@{name}() with {name}.from_logits = True: models emit logits"
    ours = {
        losses.Corn: "corn",
        losses.Focal: "focal",
        losses.SmoothedCrossentropy: "smoothed_crossentropy",
    }
    return f"@{ours.get(loss, loss.__name__)}()"


def _sign(logits, classes):
    """-1 of the lowest class, 1 of the others, `(batch,)`."""
    return ops.where(
        classes > 0, ops.ones_like(logits[:, 0]), -ops.ones_like(logits[:, 0])
    )


def _steps(logits, classes):
    """Sign `(batch,)`, and which logits are on the way to the class, 0 or 1.

    The lowest class is told from what is beyond it, by the first logit.
    """
    classes = ops.cast(classes, "int32")
    ends = ops.expand_dims(ops.maximum(classes, 1), axis=-1)
    steps = ops.cast(ops.arange(logits.shape[-1]) < ends, logits.dtype)
    return _sign(logits, classes), steps


def _log_stays(logits):
    """Log-probabilities of all classes but the highest, of the shape of `logits`."""
    goes_on = ops.log_sigmoid(logits)
    return ops.cumsum(goes_on, axis=-1) - goes_on + ops.log_sigmoid(-logits)


def _log_falls_short(logits, steps):
    """Log-probability `(batch,)` of a class below that to which the steps lead."""
    return ops.logsumexp(_log_stays(logits) + _NEVER * (1 - steps), axis=-1)
