"""Bootstrap resamples: how often each photograph is drawn."""

from collections.abc import Iterator, Sequence

import numpy as np

# Counts made at a time: ten arrays of this length fit a processor's cache.
_CHUNK = 250_000


def weights(
    labels: np.ndarray,
    units: np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> Iterator[np.ndarray]:
    """Draws whole units with replacement, each stratum keeping its number of units.

    A unit is a photograph or a patient. Its stratum is the worst label in it: strata
    by all labels of a patient would be too small to vary.

    Args:
        labels: int array of shape `(n,)`.
        units: int array of shape `(n,)`, as `number_units` returns it.
        resamples: How many resamples to draw.
        seed: Seed of the draw.

    Yields:
        float64 arrays of shape `(some, n)`: each row counts how often a resample holds
        each photograph. All of them together have `resamples` rows.
    """
    generator = np.random.default_rng(seed)
    n, num_units = len(labels), int(units.max(initial=-1)) + 1
    worst = np.full(num_units, -1, np.int64)
    np.maximum.at(worst, units, labels)
    strata = [np.flatnonzero(worst == label) for label in np.unique(worst)]
    rows = max(1, _CHUNK // max(1, n))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = np.zeros((size, num_units))
        for members in strata:
            m = len(members)
            picked = generator.integers(m, size=(size, m))
            picked += m * np.arange(size)[:, None]
            counts = np.bincount(picked.ravel(), minlength=size * m)
            drawn[:, members] = counts.reshape(size, m)
        yield drawn if num_units == n else drawn[:, units]


def number_units(groups: Sequence[str | None] | None, n: int) -> np.ndarray:
    """Numbers the units that are drawn as a whole.

    Args:
        groups: The patient of each photograph, or `None` for all of them where no
            patient is known. A photograph with `None` is a unit of its own.
        n: The number of photographs.

    Returns:
        int64 array of shape `(n,)`, from 0 in the order of appearance. It is `arange`
        where nobody has two photographs.

    Raises:
        ValueError: If there is not one group for each photograph.
    """
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(
            f"`groups` must name the patient of each of the {n} photographs, or None. "
            f"Received: {len(groups)} of them."
        )
    numbers: dict = {}
    keys = ((i,) if group is None else group for i, group in enumerate(groups))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
