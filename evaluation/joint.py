"""Figures that two runs of different tasks have in common: how often both are right.

IDRiD's challenge ranked so: grade and risk of edema of a photograph both right (Porwal
et al., 2020).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from evaluation import compared_runs, proportions, resampling


@dataclasses.dataclass(frozen=True)
class Joint:
    """How often two runs are right about the same photographs.

    Attributes:
        first: Name of the first run.
        second: Name of the second.
        first_task: Name of the task that the first answers.
        second_task: Name of that of the second.
        both_right: On how many photographs both are right.
        only_first_right: On how many only the first is.
        only_second_right: On how many only the second is.
        both_wrong: On how many neither is.
        value: Share of the photographs on which both are right, 0-1.
        low: Lower end of its interval.
        high: Upper end.
        method: What the interval comes from.
    """

    first: str
    second: str
    first_task: str
    second_task: str
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    value: float
    low: float
    high: float
    method: str


def both_right(
    first: compared_runs.Run,
    second: compared_runs.Run,
    *,
    groups: Sequence[str | None] | None,
    confidence: float = 0.95,
) -> Joint:
    """Counts the photographs about which two runs are right.

    A run is right where the class that it predicts is the true one: of two classes
    by its threshold, of more the most probable.

    Args:
        first: A run.
        second: A run of another task on the same photographs, in the same order.
        groups: The patient of each photograph, `None` for one who is not known.
        confidence: Share of such intervals that hold the true value, 0-1 exclusive.

    Returns:
        The figures.
    """
    one, other = (run.scorer.predicted == run.scorer.labels for run in (first, second))
    both, n = one & other, len(one)
    units = resampling.number_units(groups, n)
    independent = proportions.effective_size(both.astype(np.float64), units)
    low, high = proportions.wilson(float(both.mean()), independent, confidence)
    repeats = len(np.unique(units)) < n
    return Joint(
        first=first.name,
        second=second.name,
        first_task=first.task["name"],
        second_task=second.task["name"],
        both_right=int(both.sum()),
        only_first_right=int((one & ~other).sum()),
        only_second_right=int((~one & other).sum()),
        both_wrong=int((~one & ~other).sum()),
        value=float(both.mean()),
        low=low,
        high=high,
        method="Wilson, by patient" if repeats else "Wilson",
    )
