import pytest

from train import collapse


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


@pytest.mark.parametrize(
    ("classes", "overcome", "lasting"),
    [
        ([0] * 4, [], None),
        ([0] * 6, [False], (0, 0, 5)),
        ([0] * 5 + [None], [True], None),
        ([0] * 5 + [1] * 2, [False], (0, 0, 4)),  # It still tells none apart.
        ([0] * 5 + [1] * 2 + [None, 0], [True], None),
        ([0] * 5 + [None] + [1] * 5, [True, False], (1, 6, 10)),
    ],
)
def test_a_collapse_lasts_until_classes_are_told_apart(classes, overcome, lasting):
    found = collapse.find(classes)
    assert [collapse.overcome(one, classes) for one in found] == overcome
    assert collapse.lasts(classes) == lasting
