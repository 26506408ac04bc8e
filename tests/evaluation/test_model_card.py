"""The model card: purpose, data, metrics with intervals and limits, in Markdown."""

import copy
import dataclasses
import re

import pytest

from evaluation import facts, model_card, remarks, report
from input_pipeline import photograph, records, tasks


@pytest.fixture
def drawn(drawn_run, audited):
    return facts.read(drawn_run, drawn_run, audited)


def section(card, heading):
    return card.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_card_has_its_sections_in_order(drawn):
    card = model_card.render(drawn)
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == [
        "Intended use",
        "Data",
        "Decision",
        "Metrics",
        "Limits",
        "Made by",
    ]
    assert "grade >= 2, moderate or worse**" in card
    assert "It is not a medical device" in section(card, "Intended use")


def test_the_split_is_counted(drawn):
    text = section(model_card.render(drawn), "Data")
    train, valid = len(drawn.split.train), len(drawn.split.valid)
    assert f"| train | {train} |" in text
    assert re.search(rf"\| valid: chose the epoch.* \| {valid} \|", text)
    assert "| test | 12 |" in text
    assert drawn.audited.collection.fingerprint in text


def test_published_datasets_are_cited_and_drawings_are_not(drawn):
    text = section(model_card.render(drawn), "Data")
    assert "CC BY" not in text  # Theirs is no published name.
    trained = drawn.trained | {"datasets": ["idrid", "our clinic"]}
    found = dataclasses.replace(drawn, trained=trained)
    text = section(model_card.render(found), "Data")
    assert "\n\nIDRiD: Porwal et al., “Indian Diabetic" in text
    assert text.rstrip().endswith("CC BY 4.0.") and "clinic:" not in text
    # Drawings in IDRiD's layout are called so too.
    (folder,) = drawn.collection.folders
    folder = copy.copy(folder)
    folder.dataset, folder.drawn = "idrid", True
    collection = records.Collection([folder])
    found = dataclasses.replace(found, collection=collection)
    assert "CC BY" not in model_card.render(found)


def test_the_weights_that_it_began_with_are_named(drawn):
    text = "train.model = @pretrained\npretrained.weights = 'imagenet'\n"
    text += "pretrained.backbone = @efficientnet_lite\n"
    found = dataclasses.replace(drawn, operative_config=text)
    made_by = section(model_card.render(found), "Made by")
    assert made_by.startswith("\nIts weights began as ImageNet's")
    assert "began as" not in model_card.render(drawn)


def test_the_metrics_are_one_table_with_a_row_a_metric(drawn):
    lines = section(model_card.render(drawn), "Metrics").strip().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    # Markdown ends a table at the first line that is no row.
    first = lines.index(rows[0])
    assert lines[first : first + len(rows)] == rows
    assert rows[0] == "| metric | test | valid |"
    assert len(rows) == 3 + len(drawn.scores["metrics"])
    assert {row.count("|") for row in rows} == {4}
    assert "Readings of the test photographs: 1." in lines


def test_limits_are_the_remarks(drawn):
    text = section(model_card.render(drawn), "Limits")
    expected = [*remarks.oddities(drawn), *remarks.limits(drawn)]
    assert text.strip().splitlines() == [f"- {one}" for one in expected]


def test_undefined_metrics_have_their_reason(drawn):
    entry = {"value": None, "reason": "no photograph", "n": 0}
    drawn.scores["metrics"]["auc"] = entry
    assert "| AUC | undefined: no photograph |" in model_card.render(drawn)


def test_config_and_versions_close_the_card(drawn):
    text = section(model_card.render(drawn), "Made by")
    assert "20 epochs; weights SHA-256 `abab" in text
    assert "Begun with commit unknown, Python 3.11.7, TensorFlow 2.20.0, Keras" in text
    assert text.rstrip().endswith("```\ntrain.epochs = 2\n```")


@pytest.mark.parametrize(
    ("kept", "calibration", "rule", "expected"),
    [
        (
            "best",
            {"method": "temperature"},
            "fixed",
            ": chose the epoch, the calibration",
        ),
        ("last", None, "Youden's index", ": chose the threshold"),
        ("last", None, "fixed", ""),
    ],
)
def test_validation_photographs_chose_what_they_chose(
    drawn, kept, calibration, rule, expected
):
    found = dataclasses.replace(drawn, history=drawn.history | {"kept": kept})
    found.decision["calibration"] = calibration
    found.decision["operating_point"]["rule"] = rule
    assert f"\n| valid{expected} | 8 |\n" in model_card.render(found)


def test_five_grades_are_named(write_run, audited, tmp_path):
    folder = write_run(tmp_path, tasks.icdr_grades())
    card = model_card.render(facts.read(folder, folder, audited))
    assert (
        "a probability for each of 0 none, 1 mild, 2 moderate, 3 severe, 4 pro" in card
    )
    assert "| recall of 4 proliferative |" in card


@pytest.mark.parametrize("overcome", [True, False])
def test_a_collapse_limits_the_model_unless_it_was_overcome(drawn, overcome):
    collapse = {"predicted": "referable", "first_epoch": 2, "last_epoch": 7}
    history = drawn.history | {"collapses": [collapse | {"overcome": overcome}]}
    found = dataclasses.replace(drawn, history=history)
    card, page = model_card.render(found), report.render(found)
    assert ("In epochs 2 to 7 the model had" in section(card, "Limits")) != overcome
    assert ("\nIn epochs 2 to 7 the model gave" in section(card, "Made by")) == overcome
    training = page.partition("<h2>Training</h2>")[2].partition("</section>")[0]
    assert ("In epochs 2 to 7 the model gave" in training) == overcome
    assert ("In epochs 2 to 7 the model had collapsed" in page) != overcome


def test_the_card_says_how_many_of_each_grade_are_found(drawn):
    text = section(model_card.render(drawn), "Metrics")
    found = drawn.scores["by_grade"]
    assert len(found) > 2  # Otherwise this shows little.
    counts = "; ".join(
        f"{grade} {photograph.GRADES[int(grade)]}: {one['called']} of {one['n']}"
        for grade, one in found.items()
    )
    assert f"Called referable, by grade, on {drawn.where}:\n{counts}.\n" in text
