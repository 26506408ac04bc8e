"""Means over the runs of a trial, its folds and seeds, and how exact they are."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from evaluation import scoring

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Folds:
    """The folds that the runs of a trial are of.

    Attributes:
        count: How many, at least 2.
        of: Into how many the photographs are cut.
    """

    count: int
    of: int


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over runs.

    Attributes:
        value: The mean.
        error: Its standard error; 0 where all are alike.
        freedom: Degrees of freedom of that.
        unit: What it is over, as in "3 folds".
    """

    value: float
    error: float
    freedom: int
    unit: str

    @property
    def half(self) -> float:
        """Half the width of Student's 95 % interval."""
        return self.error * float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom))

    @property
    def p(self) -> float:
        """Two-sided p-value of a mean of 0, where not all are alike."""
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))


def mean(values: Sequence[float], folds: Folds | None = None) -> Mean:
    """The mean of a figure of a trial's runs.

    Seeds of one fold share its photographs, so that of several folds each counts once,
    with the mean of its seeds. Folds share most of their training photographs: the
    variance of their mean is not 1 / k of theirs but 1 / k + validating / training
    (Nadeau and Bengio, 2003), 1 / k + 1 / (K - 1) for k of K folds, each of which
    validates a training on all others.

    Args:
        values: Of each of at least two runs, fold by fold.
        folds: Those that they are of; None: seeds of one fold.
    """
    alone, share, name = np.asarray(values, float), 0.0, "seeds"
    if folds is not None:
        alone = alone.reshape(folds.count, -1).mean(axis=1)
        share, name = 1 / (folds.of - 1), "folds"
    error = float(alone.std(ddof=1)) * math.sqrt(1 / len(alone) + share)
    return Mean(
        value=float(alone.mean()),
        error=0.0 if np.ptp(alone) <= 1e-12 else error,
        freedom=len(alone) - 1,
        unit=f"{len(alone)} {name}",
    )


def average(
    runs: Sequence[Mapping[str, Mapping[str, Any]]], folds: Folds | None = None
) -> dict[str, dict[str, Any]]:
    """The figures of a trial from those of its runs.

    Args:
        runs: What `trial.run` returned of each, fold by fold.
        folds: Those that they are of; None: seeds of one fold.

    Returns:
        Those of a single run as they are. Of several, the `mean` of each metric that
        all of them have, with Student's interval, as far as the metric can have such
        values; without one if no two of them differ.
    """
    if len(runs) == 1:
        return {name: dict(entry) for name, entry in runs[0].items()}
    figures = {}
    for name in runs[0]:
        values = [one.get(name, {}).get("value") for one in runs]
        if None in values:
            continue
        found = mean(values, folds)
        figures[name] = {"value": found.value, "low": None, "high": None}
        if not found.error:
            figures[name]["reason"] = f"all {found.unit} are alike"
            continue
        lowest, highest = scoring.possible(name)
        figures[name] |= {
            "low": max(found.value - found.half, lowest),
            "high": min(found.value + found.half, highest),
            "method": f"Student's t over {found.unit}",
        }
    return figures
