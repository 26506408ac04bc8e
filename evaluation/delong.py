"""Variance of areas under ROC curves on the same photographs, without resampling."""

import numpy as np
from scipy import special, stats

from evaluation import metrics


def covariance(
    diseased: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Areas under ROC curves and their covariance (DeLong et al., 1988).

    The placement values come from ranks, in `O(n log n)` (Sun and Xu, 2014), and not
    from all pairs.

    Args:
        diseased: bool array of shape `(n,)`.
        scores: float array of shape `(models, n)`, higher for disease.

    Returns:
        The areas, float64 of shape `(models,)`, and their covariance matrix, float64 of
        shape `(models, models)`.

    Raises:
        metrics.UndefinedMetricError: If there are fewer than two healthy or fewer than
            two diseased photographs.
    """
    diseased = np.asarray(diseased, bool)
    m, n = int(diseased.sum()), int((~diseased).sum())
    for count, kind in ((m, "with"), (n, "without")):
        if count < 2:
            noun = "only one photograph" if count else "no photograph"
            raise metrics.UndefinedMetricError(f"{noun} {kind} the disease")
    ranks = stats.rankdata(scores, axis=1)
    ill = ranks[:, diseased] - stats.rankdata(scores[:, diseased], axis=1)
    well = ranks[:, ~diseased] - stats.rankdata(scores[:, ~diseased], axis=1)
    # Of each diseased the share of healthy below it, of each healthy that above it.
    below, above = ill / n, 1 - well / m
    return below.mean(axis=1), np.atleast_2d(np.cov(below) / m + np.cov(above) / n)


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
    if variance <= 0 or not 0 < area < 1:
        return None
    half = stats.norm.ppf((1 + confidence) / 2) * variance**0.5 / (area * (1 - area))
    low, high = special.expit(special.logit(area) + np.array([-half, half]))
    return float(low), float(high)
