"""Two or more sets of predictions on the same photographs: do they differ?"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from evaluation import delong, intervals, metrics, resampling, scoring, table


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two sets of predictions differ in one metric.

    Attributes:
        first: The metric of the first.
        second: The metric of the second.
        difference: First less second; `None` where either is undefined.
        low: Lower end of the difference's interval.
        high: Upper end.
        p: Two-sided p-value of no difference.
        p_holm: The same, corrected for all the differences that are compared.
        method: What interval and p-value come from.
        reason: Why there is no difference, or no interval.
        noise: Standard deviation of the difference between two runs of one recipe that
            differ in nothing but their seed; `None` where it is not known.
        runs: How many runs `noise` comes from.
        verdict: A sentence that says whether the difference means anything.
    """

    first: float | None
    second: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    method: str | None = None
    reason: str | None = None
    noise: float | None = None
    runs: int = 0
    verdict: str = ""


def compare(
    labels: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    disease_classes: tuple[int, ...],
    *,
    compared: Sequence[str] = ("auc",),
    groups: Sequence[str | None] | None = None,
    thresholds: Mapping[str, float] | None = None,
    prevalence: float | None = None,
    repeats: Mapping[str, Sequence[float]] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict:
    """Compares every pair of models.

    Areas under ROC curves are compared by the paired test of DeLong et al. (1988),
    every other metric by a bootstrap that draws the same photographs for both, and the
    right and wrong predicted classes by McNemar's exact test. Where patients repeat,
    photographs are not independent: then whole patients are drawn, for the areas too,
    and McNemar's test is left out. The p-values of all differences in the result are
    corrected together (Holm, 1979), as are those of McNemar's tests; intervals are not.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        probabilities: By the model's name, float arrays of shape `(n, num_classes)`,
            0-1, rows summing to 1, in the order of `labels`.
        disease_classes: The classes that mean disease.
        compared: Which metrics, by the names of `scoring.Scorer`. Name few: each one
            more makes all of them harder to tell from chance.
        groups: The patient of each photograph, `None` for one who is not known.
        thresholds: By the model's name, the least probability that is called diseased;
            a model without one calls the most probable class.
        prevalence: Share of the diseased for `ppv_at_prevalence` and
            `npv_at_prevalence`.
        repeats: By the metric's name, its values in runs of one recipe that differ in
            nothing but their seed, at least two.
        resamples: How many bootstrap resamples to draw, at least 100.
        seed: Seed of the bootstrap.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive. A
            difference is told from chance where its corrected p-value is below
            `1 - confidence`.

    Returns:
        A dict that `json.dump` takes: `n`, `patients`, `confidence`, `resamples`,
        `seed`, and `pairs`, a list of dicts with `first` and `second` (names),
        `mcnemar` (see `mcnemar`) and `differences`: `Difference` as a dict, by metric.

    Raises:
        ValueError: If there are fewer than two models, an unknown metric, or
            predictions that do not fit the labels.
    """
    intervals.check_settings(resamples, confidence)
    thresholds, repeats = thresholds or {}, repeats or {}
    _check_names(probabilities, thresholds)
    scorers = {
        name: scoring.Scorer(
            labels,
            one,
            disease_classes,
            threshold=thresholds.get(name),
            prevalence=prevalence,
        )
        for name, one in probabilities.items()
    }
    _check_metrics((*compared, *repeats), next(iter(scorers.values())).figures)
    noise = {name: noise_floor(values) for name, values in repeats.items()}
    units = resampling.number_units(groups, len(labels))
    clustered = len(np.unique(units)) < len(units)
    drawn = _bootstrap(scorers, units, compared, resamples, seed)

    rows, tests = {}, {}
    for pair in itertools.combinations(scorers, 2):
        first, second = (scorers[one] for one in pair)
        tests[pair] = _mcnemar_of(first, second, clustered)
        for name in compared:
            row = _difference(first, second, name)
            if row.reason is None and name == "auc" and not clustered:
                row = _by_delong(row, first, second, confidence)
            elif row.reason is None:
                values = drawn[pair[0]][name] - drawn[pair[1]][name]
                row = _by_bootstrap(row, values, clustered, confidence)
            runs = len(repeats.get(name, ()))
            rows[pair, name] = dataclasses.replace(
                row, noise=noise.get(name), runs=runs
            )
    corrected = holm([row.p for row in rows.values()])
    for (pair, name), p in zip(list(rows), corrected, strict=True):
        row = dataclasses.replace(rows[pair, name], p_holm=p)
        verdict = _verdict(*pair, name, row, confidence)
        rows[pair, name] = dataclasses.replace(row, verdict=verdict)
    corrected = holm([test["p"] for test in tests.values()])
    return {
        "n": len(labels),
        "patients": None if groups is None else len(np.unique(units)),
        "confidence": confidence,
        "resamples": resamples,
        "seed": seed,
        "pairs": [
            {
                "first": pair[0],
                "second": pair[1],
                "mcnemar": test | {"p_holm": p},
                "differences": {
                    name: dataclasses.asdict(rows[pair, name]) for name in compared
                },
            }
            for (pair, test), p in zip(tests.items(), corrected, strict=True)
        ],
    }


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> dict:
    """Tests whether two models are right equally often (McNemar, 1947).

    The exact test: of the photographs on which only one of them is right, each is
    right on a binomial share of one half.

    Args:
        first_right: bool array of shape `(n,)`, whether the first model is right.
        second_right: The same of the second.

    Returns:
        The counts `both_right`, `only_first_right`, `only_second_right`, `both_wrong`,
        and `p`, two-sided, 1 where they are right on the same photographs.
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    differing = only_first + only_second
    p = stats.binomtest(only_first, differing).pvalue if differing else 1.0
    return {
        "both_right": int((first & second).sum()),
        "only_first_right": only_first,
        "only_second_right": only_second,
        "both_wrong": int((~first & ~second).sum()),
        "p": float(p),
    }


def delong_test(
    diseased: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    confidence: float = 0.95,
) -> tuple[float, float, float, float]:
    """Compares two areas under ROC curves on the same photographs.

    Args:
        diseased: bool array of shape `(n,)`.
        first: float array of shape `(n,)`, the first model's scores.
        second: float array of shape `(n,)`, the second model's scores.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        The difference, first less second; the lower and the upper end of its interval;
        the two-sided p-value (DeLong et al., 1988).

    Raises:
        metrics.UndefinedMetricError: If there are fewer than two healthy or diseased
            photographs, or two different areas without a variance.
    """
    areas, covariance = delong.covariance(diseased, np.stack([first, second]))
    difference = float(areas[0] - areas[1])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    # Of equal rankings the terms cancel up to rounding.
    if variance <= 1e-12 * max(covariance[0, 0], covariance[1, 1], 1e-12):
        if abs(difference) > 1e-12:
            raise metrics.UndefinedMetricError("two areas without a variance")
        return 0.0, 0.0, 0.0, 1.0
    deviation = math.sqrt(variance)
    half = stats.norm.ppf((1 + confidence) / 2) * deviation
    p = 2 * stats.norm.sf(abs(difference) / deviation)
    return difference, float(difference - half), float(difference + half), float(p)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Corrects p-values for their number (Holm, 1979).

    Args:
        p_values: Each 0-1; `None` where a test could not be made, which does not count.

    Returns:
        The corrected ones in the same order, 0-1: below a level `a` with a probability
        of at most `a` that any true hypothesis among them is.
    """
    order = sorted(
        (i for i, p in enumerate(p_values) if p is not None), key=lambda i: p_values[i]
    )
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def noise_floor(values: Sequence[float]) -> float:
    """How much two runs differ that differ in nothing but their seed.

    Args:
        values: A metric in repeated runs of one recipe, at least two.

    Returns:
        The standard deviation of a difference: that of the values times root 2.

    Raises:
        ValueError: If there are fewer than two values, or one is not finite.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            "`repeats` must hold a metric of at least two runs that differ in nothing "
            f"but their seed, each finite. Received: {list(values)}."
        )
    return float(math.sqrt(2) * np.std(values, ddof=1))


def _bootstrap(
    scorers: Mapping[str, scoring.Scorer],
    units: np.ndarray,
    names: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, dict[str, np.ndarray]]:
    """Metrics by model on resamples that are the same for all models."""
    labels = next(iter(scorers.values())).labels
    parts = [
        {model: scorer.values(weights, names) for model, scorer in scorers.items()}
        for weights in resampling.weights(labels, units, resamples=resamples, seed=seed)
    ]
    return {
        model: {
            name: np.concatenate([part[model][name] for part in parts])
            for name in names
        }
        for model in scorers
    }


def _difference(first: scoring.Scorer, second: scoring.Scorer, name: str) -> Difference:
    scores = [one.score()[name] for one in (first, second)]
    values = [one.value for one in scores]
    if None in values:
        reason = next(one.reason for one in scores if one.value is None)
        return Difference(*values, reason=reason)
    return Difference(*values, difference=values[0] - values[1])


def _by_delong(
    row: Difference, first: scoring.Scorer, second: scoring.Scorer, confidence: float
) -> Difference:
    try:
        _, low, high, p = delong_test(
            first.diseased,
            first.disease_probability,
            second.disease_probability,
            confidence,
        )
    except metrics.UndefinedMetricError as error:
        return dataclasses.replace(row, method="DeLong", reason=str(error))
    return dataclasses.replace(row, low=low, high=high, p=p, method="DeLong")


def _by_bootstrap(
    row: Difference, values: np.ndarray, clustered: bool, confidence: float
) -> Difference:
    method = f"paired {'patient-wise ' if clustered else ''}stratified bootstrap"
    if not np.isnan(values).any() and np.abs(values).max() <= 1e-12:
        # No photograph tells the two apart.
        return dataclasses.replace(row, low=0.0, high=0.0, p=1.0, method=method)
    ends, reason = intervals.percentiles(values, confidence)
    if reason:
        return dataclasses.replace(row, method=method, reason=reason)
    values = values[~np.isnan(values)]
    # One more than counted: no finite bootstrap shows that p is 0.
    tail = 1 + min((values <= 0).sum(), (values >= 0).sum())
    p = min(1.0, float(2 * tail / (len(values) + 1)))
    return dataclasses.replace(row, low=ends[0], high=ends[1], p=p, method=method)


def _mcnemar_of(first: scoring.Scorer, second: scoring.Scorer, clustered: bool) -> dict:
    result = mcnemar(first.predicted == first.labels, second.predicted == second.labels)
    if clustered:
        reason = "photographs of one patient are not independent"
        return result | {"p": None, "reason": reason}
    return result


def _verdict(
    first: str, second: str, name: str, row: Difference, confidence: float
) -> str:
    """A plain sentence."""
    label = table.label(name)
    if row.difference is None:
        return f"{first} and {second} cannot be compared by {label}: {row.reason}."
    better, worse = first, second
    if (row.difference < 0) != (name in scoring.LOWER_IS_BETTER):
        better, worse = second, first
    text = f"{better} is better than {worse} by {abs(row.difference):.3f} {label}"
    if row.difference == 0:
        text = f"{first} and {second} do not differ in {label}"
    seeds = "runs that differ in nothing but their seed"
    noise = f"; {seeds} differ by {row.noise:.3f}" if row.noise is not None else ""
    if row.low is None:
        return f"{text}: whether by chance cannot be said ({row.reason}){noise}."
    text += f" ({100 * confidence:g} % interval {row.low:.3f} to {row.high:.3f})"
    if row.p_holm >= 1 - confidence:
        if row.p < 1 - confidence:
            return f"{text}: among so many comparisons, no more than chance{noise}."
        return f"{text}: not distinguishable from chance{noise}."
    if row.noise is None:
        return (
            f"{text}: more than chance on these photographs; whether more than between "
            "two seeds of one recipe is not known."
        )
    reach = stats.t.ppf((1 + confidence) / 2, row.runs - 1) * row.noise
    if abs(row.difference) <= reach:
        return (
            f"{text}: more than chance on these photographs, but {seeds} can differ as "
            f"much (standard deviation {row.noise:.3f} from {row.runs} runs)."
        )
    return (
        f"{text}: more than chance on these photographs, and more than {seeds} "
        f"(standard deviation {row.noise:.3f} from {row.runs} runs)."
    )


def _check_names(
    probabilities: Mapping[str, np.ndarray], thresholds: Mapping[str, float]
) -> None:
    if len(probabilities) < 2:
        raise ValueError(
            "`probabilities` must hold at least two sets of predictions to compare. "
            f"Received: {list(probabilities)}."
        )
    unknown = set(thresholds) - set(probabilities)
    if unknown:
        raise ValueError(
            f"`thresholds` must name some of {list(probabilities)}. Received: "
            f"{sorted(unknown)}."
        )


def _check_metrics(names: Sequence[str], known: Mapping[str, scoring.Figure]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"There is no metric {unknown[0]!r} to compare. Choose from {list(known)}."
        )
