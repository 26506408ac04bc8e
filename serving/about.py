"""What is known of a model, in words, for a person who reads the page.

The exact figures, with the terms of the trade, are in `figures` and on the card.
"""

from collections.abc import Mapping
from typing import Any

from evaluation import metrics
from input_pipeline import dataset_titles
from serving import wording

Card = Mapping[str, Any]
"""As `GET /model` gives it."""

PREVALENCE = 0.1
"""Share of the ill for which it is said what an answer means."""

# As `evaluation.operating_point` has it, for which SciPy would be needed here.
_FIXED = "fixed"

_LESIONS = {
    "any_lesion": "a lesion of any kind",
    "hard_exudates": "a hard exudate",
    "haemorrhages": "a haemorrhage",
    "microaneurysms": "a microaneurysm",
}


def track_record(card: Card) -> str:
    """How often the model was right on photographs that decided nothing."""
    measured = _tested(card)
    if measured is None:
        return "It was never examined on test photographs."
    found, cleared = measured
    return (
        f"On the {found['n'] + cleared['n']} test photographs of {_datasets(card)}, "
        f"which decided nothing about the model, it found {_of_100(found['value'])} "
        f"with {wording.disease(card['task'])} ({_interval(found)}), and let pass "
        f"{_of_100(cleared['value'])} without ({_interval(cleared)})."
    )


def meaning(answer: wording.Answer, card: Card) -> str:
    """What the probability of an answer is worth, and where fewer are ill.

    The probability of the one photograph is not moved to another prevalence by Bayes'
    rule, as Saerens et al. (2002, eq. 4) do: that multiplies its odds, so that all
    hangs on how near 1 it is, which some hundred photographs cannot tell. Of all such
    answers together sensitivity and specificity tell how many would be right.
    """
    point, found = card["decision"]["operating_point"], wording.disease(card["task"])
    count = point["n_diseased"] + point["n_healthy"]
    text = "That number is not calibrated: a score rather than a frequency."
    if card["decision"]["calibration"] is not None:
        ill = _of_100(point["n_diseased"] / count)
        text = (
            f"That number was calibrated on {count} photographs, of which {ill} show "
            f"{found}, and holds where as many do."
        )
    values = predictive_values(card)
    if values is None:
        return text
    kind = "positive" if answer["diseased"] else "negative"
    return (
        f"{text} Where {_of_100(PREVALENCE)} have it, {_of_100(values[kind])} {kind} "
        "answers would be right, sure and unsure ones taken together (by Bayes' rule, "
        "from the figures on the test photographs)."
    )


def predictive_values(card: Card) -> dict[str, float] | None:
    """PPV, "positive", and NPV, "negative", at `PREVALENCE`, as far as is known."""
    measured = _tested(card)
    if measured is None:
        return None
    rates = [one["value"] for one in measured]
    try:
        return {
            "positive": float(metrics.ppv_at_prevalence(*rates, PREVALENCE)),
            "negative": float(metrics.npv_at_prevalence(*rates, PREVALENCE)),
        }
    except metrics.UndefinedMetricError:  # It says the same of every photograph.
        return None


def threshold(card: Card) -> str:
    """Where the threshold comes from, and what it did there."""
    point = card["decision"]["operating_point"]
    found, cleared = point["sensitivity"], point["specificity"]
    if point["rule"] == _FIXED or found is None or cleared is None:
        return "The threshold was fixed beforehand."
    text = (
        f"The threshold was chosen on {point['n_diseased'] + point['n_healthy']} other "
        f"photographs of {_datasets(card)}: with it the model found {_of_100(found)} "
        f"with {wording.disease(card['task'])} and let pass {_of_100(cleared)} without"
    )
    if not card["photographs"]["train"]:  # An ensemble of folds.
        text += ", each judged by networks that had not learnt from it"
    return f"{text}."


def believed(card: Card, answer: wording.Answer, explained: str, method: str) -> str:
    """How far a heat map can be believed.

    Args:
        card: The model's card.
        answer: What was said of the photograph.
        explained: The class that the map speaks for.
        method: How it was made.
    """
    task = card["task"]
    if task["class_names"].index(explained) not in task["disease_classes"]:
        return (
            f"What speaks for '{explained}' is no lesion. Whether such a map shows the "
            "right places was not measured."
        )
    measured = card.get("lesion_agreement")
    if measured is None or measured["method"] != method:
        return (
            f"How often {wording.METHODS[method]} points at lesions is not on this "
            "model's card."
        )
    if not answer["diseased"]:
        return (
            "The answer is negative: what is red here weighed too little to change it, "
            "and need not be a lesion. How well such a map points was not measured."
        )
    hits = [
        f"{words} in {_of_100(one['value'])} (by chance {100 * one['chance']:.0f})"
        for lesion, words in _LESIONS.items()
        if (one := measured["pointing"].get(lesion))
    ]
    return (
        f"On {measured['photographs']} photographs in which experts outlined lesions, "
        f"and from which the model had not learnt, the reddest place of such a map was "
        f"on or beside {', '.join(hits)}."
    )


def figures(card: Card) -> dict[str, list[str]]:
    """How good it was on each part of its photographs, with 95 % intervals."""
    columns = {"figure": ["sensitivity", "specificity", "AUC", "prevalence"]}
    chosen = " and ".join(_chosen(card))
    validation = f"validation, which chose {chosen}" if chosen else "validation"
    parts = {"test": "test photographs", "valid": validation}
    for part, words in parts.items():
        measured = card["figures"].get(part, {})
        columns[words] = [
            f"{one['value']:.2f} ({one['low']:.2f}-{one['high']:.2f})"
            if one and one["value"] is not None
            else ""
            for one in map(measured.get, ("sensitivity", "specificity", "auc"))
        ]
        prevalence = _prevalence(card, part)
        columns[words].append("" if prevalence is None else f"{prevalence:.2f}")
    values = predictive_values(card)
    if values is not None:
        columns["figure"] += [f"PPV at prevalence {PREVALENCE:g}, calculated"]
        columns["figure"] += [f"NPV at prevalence {PREVALENCE:g}, calculated"]
        columns["test photographs"] += [f"{one:.2f}" for one in values.values()]
        columns[validation] += ["", ""]
    return columns


def learnt(card: Card) -> str:
    """From how many photographs a model learnt, and what others were for."""
    photographs, origin = card["photographs"], _datasets(card)
    chosen = " and ".join(_chosen(card))
    if photographs["train"]:
        use = f"chose its {chosen}" if chosen else "chose nothing"
        return (
            f"It learnt from {photographs['train']} photographs of {origin}; "
            f"{photographs['valid']} others {use}."
        )
    # An ensemble of folds: what one network trains on another one validates on.
    text = (
        f"Its networks learnt from {photographs['valid']} photographs of {origin}, "
        "each from a part of them."
    )
    return f"{text} What each said of the others chose {chosen}." if chosen else text


def summary(card: Card) -> dict[str, str]:
    """The model's card, as far as a reader has use for it."""
    task, decision = card["task"], card["decision"]
    point, calibration = decision["operating_point"], decision["calibration"]
    rule = "fixed beforehand"
    if point["rule"] != _FIXED:
        rule = f"{point['rule']}, chosen on {decision['chosen_on']}"
    size = card["preparation"]["image_size"]
    methods = ", ".join(wording.METHODS[one] for one in wording.offered(card))
    return {
        "name": card["name"],
        "for": card["intended_use"],
        "question": task["rule"],
        "answers": ", ".join(task["class_names"]),
        "photographs": learnt(card),
        "threshold": f"{point['threshold']:.3f} ({rule})",
        "calibration": f"{calibration['method']}, on {decision['chosen_on']}"
        if calibration
        else "none",
        "sees": f"the retina, reduced to {size} x {size} pixels",
        "heat maps": methods or "none",
        "form": running(card["running"]),
        "exported": f"{card['environment']['time'][:10]}, fingerprint "
        f"{card['fingerprints']['model_sha256'][:16]}",
    }


def running(how: Mapping[str, str]) -> str:
    """In which form a model runs."""
    computed = {"f32": "float32", "bf16": "bfloat16"}.get(
        how["precision"], how["precision"]
    )
    if computed == how["variant"]:
        return f"It runs in {computed}."
    return f"It runs as {how['variant']}, computed in {computed}."


def _chosen(card: Card) -> list[str]:
    """What the validation photographs chose."""
    decision = card["decision"]
    chosen = {
        "threshold": decision["operating_point"]["rule"] != _FIXED,
        "calibration": decision["calibration"] is not None,
    }
    return [name for name, so in chosen.items() if so]


def _tested(card: Card) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Sensitivity and specificity on test photographs, if both are known."""
    measured = card["figures"].get("test", {})
    both = measured.get("sensitivity"), measured.get("specificity")
    return both if all(one and one["value"] is not None for one in both) else None


def _prevalence(card: Card, part: str) -> float | None:
    """Share of the diseased among the photographs of a part."""
    measured = card["figures"].get(part, {})
    if not {"sensitivity", "specificity"} <= measured.keys():
        return None
    diseased, others = (measured[one]["n"] for one in ("sensitivity", "specificity"))
    return diseased / (diseased + others)


def _datasets(card: Card) -> str:
    return ", ".join(map(dataset_titles.title, card["datasets"]))


def _of_100(share: float) -> str:
    """A share that was counted: all can be all."""
    if share in (0, 1):
        return f"{100 * share:.0f} of 100"
    return f"{wording.percent(share).removesuffix(' %')} of 100"


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = 100 * figure["low"], 100 * figure["high"]
    return f"95 % interval {low:.0f}-{high:.0f}, from {figure['n']} photographs"
