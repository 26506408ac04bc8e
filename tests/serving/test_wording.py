import csv
import io

import pytest

from input_pipeline import tasks
from serving import gate, wording

TASK = tasks.referable().description()
LIMITS = {
    "least_brightness": 25.0,
    "most_underexposed": 0.25,
    "most_overexposed": 0.3,
    "least_sharpness": 0.009,
    "most_sharpness": 0.15,
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


def test_of_a_drawn_example_the_headline_says_so():
    said = prediction(False, "not referable")
    words = wording.headline(said, TASK, drawn=True)
    assert words == "Of a drawing: no referable diabetic retinopathy"
    assert wording.headline(ABSTENTION, TASK, True) == "Of a drawing: no answer"


def test_who_is_unsure_says_so_and_refers_nobody():
    said = prediction(False, "not referable", probability=0.45)
    assert wording.headline(said, TASK).endswith(", but unsure")
    assert wording.referral(said, TASK).startswith("Neither a referral nor")
    assert wording.certainty(said, TASK).endswith(
        "with a probability of 55 %. It is unsure: a person should look at this "
        "photograph."
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
    said = wording.certainty(prediction(diseased, probability=probability), TASK)
    assert f"this answer is right with a probability of {share}" in said
    assert words in said
    headline = wording.headline(prediction(diseased, probability=probability), TASK)
    assert headline.endswith("but unsure") == (words == "It is unsure")


def test_of_more_classes_the_grade_has_a_probability_of_its_own():
    said = prediction(True, "severe") | {"probabilities": {"severe": 0.55}}
    text = wording.certainty(said, tasks.icdr_grades().description())
    assert "a probability of 95 %" in text
    assert text.endswith("The class 'severe' itself has 55 %.")


def test_referral_in_words():
    assert "would be referred" in wording.referral(prediction(True), TASK)
    assert "no reason for" in wording.referral(prediction(False), TASK)
    assert wording.referral(prediction(True), tasks.any_dr().description()) == ""


def test_why_it_was_decided_so():
    assert wording.reason(prediction(True), TASK) == (
        "The probability of referable diabetic retinopathy is 95 %, at or above the "
        "threshold of 50 % from which on the model says so."
    )


@pytest.mark.parametrize("reason", gate.REASONS)
def test_every_abstention_says_what_to_do_and_nothing_for_engineers(reason):
    message = "it begins with b'<script>'. Received: 40"
    text = wording.abstention(ABSTENTION | {"reason": reason, "message": message})
    assert text.startswith(gate.REASONS[reason])
    assert ", or have a person look at it: no answer does not mean" in text
    assert "script" not in text and "Received" not in text
    assert wording.headline(ABSTENTION, TASK) == "No answer"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "less than 1 %"),
        (0.0099, "less than 1 %"),
        (0.01, "1 %"),
        (0.126, "13 %"),
        (0.99, "99 %"),
        (0.9901, "more than 99 %"),
        (1.0, "more than 99 %"),
    ],
)
def test_percent_is_never_nothing_or_all(share, expected):
    assert wording.percent(share) == expected


def test_measurements_stand_beside_their_limits():
    assert wording.quality(QUALITY, LIMITS) == {
        "brightness (0-255)": "20 (at least 25)",
        "sharpness": "0.050 (from 0.009 to 0.15)",
        "overexposed": "less than 1 % (at most 30 %)",
        "underexposed": "90 % (at most 25 %)",
        "retina's share of it": "70 %",
    }


def test_what_colours_mean_and_do_not_mean():
    text = wording.shown("referable", "grad_cam", 0.98)
    assert "stretched until its own maximum is red" in text
    assert "outside the retina" not in text
    beside = wording.shown("referable", "grad_cam", 0.3)
    assert "Its maximum lies outside the retina, where nothing is drawn" in beside
    nothing = wording.shown("referable", "occlusion", 0.0)
    assert nothing == "Occlusion: nothing on the retina speaks for 'referable'."


def test_many_answers_in_a_line_and_a_row_each():
    unsure = prediction(True, probability=0.6)
    said = [prediction(True), prediction(False), prediction(False), unsure, ABSTENTION]
    assert wording.summary(said, TASK) == (
        "5 photographs: 1 positive (referable diabetic retinopathy), 2 negative, "
        "1 unsure, for a person to look at, 1 without an answer."
    )
    assert wording.summary(said[1:3], TASK) == "2 photographs: 2 negative."
    rows = wording.table(list("abcde"), said, TASK)
    assert list(rows[0]) == ["photograph", "answer", "probability", "in words"]
    answers = [row["answer"] for row in rows]
    assert answers == ["positive", "negative", "negative", "unsure", "no answer"]
    assert rows[3]["in words"] == "Referable diabetic retinopathy, but unsure"
    assert rows[4]["in words"] == gate.REASONS["too_dark"]


def test_a_csv_has_every_answer_and_no_formula():
    names = ["a, b.jpg", "=cmd()", "dark.png"]
    text = wording.as_csv(
        names,
        [prediction(True), prediction(False), ABSTENTION],
        TASK["class_names"],
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["file"] for row in rows] == ["a, b.jpg", "'=cmd()", "dark.png"]
    assert [row["diseased"] for row in rows] == ["1", "0", ""]
    assert float(rows[0]["probability referable"]) == 0.95
    assert rows[2]["reason"] == "too_dark" and rows[2]["model"] == "a run"
    assert rows[0]["brightness"] == "20.5" and rows[2]["brightness"] == ""
    assert rows[0]["request_id"] == "f00d" and rows[2]["request_id"] == ""
    assert [row["answered"][:10] for row in rows] == ["2026-11-21"] * 3
