"""A heatmap on its photograph, as prepared or as it came from the camera."""

import cv2
import numpy as np

from input_pipeline import fundus

_LEVELS = np.arange(256, dtype=np.uint8)[:, np.newaxis]
# Blue to red, as the field is used to; on an orange retina plasma hardly shows.
_COLORS = cv2.applyColorMap(_LEVELS, cv2.COLORMAP_TURBO)[:, 0, ::-1]

COLOR_MAP = "turbo"
"""What the colours are called in matplotlib, for a colour bar."""


def overlay(image: np.ndarray, heatmap: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Lays a heatmap over a photograph.

    The more a place speaks for the class, the less of the photograph shines through:
    where the heatmap is 0 the photograph is as it was.

    Args:
        image: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        heatmap: float array of shape `(height, width)`, 0-1.
        opacity: Of the colour where the heatmap is 1; 0-1.

    Returns:
        uint8 array of the image's shape, RGB, 0-255.

    Raises:
        ValueError: Shapes, types or values are not as described.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            "`image` must be uint8 of shape `(height, width, 3)`. Received: "
            f"shape={image.shape}, dtype={image.dtype}."
        )
    if heatmap.shape != image.shape[:2]:
        raise ValueError(
            f"`heatmap` must have the image's shape {image.shape[:2]}. Received: "
            f"shape={heatmap.shape}. `on_original` carries one to the original's."
        )
    if not (heatmap.min() >= 0 and heatmap.max() <= 1):
        raise ValueError(
            "`heatmap` must be from 0 to 1. Received: values from "
            f"{heatmap.min()} to {heatmap.max()}."
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"`opacity` must be 0-1. Received: opacity={opacity}.")
    level = np.round(heatmap * 255).astype(np.uint8)
    # The root lets what is faint be seen.
    cover = (np.sqrt(heatmap) * opacity).astype(np.float32)[..., None]
    # In place: of a large picture each step would take 200 MB.
    mixed = _COLORS[level].astype(np.float32)
    mixed -= image
    mixed *= cover
    mixed += image
    return np.round(mixed, out=mixed).astype(np.uint8)


def on_original(heatmap: np.ndarray, crop: fundus.Crop) -> np.ndarray:
    """Carries a heatmap from the prepared square back to the photograph it came from.

    Args:
        heatmap: float array of shape `(size, size)`, 0-1, of the prepared square.
        crop: Where the square lies in the photograph.

    Returns:
        float32 array of shape `(crop.height, crop.width)`, 0-1; 0 outside the square.
    """
    box = crop.right - crop.left, crop.bottom - crop.top
    enlarged = cv2.resize(
        heatmap.astype(np.float32), box, interpolation=cv2.INTER_LINEAR
    )
    original = np.zeros((crop.height, crop.width), np.float32)
    top, left = max(crop.top, 0), max(crop.left, 0)
    bottom, right = min(crop.bottom, crop.height), min(crop.right, crop.width)
    original[top:bottom, left:right] = enlarged[
        top - crop.top : bottom - crop.top, left - crop.left : right - crop.left
    ]
    return original
