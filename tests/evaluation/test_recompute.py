"""Each output's logits, computed again to the decision and the figures."""

import json

import numpy as np
import pytest

from evaluation import decision, evaluate, findings, predictions, recompute
from input_pipeline import splits, tasks
from models import outputs
from tests.evaluation import drawn_runs

CASES = {
    "softmax": (outputs.Softmax(), "temperature", ("temperature",)),
    "ordinal": (outputs.Ordinal(), "temperature", ("temperature",)),
    "regression": (outputs.Regression().for_classes(5), "cut_points", ("sigma",)),
}


def logits_of(name, grades, generator):
    """Of a model of some skill, on the scale of its output."""
    if name == "regression":
        return grades[:, None] + generator.normal(0, 0.8, (len(grades), 1))
    if name == "ordinal":
        steps = 1.5 * (grades[:, None] > np.arange(4)) - 0.75
        return steps + generator.normal(0, 1, steps.shape)
    return drawn_runs.logits_of(grades, 5, 2.0, 0)


@pytest.fixture(params=CASES)
def evaluated(request, tmp_path):
    """An evaluation of made-up logits: its folder, its output, what was fitted."""
    output, method, fitted = CASES[request.param]
    task, generator = tasks.icdr_grades(), np.random.default_rng(0)
    evaluator = evaluate.Evaluator(calibrate=method, resamples=100)
    labels = {
        name: drawn_runs.grades(80, seed) for seed, name in enumerate(("valid", "test"))
    }
    logits = {
        name: logits_of(request.param, some, generator).astype(np.float32)
        for name, some in labels.items()
    }
    decided = decision.choose(
        evaluator.operating_point,
        method,
        task,
        output,
        labels["valid"],
        logits["valid"],
        chosen_on="80 validation photographs",
    )
    said = [
        predictions.Predictions(
            split=name,
            ids=drawn_runs.ids(80, name),
            labels=labels[name],
            probabilities=decided.probabilities(output, logits[name]),
            uncalibrated=output.probabilities(logits[name]),
            logits=logits[name],
            metadata=None,
            known=dict.fromkeys(predictions.KNOWN, [""] * 80),
        )
        for name in labels
    ]
    decided.save(tmp_path)
    predictions.write_csv(tmp_path / "predictions.csv", said, task.class_names)
    evaluator.write(said, task, decided, tmp_path)
    (tmp_path / "task.json").write_text(json.dumps({"task": task.description()}))
    splits.Split(
        train=(),
        valid=tuple(said[0].ids),
        test=tuple(said[1].ids),
        left_out={},
        disputed=(),
    ).save(tmp_path / "split.json")
    return tmp_path, output, fitted


def verify(folder, output):
    found = findings.Findings(folder)
    recompute.Recomputed(folder, folder, found).verify(output, None)
    return found.conclude()


def test_what_was_fitted_is_fitted_again(evaluated):
    folder, output, _ = evaluated
    said = verify(folder, output)
    text = "its threshold was fixed beforehand, its calibration chosen again on 80"
    assert f"decision.json: {text} validation photographs.\n" in said
    assert json.loads((folder / "decision.json").read_text())["calibration"] is not None


def test_a_calibration_that_was_changed_everywhere_is_found(evaluated):
    folder, output, (key,) = evaluated
    for name in ("decision.json", "metrics.json"):
        content = json.loads((folder / name).read_text())
        place = content["decision"] if name == "metrics.json" else content
        place["calibration"][key] *= 1.001
        (folder / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"json: calibration\.{key} is ") as told:
        verify(folder, output)
    text = "predictions.csv: 'probability none' of drawn/valid/000 is "
    assert text in str(told.value)


def test_logits_of_another_output_are_found(evaluated):
    folder, output, _ = evaluated
    other = outputs.Softmax() if output.num_outputs(5) != 5 else outputs.Ordinal()
    with pytest.raises(ValueError, match=r"columns of logits is \d; the output of c"):
        verify(folder, other)
