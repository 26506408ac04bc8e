"""Answers in words, for a person who reads the page."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from serving import gate

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
    "what one does. Neither outlines lesions: how often their maximum was on one, the "
    "report of the model's own evaluation says."
)

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
        words = f"Grade {number}, {answer['predicted']}: {words[0].lower()}{words[1:]}"
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


def reason(answer: Answer, task: Mapping[str, Any], chosen_on: str) -> str:
    """Why a photograph was decided so."""
    side = "at or above" if answer["diseased"] else "below"
    probability = percent(answer["disease_probability"])
    return (
        f"The probability of {disease(task)} is {probability}, {side} the threshold of "
        f"{percent(answer['threshold'])} that was chosen on {chosen_on}."
    )


def certainty(answer: Answer) -> str:
    """How sure the model is of its probabilities."""
    share = 1 - answer["uncertainty"]
    words = "It is sure, which does not mean that it is right."
    if _unsure(answer):
        words = "It is unsure: a person should look at this photograph."
    elif share < 0.6:  # 92 %
        words = "It is fairly sure, which does not mean that it is right."
    return f"Certainty {percent(share)}. {words}"


def _unsure(answer: Answer) -> bool:
    """Of two classes: where the more probable one has less than 76 %."""
    return answer["uncertainty"] > 0.8


def abstention(answer: Answer) -> str:
    """Why there is no answer."""
    message = answer["message"]
    return f"{gate.REASONS[answer['reason']]} {message[0].upper()}{message[1:]}"


def track_record(card: Mapping[str, Any]) -> str:
    """How often the model was right on photographs that decided nothing."""
    figures = card["figures"].get("test", {})
    if not {"sensitivity", "specificity"} <= figures.keys():
        return "It was never examined on test photographs."
    found, cleared = figures["sensitivity"], figures["specificity"]
    return (
        f"On the test photographs of {', '.join(card['datasets'])} it found "
        f"{percent(found['value'])} of the {found['n']} that show "
        f"{disease(card['task'])} (95 % interval {_interval(found)}), and cleared "
        f"{percent(cleared['value'])} of the {cleared['n']} others "
        f"({_interval(cleared)})."
    )


def quality(measured: Mapping[str, float]) -> dict[str, str]:
    """Measurements of a photograph."""
    return {
        "brightness (0-255)": f"{measured['brightness']:.0f}",
        "sharpness": f"{measured['sharpness']:.3f}",
        "overexposed": percent(measured["overexposed"]),
        "underexposed": percent(measured["underexposed"]),
        "retina's share": percent(measured["retina_share"]),
    }


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


def figures(card: Mapping[str, Any]) -> dict[str, list[str]]:
    """How good it was on each part of its photographs, with 95 % intervals."""
    rows: dict[str, list[str]] = {}
    parts = {"test": "test photographs", "valid": "validation, which chose"}
    for part, words in parts.items():
        for metric in ("sensitivity", "specificity", "auc"):
            figure = card["figures"].get(part, {}).get(metric)
            if figure is not None:
                rows.setdefault(words, []).append(
                    f"{figure['value']:.2f} ({figure['low']:.2f}-{figure['high']:.2f})"
                )
            else:
                rows.setdefault(words, []).append("")
    return {"figure": ["sensitivity", "specificity", "AUC"]} | rows


def learnt(card: Mapping[str, Any]) -> str:
    """From how many photographs a model learnt, and what others were for."""
    photographs, origin = card["photographs"], ", ".join(card["datasets"])
    if photographs["train"]:
        return (
            f"It learnt from {photographs['train']} photographs of {origin}; "
            f"{photographs['valid']} others chose its threshold and calibration."
        )
    # An ensemble of folds: what one network trains on another one validates on.
    return (
        f"Its networks learnt from {photographs['valid']} photographs of {origin}, "
        "each from a part of them. What each said of the others chose threshold and "
        "calibration."
    )


def running(how: Mapping[str, str]) -> str:
    """In which form a model runs."""
    computed = {"f32": "float32", "bf16": "bfloat16"}.get(
        how["precision"], how["precision"]
    )
    if computed == how["variant"]:
        return f"It runs in {computed}."
    return f"It runs as {how['variant']}, computed in {computed}."


def percent(share: float) -> str:
    """A share as people read it: never 0 % or 100 % unless it is."""
    if 0 < share < 0.01:
        return "less than 1 %"
    if 0.99 < share < 1:
        return "more than 99 %"
    return f"{share:.0%}".replace("%", " %")


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['low']:.0%}-{figure['high']:.0%}".replace("%", " %").replace(
        " %-", "-"
    )


def table(
    names: Sequence[str], answers: Sequence[Answer], task: Mapping[str, Any]
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
        for name, answer in zip(names, answers, strict=True)
    ]


def as_csv(
    names: Sequence[str], answers: Sequence[Answer], class_names: Sequence[str]
) -> str:
    """All that was said, a row a photograph.

    Args:
        names: Of the photographs.
        answers: What was said of each.
        class_names: In the order of the columns.

    Returns:
        A CSV file with a header.
    """
    columns = ["file", "diseased", "disease_probability", "threshold", "predicted"]
    columns += ["uncertainty", *(f"probability {one}" for one in class_names)]
    columns += ["reason", "message", "model", "variant", "model_sha256"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    for name, answer in zip(names, answers, strict=True):
        # A spreadsheet would take such a name for a formula.
        row = {"file": f"'{name}" if name[:1] in "=+-@\t\r" else name, **answer}
        row["model"] = answer["model"]["name"]
        row["variant"] = answer["model"]["variant"]
        row["model_sha256"] = answer["model"]["sha256"]
        if answer["answer"] == "prediction":
            row["diseased"] = int(answer["diseased"])
            for one in class_names:
                row[f"probability {one}"] = answer["probabilities"][one]
        writer.writerow(row)
    return text.getvalue()
