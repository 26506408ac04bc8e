"""Runs side by side: on photographs that none has seen, by the questions they share."""

import collections
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation import compared_runs


@dataclasses.dataclass(frozen=True)
class Question:
    """Runs that ask the same of the same photographs.

    Attributes:
        rule: What they ask, in words.
        runs: As they answer it.
        tasks: Names of the tasks they were trained for; where these are several, the
            runs are of two classes.
    """

    rule: str
    runs: Sequence[compared_runs.Run]
    tasks: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Those of the runs."""
        return [run.name for run in self.runs]


def on_common_photographs(
    runs: Sequence[compared_runs.Run],
) -> tuple[list[compared_runs.Run], list[dict[str, Any]]]:
    """Leaves out photographs that some run lacks, or has seen before its test.

    Args:
        runs: What each said of a split.

    Returns:
        The same runs, with the same photographs in the same order; and what was left
        out, JSON-ready: `run`, `photographs` (how many) and `reason`.

    Raises:
        ValueError: Nothing is left, or a photograph is not the same in all runs.
    """
    held = [frozenset(run.predictions.ids) for run in runs]
    common = frozenset.intersection(*held)
    for run in runs:
        common -= _spoilt(run)
    left_out = []
    for run, ids in zip(runs, held, strict=True):
        reasons = collections.Counter(_reason(one, runs, held) for one in ids - common)
        left_out += [
            {"run": run.name, "photographs": count, "reason": reason}
            for reason, count in sorted(reasons.items())
        ]
    if not common:
        texts = [
            f"{one['photographs']:,} of {one['run']}, which {one['reason']}"
            for one in left_out
        ]
        raise ValueError(
            f"The runs have no photograph of {runs[0].predictions.split!r} in common "
            f"on which they can be compared. Left out: {'; '.join(texts)}. Train the "
            "runs on the same split, or evaluate them on the same photographs."
        )
    ordered = [one for one in runs[0].predictions.ids if one in common]
    aligned = [run.take(ordered) for run in runs]
    for pair in itertools.combinations(aligned, 2):
        _check_same_files(*pair)
    return aligned, left_out


def questions(runs: Sequence[compared_runs.Run]) -> list[Question]:
    """Groups runs by who is diseased.

    A run of five grades also answers the other runs' "grade >= 1" and the like. Runs
    of different tasks answer a question as two classes, disease or none.

    Args:
        runs: On the same photographs.

    Returns:
        The questions, in the order of the runs.

    Raises:
        ValueError: Two runs that ask the same have other labels of a photograph.
    """
    found = []
    for asked in dict.fromkeys(run.question for run in runs):
        group = [run for run in runs if run.answers(asked)]
        rule = group[0].task["rule"]
        if any(run.task != group[0].task for run in group):
            group, rule = [run.as_two_classes(asked) for run in group], asked
        for pair in itertools.combinations(group, 2):
            _check_labels(*pair)
        tasks = dict.fromkeys(run.task["name"] for run in group)
        found.append(Question(rule, group, list(tasks)))
    return found


def repeats(runs: Sequence[compared_runs.Run]) -> list[list[str]]:
    """Names of runs that differ in nothing but their seed, recipe by recipe."""
    recipes: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for run in runs:
        if run.recipe is not None:
            # Of one seed the first: a run's copies show no noise.
            recipes[run.recipe].setdefault(run.seed, run.name)
    return [list(one.values()) for one in recipes.values() if len(one) > 1]


def _spoilt(run: compared_runs.Run) -> frozenset[str]:
    """Photographs on which a run's figures would be too kind."""
    if run.seen is None:
        return frozenset()
    if run.predictions.split == "valid":  # Of all runs alike.
        return run.seen["train"]
    return run.seen["train"] | run.seen["valid"]


def _reason(
    photograph_id: str,
    runs: Sequence[compared_runs.Run],
    held: Sequence[frozenset[str]],
) -> str:
    """Why a photograph is left out: the gravest of the reasons."""
    for seen, what in (
        ("train", "has trained on"),
        ("valid", "has chosen its epoch or threshold on"),
    ):
        for run in runs:
            some = run.seen is not None and photograph_id in run.seen[seen]
            if some and photograph_id in _spoilt(run):
                return f"{run.name} {what}"
    lacking = next(
        run.name
        for run, ids in zip(runs, held, strict=True)
        if photograph_id not in ids
    )
    return f"{lacking} lacks"


def _check_same_files(first: compared_runs.Run, second: compared_runs.Run) -> None:
    """Refuses two data sets whose photographs merely have the same names."""
    sizes = [run.predictions.known["size"] for run in (first, second)]
    for name, *both in zip(first.predictions.ids, *sizes, strict=True):
        if both[0] != both[1] and all(both):
            raise ValueError(
                f"{name} measures {both[0]} pixels in {first.name} and {both[1]} in "
                f"{second.name}: it is not the same photograph. Evaluate both runs on "
                "the same data folder."
            )


def _check_labels(first: compared_runs.Run, second: compared_runs.Run) -> None:
    """Refuses two runs that have other labels of a photograph."""
    labels = [run.predictions.labels for run in (first, second)]
    differing = np.flatnonzero(labels[0] != labels[1])
    if len(differing):
        place = differing[0]
        said = [
            f"{run.task['class_names'][run.predictions.labels[place]]!r} in {run.name}"
            for run in (first, second)
        ]
        raise ValueError(
            f"{first.predictions.ids[place]} is labelled {said[0]} and {said[1]}, so "
            "the runs cannot be compared. Photographs whose labels differ: "
            f"{len(differing):,} of {len(labels[0]):,}. Evaluate both by the same "
            "label file and the same rule."
        )
