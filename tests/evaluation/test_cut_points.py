"""Cut points against known ones, closed forms and a plain search."""

import json

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from evaluation import calibration, cut_points
from models import outputs

USUAL = outputs.Regression(5).probabilities


def drawn(n, cuts, sigma, seed=0):
    """Grades of photographs whose value is off by a normal error."""
    generator = np.random.default_rng(seed)
    values = generator.uniform(-1, 5, n)
    grades = np.searchsorted(cuts, values + sigma * generator.normal(size=n))
    return grades, values[:, np.newaxis].astype(np.float32)


def test_cut_points_and_sigma_that_made_the_grades_are_found():
    cuts, sigma = [0.2, 0.7, 2.4, 3.1], 0.6
    fitted = cut_points.fit(*drawn(50_000, cuts, sigma), USUAL)
    np.testing.assert_allclose(fitted.cut_points, cuts, atol=0.03)
    assert fitted.sigma == pytest.approx(sigma, abs=0.02)


def likelihood(fitted_cuts, sigma, labels, values):
    """Of the photographs, and of one more of each class as the usual model has it.

    It lies where the line of least squares has the class.
    """
    line = np.polynomial.Polynomial.fit(labels, values[:, 0], 1)

    def log_probabilities(at):
        edges = np.array([-np.inf, *fitted_cuts, np.inf])
        cumulated = scipy.stats.norm.cdf((edges - np.reshape(at, (-1, 1))) / sigma)
        return np.log(np.maximum(np.diff(cumulated, axis=1), 1e-300))

    numbers = np.arange(len(fitted_cuts) + 1)
    given = log_probabilities(values)[np.arange(len(labels)), labels].sum()
    edges = np.array([-np.inf, *(numbers[:-1] + 0.5), np.inf])
    usual = np.diff(
        scipy.stats.norm.cdf((edges - numbers[:, np.newaxis]) / 0.5), axis=1
    )
    return given + (usual * log_probabilities(line(numbers))).sum()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_plain_search_finds_nothing_likelier(seed):
    labels, values = drawn(80, [0.3, 0.9, 2.2, 3.3], 0.8, seed)
    fitted = cut_points.fit(labels, values, USUAL)
    reached = likelihood(fitted.cut_points, fitted.sigma, labels, values)

    def loss(at):
        if not (np.diff(at[:-1]) > 0).all() or at[-1] <= 0:
            return np.inf
        return -likelihood(at[:-1], at[-1], labels, values)

    searched = scipy.optimize.minimize(
        loss,
        [0.5, 1.5, 2.5, 3.5, 0.5],
        method="Nelder-Mead",
        options={"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-7, "fatol": 1e-10},
    )
    assert reached >= -searched.fun - 1e-6
    np.testing.assert_allclose(
        [*fitted.cut_points, fitted.sigma], searched.x, rtol=1e-3
    )


def test_of_two_classes_and_two_values_the_fit_has_a_closed_form():
    """Values 0 and 1 have shares of their own: two parameters meet both exactly."""
    counts = np.array([30, 10, 5, 35]) * 10_000
    labels = np.repeat([0, 1, 0, 1], counts)
    values = np.repeat([0.0, 0.0, 1.0, 1.0], counts)[:, np.newaxis]
    fitted = cut_points.fit(labels, values, outputs.Regression(2).probabilities)
    shares = 10 / 40, 35 / 40
    np.testing.assert_allclose(
        fitted.apply(np.array([[0.0], [1.0]]))[:, 1], shares, atol=1e-5
    )
    below, above = scipy.stats.norm.ppf(shares)
    assert fitted.sigma == pytest.approx(1 / (above - below), rel=1e-4)
    assert fitted.cut_points[0] == pytest.approx(-below / (above - below), rel=1e-4)


@pytest.mark.parametrize("absent", range(5))
def test_a_class_without_photographs_keeps_a_place_between_its_neighbours(absent):
    labels, values = drawn(400, [0.5, 1.5, 2.5, 3.5], 0.6)
    kept = labels != absent
    fitted = cut_points.fit(labels[kept], values[kept], USUAL)
    assert (np.diff(fitted.cut_points) > 0).all()
    probabilities = fitted.apply(np.linspace(-1, 5, 601)[:, np.newaxis])
    assert 0 < probabilities[:, absent].max() < 1
    assert (probabilities.max(axis=0) > 0).all()


def test_values_of_one_class_alone_stay_near_the_usual_reading():
    fitted = cut_points.fit(np.array([2, 2]), np.array([[2.0], [2.1]]), USUAL)
    np.testing.assert_allclose(fitted.cut_points, [0.5, 1.4, 2.6, 3.5], atol=0.15)


def test_faultless_values_do_not_make_sigma_0():
    labels = np.arange(100) % 5
    fitted = cut_points.fit(labels, labels[:, np.newaxis].astype(float), USUAL)
    np.testing.assert_allclose(fitted.cut_points, [0.5, 1.5, 2.5, 3.5], atol=0.01)
    assert 0.1 < fitted.sigma < 0.5


def test_hundreds_of_photographs_outweigh_the_usual_reading():
    """Values of a network that squeezes grades into a fifth of their range."""
    labels, values = drawn(1000, [0.5, 1.5, 2.5, 3.5], 0.5)
    fitted = cut_points.fit(labels, values / 5 + 1, USUAL)
    np.testing.assert_allclose(fitted.cut_points, [1.1, 1.3, 1.5, 1.7], atol=0.02)
    assert fitted.sigma == pytest.approx(0.1, abs=0.01)


def test_the_fit_follows_the_scale_of_the_values():
    labels, values = drawn(80, [0.2, 0.7, 2.4, 3.1], 0.6)
    fitted = cut_points.fit(labels, values, USUAL)
    scaled = cut_points.fit(labels, 0.01 * values - 7, USUAL)
    cuts = 0.01 * np.array(fitted.cut_points) - 7
    np.testing.assert_allclose(scaled.cut_points, cuts, atol=1e-5)
    assert scaled.sigma == pytest.approx(0.01 * fitted.sigma, rel=1e-3)


def test_values_that_say_nothing_leave_the_shares_of_the_classes():
    generator = np.random.default_rng(2)
    labels = generator.choice(5, 2000, p=[0.5, 0.1, 0.2, 0.1, 0.1])
    fitted = cut_points.fit(labels, generator.normal(size=(2000, 1)), USUAL)
    shares = np.bincount(labels) / 2000
    received = fitted.apply(np.zeros((1, 1)))[0]
    np.testing.assert_allclose(received, shares, atol=0.01)


def test_the_gradient_of_the_likelihood_is_that_of_finite_differences():
    labels, values = drawn(60, [0.2, 0.7, 2.4, 3.1], 0.6)
    weights = np.random.default_rng(0).uniform(0.5, 2, 60)
    arguments = values[:, 0].astype(float), labels, weights
    for parameters in ([1.3, 0.2, 0.4, 1.1, 0.8], [20.0, -3.0, 1e-2, 30.0, 5.0]):
        parameters = np.array(parameters)
        _, gradient = cut_points._loss(parameters, *arguments)
        numeric = scipy.optimize.approx_fprime(
            parameters, lambda at: cut_points._loss(at, *arguments)[0], 1e-7
        )
        np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-4)


def test_values_that_fall_with_the_grade_are_refused():
    labels = np.arange(100) % 5
    with pytest.raises(ValueError, match=r"values do not rise with the grades\. Train"):
        cut_points.fit(labels, (4.0 - labels)[:, np.newaxis], USUAL)


@pytest.mark.parametrize(
    ("logits", "received"),
    [(np.zeros((3, 5)), r"\(3, 5\)"), (np.zeros(3), r"\(3,\)")],
)
def test_logits_of_another_output_are_refused(logits, received):
    fitted = cut_points.CutPoints((0.5,), 0.5)
    with pytest.raises(ValueError, match=rf"output 'regression'\. .*shape {received}"):
        fitted.apply(logits)


def test_a_fit_comes_back_from_json_to_the_last_digit():
    fitted = cut_points.fit(*drawn(50, [0.2, 0.7, 2.4, 3.1], 0.6), USUAL)
    text = json.dumps(fitted.description())
    assert calibration.from_description(json.loads(text)) == fitted
