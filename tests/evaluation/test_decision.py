"""A decision works with every output, and comes back from JSON as it was."""

import json

import numpy as np
import pytest

from evaluation import calibration, cut_points, decision, operating_point
from input_pipeline import tasks
from models import outputs

OUTPUTS = {
    "softmax": outputs.Softmax(),
    "ordinal": outputs.Ordinal(),
    "regression": outputs.Regression(5),
}


def drawn(output, n=400):
    """Labels of five grades and logits that know about them."""
    generator = np.random.default_rng(0)
    labels = generator.choice(5, n, p=[0.3, 0.1, 0.3, 0.2, 0.1])
    seen = (labels + generator.normal(0, 0.7, n))[:, np.newaxis]
    logits = {
        "softmax": -3 * (seen - np.arange(5)) ** 2,
        "ordinal": 8 * (seen - np.arange(4) - 0.5),
        "regression": 0.7 * seen + 0.5,
    }[output.name]
    return labels, logits.astype(np.float32)


def chosen(output, method, labels, logits):
    return decision.choose(
        operating_point.Youden(),
        method,
        tasks.icdr_grades(),
        output,
        labels,
        logits,
        chosen_on="drawn photographs",
    )


def log_loss(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("name", OUTPUTS)
def test_each_output_is_calibrated_in_its_own_way_and_the_better_for_it(name):
    output = OUTPUTS[name]
    labels, logits = drawn(output)
    decided = chosen(output, output.calibrations[0], labels, logits)
    assert isinstance(
        decided.calibration, calibration.Temperature | cut_points.CutPoints
    )
    assert decided.note is None
    before = log_loss(output.probabilities(logits), labels)
    after = log_loss(decided.probabilities(output, logits), labels)
    assert after < before - 0.02
    assert 0 < decided.threshold < 1
    assert decided.operating_point.sensitivity > 0.8


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_decision_comes_back_from_its_file(name, tmp_path):
    output = OUTPUTS[name]
    labels, logits = drawn(output)
    decided = chosen(output, output.calibrations[0], labels, logits)
    decided.save(tmp_path)
    loaded = decision.load(tmp_path)
    assert loaded == decided
    np.testing.assert_array_equal(
        loaded.probabilities(outputs.by_name(name, 5), logits),
        decided.probabilities(output, logits),
    )
    written = json.loads((tmp_path / decision.FILE).read_text())
    assert written["calibration"]["method"] == output.calibrations[0]


def test_a_hot_ordinal_output_is_cooled_by_the_temperature_that_heated_it():
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, (20_000, 4))
    goes_on = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
    labels = np.where(goes_on.all(axis=1), 4, (~goes_on).argmax(axis=1))
    output = outputs.Ordinal()
    fitted = calibration.fit_temperature(labels, 3 * logits, output.probabilities)
    assert fitted.temperature == pytest.approx(3.0, rel=0.03)


@pytest.mark.parametrize("output", [outputs.Ordinal(), outputs.Regression(2)])
def test_isotonic_calibration_takes_every_output_of_two_classes(output):
    generator = np.random.default_rng(2)
    labels = np.arange(300) % 2
    logits = (labels + generator.normal(0, 0.6, 300))[:, np.newaxis]
    decided = decision.choose(
        operating_point.Fixed(),
        "isotonic",
        tasks.referable(),
        output,
        labels,
        logits,
        chosen_on="drawn photographs",
    )
    probabilities = decided.probabilities(output, logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert log_loss(probabilities.clip(1e-9), labels) < log_loss(
        output.probabilities(logits), labels
    )


@pytest.mark.parametrize(
    ("name", "method", "way_out"),
    [
        ("softmax", "cut_points", "temperature"),
        ("ordinal", "cut_points", "temperature"),
        ("regression", "temperature", "cut_points"),
    ],
)
def test_a_calibration_that_an_output_does_not_have_is_refused(name, method, way_out):
    output = OUTPUTS[name]
    labels, logits = drawn(output)
    message = rf"output {name!r}\. Received: {method!r}\. Bind .* = {way_out!r}\.$"
    with pytest.raises(ValueError, match=message):
        chosen(output, method, labels, logits)


def test_values_that_fall_with_the_grade_are_left_uncalibrated_and_that_is_said():
    output = OUTPUTS["regression"]
    labels, logits = drawn(output)
    decided = decision.choose(
        operating_point.Fixed(),
        "cut_points",
        tasks.icdr_grades(),
        output,
        labels,
        -logits,
        chosen_on="drawn photographs",
    )
    assert decided.calibration is None
    assert "values do not rise with the grades" in decided.note
    np.testing.assert_array_equal(
        decided.probabilities(output, -logits), output.probabilities(-logits)
    )
