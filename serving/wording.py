"""Answers in words, for a person who reads the page."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from serving import answers, gate

Answer = Mapping[str, Any]
"""As `serving.answers.describe` gives it."""

_DISEASES = {
    "any_dr": "diabetic retinopathy",
    "referable": "referable diabetic retinopathy",
    "sight_threatening": "sight-threatening diabetic retinopathy",
    "icdr_grades": "referable diabetic retinopathy",
    "macular_edema": "macular edema risk",
}

METHODS = {"grad_cam": "Grad-CAM", "occlusion": "Occlusion"}
"""How a heat map is made, as `serving.schema.Method` has it."""

WHICH_METHOD = (
    "Grad-CAM comes with the answer. It is coarse, and shows which places the model's "
    "last layer weighs. Occlusion asks the model again, some 300 times, without one "
    "part of the photograph each: what it shows did change the answer, but of what is "
    "seen in two places at once it misses both. Believe what both show rather than "
    "what one does. Neither outlines lesions: where it was measured how often "
    "their maximum was on one, it is said below the picture."
)

# Of the probability of what was answered.
_SURE, _UNSURE = 0.95, 0.75

_REFERRED = ("referable", "sight_threatening", "icdr_grades")


def disease(task: Mapping[str, Any]) -> str:
    """What a task looks for."""
    return _DISEASES.get(task["name"], f"the disease ({task['rule']})")


def headline(answer: Answer, task: Mapping[str, Any]) -> str:
    """The answer in a few words."""
    if answer["answer"] == "abstention":
        return "No answer"
    found = disease(task)
    words = found.capitalize() if answer["diseased"] else f"No {found}"
    if task["name"] == "icdr_grades":
        number = task["class_names"].index(answer["predicted"])
        # The most probable grade may be on the other side of the threshold.
        if (number in task["disease_classes"]) == answer["diseased"]:
            found = f"{words[0].lower()}{words[1:]}"
            words = f"Grade {number}, {answer['predicted']}: {found}"
    return f"{words}, but unsure" if _unsure(answer) else words


def referral(answer: Answer, task: Mapping[str, Any]) -> str:
    """What follows from the decision, where the task is about referral."""
    if task["name"] not in _REFERRED:
        return ""
    if _unsure(answer):
        return "Neither a referral nor its absence should rest on this."
    if answer["diseased"]:
        return "Whoever has such a photograph would be referred to an eye doctor."
    return "Such a photograph alone would be no reason for a referral."


def reason(answer: Answer, task: Mapping[str, Any]) -> str:
    """Why a photograph was decided so."""
    side = "at or above" if answer["diseased"] else "below"
    probability = percent(answer["disease_probability"])
    return (
        f"The probability of {disease(task)} is {probability}, {side} the threshold of "
        f"{percent(answer['threshold'])} from which on the model says so."
    )


def certainty(answer: Answer, card: Mapping[str, Any]) -> str:
    """How sure the model is of its answer, and what that number is worth."""
    share, worth = _share(answer), "not calibrated: a score rather than a frequency"
    if card["decision"]["calibration"] is not None:
        worth = "calibrated on the photographs that chose the threshold"
    words = "It is sure of it, which does not make it right."
    if _unsure(answer):
        words = "It is unsure: a person should look at this photograph."
    elif share < _SURE:
        words = "It is fairly sure of it, which does not make it right."
    text = (
        f"By the model's own account this answer is right with a probability of "
        f"{percent(share)} ({worth}). {words}"
    )
    if len(card["task"]["class_names"]) > 2:
        of_class = answer["probabilities"][answer["predicted"]]
        text += f" The class '{answer['predicted']}' itself has {percent(of_class)}."
    return text


def _share(answer: Answer) -> float:
    """Probability of what was answered: of the disease, or of its absence."""
    disease_probability = answer["disease_probability"]
    return disease_probability if answer["diseased"] else 1 - disease_probability


def _unsure(answer: Answer) -> bool:
    return _share(answer) < _UNSURE


def abstention(answer: Answer) -> str:
    """Why there is no answer."""
    message = answer["message"]
    return f"{gate.REASONS[answer['reason']]} {message[0].upper()}{message[1:]}"


def quality(measured: Mapping[str, float]) -> dict[str, str]:
    """Measurements of a photograph."""
    return {
        "brightness (0-255)": f"{measured['brightness']:.0f}",
        "sharpness": f"{measured['sharpness']:.3f}",
        "overexposed": percent(measured["overexposed"]),
        "underexposed": percent(measured["underexposed"]),
        "retina's share": percent(measured["retina_share"]),
    }


def offered(card: Mapping[str, Any]) -> list[str]:
    """The methods of heat maps that the model has and that failed no check."""
    has = {"grad_cam": card["heatmaps"], "occlusion": True}
    return [one for one in METHODS if has[one] and one not in card["failed_methods"]]


def not_offered(card: Mapping[str, Any]) -> str:
    """Which methods are not offered since they failed a check, or an empty text."""
    failed = [METHODS[one] for one in METHODS if one in card["failed_methods"]]
    if not failed:
        return ""
    return (
        f"Not offered: {' and '.join(failed)}. A check did not find that what it shows "
        "depends on what this model has learnt."
    )


def shown(explained: str, method: str) -> str:
    """What the colours of a heat map mean."""
    colours = f"red is what speaks most for '{explained}', blue least, clear nothing"
    if method == "occlusion":
        colours = (
            f"without what is red the model says '{explained}' least, without what is "
            "blue a little less, without what is clear no less"
        )
    return (
        f"{METHODS[method]}: {colours}. It shows where the model looked, not where "
        "lesions are."
    )


def percent(share: float) -> str:
    """A share as people read it: never 0 % or 100 % unless it is."""
    if 0 < share < 0.01:
        return "less than 1 %"
    if 0.99 < share < 1:
        return "more than 99 %"
    return f"{share:.0%}".replace("%", " %")


def table(
    names: Sequence[str], said: Sequence[Answer], task: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A row a photograph, as short as a phone's screen wants it."""
    return [
        {
            "photograph": name,
            "answer": headline(answer, task),
            "probability": percent(answer["disease_probability"])
            if answer["answer"] == "prediction"
            else "",
            "why not": gate.REASONS.get(answer.get("reason"), ""),
        }
        for name, answer in zip(names, said, strict=True)
    ]


def as_csv(
    names: Sequence[str], said: Sequence[Answer], class_names: Sequence[str]
) -> str:
    """All that was said, a row a photograph.

    Args:
        names: Of the photographs.
        said: What was said of each.
        class_names: In the order of the columns.

    Returns:
        A CSV file with a header.
    """
    columns = [*answers.columns(class_names), "answered", "request_id"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    for name, answer in zip(names, said, strict=True):
        # A spreadsheet would take such a name for a formula.
        row = {
            "file": f"'{name}" if name.startswith(answers.FORMULA) else name,
            **answer,
        }
        row["model"] = answer["model"]["name"]
        row["variant"] = answer["model"]["variant"]
        row["model_sha256"] = answer["model"]["sha256"]
        row |= answer["quality"] or {}
        if answer["answer"] == "prediction":
            row["diseased"] = int(answer["diseased"])
            for one in class_names:
                row[f"probability {one}"] = answer["probabilities"][one]
        writer.writerow(row)
    return text.getvalue()
