"""How far do heatmaps move when nothing of medical meaning changes?

A photograph that is mirrored, turned by a few degrees or saved anew shows the same
disease in the same places of the retina. Its map, carried back, should stay the same;
what moves is the model's and the method's doing together.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from visualization import baselines, sanity

_ANGLE = 5.0  # Degrees: as heads are held before a camera.
_QUALITY = 75  # Of JPEG: what a web page or a report saves with.


@dataclasses.dataclass(frozen=True)
class Change:
    """A change of a photograph, and the way back for what was found in it.

    Attributes:
        name: A few words for a table.
        there: Photograph -> changed photograph, uint8 of shape `(height, width, 3)`.
        back: Map of the changed photograph -> its places in the photograph, float32 of
            shape `(height, width)`.
    """

    name: str
    there: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


def check(
    explain: Callable[[np.ndarray, np.ndarray], np.ndarray],
    images: np.ndarray,
    classes: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """Compares the maps of photographs with those of their harmless changes.

    Args:
        explain: `(images, classes) -> heatmaps`.
        images: uint8 array of shape `(batch, height, width, 3)`, RGB, 0-255.
        classes: int array of shape `(batch,)`: what is explained throughout.

    Returns:
        Change -> `correlation`, Spearman's rank correlation within the retina that both
        photographs show, `ssim`, structural similarity, and `peak_shift`, how far the
        maximum moves, as a share of the side, means over the images. Where neither map
        has evidence there is nothing to move, and a map without evidence has no
        maximum: such pairs are left out, and a mean of none is None.
    """
    first = explain(images, classes)
    retinas = [baselines.retina(image) for image in images]
    found = {}
    for change in CHANGES:
        changed = np.stack([change.there(image) for image in images])
        maps = [change.back(one) for one in explain(changed, classes)]
        both = [
            retina & (change.back(baselines.retina(one).astype(np.float32)) > 0.5)
            for retina, one in zip(retinas, changed, strict=True)
        ]
        pairs = [
            (one * inside, other * inside, inside)
            for one, other, inside in zip(first, maps, both, strict=True)
        ]
        pairs = [pair for pair in pairs if pair[0].any() or pair[1].any()]
        shifts = [
            peak_shift(one, other)
            for one, other, _ in pairs
            if one.any() and other.any()
        ]
        found[change.name] = {
            "correlation": _mean([sanity.correlation(*one) for one in pairs]),
            "ssim": _mean([sanity.ssim(one, two) for one, two, _ in pairs]),
            "peak_shift": _mean(shifts),
        }
    return found


def peak_shift(first: np.ndarray, second: np.ndarray) -> float:
    """How far apart the maxima of two maps are.

    Args:
        first: float array of shape `(height, width)`, not 0 everywhere.
        second: The same.

    Returns:
        The distance as a share of the longer side. Where several pixels share a
        maximum, as in a map that was enlarged, their middle counts.
    """
    middles = [np.argwhere(one == one.max()).mean(axis=0) for one in (first, second)]
    return float(np.linalg.norm(middles[0] - middles[1]) / max(first.shape))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _turn(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turns about the centre; what comes in from outside is black."""
    height, width = image.shape[:2]
    centre = (width - 1) / 2, (height - 1) / 2
    matrix = cv2.getRotationMatrix2D(centre, degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _save_anew(image: np.ndarray) -> np.ndarray:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    saved = cv2.imencode(".jpg", image[..., ::-1], options)[1]
    return cv2.imdecode(saved, cv2.IMREAD_COLOR)[..., ::-1]


CHANGES = (
    Change("mirrored", np.fliplr, np.fliplr),
    Change("upside down", np.flipud, np.flipud),
    Change(
        "turned left",
        lambda image: _turn(image, _ANGLE),
        lambda heatmap: _turn(heatmap, -_ANGLE),
    ),
    Change(
        "turned right",
        lambda image: _turn(image, -_ANGLE),
        lambda heatmap: _turn(heatmap, _ANGLE),
    ),
    Change("saved as JPEG", _save_anew, lambda heatmap: heatmap),
)
"""What a photograph goes through: turned by 5 degrees, saved with a quality of 75."""
