"""Photographs with lesion masks, prepared, and whether a model has seen them.

They come from another part of a dataset than the photographs with grades, numbered
differently and partly the same pictures in other files: of IDRiD's 54 three are
byte-identical copies of grading photographs and 42 more are copies that were saved
anew. So the pictures are compared, as the audit does.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from input_pipeline import (
    audit,
    duplicates,
    fundus,
    kept_arrays,
    lesion_masks,
    progress,
    quality,
    same_picture,
    splits,
)

Seen = Literal["train", "valid", "test", "unseen"]

SEEN: Mapping[Seen, str] = {
    "train": "trained on",
    "valid": "validated on",
    "unseen": "never seen",
    "test": "of the test set",
}
"""Which part a photograph has had in a model's making, in words."""


_KEPT_VERSION = 1  # Raise it when `lesion_masks.read` gives other shares.


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A prepared photograph with its lesions.

    Attributes:
        name: Its name in the masks' source.
        image: uint8 array of shape `(size, size, 3)`, RGB, 0-255.
        crop: Where the square lies in its photograph.
        levels: Lesion -> uint8 array of shape `(size, size)`: how much of each pixel it
            covers, of 255. Only those that were outlined and are in view.
        seen: Which part it has had in the model's making.
        copies: Ids of the photographs with grades that show the same picture, if any.
    """

    name: str
    image: np.ndarray
    crop: fundus.Crop
    levels: Mapping[str, np.ndarray]
    seen: Seen
    copies: Sequence[str]

    @property
    def id(self) -> str | None:
        """Of the first photograph with a grade that it is a copy of, or None."""
        return next(iter(self.copies), None)

    @property
    def shares(self) -> dict[str, np.ndarray]:
        """`levels` as float32, 0-1; made when asked for, as many take much memory."""
        return {name: np.float32(one) / 255 for name, one in self.levels.items()}


def read(
    found: Sequence[lesion_masks.Annotated],
    audited: audit.Audit,
    split: splits.Split,
    kept_in: pathlib.Path | None = None,
) -> list[Photograph]:
    """Prepares photographs with masks and looks each one up in the split.

    Args:
        found: The photographs.
        audited: The photographs that the model was made with.
        split: What part they had in it.
        kept_in: Folder that keeps prepared masks, by the content of their files: one
            of 12 megapixels takes longer to decode than all methods take to explain.
            None: they are decoded each time.

    Returns:
        The same photographs, prepared, in their order.

    Raises:
        ValueError: A photograph or a mask cannot be read; names it.
    """
    if not found:
        return []
    size = audited.collection.image_size
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        prepared = pool.map(lambda one: _prepare(one, size, kept_in), found)
        bar = progress.bar(prepared, "read masks", len(found), unit="photo", delay=2)
        pictures = list(bar)
    ids = _copies([image for image, _, _ in pictures], audited)
    return [
        Photograph(
            one.name,
            image,
            crop,
            levels,
            _part(copies, audited, split),
            copies,
        )
        for one, (image, crop, levels), copies in zip(found, pictures, ids, strict=True)
    ]


def _prepare(
    one: lesion_masks.Annotated, size: int, kept_in: pathlib.Path | None
) -> tuple[np.ndarray, fundus.Crop, dict[str, np.ndarray]]:
    try:
        image, crop = fundus.prepare(one.path.read_bytes(), size)
    except ValueError as error:
        raise ValueError(f"{one.path}: {error}") from error
    levels = _kept_levels(one, crop, size, kept_in)
    return image, crop, {name: mask for name, mask in levels.items() if mask.any()}


def _kept_levels(
    one: lesion_masks.Annotated,
    crop: fundus.Crop,
    size: int,
    kept_in: pathlib.Path | None,
) -> dict[str, np.ndarray]:
    """What `lesion_masks.read` gives of each lesion, decoded only the first time."""
    if kept_in is None:
        return _decode(one, crop, size)
    key = hashlib.sha256(repr((_KEPT_VERSION, crop, size)).encode())
    for lesion, path in one.masks.items():
        key.update(lesion.encode() + hashlib.sha256(path.read_bytes()).digest())
    file = kept_in / f"{key.hexdigest()[:24]}.npz"
    levels = kept_arrays.load(file, one.masks)
    if levels is None:
        levels = _decode(one, crop, size)
        kept_arrays.save(file, levels)
    return levels


def _decode(
    one: lesion_masks.Annotated, crop: fundus.Crop, size: int
) -> dict[str, np.ndarray]:
    return {
        lesion: np.uint8(np.round(255 * lesion_masks.read(path, crop, size)))
        for lesion, path in one.masks.items()
    }


def _copies(images: Sequence[np.ndarray], audited: audit.Audit) -> list[list[str]]:
    """Ids of the photographs with grades that show the same picture as each image."""
    collection = audited.collection
    thumbnails = same_picture.thumbnails(collection)
    own = np.stack([quality.thumbnail(image) for image in images])
    every = np.concatenate([thumbnails, own])
    near = audited.findings["policy"]["near_identical"]
    first = len(thumbnails)
    copies: list[list[str]] = [[] for _ in images]
    for group in duplicates.groups(len(every), duplicates.find(every, near)):
        ids = [collection.photographs[place].id for place in group if place < first]
        for place in group:
            if place >= first:
                copies[place - first] = ids
    return copies


def _part(copies: Sequence[str], audited: audit.Audit, split: splits.Split) -> Seen:
    """The part in which any copy was; a training photograph before all."""
    for part in ("train", "valid"):
        if set(copies) & set(split[part]):
            return part
    official = audited.decisions.split
    in_test = any(one in split.test or official.get(one) == "test" for one in copies)
    return "test" if in_test else "unseen"
