"""The report: an evaluated run as one page for a person, with all that is known of it.

Its numbers are those of `metrics.json`; its figures follow from `predictions.csv`; of
the photographs only those that are shown are read.
"""

import collections
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import (
    assessment,
    by_grade,
    charts,
    gallery,
    model_card,
    remarks,
    seal,
    sites,
)
from evaluation import facts as known
from input_pipeline import photograph, whole_files
from visualization import figures, pages

PAGE = "report.html"
"""The last file that an evaluation writes."""

_SUBGROUP_METRICS = ("sensitivity", "specificity", "auc", "balanced_accuracy")
_GRADES = (*range(len(photograph.GRADES)), None)


def write(
    facts: known.Facts, folder: pathlib.Path, overlay: gallery.Overlay | None = None
) -> None:
    """Writes `report.html` and, of a run's own model, `model_card.md` before it.

    Args:
        facts: The evaluated run.
        folder: That of its `metrics.json`.
        overlay: Gives the heat maps of the photographs that are shown, if there are
            any; see `shown`.

    Raises:
        ValueError: A photograph that is shown cannot be read.
    """
    if facts.trainings:
        whole_files.write_text(folder / model_card.FILE, model_card.render(facts))
    whole_files.write_text(folder / PAGE, seal.seal(render(facts, overlay), folder))


def shown(facts: known.Facts) -> list[str]:
    """Ids of the photographs that the report shows, for whoever makes heat maps."""
    groups = [
        group for part in _pictured(facts) for group in gallery.choose(facts, part)
    ]
    return list(dict.fromkeys(one for group in groups for one in group.ids))


def _pictured(facts: known.Facts) -> list[str]:
    """The parts of which photographs are shown: the first, and other datasets."""
    others = [name for name in facts.content.get("others", ()) if name in facts.said]
    return list(dict.fromkeys([facts.headline, *others]))


def render(facts: known.Facts, overlay: gallery.Overlay | None = None) -> str:
    """Writes the page; the same facts give the same text.

    Args:
        facts: The evaluated run.
        overlay: Gives heat maps, if there are any.

    Returns:
        HTML in one file, pictures included.

    Raises:
        ValueError: A photograph that is shown cannot be read.
    """
    results = facts.content["results"]
    return pages.render(
        "report.html",
        facts=facts,
        results=results,
        beside=[
            name for name, one in facts.parts.items() if one.split == facts.headline
        ],
        order=list(facts.parts),
        oddities=remarks.oddities(facts),
        limits=remarks.limits(facts),
        overcome=remarks.overcome(facts),
        scale=photograph.GRADES,
        without_grade=by_grade.without(facts.scores),
        counts=_counts(facts),
        audit=_audit(facts),
        learning=charts.learning(facts),
        minutes=sum(
            epoch["epoch_seconds"] / 60
            for one in facts.trainings.values()
            for epoch in one["epochs"]
        ),
        members=facts.content.get("members"),
        kept_epoch=facts.history and charts.kept_epoch(facts.history),
        matrices={name: _matrices(facts, results[name]) for name in facts.parts},
        charts={
            split: {
                "discrimination": charts.discrimination(facts, split),
                "reliability": charts.reliability(facts, split),
                "referral": charts.referral(facts, split),
                "scores": charts.scores(facts, split),
            }
            for split in facts.parts
            if split in facts.said
        },
        groups={
            part: [
                (group, gallery.cards(facts, part, group, overlay))
                for group in gallery.choose(facts, part)
            ]
            for part in _pictured(facts)
        },
        others=_others(facts),
        subgroups=_subgroups(facts.scores["subgroups"]),
        subgroup_metrics=_SUBGROUP_METRICS,
        environment=_environment(facts.environment),
        bindings=known.bindings,
    )


def _counts(facts: known.Facts) -> dict[str, Any]:
    """How many photographs of each grade, or else of each class, are in each split."""
    if facts.split is None or facts.audited is None:
        rows = {
            split: np.bincount(one.labels, minlength=len(facts.class_names)).tolist()
            for split, one in facts.said.items()
        }
        return {"columns": facts.class_labels, "rows": rows, "grades": facts.are_grades}
    collection, rows = facts.audited.collection, {}
    for split in ("train", "valid", "test"):
        some = collections.Counter(
            collection.photograph(one).grade for one in facts.split[split]
        )
        rows[split] = [some[grade] for grade in _GRADES]
    for name, said in facts.said.items():
        published = [facts.photograph(one) for one in said.ids]
        if name not in rows and None not in published:  # Of another dataset.
            some = collections.Counter(one.grade for one in published)
            rows[name] = [some[grade] for grade in _GRADES]
    columns = [f"{number} {name}" for number, name in enumerate(photograph.GRADES)]
    return {"columns": [*columns, "no grade"], "rows": rows, "grades": True}


def _others(facts: known.Facts) -> dict[str, Any] | None:
    """Other datasets beside the run's own photographs; None where there are none."""
    counts = facts.content.get("others")
    if not counts:
        return None
    local = facts.content.get("recalibrated", {})
    return {
        "counts": counts,
        "columns": {
            heading.partition(", ")[::2]: one
            for heading, one in sites.columns(facts.content).items()
        },
        "left_out": {name: sites.left_out(one) for name, one in counts.items()},
        "why": {
            name: {key: one["reason"] for key, one in described["left_out"].items()}
            for name, described in facts.external.items()
        },
        "thresholds": {name: sites.own_threshold(one) for name, one in local.items()},
    }


def _audit(facts: known.Facts) -> dict[str, Any] | None:
    """What the audit found and did, in numbers; None where nobody has photographs."""
    if facts.audited is None:
        return None
    photographs = facts.audited.collection.photographs
    found = facts.audited.certificate["found"]
    left_out = facts.audited.certificate["left_out"]
    named = {
        name.replace("_", " ").replace(" identical", "-identical"): count
        for name, count in found.items()
    }
    return {
        "found": named,
        "left_out": left_out,
        "page": f"{facts.audited.folder.name}/audit.html",
        "patients": len(
            {(one.origin, one.patient) for one in photographs if one.patient}
        ),
        "unnamed": sum(one.patient is None for one in photographs),
        "photographs": len(photographs),
        "fingerprint": facts.audited.collection.fingerprint,
        "image_size": facts.audited.collection.image_size,
    }


def _matrices(
    facts: known.Facts, scores: Mapping[str, Any]
) -> list[tuple[str, list[str], list[list[dict[str, Any]]]]]:
    """The confusion matrices of a part: title, class names, rows of cells."""
    wanted = [("by class", scores["confusion_matrix"], facts.class_labels)]
    if len(facts.class_names) > 2:
        names = ["healthy", "diseased"]
        wanted.append(("by disease", scores["disease_matrix"], names))
    return [
        (title, names, [_cells(row) for row in matrix])
        for title, matrix, names in wanted
    ]


def _cells(row: list[int]) -> list[dict[str, Any]]:
    total = sum(row)
    cells = []
    for count in row:
        ground, ink = figures.share_colors(count / total if total else 0)
        cells.append({"count": count, "total": total, "ground": ground, "ink": ink})
    return cells


def _subgroups(divisions: Mapping[str, Mapping]) -> dict[str, dict]:
    """The same, thirds in their order."""
    return {
        name: dict(sorted(some.items(), key=lambda one: _rank(one[0])))
        for name, some in divisions.items()
    }


def _rank(subgroup: str) -> int:
    return assessment.THIRDS.index(subgroup) if subgroup in assessment.THIRDS else -1


def _environment(environment: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The starts of a run; what is the same for all of them apart."""
    starts = [
        {name: _spell(name, value) for name, value in start.items()}
        for start in environment
    ]
    if not starts:
        return None
    names = [name for name in starts[-1] if name not in ("time", "command")]
    values = {name: {start.get(name, "") for start in starts} for name in names}
    return {
        "starts": starts,
        "same": {name: starts[-1][name] for name in names if len(values[name]) == 1},
        "differing": [name for name in names if len(values[name]) > 1],
    }


def _spell(name: str, value: Any) -> str:
    if isinstance(value, list):
        return shlex.join(value) if name == "command" else ", ".join(map(str, value))
    return "not known" if value is None else str(value)
