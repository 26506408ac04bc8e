"""Grad-CAM, whose gradient has a closed form behind global average pooling.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, equations 1 and 2. Between the feature map and the logits of
the project's models stand pooling and a few dense layers, so that one forward pass
gives prediction and map, and the map can be an output of an exported model.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import gin
import keras
import numpy as np
import tensorflow as tf
from keras import ops

from models import outputs
from visualization import explainer, layers


@gin.register("grad_cam")
@dataclasses.dataclass(frozen=True, kw_only=True)
class GradCam(explainer.Explainer):
    """Channels of the feature map, weighted by the mean gradient of the class.

    Where the head has no closed form, such as one of another model than the project's,
    automatic differentiation takes its place; `facts["gradient"]` tells which it was.

    Attributes:
        layer: Name of the layer that gives the feature map.
    """

    name: ClassVar[str] = "grad_cam"

    layer: str = layers.FEATURE_MAP

    def bind(self, model: keras.Model, output: outputs.Output) -> explainer.Explanation:
        """Binds the method to a model, as `Explainer.bind` says."""
        layer = layers.find(model, self.layer)
        head, reason = find_head(model, layer)
        if head is None:
            return _Differentiated(model, output, layer, reason)
        return _ClosedForm(model, output, layer, head)


@dataclasses.dataclass(frozen=True)
class Head:
    """Global average pooling, then these: dense layers, ReLU, inactive dropout."""

    behind_pooling: Sequence[keras.Layer]

    def gradient(self, feature_map, gradient):
        """Carries a gradient back from the logits to the feature map.

        Args:
            feature_map: Tensor of shape `(batch, height, width, channels)`.
            gradient: With respect to the logits, `(batch, num_outputs)`.

        Returns:
            Tensor of shape `(batch, channels)`: the gradient is the same at every
            place.
        """
        _, height, width, _ = feature_map.shape
        x = ops.mean(feature_map, axis=(1, 2))
        results = []
        for layer in self.behind_pooling:
            x = layer(x)
            results.append(x)
        for layer, x in zip(reversed(self.behind_pooling), results[::-1], strict=True):
            if _is_relu(layer):
                gradient = gradient * ops.cast(x > 0, gradient.dtype)
            if isinstance(layer, keras.layers.Dense):
                gradient = ops.matmul(gradient, ops.transpose(layer.kernel))
        return gradient / (height * width)

    def evidence(self, feature_map, gradient):
        """Grad-CAM before its ReLU: a tensor of shape `(batch, height, width)`."""
        weights = self.gradient(feature_map, gradient)
        return ops.sum(feature_map * weights[:, None, None, :], axis=-1)


def find_head(model: keras.Model, layer: keras.Layer) -> tuple[Head | None, str]:
    """Looks whether what stands behind a layer has a closed form.

    Args:
        model: From photographs to logits.
        layer: One of its layers.

    Returns:
        The head, or None and the reason why there is none.

    Raises:
        ValueError: The layer gives no feature map.
    """
    calls, logits = layers.record(model)
    shapes = [tuple(one.result.shape) for one in calls if one.layer is layer]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            f"The layer {layer.name!r} must give one feature map of shape `(batch, "
            f"height, width, channels)`. Received: {shapes or 'nothing'}."
        )
    behind, tensor = [], logits
    for call in reversed(calls):
        if call.result is not tensor:
            continue
        if call.layer is layer:
            break
        behind.insert(0, call.layer)
        tensor = call.given
    else:
        last = behind[0].name if behind else "nothing"
        return None, f"no chain of single layers leads from {layer.name!r} to {last!r}"
    pooling, *rest = behind or [None]
    if not _is_average_pooling(pooling):
        return None, f"{layer.name!r} is not pooled by a global average"
    for one in rest:
        if not (
            isinstance(one, keras.layers.Dropout) or _is_dense(one) or _is_relu(one)
        ):
            return None, f"{one.name!r} is neither dense, nor ReLU, nor dropout"
    return Head(rest), ""


def with_heatmaps(
    model: keras.Model,
    output: outputs.Output,
    *,
    layer: str = layers.FEATURE_MAP,
    normalize: bool = True,
) -> keras.Model:
    """Gives a model the Grad-CAM heatmap of each class as an output, for export.

    It is made of `keras.ops` alone and shares the model's weights.

    Args:
        model: From photographs to logits.
        output: What the logits mean.
        layer: Name of the layer that gives the feature map.
        normalize: Whether heatmaps are 0-1, as `explainer.scale` makes them; otherwise
            they are evidence, negative where a place speaks against the class.

    Returns:
        A model of the same input. Its output is a dictionary: `logits` `(batch,
        num_outputs)`, `feature_map` `(batch, h, w, channels)` and `heatmaps` `(batch,
        num_classes, h, w)`, all float32 and not enlarged.

    Raises:
        ValueError: The model's head has no closed form.
    """
    found = layers.find(model, layer)
    head, reason = find_head(model, found)
    if head is None:
        raise ValueError(
            f"The model {model.name!r} must have a closed form behind {layer!r}: "
            "global average pooling, then dense layers, ReLU and dropout. Received: "
            f"{reason}. Without it, a heatmap cannot be part of an exported model."
        )
    photograph = keras.Input(model.input_shape[1:], name="photograph")
    graph = _WithHeatmaps(model, output, found, head, normalize)
    return keras.Model(photograph, graph(photograph), name=f"{model.name}_explained")


class _WithHeatmaps(keras.Layer):
    """The graph of `with_heatmaps`."""

    def __init__(self, model, output, layer, head, normalize):
        super().__init__(dtype="float32", name="explained", trainable=False)
        self._model, self._output, self._normalize = model, output, normalize
        self._layer, self._head = layer, head
        nothing = np.zeros((1, model.output_shape[-1]), np.float32)
        self._num_classes = output.probabilities(nothing).shape[-1]

    def call(self, images):
        kept = []
        with layers.hooked([self._layer], _keep(kept)):
            logits = ops.cast(self._model(images, training=False), "float32")
        feature_map = ops.cast(kept[0], "float32")
        evidence = []
        for number in range(self._num_classes):
            classes = ops.zeros_like(logits[:, 0], dtype="int32") + number
            gradient = self._output.explained_gradient(logits, classes)
            evidence.append(self._head.evidence(feature_map, gradient))
        heatmaps = ops.stack(evidence, axis=1)
        if self._normalize:
            heatmaps = _normalize(heatmaps)
        return {"logits": logits, "feature_map": feature_map, "heatmaps": heatmaps}


def _normalize(evidence):
    """What `explainer.scale` does, but for the enlargement, in `keras.ops`."""
    strongest = ops.max(evidence, axis=(-2, -1), keepdims=True)
    against = ops.max(-evidence, axis=(-2, -1), keepdims=True)
    least = ops.maximum(explainer.FAINTEST * against, 1e-12)
    scaled = ops.relu(evidence) / ops.maximum(strongest, least)
    return ops.where(strongest > least, scaled, ops.zeros_like(scaled))


class _ClosedForm(explainer.Explanation):
    """One forward pass."""

    def __init__(self, model, output, layer, head):
        super().__init__(model, output)
        self.facts["gradient"] = "closed form"

        @tf.function(input_signature=[self.signature])
        def forward(images):
            kept = []
            with layers.hooked([layer], _keep(kept)):
                logits = model(images, training=False)
            return tf.cast(logits, tf.float32), tf.cast(kept[0], tf.float32)

        @tf.function(reduce_retracing=True)
        def backward(logits, feature_map, classes):
            gradient = output.explained_gradient(logits, classes)
            return head.evidence(feature_map, gradient)

        self._forward_with_map, self._backward = forward, backward

    def _evidence(self, images, classes):
        logits, feature_map = self._forward_with_map(images)
        classes = self.choose(logits.numpy(), classes)
        return self._backward(logits, feature_map, tf.constant(classes)).numpy()


class _Differentiated(explainer.Explanation):
    """A forward pass for the class, another one with its gradient."""

    def __init__(self, model, output, layer, reason):
        super().__init__(model, output)
        self.facts["gradient"] = f"automatic differentiation: {reason}"

        @tf.function(input_signature=[self.signature, tf.TensorSpec((None,), tf.int32)])
        def evidence(images, classes):
            (feature_map,), (gradient,) = self.differentiate([layer], images, classes)
            weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
            return tf.reduce_sum(weights * feature_map, axis=-1)

        self._differentiated = evidence

    def _evidence(self, images, classes):
        classes = self.choose(self.logits(images), classes)
        return self._differentiated(images, classes).numpy()


def _keep(results: list):
    """A hook that puts results into a list."""

    def keep(layer, given, result):
        results.append(result)
        return result

    return keep


def _is_average_pooling(layer: keras.Layer | None) -> bool:
    return (
        isinstance(layer, keras.layers.GlobalAveragePooling2D)
        and layer.data_format == "channels_last"
        and not layer.keepdims
    )


def _is_dense(layer: keras.Layer) -> bool:
    """Whether it is a dense layer, of a linear or ReLU activation."""
    known = keras.activations.linear, keras.activations.relu
    return isinstance(layer, keras.layers.Dense) and layer.activation in known


def _is_relu(layer: keras.Layer) -> bool:
    """Whether it ends in a plain ReLU."""
    if isinstance(layer, keras.layers.ReLU):
        plain = layer.max_value is None and not layer.negative_slope
        return plain and not layer.threshold
    return getattr(layer, "activation", None) is keras.activations.relu
