"""Notices a model that has come to give all photographs the same class."""

from collections.abc import Sequence
from typing import NamedTuple

EVALUATIONS = 5
"""After so many in a row it is no accident: a network from scratch starts with a few,
while batch statistics settle."""


class Collapse(NamedTuple):
    """Evaluations in a row whose predictions are all of one class.

    Attributes:
        predicted: The class.
        first: Place of the first of them, from 0.
        last: Place of the last of them.
    """

    predicted: int
    first: int
    last: int


def find(classes: Sequence[int | None]) -> list[Collapse]:
    """The collapses among evaluations.

    Args:
        classes: What `metrics.only_class` said of each.

    Returns:
        Those of `EVALUATIONS` or more.
    """
    runs: list[Collapse] = []
    for place, predicted in enumerate(classes):
        if predicted is None:
            continue
        if runs and runs[-1].predicted == predicted and runs[-1].last == place - 1:
            runs[-1] = runs[-1]._replace(last=place)
        else:
            runs.append(Collapse(predicted, place, place))
    return [one for one in runs if one.last - one.first + 1 >= EVALUATIONS]


def overcome(one: Collapse, classes: Sequence[int | None]) -> bool:
    """Whether a model told classes apart again after a collapse.

    Args:
        one: The collapse.
        classes: The evaluations among which it was found.
    """
    return None in classes[one.last + 1 :]


def lasts(classes: Sequence[int | None]) -> Collapse | None:
    """The collapse that a model is still in after the last of some evaluations."""
    lasting = [one for one in find(classes) if not overcome(one, classes)]
    return lasting[-1] if lasting else None
