"""Schedules: a learning rate as a function of epochs, whatever the size of a batch.

Keras' own count steps, so that another batch size or fold would silently be another
schedule. These are told by the trainer how many steps an epoch has.
"""

import abc
import math
from typing import Any

import gin
import keras
import tensorflow as tf


class Schedule(keras.optimizers.schedules.LearningRateSchedule, abc.ABC):
    """A learning rate that rises in the first epochs, if asked to, and then follows.

    The warm-up is linear, as of Goyal et al., "Accurate, Large Minibatch SGD", 2017,
    section 2.2: of n steps the k-th has k/n of the rate, and so the last all of it.
    """

    _name: str  # As a gin file has it.

    def __init__(self, learning_rate: float, warmup_epochs: float):
        name = self._name
        if not learning_rate > 0:
            raise ValueError(
                f"`{name}.learning_rate` must be above 0. Received: {learning_rate}."
            )
        if not warmup_epochs >= 0:
            raise ValueError(
                f"`{name}.warmup_epochs` must be at least 0. Received: {warmup_epochs}."
            )
        self.learning_rate = learning_rate
        self.warmup_epochs = warmup_epochs
        self._epochs: int | None = None
        self._origin: tuple[int, int] | None = None
        self._steps_per_epoch: int | None = None

    def set_epochs(self, epochs: int, first_epoch: int, first_step: int) -> None:
        """Tells the schedule how long it lasts and where the optimizer enters it.

        Args:
            epochs: How many epochs the schedule is for.
            first_epoch: How many of them were done before, by an earlier run.
            first_step: How many steps the optimizer counts for them.

        Raises:
            ValueError: It does not fit into so many epochs.
        """
        if self.warmup_epochs >= epochs:
            raise ValueError(
                f"`{self._name}.warmup_epochs` must be below the {epochs} "
                f"epochs that it is for. Received: {self.warmup_epochs}."
            )
        self._epochs, self._origin = epochs, (first_epoch, first_step)

    def set_steps_per_epoch(self, steps: int) -> None:
        """Tells the schedule how many steps an epoch has."""
        self._steps_per_epoch = steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of one step.

        Args:
            step: The optimizer's count of the steps before, an integer tensor.

        Returns:
            float32 tensor of shape `()`.
        """
        first_epoch, first_step = self._origin
        done = tf.cast(tf.cast(step, tf.int64) - first_step, tf.float64)
        epoch = first_epoch + done / self._steps_per_epoch
        factor = self._factor(tf.maximum(epoch - self.warmup_epochs, 0.0))
        if self.warmup_epochs:
            risen = (epoch + 1 / self._steps_per_epoch) / self.warmup_epochs
            factor *= tf.minimum(risen, 1.0)
        return tf.cast(self.learning_rate * factor, tf.float32)

    @abc.abstractmethod
    def _factor(self, epoch: tf.Tensor) -> tf.Tensor:
        """What the rate is multiplied by, so many epochs after the warm-up; float64."""

    def get_config(self) -> dict[str, Any]:
        """What the config decided, as Keras has it."""
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }

    def __repr__(self):
        settings = ", ".join(f"{k}={v}" for k, v in self.get_config().items())
        return f"{self._name}({settings})"


@gin.register("constant", module="schedules")
class Constant(Schedule):
    """The same rate throughout, after the warm-up."""

    _name = "constant"

    def __init__(self, *, learning_rate: float, warmup_epochs: float = 0.0):
        super().__init__(learning_rate, warmup_epochs)

    def _factor(self, epoch: tf.Tensor) -> tf.Tensor:
        return tf.ones_like(epoch)


@gin.register("step", module="schedules")
class Step(Schedule):
    """A rate that falls at given epochs."""

    _name = "step"

    def __init__(
        self,
        *,
        learning_rate: float,
        at_epochs: tuple[float, ...],
        factor: float = 0.1,
        warmup_epochs: float = 0.0,
    ):
        """Sets the schedule.

        Args:
            learning_rate: The rate before the first fall.
            at_epochs: After how many epochs it falls, warm-up included.
            factor: What it is multiplied by each time, 0-1 exclusive.
            warmup_epochs: Epochs in which it rises first.

        Raises:
            ValueError: A value is out of range, or the epochs are not in order.
        """
        super().__init__(learning_rate, warmup_epochs)
        ascending = list(at_epochs) == sorted(set(at_epochs))
        if not at_epochs or not ascending or at_epochs[0] <= warmup_epochs:
            raise ValueError(
                "`step.at_epochs` must be epochs after the warm-up, in order. "
                f"Received: {at_epochs} with warmup_epochs={warmup_epochs}."
            )
        if not 0 < factor < 1:
            raise ValueError(
                f"`step.factor` must be between 0 and 1. Received: {factor}."
            )
        self.at_epochs = tuple(at_epochs)
        self.factor = factor

    def set_epochs(self, epochs: int, first_epoch: int, first_step: int) -> None:
        """As for every schedule; all falls must lie within the epochs."""
        super().set_epochs(epochs, first_epoch, first_step)
        if self.at_epochs[-1] >= epochs:
            raise ValueError(
                f"`step.at_epochs` must be below the {epochs} epochs that they are "
                f"for. Received: {self.at_epochs}."
            )

    def _factor(self, epoch: tf.Tensor) -> tf.Tensor:
        # Half a step early, so that rounding cannot put a fall one step late.
        now = epoch + self.warmup_epochs + 0.5 / self._steps_per_epoch
        falls = tf.reduce_sum(tf.cast(now >= self.at_epochs, tf.float64))
        return tf.cast(self.factor, tf.float64) ** falls


@gin.register("cosine", module="schedules")
class Cosine(Schedule):
    """A rate that falls along half a cosine to the last epoch.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR
    2017, equation 5, without restarts.
    """

    _name = "cosine"

    def __init__(
        self,
        *,
        learning_rate: float,
        warmup_epochs: float = 0.0,
        final_factor: float = 0.0,
    ):
        """Sets the schedule.

        Args:
            learning_rate: The rate at the top.
            warmup_epochs: Epochs in which it rises first.
            final_factor: What share of it is left at the end, 0 to below 1.

        Raises:
            ValueError: A value is out of range.
        """
        super().__init__(learning_rate, warmup_epochs)
        if not 0 <= final_factor < 1:
            raise ValueError(
                "`cosine.final_factor` must be from 0 to below 1. "
                f"Received: {final_factor}."
            )
        self.final_factor = final_factor

    def _factor(self, epoch: tf.Tensor) -> tf.Tensor:
        share = tf.minimum(epoch / (self._epochs - self.warmup_epochs), 1.0)
        fallen = 0.5 * (1 + tf.cos(math.pi * share))
        return self.final_factor + (1 - self.final_factor) * fallen
