"""Heat maps that need no gradient: the score without a patch of the photograph.

As `visualization.occlusion` with its default patches (Zeiler and Fergus, 2014), from
the exported graph and in NumPy alone. A patch is an eighth of the photograph wide, its
centres lie a sixteenth apart from edge to edge, and what is seen in its place is a
blurred photograph.
"""

import itertools
from collections.abc import Callable

import numpy as np

from models import probabilities
from visualization import baselines

CELLS = 16
"""Rows and columns of a heat map."""

_PIXELS = 4 * 256**2  # At once. Memory grows with them, and is not given back.
_FAINTEST = 0.01  # Of the evidence against the class, as for all other methods.


class Unwanted(Exception):  # noqa: N818, it is an answer, not a fault
    """Nobody waits for the heat map any longer."""


def heatmap(
    score: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    wanted: Callable[[], bool] = lambda: True,
) -> np.ndarray:
    """Takes away one patch after the other.

    Args:
        score: uint8 photographs `(batch, size, size, 3)` -> what speaks for the class,
            float `(batch,)`.
        image: uint8 array of shape `(size, size, 3)`, RGB, 0-255: as prepared.
        wanted: Asked before each batch whether to go on.

    Returns:
        float32 array of shape `(CELLS, CELLS)`, 0-1, all 0 without evidence.

    Raises:
        Unwanted: `wanted` said no.
    """
    (blurred,) = baselines.make(image[np.newaxis].astype(np.float32), "blurred")
    blurred = np.round(blurred).astype(np.uint8)
    edges = np.round(np.linspace(0, len(image), CELLS + 1)).astype(int)
    patches = {}
    for place in itertools.product(range(CELLS + 1), repeat=2):
        patch = tuple(
            slice(edges[max(one - 1, 0)], edges[min(one + 1, CELLS)]) for one in place
        )
        # In the dark about the retina there is nothing to take away.
        if np.any(image[patch] != blurred[patch]):
            patches[place] = patch
    if not patches:
        return np.zeros((CELLS, CELLS), np.float32)
    falls = np.zeros((CELLS + 1, CELLS + 1))
    places, batch = list(patches), max(_PIXELS // len(image) ** 2, 1)
    for start in range(0, len(places), batch):
        if not wanted():
            raise Unwanted
        some = places[start : start + batch]
        occluded = np.repeat(image[np.newaxis], len(some), axis=0)
        for one, place in zip(occluded, some, strict=True):
            one[patches[place]] = blurred[patches[place]]
        falls[tuple(np.transpose(some))] = -score(occluded)
    falls[tuple(np.transpose(places))] += score(image[np.newaxis])
    # A cell lies within the four patches about its corners.
    evidence = (falls[1:, 1:] + falls[1:, :-1] + falls[:-1, 1:] + falls[:-1, :-1]) / 4
    against = max(-evidence.min(), 0)
    if evidence.max() <= max(_FAINTEST * against, 1e-12):
        return np.zeros_like(evidence, np.float32)
    return (np.maximum(evidence, 0) / evidence.max()).astype(np.float32)


def speaks_for(output: str, logits: np.ndarray, class_number: int) -> np.ndarray:
    """The number that explains a class, as `explained` of `models.outputs` has it.

    Args:
        output: What the logits mean: "softmax", "ordinal" or "regression".
        logits: float array of shape `(batch, num_outputs)`.
        class_number: Which class.

    Returns:
        float64 array of shape `(batch,)`.
    """
    logits = np.asarray(logits, np.float64)
    if output == "softmax":
        if logits.shape[1] == 2:
            return logits[:, class_number] - logits[:, 1 - class_number]
        return logits[:, class_number]
    sign = 1 if class_number else -1
    if output == "regression":
        return sign * logits[:, 0]
    reached = max(class_number, 1)
    of_classes = probabilities.ordinal(logits)
    reaches = of_classes[:, reached:].sum(axis=1)
    return sign * np.log(reaches / of_classes[:, :reached].sum(axis=1))
