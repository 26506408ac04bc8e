"""Tests of two models on the same photographs, and what several tests are worth."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from evaluation import delong, metrics


@dataclasses.dataclass(frozen=True)
class Noise:
    """How much runs differ that differ in nothing but their seed.

    Attributes:
        deviation: Standard deviation of the difference between two such runs.
        reach: Which differences chance alone makes, up to this and to either side, with
            the comparison's confidence (Student's t: few runs say little of it).
        runs: How many runs tell so.
    """

    deviation: float
    reach: float
    runs: int


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


def noise_floor(repeats: Sequence[Sequence[float]], confidence: float = 0.95) -> Noise:
    """How much two runs differ that differ in nothing but their seed.

    The deviation of a difference is that of the values, pooled over the recipes, times
    root 2.

    Args:
        repeats: A metric in repeated runs, at least two, of each of some recipes.
        confidence: Share of differences between two such runs within `reach`, 0-1
            exclusive.

    Returns:
        The noise.

    Raises:
        ValueError: If a recipe has fewer than two values, or one is not finite.
    """
    for values in repeats:
        if len(values) < 2 or not np.isfinite(values).all():
            raise ValueError(
                "`repeats` must hold a metric of at least two runs that differ in "
                f"nothing but their seed, each finite. Received: {list(values)}."
            )
    runs = sum(len(values) for values in repeats)
    freedom = runs - len(repeats)
    squares = sum(len(values) * np.var(values) for values in repeats)
    deviation = math.sqrt(2 * squares / freedom)
    reach = stats.t.ppf((1 + confidence) / 2, freedom) * deviation
    return Noise(deviation, float(reach), runs)
