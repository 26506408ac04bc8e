"""How good a photograph is, measured on its prepared square.

Everything is measured at 256 pixels after the crop, so that neither the camera's
resolution nor the frame around the retina decides. Serving measures with it too.
"""

import dataclasses
import functools

import cv2
import numpy as np

from input_pipeline import fundus

THUMBNAIL_SIZE = 64

_SIZE = 256

# Vessels are 1 to 5 pixels wide at 256. A narrower blur sees more of the noise: between
# an IDRiD original and its copy of a quarter of the width at JPEG quality 75, sharpness
# changes by 2 to 6 % with 2 pixels, by 2 to 8 % with 1.5.
_SIGMA = 2.0
# As far as the blur reaches: the retina's edge is no detail.
_MARGIN = 8

# Averaging and JPEG pull a clipped plateau of 255 down by some levels.
_OVEREXPOSED = 245
# A vessel takes about a quarter of the green light: under 12 levels that is less than
# 3, which JPEG's rounding hides.
_UNDEREXPOSED = 12


@dataclasses.dataclass(frozen=True)
class Quality:
    """Measurements of one photograph.

    All but `retina_share` are taken on the pixels that lie inside the retina's circle
    and on the photograph.

    Attributes:
        brightness: Mean grey level, 0-255.
        sharpness: Root mean square of the green channel's fine detail, its difference
            to a Gaussian blur, over its mean; 0 without any detail. A focus measure of
            the band-pass family that Pertuz et al. (2013) compare. It compares
            photographs of retinas; it is no absolute scale.
        overexposed: Share of pixels whose green is clipped, 0-1. Red clips early in
            good photographs; vessels and lesions are seen in green.
        underexposed: Share of pixels with too little green for a vessel to show, 0-1.
            Black bars inside the photograph count.
        retina_share: Share of the photograph that the retina covers, 0-1.
    """

    brightness: float
    sharpness: float
    overexposed: float
    underexposed: float
    retina_share: float


def measure(image: np.ndarray, crop: fundus.Crop) -> Quality:
    """Measures a prepared photograph.

    Args:
        image: uint8 array of shape `(size, size, 3)`, RGB, 0-255, from
            `fundus.prepare`.
        crop: What `fundus.prepare` returned with it.

    Returns:
        The measurements, JSON-ready by `dataclasses.asdict`.
    """
    image = _resize(image, _SIZE)
    retina = _retina(crop, margin=0)
    pixels = max(1, cv2.countNonZero(retina))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    green = cv2.extractChannel(image, 1)
    over = cv2.bitwise_and(cv2.compare(green, _OVEREXPOSED, cv2.CMP_GE), retina)
    under = cv2.bitwise_and(cv2.compare(green, _UNDEREXPOSED, cv2.CMP_LT), retina)
    box = (crop.right - crop.left) * (crop.bottom - crop.top)
    covered = pixels / _SIZE**2 * box
    return Quality(
        brightness=cv2.mean(grey, retina)[0],
        sharpness=_sharpness(green, _retina(crop, _MARGIN)),
        overexposed=cv2.countNonZero(over) / pixels,
        underexposed=cv2.countNonZero(under) / pixels,
        retina_share=min(1.0, covered / (crop.width * crop.height)),
    )


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Reduces a prepared photograph to what `duplicates` compares.

    Args:
        image: uint8 array of shape `(size, size, 3)`, RGB, 0-255.

    Returns:
        A uint8 array of shape `(64, 64, 3)`, RGB, 0-255.
    """
    return _resize(image, THUMBNAIL_SIZE)


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    shrinks = image.shape[0] >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=interpolation)


def _sharpness(green: np.ndarray, inside: np.ndarray) -> float:
    green = np.float32(green)
    detail = green - cv2.GaussianBlur(green, (0, 0), _SIGMA)
    (mean,), (deviation,) = cv2.meanStdDev(detail, mask=inside)
    level = cv2.mean(green, inside)[0]
    return float(np.hypot(mean, deviation).item() / level) if level else 0.0


def _retina(crop: fundus.Crop, margin: int) -> np.ndarray:
    """Mask, 0 or 255, of the circle's pixels that lie on the photograph."""
    rows = _on_photograph(crop.top, crop.bottom, crop.height, margin)
    columns = _on_photograph(crop.left, crop.right, crop.width, margin)
    mask = np.zeros((_SIZE, _SIZE), np.uint8)
    mask[rows, columns] = _disc(margin)[rows, columns]
    return mask


def _on_photograph(first: int, last: int, length: int, margin: int) -> slice:
    """The rows or columns whose centres lie on the photograph, less a margin."""
    scale = _SIZE / (last - first)
    start = max(0, round(-first * scale) + margin)
    stop = min(_SIZE, round((length - first) * scale) - margin)
    return slice(start, max(start, stop))


@functools.cache
def _disc(margin: int) -> np.ndarray:
    offset = np.arange(_SIZE) + 0.5 - _SIZE / 2
    distance = np.hypot(offset[:, None], offset)
    return np.uint8(255 * (distance <= _SIZE / 2 - margin))
