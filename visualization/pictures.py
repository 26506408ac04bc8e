"""Pictures of a split's explained photographs, with insertion and deletion curves."""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from input_pipeline import images, records
from visualization import (
    baselines,
    bound_methods,
    explained_model,
    explanation_figures,
    figures,
    insertion_deletion,
    insertion_deletion_figure,
    overlay,
)

OUTCOMES = ("hits", "misses_by_one", "misses_by_more")
"""Galleries: by how many classes a prediction is off."""

DPI = 130
"""Of pictures: a prepared photograph of 256 pixels is shown at 351."""

_CHANCE = "chance"


def write(
    name: str,
    said: explained_model.ExplainedModel,
    methods: bound_methods.BoundMethods,
    collection: records.Collection,
    ids: Sequence[str],
    folder: pathlib.Path,
    *,
    photographs: int,
    opacity: float,
    seed: int,
    originals: Mapping[str, pathlib.Path] | None = None,
) -> dict[str, Any]:
    """Writes galleries, to TensorBoard too, and a picture of each photograph.

    Args:
        name: The split.
        said: What the run's networks say.
        methods: Of these networks.
        collection: Where the photographs are.
        ids: Those of the split.
        folder: Where the pictures go.
        photographs: How many of each outcome are pictured, at most.
        opacity: Of overlays, 0-1.
        seed: Decides the random maps that are chance.
        originals: Dataset -> its folder, to lay the maps over the photographs as they
            came from the camera too; None: they are not.

    Returns:
        Outcome -> how many photographs there are, and how many are pictured;
        `curves`, method -> mean areas, and the share of its maps outside the retina;
        and `mean_curves`: `changed`, the share of pixels at each step, and for
        `insertion` and `deletion` method -> mean probability of the class there.

    Raises:
        ValueError: An original cannot be read.
        FileNotFoundError: It is not there.
    """
    labels = np.array(said.task.labels([collection.photograph(one) for one in ids]))
    opened = images.open(collection, ids)
    probabilities, by_id = said.probabilities(collection, ids), said.answering(ids)
    off = np.abs(said.predicted(probabilities) - labels)
    counts, measured, followed = {}, {}, {}
    for outcome, these in zip(OUTCOMES, (off == 0, off == 1, off > 1), strict=True):
        chosen = evenly(np.flatnonzero(these), photographs)
        counts[outcome] = {"photographs": int(these.sum()), "pictured": len(chosen)}
        if not len(chosen):
            continue
        pictures = opened.take(chosen)
        classes = said.explained(probabilities[chosen])
        named = [ids[place] for place in chosen]
        by = [by_id[place] for place in chosen]
        maps = methods.explain(pictures, classes, by, f"explain {name}, {outcome}")
        titles = [
            f"{one}\n{said.said(probabilities[place], labels[place])}"
            for one, place in zip(named, chosen, strict=True)
        ]
        for method, heatmaps in maps.items():
            grid = explanation_figures.gallery(
                pictures, heatmaps, titles, opacity=opacity
            )
            explanation_figures.save(grid, folder / name / f"{outcome}_{method}.png")
            tf.summary.image(f"{name}, {outcome}/{method}", grid[None])
        chance = insertion_deletion.random_maps(pictures.shape[:3], seed)
        retinas = [baselines.retina(image) for image in pictures]
        for method, heatmaps in (maps | {_CHANCE: chance}).items():
            found = insertion_deletion.measure(
                functools.partial(said.predict, by=by),
                pictures,
                heatmaps,
                classes,
                seed=seed,
            )
            outside = [
                one[~retina].sum() / one.sum()
                for one, retina in zip(heatmaps, retinas, strict=True)
                if one.any()
            ]
            measured.setdefault(method, []).append((*found.areas, np.array(outside)))
            followed.setdefault(method, []).append(found)
        for number, one in enumerate(named):
            place = chosen[number]
            of_one = {method: heatmaps[number] for method, heatmaps in maps.items()}
            figure = explanation_figures.side_by_side(
                pictures[number],
                of_one,
                said.title(one, probabilities[place], classes[number], labels[place]),
                note=said.note,
                opacity=opacity,
            )
            stem = one.replace("/", "-")
            file = folder / name / "photographs" / f"{stem}.png"
            figures.save(figure, file, dpi=DPI)
            if originals is not None:
                original = _original(collection, one, originals)
                crop = records.crop_of(collection.read_record(one))
                for method, heatmap in of_one.items():
                    carried = overlay.on_original(heatmap, crop)
                    laid = overlay.overlay(original, carried, opacity)
                    file = folder / name / "originals" / f"{stem}_{method}.jpg"
                    explanation_figures.save(laid, file)
    curves = _mean_curves(followed)
    figure = insertion_deletion_figure.draw(curves["changed"], curves, _CHANCE)
    figures.save(figure, folder / name / "insertion_deletion.png")
    return counts | {"curves": _means(measured), "mean_curves": curves}


def _original(
    collection: records.Collection, one: str, folders: Mapping[str, pathlib.Path]
) -> np.ndarray:
    """A photograph as it came from the camera, upright: uint8, RGB."""
    path = folders[one.partition("/")[0]] / collection.photograph(one).path
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} cannot be decoded. Copy it again from its source.")
    return np.ascontiguousarray(image[..., ::-1])


def evenly(places: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, spread evenly, in their order."""
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).round().astype(int)]


def _means(measured: Mapping[str, list]) -> dict[str, dict[str, float | None]]:
    """Method -> means over all photographs; None where no map has any evidence."""
    names = ("insertion", "deletion", "outside_retina")
    found: dict[str, dict[str, float | None]] = {}
    for method, parts in measured.items():
        columns = [np.concatenate(some) for some in zip(*parts, strict=True)]
        found[method] = {
            name: float(column.mean()) if len(column) else None
            for name, column in zip(names, columns, strict=True)
        }
    return found


def _mean_curves(
    followed: Mapping[str, Sequence[insertion_deletion.Curves]],
) -> dict[str, Any]:
    """Means over all photographs, at each step."""
    found: dict[str, Any] = {}
    for kind in insertion_deletion.Curves._fields:
        every = {
            method: np.concatenate([getattr(one, kind) for one in parts])
            for method, parts in followed.items()
        }
        found[kind] = {name: one.mean(axis=0).tolist() for name, one in every.items()}
        steps = next(iter(every.values())).shape[1]
    return {"changed": np.linspace(0, 1, steps).tolist()} | found
