"""Distillation: a model learns what a finished run's model says, beside the labels.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

import dataclasses

import gin
import keras
import tensorflow as tf
from keras import ops


@gin.register("distillation")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation:
    """Who teaches, and how much that counts.

    The loss is `(1 - weight) * loss of the labels + weight * T^2 * KL(p, q)`, where `p`
    and `q` are the softmax of the teacher's and of the model's logits, each divided by
    the temperature T. T^2 makes up for gradients that shrink by as much. The defaults
    are those of Zagoruyko and Komodakis (2017, section 4).

    Attributes:
        teacher: Directory of a finished run of the same task.
        temperature: T, above 0: the higher, the more the improbable classes tell.
        weight: Share of the teacher in the loss, above 0 to 1.
    """

    teacher: str
    temperature: float = 4.0
    weight: float = 0.9

    def __post_init__(self):
        if not 0 < self.temperature < float("inf"):
            raise ValueError(
                "`distillation.temperature` must be above 0 and finite. "
                f"Received: {self.temperature}."
            )
        if not 0 < self.weight <= 1:
            raise ValueError(
                "`distillation.weight` must be above 0 and at most 1: the teacher's "
                f"share of the loss. Received: {self.weight}. Without a teacher: "
                "train.distillation = None."
            )

    def loss(
        self,
        of_labels: tf.Tensor,
        said: tf.Tensor,
        logits: tf.Tensor,
        weights: tf.Tensor,
    ) -> tf.Tensor:
        """The loss of a batch.

        Args:
            of_labels: Loss of the labels, as Keras gives it.
            said: The teacher's logits, float32 tensor of shape `(batch, num_classes)`.
            logits: The model's, of the same shape.
            weights: Of each photograph, of shape `(batch,)`; they hold for both parts.

        Returns:
            A number; under several replicas, as Keras does, its share of their mean.
        """
        divergence = Divergence(self.temperature)
        of_teacher = divergence(said, logits, sample_weight=weights)
        return (1 - self.weight) * of_labels + self.weight * of_teacher


class Divergence(keras.losses.Loss):
    """`T^2 * KL(p, q)` of softened softmax outputs, from logits: exact for any."""

    def __init__(self, temperature: float):
        super().__init__(name="divergence")
        self._temperature = temperature

    def call(self, y_true, y_pred):
        """Divergence of each photograph.

        Args:
            y_true: The teacher's logits, of shape `(batch, num_classes)`.
            y_pred: The model's, of the same shape.

        Returns:
            Tensor of shape `(batch,)`, at least 0.
        """
        log_p = ops.log_softmax(y_true / self._temperature, axis=-1)
        log_q = ops.log_softmax(y_pred / self._temperature, axis=-1)
        each = ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
        return self._temperature**2 * each
