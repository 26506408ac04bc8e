"""How far the scores of late are from those on validation photographs."""

import collections
import math
from collections.abc import Sequence

import numpy as np

_Z_95 = 1.6448536  # Of the normal distribution.


class Drift:
    """The population stability index of the last scores.

    `sum((p - q) * log(p / q))` over bins in which `p` is the share of late scores and
    `q` that of validation scores. The bins are those of the card, joined until each has
    its part of the validation scores: a few dozen photographs say nothing of twenty
    bins.

    Without any drift the index is not 0 but about `(bins - 1) * (1/n + 1/m)`, for `n`
    late and `m` validation scores: over `1/n + 1/m` it follows a chi-squared
    distribution (Yurdakul and Naranjo, 2020). `limit` is what it exceeds then in one of
    twenty cases; the usual rules of 0.1 and 0.25 would alarm at nothing where the
    validation split is small.
    """

    def __init__(
        self,
        edges: Sequence[float],
        counts: Sequence[int],
        *,
        bins: int = 5,
        window: int = 1000,
    ):
        """Takes the validation scores.

        Args:
            edges: Of the card's histogram, ascending.
            counts: Validation photographs in each of its bins.
            bins: To how many they are joined, at most.
            window: How many late scores count.
        """
        self._edges, self._counts = _join(edges, counts, bins)
        self._late: collections.deque[int] = collections.deque(maxlen=window)

    def add(self, score: float) -> None:
        """Counts a score, 0-1."""
        self._late.append(int(np.searchsorted(self._edges, score, side="right")))

    @property
    def late(self) -> int:
        """How many scores count."""
        return len(self._late)

    @property
    def index(self) -> float:
        """The population stability index, or NaN before the first score."""
        if not self._late:
            return math.nan
        late = np.bincount(self._late, minlength=len(self._counts))
        # Half a score more in each bin: the logarithm of an empty one has no end.
        p, q = (
            (one + 0.5) / (one.sum() + 0.5 * len(one)) for one in (late, self._counts)
        )
        return float(((p - q) * np.log(p / q)).sum())

    @property
    def limit(self) -> float:
        """What the index exceeds in 5 % of cases without any drift; NaN without any."""
        free = len(self._counts) - 1
        if not self._late or not free:
            return math.nan
        # Wilson and Hilferty (1931).
        spread = 2 / (9 * free)
        quantile = free * (1 - spread + _Z_95 * math.sqrt(spread)) ** 3
        return quantile * (1 / len(self._late) + 1 / int(self._counts.sum()))


def _join(
    edges: Sequence[float], counts: Sequence[int], bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Inner edges and counts of neighbouring bins, joined to about equal counts."""
    counts = np.asarray(counts)
    below = np.cumsum(counts)[:-1] / counts.sum()
    chosen = sorted(
        {int(np.abs(below - part / bins).argmin()) for part in range(1, bins)}
    )
    inner = np.asarray(edges)[1:-1][chosen]
    parts = np.split(counts, np.asarray(chosen) + 1)
    return inner, np.array([part.sum() for part in parts])
