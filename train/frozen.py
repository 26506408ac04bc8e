"""A frozen trunk without augmentation: its features never change, and are kept.

Where only the head trains and photographs are not augmented, each epoch would compute
the same features again. They are computed once, and the head trains on them alone.
"""

import keras
import numpy as np
from absl import logging
from keras import ops

from evaluation import predict
from input_pipeline import images

_POOL = "pool"


class Frozen:
    """A model whose trunk says the same of a photograph at any time.

    Attributes:
        head: What stands behind the pooled features; its layers are the model's own.
    """

    def __init__(self, trunk: keras.Model, head: keras.Model):
        self.head = head
        self._trunk = predict.Forward(trunk)

    def features(self, photographs: images.Images) -> np.ndarray:
        """Computes what the head will see in place of photographs.

        Args:
            photographs: The photographs.

        Returns:
            float32 array of shape `(len(photographs), channels)`.
        """
        logging.info(
            "All before the head is frozen, and nothing augmented: the features of %s "
            "photographs are computed once.",
            f"{len(photographs):,}",
        )
        return self._trunk(photographs)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """float32 logits of shape `(count, num_outputs)`, as when predicting."""
        return self.head(features, training=False).numpy()


def find(model: keras.Model) -> Frozen | None:
    """Takes a model apart behind its pooled feature map.

    Args:
        model: A model with a head as `heads.classify` makes it.

    Returns:
        Its parts; None if there is more to train than the head, if the trunk draws
        random numbers while training, as stochastic depth does, or if the head is of
        another make.
    """
    pools = [one for one in model.layers if one.name == _POOL]
    if not pools or pools[0].input is not model.get_layer("feature_map").output:
        return None
    pooled = pools[0].output
    trunk = keras.Model(model.inputs[0], ops.cast(pooled, "float32"))
    draws = len(trunk.variables) > len(trunk.weights)  # States of random numbers.
    if trunk.trainable_variables or draws:
        return None
    return Frozen(trunk, keras.Model(pooled, model.outputs[0]))
