"""Guided Backpropagation, and its product with Grad-CAM.

Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR 2015
workshop, section 3.4; Selvaraju et al., ICCV 2017, section 3.2. Both look sharp, and
Guided Backpropagation hardly depends on what the model has learnt (Adebayo et al.,
2018): believe its pictures as far as the sanity check says.
"""

import dataclasses
from typing import ClassVar

import gin
import keras
import tensorflow as tf

from models import outputs
from visualization import explainer, grad_cam, layers

_FUNCTIONS = {"relu", "relu6", "leakyrelu", "elu", "gelu", "silu", "hardsilu", "tanh"}
"""Activations that a model may apply without a layer of their own."""


@gin.register("guided_backprop")
@dataclasses.dataclass(frozen=True, kw_only=True)
class GuidedBackprop(explainer.Explainer):
    """The score's gradient at the photograph, with only what is positive at each ReLU.

    A pixel's value is the largest absolute value of its channels.
    """

    name: ClassVar[str] = "guided_backprop"

    def bind(self, model: keras.Model, output: outputs.Output) -> explainer.Explanation:
        """Binds the method to a model, as `Explainer.bind` says."""
        return _Guided(model, output)


@gin.register("guided_grad_cam")
@dataclasses.dataclass(frozen=True, kw_only=True)
class GuidedGradCam(explainer.Explainer):
    """Guided Backpropagation where Grad-CAM sees evidence: their product.

    Attributes:
        layer: Name of the layer that gives Grad-CAM's feature map.
    """

    name: ClassVar[str] = "guided_grad_cam"

    layer: str = layers.FEATURE_MAP

    def bind(self, model: keras.Model, output: outputs.Output) -> explainer.Explanation:
        """Binds the method to a model, as `Explainer.bind` says."""
        coarse = grad_cam.GradCam(layer=self.layer).bind(model, output)
        return _Product(model, output, coarse, _Guided(model, output))


class _Guided(explainer.Explanation):
    def __init__(self, model, output):
        super().__init__(model, output)
        rectified = [layer for layer in layers.leaves(model) if _is_rectified(layer)]
        others = _others(model)
        if not rectified or others:
            raise ValueError(
                f"The model {model.name!r} must have ReLU layers, and no other "
                "activations: Guided Backpropagation is their gradient, guided. "
                f"Received: {', '.join(others) or 'none'}. Take another method."
            )
        self.facts["guided_layers"] = len(rectified)

        @tf.function(input_signature=[self.signature, tf.TensorSpec((None,), tf.int32)])
        def gradient(images, classes):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                with layers.hooked(rectified, _guide):
                    scores = self.score(images, classes)
            return tf.reduce_max(tf.abs(tape.gradient(scores, images)), axis=-1)

        self._gradient = gradient

    def _evidence(self, images, classes):
        classes = self.choose(self.logits(images), classes)
        return self._gradient(images, classes).numpy()


class _Product(explainer.Explanation):
    def __init__(self, model, output, coarse, fine):
        super().__init__(model, output)
        self.facts |= coarse.facts | fine.facts
        self._coarse, self._fine = coarse, fine

    def _evidence(self, images, classes):
        classes = self.choose(self.logits(images), classes)
        size = images.shape[1:3]
        coarse, fine = (
            explainer.scale(one.evidence(images.numpy(), classes), size)
            for one in (self._coarse, self._fine)
        )
        return coarse * fine


def _guide(layer, given, result):
    """The same result, behind which only a positive gradient passes."""
    return _only_positive(result)


@tf.custom_gradient
def _only_positive(x):
    return tf.identity(x), tf.nn.relu


def _is_rectified(layer: keras.Layer) -> bool:
    known = keras.activations.relu, keras.activations.relu6
    is_relu = isinstance(layer, keras.layers.ReLU) and not layer.negative_slope
    return is_relu or getattr(layer, "activation", None) in known


def _others(model: keras.Model) -> list[str]:
    """What else bends a path through the model, which no rule of the paper guides.

    A sigmoid is left alone: it is a gate beside the path, as in squeeze and excitation.
    """
    activation = keras.activations
    known = activation.linear, activation.sigmoid, activation.hard_sigmoid
    bending = keras.layers.LeakyReLU | keras.layers.PReLU | keras.layers.ELU
    bent = [
        one
        for one in layers.leaves(model)
        if isinstance(one, keras.layers.ReLU | bending)
        or getattr(one, "activation", activation.linear) not in known
    ]
    named = [f"{one.name!r}" for one in bent if not _is_rectified(one)]
    functions = _FUNCTIONS.intersection(layers.functions(model))
    return named + [f"a function {one}, which is no layer" for one in sorted(functions)]
