"""Which photographs show the same picture, by all signs that there are.

The same bytes, nearly the same pixels (`duplicates`), or a name from which a re-export
was made (`renamed`).
"""

import concurrent.futures
import os

import numpy as np

from input_pipeline import (
    duplicates,
    leakage,
    progress,
    quality,
    records,
    renamed,
)


def find(collection: records.Collection, near_identical: float) -> list[leakage.Copy]:
    """Compares all photographs with each other.

    Args:
        collection: The photographs.
        near_identical: Greatest distance of two copies' thumbnails, in grey levels.

    Returns:
        The copies, each pair once, by the surest sign that links them.
    """
    ids = [one.id for one in collection.photographs]
    place = {one: number for number, one in enumerate(ids)}
    found: dict[tuple[str, str], leakage.Copy] = {}

    def note(one: str, other: str, kind: leakage.Kind, distance=None) -> None:
        first, second = sorted((one, other), key=place.__getitem__)
        copy = leakage.Copy(first, second, kind, distance)
        found.setdefault((first, second), copy)

    first_of = {}
    for one in ids:
        other = first_of.setdefault(collection.entries[one]["sha256"], one)
        if other != one:
            note(other, one, "byte_identical", 0.0)
    for i, j, distance in duplicates.find(thumbnails(collection), near_identical):
        note(ids[i], ids[j], "near_identical", round(float(distance), 2))
    for one, other in renamed.pairs(collection.photographs):
        note(one, other, "renamed")
    return sorted(found.values(), key=lambda copy: place[copy.first])


def thumbnails(collection: records.Collection) -> np.ndarray:
    """uint8 of shape `(n, 64, 64, 3)`, from the records."""
    ids = [one.id for one in collection.photographs]
    side = quality.THUMBNAIL_SIZE
    pictures = np.empty((len(ids), side, side, 3), np.uint8)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        small = pool.map(lambda one: quality.thumbnail(collection.read_image(one)), ids)
        bar = progress.bar(small, "compare", len(ids), unit="photo", delay=2)
        for place, thumbnail in enumerate(bar):
            pictures[place] = thumbnail
    return pictures
