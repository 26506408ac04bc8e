"""Cut points: where on the scale of a regression one grade ends and the next begins.

Fitted by likelihood. A search for those of the best kappa gains nothing over them on
other photographs (`benchmarks/cut_points.py`), and gives no probabilities.
"""

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from evaluation.calibrations import CutPoints, check_values

_LEAST_SLOPE = 1e-6
"""1 / sigma of values that say next to nothing about the grade."""

_LEAST_GAP = 1e-6
"""Between neighbouring cut points, in sigmas: they rise strictly."""


def fit(
    labels: np.ndarray,
    logits: np.ndarray,
    probabilities: Callable[[np.ndarray], np.ndarray],
) -> CutPoints:
    """The cut points and sigma at which the labels are most likely.

    A straight line through the photographs says where on the scale each class lies.
    There one more photograph of each counts, with the grades that the output gives it
    before any fit. So a class without photographs keeps its place between its
    neighbours, and faultless values do not shrink sigma to 0; beside hundreds of
    photographs that decides next to nothing.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        logits: float array of shape `(n, 1)`.
        probabilities: The output's function before any fit, whose columns say how many
            classes there are.

    Returns:
        The model; its cut points rise strictly.

    Raises:
        ValueError: If arguments do not fit together, or values do not rise with labels.
    """
    labels, logits = np.asarray(labels, np.int64), check_values(logits)
    num_classes = probabilities(logits[:1]).shape[1]
    if labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            "`labels` must have shape `(n,)` and `logits` `(n, 1)`, `n` at least 1. "
            f"Received: {labels.shape} and {logits.shape}."
        )
    intercept, unit = _line(labels, logits[:, 0])
    if unit <= 0:
        raise ValueError(
            f"No cut points fit these {len(labels)} photographs: the values do not "
            "rise with the grades. Train longer, or leave calibration out."
        )
    # The photographs, and then for each class as many more as there are grades.
    numbers = np.arange(num_classes)
    values = (logits[:, 0] - intercept) / unit
    values = np.concatenate([values, np.repeat(numbers, num_classes)])
    grades = np.concatenate([labels, np.tile(numbers, num_classes)])
    usual = probabilities(numbers[:, np.newaxis])
    weights = np.concatenate([np.ones(len(labels)), usual.ravel()])

    # In slope and thresholds the problem is convex (Pratt, 1981), and it stays so in
    # the gaps between thresholds, which bounds can keep above 0.
    gaps = num_classes - 2
    result = optimize.minimize(
        _loss,
        x0=np.array([1.0, 0.5, *np.ones(gaps)]),
        args=(values, grades, weights),
        jac=True,
        method="L-BFGS-B",
        bounds=[(_LEAST_SLOPE, None), (None, None), *[(_LEAST_GAP, None)] * gaps],
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 20_000},
    )
    sigma = unit / result.x[0]
    cuts = intercept + sigma * np.cumsum(result.x[1:])
    return CutPoints(tuple(cuts.tolist()), float(sigma))


def _line(labels: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of a value in the grade; the slope is 1 of one grade."""
    off = labels - labels.mean()
    slope = off @ values / (off @ off) if off.any() else 1.0
    return values.mean() - slope * labels.mean(), slope


def _loss(
    parameters: np.ndarray, values: np.ndarray, grades: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean negative log-likelihood and its gradient.

    Args:
        parameters: Slope, first threshold, gaps between thresholds.
        values: float array of shape `(n,)`.
        grades: int array of shape `(n,)`.
        weights: float array of shape `(n,)`.
    """
    slope, thresholds = parameters[0], np.cumsum(parameters[1:])
    bounds = np.concatenate([[-np.inf], thresholds, [np.inf]])
    high = slope * values - bounds[grades]
    low = slope * values - bounds[grades + 1]
    log_likelihood = _log_between(high, low)
    high_share = np.exp(_log_density(high) - log_likelihood) * weights
    low_share = np.exp(_log_density(low) - log_likelihood) * weights

    by_bound = np.bincount(grades + 1, low_share, len(bounds))
    by_bound -= np.bincount(grades, high_share, len(bounds))
    by_threshold = by_bound[1:-1]
    gradient = np.concatenate(
        [
            [np.sum(values * (high_share - low_share))],
            np.cumsum(by_threshold[::-1])[::-1],  # A gap moves all thresholds above.
        ]
    )
    total = weights.sum()
    return -np.sum(weights * log_likelihood) / total, -gradient / total


def _log_density(z: np.ndarray) -> np.ndarray:
    return -(z**2) / 2 - np.log(2 * np.pi) / 2


def _log_between(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """`log(Phi(high) - Phi(low))`, exact in both tails."""
    upper = low > 0
    high, low = np.where(upper, -low, high), np.where(upper, -high, low)
    log_high, log_low = special.log_ndtr(high), special.log_ndtr(low)
    return log_high + np.log(-np.expm1(log_low - log_high))
