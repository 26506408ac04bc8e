"""Heatmaps of photographs with lesion masks: their scores, by what was trained on."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from input_pipeline import annotated, lesion_masks, records, whole_files
from visualization import (
    baselines,
    bound_methods,
    explained_model,
    explanation_figures,
    figures,
    lesion_agreement,
    pictures,
)

FILE = "lesion_scores.csv"
"""A row for each photograph, kind of lesion and method."""

SUMMARY = "lesion_agreement.csv"
"""A row for each group of photographs, method and kind of lesion."""

_ORDER = ("any_lesion", *lesion_masks.LESIONS, lesion_masks.CONTROL)
_AT_ONCE = 64  # Photographs whose maps are in memory together.
NOT_TRAINED_ON = "not trained on"
"""The group of photographs by which a map is judged."""

_POOLED = {NOT_TRAINED_ON: ("valid", "unseen")}


def write(
    photographs: Sequence[annotated.Photograph],
    said: explained_model.ExplainedModel,
    methods: bound_methods.BoundMethods,
    collection: records.Collection,
    folder: pathlib.Path,
    *,
    with_test: bool,
    pictured: int,
    tolerance: float,
    opacity: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Writes two tables, and pictures with the expert's outlines.

    Args:
        photographs: Those with masks.
        said: What the run's networks say.
        methods: Of these networks.
        collection: The photographs with grades, some of them the same pictures.
        folder: Where the results go.
        with_test: Whether photographs of the test set are scored too.
        pictured: How many photographs of each part are pictured, at most.
        tolerance: Of the pointing game, as a share of the side.
        opacity: Of overlays, 0-1.
        resamples: Bootstrap resamples behind an interval.
        seed: Decides the resamples.

    Returns:
        `photographs`, how many there are of each part; `left_out`; and `scores`, group
        -> method -> lesion -> figures. Without any to score there are no tables.
    """
    trained_on = said.answering.trained_on([one.copies for one in photographs])
    photographs = [
        dataclasses.replace(one, seen="train") if trained else one
        for one, trained in zip(photographs, trained_on, strict=True)
    ]
    counts = {
        part: sum(one.seen == part for one in photographs) for part in annotated.SEEN
    }
    used = [one for one in photographs if with_test or one.seen != "test"]
    drawn = {
        place
        for part in annotated.SEEN
        for place in pictures.evenly(
            np.flatnonzero([one.seen == part for one in used]), pictured
        )
    }
    rows = []
    for start in range(0, len(used), _AT_ONCE):
        some = used[start : start + _AT_ONCE]
        shown, copies = np.stack([one.image for one in some]), [x.copies for x in some]
        by = said.answering(copies)
        probabilities = said.of(shown, by)
        classes = said.explained(probabilities)
        maps = methods.explain(shown, classes, by, "explain lesions")
        rows += _score(
            some,
            _patients(some, collection),
            said.answering.names(copies),
            maps,
            tolerance,
        )
        for place, one in enumerate(some):
            if start + place not in drawn:
                continue
            words = annotated.SEEN[one.seen]
            truth = one.id and said.task.label(collection.photograph(one.id))
            figure = explanation_figures.side_by_side(
                one.image,
                {method: heatmaps[place] for method, heatmaps in maps.items()},
                said.title(
                    f"{one.name}, {words}", probabilities[place], classes[place], truth
                ),
                lesions={
                    lesion: lesion_masks.binary(shares)
                    for lesion, shares in one.shares.items()
                },
                note=said.note,
                opacity=opacity,
            )
            file = folder / "lesions" / words.replace(" ", "_") / f"{one.name}.png"
            figures.save(figure, file, dpi=pictures.DPI)
    scores = _summarize(rows, resamples, seed)
    if rows:
        _write_csv(folder / FILE, rows)
        _write_csv(folder / SUMMARY, _flat(scores))
    return {
        "photographs": counts,
        "left_out": 0 if with_test else counts["test"],
        "scores": scores,
    }


def _patients(
    photographs: Sequence[annotated.Photograph], collection: records.Collection
) -> list[str]:
    """Whose each is; where that is not known, what it is a copy of; or empty."""
    found = []
    for one in photographs:
        graded = one.id and collection.photograph(one.id)
        known = graded and graded.patient is not None
        found.append(f"{graded.origin}/{graded.patient}" if known else one.id or "")
    return found


def _score(
    photographs: Sequence[annotated.Photograph],
    patients: Sequence[str],
    explained_by: Sequence[str],
    maps: Mapping[str, np.ndarray],
    tolerance: float,
) -> list[dict[str, Any]]:
    """A row for each photograph, kind of lesion and method."""
    rows = []
    for place, one in enumerate(photographs):
        retina = baselines.retina(one.image)
        for lesion, shares in _with_any(one.shares).items():
            target = lesion_agreement.Target(shares, retina, tolerance)
            for method, heatmaps in maps.items():
                keys = {
                    "photograph": one.name,
                    "id": one.id or "",
                    "patient": patients[place],
                    "seen": one.seen,
                    "explained_by": explained_by[place],
                    "method": method,
                    "lesion": lesion,
                    "evidence": int(heatmaps[place].max() > 0),
                }
                rows.append(keys | target.score(heatmaps[place]))
    return rows


def _summarize(
    rows: Sequence[Mapping[str, Any]], resamples: int, seed: int
) -> dict[str, Any]:
    """Group -> method -> lesion -> figures."""
    groups = {words: (part,) for part, words in annotated.SEEN.items()} | _POOLED
    summary: dict[str, Any] = {}
    for group, parts in groups.items():
        within = [row for row in rows if row["seen"] in parts]
        for row in within:
            by_method = summary.setdefault(group, {}).setdefault(row["method"], {})
            by_method.setdefault(row["lesion"], []).append(row)
    for by_method in summary.values():
        for method, unordered in by_method.items():
            # In one order, whichever lesions the first photograph has.
            by_lesion = {one: unordered[one] for one in _ORDER if one in unordered}
            by_method[method] = by_lesion
            for lesion, some in by_lesion.items():
                plain = [
                    {key: one for key, one in row.items() if not isinstance(one, str)}
                    for row in some
                ]
                by_lesion[lesion] = lesion_agreement.summarize(
                    plain,
                    resamples=resamples,
                    seed=seed,
                    patients=[row["patient"] or None for row in some],
                ) | {"empty_maps": sum(not row["evidence"] for row in some)}
    return summary


def _flat(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each group, method and lesion, with a column for each figure."""
    return [
        {"group": group, "method": method, "lesion": lesion}
        | {"photographs": found["photographs"], "empty_maps": found["empty_maps"]}
        | {
            f"{metric}_{name}".removesuffix("_value"): figure
            for metric in lesion_agreement.METRICS
            for name, figure in found[metric].items()
        }
        for group, by_method in scores.items()
        for method, by_lesion in by_method.items()
        for lesion, found in by_lesion.items()
    ]


def _with_any(shares: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The lesions of a photograph, and all of them as one."""
    found = [one for one in lesion_masks.LESIONS if one in shares]
    if not found:
        return dict(shares)
    every = np.max([shares[one] for one in found], axis=0)
    return {"any_lesion": every} | dict(shares)


def _write_csv(path: pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    whole_files.write_text(path, text.getvalue())
