"""Two or more sets of predictions on the same photographs: do they differ?"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from evaluation import intervals, metrics, paired_tests, resampling, scoring, verdicts


def compare(
    labels: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    disease_classes: tuple[int, ...],
    *,
    compared: Sequence[str] = ("auc",),
    groups: Sequence[str | None] | None = None,
    thresholds: Mapping[str, float] | None = None,
    prevalence: float | None = None,
    repeats: Sequence[Sequence[str]] = (),
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
        repeats: Names of models that differ in nothing but their seed, recipe by
            recipe, at least two of each.
        resamples: How many bootstrap resamples to draw, at least 100.
        seed: Seed of the bootstrap.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive. A
            difference is told from chance where its corrected p-value is below
            `1 - confidence`.

    Returns:
        A dict that `json.dump` takes: `n`, `patients`, `confidence`, `resamples`,
        `seed`, `repeats`, `noise` (`Noise` as a dict, or `None`, by metric), and
        `pairs`, a list of dicts with `first` and `second` (names), `repeat` (whether
        they differ in nothing but their seed), `mcnemar` (the result of
        `paired_tests.mcnemar` and `p_holm`) and `differences`: `Difference` as a dict,
        by metric.

    Raises:
        ValueError: If there are fewer than two models, an unknown metric, or
            predictions that do not fit the labels.
    """
    intervals.check_settings(resamples, confidence)
    thresholds = thresholds or {}
    _check_names(probabilities, thresholds, repeats)
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
    _check_metrics(compared, next(iter(scorers.values())).figures)
    scores = {name: one.score() for name, one in scorers.items()}
    noise = {}
    for name in compared:
        values = [[scores[one][name].value for one in group] for group in repeats]
        known = repeats and not any(None in group for group in values)
        noise[name] = paired_tests.noise_floor(values, confidence) if known else None
    units = resampling.number_units(groups, len(labels))
    clustered = len(np.unique(units)) < len(units)
    drawn = _bootstrap(scorers, units, compared, resamples, seed)

    rows, tests = {}, {}
    pairs = {
        pair: any(set(pair) <= set(group) for group in repeats)
        for pair in itertools.combinations(scorers, 2)
    }
    for pair in pairs:
        first, second = (scorers[one] for one in pair)
        tests[pair] = _mcnemar_of(first, second, clustered)
        for name in compared:
            row = _difference(*(scores[one][name] for one in pair))
            if row.reason is None and name == "auc" and not clustered:
                row = _by_delong(row, first, second, confidence)
            elif row.reason is None:
                values = drawn[pair[0]][name] - drawn[pair[1]][name]
                row = _by_bootstrap(row, values, clustered, confidence)
            rows[pair, name] = dataclasses.replace(row, noise=noise[name])
    corrected = paired_tests.holm(
        [None if pairs[pair] else row.p for (pair, _), row in rows.items()]
    )
    for (pair, name), p in zip(list(rows), corrected, strict=True):
        row = dataclasses.replace(rows[pair, name], p_holm=p)
        meaningful, verdict = verdicts.judge(*pair, name, row, confidence, pairs[pair])
        rows[pair, name] = dataclasses.replace(
            row, meaningful=meaningful, verdict=verdict
        )
    corrected = paired_tests.holm(
        [None if pairs[pair] else test["p"] for pair, test in tests.items()]
    )
    return {
        "n": len(labels),
        "patients": None if groups is None else len(np.unique(units)),
        "confidence": confidence,
        "resamples": resamples,
        "seed": seed,
        "repeats": [list(group) for group in repeats],
        "noise": {name: one and dataclasses.asdict(one) for name, one in noise.items()},
        "pairs": [
            {
                "first": pair[0],
                "second": pair[1],
                "repeat": pairs[pair],
                "mcnemar": test | {"p_holm": p},
                "differences": {
                    name: dataclasses.asdict(rows[pair, name]) for name in compared
                },
            }
            for (pair, test), p in zip(tests.items(), corrected, strict=True)
        ],
    }


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


def _difference(first: metrics.Metric, second: metrics.Metric) -> verdicts.Difference:
    values = (first.value, second.value)
    if None in values:
        return verdicts.Difference(*values, reason=first.reason or second.reason)
    return verdicts.Difference(*values, difference=values[0] - values[1])


def _by_delong(
    row: verdicts.Difference,
    first: scoring.Scorer,
    second: scoring.Scorer,
    confidence: float,
) -> verdicts.Difference:
    try:
        _, low, high, p = paired_tests.delong_test(
            first.diseased,
            first.disease_probability,
            second.disease_probability,
            confidence,
        )
    except metrics.UndefinedMetricError as error:
        return dataclasses.replace(row, method="DeLong", reason=str(error))
    return dataclasses.replace(row, low=low, high=high, p=p, method="DeLong")


def _by_bootstrap(
    row: verdicts.Difference, values: np.ndarray, clustered: bool, confidence: float
) -> verdicts.Difference:
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
    result = paired_tests.mcnemar(
        first.predicted == first.labels, second.predicted == second.labels
    )
    if clustered:
        reason = "photographs of one patient are not independent"
        return result | {"p": None, "reason": reason}
    return result


def _check_names(
    probabilities: Mapping[str, np.ndarray],
    thresholds: Mapping[str, float],
    repeats: Sequence[Sequence[str]],
) -> None:
    if len(probabilities) < 2:
        raise ValueError(
            "`probabilities` must hold at least two sets of predictions to compare. "
            f"Received: {list(probabilities)}."
        )
    for name, given in (
        ("thresholds", list(thresholds)),
        ("repeats", list(itertools.chain(*repeats))),
    ):
        unknown = [one for one in given if one not in probabilities]
        if unknown or len(set(given)) < len(given):
            raise ValueError(
                f"`{name}` must name some of {list(probabilities)}, each once. "
                f"Received: {given}."
            )


def _check_metrics(names: Sequence[str], known: Mapping[str, scoring.Figure]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"There is no metric {unknown[0]!r} to compare. Choose from {list(known)}."
        )
