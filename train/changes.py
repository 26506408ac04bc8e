"""A search that changes one binding at a time: what does each change do?"""

import pathlib
from collections.abc import Mapping, Sequence

from evaluation import table
from train import averages, outcomes, search_space, study_table, winner

SEED = "train.seed"
"""The binding whose change is chance alone."""


def against_first(
    every: Sequence[outcomes.Outcome],
    objective: str,
    run_dirs: Mapping[int, pathlib.Path],
    folds: averages.Folds | None = None,
) -> list[winner.Rival]:
    """Compares trial 0, which has all first choices, with each other trial.

    Args:
        every: All trials.
        objective: Name of the metric.
        run_dirs: Number of a trial that is done -> the directory of its first run.
        folds: Those that the runs of a trial are of, if of several.

    Returns:
        The other trials that are done, by their number; none where trial 0 is not.
    """
    done = sorted(
        (one for one in every if one.state == "done"), key=lambda one: one.number
    )
    if not done or done[0].number != 0:
        return []
    return winner.rivals(done, objective, run_dirs, folds)


def names(
    every: Sequence[outcomes.Outcome], parameters: Sequence[search_space.Parameter]
) -> dict[int, str]:
    """Number of a trial -> what it has otherwise than trial 0, as in "epochs = 40"."""
    short = outcomes.short_names([one.key for one in parameters])
    start = search_space.first(parameters)
    return {
        one.number: ", ".join(
            f"{short[key]} = {text}"
            for key, text in one.point.items()
            if text != start[key]
        )
        for one in every
    }


def render(
    first: outcomes.Outcome,
    changes: Sequence[winner.Rival],
    names: Mapping[int, str],
    objective: str,
) -> str:
    """What each change does to the objective.

    Args:
        first: Trial 0.
        changes: What `against_first` returned.
        names: What `names` returned.
        objective: Name of the metric.

    Returns:
        Lines without a final line break.
    """
    label = table.label(objective)
    cells = [["changed", "trial", label, "95 % interval", "p, corrected"]]
    for one in changes:
        ends, p = "-", one.reason or "-"
        if one.low is not None:
            ends = f"{one.low:+.4f} to {one.high:+.4f}"
        if one.p_holm is not None:
            p = f"{one.p_holm:.3f}"
        cells.append(
            [names[one.number], str(one.number), f"{one.difference:+.4f}", ends, p]
        )
    return (
        f"What each change does to trial 0, whose {label} is {first.value:.4f}\n"
        f"{study_table.lined_up(cells)}"
    )


def why_not(first: outcomes.Outcome) -> str:
    """Why nothing is compared with trial 0, in a sentence.

    Args:
        first: Trial 0.
    """
    if first.state == "done":
        return "No change of trial 0 is done, so that there is nothing to compare."
    failed = first.state in ("failed", "pruned")
    way_out = "Search in another --run_dir." if failed else "The same command goes on."
    return (
        f"What each change does is not known: trial 0, which all are compared with, is "
        f"{first.state}. {way_out}"
    )


def say_noise(
    every: Sequence[outcomes.Outcome],
    changes: Sequence[winner.Rival],
    objective: str,
) -> str:
    """How much seeds change, in a sentence; "" where no trial has another seed.

    Args:
        every: All trials.
        changes: What `against_first` returned.
        objective: Name of the metric.
    """
    seeds = {one.number: one.point.get(SEED) for one in every}
    moved = [abs(one.difference) for one in changes if seeds[one.number] != seeds[0]]
    if not moved:
        return ""
    return (
        "Noise: another seed, which means nothing, changes "
        f"{table.label(objective)} by {' and '.join(f'{one:.4f}' for one in moved)}."
    )
