"""Answers in words, for a person who reads the page."""

import collections
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

DRAWN = (
    "This is a drawing that comes with the page, to try it out: what is said of it "
    "says nothing about any eye."
)

# What can be done about it; a person can always look.
_ADVICE: dict[gate.Reason, str] = {
    "unreadable": "Copy it again from where it comes from, or save it as JPEG",
    "too_many_pixels": "Save it with fewer pixels",
    "not_a_fundus_photograph": "Choose a photograph of a whole retina",
    "no_colour": "Take it in colour",
    "too_small": "Choose the original rather than a reduced copy",
    "too_dark": "Take it again with more light",
    "too_bright": "Take it again with less light",
    "too_blurred": "Focus and take it again",
    "trained_on_drawings": "Ask a model that learnt from photographs",
}

# Less than this of a heat map's maximum is seen where the maximum is not on the retina.
_ON_RETINA = 0.5

# Of the probability of what was answered.
_SURE, _UNSURE = 0.95, 0.75

_REFERRED = ("referable", "sight_threatening", "icdr_grades")


def disease(task: Mapping[str, Any]) -> str:
    """What a task looks for."""
    return _DISEASES.get(task["name"], f"the disease ({task['rule']})")


def headline(answer: Answer, task: Mapping[str, Any], drawn: bool = False) -> str:
    """The answer in a few words, and whether it is of a drawn example."""
    if drawn:
        words = headline(answer, task)
        return f"Of a drawing: {words[0].lower()}{words[1:]}"
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


def certainty(answer: Answer, task: Mapping[str, Any]) -> str:
    """How sure the model is of its answer; `about.meaning` says what that is worth."""
    share = _share(answer)
    words = "It is sure of it, which does not make it right."
    if _unsure(answer):
        words = "It is unsure: a person should look at this photograph."
    elif round(share, 2) < _SURE:  # As it is told.
        words = "It is fairly sure of it, which does not make it right."
    text = (
        f"By the model's own account this answer is right with a probability of "
        f"{percent(share)}. {words}"
    )
    if len(task["class_names"]) > 2:
        of_class = answer["probabilities"][answer["predicted"]]
        text += f" The class '{answer['predicted']}' itself has {percent(of_class)}."
    return text


def _share(answer: Answer) -> float:
    """Probability of what was answered: of the disease, or of its absence."""
    disease_probability = answer["disease_probability"]
    return disease_probability if answer["diseased"] else 1 - disease_probability


def _unsure(answer: Answer) -> bool:
    return round(_share(answer), 2) < _UNSURE


def abstention(answer: Answer) -> str:
    """Why there is no answer, and what to do; the CSV has what exactly was found."""
    reason = answer["reason"]
    return (
        f"{gate.REASONS[reason]} {_ADVICE[reason]}, or have a person look at it: no "
        "answer does not mean that nothing is there."
    )


def quality(
    measured: Mapping[str, float], limits: Mapping[str, float]
) -> dict[str, str]:
    """Measurements of a photograph, with the limits on the model's card."""
    return {
        "brightness (0-255)": f"{measured['brightness']:.0f} "
        f"(at least {limits['least_brightness']:.0f})",
        "sharpness": f"{measured['sharpness']:.3f} (from "
        f"{limits['least_sharpness']:g} to {limits['most_sharpness']:g})",
        "overexposed": f"{percent(measured['overexposed'])} "
        f"(at most {percent(limits['most_overexposed'])})",
        "underexposed": f"{percent(measured['underexposed'])} "
        f"(at most {percent(limits['most_underexposed'])})",
        "retina's share of it": percent(measured["retina_share"]),
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


def shown(explained: str, method: str, highest: float) -> str:
    """What the colours of a heat map mean.

    Args:
        explained: The class that it speaks for.
        method: How it was made.
        highest: The highest value that is seen; 1 where the map's maximum is.
    """
    if highest == 0:
        return f"{METHODS[method]}: nothing on the retina speaks for '{explained}'."
    colours = f"red is what speaks most for '{explained}', blue least, clear nothing"
    if method == "occlusion":
        colours = (
            f"without what is red the model says '{explained}' least, without what is "
            "blue a little less, without what is clear no less"
        )
    text = (
        f"{METHODS[method]}: {colours}. The map is stretched until its own maximum is "
        "red, however little that is: do not compare the colours of two maps. It shows "
        "where the model looked, not where lesions are."
    )
    if highest < _ON_RETINA:
        text += (
            " Its maximum lies outside the retina, where nothing is drawn: the model "
            "was led by something else, and this answer should not be relied on."
        )
    return text


def percent(share: float) -> str:
    """A share as people read it: never 0 % or 100 %, which nobody can know."""
    if share < 0.01:
        return "less than 1 %"
    if share > 0.99:
        return "more than 99 %"
    return f"{share:.0%}".replace("%", " %")


def table(
    names: Sequence[str], said: Sequence[Answer], task: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A row a photograph; what matters comes first, and is as short as a phone."""
    return [
        {
            "photograph": name,
            "answer": _verdict(answer),
            "probability": percent(answer["disease_probability"])
            if answer["answer"] == "prediction"
            else "",
            "in words": gate.REASONS[answer["reason"]]
            if answer["answer"] == "abstention"
            else headline(answer, task),
        }
        for name, answer in zip(names, said, strict=True)
    ]


def summary(said: Sequence[Answer], task: Mapping[str, Any]) -> str:
    """How many photographs have which answer, in a line."""
    verdicts = collections.Counter(map(_verdict, said))
    parts = {
        f"positive ({disease(task)})": verdicts["positive"],
        "negative": verdicts["negative"],
        "unsure, for a person to look at": verdicts["unsure"],
        "without an answer": verdicts["no answer"],
    }
    counts = ", ".join(f"{count} {words}" for words, count in parts.items() if count)
    return f"{len(said)} photographs: {counts}."


def _verdict(answer: Answer) -> str:
    if answer["answer"] == "abstention":
        return "no answer"
    if _unsure(answer):
        return "unsure"
    return "positive" if answer["diseased"] else "negative"


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
