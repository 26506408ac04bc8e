"""Occlusion: by how much the score falls when a patch of the photograph is taken away.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
section 4.2.
"""

import dataclasses
import itertools
from typing import ClassVar

import gin
import keras
import numpy as np
import tensorflow as tf

from models import outputs
from visualization import baselines, explainer

_ROUNDING = 1e-5  # Of a score, or of 1: float32 in batches of other sizes.


@gin.register("occlusion")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Occlusion(explainer.Explainer):
    """Mean fall of the score over all patches that cover a pixel.

    Attributes:
        patch: Side of a patch, as a share of the photograph's side.
        stride: From one patch to the next, as a share of the photograph's side.
        baseline: What is seen in place of a patch; see `baselines.make`.
    """

    name: ClassVar[str] = "occlusion"

    patch: float = 1 / 8
    stride: float = 1 / 16
    baseline: baselines.Kind = "blurred"

    def __post_init__(self):
        if not 0 < self.stride <= self.patch <= 1:
            raise ValueError(
                "`occlusion.stride` must be above 0 and at most `occlusion.patch`, "
                "which is at most 1, for patches to cover the photograph. Received: "
                f"stride={self.stride}, patch={self.patch}."
            )

    def bind(self, model: keras.Model, output: outputs.Output) -> explainer.Explanation:
        """Binds the method to a model, as `Explainer.bind` says."""
        return _Bound(model, output, self)


class _Bound(explainer.Explanation):
    def __init__(self, model, output, settings: Occlusion):
        super().__init__(model, output)
        self._baseline = settings.baseline
        self._boxes = boxes(*self._shape, settings.patch, settings.stride)
        self.facts["patches"] = len(self._boxes)
        self.facts["baseline"] = settings.baseline
        rows, columns = (np.arange(side, dtype=np.int32) for side in self._shape)
        numbers = tf.TensorSpec((None,), tf.int32)

        @tf.function(
            input_signature=[
                self.signature,
                self.signature,
                numbers,
                numbers,
                tf.TensorSpec((None, 4), tf.int32),
            ]
        )
        def occluded(images, base, classes, places, patches):
            top, left, bottom, right = tf.unstack(patches[:, :, None], axis=1)
            across = (rows >= top) & (rows < bottom)
            down = (columns >= left) & (columns < right)
            covered = across[:, :, None, None] & down[:, None, :, None]
            points = tf.where(
                covered, tf.gather(base, places), tf.gather(images, places)
            )
            return self.score(points, tf.gather(classes, places))

        self._occluded = occluded
        self._scores = tf.function(
            self.score, input_signature=[self.signature, numbers]
        )

    def _evidence(self, images, classes):
        classes = self.choose(self.logits(images), classes)
        base = tf.constant(baselines.make(images.numpy(), self._baseline))
        whole = self._scores(images, classes).numpy()
        count = len(self._boxes)
        places = np.repeat(np.arange(len(whole), dtype=np.int32), count)
        patches = np.tile(self._boxes, (len(whole), 1))
        scores = [
            self._occluded(images, base, classes, places[part], patches[part]).numpy()
            for start in range(0, len(places), self.at_once)
            for part in [slice(start, start + self.at_once)]
        ]
        falls = whole[:, None] - np.concatenate(scores).reshape(-1, count)
        least = _ROUNDING * np.maximum(np.abs(whole), 1)
        falls[np.abs(falls) < least[:, None]] = 0
        return np.stack([self._spread(one) for one in falls])

    def _spread(self, falls: np.ndarray) -> np.ndarray:
        """Each pixel's mean over the patches that cover it."""
        total, times = np.zeros((2, *self._shape), np.float32)
        for (top, left, bottom, right), fall in zip(self._boxes, falls, strict=True):
            total[top:bottom, left:right] += fall
            times[top:bottom, left:right] += 1
        return total / times


def boxes(height: int, width: int, patch: float, stride: float) -> np.ndarray:
    """Patches whose centres lie on a grid from edge to edge.

    Args:
        height: Rows of the photograph.
        width: Columns of the photograph.
        patch: Side of a patch, as a share of the photograph's longer side.
        stride: From one centre to the next, likewise.

    Returns:
        int32 array of shape `(patches, 4)`: top, left, bottom, right, the latter two
        exclusive, within the photograph.
    """
    longer = max(height, width)
    reach = max(patch * longer / 2, 0.5)
    centres = [
        np.linspace(0, side, max(round(side / (stride * longer)), 1) + 1)
        for side in (height, width)
    ]
    found = []
    for y, x in itertools.product(*centres):
        top, left = max(round(y - reach), 0), max(round(x - reach), 0)
        bottom, right = min(round(y + reach), height), min(round(x + reach), width)
        found.append((top, left, bottom, right))
    return np.array(found, np.int32)
