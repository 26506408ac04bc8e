"""Insertion and deletion curves: does the model need what a heatmap points at?

Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models",
BMVC 2018, section 4.1. Pixels appear in, or vanish from, a blurred photograph in the
order of the heatmap. Without a mask, so that photographs of any set can be scored.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from visualization import baselines

_CELLS = 16  # A side of the random map that chance is measured with.


class Curves(NamedTuple):
    """Probabilities of the class while pixels change.

    Attributes:
        insertion: float array of shape `(batch, steps + 1)`, from the blurred
            photograph to the whole one.
        deletion: The same the other way round.
    """

    insertion: np.ndarray
    deletion: np.ndarray

    @property
    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """Areas under both curves, each `(batch,)`, 0-1.

        A good map has a large one of insertion and a small one of deletion.
        """
        return tuple(
            np.trapezoid(curve, dx=1 / (curve.shape[1] - 1), axis=1) for curve in self
        )


def measure(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    heatmaps: np.ndarray,
    classes: np.ndarray,
    *,
    steps: int = 16,
    baseline: baselines.Kind = "blurred",
    seed: int = 0,
) -> Curves:
    """Measures both curves.

    Pixels of equal value, such as all where a map is 0, follow each other at random as
    in `random_maps`: a map without evidence is worth what chance is.

    Args:
        predict: From float32 images of shape `(batch, height, width, 3)`, 0-255, to
            probabilities `(batch, num_classes)`.
        images: uint8 or float array of shape `(batch, height, width, 3)`, 0-255.
        heatmaps: float array of shape `(batch, height, width)`, 0-1.
        classes: int array of shape `(batch,)`: whose probability is followed.
        steps: In how many equal parts the pixels change.
        baseline: What is seen in place of a pixel; see `baselines.make`.
        seed: Decides the order of equal values.

    Returns:
        The curves.
    """
    images = np.asarray(images, np.float32)
    base = baselines.make(images, baseline)
    chance = random_maps(images.shape[:3], seed)
    ranks = np.stack([_ranks(*one) for one in zip(heatmaps, chance, strict=True)])
    places = np.arange(len(images))
    curves = []
    for start, end in ((base, images), (images, base)):
        followed = []
        for step in range(steps + 1):
            changed = (ranks < step / steps)[..., None]
            probabilities = predict(np.where(changed, end, start))
            followed.append(probabilities[places, classes])
        curves.append(np.stack(followed, axis=1))
    return Curves(*curves)


def random_maps(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Maps that know nothing: what chance is measured with.

    Args:
        shape: Batch, height and width.
        seed: Decides the maps.

    Returns:
        float32 array of that shape, 0-1: patches of one value each.
    """
    batch, height, width = shape
    cells = np.random.default_rng(seed).random((batch, _CELLS, _CELLS), np.float32)
    rows = np.arange(height) * _CELLS // height
    columns = np.arange(width) * _CELLS // width
    return cells[:, rows[:, None], columns]


def _ranks(heatmap: np.ndarray, among_equals: np.ndarray) -> np.ndarray:
    """From 0, the highest value, to below 1; among equals by another map."""
    order = np.lexsort((-among_equals.ravel(), -heatmap.ravel()))
    ranks = np.empty(heatmap.size, np.float64)
    ranks[order] = np.arange(heatmap.size) / heatmap.size
    return ranks.reshape(heatmap.shape)
