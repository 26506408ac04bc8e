"""NumPy's functions against SciPy's, and against those that training uses."""

import numpy as np
import pytest
from scipy import special, stats

from models import outputs, probabilities


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_softmax_is_scipys_to_the_last_bit(num_classes):
    logits = np.random.default_rng(0).normal(0, 9, (500, num_classes))
    for given in (logits, logits.astype(np.float32), 100 * logits):
        expected = special.softmax(given.astype(np.float64), axis=-1)
        np.testing.assert_array_equal(probabilities.softmax(given), expected)


def test_ordinal_probabilities_are_products_of_scipys_expit():
    logits = np.random.default_rng(0).normal(0, 9, (500, 2))
    first, second = special.expit(logits).T
    expected = np.stack([1 - first, first * (1 - second), first * second], axis=1)
    np.testing.assert_allclose(probabilities.ordinal(logits), expected, atol=1e-15)


def test_huge_logits_overflow_nowhere():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [0.0, 1e30]])
    for function in (probabilities.softmax, probabilities.ordinal):
        np.testing.assert_allclose(function(logits).sum(axis=1), 1)


def test_grades_have_the_probabilities_of_scipys_normal_distribution():
    values = np.linspace(-3, 7, 101)[:, np.newaxis]
    cuts, sigma = np.array([0.4, 1.5, 2.7]), 0.8
    cumulative = stats.norm.cdf(cuts, loc=values, scale=sigma)
    cumulative = np.pad(cumulative, ((0, 0), (1, 0)))
    expected = np.diff(cumulative, append=1.0, axis=1)
    received = probabilities.grades(values, cuts, sigma)
    np.testing.assert_allclose(received, expected, atol=1e-14)
    # A difference of numbers near 1 loses these digits.
    np.testing.assert_allclose(
        received[:, -1], stats.norm.sf((2.7 - values[:, 0]) / 0.8)
    )


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("name", ["softmax", "ordinal", "regression"])
def test_a_name_gives_the_function_of_the_output_of_this_name(name, num_classes):
    output = outputs.by_name(name, num_classes)
    shape = (50, output.num_outputs(num_classes))
    logits = np.random.default_rng(0).normal(1, 3, shape)
    function = probabilities.by_output(name, num_classes)
    np.testing.assert_array_equal(function(logits), output.probabilities(logits))


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(
        ValueError, match=r"softmax, ordinal, regression\. Received: 'tanh'\. Use"
    ):
        probabilities.by_output("tanh", 2)
