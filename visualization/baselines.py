"""What stands for a photograph that shows nothing, and where one shows a retina.

Methods that take something away need to put something in its place. A black patch is
itself a sight that no network was trained on, and dark lesions hardly differ from it; a
blurred photograph keeps the retina's colour and outline and loses its lesions.
"""

from typing import Literal

import cv2
import numpy as np

Kind = Literal["blurred", "black"]

_BLUR = 1 / 16  # Standard deviation in sides: about a disc diameter across.
_ROUNDING = 0.01  # Grey levels.
_DARKEST = 0.1  # Of the photograph's brightness: what is darker is surround.


def make(images: np.ndarray, kind: Kind) -> np.ndarray:
    """What remains of photographs once all detail is taken away.

    Args:
        images: float32 array of shape `(batch, height, width, 3)`, RGB, 0-255.
        kind: "blurred": each pixel is the mean of the retina around it, and black
            outside of it. "black": nothing at all.

    Returns:
        float32 array of the same shape, 0-255.

    Raises:
        ValueError: There is no such kind.
    """
    if kind == "black":
        return np.zeros_like(images)
    if kind != "blurred":
        raise ValueError(
            f"`baseline` must be 'blurred' or 'black'. Received: {kind!r}."
        )
    return np.stack([_blur(image) for image in images])


def retina(image: np.ndarray) -> np.ndarray:
    """Where a prepared photograph shows the retina.

    Args:
        image: uint8 or float array of shape `(height, width, 3)`, RGB, 0-255.

    Returns:
        bool array of shape `(height, width)`; all true where everything is dark.
    """
    brightness = image.max(axis=-1).astype(np.float32)
    bright = brightness > max(_DARKEST * np.percentile(brightness, 90), 1)
    outlines, _ = cv2.findContours(
        bright.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    if not outlines:
        return np.ones(bright.shape, bool)
    hull = cv2.convexHull(max(outlines, key=cv2.contourArea))
    mask = np.zeros(bright.shape, np.uint8)
    return cv2.fillConvexPoly(mask, hull, 1).astype(bool)


def _blur(image: np.ndarray) -> np.ndarray:
    """A blur to which the black surround adds nothing."""
    sigma = _BLUR * max(image.shape[:2])
    mask = retina(image).astype(np.float32)
    weights = cv2.GaussianBlur(mask, (0, 0), sigma)
    blurred = cv2.GaussianBlur(image * mask[..., None], (0, 0), sigma)
    blurred *= (mask / np.maximum(weights, 1e-6))[..., None]
    # Where nothing but rounding was taken away, nothing was.
    same = np.abs(blurred - image) < _ROUNDING
    return np.clip(np.where(same, image, blurred), 0, 255)
