"""Score intervals against scipy, hand computation, theory and simulation."""

import numpy as np
import pytest
import scipy.stats

from evaluation import proportions


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (1, 1), (44, 47), (3, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(hits, n, confidence):
    test = scipy.stats.binomtest(hits, n)
    expected = test.proportion_ci(confidence, method="wilson")
    low, high = proportions.wilson(hits / n, n, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_reaches_but_does_not_pass_0_and_1():
    for n in range(1, 200):
        assert proportions.wilson(0, n)[0] == 0
        assert proportions.wilson(1, n)[1] == 1


@pytest.mark.parametrize("hits", [0, 1, 17, 29, 30])
def test_independent_photographs_count_as_many_as_they_are(hits):
    values = np.arange(30) < hits
    assert proportions.effective_size(values, np.arange(30)) == pytest.approx(30)
    assert proportions.kish_size(np.arange(30)) == 30


def test_the_effective_size_by_hand():
    # Two patients of two, all right and all wrong, beside the same two imaginary ones:
    # 4 squares of 1 over 8 photographs of variance 1/4 are twice a binomial's.
    units = np.array([0, 0, 1, 1])
    values = np.array([1.0, 1.0, 0.0, 0.0])
    assert proportions.effective_size(values, units) == pytest.approx(2)
    # One of each in either patient: squares of the imaginary ones alone, 2 over 2. Not
    # less than independent photographs vary.
    values = np.array([1.0, 0.0, 1.0, 0.0])
    assert proportions.effective_size(values, units) == pytest.approx(4)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_agree_patients_are_counted_not_photographs(value):
    values = np.full(12, value)
    assert proportions.effective_size(values, np.arange(12) // 2) == pytest.approx(6)
    assert proportions.effective_size(values, np.arange(12) // 4) == pytest.approx(3)
    # Unequal patients: 12 ** 2 / (6 ** 2 + 6 * 1).
    uneven = np.array([0] * 6 + [1, 2, 3, 4, 5, 6])
    assert proportions.kish_size(uneven) == pytest.approx(144 / 42)


def test_numbers_of_units_may_have_gaps():
    values, units = np.array([1.0, 0.0, 1.0, 1.0, 0.0]), np.array([0, 0, 1, 1, 2])
    assert proportions.effective_size(values, 7 * units + 2) == pytest.approx(
        proportions.effective_size(values, units)
    )


def test_values_that_vary_less_than_yes_and_no_count_for_more():
    """As squared errors do; of many photographs the imaginary ones weigh nothing."""
    values = np.random.default_rng(0).beta(2, 8, 200_000)
    independent = proportions.effective_size(values, np.arange(200_000))
    mean = values.mean()
    expected = 200_000 * mean * (1 - mean) / values.var()
    assert independent == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("truth", [0.6, 0.95])
def test_patients_of_different_sizes_are_covered(truth):
    """Beta-binomial, correlation 1/2, of patients with 1, 2, 3 and 6 photographs."""
    generator = np.random.default_rng(0)
    sizes = np.tile([1, 2, 3, 6], 8)
    units, held = np.arange(32).repeat(sizes), 0
    for _ in range(1000):
        of_patient = generator.beta(truth, 1 - truth, 32)
        right = (generator.random(len(units)) < of_patient[units]).astype(float)
        n = proportions.effective_size(right, units)
        low, high = proportions.wilson(right.mean(), n)
        held += low <= truth <= high
    # 1000 trials at 0.95 scatter by 0.007; as independent photographs 0.76 to 0.84.
    assert 0.93 <= held / 1000 <= 0.985


def test_the_interval_of_one_share_is_its_own():
    assert proportions.of_mean([0.7], [(0.5, 0.8)]) == pytest.approx((0.5, 0.8))


def test_the_interval_of_a_mean_by_hand():
    # (0.8 + 1) / 2 less and more sqrt(0.3 ** 2 + 0.4 ** 2) / 2, sqrt(0.1 ** 2) / 2.
    got = proportions.of_mean([0.8, 1.0], [(0.5, 0.9), (0.6, 1.0)])
    assert got == pytest.approx((0.65, 0.95))
    # A collapsed model: half a sensitivity of 1, half a specificity of 0.
    low, high = proportions.of_mean([1.0, 0.0], [(0.8, 1.0), (0.0, 0.1)])
    assert (low, high) == pytest.approx((0.4, 0.55))


def test_the_interval_of_a_ratio_agrees_with_the_logarithms_of_many_photographs():
    top, bottom, n = 0.3, 0.8, 40_000
    ends = [proportions.wilson(one, n) for one in (top, bottom)]
    spread = np.sqrt((1 - top) / (n * top) + (1 - bottom) / (n * bottom))
    expected = top / bottom * np.exp(np.array([-1, 1]) * 1.959964 * spread)
    got = proportions.of_ratio(top, ends[0], bottom, ends[1])
    assert got == pytest.approx(tuple(expected), rel=1e-4)


def test_ratios_at_the_edge_by_hand():
    # Above 0: the upper end is 0.2 / sqrt(0.6 * (2 - 0.6)).
    got = proportions.of_ratio(0.0, (0.0, 0.2), 1.0, (0.6, 1.0))
    assert got == pytest.approx((0, 0.2 / np.sqrt(0.84)))
    # What may be divided by 0 has no upper end.
    low, high = proportions.of_ratio(0.5, (0.4, 0.6), 0.0, (0.0, 0.2))
    assert low == pytest.approx(np.sqrt(0.4 * 0.6) / 0.2) and high == np.inf
