"""Metrics with their confidence intervals, as `metrics.json` holds them."""

import statistics
from collections.abc import Sequence

import numpy as np

from evaluation import delong, metrics, resampling, scoring

# Shares of resamples that may leave a figure undefined before it has no interval.
_UNDEFINED = 0.01


def score_with_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    disease_classes: tuple[int, ...],
    *,
    groups: Sequence[str | None] | None = None,
    threshold: float | None = None,
    prevalence: float | None = None,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict:
    """Scores predictions, with an interval for every metric.

    Proportions have Wilson's interval and the area under the ROC curve DeLong's, on
    the logit scale. The others have the percentiles of a bootstrap that is stratified
    by class, so every class keeps its number of photographs; of calibration errors,
    which noise makes larger, they are reflected about the value. All of this counts
    photographs as independent. Where patients repeat they are not, and every figure has
    a bootstrap that draws whole patients, stratified by a patient's worst label.

    Where no resampling can show the uncertainty (a class has one photograph, or all
    resamples agree, as with faultless predictions) a figure stands without an
    interval, and its `reason` says why.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        probabilities: float array of shape `(n, num_classes)`, 0-1, rows summing to 1.
        disease_classes: The classes that mean disease: `(1,)` for a binary task,
            `(2, 3, 4)` for referable disease from five grades.
        groups: The patient of each photograph, `None` for one who is not known and
            counts as a patient of their own.
        threshold: Least probability of disease that is called diseased, 0-1; `None`
            where the most probable class decides.
        prevalence: Share of the diseased for which PPV and NPV are given as well.
        resamples: How many bootstrap resamples to draw, at least 100.
        seed: Seed of the bootstrap.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        A dict that `json.dump` takes: `n`, `patients` (`None` where not known),
        `disease_classes`, `class_counts`, `confusion_matrix` (rows the truth),
        `disease_matrix` (the same, healthy and diseased), `threshold`, `prevalence`,
        `confidence`, `resamples`, `seed`, and `metrics` by name, which
        `scoring.Scorer` describes. Each of these holds `n`, the photographs it is
        counted on, and `value`, `low`, `high`, `method`; without an interval `low` and
        `high` are `None` and there is a `reason`; an undefined metric has `value`
        `None` and a `reason` only.

    Raises:
        ValueError: If an argument is out of range or predictions do not fit labels.
    """
    check_settings(resamples, confidence)
    scorer = scoring.Scorer(
        labels,
        probabilities,
        disease_classes,
        threshold=threshold,
        prevalence=prevalence,
    )
    units = resampling.number_units(groups, len(scorer.labels))
    entries = _Intervals(scorer, units, resamples, seed, confidence).entries()
    counts = np.bincount(scorer.labels, minlength=scorer.num_classes)
    return {
        "n": len(scorer.labels),
        "patients": None if groups is None else len(np.unique(units)),
        "disease_classes": list(scorer.disease_classes),
        "class_counts": counts.tolist(),
        "confusion_matrix": scorer.class_matrix().tolist(),
        "disease_matrix": scorer.disease_matrix().tolist(),
        "threshold": threshold,
        "prevalence": prevalence,
        "confidence": confidence,
        "resamples": resamples,
        "seed": seed,
        "metrics": entries,
    }


def wilson(proportion: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson, 1927).

    Args:
        proportion: The observed share, 0-1.
        n: How many photographs it is a share of, at least 1.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        The lower and the upper end, 0-1.
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (proportion + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n)
    half *= (proportion * (1 - proportion) / n + z**2 / (4 * n**2)) ** 0.5
    # The ends are exact at 0 and 1; rounding must not push them past.
    low = 0.0 if proportion == 0 else centre - half
    high = 1.0 if proportion == 1 else centre + half
    return low, high


def percentiles(
    values: np.ndarray, confidence: float
) -> tuple[tuple[float, float] | None, str | None]:
    """Interval of a bootstrap's values, or the reason why there is none.

    Args:
        values: float array of shape `(resamples,)`, NaN where a resample leaves the
            figure undefined.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        The lower and the upper end and `None`, or `None` and the reason.
    """
    undefined = np.isnan(values).mean()
    if undefined > _UNDEFINED:
        return None, f"undefined in {100 * undefined:.0f} % of the resamples"
    if np.nanmax(values) - np.nanmin(values) <= 1e-12:
        return None, "all resamples agree"
    ends = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return (float(ends[0]), float(ends[1])), None


def check_settings(resamples: int, confidence: float) -> None:
    """Refuses settings that give no interval.

    Args:
        resamples: How many bootstrap resamples to draw.
        confidence: Share of such intervals that hold the true value.

    Raises:
        ValueError: If there are under 100 resamples, or confidence is not within 0-1.
    """
    if resamples < 100:
        raise ValueError(
            "`resamples` must be at least 100 for its percentiles to mean anything. "
            f"Received: resamples={resamples!r}."
        )
    if not 0 < confidence < 1:
        raise ValueError(
            "`confidence` must lie between 0 and 1, as 0.95 does. Received: "
            f"confidence={confidence!r}."
        )


class _Intervals:
    """The interval of each figure of a scorer, by the method that suits it."""

    def __init__(
        self,
        scorer: scoring.Scorer,
        units: np.ndarray,
        resamples: int,
        seed: int,
        confidence: float,
    ):
        self._scorer, self._units, self._confidence = scorer, units, confidence
        self._resamples, self._seed = resamples, seed
        self._clustered = len(np.unique(units)) < len(units)

    def entries(self) -> dict[str, dict]:
        """What `metrics.json` says of each figure, by name."""
        scores = self._scorer.score()
        figures = self._scorer.figures
        bootstrapped = [
            name
            for name, score in scores.items()
            if score.value is not None
            and (self._clustered or not (figures[name].proportion or name == "auc"))
        ]
        values = self._bootstrap(bootstrapped)
        entries = {}
        for name, score in scores.items():
            if score.value is None:
                entries[name] = {"value": None, "n": score.n, "reason": score.reason}
                continue
            if name in values:
                method, ends, reason = self._from_resamples(
                    name, score.value, values[name]
                )
            elif name == "auc":
                method, ends, reason = self._delong()
            else:
                method, reason = "Wilson", None
                ends = wilson(score.value, score.n, self._confidence)
            low, high = ends or (None, None)
            entries[name] = {
                "value": score.value,
                "low": low,
                "high": high,
                "method": method,
                "n": score.n,
            } | ({"reason": reason} if reason else {})
        return entries

    def _bootstrap(self, names: list[str]) -> dict[str, np.ndarray]:
        if not names:
            return {}
        parts = [
            self._scorer.values(weights, names)
            for weights in resampling.weights(
                self._scorer.labels,
                self._units,
                resamples=self._resamples,
                seed=self._seed,
            )
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _from_resamples(self, name: str, value: float, values: np.ndarray):
        method = "stratified bootstrap"
        if self._clustered:
            method = f"patient-wise {method}"
        reason = self._lone(self._scorer.figures[name].needs)
        if reason:
            return method, None, reason
        ends, reason = percentiles(values, self._confidence)
        if ends and name.endswith("calibration_error"):
            return f"{method}, reflected", self._reflected(name, value, ends), None
        return method, ends, reason

    def _reflected(
        self, name: str, value: float, ends: tuple[float, float]
    ) -> tuple[float, float]:
        """Interval of a calibration error, which noise makes larger.

        Percentiles lie above the value, often all of them, since resampling adds noise
        of its own: they are reflected about it (the basic bootstrap). Where a model
        without any error would reach the value by chance, the interval begins at 0.
        """
        low, high = 2 * value - ends[1], 2 * value - ends[0]
        generator = np.random.default_rng(self._seed)
        deviations = self._scorer.gap_deviations(name, self._units)
        noise = generator.normal(size=(self._resamples, len(deviations))) * deviations
        by_chance = np.quantile(np.abs(noise).sum(axis=1), (1 + self._confidence) / 2)
        low = 0.0 if value <= by_chance else max(0.0, min(low, value))
        return low, max(high, value)

    def _delong(self):
        method = "DeLong, logit scale"
        scorer = self._scorer
        try:
            areas, covariance = delong.covariance(
                scorer.diseased, scorer.disease_probability[None]
            )
        except metrics.UndefinedMetricError as error:
            return method, None, str(error)
        ends = delong.interval(areas[0], covariance[0, 0], self._confidence)
        return method, ends, None if ends else "scores without a variance"

    def _lone(self, needs: str) -> str | None:
        """Says which photographs are of one unit only, so that none can vary."""
        labels, diseased = self._scorer.labels, self._scorer.diseased
        sides = {
            "classes": {f"of class {c}": labels == c for c in np.unique(labels)},
            "disease": {
                "with the disease": diseased,
                "without the disease": ~diseased,
            },
        }.get(needs, {})
        noun = "patient" if self._clustered else "photograph"
        for name, chosen in sides.items():
            if len(np.unique(self._units[chosen])) == 1:
                return f"only one {noun} {name}"
        return None
