"""Predictions to figures: all of `metrics.json`, and nothing that is not in the CSV."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import (
    by_grade,
    calibration,
    intervals,
    metrics,
    patients,
    scoring,
    subgroups,
    uncertainty,
)
from evaluation import predictions as stored

WITHOUT_CONFLICTS = "without conflicts"
"""How the part of a split is called whose labels no copy contradicts."""

THIRDS = ("lowest third", "middle third", "highest third")
"""What measures of quality divide the photographs into, in this order."""

_CALIBRATION = ("brier", "log_loss", "calibration_error")
_METADATA = ("auc", "balanced_accuracy")
_AT_EVEN_ODDS = ("balanced_accuracy", "sensitivity", "specificity")

# A subgroup of fewer photographs says nothing, and its patients could be recognised.
_LEAST = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """How figures are computed.

    Attributes:
        disease_classes: The classes that mean disease.
        threshold: Least probability of disease that counts as diseased, 0-1.
        prevalence: Share of the diseased for which PPV and NPV are given too, or None.
        resamples: Bootstrap resamples behind an interval.
        seed: Decides the resamples.
    """

    disease_classes: tuple[int, ...]
    threshold: float
    prevalence: float | None
    resamples: int
    seed: int

    def scorer(self, labels: np.ndarray, probabilities: np.ndarray) -> scoring.Scorer:
        """Figures at the run's threshold, without intervals."""
        return scoring.Scorer(
            labels, probabilities, self.disease_classes, threshold=self.threshold
        )

    def arguments(self) -> dict[str, Any]:
        """What `intervals.score_with_intervals` takes of them."""
        return {
            "threshold": self.threshold,
            "prevalence": self.prevalence,
            "resamples": self.resamples,
            "seed": self.seed,
        }


def settings_of(content: Mapping[str, Any]) -> Settings:
    """How the figures of a `metrics.json` were computed, as it says itself."""
    evaluation = content["evaluation"]
    return Settings(
        disease_classes=tuple(content["task"]["disease_classes"]),
        threshold=content["decision"]["operating_point"]["threshold"],
        prevalence=evaluation["prevalence"],
        resamples=evaluation["resamples"],
        seed=evaluation["seed"],
    )


def assess(
    predictions: Sequence[stored.Predictions], settings: Settings
) -> dict[str, dict]:
    """Scores predictions, split by split, and parts of splits.

    Args:
        predictions: Those of each split.
        settings: How.

    Returns:
        Name of a split or of a part of one ("test without conflicts", "test of idrid")
        -> what `intervals.score_with_intervals` returns, and with it
        `at_even_odds`, `uncalibrated`, `reliability`, `referral`, `by_grade`,
        `subgroups`, `per_patient` and `metadata_alone`, and `referral_by` where there
        were several answers; JSON-ready.
    """
    return {
        name: _score(one.take(chosen), settings)
        for one in predictions
        for name, chosen in parts(one).items()
    }


def parts(predictions: stored.Predictions) -> dict[str, np.ndarray]:
    """A split as a whole, and the parts of it that are scored for themselves.

    Returns:
        Name -> bool array, which of the photographs are in it.
    """
    name = predictions.split
    found = {name: np.ones(len(predictions), bool)}
    disputed = np.array([bool(one) for one in predictions.known["disputed"]])
    if disputed.any() and not disputed.all():
        found[f"{name} {WITHOUT_CONFLICTS}"] = ~disputed
    origins = np.array(predictions.known["dataset"])
    if len(set(origins)) > 1:
        found |= {f"{name} of {one}": origins == one for one in np.unique(origins)}
    return found


def _score(predictions: stored.Predictions, settings: Settings) -> dict[str, Any]:
    """The figures of predictions at one threshold."""
    labels, probabilities = predictions.labels, predictions.probabilities
    scorer = settings.scorer(labels, probabilities)
    disease = scorer.disease_probability
    before = metrics.disease_probability(
        predictions.uncalibrated, settings.disease_classes
    )
    entropy = uncertainty.entropy(probabilities)
    scores = intervals.score_with_intervals(
        labels,
        probabilities,
        settings.disease_classes,
        groups=predictions.patients,
        **settings.arguments(),
    ) | {
        "at_even_odds": _values(
            dataclasses.replace(settings, threshold=0.5),
            labels,
            probabilities,
            _AT_EVEN_ODDS,
        ),
        "uncalibrated": _values(
            settings, labels, predictions.uncalibrated, _CALIBRATION
        ),
        "reliability": {
            "uncalibrated": calibration.reliability(scorer.diseased, before),
            "reported": calibration.reliability(scorer.diseased, disease),
        },
        "referral": uncertainty.referral_curve(scorer, entropy, "balanced_accuracy"),
        "by_grade": by_grade.called(predictions, scorer),
        "subgroups": _subgroups(predictions, settings),
        "per_patient": _per_patient(predictions, settings),
        "metadata_alone": None
        if predictions.metadata is None
        else _values(settings, labels, predictions.metadata, _METADATA, argmax=True),
    }
    if predictions.disagreement:
        scores["referral_by"] = {
            name: uncertainty.referral_curve(scorer, values, "balanced_accuracy")
            for name, values in predictions.disagreement.items()
        }
    return scores


def _values(
    settings: Settings,
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    argmax: bool = False,
) -> dict[str, float | None]:
    """Some figures without intervals; None where one is undefined."""
    threshold = None if argmax else settings.threshold
    scorer = scoring.Scorer(
        labels, probabilities, settings.disease_classes, threshold=threshold
    )
    scores = scorer.score()
    return {name: scores[name].value for name in names}


def _subgroups(
    predictions: stored.Predictions, settings: Settings
) -> dict[str, dict[str, dict]]:
    """What divides the photographs -> subgroup -> its scores."""
    known = predictions.known
    divisions = {name: known[name] for name in ("dataset", "size", "eye")}
    divisions |= {name: _thirds(known[name]) for name in ("brightness", "sharpness")}
    found = {}
    for name, membership in divisions.items():
        membership = np.array(membership, object)
        counts = {one: (membership == one).sum() for one in set(membership) - {""}}
        large = [one for one, count in counts.items() if count >= _LEAST]
        if len(large) < 2:
            continue
        chosen = np.isin(membership, large)
        some = predictions.take(chosen)
        found[name] = subgroups.score_subgroups(
            some.labels,
            some.probabilities,
            settings.disease_classes,
            list(membership[chosen]),
            groups=some.patients,
            **settings.arguments(),
        )
    return found


def _thirds(values: Sequence[str]) -> list[str]:
    """Numbers as text -> the third that each is in; "" where one is not known."""
    if not all(values):
        return [""] * len(values)
    numbers = np.array(values, float)
    low, high = np.quantile(numbers, [1 / 3, 2 / 3])
    names = np.array(THIRDS)
    return list(names[(numbers > low).astype(int) + (numbers > high)])


def _per_patient(
    predictions: stored.Predictions, settings: Settings
) -> Mapping[str, dict] | None:
    """One decision a patient from all of their photographs, by each way to combine."""
    names = predictions.patients
    if names is None or len(set(names)) == len(names):
        return None
    chosen = np.array([one is not None for one in names])
    some = predictions.take(chosen)
    found = {}
    for how in patients.COMBINATIONS:
        combined = patients.combine(
            some.labels,
            some.probabilities,
            settings.disease_classes,
            some.patients,
            how,
        )
        found[how] = intervals.score_with_intervals(
            combined.labels, combined.probabilities, (1,), **settings.arguments()
        )
    return found
