"""The figures of an evaluated run for a page, each with its content in words."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evaluation import facts as known
from evaluation import metrics, table
from visualization import curves, figures, pages

# Inches, which a phone shows at their own size.
_WIDTH = 3.6


@dataclasses.dataclass(frozen=True)
class Chart:
    """A figure that is part of a page.

    Attributes:
        picture: Data URI.
        alt: What it shows, for those who do not see it.
    """

    picture: str
    alt: str


def learning(facts: known.Facts) -> list[Chart]:
    """Loss and validation metrics by epoch, of each training that has any."""
    return [
        _learning(facts, name, history)
        for name, history in facts.trainings.items()
        if history["epochs"]
    ]


def _learning(facts: known.Facts, name: str, history: Mapping[str, Any]) -> Chart:
    epochs, kept = history["epochs"], kept_epoch(history)
    trained = facts.trained["datasets"] if facts.trained else facts.datasets
    what = f"{name}: " if facts.members else ""
    title = f"{what}{', '.join(trained)}, training and validation"
    losses = ", ".join(
        f"{words} loss {epochs[0][name]:.3f} in the first epoch, "
        f"{epochs[-1][name]:.3f} in the last"
        for name, words in (("loss", "training"), ("val_loss", "validation"))
        if name in epochs[0] and name in epochs[-1]
    )
    alt = f"{what}Curves of {len(epochs)} epochs: {losses}; epoch {kept} is kept."
    first = history.get("first_epoch", 1)
    figure = curves.learning_curves(epochs, title, kept=kept, first=first, width=_WIDTH)
    return Chart(pages.figure(figure), alt)


def kept_epoch(history: Mapping[str, Any]) -> int:
    """The epoch, from 1, whose weights the model has."""
    if history["kept"] == "best":
        return history["best_epoch"]
    return history.get("first_epoch", 1) + len(history["epochs"]) - 1


def discrimination(facts: known.Facts, split: str) -> list[Chart]:
    """The ROC curve and the precision-recall curve of a split."""
    scores = facts.content["results"][split]
    said, threshold = facts.said[split], scores["threshold"]
    scorer = facts.settings.scorer(said.labels, said.probabilities)
    points = [threshold, 0.5] if threshold != 0.5 else [threshold]
    charts = []
    for draw, name, words in (
        (curves.roc, "auc", "ROC curve"),
        (curves.precision_recall, "pr_auc", "Precision-recall curve"),
    ):
        entry = scores["metrics"][name]
        ends = (entry["low"], entry["high"]) if entry.get("low") is not None else None
        figure = draw(
            scorer.diseased,
            scorer.disease_probability,
            _title(facts, split),
            interval=ends,
            thresholds=points,
            width=_WIDTH,
        )
        alt = f"{words} of {_title(facts, split)}: {table.label(name)} {_spell(entry)}."
        charts.append(_chart(figure, alt))
    return charts


def reliability(facts: known.Facts, split: str) -> Chart:
    """Said probabilities against what came true, before and after calibration."""
    scores = facts.content["results"][split]
    both = scores["reliability"]
    calibrated = facts.decision["calibration"] is not None
    figure = curves.reliability(
        both["reported"],
        _title(facts, split),
        before=both["uncalibrated"] if calibrated else None,
        width=_WIDTH,
    )
    name = "calibration_error"
    error = f"calibration error {_spell(scores['metrics'][name])}"
    before = scores["uncalibrated"][name]
    if calibrated and before is not None:
        error += f", before calibration {before:.3f}"
    return _chart(figure, f"Reliability diagram of {_title(facts, split)}: {error}.")


def referral(facts: known.Facts, split: str) -> Chart:
    """What referring the least certain photographs gains."""
    scores = facts.content["results"][split]
    curve, others = scores["referral"], scores.get("referral_by", {})
    name, title = table.label(curve["metric"]), _title(facts, split)
    others = {table.label(way): one for way, one in others.items()}
    figure = curves.referral(curve, name, title, others=others, width=_WIDTH)
    texts = [f"Referral curve of {title}, {name} of the others. {_shares(curve)}."]
    texts += [f"By {way}: {_shares(one)}." for way, one in others.items()]
    return _chart(figure, " ".join(texts))


def _shares(curve: Mapping[str, Any]) -> str:
    """A referral curve in words."""
    values = curve["value"]
    return ", ".join(
        f"{100 * curve['referred'][place]:.0f} % referred: "
        + ("undefined" if values[place] is None else f"{values[place]:.3f}")
        for place in np.linspace(0, len(values) - 1, 6).astype(int)
    )


def scores(facts: known.Facts, split: str) -> Chart:
    """How the probability of disease is distributed in each grade or class."""
    labels, names, disease_classes, are_grades = facts.by_grade(split)
    said = facts.said[split]
    disease = metrics.disease_probability(said.probabilities, facts.disease_classes)
    figure = figures.score_distribution(
        labels,
        disease,
        names,
        _title(facts, split),
        disease_classes=disease_classes,
        threshold=facts.content["results"][split]["threshold"],
        width=_WIDTH,
    )
    medians = ", ".join(
        f"{name} {np.median(disease[labels == number]):.3f}"
        for number, name in enumerate(names)
        if (labels == number).any()
    )
    what = "grade" if are_grades else "class"
    alt = (
        f"Histograms of the probability of disease by {what}, "
        f"{_title(facts, split)}. Medians: {medians}."
    )
    return _chart(figure, alt)


def _title(facts: known.Facts, split: str) -> str:
    names = sorted(set(facts.said[split].known["dataset"]))
    return f"{', '.join(names)}, {split}"


def _chart(figure: Figure, alt: str) -> Chart:
    return Chart(pages.figure(figure), alt)


def _spell(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        return f"undefined, {entry['reason']}"
    if entry["low"] is None:
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"
