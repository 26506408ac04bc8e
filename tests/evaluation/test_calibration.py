"""Calibration against known distortions, scikit-learn and grid search."""

import json

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.isotonic
import sklearn.metrics

from evaluation import calibration, scoring


def distorted(n, num_classes, temperature, seed=0):
    """Labels drawn from softmax(logits), and those logits times a temperature."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(n, num_classes))
    cumulated = scipy.special.softmax(logits, axis=1).cumsum(axis=1)
    labels = (generator.random((n, 1)) > cumulated).sum(axis=1)
    return labels, (logits * temperature).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("num_classes", [2, 5])
def test_the_temperature_that_distorted_logits_is_found(num_classes, temperature):
    labels, logits = distorted(20_000, num_classes, temperature)
    fitted = calibration.fit_temperature(labels, logits)
    assert fitted.temperature == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_has_a_lower_log_loss():
    labels, logits = distorted(150, 5, 2.0)
    fitted = calibration.fit_temperature(labels, logits)

    def loss(temperature):
        scaled = scipy.special.softmax(logits.astype(float) / temperature, axis=1)
        return sklearn.metrics.log_loss(labels, scaled)

    best = min(loss(one) for one in np.geomspace(0.1, 10, 400))
    assert loss(fitted.temperature) <= best + 1e-9
    assert loss(fitted.temperature) < loss(1.0)


def test_a_temperature_keeps_predicted_classes_and_lowers_the_calibration_error():
    labels, logits = distorted(3000, 5, 3.0)
    fitted = calibration.fit_temperature(labels, logits)
    before = scipy.special.softmax(logits, axis=1)
    after = fitted.apply(logits)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    errors = [
        scoring.Scorer(labels, one, (3, 4)).score()["class_calibration_error"].value
        for one in (before, after)
    ]
    assert errors[1] < 0.2 * errors[0]


def test_another_output_is_calibrated_by_its_own_function():
    # Two cumulative logits: P(y > 0) and P(y > 1), as an ordinal output has them.
    def probabilities(logits):
        above = scipy.special.expit(logits)
        return np.stack([1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]], 1)

    generator = np.random.default_rng(0)
    first = 2 * generator.normal(size=20_000)
    logits = np.stack([first + 1, first - 1], axis=1)
    cumulated = probabilities(logits).cumsum(axis=1)
    labels = (generator.random((20_000, 1)) > cumulated).sum(axis=1)
    fitted = calibration.fit_temperature(labels, logits * 2.5, probabilities)
    assert fitted.temperature == pytest.approx(2.5, rel=0.04)
    np.testing.assert_allclose(
        fitted.apply(logits * fitted.temperature, probabilities),
        probabilities(logits),
    )


def test_logits_without_a_mistake_have_no_temperature():
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"make no mistake\. Give more photographs"):
        calibration.fit_temperature(labels, np.eye(2)[labels] * 9)


def test_logits_that_are_worse_than_chance_have_no_temperature():
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="say nothing about the labels"):
        calibration.fit_temperature(labels, np.eye(2)[1 - labels] * 9)


def test_isotonic_calibration_is_scikit_learns():
    labels, logits = distorted(400, 2, 3.0)
    fitted = calibration.fit_isotonic(labels, logits)
    before = scipy.special.softmax(logits.astype(float), axis=1)[:, 1]
    peer = sklearn.isotonic.IsotonicRegression(out_of_bounds="clip").fit(before, labels)
    _, others = distorted(300, 2, 6.0, seed=1)
    expected = peer.predict(scipy.special.softmax(others.astype(float), axis=1)[:, 1])
    after = fitted.apply(others)
    np.testing.assert_allclose(after[:, 1], expected, atol=1e-12)
    np.testing.assert_allclose(after.sum(axis=1), 1)


def test_isotonic_calibration_needs_two_classes_and_both_present():
    labels, logits = distorted(60, 5, 1.0)
    with pytest.raises(ValueError, match=r"Received: 5 classes.* Use a temperature"):
        calibration.fit_isotonic(labels, logits)
    with pytest.raises(ValueError, match=r"2 classes, labels \[0\]"):
        calibration.fit_isotonic(np.zeros(60, int), logits[:, :2])


@pytest.mark.parametrize("fit", ["fit_temperature", "fit_isotonic"])
def test_a_calibration_survives_json(fit):
    labels, logits = distorted(200, 2, 2.0)
    fitted = getattr(calibration, fit)(labels, logits)
    content = json.loads(json.dumps(fitted.description()))
    assert calibration.from_description(content) == fitted


def test_an_unknown_calibration_is_refused():
    with pytest.raises(ValueError, match=r"or 'cut_points'\. Received: 'platt'"):
        calibration.from_description({"method": "platt"})


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        ([0, 1], [[1, 2]], r"Received: \(1, 2\) and \(2,\)"),
        ([], np.zeros((0, 2)), "`n` at least 1"),
        ([0], [[np.nan, 1]], "`logits` must be finite"),
    ],
)
def test_what_does_not_fit_is_refused(labels, logits, message):
    for fit in (calibration.fit_temperature, calibration.fit_isotonic):
        with pytest.raises(ValueError, match=message):
            fit(np.array(labels, int), np.array(logits, float))


def test_reliability_by_hand():
    outcome = np.array([0, 1, 0, 1, 1], bool)
    rows = calibration.reliability(outcome, np.array([0.01, 0.06, 0.05, 1.0, 0.95]))
    assert len(rows) == 15
    first, last = rows[0], rows[-1]
    assert (first["start"], first["n"]) == (0, 3)
    assert first["end"] == pytest.approx(1 / 15)
    assert first["mean_probability"] == pytest.approx(0.04)
    assert first["observed"] == pytest.approx(1 / 3)
    expected = scipy.stats.binomtest(1, 3).proportion_ci(method="wilson")
    assert (first["low"], first["high"]) == pytest.approx(tuple(expected))
    assert (last["end"], last["n"], last["observed"]) == (1, 2, 1)
    assert rows[7]["n"] == 0
    assert rows[7]["observed"] is rows[7]["mean_probability"] is rows[7]["low"] is None


def test_the_diagrams_distances_are_the_calibration_error():
    labels, logits = distorted(200, 2, 3.0)
    probabilities = scipy.special.softmax(logits.astype(float), axis=1)
    rows = calibration.reliability(labels == 1, probabilities[:, 1])
    gaps = [r["n"] * abs(r["mean_probability"] - r["observed"]) for r in rows if r["n"]]
    scores = scoring.Scorer(labels, probabilities, (1,)).score()
    assert scores["calibration_error"].value == pytest.approx(sum(gaps) / 200)
