"""The audit as a page for a person: what is in the data, with pictures.

All numbers come from the manifests and from the audit's findings. Of the photographs
only those that are shown are read, so that a large set's page is made in seconds too.
"""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from input_pipeline import duplicates, leakage, photograph, records
from visualization import figures, pages

# How much the page shows; audit.json and the manifests have all of it.
PAIRS, ROWS, UNREADABLE, VALUES, GALLERY = 200, 500, 200, 12, 8
_PICTURE_WIDTH = 240

_KINDS = ("leak", "conflict", "copy", "ungradable", "unlabelled")

_GRADES = (*range(len(photograph.GRADES)), None)

# What can be read from a file without looking at the retina.
_METADATA: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "size": lambda entry: f"{entry['width']} × {entry['height']}",  # noqa: RUF001
    "file type": lambda entry: entry["format"],
    "camera": lambda entry: entry["camera"] or "not stated",
    "dataset": lambda entry: entry["id"].partition("/")[0],
}


@dataclasses.dataclass(frozen=True)
class _Measure:
    """A measure of quality; `worst` names the end that is worth a look."""

    name: str
    title: str
    worst: str
    highest: bool = False
    digits: int = 0
    percent: bool = False


_MEASURES = (
    _Measure("brightness", "Brightness, mean grey level", "Darkest"),
    _Measure(
        "sharpness", "Sharpness, fine detail over brightness", "Most blurred", digits=3
    ),
    _Measure(
        "overexposed",
        "Overexposed share of the retina",
        "Most overexposed",
        highest=True,
        percent=True,
    ),
    _Measure(
        "underexposed",
        "Underexposed share of the retina",
        "Most underexposed",
        highest=True,
        percent=True,
    ),
    _Measure(
        "retina_share",
        "Share of the photograph that is retina",
        "Smallest retinas",
        percent=True,
    ),
)

# Okabe and Ito's others, in an order in which neighbours differ most.
_DATASET_COLORS = (
    figures.HEALTHY_COLOR,
    figures.DISEASE_COLOR,
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)


def render(collection: records.Collection, findings: Mapping[str, Any]) -> str:
    """Writes the page.

    Args:
        collection: The photographs that were audited.
        findings: What `audit.json` holds.

    Returns:
        HTML in one file, pictures included.

    Raises:
        ValueError: A photograph that is shown cannot be read.
    """
    look = functools.cache(
        lambda one: pages.picture(collection.read_image(one), _PICTURE_WIDTH)
    )
    copies = _copies(collection, findings)
    counts = _counts(collection, findings)
    return pages.render(
        "audit.html",
        datasets=[one.dataset for one in collection.folders],
        grades=[f"{i} {name}" for i, name in enumerate(photograph.GRADES)],
        image_size=collection.image_size,
        counts=counts,
        total=sum(counts.values(), collections.Counter()),
        labels=_labels(collection.photographs),
        metadata=_metadata(collection),
        found=_found(copies, findings),
        pairs=_pairs(copies, collection, findings, look),
        left_out=_left_out(findings),
        rows=ROWS,
        quality=_quality(collection, look),
        shortcut=findings["shortcut"],
        patients=_patients(collection, findings),
        unreadable=_unreadable(collection),
        policy=findings["policy"],
        must_agree=[leakage.LABELS[one] for one in findings["policy"]["must_agree"]],
        min_agreement=duplicates.MIN_AGREEMENT,
        fingerprints={one.dataset: one.fingerprint for one in collection.folders},
        fingerprint=collection.fingerprint,
    )


def _counts(
    collection: records.Collection, findings: Mapping[str, Any]
) -> dict[str, collections.Counter]:
    """Dataset -> how many photographs were listed, read, kept and left out."""
    counts = {}
    for folder in collection.folders:
        unreadable = folder.manifest["unreadable"]
        count = collections.Counter(one["kind"] for one in unreadable)
        count["readable"] = len(folder.photographs)
        count["listed"] = len(folder.photographs) + len(unreadable)
        for one in folder.photographs:
            split, why = findings["split"].get(one.id), findings["left_out"].get(one.id)
            count[split or why["kind"]] += 1
        counts[folder.dataset] = count
    return counts


def _labels(photographs: Sequence[photograph.Photograph]) -> list[dict[str, Any]]:
    """A table a label: for each dataset and split, how many have which value."""
    tables = []
    for name, values, some in (
        ("grade", range(5), photographs),
        ("any_dr", (False, True), [one for one in photographs if one.grade is None]),
        ("macular_edema", range(3), photographs),
    ):
        if any(getattr(one, name) is not None for one in some):
            rows = collections.defaultdict(collections.Counter)
            for one in some:
                rows[one.origin, one.split][getattr(one, name)] += 1
            columns = (*values, None)
            tables.append(
                {
                    "label": name,
                    "rows": [
                        (*place, [count[value] for value in columns])
                        for place, count in rows.items()
                    ],
                }
            )
    return tables


def _metadata(collection: records.Collection) -> list[dict[str, Any]]:
    """A table a property of the files: for each of its values, counts by grade."""
    tables = []
    for name, read in _METADATA.items():
        counts = collections.defaultdict(collections.Counter)
        for one in collection.photographs:
            counts[read(collection.entries[one.id])][one.grade] += 1
        rows = [
            (value, [count[grade] for grade in _GRADES])
            for value, count in sorted(
                counts.items(), key=lambda item: item[1].total(), reverse=True
            )
        ]
        if len(rows) > VALUES:
            _, rest = zip(*rows[VALUES:], strict=True)
            others = [sum(column) for column in zip(*rest, strict=True)]
            rows[VALUES:] = [(f"{len(rest):,} others", others)]
        tables.append({"name": name, "rows": rows, "single": len(rows) == 1})
    return tables


def _copies(
    collection: records.Collection, findings: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """The pairs: contradictory ones, others on two sides of a split, and the rest."""
    split = leakage.official(collection.photographs, findings["policy"]["test_on"])
    groups = {"conflict": [], "across": [], "within": []}
    for one in findings["copies"]:
        across = split[one["first"]] != split[one["second"]]
        group = "conflict" if one["conflict"] else "across" if across else "within"
        groups[group].append(one | {"across": across})
    return groups


def _pairs(
    copies: Mapping[str, Sequence[Mapping[str, Any]]],
    collection: records.Collection,
    findings: Mapping[str, Any],
    look: Callable[[str], str],
) -> dict[str, list[dict[str, Any]]]:
    """The first pairs, with pictures and with what became of each photograph."""

    def side(photograph_id: str) -> dict[str, Any]:
        why = findings["left_out"].get(photograph_id)
        return {
            "photograph": collection.photograph(photograph_id),
            "picture": look(photograph_id),
            "kept": findings["split"].get(photograph_id),
            "left_out": why and why["kind"],
        }

    room, shown = PAIRS, {}
    for name, group in copies.items():
        shown[name] = [
            one | {"sides": [side(one["first"]), side(one["second"])]}
            for one in group[:room]
        ]
        room -= len(shown[name])
    return shown


def _found(
    copies: Mapping[str, Sequence[Mapping[str, Any]]], findings: Mapping[str, Any]
) -> dict[str, int]:
    """How much there is of what would have fooled somebody."""
    every = [one for group in copies.values() for one in group]
    across = sum(one["across"] for one in every)
    return {
        "pairs": len(every),
        "across": across,
        "within": len(every) - across,
        "conflicts": len(copies["conflict"]),
        "disputed": len(findings["disputed"]),
        "patients": len(findings["patients_across_splits"]),
    }


def _left_out(findings: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Kind -> (id, reason) of its photographs, the gravest kind first."""
    groups = {kind: [] for kind in _KINDS}
    for key, why in findings["left_out"].items():
        groups[why["kind"]].append((key, why["reason"]))
    return {kind: group for kind, group in groups.items() if group}


def _quality(
    collection: records.Collection, look: Callable[[str], str]
) -> list[dict[str, Any]]:
    """A histogram a measure, and the photographs at the end that is worth a look."""
    ids = np.array([one.id for one in collection.photographs])
    origins = np.array([one.origin for one in collection.photographs])
    shown = []
    for measure in _MEASURES:
        values = np.array(
            [collection.entries[one]["quality"][measure.name] for one in ids]
        )
        order = np.argsort(-values if measure.highest else values, kind="stable")
        by_dataset = {
            one.dataset: values[origins == one.dataset] for one in collection.folders
        }
        shown.append(
            {
                "measure": measure,
                "median": np.median(values),
                "lowest": values.min(),
                "highest": values.max(),
                "histogram": pages.figure(_histogram(by_dataset, measure)),
                "gallery": [
                    (collection.photograph(ids[i]), values[i], look(ids[i]))
                    for i in order[:GALLERY]
                ],
            }
        )
    return shown


def _histogram(values: Mapping[str, np.ndarray], measure: _Measure) -> Figure:
    """Draws how a measure is distributed in each dataset, to fit on a phone."""
    figure = Figure(figsize=(3.4, 2.3), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), 40)
    colors = itertools.cycle(_DATASET_COLORS)
    for (name, some), color in zip(values.items(), colors, strict=False):
        shares = np.histogram(some, edges)[0] / max(len(some), 1)
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.2)
        axes.stairs(shares, edges, color=color, lw=1.4, label=name)
    axes.set_xlabel(measure.title, color=figures.INK, size=9)
    axes.set_ylabel("photographs", color=figures.INK, size=9)
    axes.locator_params(axis="x", nbins=5)
    if measure.highest:  # Most photographs have none: the few others are to be seen.
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_as_percent)
    if measure.percent:
        axes.xaxis.set_major_formatter(_as_percent)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(figures.INK)
    axes.tick_params(colors=figures.INK, labelsize=8)
    if len(values) > 1:
        figure.legend(loc="outside upper center", frameon=False, fontsize=8, ncols=3)
    return figure


def _as_percent(share: float, position: int) -> str:
    return f"{100 * share:.3g} %"


def _patients(
    collection: records.Collection, findings: Mapping[str, Any]
) -> dict[str, Any]:
    """How many patients are known, and which of them are in several splits."""
    datasets, splits = {}, collections.defaultdict(collections.Counter)
    for folder in collection.folders:
        named = [one for one in folder.photographs if one.patient is not None]
        for one in named:
            splits[f"{one.origin}/{one.patient}"][one.split] += 1
        datasets[folder.dataset] = {
            "photographs": len(folder.photographs),
            "named": len(named),
            "patients": len({one.patient for one in named}),
        }
    across = findings["patients_across_splits"]
    return {
        "datasets": datasets,
        "unnamed": [
            name for name, one in datasets.items() if one["named"] < one["photographs"]
        ],
        "across": [(name, splits[name]) for name in across[:ROWS]],
        "total": len(across),
    }


def _unreadable(collection: records.Collection) -> dict[str, Any]:
    """Photographs without an image or without a retina, with reasons."""
    every = [
        one for folder in collection.folders for one in folder.manifest["unreadable"]
    ]
    return {"total": len(every), "rows": every[:UNREADABLE]}
