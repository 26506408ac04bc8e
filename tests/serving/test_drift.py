"""The index against a hand computation, its limit against scipy and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from serving import drift

EDGES = np.linspace(0, 1, 21)


def test_the_index_of_a_hand_computation():
    one = drift.Drift([0, 0.5, 1], [30, 50], bins=2)
    for score in (0.1, 0.2, 0.3, 0.6):
        one.add(score)
    # (3.5/5, 1.5/5) against (30.5/81, 50.5/81)
    expected = (0.7 - 30.5 / 81) * math.log(0.7 / (30.5 / 81))
    expected += (0.3 - 50.5 / 81) * math.log(0.3 / (50.5 / 81))
    assert one.index == pytest.approx(expected)
    assert one.late == 4


def test_a_score_on_an_edge_belongs_to_the_bin_above_it():
    one = drift.Drift([0, 0.5, 1], [10, 10], bins=2)
    two = drift.Drift([0, 0.5, 1], [10, 10], bins=2)
    one.add(0.5)
    two.add(0.6)
    assert one.index == two.index


def test_bins_are_joined_to_about_equal_counts():
    counts = [7, 5, 11, 2, 4, 2, 3, 0, 1, 0, 0, 3, 3, 1, 0, 1, 1, 0, 4, 33]
    edges, joined = drift._join(EDGES, counts, 5)
    assert joined.sum() == 81 and (joined >= 8).all()
    assert len(edges) == len(joined) - 1
    inside = np.repeat(EDGES[:-1] + 0.025, counts)
    np.testing.assert_array_equal(np.histogram(inside, [0, *edges, 1])[0], joined)


def test_the_limit_is_the_quantile_of_a_chi_squared_distribution():
    one = drift.Drift(EDGES, [10] * 20)
    for score in np.linspace(0, 0.99, 50):
        one.add(score)
    expected = stats.chi2.ppf(0.95, 4) * (1 / 50 + 1 / 200)
    assert one.limit == pytest.approx(expected, rel=0.01)


def test_without_drift_the_limit_is_exceeded_in_one_of_twenty_cases():
    random, above = np.random.default_rng(0), 0
    for _ in range(400):
        counts = np.histogram(random.beta(0.5, 0.5, 200), EDGES)[0]
        one = drift.Drift(EDGES, counts)
        for score in random.beta(0.5, 0.5, 300):
            one.add(score)
        above += one.index > one.limit
    assert 0.02 < above / 400 < 0.09


def test_a_shift_is_seen():
    random = np.random.default_rng(0)
    one = drift.Drift(EDGES, np.histogram(random.beta(0.5, 0.5, 200), EDGES)[0])
    for score in random.beta(2, 5, 300):
        one.add(score)
    assert one.index > 3 * one.limit


def test_only_the_last_scores_count():
    one = drift.Drift([0, 0.5, 1], [10, 10], bins=2, window=4)
    for score in [0.1] * 100 + [0.1, 0.9, 0.1, 0.9]:
        one.add(score)
    assert one.late == 4
    assert one.index == pytest.approx(0)


def test_without_a_score_there_is_no_index():
    one = drift.Drift([0, 0.5, 1], [10, 10])
    assert math.isnan(one.index) and math.isnan(one.limit)
