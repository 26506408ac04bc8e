"""Pictures of a split's explained photographs, with insertion and deletion curves."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from input_pipeline import images, records
from visualization import (
    bound_methods,
    explained_model,
    explanation_figures,
    figures,
    insertion_deletion,
)

OUTCOMES = ("hits", "misses_by_one", "misses_by_more")
"""Galleries: by how many classes a prediction is off."""


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
) -> dict[str, Any]:
    """Writes galleries, to TensorBoard too, and a picture of each photograph.

    Args:
        name: The split.
        said: What the model says.
        methods: Of that model.
        collection: Where the photographs are.
        ids: Those of the split.
        folder: Where the pictures go.
        photographs: How many of each outcome are pictured, at most.
        opacity: Of overlays, 0-1.
        seed: Decides the random maps that are chance.

    Returns:
        Outcome -> how many photographs there are, and how many are pictured; and
        `curves`, method -> mean areas.
    """
    labels = np.array(said.task.labels([collection.photograph(one) for one in ids]))
    opened = images.open(collection, ids)
    probabilities = said.probabilities(opened)
    off = np.abs(probabilities.argmax(axis=1) - labels)
    counts, curves = {}, {}
    for outcome, these in zip(OUTCOMES, (off == 0, off == 1, off > 1), strict=True):
        chosen = evenly(np.flatnonzero(these), photographs)
        counts[outcome] = {"photographs": int(these.sum()), "pictured": len(chosen)}
        if not len(chosen):
            continue
        pictures = opened.take(chosen)
        classes = said.explained(probabilities[chosen])
        named = [ids[place] for place in chosen]
        maps = methods.explain(pictures, classes, f"explain {name}, {outcome}")
        for method, heatmaps in maps.items():
            grid = explanation_figures.gallery(
                pictures, heatmaps, named, opacity=opacity
            )
            explanation_figures.save(grid, folder / name / f"{outcome}_{method}.png")
            tf.summary.image(f"{name}, {outcome}/{method}", grid[None])
        chance = insertion_deletion.random_maps(pictures.shape[:3], seed)
        for method, heatmaps in (maps | {"chance": chance}).items():
            found = insertion_deletion.measure(
                said.predict, pictures, heatmaps, classes
            )
            curves.setdefault(method, []).append(found.areas)
        for place, one in enumerate(named):
            figure = explanation_figures.side_by_side(
                pictures[place],
                {method: heatmaps[place] for method, heatmaps in maps.items()},
                said.title(
                    one,
                    probabilities[chosen[place]],
                    classes[place],
                    labels[chosen[place]],
                ),
                opacity=opacity,
            )
            file = folder / name / "photographs" / f"{one.replace('/', '-')}.png"
            figures.save(figure, file, dpi=100)
    return counts | {"curves": _mean_areas(curves)}


def evenly(places: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, spread evenly, in their order."""
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).round().astype(int)]


def _mean_areas(curves: Mapping[str, list]) -> dict[str, dict[str, float]]:
    """Method -> mean areas under its curves."""
    return {
        method: {
            name: float(np.concatenate([areas[place] for areas in some]).mean())
            for place, name in enumerate(("insertion", "deletion"))
        }
        for method, some in curves.items()
    }
