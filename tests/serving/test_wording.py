import csv
import io

import pytest

from input_pipeline import tasks
from serving import gate, wording

CARD = {
    "datasets": ["idrid"],
    "task": tasks.referable().description(),
    "figures": {
        "test": {
            "sensitivity": {"value": 0.734, "low": 0.615, "high": 0.827, "n": 64},
            "specificity": {"value": 0.872, "low": 0.733, "high": 0.943, "n": 39},
        }
    },
}


def prediction(diseased, predicted="referable", uncertainty=0.1, probability=0.95):
    return {
        "answer": "prediction",
        "diseased": diseased,
        "disease_probability": probability,
        "threshold": 0.5,
        "predicted": predicted,
        "uncertainty": uncertainty,
        "probabilities": {"not referable": 1 - probability, "referable": probability},
        "model": {"name": "a run", "variant": "int8", "sha256": "ab"},
    }


ABSTENTION = {
    "answer": "abstention",
    "reason": "too_dark",
    "message": "the mean brightness must be at least 25.",
    "model": {"name": "a run", "variant": "int8", "sha256": "ab"},
}


@pytest.mark.parametrize(
    ("task", "predicted", "diseased", "expected"),
    [
        (tasks.referable(), "referable", True, "Referable diabetic retinopathy"),
        (
            tasks.referable(),
            "not referable",
            False,
            "No referable diabetic retinopathy",
        ),
        (
            tasks.icdr_grades(),
            "severe",
            True,
            "Grade 3, severe: referable diabetic retinopathy",
        ),
        (
            tasks.icdr_grades(),
            "mild",
            False,
            "Grade 1, mild: no referable diabetic retinopathy",
        ),
        (tasks.any_dr(), "DR", True, "Diabetic retinopathy"),
        (tasks.macular_edema(), "no risk", False, "No macular edema risk"),
    ],
)
def test_headlines(task, predicted, diseased, expected):
    said = prediction(diseased, predicted)
    assert wording.headline(said, task.description()) == expected


def test_who_is_unsure_says_so_and_refers_nobody():
    said = prediction(False, "not referable", uncertainty=0.9, probability=0.45)
    assert wording.headline(said, CARD["task"]).endswith(", but unsure")
    assert wording.referral(said, CARD["task"]).startswith("Neither a referral nor")
    assert wording.certainty(said).startswith("Certainty 10 %. It is unsure: a person")


def test_referral_in_words():
    task = CARD["task"]
    assert "would be referred" in wording.referral(prediction(True), task)
    assert "no reason for" in wording.referral(prediction(False), task)
    assert wording.referral(prediction(True), tasks.any_dr().description()) == ""


def test_why_it_was_decided_so():
    text = wording.reason(prediction(True), CARD["task"], "81 validation photographs")
    assert text == (
        "The probability of referable diabetic retinopathy is 95 %, at or above the "
        "threshold of 50 % that was chosen on 81 validation photographs."
    )


@pytest.mark.parametrize("reason", gate.REASONS)
def test_every_abstention_has_words(reason):
    text = wording.abstention(ABSTENTION | {"reason": reason})
    assert text.startswith(gate.REASONS[reason])
    assert text.endswith("The mean brightness must be at least 25.")
    assert wording.headline(ABSTENTION, CARD["task"]) == "No answer"


def test_how_often_it_was_right():
    assert wording.track_record(CARD) == (
        "On the test photographs of idrid it found 73 % of the 64 that show referable "
        "diabetic retinopathy (95 % interval 62-83 %), and cleared 87 % of the 39 "
        "others (73-94 %)."
    )
    assert "never examined" in wording.track_record(CARD | {"figures": {}})


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "0 %"),
        (0.0001, "less than 1 %"),
        (0.126, "13 %"),
        (0.9999, "more than 99 %"),
        (1.0, "100 %"),
    ],
)
def test_percent_is_never_all_unless_it_is(share, expected):
    assert wording.percent(share) == expected


def test_a_csv_has_every_answer_and_no_formula():
    names = ["a, b.jpg", "=cmd()", "dark.png"]
    text = wording.as_csv(
        names,
        [prediction(True), prediction(False), ABSTENTION],
        CARD["task"]["class_names"],
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["file"] for row in rows] == ["a, b.jpg", "'=cmd()", "dark.png"]
    assert [row["diseased"] for row in rows] == ["1", "0", ""]
    assert float(rows[0]["probability referable"]) == 0.95
    assert rows[2]["reason"] == "too_dark" and rows[2]["model"] == "a run"


def test_an_ensemble_of_folds_learnt_from_what_also_validates():
    of_one = {"train": 332, "valid": 81, "test": 103}
    words = wording.learnt(CARD | {"photographs": of_one})
    assert words.startswith("It learnt from 332 photographs of idrid; 81 others chose")
    of_folds = {"train": 0, "valid": 405, "test": 103}
    words = wording.learnt(CARD | {"photographs": of_folds})
    assert words.startswith("Its networks learnt from 405 photographs of idrid, each")
