"""Notices a model that has come to give all photographs the same class."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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


def only_class(confusion: np.ndarray) -> int | None:
    """The class of all predictions, if there is one although there are several labels.

    Args:
        confusion: int array of shape `(num_classes, num_classes)`, labels in rows.

    Returns:
        The class, or None.
    """
    (predicted,) = np.nonzero(confusion.sum(axis=0))
    several = np.count_nonzero(confusion.sum(axis=1)) > 1
    return int(predicted[0]) if several and len(predicted) == 1 else None


def find(classes: Sequence[int | None]) -> list[Collapse]:
    """The collapses among evaluations.

    Args:
        classes: What `only_class` said of each.

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
