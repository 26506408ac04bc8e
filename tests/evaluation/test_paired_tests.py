"""Tests of two models against definitions, scipy and simulation."""

import numpy as np
import pytest
import scipy.stats

from evaluation import metrics, paired_tests
from tests.evaluation import drawn_predictions


def test_mcnemar_by_hand():
    # 1 against 6 photographs: P(X <= 1) of Binomial(7, 1/2) is 8/128, twice is 0.125.
    first = np.array([1] * 10 + [1] + [0] * 6 + [0] * 3, bool)
    second = np.array([1] * 10 + [0] + [1] * 6 + [0] * 3, bool)
    assert paired_tests.mcnemar(first, second) == {
        "both_right": 10,
        "only_first_right": 1,
        "only_second_right": 6,
        "both_wrong": 3,
        "p": pytest.approx(0.125),
    }
    assert paired_tests.mcnemar(first, first)["p"] == 1


def test_delongs_test_by_its_definition():
    labels, made = drawn_predictions.models(a=2.0, b=1.0)
    first, second = made["a"][:, 1], made["b"][:, 1]
    ill = labels == 1
    wins = [(one[ill][:, None] > one[~ill]).astype(float) for one in (first, second)]
    gap = wins[0] - wins[1]
    # The variance of a difference is that of the differences of placement values.
    variance = gap.mean(1).var(ddof=1) / ill.sum()
    variance += gap.mean(0).var(ddof=1) / (~ill).sum()
    p = 2 * scipy.stats.norm.sf(abs(gap.mean()) / variance**0.5)
    half = 1.959964 * variance**0.5
    got = paired_tests.delong_test(ill, first, second)
    expected = (gap.mean(), gap.mean() - half, gap.mean() + half, p)
    assert got == pytest.approx(expected, rel=1e-6)


def test_delongs_test_of_equal_models_is_true_as_often_as_it_says():
    rejected = 0
    for seed in range(400):
        labels, made = drawn_predictions.models(90, seed, a=1.5, b=1.5)
        *_, p = paired_tests.delong_test(
            labels == 1, *(one[:, 1] for one in made.values())
        )
        rejected += p < 0.1
    assert 0.06 <= rejected / 400 <= 0.145


def test_equal_rankings_do_not_differ():
    diseased = np.arange(9) % 2 == 0
    scores = np.random.default_rng(0).random(9)
    got = paired_tests.delong_test(diseased, scores, scores**3)
    assert got == (0, 0, 0, 1)
    with pytest.raises(metrics.UndefinedMetricError, match="without a variance"):
        paired_tests.delong_test(diseased, diseased * 1.0, 1.0 - diseased)


def test_holm_by_hand():
    # 0.01 * 4, then 0.02 * 3, 0.03 * 2 and 0.04 * 1, none below the one before it.
    got = paired_tests.holm([0.04, 0.01, None, 0.03, 0.02])
    assert got == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert paired_tests.holm([0.9, 0.8]) == [1, 1]
    assert paired_tests.holm([None]) == [None]


def test_the_noise_floor_is_the_spread_of_differences():
    # Standard deviation 0.01, of a difference root 2 of that; Student's t of 2 degrees
    # of freedom is 4.303 at 97.5 %.
    noise = paired_tests.noise_floor([[0.90, 0.91, 0.92]])
    assert noise.deviation == pytest.approx(0.01 * 2**0.5)
    assert noise.reach == pytest.approx(4.30265 * 0.01 * 2**0.5, rel=1e-5)
    assert noise.runs == 3


def test_the_noise_floor_is_pooled_over_recipes():
    # Squares 0.0002 with 2 degrees of freedom, and 0.0008 with 1; a recipe's own level
    # is no noise.
    noise = paired_tests.noise_floor([[0.90, 0.91, 0.92], [0.58, 0.62]])
    assert noise.deviation == pytest.approx((2 * 0.0010 / 3) ** 0.5)
    assert noise.runs == 5
    expected = scipy.stats.t.ppf(0.975, 3) * noise.deviation
    assert noise.reach == pytest.approx(expected)


@pytest.mark.parametrize("values", [[0.9], [0.9, float("nan")]])
def test_a_noise_floor_needs_two_numbers(values):
    with pytest.raises(ValueError, match=r"at least two runs.*each finite\. Received"):
        paired_tests.noise_floor([[0.8, 0.9], values])
