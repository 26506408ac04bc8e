"""Metrics with their confidence intervals, as `metrics.json` holds them."""

import statistics
from collections.abc import Callable, Iterator

import numpy as np

from evaluation import metrics

PROPORTIONS = ("accuracy", "sensitivity", "specificity")

# Photographs drawn at a time. Ten arrays of this length are alive at once, 80 MB.
_CHUNK = 1_000_000


def score_with_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    disease_classes: tuple[int, ...],
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict:
    """Scores predictions, with an interval for every metric.

    Proportions have Wilson's interval. The others have the percentiles of a bootstrap
    that is stratified by class, so every class keeps its number of photographs. Where
    no resampling can show the uncertainty (a class has one photograph, or all resamples
    agree, as with faultless predictions) a figure stands without an interval, and its
    `reason` says why.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        probabilities: float array of shape `(n, num_classes)`, 0-1, rows summing to 1.
        disease_classes: The classes that mean disease: `(1,)` for a binary task,
            `(2, 3, 4)` for referable disease from five grades.
        resamples: How many bootstrap resamples to draw, at least 100.
        seed: Seed of the bootstrap.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        A dict that `json.dump` takes: `n`, `disease_classes`, `class_counts` and
        `confusion_matrix` (rows the truth), `confidence`, `resamples`, `seed`, and
        `metrics` by name. Each of these holds `n`, the photographs it is counted on,
        and `value`, `low`, `high`, `method`; without an interval `low` and `high` are
        `None` and there is a `reason`; an undefined metric has `value` `None` and a
        `reason` only.

    Raises:
        ValueError: If an argument is out of range or predictions do not fit labels.
    """
    _check_settings(resamples, confidence)
    labels, probabilities = metrics.check_predictions(
        labels, probabilities, disease_classes
    )
    scores = metrics.score(labels, probabilities, disease_classes)
    num_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    matrix = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), num_classes)

    bootstrapped = [
        name
        for name, metric in scores.items()
        if name not in PROPORTIONS and metric.value is not None
    ]
    values = bootstrap(
        _resampled_metrics(labels, probabilities, disease_classes, bootstrapped),
        labels,
        resamples=resamples,
        seed=seed,
    )
    entries = {}
    for name, metric in scores.items():
        if metric.value is None:
            entries[name] = {"value": None, "n": metric.n, "reason": metric.reason}
        elif name in PROPORTIONS:
            low, high = wilson(metric.value, metric.n, confidence)
            entries[name] = _entry(metric, low, high, "Wilson")
        else:
            lone = _lone_photograph(name, counts, disease_classes)
            entries[name] = _percentile_entry(metric, values[name], lone, confidence)
    return {
        "n": len(labels),
        "disease_classes": [int(c) for c in disease_classes],
        "class_counts": counts.tolist(),
        "confusion_matrix": matrix.tolist(),
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


def bootstrap(
    statistic: Callable[[np.ndarray], dict[str, np.ndarray]],
    strata: np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Evaluates statistics on resamples drawn with replacement within each stratum.

    Args:
        statistic: Called with an int array of shape `(some, n)`, each row the positions
            of one resample; returns arrays of shape `(some,)` by name.
        strata: int array of shape `(n,)`; every resample has as many photographs of
            each value as `strata` has.
        resamples: How many resamples to draw.
        seed: Seed of the draw.

    Returns:
        Float arrays of shape `(resamples,)` by name.
    """
    parts = [statistic(picked) for picked in _resample(strata, resamples, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _resample(strata: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yields positions of shape `(some, n)`, few enough rows to bound the memory."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    rows = max(1, _CHUNK // max(1, len(strata)))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = [
            group[generator.integers(len(group), size=(size, len(group)))]
            for group in groups
        ]
        yield np.concatenate([np.empty((size, 0), np.int64), *drawn], axis=1)


def _resampled_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    disease_classes: tuple[int, ...],
    names: list[str],
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The metrics in `names` as a function of the positions in a resample."""
    num_classes = probabilities.shape[1]
    predictions = probabilities.argmax(axis=1)
    diseased = np.isin(labels, disease_classes)
    # Ranked once: sorting every resample anew would take most of the time.
    levels, ranks = np.unique(
        metrics.disease_probability(probabilities, disease_classes),
        return_inverse=True,
    )

    def resampled(picked):
        matrix = metrics.confusion_matrix(
            labels[picked], predictions[picked], num_classes
        )
        table = metrics.score_table(diseased[picked], ranks[picked], len(levels))
        functions = {
            "balanced_accuracy": lambda: metrics.balanced_accuracy(matrix),
            "auc": lambda: metrics.auc(table),
            "quadratic_kappa": lambda: metrics.quadratic_kappa(matrix),
        }
        return {name: functions[name]() for name in names}

    return resampled


def _percentile_entry(
    metric: metrics.Metric, values: np.ndarray, lone: str | None, confidence: float
) -> dict:
    method = "stratified bootstrap"
    reason = lone or ("all resamples agree" if np.ptp(values) == 0 else None)
    if reason:
        return _entry(metric, None, None, method) | {"reason": reason}
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return _entry(metric, float(low), float(high), method)


def _lone_photograph(
    name: str, counts: np.ndarray, disease_classes: tuple[int, ...]
) -> str | None:
    """Says which group of one photograph no resample can vary."""
    if name == "auc":
        diseased = counts[list(disease_classes)].sum()
        groups = {
            "with the disease": diseased,
            "without the disease": counts.sum() - diseased,
        }
    else:
        groups = {f"of class {c}": count for c, count in enumerate(counts)}
    lone = [group for group, count in groups.items() if count == 1]
    return f"only one photograph {lone[0]}" if lone else None


def _entry(
    metric: metrics.Metric, low: float | None, high: float | None, method: str
) -> dict:
    return {
        "value": metric.value,
        "low": low,
        "high": high,
        "method": method,
        "n": metric.n,
    }


def _check_settings(resamples: int, confidence: float) -> None:
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
