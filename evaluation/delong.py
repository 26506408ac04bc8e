"""Variance of areas under ROC curves on the same photographs, without resampling."""

import numpy as np
from scipy import optimize, special, stats

from evaluation import metrics

_NO_VARIANCE = 1e-12
"""Of equal scores the terms cancel up to rounding."""


def covariance(
    diseased: np.ndarray, scores: np.ndarray, units: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Areas under ROC curves and their covariance (DeLong et al., 1988).

    The placement values come from ranks, in `O(n log n)` (Sun and Xu, 2014), and not
    from all pairs. Where patients have several photographs these values are summed
    over each patient, healthy and diseased photographs alike (Obuchowski, 1997).

    Args:
        diseased: bool array of shape `(n,)`.
        scores: float array of shape `(models, n)`, higher for disease.
        units: int array of shape `(n,)`, from 0; photographs of equal number depend on
            each other. By default none do.

    Returns:
        The areas, float64 of shape `(models,)`, and their covariance matrix, float64 of
        shape `(models, models)`.

    Raises:
        metrics.UndefinedMetricError: If fewer than two units have a healthy photograph,
            or fewer than two a diseased one.
    """
    diseased = np.asarray(diseased, bool)
    m, n = int(diseased.sum()), int((~diseased).sum())
    if units is None:
        units = np.arange(m + n)
    noun = "photograph" if len(np.unique(units)) == m + n else "patient"
    counts = [len(np.unique(units[side])) for side in (diseased, ~diseased)]
    for count, kind in zip(counts, ("with", "without"), strict=True):
        if count < 2:
            text = f"only one {noun}" if count else "no photograph"
            raise metrics.UndefinedMetricError(f"{text} {kind} the disease")
    ranks = stats.rankdata(scores, axis=1)
    ill = ranks[:, diseased] - stats.rankdata(scores[:, diseased], axis=1)
    well = ranks[:, ~diseased] - stats.rankdata(scores[:, ~diseased], axis=1)
    # Of each diseased the share of healthy below it, of each healthy that above it.
    below, above = ill / n, 1 - well / m
    areas = below.mean(axis=1)
    of_ill = _summed(below - areas[:, None], units, diseased) / m
    of_well = _summed(above - areas[:, None], units, ~diseased) / n
    both = len(np.unique(units))
    total = sum(
        count / (count - 1) * one @ one.T
        for count, one in zip(counts, (of_ill, of_well), strict=True)
    )
    crossed = both / (both - 1) * of_ill @ of_well.T
    return areas, total + crossed + crossed.T


def interval(
    area: float, variance: float, confidence: float
) -> tuple[float, float] | None:
    """Interval of one area, on the logit scale.

    There it stays within 0-1 and covers better near 1 than the plain one (Qin and
    Hotilovac, 2008).

    Args:
        area: The area, 0-1.
        variance: Its variance.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        The lower and the upper end, 0-1; `None` where the variance is 0, as with an
        area of 0 or 1.
    """
    if variance <= _NO_VARIANCE or not 0 < area < 1:
        return None
    half = stats.norm.ppf((1 + confidence) / 2) * variance**0.5 / (area * (1 - area))
    low, high = special.expit(special.logit(area) + np.array([-half, half]))
    return float(low), float(high)


def faultless_interval(
    area: float, n_diseased: float, n_healthy: float, confidence: float
) -> tuple[float, float]:
    """Interval of an area of 0 or 1, which has no variance of its own.

    Its variance is that of exponential scores as a function of the true area
    (Newcombe, 2006, method 5), as Wilson's interval has that of a binomial.

    Args:
        area: 0 or 1.
        n_diseased: How many independent diseased photographs it is from.
        n_healthy: How many healthy ones.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        The lower and the upper end, 0-1.
    """
    z = stats.norm.ppf((1 + confidence) / 2)
    more = (n_diseased + n_healthy) / 2 - 1

    def beyond(miss: float) -> float:
        """Square of a miss, less that of the largest which chance explains."""
        spread = 1 + more * (miss / (1 + miss) + (1 - miss) / (2 - miss))
        return miss - z**2 * (1 - miss) * spread / (n_diseased * n_healthy)

    miss = float(optimize.brentq(beyond, 0.0, 1.0))
    return (1 - miss, 1.0) if area == 1 else (0.0, miss)


def _summed(values: np.ndarray, units: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Sums of the chosen photographs' values over units, `(models, units)`."""
    length = int(units.max()) + 1
    rows = [np.bincount(units[chosen], weights=one, minlength=length) for one in values]
    return np.array(rows)
