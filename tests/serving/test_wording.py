import csv
import io

import pytest

from input_pipeline import tasks
from serving import gate, wording

TASK = tasks.referable().description()
CARD = {
    "task": tasks.referable().description(),
    "decision": {"calibration": {"method": "temperature"}},
}

QUALITY = {
    "brightness": 20.5,
    "sharpness": 0.05,
    "overexposed": 0.0,
    "underexposed": 0.9,
    "retina_share": 0.7,
}


def prediction(diseased, predicted="referable", probability=None):
    if probability is None:
        probability = 0.95 if diseased else 0.05
    return {
        "answer": "prediction",
        "diseased": diseased,
        "disease_probability": probability,
        "threshold": 0.5,
        "predicted": predicted,
        "uncertainty": 0.1,
        "probabilities": {"not referable": 1 - probability, "referable": probability},
        "quality": QUALITY,
        "model": {"name": "a run", "variant": "int8", "sha256": "ab"},
        "answered": "2026-11-21T12:00:00+00:00",
        "request_id": "f00d",
    }


ABSTENTION = {
    "answer": "abstention",
    "reason": "too_dark",
    "message": "the mean brightness must be at least 25.",
    "quality": None,
    "answered": "2026-11-21T12:00:01+00:00",
    "request_id": None,
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
        # No grade of which the decision would be untrue.
        (tasks.icdr_grades(), "mild", True, "Referable diabetic retinopathy"),
        (tasks.any_dr(), "DR", True, "Diabetic retinopathy"),
        (tasks.macular_edema(), "no risk", False, "No macular edema risk"),
    ],
)
def test_headlines(task, predicted, diseased, expected):
    said = prediction(diseased, predicted)
    assert wording.headline(said, task.description()) == expected


def test_who_is_unsure_says_so_and_refers_nobody():
    said = prediction(False, "not referable", probability=0.45)
    assert wording.headline(said, CARD["task"]).endswith(", but unsure")
    assert wording.referral(said, CARD["task"]).startswith("Neither a referral nor")
    assert wording.certainty(said, CARD).endswith(
        "with a probability of 55 % (calibrated on the photographs that chose the "
        "threshold). It is unsure: a person should look at this photograph."
    )


@pytest.mark.parametrize(
    ("diseased", "probability", "share", "words"),
    [
        (True, 0.97, "97 %", "It is sure"),
        (False, 0.03, "97 %", "It is sure"),
        (True, 0.9, "90 %", "It is fairly sure"),
        (True, 0.69, "69 %", "It is unsure"),
        # Above a low threshold, and yet improbable.
        (True, 0.35, "35 %", "It is unsure"),
    ],
)
def test_the_number_is_of_the_answer_that_is_given(diseased, probability, share, words):
    said = wording.certainty(prediction(diseased, probability=probability), CARD)
    assert f"this answer is right with a probability of {share}" in said
    assert words in said
    headline = wording.headline(prediction(diseased, probability=probability), TASK)
    assert headline.endswith("but unsure") == (words == "It is unsure")


def test_who_was_not_calibrated_says_so():
    card = CARD | {"decision": {"calibration": None}}
    assert "(not calibrated: a score" in wording.certainty(prediction(True), card)


def test_of_more_classes_the_grade_has_a_probability_of_its_own():
    card = CARD | {"task": tasks.icdr_grades().description()}
    said = prediction(True, "severe") | {"probabilities": {"severe": 0.55}}
    text = wording.certainty(said, card)
    assert "a probability of 95 %" in text
    assert text.endswith("The class 'severe' itself has 55 %.")


def test_referral_in_words():
    task = CARD["task"]
    assert "would be referred" in wording.referral(prediction(True), task)
    assert "no reason for" in wording.referral(prediction(False), task)
    assert wording.referral(prediction(True), tasks.any_dr().description()) == ""


def test_why_it_was_decided_so():
    assert wording.reason(prediction(True), CARD["task"]) == (
        "The probability of referable diabetic retinopathy is 95 %, at or above the "
        "threshold of 50 % from which on the model says so."
    )


@pytest.mark.parametrize("reason", gate.REASONS)
def test_every_abstention_has_words(reason):
    text = wording.abstention(ABSTENTION | {"reason": reason})
    assert text.startswith(gate.REASONS[reason])
    assert text.endswith("The mean brightness must be at least 25.")
    assert wording.headline(ABSTENTION, CARD["task"]) == "No answer"


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
    assert rows[0]["brightness"] == "20.5" and rows[2]["brightness"] == ""
    assert rows[0]["request_id"] == "f00d" and rows[2]["request_id"] == ""
    assert [row["answered"][:10] for row in rows] == ["2026-11-21"] * 3
