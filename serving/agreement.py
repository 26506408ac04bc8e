"""How far an exported model agrees with the one that was trained, as a table."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import metrics
from serving import card as cards
from serving import formats, views

_TIMED_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Said:
    """What a run-time says of photographs.

    Attributes:
        logits: float32 `(n, num_outputs)`, averaged over the views of the decision.
        heatmaps: float32 `(n, num_classes, rows, columns)`, or None.
        probabilities: float64 `(n, num_classes)`, calibrated.
        disease: Probability of disease, `(n,)`.
        images_per_second: How fast, of one view.
    """

    logits: np.ndarray
    heatmaps: np.ndarray | None
    probabilities: np.ndarray
    disease: np.ndarray
    images_per_second: float


@dataclasses.dataclass(frozen=True)
class Row:
    """What one run-time says, beside what Keras says of the same photographs.

    Attributes:
        name: The run-time and its precision.
        megabytes: Size of its files; None of Keras, which compares with itself.
        images_per_second: How fast, on the machine that exported; None where it could
            not be asked, as of all that follows but `refused`.
        logit_difference: The largest; None where one is no number.
        probability_difference: The largest of the probability of disease, 0-1, or None.
        heatmap_difference: The largest, on a scale from 0 to 1, or None; None without
            heat maps too.
        agreement: Share of photographs with the same decision at the threshold and the
            same most probable class, 0-1.
        auc: Of the disease, or None where one of the two is not among the photographs.
        auc_difference: Less that of Keras, or None.
        refused: Why it is left out of the export, or None.
    """

    name: str
    megabytes: float | None
    images_per_second: float | None
    logit_difference: float | None
    probability_difference: float | None
    heatmap_difference: float | None
    agreement: float | None
    auc: float | None
    auc_difference: float | None
    refused: str | None = None


def ask(run: formats.Run, images: np.ndarray, deciding: cards.Deciding) -> Said:
    """Asks a run-time about photographs.

    Args:
        run: The run-time.
        images: uint8 array of shape `(n, size, size, 3)`, RGB, 0-255.
        deciding: What makes a decision of logits.

    Returns:
        What it says.
    """
    seen = [run(one) for one in views.views(images, deciding.views)]
    # By now it is compiled and has its memory.
    count, start, seconds = 0, time.perf_counter(), 0.0
    while not count or seconds < _TIMED_SECONDS:
        run(images)
        count += len(images)
        seconds = time.perf_counter() - start
    logits = np.mean([one["logits"] for one in seen], axis=0)
    probabilities = deciding.probabilities(logits)
    return Said(
        logits,
        seen[0].get("heatmaps"),
        probabilities,
        deciding.disease_probability(probabilities),
        count / seconds,
    )


def compare(
    name: str,
    megabytes: float | None,
    said: Said,
    *,
    reference: Said,
    diseased: np.ndarray,
    threshold: float,
    least_agreement: float,
    most_auc_loss: float,
) -> Row:
    """Compares what a run-time says with what the trained model says.

    Args:
        name: The run-time and its precision.
        megabytes: Size of its files.
        said: What it says.
        reference: What Keras says of the same photographs.
        diseased: bool array of shape `(n,)`: the truth.
        threshold: Least probability of disease that counts as diseased, 0-1.
        least_agreement: Share of photographs on which it must agree, 0-1.
        most_auc_loss: What it may lose of the AUC.

    Returns:
        The row, with a reason if it is refused.
    """
    same = (said.disease >= threshold) == (reference.disease >= threshold)
    predicted = [one.probabilities.argmax(axis=1) for one in (said, reference)]
    same &= predicted[0] == predicted[1]
    agreement, auc = float(same.mean()), _auc(said.disease, diseased)
    reasons, lost = [], None
    if not (_is_finite(said.logits) and _is_finite(said.heatmaps)):
        reasons.append("some of what it says is no number")
    if agreement < least_agreement:
        reasons.append(f"agreement {agreement:.3f} < {least_agreement:g}")
    if auc is not None:
        lost = auc - _auc(reference.disease, diseased)
        if lost < -most_auc_loss:
            reasons.append(f"AUC {lost:+.4f} < {-most_auc_loss:g}")
    return Row(
        name=name,
        megabytes=megabytes,
        images_per_second=said.images_per_second,
        logit_difference=_largest(said.logits, reference.logits),
        probability_difference=_largest(said.disease, reference.disease),
        heatmap_difference=None
        if reference.heatmaps is None
        else _largest(said.heatmaps, reference.heatmaps),
        agreement=agreement,
        auc=auc,
        auc_difference=lost,
        refused=", ".join(reasons) or None,
    )


def unopened(name: str, reason: str) -> Row:
    """The row of a file that its run-time cannot open.

    Args:
        name: The format.
        reason: What the run-time says of it.

    Returns:
        The row, with nothing but the reason.
    """
    fields = {one.name: None for one in dataclasses.fields(Row)}
    return Row(**fields | {"name": name, "refused": " ".join(reason.split())})


_HEAD = (
    "run-time",
    "MB",
    "images/s",
    "logit",
    "probability",
    "heat map",
    "agreement",
    "AUC",
    "difference",
    "",
)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lays out rows, as a card has them, for a terminal."""
    cells = [_HEAD]
    for one in [Row(**row) for row in rows]:
        cells.append(
            (
                one.name,
                _number(one.megabytes, ".2f"),
                _number(one.images_per_second, ".0f"),
                _number(one.logit_difference, ".1e"),
                _number(one.probability_difference, ".1e"),
                _number(one.heatmap_difference, ".1e"),
                _number(one.agreement, ".3f"),
                _number(one.auc, ".4f"),
                _number(one.auc_difference, "+.4f"),
                f"refused: {one.refused}" if one.refused else "",
            )
        )
    widths = [max(len(row[place]) for row in cells) for place in range(len(_HEAD))]
    lines = []
    for row in cells:
        numbers = [one.rjust(width) for one, width in zip(row, widths, strict=True)][
            1:-1
        ]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers, row[-1]]).rstrip())
    return "\n".join(lines)


def _number(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)


def _is_finite(values: np.ndarray | None) -> bool:
    return values is None or bool(np.isfinite(values).all())


def _largest(some: np.ndarray, others: np.ndarray) -> float | None:
    if not (_is_finite(some) and _is_finite(others)):
        return None  # JSON has no other word for it.
    return float(np.abs(np.float64(some) - others).max())


def _auc(disease: np.ndarray, diseased: np.ndarray) -> float | None:
    if diseased.all() or not diseased.any():
        return None
    levels, ranks = np.unique(disease, return_inverse=True)
    return float(metrics.auc(metrics.score_table(diseased, ranks, len(levels))))
