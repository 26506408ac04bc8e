"""Lesion masks: where an expert outlined lesions, and how a mask's file is read."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from input_pipeline import fundus

LESIONS = ("microaneurysms", "haemorrhages", "hard_exudates", "soft_exudates")
"""Lesions of diabetic retinopathy, by their names in this project."""

CONTROL = "optic_disc"
"""What is outlined too and is no lesion: a map that points at it has learnt it."""


@dataclasses.dataclass(frozen=True)
class Annotated:
    """A photograph with outlined lesions.

    Attributes:
        name: Its name in the masks' source.
        path: The photograph's file.
        masks: Lesion, or `CONTROL` -> its mask's file. What is absent was not outlined.
    """

    name: str
    path: pathlib.Path
    masks: Mapping[str, pathlib.Path]


@dataclasses.dataclass(frozen=True)
class Source:
    """A layout of photographs with lesion masks.

    Attributes:
        name: Of the layout.
        read: A dataset's folder -> its annotated photographs; none if the folder has no
            masks in this layout.
    """

    name: str
    read: Callable[[pathlib.Path], list[Annotated]]


def read(path: pathlib.Path, crop: fundus.Crop, size: int) -> np.ndarray:
    """Reads a mask and takes it through the crop of its photograph.

    Palette, grey, RGB and RGBA files are read alike: what is not black, and not
    transparent, is lesion.

    Args:
        path: The mask's file.
        crop: The crop of its photograph.
        size: Side of the prepared square in pixels.

    Returns:
        float32 array of shape `(size, size)`, 0-1: the share of each pixel that the
        lesion covers.

    Raises:
        ValueError: The file is no mask, or of another size than its photograph.
        FileNotFoundError: There is no such file.
    """
    try:
        with Image.open(path) as file:
            lesion = _lesion(file, path)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError) as error:  # No picture, or one that is cut off.
        raise ValueError(f"{path} cannot be read: {error}. Copy it again.") from error
    if lesion.shape != (crop.height, crop.width):
        height, width = lesion.shape
        raise ValueError(
            f"{path} must have its photograph's size, {crop.width} x {crop.height} "
            f"pixels. Received: {width} x {height}. Take the mask of the same "
            "photograph, in its own size."
        )
    shares = fundus.apply(lesion, crop, size)
    return shares.astype(np.float32) / 255


def binary(shares: np.ndarray) -> np.ndarray:
    """The pixels that belong to a lesion.

    Those that it covers by half or more. A lesion too small for that, as a
    microaneurysm often is, keeps the pixel that it covers most.

    Args:
        shares: float array of shape `(size, size)`, 0-1, as `read` returns it.

    Returns:
        bool array of the same shape.
    """
    mask = shares >= 0.5
    parts, count = ndimage.label(shares > 0, np.ones((3, 3)))
    places = np.flatnonzero(shares)
    # Each lesion's pixels from the least covered to the most: the last one stays.
    places = places[np.argsort(-shares.flat[places], kind="stable")[::-1]]
    most = np.zeros(count + 1, np.intp)
    most[parts.flat[places]] = places
    mask.flat[most[1:]] = True  # Of a large lesion it belongs to the mask already.
    return mask


def _lesion(file: Image.Image, path: pathlib.Path) -> np.ndarray:
    """uint8 `(height, width)`, 0 or 255; raises unless there are two values."""
    if file.mode == "P" and "transparency" in file.info:
        file = file.convert("RGBA")
    if file.mode in ("1", "L", "P"):
        grey = file.convert("L") if file.mode == "1" else file
        values = np.flatnonzero(grey.histogram())
        lit = np.arange(256) > 0
        if file.mode == "P":
            # Its numbers are no brightness: the palette says which of them are black.
            palette = np.array(file.getpalette("RGB")).reshape(-1, 3)
            lit = np.resize(palette.any(axis=1), 256)
        lesion = cv2.LUT(np.asarray(grey), lit * np.uint8(255))
    else:
        pixels = np.asarray(file)
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        if file.mode in ("RGBA", "LA"):
            pixels = pixels[..., :-1] * (pixels[..., -1:] > 0)
        values = np.unique(pixels)
        lesion = pixels.any(axis=-1) * np.uint8(255)
    if len(values) > 2:
        raise ValueError(
            f"{path} must have two values, lesion and background. Received: "
            f"{len(values)} of them, from {values.min()} to {values.max()}, in a file "
            f"of mode {file.mode}. A mask is saved without loss and without shades."
        )
    return lesion
