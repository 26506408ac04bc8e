"""Losses that Keras does not have, of integer labels and logits.

Each gives a number a photograph; Keras weighs them and takes the mean of the batch.
Classes are weighed by `training_stream.class_weights`, whatever the loss.
"""

import gin
import keras
from keras import ops

# exp() of it is 0, and 0 times it, unlike 0 times -inf, is 0.
_NEVER = -1e9


@gin.register("corn")
class Corn(keras.losses.Loss):
    """How unlikely an ordinal output finds the label (Shi, Cao and Raschka, 2021).

    CORN: the binary cross-entropy of each logit over the photographs that reach its
    class, "is it higher than k?" asked of those with a label of at least k. Of one
    photograph that is `-log P(label)`, so the loss is in the unit of cross-entropy.

    The paper divides a batch's sum by the number of questions asked, which differs from
    batch to batch and among the replicas of one; here it is the number of photographs.
    """

    def __init__(self):
        super().__init__(name="corn")

    def call(self, y_true, y_pred):
        """Loss of each photograph.

        Args:
            y_true: Labels of shape `(batch,)`, 0 to `num_classes - 1`.
            y_pred: Logits of shape `(batch, num_classes - 1)`.

        Returns:
            Tensor of shape `(batch,)`, at least 0.
        """
        labels = ops.expand_dims(ops.cast(y_true, "int32"), axis=-1)
        classes = ops.arange(y_pred.shape[-1])
        answers = ops.where(labels > classes, y_pred, -y_pred)
        asked = ops.cast(labels >= classes, y_pred.dtype)
        return -ops.sum(asked * ops.log_sigmoid(answers), axis=-1)


@gin.register("focal")
class Focal(keras.losses.Loss):
    """Cross-entropy that makes little of what is right already (Lin et al., 2017).

    `-(1 - p)^gamma log(p)` of the label's probability p: equation 4. Keras has it for
    one-hot labels and clips p at 1e-7, so that a mistake the model is sure of has no
    gradient; this one is exact for any logits.

    Args:
        gamma: How much less the easy ones count, at least 0. 0 is cross-entropy.
    """

    def __init__(self, *, gamma: float = 2.0):
        if not gamma >= 0:
            raise ValueError(f"`focal.gamma` must be at least 0. Received: {gamma}.")
        super().__init__(name="focal")
        self.gamma = gamma

    def call(self, y_true, y_pred):
        """Loss of each photograph.

        Args:
            y_true: Labels of shape `(batch,)`, 0 to `num_classes - 1`.
            y_pred: Logits of shape `(batch, num_classes)`.

        Returns:
            Tensor of shape `(batch,)`, at least 0.
        """
        label = ops.one_hot(
            ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=y_pred.dtype
        )
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        log_right = ops.sum(label * log_probabilities, axis=-1)
        # log(1 - p) from the other classes: 1 - p itself is rounded to 0 early.
        log_wrong = ops.logsumexp(log_probabilities + _NEVER * label, axis=-1)
        return -ops.exp(self.gamma * log_wrong) * log_right


@gin.register("smoothed_crossentropy")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with label smoothing (Szegedy et al., 2016, section 7).

    Keras' own, for integer labels.

    Args:
        label_smoothing: Share of a label that is spread evenly over all classes, from 0
            to below 1.
    """

    def __init__(self, *, label_smoothing: float = 0.1):
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`smoothed_crossentropy.label_smoothing` must be from 0 to below 1. "
                f"Received: {label_smoothing}."
            )
        super().__init__(name="smoothed_crossentropy")
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Loss of each photograph.

        Args:
            y_true: Labels of shape `(batch,)`, 0 to `num_classes - 1`.
            y_pred: Logits of shape `(batch, num_classes)`.

        Returns:
            Tensor of shape `(batch,)`, at least 0.
        """
        return keras.losses.categorical_crossentropy(
            ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1]),
            y_pred,
            from_logits=True,
            label_smoothing=self.label_smoothing,
        )
