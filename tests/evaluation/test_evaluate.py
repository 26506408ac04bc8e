import csv
import json

import keras
import numpy as np
import pytest
from sklearn import metrics

from evaluation import evaluate, networks
from input_pipeline import tasks
from models import outputs


@pytest.fixture
def model():
    inputs = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, keras.layers.Dense(5)(pooled))


def grade(model, audited, split, folder, **settings):
    network = networks.Network("it", model, split.train)
    return evaluate.Evaluator(**settings).evaluate(
        [network], tasks.icdr_grades(), outputs.Softmax(), audited, split, folder
    )


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_photograph_of_each_split_appears_once(audited, split, model, tmp_path):
    grade(model, audited, split, tmp_path)
    rows = read(tmp_path / "predictions.csv")
    assert [row["id"] for row in rows] == [*split.valid, *split.test]
    grades = {one.id: one.grade for one in audited.collection.photographs}
    assert all(int(row["label"]) == grades[row["id"]] for row in rows)


def test_the_figures_are_scikit_learns_on_the_written_predictions(
    audited, split, model, tmp_path
):
    grade(model, audited, split, tmp_path, splits=("train",))
    rows = read(tmp_path / "predictions.csv")
    labels = np.array([int(row["label"]) for row in rows])
    predicted = np.array([int(row["predicted"]) for row in rows])
    probability = [
        sum(float(value) for name, value in row.items() if name in names)
        for row in rows
        for names in [[f"probability {one}" for one in evaluate_names()[2:]]]
    ]
    written = json.loads((tmp_path / "metrics.json").read_text())
    written = written["results"]["train"]["metrics"]
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "auc": metrics.roc_auc_score(labels >= 2, probability),
        "quadratic_kappa": metrics.cohen_kappa_score(
            labels, predicted, weights="quadratic"
        ),
        "sensitivity": metrics.recall_score(labels >= 2, predicted >= 2),
    }
    for name, value in expected.items():
        assert written[name]["value"] == pytest.approx(value, abs=1e-6), name


def evaluate_names():
    return tasks.icdr_grades().class_names


def test_pictures_are_drawn_for_each_split(audited, split, model, tmp_path):
    grade(model, audited, split, tmp_path)
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {
        f"{kind}_{name}.png"
        for kind in ("confusion_matrix", "roc", "scores")
        for name in ("valid", "test")
    }


def test_the_report_names_rule_splits_and_metrics(audited, split, model, tmp_path):
    grade(model, audited, split, tmp_path)
    text = evaluate.report(json.loads((tmp_path / "metrics.json").read_text()))
    for words in ("grade >= 2", "valid", "test", "balanced accuracy", "95 %"):
        assert words in text


def test_the_report_ends_with_a_warning_of_a_collapsed_model(drawn_run):
    content = json.loads((drawn_run / "metrics.json").read_text())
    content["results"]["valid"]["confusion_matrix"] = [[5, 3], [1, 2]]
    content["results"]["test"]["confusion_matrix"] = [[0, 5], [0, 7]]
    assert evaluate.report(content).endswith(
        "\n\nWarning: the model has collapsed. In test it gives every photograph the "
        "same class, referable."
    )
    content["results"]["valid"]["confusion_matrix"] = [[0, 5], [0, 3]]
    assert "collapsed. In valid, test it gives" in evaluate.report(content)
    for name in ("valid", "test"):
        content["results"][name]["confusion_matrix"] = [[0, 0], [1, 7]]
    assert "collapsed" not in evaluate.report(content)  # All are of one class.


def test_too_few_resamples_are_refused_before_anything_is_read():
    with pytest.raises(ValueError, match=r"at least 100.*Received: resamples=10\."):
        evaluate.Evaluator(resamples=10)


def test_a_split_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"once\. Received: \('test', 'test'\)"):
        evaluate.Evaluator(splits=("test", "test"))


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"`evaluate.splits`.*Received: \('tset',\)"):
        evaluate.Evaluator(splits=("tset",))
