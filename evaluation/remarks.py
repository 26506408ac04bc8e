"""What a reader has to know before believing a run's figures, in plain sentences."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluation import assessment, charts, metrics
from evaluation import facts as known


def limits(facts: known.Facts) -> list[str]:
    """What the figures do not show.

    Args:
        facts: The evaluated run.

    Returns:
        Sentences, the gravest first.
    """
    said = facts.parts[facts.headline]
    texts, readings = [], facts.readings(said.split)
    if said.split == "train":
        texts.append(
            "These photographs trained the model: the figures say nothing of "
            "photographs that it has not seen."
        )
    elif said.split == "valid" and _no_epoch_chosen(facts):
        texts.append(
            "Each validation photograph was predicted by networks that had not trained "
            "on it. Whatever was chosen by these figures makes them too good."
        )
    elif said.split == "valid" and not _chosen_by_fold(facts):
        texts.append(
            "The validation photographs helped to choose the model, so their figures "
            "are too good."
        )
    elif readings is None:
        texts.append(
            "Nobody counted how often these photographs were looked at while the model "
            "was made."
        )
    elif readings > 1:
        texts.append(
            f"These photographs were read {readings} times: whatever was "
            "chosen after the first reading makes the figures too good."
        )
    if _chosen_by_fold(facts):
        texts.append(
            "The fold that validated a member also helped to choose the model, by its "
            "best epoch: the out-of-fold figures are too good, and calibration and "
            "threshold were chosen on them."
        )
    if facts.members and not facts.split.train and said.split != "valid":
        texts.append(
            "Calibration and threshold were chosen where fewer of the networks answer "
            "than here. The mean of more answers is less extreme, so that neither need "
            "carry over exactly."
        )
    texts.append(
        f"The figures hold for photographs like those of "
        f"{facts.where_of(facts.headline)}: other cameras, "
        "clinics and people can give other ones."
    )
    share = np.isin(said.labels, facts.disease_classes).mean()
    texts.append(
        f"PPV and NPV hold where {100 * share:.0f} % have the disease, as here. In a "
        "screening programme fewer have, and the PPV is lower."
    )
    if said.patients is None or None in said.patients:
        texts.append(
            "Not every photograph names its patient. Two eyes of one person count as "
            "independent, so that the intervals may be too narrow."
        )
    texts.append(
        "The model is compared with the published labels, which are themselves "
        "opinions. Nothing here tells what using it would do for a patient."
    )
    return texts


def _no_epoch_chosen(facts: known.Facts) -> bool:
    """Whether it is an ensemble whose members keep their last epochs."""
    kept = {one["kept"] for one in facts.members.values()}
    return kept == {"last"}


def _chosen_by_fold(facts: known.Facts) -> bool:
    """Whether it is one of every fold whose members keep their best epochs."""
    kept = {one["kept"] for one in facts.members.values()}
    return "best" in kept and not facts.split.train


def oddities(facts: known.Facts) -> list[str]:
    """What is odd about a run, for somebody who only reads one section.

    Args:
        facts: The evaluated run.

    Returns:
        Sentences; none where nothing was found.
    """
    texts = []
    for name, scores in facts.content["results"].items():
        if name.endswith(assessment.WITHOUT_CONFLICTS):
            continue  # Hardly another set of photographs than the one it is part of.
        texts += [f"In “{name}” {text}" for text in _of_part(facts, name, scores)]
    if facts.decision["note"]:
        texts.append(f"Probabilities are not calibrated: {facts.decision['note']}")
    for name, history in facts.trainings.items():
        of = f"{name}: " if facts.members else ""
        texts += [of + text for text in _of_training(history)]
    return texts


def _of_part(facts: known.Facts, name: str, scores: Mapping[str, Any]) -> list[str]:
    texts, names = [], facts.class_labels
    counts, matrix = scores["class_counts"], np.array(scores["confusion_matrix"])
    present = [names[number] for number, count in enumerate(counts) if count]
    if len(present) == 1:
        texts.append(
            f"all photographs are of one class, {present[0]}: most figures are "
            "undefined."
        )
    called = matrix.sum(axis=0)
    if (only := metrics.only_class(matrix)) is not None:
        texts.append(
            "the model has collapsed: it gives every photograph the same class, "
            f"{names[only]}."
        )
    elif never := [
        names[number]
        for number, count in enumerate(counts)
        if count and not called[number]
    ]:
        texts.append(f"the model never says {', '.join(never)}.")
    auc, alone = scores["metrics"]["auc"], scores["metadata_alone"]
    if auc["value"] is not None and alone is not None and alone["auc"] is not None:
        low = auc["low"] if auc["low"] is not None else auc["value"]
        if alone["auc"] >= low and alone["auc"] > 0.5:
            texts.append(
                "size, file type, camera and dataset alone tell the disease with an "
                f"AUC of {alone['auc']:.3f}, which the model does not surely exceed."
            )
    point = facts.decision["operating_point"]
    for side in ("sensitivity", "specificity"):
        promised, high = point[side], scores["metrics"][side].get("high")
        if promised is not None and high is not None and promised > high:
            texts.append(
                f"the {side} is {scores['metrics'][side]['value']:.3f} (at most "
                f"{high:.3f} by its interval); on {facts.decision['chosen_on']} it was "
                f"{promised:.3f}."
            )
    disputed = sum(map(bool, facts.parts[name].known["disputed"]))
    if disputed and name in facts.said:
        one = "1 photograph has a copy with other labels, so that its label"
        several = (
            f"{disputed} photographs have copies with other labels, so that theirs"
        )
        texts.append(f"{one if disputed == 1 else several} may be wrong.")
    return texts


def _of_training(history: Mapping[str, Any]) -> list[str]:
    texts, epochs = [], len(history["epochs"])
    last = history.get("first_epoch", 1) + epochs - 1
    chosen = history["kept"] == "best"
    if chosen and history["best_epoch"] == last and epochs > 1:
        texts.append(
            f"The last epoch of {epochs} was the best one: the training may not have "
            "come to its end."
        )
    for one in history.get("collapses", ()):
        if not _was_overcome(one, history):
            texts.append(
                f"In epochs {one['first_epoch']} to {one['last_epoch']} the model had "
                "collapsed: it gave every validation photograph the same class, "
                f"{one['predicted']}. The model has the weights of epoch "
                f"{charts.kept_epoch(history)}."
            )
    return texts


def overcome(facts: known.Facts) -> list[str]:
    """Collapses while training that say nothing against the model.

    Args:
        facts: The evaluated run.

    Returns:
        A sentence each.
    """
    return [
        f"{f'{name}: ' if facts.members else ''}In epochs {one['first_epoch']} to "
        f"{one['last_epoch']} the model gave every validation photograph the same "
        f"class, {one['predicted']}, and recovered."
        for name, history in facts.trainings.items()
        for one in history.get("collapses", ())
        if _was_overcome(one, history)
    ]


def _was_overcome(one: Mapping[str, Any], history: Mapping[str, Any]) -> bool:
    """Whether the model recovered from a collapse, and is not that of its epochs."""
    within = one["first_epoch"] <= charts.kept_epoch(history) <= one["last_epoch"]
    return one.get("overcome", False) and not within  # Earlier runs do not say.
