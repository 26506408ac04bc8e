"""Score intervals of shares of photographs, of their means and of their ratios.

Unlike a bootstrap they are right for few photographs and near 0 and 1, where all
resamples agree. Photographs of one patient are no independent ones: they count as the
number of independent photographs that vary as much.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np

Ends = tuple[float, float]
"""Lower and upper end of an interval."""


def wilson(proportion: float, n: float, confidence: float = 0.95) -> Ends:
    """Score interval of a proportion (Wilson, 1927).

    Args:
        proportion: The observed share, 0-1.
        n: How many independent photographs it is a share of, above 0; not a whole
            number where patients repeat.
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


def effective_size(values: np.ndarray, units: np.ndarray) -> float:
    """How many independent photographs of yes or no tell as much about a mean.

    It is the number of photographs over their design effect, the variance between
    patients over that of a binomial (Rao and Scott, 1992; Saha et al., 2016, with
    Wilson's interval). Few errors do not show how they cluster, none at all least:
    the design effect is that of the photographs with two imaginary patients beside
    them, all right and all wrong, each with as many photographs as `kish_size` counts
    for one. So it is 1 where nobody repeats, and the worst possible where all values
    are equal. It is never taken for less than that of as many independent photographs.

    Args:
        values: float array of shape `(n,)`, 0-1: right or wrong, or a squared error.
        units: int array of shape `(n,)`, from 0; photographs of equal number depend on
            each other.

    Returns:
        The number, above 0.
    """
    alone = np.arange(len(values))
    effect = max(_design_effect(values, units), _design_effect(values, alone))
    return len(values) / effect


def kish_size(units: np.ndarray) -> float:
    """How many independent photographs there are at least (Kish, 1965).

    That is if those of one patient always agree: the number of patients where all have
    equally many photographs.

    Args:
        units: int array of shape `(n,)`, from 0, n at least 1.

    Returns:
        The number, 1 to n.
    """
    return len(units) ** 2 / float((np.bincount(units) ** 2).sum())


def of_mean(shares: Sequence[float], intervals: Sequence[Ends]) -> Ends:
    """Interval of the mean of independent shares, from theirs (Zou and Donner, 2008).

    Args:
        shares: Each 0-1, at least one.
        intervals: The interval of each.

    Returns:
        The lower and the upper end, 0-1.
    """
    centre, parts = np.array(shares), np.array(intervals) / len(shares)
    mean, centre = centre.mean(), centre / len(shares)
    low = mean - np.linalg.norm(centre - parts[:, 0])
    high = mean + np.linalg.norm(parts[:, 1] - centre)
    return max(0.0, float(low)), min(1.0, float(high))


def of_ratio(top: float, of_top: Ends, bottom: float, of_bottom: Ends) -> Ends:
    """Interval of the ratio of two independent shares (Donner and Zou, 2012).

    Args:
        top: The share above, 0-1.
        of_top: Its interval.
        bottom: The share below, 0-1; not 0 together with `top`.
        of_bottom: Its interval.

    Returns:
        The lower and the upper end, from 0; the upper is infinite where the share below
        may be 0.
    """
    product = top * bottom

    def root_of(above: float, below: float) -> float:
        return math.sqrt(max(0.0, product**2 - above * below))

    above = of_top[0] * (2 * top - of_top[0])
    below = of_bottom[1] * (2 * bottom - of_bottom[1])
    low = above / (product + root_of(above, below)) if above > 0 else 0.0
    above = of_top[1] * (2 * top - of_top[1])
    below = of_bottom[0] * (2 * bottom - of_bottom[0])
    high = (product + root_of(above, below)) / below if below > 0 else math.inf
    return low, high


def _design_effect(values: np.ndarray, units: np.ndarray) -> float:
    """Variance between units, two imaginary ones included, over that of a binomial."""
    sizes = np.bincount(units).astype(np.float64)
    sums = np.bincount(units, weights=values)
    size = (sizes**2).sum() / len(values)  # Of the unit of a photograph, on average.
    n = len(values) + 2 * size
    mean = (sums.sum() + size) / n
    squares = ((sums - mean * sizes) ** 2).sum()
    squares += size**2 * ((1 - mean) ** 2 + mean**2)
    return squares / (n * mean * (1 - mean))
