"""Metrics with their confidence intervals, as `metrics.json` holds them."""

import statistics
from collections.abc import Sequence

import numpy as np
from scipy import stats

from evaluation import delong, metrics, proportions, resampling, scoring

# Shares of resamples that may leave a figure undefined before it has no interval.
_UNDEFINED = 0.05

# A narrower interval is no interval: resamples differ by rounding, or hardly ever.
_WIDTH = 1e-6

WILSON = "Wilson"
COMBINED = "Wilson, combined"
WILSON_OF_DISEASED = "Wilson of the diseased"
DELONG = "DeLong, logit scale"
OBUCHOWSKI = "Obuchowski, logit scale"
NEWCOMBE = "Newcombe"
BOOTSTRAP = "bootstrap"
REFLECTED = "bootstrap, reflected"
BY_PATIENT = ", by patient"
"""How the method of photographs that depend on each other ends."""

# Method, interval, and the reason where there is none.
_Found = tuple[str, proportions.Ends | None, str | None]


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

    Proportions and Brier's score have Wilson's score interval, with as many independent
    photographs as those of the patients are worth (`proportions.effective_size`). The
    balanced accuracy, and PPV and NPV at a prevalence, follow from such intervals (Zou
    and Donner, 2008; Donner and Zou, 2012). The area under the ROC curve has DeLong's,
    by patients Obuchowski's, and Newcombe's where a faultless one has no variance. The
    area under the precision-recall curve has Wilson's as if it were a share of the
    diseased (Boyd et al., 2013), which is rather too wide. The others have percentiles
    of a bootstrap of patients, whose levels leave room for few of them (Hesterberg,
    2015); of calibration errors, which noise makes larger, they are reflected about the
    value. No class counts are held, since other photographs would have others.

    Where nothing can show the uncertainty (all resamples agree, as with faultless
    predictions, or only one patient has the disease) a figure stands without an
    interval, and its `reason` says why. `benchmarks/coverage.py` measures how often
    these intervals hold the true value.

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
    if np.nanmax(values) - np.nanmin(values) <= _WIDTH:
        return None, "all resamples agree"
    ends = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    if ends[1] - ends[0] <= _WIDTH:
        return None, "nearly all resamples agree"
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
        self._num_units = len(np.unique(units))
        self._clustered = self._num_units < len(units)

    def entries(self) -> dict[str, dict]:
        """What `metrics.json` says of each figure, by name."""
        scores = self._scorer.score()
        without_resampling = {
            name: self._by_formula(name, score.value)
            for name, score in scores.items()
            if score.value is not None
        }
        values = self._bootstrap(
            [name for name, found in without_resampling.items() if found is None]
        )
        entries = {}
        for name, score in scores.items():
            if score.value is None:
                entries[name] = {"value": None, "n": score.n, "reason": score.reason}
                continue
            found = without_resampling[name]
            if found is None:
                found = self._from_resamples(name, score.value, values[name])
            method, ends, reason = found
            low, high = ends or (None, None)
            entries[name] = {
                "value": score.value,
                "low": low,
                "high": high,
                "method": method + BY_PATIENT * self._clustered,
                "n": score.n,
            } | ({"reason": reason} if reason else {})
        return entries

    def _by_formula(self, name: str, value: float) -> _Found | None:
        """An interval without resampling; None where there is no such."""
        mean = self._scorer.figures[name].mean
        if mean is not None:
            return WILSON, self._wilson(mean), None
        if name == "balanced_accuracy":
            right = self._scorer.predicted == self._scorer.labels
            labels = self._scorer.labels
            return COMBINED, self._of_recalls(right, labels), None
        if name.endswith("_at_prevalence"):
            return COMBINED, self._at_prevalence(name), None
        if name == "auc":
            return self._of_auc()
        if name == "pr_auc":
            ill = self._units[self._scorer.diseased]
            independent = proportions.kish_size(ill)
            ends = proportions.wilson(value, independent, self._confidence)
            return WILSON_OF_DISEASED, ends, None
        return None

    def _wilson(self, mean: scoring.Mean) -> proportions.Ends:
        values, units = mean.values[mean.among], self._units[mean.among]
        n = proportions.effective_size(values, units)
        low, high = proportions.wilson(float(values.mean()), n, self._confidence)
        return mean.scale * low, mean.scale * high

    def _of_recalls(self, right: np.ndarray, labels: np.ndarray) -> proportions.Ends:
        """Interval of the mean recall of the classes that are present."""
        recalls = [
            scoring.Mean(right.astype(np.float64), labels == c)
            for c in np.unique(labels)
        ]
        values = [one.values[one.among].mean() for one in recalls]
        return proportions.of_mean(values, [self._wilson(one) for one in recalls])

    def _at_prevalence(self, name: str) -> proportions.Ends:
        """Interval of a predictive value, by that of a ratio of shares.

        The PPV falls with (1 - specificity) / sensitivity, the NPV with
        (1 - sensitivity) / specificity.
        """
        figures, prevalence = self._scorer.figures, self._scorer.prevalence
        hit, rest = "sensitivity", "specificity"
        odds = (1 - prevalence) / prevalence
        if name.startswith("npv"):
            hit, rest, odds = rest, hit, 1 / odds
        below, above = figures[hit].mean, figures[rest].mean
        above = scoring.Mean(1 - above.values, above.among)
        low, high = proportions.of_ratio(
            float(above.values[above.among].mean()),
            self._wilson(above),
            float(below.values[below.among].mean()),
            self._wilson(below),
        )
        return 1 / (1 + odds * high), 1 / (1 + odds * low)

    def _of_auc(self) -> _Found:
        method = OBUCHOWSKI if self._clustered else DELONG
        scorer = self._scorer
        try:
            areas, covariance = delong.covariance(
                scorer.diseased, scorer.disease_probability[None], self._units
            )
        except metrics.UndefinedMetricError as error:
            return method, None, str(error)
        area = float(areas[0])
        if area in (0.0, 1.0):
            sizes = [
                proportions.kish_size(self._units[side])
                for side in (scorer.diseased, ~scorer.diseased)
            ]
            ends = delong.faultless_interval(area, *sizes, self._confidence)
            return NEWCOMBE, ends, None
        ends = delong.interval(area, covariance[0, 0], self._confidence)
        return method, ends, None if ends else "scores without a variance"

    def _bootstrap(self, names: list[str]) -> dict[str, np.ndarray]:
        if not names:
            return {}
        one_stratum = np.zeros(len(self._units), np.int64)
        parts = [
            self._scorer.values(weights, names)
            for weights in resampling.weights(
                one_stratum, self._units, resamples=self._resamples, seed=self._seed
            )
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _from_resamples(self, name: str, value: float, values: np.ndarray) -> _Found:
        if self._num_units < 2:
            noun = "patient" if self._clustered else "photograph"
            return BOOTSTRAP, None, f"only one {noun}"
        ends, reason = percentiles(values, self._wider())
        if ends and name.endswith("calibration_error"):
            return REFLECTED, self._reflected(name, value, ends), None
        return BOOTSTRAP, ends, reason

    def _wider(self) -> float:
        """Confidence at which percentiles of few units are wide enough.

        Resamples of n units vary by (n - 1) / n of what they should, and Student's t is
        wider than the normal distribution (Hesterberg, 2015).
        """
        n = self._num_units
        reach = stats.t.ppf((1 + self._confidence) / 2, n - 1) * (n / (n - 1)) ** 0.5
        return 1 - 2 * statistics.NormalDist().cdf(-reach)

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
