"""Outputs: how a model's logits become the probabilities of a task's classes."""

import dataclasses

import gin
import keras
import numpy as np
from keras import ops
from scipy import special


@gin.register("softmax")
@dataclasses.dataclass(frozen=True)
class Softmax:
    """One logit a class, and cross-entropy."""

    name = "softmax"

    def num_outputs(self, num_classes: int) -> int:
        """How many logits a model of so many classes has."""
        return num_classes

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logits `(batch, num_outputs)` -> float64 `(batch, num_classes)`, 0-1."""
        return special.softmax(logits.astype(np.float64), axis=-1)

    def explained(self, logits, classes):
        """The scalar that explains a class, `(batch,)`: its logit."""
        return ops.sum(logits * self.explained_gradient(logits, classes), axis=-1)

    def explained_gradient(self, logits, classes):
        """Its gradient with respect to the logits, `(batch, num_outputs)`."""
        return ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype)

    def check_loss(self, loss: keras.losses.Loss) -> None:
        """Raises ValueError for a loss that does not fit these logits."""
        fits = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        config = loss.get_config()
        is_mean = config.get("reduction") == "sum_over_batch_size"
        if not fits or not config.get("from_logits") or not is_mean:
            raise ValueError(
                "`train.loss` must be @SparseCategoricalCrossentropy(), the mean of a "
                "batch, with SparseCategoricalCrossentropy.from_logits = True: models "
                "emit logits. "
                f"Received: {type(loss).__name__} with {loss.get_config()}."
            )


Output = Softmax
"""The kinds of output there are."""
