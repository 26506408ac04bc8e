"""Whether a run is called worse than a reference by less than a margin."""

import dataclasses

import pytest

from evaluation import non_inferiority, verdicts

# The teacher's 0.90 less the student's 0.888.
NEAR = verdicts.Difference(0.9, 0.888, 0.012, low=-0.008, high=0.031, method="DeLong")


def judge(metric="auc", margin=0.05, **changes):
    row = dataclasses.asdict(dataclasses.replace(NEAR, **changes))
    return non_inferiority.judge("teacher", "student", metric, row, margin)


def test_an_interval_above_the_margin_is_not_inferior():
    found = judge()
    assert found.answer == "not inferior"
    assert (found.advantage, found.low, found.high) == (-0.012, -0.031, 0.008)
    assert found.verdict == (
        "student is not inferior to teacher in AUC by a margin of 0.05: difference "
        "-0.012 (-0.031 to 0.008)."
    )


def test_an_interval_below_the_margin_is_inferior():
    found = judge(difference=0.1, low=0.06, high=0.14)
    assert found.answer == "inferior"
    assert found.verdict == (
        "student is inferior to teacher in AUC by more than the margin of 0.05: "
        "difference -0.100 (-0.140 to -0.060)."
    )


def test_an_interval_across_the_margin_shows_nothing():
    found = judge(difference=0.03, low=-0.02, high=0.08)
    assert found.answer == "not shown"
    assert found.verdict == (
        "It is not shown that student is not inferior to teacher in AUC by a margin of "
        "0.05: difference -0.030 (-0.080 to 0.020)."
    )


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (-0.2, -0.1, "not inferior"),  # The student is better, and far.
        (0.01, 0.049, "not inferior"),  # Worse beyond chance, but by less.
        (0.01, 0.05, "not shown"),
        (0.05, 0.1, "not shown"),
        (0.051, 0.1, "inferior"),
    ],
)
def test_an_end_at_the_margin_shows_nothing(low, high, answer):
    assert judge(difference=(low + high) / 2, low=low, high=high).answer == answer


def test_where_lower_is_better_the_difference_is_turned_round():
    # Errors of 0.10 and 0.18: of the student more.
    worse = {"first": 0.1, "second": 0.18, "difference": -0.08}
    found = judge("brier", low=-0.1, high=-0.06, **worse)
    assert (found.answer, found.advantage) == ("inferior", -0.08)
    assert (found.low, found.high) == (-0.1, -0.06)
    assert found.verdict.endswith(
        "in Brier by more than the margin of 0.05: difference, turned round since "
        "lower is better, -0.080 (-0.100 to -0.060)."
    )
    better = {"first": 0.18, "second": 0.1, "difference": 0.08}
    assert judge("brier", low=0.06, high=0.1, **better).answer == "not inferior"


def test_without_an_interval_the_reason_is_said():
    found = judge(low=None, high=None, reason="all resamples agree")
    assert (found.answer, found.low, found.high) == ("not known", None, None)
    assert found.advantage == -0.012
    assert found.verdict == (
        "It is not known whether student is inferior to teacher in AUC by a margin of "
        "0.05: all resamples agree."
    )
    nothing = {"difference": None, "low": None, "high": None}
    found = judge(**nothing, reason="no photograph with the disease")
    assert (found.answer, found.advantage) == ("not known", None)


def test_of_an_interval_without_a_width_nothing_is_known():
    found = judge(difference=0.0, low=0.0, high=0.0)
    assert found.answer == "not known"
    assert found.verdict.endswith(
        "0.05: no photograph tells the two apart, so the interval has no width."
    )


def test_nothing_is_written_as_less_than_nothing():
    assert "difference 0.000 (-0.010 to 0.010)." in (
        judge(difference=0.0, low=-0.01, high=0.01).verdict
    )
