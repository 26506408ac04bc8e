import pathlib

import numpy as np
import pytest

from evaluation import findings

RUN = pathlib.Path("runs/a")
FILE = RUN / "metrics.json"
BY = "the CSV gives"


@pytest.fixture
def found():
    return findings.Findings(RUN)


def differences(found):
    with pytest.raises(ValueError, match=r"does not agree with itself") as raised:
        found.conclude()
    return [line.strip() for line in str(raised.value).splitlines()[1:-1]]


def test_equal_content_agrees_number_by_number(found):
    content = {"auc": 0.8, "n": 3, "bins": [0.1, {"low": None}], "rule": "fixed"}
    found.compare(FILE, "", content, content, BY)
    found.note(FILE, "was compared")
    assert found.conclude() == "metrics.json: was compared.\nAll 3 numbers agree."


@pytest.mark.parametrize(
    ("stored", "again", "expected"),
    [
        ({"auc": 0.8}, {"auc": 0.9}, "auc is 0.8; the CSV gives 0.9."),
        ({"auc": 0.8}, {}, "auc is 0.8; the CSV gives none."),
        ({}, {"auc": 0.8}, "auc is missing; the CSV gives 0.8."),
        ({"x": "nothing"}, {}, "x is nothing; the CSV gives none."),
        ({"x": {"y": [1, 2]}}, {"x": {"y": [1, 3]}}, "x.y[1] is 2; the CSV gives 3."),
        ({"x": [1]}, {"x": [1, 2]}, "the length of x is 1; the CSV gives 2."),
        ({"x": None}, {"x": 0}, "x is None; the CSV gives 0."),
        ({"x": True}, {"x": 1}, "x is True; the CSV gives 1."),
        ({"x": "a"}, {"x": "b"}, "x is a; the CSV gives b."),
        ({"x": float("nan")}, {"x": 0.5}, "x is nan; the CSV gives 0.5."),
    ],
)
def test_a_difference_is_told_with_file_key_and_both_values(
    found, stored, again, expected
):
    found.compare(FILE, "", stored, again, BY)
    assert differences(found) == [f"metrics.json: {expected}"]


@pytest.mark.parametrize(
    ("stored", "again", "agree"),
    [
        (0.8, 0.8 * (1 + 5e-10), True),
        (0.8, 0.8 * (1 + 5e-9), False),
        (0.0, 1e-17, True),
        (0.0, 1e-11, False),
        (1e-9, 1.01e-9, False),
        (3, 4, False),
    ],
)
def test_numbers_agree_to_nine_digits(found, stored, again, agree):
    found.compare(FILE, "x", stored, again, BY)
    if agree:
        text = "1 numbers differ beyond the ninth digit, as other machines"
        assert found.conclude().startswith(text)
    else:
        assert len(differences(found)) == 1


def test_a_search_may_be_given_more_tolerance(found):
    found.compare(FILE, "temperature", 1.5, 1.5000001, BY, tolerance=1e-6)
    assert "All 1 numbers agree." in found.conclude()


def test_tables_are_compared_by_row_and_column(found):
    stored, again = (
        np.array([[0.1, 0.9], [0.5, 0.5]]),
        np.array([[0.1, 0.9], [0.4, 0.5]]),
    )
    found.compare_arrays(FILE, ["a", "b"], ["healthy", "ill"], stored, again, BY)
    expected = ["metrics.json: 'healthy' of b is 0.5; the CSV gives 0.4."]
    assert differences(found) == expected


def test_of_each_file_eight_differences_are_listed(found):
    found.compare(FILE, "x", list(range(10)), list(range(1, 11)), BY)
    found.differ(RUN / "evaluate" / "valid" / "split.json", "ids", 1, 2, BY)
    *eight, more, other = differences(found)
    assert len(eight) == 8
    assert more == "metrics.json: 2 more."
    assert other == "evaluate/valid/split.json: ids is 1; the CSV gives 2."
    with pytest.raises(ValueError, match=r"^runs/a does not .* Differences: 11\."):
        found.conclude()
