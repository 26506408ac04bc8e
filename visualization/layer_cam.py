"""LayerCAM: class activation maps of any layer, for lesions of a few pixels.

Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
IEEE Transactions on Image Processing 30, 2021, equations 6 to 9.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import gin
import keras
import numpy as np
import tensorflow as tf

from models import ensemble, outputs
from visualization import explainer, layers


@gin.register("layer_cam")
@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCam(explainer.Explainer):
    """Activations weighted by their own positive gradient, fused over several layers.

    In the average of several networks the layers of all count as one, whose channels
    are side by side, as they are in its feature map.

    Attributes:
        layers: Names of the layers, whose maps are fused by their maximum; those before
            the deepest through `tanh(2 x)`, as in the paper. By default the last
            activation of each resolution.
        resolutions: How many resolutions the default takes, from the coarsest on.
    """

    name: ClassVar[str] = "layer_cam"

    layers: Sequence[str] | None = None
    resolutions: int = 3

    def __post_init__(self):
        if self.resolutions < 1:
            raise ValueError(
                "`layer_cam.resolutions` must be at least 1. "
                f"Received: {self.resolutions}."
            )
        if self.layers is not None and not self.layers:
            raise ValueError(
                "`layer_cam.layers` must name a layer, or be None. Received: none."
            )

    def bind(self, model: keras.Model, output: outputs.Output) -> explainer.Explanation:
        """Binds the method to a model, as `Explainer.bind` says."""
        if self.layers is None:
            tapped = last_of_each_resolution(model)[-self.resolutions :]
        else:
            tapped = [_of_each_member(model, name) for name in self.layers]
        return _Bound(model, output, tapped)


def last_of_each_resolution(model: keras.Model) -> list[list[keras.Layer]]:
    """The last activation of each resolution, up to the feature map.

    Args:
        model: A model with a layer `feature_map`.

    Returns:
        A layer for each resolution, from the finest to the coarsest; the last is the
        feature map. Of the average of several networks a layer of each.
    """
    feature_map = layers.find(model, layers.FEATURE_MAP)
    found: dict[tuple[int, int], dict[str, keras.Layer]] = {}
    for call in layers.record(model)[0]:
        shape = tuple(getattr(call.result, "shape", ()))
        if call.layer is feature_map:
            least = shape[1:3]
            break
        if len(shape) == 4 and _is_activation(call.layer):
            member, _ = ensemble.member_of(call.layer.name)
            found.setdefault(shape[1:3], {})[member] = call.layer
    finer = {size: some for size, some in found.items() if min(size) > min(least)}
    ordered = sorted(finer.items(), key=lambda item: -item[0][0])
    return [*(list(some.values()) for _, some in ordered), [feature_map]]


def _of_each_member(model: keras.Model, name: str) -> list[keras.Layer]:
    """The layer of a name; of the average of several networks that of each."""
    inner = [
        one
        for one in layers.leaves(model)
        if one.name != name and ensemble.member_of(one.name)[1] == name
    ]
    return inner or [layers.find(model, name)]


class _Bound(explainer.Explanation):
    def __init__(self, model, output, tapped):
        super().__init__(model, output)
        every = [layer for some in tapped for layer in some]
        self.facts["layers"] = [layer.name for layer in every]

        @tf.function(input_signature=[self.signature, tf.TensorSpec((None,), tf.int32)])
        def evidence(images, classes):
            results, gradients = self.differentiate(every, images, classes)
            of_each = {
                layer: tf.reduce_sum(tf.nn.relu(gradient) * result, axis=-1)
                for layer, result, gradient in zip(
                    every, results, gradients, strict=True
                )
            }
            return [tf.add_n([of_each[layer] for layer in some]) for some in tapped]

        self._differentiated = evidence

    def _evidence(self, images, classes):
        classes = self.choose(self.logits(images), classes)
        *shallow, deepest = (
            one.numpy() for one in self._differentiated(images, classes)
        )
        if not shallow:
            return deepest
        size = images.shape[1:3]
        maps = [np.tanh(2 * explainer.scale(one, size)) for one in shallow]
        return np.max([*maps, explainer.scale(deepest, size)], axis=0)


def _is_activation(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU):
        return True
    activation = getattr(layer, "activation", keras.activations.linear)
    return activation is not keras.activations.linear
