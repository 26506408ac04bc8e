"""How far the winner of a search can be believed: is it told from the others?"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from evaluation import (
    alignment,
    compared_runs,
    comparison,
    paired_tests,
    scoring,
    table,
)
from input_pipeline import whole_files
from train import averages, outcomes

OPTIMISM = (
    "The winner was chosen by the very photographs that its figure is of, so on others "
    "it is likely to be lower."
)

_FOLDS = "folds"


@dataclasses.dataclass(frozen=True)
class Rival:
    """A trial beside the winner.

    Attributes:
        number: The trial's number.
        difference: Its objective less the winner's.
        low: Lower end of the difference's 95 % interval, or None.
        high: Upper end.
        p: Two-sided p-value of no difference, or None.
        method: What interval and p-value come from.
        reason: Why there is no p-value, or "".
        p_holm: `p`, corrected for all rivals of the winner.
    """

    number: int
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    method: str = ""
    reason: str = ""
    p_holm: float | None = None

    @property
    def distinguishable(self) -> bool | None:
        """Whether the winner is told from it; None where that is not known."""
        return None if self.p_holm is None else self.p_holm < 1 - averages.CONFIDENCE


def rivals(
    ranked: Sequence[outcomes.Outcome],
    objective: str,
    run_dirs: Mapping[int, pathlib.Path],
    folds: averages.Folds | None = None,
) -> list[Rival]:
    """Compares the winner with each other trial.

    Trials of several folds or seeds by Student's paired t-test over them, trials of one
    run by what both said of the same validation photographs (`comparison.compare`).

    Args:
        ranked: The trials that are done, the best first.
        objective: Name of the metric.
        run_dirs: Number of a trial -> the directory of its first run, which is there
            if it ran on this machine.
        folds: Those that the runs of a trial are of, if of several.

    Returns:
        The others, in the same order.
    """
    winner, *others = ranked
    found = []
    for other in others:
        if len(winner.runs) > 1:
            found.append(_by_runs(winner, other, objective, folds))
        else:
            found.append(_by_photographs(winner, other, objective, run_dirs))
    corrected = paired_tests.holm([one.p for one in found])
    return [
        dataclasses.replace(one, p_holm=p)
        for one, p in zip(found, corrected, strict=True)
    ]


def _by_runs(
    winner: outcomes.Outcome,
    other: outcomes.Outcome,
    objective: str,
    folds: averages.Folds | None,
) -> Rival:
    differences = np.subtract(other.runs, winner.runs)
    found = averages.mean(differences, folds)
    method = f"Student's paired t, {found.unit}"
    if not found.error:
        if abs(found.value) <= 1e-12:
            return Rival(other.number, 0.0, 0.0, 0.0, 1.0, method)
        return Rival(
            other.number, found.value, method=method, reason="all runs differ alike"
        )
    lowest, highest = scoring.possible(objective)
    most = highest - lowest
    low, high = (
        max(found.value - found.half, -most),
        min(found.value + found.half, most),
    )
    return Rival(other.number, found.value, low, high, found.p, method)


def _by_photographs(
    winner: outcomes.Outcome,
    other: outcomes.Outcome,
    objective: str,
    run_dirs: Mapping[int, pathlib.Path],
) -> Rival:
    folders = {one: run_dirs[one] for one in (winner.number, other.number)}
    for number, folder in folders.items():
        if not (folder / "predictions.csv").exists():
            reason = f"trial {number} is on another machine"
            return Rival(other.number, other.value - winner.value, reason=reason)
    first, second = alignment.on_common_photographs(
        compared_runs.read(list(folders.values()), "valid")
    )[0]
    said = first.predictions
    evaluation = whole_files.read_json(first.folder / "metrics.json")["evaluation"]
    compared = comparison.compare(
        said.labels,
        {"winner": said.probabilities, "other": second.predictions.probabilities},
        first.disease_classes,
        compared=(objective,),
        groups=said.patients,
        thresholds={"winner": first.threshold, "other": second.threshold},
        prevalence=evaluation["prevalence"],
    )
    row = compared["pairs"][0]["differences"][objective]
    ends = (None, None) if row["low"] is None else (-row["high"], -row["low"])
    return Rival(
        other.number,
        other.value - winner.value,
        *ends,
        row["p"],
        row["method"] or "",
        row["reason"] or "",
    )


def noise(
    every: Sequence[outcomes.Outcome], repeats: Sequence[Mapping[str, str]]
) -> paired_tests.Noise | None:
    """How much two runs differ that differ in nothing but their seed.

    Args:
        every: Trials that are done.
        repeats: The runs of a trial: binding -> value.

    Returns:
        The noise; None where no trial has two seeds of one fold.
    """
    groups = []
    for one in every:
        by_fold: dict[str | None, list[float]] = {}
        for repeat, value in zip(repeats, one.runs, strict=True):
            by_fold.setdefault(repeat.get("split.fold"), []).append(value)
        groups += [values for values in by_fold.values() if len(values) > 1]
    return paired_tests.noise_floor(groups, averages.CONFIDENCE) if groups else None


def say_noise(
    floor: paired_tests.Noise | None, objective: str, repeats: Sequence[Mapping]
) -> str:
    """The noise floor in a sentence.

    Args:
        floor: What `noise` returned.
        objective: Name of the metric.
        repeats: The runs of a trial.
    """
    if floor is None:
        return (
            "Noise floor: not known, as no trial was trained with two seeds of one "
            "fold. tune.seeds = (0, 1, 2) tells; of ensembles tune.one_at_a_time with "
            "'train.seed' in the space."
        )
    label, count = table.label(objective), len(repeats)
    return (
        "Noise floor: two runs that differ in nothing but their seed differ by "
        f"{floor.deviation:.4f} {label} (standard deviation, from {floor.runs} runs), "
        f"means of {count} runs by {floor.deviation / math.sqrt(count):.4f}."
    )


def verdict(
    ranked: Sequence[outcomes.Outcome], others: Sequence[Rival], objective: str
) -> tuple[bool, str]:
    """Whether the winner stands out.

    Args:
        ranked: The trials that are done, the best first.
        others: What `rivals` returned.
        objective: Name of the metric.

    Returns:
        Whether to warn, and what to say.
    """
    best, label = ranked[0], table.label(objective)
    lead = f"Trial {best.number} has the best {label}, {best.value:.4f}"
    if not others:
        return False, f"{lead}; no other is done."
    following = others[0]
    told = f"{lead}. The next, trial {following.number}, {_apart(following, label)}"
    alike = [one.number for one in others[1:] if one.distinguishable is False]
    unknown = [one.number for one in others[1:] if one.distinguishable is None]
    also = ""
    if alike:
        nor = following.distinguishable is False
        begin = "Nor is the best" if nor else "The best is not"
        also = f" {begin} distinguishable from {_trials(alike)}."
    also += f" Not compared: {_trials(unknown)}." if unknown else ""
    if following.distinguishable is None:
        return True, (
            f"{told}: whether that is more than chance cannot be said, as "
            f"{following.reason}.{also}"
        )
    if not following.distinguishable:
        return True, (
            f"{told}: the two are not distinguishable.{also} "
            "More folds or seeds (tune.folds, tune.seeds; of ensembles ensemble.seeds) "
            "would tell them apart."
        )
    if following.method.endswith(_FOLDS):
        return bool(alike), f"{told}: more than chance.{also}"
    if len(best.runs) > 1:
        return bool(alike), (
            f"{told}: more than chance between seeds; whether more than between other "
            f"photographs is not known (tune.folds).{also}"
        )
    return bool(alike), (
        f"{told}: more than chance on these photographs; whether more than between two "
        f"seeds is another question.{also}"
    )


def _trials(numbers: Sequence[int]) -> str:
    return f"trial{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _apart(one: Rival, label: str) -> str:
    text = f"is {abs(one.difference):.4f} {label} away"
    if one.p is None:
        return text
    low, high = one.low, one.high
    if one.difference < 0:  # As the winner's advantage.
        low, high = -high, -low
    return (
        f"{text} (95 % interval {low:.4f} to {high:.4f}, {one.method}, p corrected for "
        f"all trials {one.p_holm:.3f})"
    )
