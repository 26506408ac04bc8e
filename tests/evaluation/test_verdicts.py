"""What is said of a difference."""

import dataclasses

import pytest

from evaluation import paired_tests, verdicts

CLEAR = verdicts.Difference(
    0.9, 0.8, 0.1, low=0.02, high=0.18, p=0.002, p_holm=0.004, method="DeLong"
)


def judge(row, name="auc", repeat=False, **changes):
    row = dataclasses.replace(row, **changes)
    return verdicts.judge("a", "b", name, row, 0.95, repeat)


def noise(deviation, reach, runs):
    return paired_tests.Noise(deviation, reach, runs)


def test_a_clear_difference_without_repeats_leaves_the_seed_open():
    assert judge(CLEAR) == (
        None,
        "a is better than b by 0.100 AUC (95 % interval 0.020 to 0.180): more than "
        "chance on these photographs; whether more than between two seeds of one "
        "recipe is not known.",
    )


def test_a_clear_difference_beyond_the_noise_means_something():
    meaningful, text = judge(CLEAR, noise=noise(0.01, 0.03, 4))
    assert meaningful is True
    assert text.endswith(
        "more than chance on these photographs, and more than runs that differ in "
        "nothing but their seed (standard deviation 0.010 from 4 runs)."
    )


def test_a_clear_difference_within_the_noise_means_nothing():
    meaningful, text = judge(CLEAR, noise=noise(0.03, 0.38, 2))
    assert meaningful is False
    assert text.endswith(
        "but runs that differ in nothing but their seed can differ as much (standard "
        "deviation 0.030 from 2 runs)."
    )


def test_an_unclear_difference_is_called_so_beside_the_noise():
    row = {"p": 0.2, "p_holm": 0.4, "low": -0.05, "high": 0.25}
    assert judge(CLEAR, **row, noise=noise(0.014, 0.06, 3)) == (
        False,
        "a is better than b by 0.100 AUC (95 % interval -0.050 to 0.250): not "
        "distinguishable from chance; runs that differ in nothing but their seed "
        "differ by 0.014.",
    )


def test_a_difference_that_many_comparisons_explain_is_called_so():
    meaningful, text = judge(CLEAR, p=0.03, p_holm=0.12)
    assert meaningful is False
    assert text.endswith("0.180): among so many comparisons, no more than chance.")


def test_a_difference_between_repeats_is_noise_however_clear():
    meaningful, text = judge(CLEAR, p_holm=None, repeat=True)
    assert meaningful is False
    assert text.endswith("0.180): nothing but their seed differs, so this is noise.")


@pytest.mark.parametrize("name", ["auc", "brier"])
def test_the_interval_is_that_of_the_advantage(name):
    _, text = judge(CLEAR, name, difference=-0.1, low=-0.18, high=-0.02)
    better = "b is better than a" if name == "auc" else "a is better than b"
    assert text.startswith(f"{better} by 0.100")
    assert "(95 % interval 0.020 to 0.180)" in text


def test_what_cannot_be_said_is_not_said():
    row = verdicts.Difference(None, 0.8, reason="no photograph with the disease")
    assert judge(row) == (
        None,
        "a and b cannot be compared by AUC: no photograph with the disease.",
    )
    meaningful, text = judge(
        CLEAR, low=None, high=None, p=None, p_holm=None, reason="all resamples agree"
    )
    assert meaningful is None
    assert text.endswith("AUC: whether by chance cannot be said (all resamples agree).")


def test_a_difference_below_the_last_digit_is_not_called_nothing():
    _, text = judge(CLEAR, difference=0.0002, low=-0.1, high=0.1, p=0.9, p_holm=0.9)
    assert text.startswith(
        "a is better than b by less than 0.001 AUC (95 % interval -0"
    )
