"""Facts: what is read of a run, in which order, and what there is without a run."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from evaluation import facts, predictions
from input_pipeline import tasks


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (tasks.any_dr().rule, "grade >= 1, mild or worse"),
        (tasks.referable().rule, "grade >= 2, moderate or worse"),
        (tasks.icdr_grades().rule, "disease: grade >= 2, moderate or worse"),
        (
            tasks.sight_threatening(include_macular_edema=True).rule,
            "grade >= 3, severe or worse, or macular edema risk 2",
        ),
        (tasks.macular_edema().rule, "disease: risk >= 1"),
    ],
)
def test_a_rule_spells_its_grades_out(rule, expected):
    assert facts.in_words(rule).endswith(expected)


def test_bindings_are_left_when_gins_comments_are_taken_out():
    text = (
        "# Parameters for a:\n# ====\na.b = 1\n\n# Parameters for c:\n# ==\nc.d = '#'\n"
    )
    assert facts.bindings(text) == "a.b = 1\n\nc.d = '#'"


def test_a_run_is_read_with_all_that_it_left(drawn_run, audited, split):
    found = facts.read(drawn_run, drawn_run, audited)
    assert found.name == "drawn_run"
    assert found.split == split
    assert list(found.parts) == ["test", "valid"]
    assert found.headline == "test"
    assert found.scores == found.content["results"]["test"]
    assert found.where == "drawn"
    assert found.readings("test") == 1
    assert found.readings("valid") == 0
    assert found.operative_config == "train.seed = 0\n"


def test_an_evaluation_within_a_run_is_told_from_it(drawn_run, audited, tmp_path):
    run = shutil.copytree(drawn_run, tmp_path / "run")
    again = run / "evaluate" / "test-seed-3"
    again.mkdir(parents=True)
    for name in ("metrics.json", "predictions.csv"):
        shutil.copy(run / name, again)
    found = facts.read(again, run, audited)
    assert found.name == "run, evaluate/test-seed-3"
    assert found.split is not None


def test_predictions_of_no_run_have_neither_history_nor_ledger(made_up):
    found = made_up([0, 1, 1], [0.2, 0.3, 0.9])
    unknown = (
        found.audited,
        found.split,
        found.history,
        found.config,
        found.operative_config,
        found.ledger,
        found.trained,
        found.readings("test"),
        found.photograph("far/test/0"),
    )
    assert set(unknown) == {None}
    assert found.environment == []


def test_what_is_not_evaluated_says_how_it_will_be(tmp_path):
    message = r"metrics\.json does not exist: the run is not evaluated\. Evaluate it fi"
    with pytest.raises(FileNotFoundError, match=message):
        facts.read(tmp_path)


def test_a_damaged_ledger_is_named_with_its_line(drawn_run, audited, tmp_path):
    folder = shutil.copytree(drawn_run, tmp_path / "run")
    with open(folder / "ledger.jsonl", "a") as file:
        file.write('{"time": "2026\n')
    with pytest.raises(
        ValueError, match=r"ledger\.jsonl, line 2 is damaged: .*Restore"
    ):
        facts.read(folder, folder, audited)


def test_readings_of_other_datasets_are_counted_apart(drawn_run, audited, tmp_path):
    folder = shutil.copytree(drawn_run, tmp_path / "run")
    ledger = folder / "ledger.jsonl"
    entry = json.loads(ledger.read_text())
    entries = [entry, entry, entry | {"split": "messidor2"}]
    ledger.write_text("".join(json.dumps(one) + "\n" for one in entries))
    found = facts.read(folder, folder, audited)
    assert (found.readings("test"), found.readings("messidor2")) == (2, 1)


def test_a_binary_task_is_shown_by_the_five_grades(drawn_run, audited):
    found = facts.read(drawn_run, drawn_run, audited)
    labels, names, disease_classes, are_grades = found.by_grade("test")
    # Drawn are 4, 1, 4, 2 and 1 test photographs of the grades 0 to 4.
    assert np.bincount(labels).tolist() == [4, 1, 4, 2, 1]
    assert names[0] == "0 none" and names[4] == "4 proliferative"
    assert disease_classes == (2, 3, 4)
    assert are_grades


def test_a_task_that_grades_do_not_decide_is_shown_by_its_classes(drawn_run, audited):
    found = facts.read(drawn_run, drawn_run, audited)
    said = found.said["test"]
    swapped = dataclasses.replace(said, labels=1 - said.labels[::-1])
    found = dataclasses.replace(found, said={"test": swapped})
    labels, names, disease_classes, are_grades = found.by_grade("test")
    assert labels.tolist() == swapped.labels.tolist()
    assert names == ["not referable", "referable"]
    assert disease_classes == (1,)
    assert not are_grades


def said(split, **known):
    usual = {key: ["", ""] for key in predictions.KNOWN} | {"dataset": ["a", "b"]}
    return predictions.Predictions(
        split=split,
        ids=["a/1", "b/1"],
        labels=np.array([0, 1]),
        probabilities=np.eye(2),
        uncalibrated=np.eye(2),
        logits=np.zeros((2, 0)),
        metadata=None,
        known=usual | known,
    )


def test_the_test_photographs_come_first_and_the_training_ones_last(made_up):
    given = {
        "train": said("train"),
        "valid": said("valid", disputed=["", "1"]),
        "messidor2": said("messidor2", dataset=["m", "m"]),
        "test": said("test"),
    }
    found = dataclasses.replace(made_up([0, 1], [0.1, 0.8]), said=given)
    assert list(found.parts) == [
        "test",
        "test of a",
        "test of b",
        "messidor2",
        "valid",
        "valid without conflicts",
        "valid of a",
        "valid of b",
        "train",
        "train of a",
        "train of b",
    ]
    assert found.where == "a, b and m"


def test_grades_are_named_with_their_numbers_other_classes_without(made_up):
    found = made_up([0, 4], probabilities=np.eye(5)[[0, 4]], task=tasks.icdr_grades())
    assert found.class_labels[1] == "1 mild"
    assert found.label("recall_1", found.scores) == "recall of 1 mild"
    assert found.headline_metrics[-1] == "quadratic_kappa"
    titles = [title for title, _ in found.metric_groups]
    assert titles == ["Of the classes", "Of the disease"]
    names = [name for _, group in found.metric_groups for name in group]
    assert names == list(found.scores["metrics"])
