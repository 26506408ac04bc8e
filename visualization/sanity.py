"""Does a heatmap depend on what the model has learnt?

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 4.1: cascading
randomisation. From the logits down, each layer's weights are put into a random order,
which leaves a network of the same statistics that has learnt nothing. A method whose
maps stay as they were shows the photograph's edges, not the model's reasons.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import keras
import numpy as np
from scipy import stats

from visualization import baselines, explainer, layers

MOST_ALIKE = 0.5
"""A method fails whose maps of a random network correlate more with the learnt ones."""

_SIDE = 32  # Maps are compared at this size: single pixels never agree.


def check(
    models: Sequence[keras.Model],
    explain: Callable[[np.ndarray, np.ndarray], np.ndarray],
    images: np.ndarray,
    classes: np.ndarray,
    *,
    stages: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Compares the maps of models with those of their randomised copies.

    Args:
        models: Trained models, usually one; their weights are afterwards what they
            were.
        explain: `(images, classes) -> heatmaps`, each of them by one of the models.
        images: uint8 array of shape `(batch, height, width, 3)`, RGB, 0-255.
        classes: int array of shape `(batch,)`: what is explained throughout.
        stages: After how many, evenly spread, of the layers maps are compared; the last
            time after all of them.
        seed: Decides the random order.

    Returns:
        `stages`: for each `layers`, how many of a model were randomised, at most, and
        what `likeness` says; and `passes`, as `differs` has it of the last.

    Raises:
        ValueError: `stages` is not positive.
    """
    if stages < 1:
        raise ValueError(f"`stages` must be at least 1. Received: stages={stages}.")
    learnt = explain(images, classes)
    parts = [_parts(model, stages) for model in models]
    rng = np.random.default_rng(seed)
    found, done = [], 0
    with contextlib.ExitStack() as stack:
        for model in models:
            stack.enter_context(_restored(model))
        for of_each in itertools.zip_longest(*parts, fillvalue=()):
            for layer in itertools.chain(*of_each):
                shuffled = [
                    rng.permutation(one.ravel()).reshape(one.shape)
                    for one in layer.get_weights()
                ]
                layer.set_weights(shuffled)
            done += max(map(len, of_each))
            try:
                maps = explain(images, classes)
            except explainer.NotFiniteError:  # In float16 random weights may overflow.
                maps = np.zeros_like(learnt)
            found.append({"layers": done} | likeness(learnt, maps, images))
    return {"stages": found, "passes": differs(found[-1])}


def likeness(
    learnt: np.ndarray, other: np.ndarray, images: np.ndarray
) -> dict[str, Any]:
    """How much the maps of another network resemble the learnt ones.

    A photograph whose learnt map is without evidence says nothing and is left out: it
    would count as changed although there was nothing to change.

    Args:
        learnt: float array of shape `(batch, height, width)`, 0-1.
        other: The same, of the other network.
        images: uint8 array of shape `(batch, height, width, 3)`, RGB, 0-255.

    Returns:
        `photographs`, how many were compared; `correlation`, Spearman's rank
        correlation within the retina, and `ssim`, structural similarity, means over
        them, or None where there are none.
    """
    places = np.flatnonzero(explainer.has_evidence(learnt))
    if not len(places):
        return {"photographs": 0, "correlation": None, "ssim": None}
    correlations = [
        correlation(learnt[one], other[one], baselines.retina(images[one]))
        for one in places
    ]
    return {
        "photographs": len(places),
        "correlation": float(np.mean(correlations)),
        "ssim": float(np.mean([ssim(learnt[one], other[one]) for one in places])),
    }


def differs(found: Mapping[str, Any]) -> bool:
    """Whether maps differ enough, by `likeness`; not where nothing was seen."""
    return found["correlation"] is not None and found["correlation"] <= MOST_ALIKE


def correlation(first: np.ndarray, second: np.ndarray, retina: np.ndarray) -> float:
    """Spearman's rank correlation of two maps, within the retina.

    Args:
        first: float array of shape `(height, width)`.
        second: The same.
        retina: bool array of that shape.

    Returns:
        From -1 to 1. Where one of them is the same everywhere, 1 if the other is as it
        is, else 0.
    """
    inside = _reduced(retina.astype(np.float32)) > 0.5
    values = [_reduced(one)[inside] for one in (first, second)]
    if any(len(one) < 2 or one.min() == one.max() for one in values):
        return float(np.array_equal(*values))
    return float(stats.spearmanr(*values).statistic)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of two maps (Wang et al., 2004, equation 13).

    Args:
        first: float array of shape `(height, width)`, 0-1.
        second: The same.

    Returns:
        From -1 to 1, which is for equal maps.
    """

    def mean(one):
        return cv2.GaussianBlur(one, (11, 11), 1.5)

    one, two = (_reduced(some).astype(np.float64) for some in (first, second))
    centre_one, centre_two = mean(one), mean(two)
    spread_one, spread_two = mean(one**2) - centre_one**2, mean(two**2) - centre_two**2
    shared = mean(one * two) - centre_one * centre_two
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * centre_one * centre_two + c1) * (2 * shared + c2)
    bottom = (centre_one**2 + centre_two**2 + c1) * (spread_one + spread_two + c2)
    return float((top / bottom).mean())


def _parts(model: keras.Model, stages: int) -> list[list[keras.Layer]]:
    """The layers with weights from the logits down, in as many parts, or fewer."""
    weighted = [one for one in layers.leaves(model) if one.weights][::-1]
    ends = np.unique(np.linspace(1, len(weighted), stages + 1)[1:].round().astype(int))
    return [weighted[start:end] for start, end in itertools.pairwise([0, *ends])]


@contextlib.contextmanager
def _restored(model: keras.Model) -> Iterator[None]:
    """Gives a model its weights back."""
    weights = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(weights)


def _reduced(one: np.ndarray) -> np.ndarray:
    size = (_SIDE, _SIDE)
    return cv2.resize(np.float32(one), size, interpolation=cv2.INTER_AREA)
