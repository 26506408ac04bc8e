import numpy as np
import pytest

from train import collapse


@pytest.mark.parametrize(
    ("confusion", "expected"),
    [
        ([[3, 1], [0, 2]], None),
        ([[4, 0], [2, 0]], 0),
        ([[0, 0, 2], [0, 0, 1], [0, 0, 4]], 2),
        ([[6, 0], [0, 0]], None),  # All are of that class.
    ],
)
def test_one_class_for_photographs_of_several_is_seen(confusion, expected):
    assert collapse.only_class(np.array(confusion)) == expected


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([], []),
        ([0] * 4, []),
        ([0] * 5, [(0, 0, 4)]),
        ([None, 1, 1, 1, 1, 1, 1, None], [(1, 1, 6)]),
        ([0, 0, 0, 1, 1, 1], []),
        ([0, 0, 0, None, 0, 0, 0], []),
        ([0] * 5 + [1] * 5, [(0, 0, 4), (1, 5, 9)]),
    ],
)
def test_five_evaluations_in_a_row_are_a_collapse(classes, expected):
    assert collapse.find(classes) == expected
