"""Photographs with lesion masks, prepared, and whether a model has seen them.

They come from another part of a dataset than the photographs with grades, numbered
differently and partly the same pictures in other files: of IDRiD's 54 three are
byte-identical copies of grading photographs and 42 more are copies that were saved
anew. So the pictures are compared, as the audit does.
"""

import concurrent.futures
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from input_pipeline import (
    audit,
    duplicates,
    fundus,
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


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A prepared photograph with its lesions.

    Attributes:
        name: Its name in the masks' source.
        image: uint8 array of shape `(size, size, 3)`, RGB, 0-255.
        crop: Where the square lies in its photograph.
        shares: Lesion -> float32 array of shape `(size, size)`, 0-1: how much of each
            pixel it covers. Only those that were outlined and are in view.
        seen: Which part it has had in the model's making.
        id: Of the photograph with a grade that it is a copy of, or None.
    """

    name: str
    image: np.ndarray
    crop: fundus.Crop
    shares: Mapping[str, np.ndarray]
    seen: Seen
    id: str | None


def read(
    found: Sequence[lesion_masks.Annotated],
    audited: audit.Audit,
    split: splits.Split,
) -> list[Photograph]:
    """Prepares photographs with masks and looks each one up in the split.

    Args:
        found: The photographs.
        audited: The photographs that the model was made with.
        split: What part they had in it.

    Returns:
        The same photographs, prepared, in their order.

    Raises:
        ValueError: A photograph or a mask cannot be read; names it.
    """
    if not found:
        return []
    size = audited.collection.image_size
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        prepared = pool.map(lambda one: _prepare(one, size), found)
        bar = progress.bar(prepared, "masks", len(found), unit="photo", delay=2)
        pictures = list(bar)
    ids = _copies([image for image, _, _ in pictures], audited)
    return [
        Photograph(
            one.name,
            image,
            crop,
            shares,
            _part(copies, audited, split),
            next(iter(copies), None),
        )
        for one, (image, crop, shares), copies in zip(found, pictures, ids, strict=True)
    ]


def _prepare(
    one: lesion_masks.Annotated, size: int
) -> tuple[np.ndarray, fundus.Crop, dict[str, np.ndarray]]:
    try:
        image, crop = fundus.prepare(one.path.read_bytes(), size)
    except ValueError as error:
        raise ValueError(f"{one.path}: {error}") from error
    shares = {
        lesion: lesion_masks.read(path, crop, size)
        for lesion, path in one.masks.items()
    }
    return image, crop, {name: mask for name, mask in shares.items() if mask.any()}


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
