"""What all attribution methods share: a contract, checks, and how a map is scaled."""

import abc
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

from models import ensemble, outputs
from visualization import layers

_PIXELS = 16 * 256**2  # At once: enough to keep the cores busy.

FAINTEST = 0.01
"""Evidence for a class below this share of the evidence against it is none."""


class NotFiniteError(ValueError):
    """What speaks for a class came out as NaN or infinite."""


class Explainer(abc.ABC):
    """An attribution method: which places of a photograph speak for a class.

    Attributes:
        name: What tables and file names call it.
    """

    name: str

    def __call__(
        self,
        model: keras.Model,
        images: np.ndarray,
        classes: np.ndarray | None = None,
        output: outputs.Output | None = None,
    ) -> np.ndarray:
        """Explains a batch.

        A map that shows no evidence for the class is all 0: see `has_evidence`. All
        others have a maximum of 1. Where there are many batches, `bind` is called once
        and what it returns for each of them.

        Args:
            model: From RGB 0-255 to logits.
            images: uint8 or float array of shape `(batch, height, width, 3)`, 0-255.
            classes: int array of shape `(batch,)`: what to explain. By default the
                class that the model predicts.
            output: What the logits mean; by default softmax.

        Returns:
            Heatmaps, a float32 array of shape `(batch, height, width)`, 0-1.

        Raises:
            ValueError: The model lacks what the method needs, or images or classes are
                not as described.
        """
        return self.bind(model, output or outputs.Softmax())(images, classes)

    @abc.abstractmethod
    def bind(self, model: keras.Model, output: outputs.Output) -> "Explanation":
        """Makes the method ready for one model, whose graph is then built once.

        Args:
            model: From RGB 0-255 to logits. Later changes of its weights are seen.
            output: What the logits mean.

        Returns:
            `(images, classes=None) -> heatmaps`.
        """


class Explanation(abc.ABC):
    """A method that is bound to one model.

    Attributes:
        facts: What is worth knowing of how the maps were made, JSON-ready.
        at_once: How many photographs, or changes of one, a pass takes.
    """

    def __init__(self, model: keras.Model, output: outputs.Output):
        self.model = model
        self.output = output
        self.facts: dict[str, Any] = {}
        self.at_once = at_once(model)
        self._shape = layers.image_shape(model)
        self.signature = tf.TensorSpec((None, *self._shape, 3), tf.float32)
        self._forward = tf.function(
            lambda images: model(images, training=False),
            input_signature=[self.signature],
        )

    def __call__(
        self, images: np.ndarray, classes: np.ndarray | None = None
    ) -> np.ndarray:
        """Explains a batch, as `Explainer.__call__` says."""
        return scale(self.evidence(images, classes), self._shape)

    def evidence(
        self, images: np.ndarray, classes: np.ndarray | None = None
    ) -> np.ndarray:
        """What the method finds, before it is scaled.

        Args:
            images: As for `Explainer.__call__`.
            classes: As for `Explainer.__call__`.

        Returns:
            float32 array of shape `(batch, rows, columns)`; positive where a place
            speaks for the class.
        """
        return self._evidence(*self.check(images, classes))

    def check(
        self, images: np.ndarray, classes: np.ndarray | None
    ) -> tuple[tf.Tensor, np.ndarray | None]:
        """Images as a float32 tensor, and classes; raises what `evidence` raises."""
        images = check_images(images, self._shape)
        if classes is not None:
            classes = np.asarray(classes)
            if classes.shape != images.shape[:1]:
                raise ValueError(
                    f"`classes` must hold one class for each of the {len(images)} "
                    f"images. Received: shape={classes.shape}."
                )
        return images, classes

    @abc.abstractmethod
    def _evidence(self, images: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
        """`evidence` of what was checked."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 logits `(batch, num_outputs)` of images that were checked."""
        return self._forward(images).numpy()

    def choose(self, logits: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
        """The classes to explain.

        Args:
            logits: float32 array of shape `(batch, num_outputs)`.
            classes: Those that were asked for, or None for those that are predicted.

        Returns:
            int32 array of shape `(batch,)`.

        Raises:
            ValueError: A class is out of range.
        """
        probabilities = self.output.probabilities(logits)
        if classes is None:
            return probabilities.argmax(axis=-1).astype(np.int32)
        count = probabilities.shape[-1]
        whole = np.issubdtype(classes.dtype, np.integer)
        if not whole or ((classes < 0) | (classes >= count)).any():
            raise ValueError(
                f"`classes` must be whole numbers from 0 to {count - 1}. Received: "
                f"{classes.tolist()}."
            )
        return classes.astype(np.int32)

    def score(self, images, classes):
        """The scalar that is explained, `(batch,)`, as part of a graph."""
        logits = self.model(images, training=False)
        return self.output.explained(tf.cast(logits, tf.float32), classes)

    def differentiate(self, tapped: Sequence[keras.Layer], images, classes):
        """Results of some layers, and the score's gradients there, as part of a graph.

        Args:
            tapped: The layers; each is called once.
            images: float32 tensor of shape `(batch, height, width, 3)`.
            classes: int32 tensor of shape `(batch,)`.

        Returns:
            A list of float32 results and a list of gradients of the same shapes, in the
            order of the layers.
        """
        results = {}

        def keep(layer, given, result):
            results[layer.name] = result
            return result

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            with layers.hooked(tapped, keep):
                scores = self.score(images, classes)
        kept = [results[layer.name] for layer in tapped]
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(scores, kept, unconnected_gradients=zero)
        return (
            [tf.cast(one, tf.float32) for one in some] for some in (kept, gradients)
        )


def at_once(model: keras.Model) -> int:
    """How many photographs one pass explains.

    A gradient keeps all that is computed on the way: of larger photographs, and of an
    average of networks, fewer are taken, so that the memory is the same.

    Args:
        model: Of a fixed input size.

    Returns:
        At least 1.
    """
    height, width = layers.image_shape(model)
    return max(1, _PIXELS // (height * width * ensemble.count(model)))


def has_evidence(heatmaps: np.ndarray) -> np.ndarray:
    """Which maps show anything that speaks for their class.

    Args:
        heatmaps: float array of shape `(batch, height, width)`, 0-1.

    Returns:
        bool array of shape `(batch,)`.
    """
    return heatmaps.max(axis=(1, 2)) > 0


def scale(evidence: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Makes heatmaps of evidence: its positive part, enlarged, with a maximum of 1.

    What speaks for a class by less than a hundredth (`FAINTEST`) of what speaks against
    it is rounding or noise: such a map becomes all 0, instead of being stretched.

    Args:
        evidence: float array of shape `(batch, rows, columns)`.
        shape: Height and width of the heatmaps.

    Returns:
        float32 array of shape `(batch, height, width)`, 0-1.

    Raises:
        NotFiniteError: Evidence is NaN or infinite.
    """
    sound = np.isfinite(evidence).all(axis=(1, 2))
    if not sound.all():
        raise NotFiniteError(
            "The evidence for a class must be finite. Received: NaN or infinity for "
            f"{(~sound).sum()} of {len(sound)} images. The model's weights are NaN, or "
            "what it computes is too large for its precision: take one that was "
            "trained in another."
        )
    positive = np.maximum(evidence, 0).astype(np.float32)
    against = np.maximum(-evidence, 0).max(axis=(1, 2))
    seen = positive.max(axis=(1, 2)) > np.maximum(FAINTEST * against, 1e-12)
    heatmaps = np.zeros((len(evidence), *shape), np.float32)
    for place in np.flatnonzero(seen):
        target = heatmaps[place]
        cv2.resize(positive[place], shape[::-1], target, interpolation=cv2.INTER_LINEAR)
        target /= target.max()
    return heatmaps


def check_images(images: np.ndarray, shape: tuple[int, int]) -> tf.Tensor:
    """Returns images as float32, or says what is wrong with them."""
    images = np.asarray(images)
    if images.shape[1:] != (*shape, 3) or not len(images):
        raise ValueError(
            f"`images` must have shape `(batch, {shape[0]}, {shape[1]}, 3)`, as the "
            f"model takes them. Received: shape={images.shape}."
        )
    if images.dtype == np.uint8:
        return tf.cast(images, tf.float32)
    images = images.astype(np.float32, copy=False)
    for place, image in enumerate(images):
        low, high = image.min(), image.max()
        if not (low >= 0 and high <= 255):  # NaN is neither.
            raise ValueError(
                "`images` must be finite, from 0 to 255. Received: image "
                f"{place} with values from {low} to {high}."
            )
    return tf.constant(images)
