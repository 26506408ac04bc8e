"""What a search found, as text: progress, the table of trials, a CSV file."""

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from input_pipeline import records
from train import search_space

_WORDS = {
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def ranking(
    latest: Mapping[int, FrozenTrial], direction: str
) -> list[tuple[int, FrozenTrial]]:
    """The finished trials with their numbers, the best first.

    Args:
        latest: Point -> the last attempt at it.
        direction: "maximize" or "minimize".
    """
    done = [pair for pair in latest.items() if pair[1].state == TrialState.COMPLETE]
    sign = -1 if direction == "maximize" else 1
    return sorted(done, key=lambda pair: (sign * pair[1].value, pair[0]))


def progress(
    latest: Mapping[int, FrozenTrial], objective: str, direction: str, seconds: float
) -> str:
    """How far a search is, in a line.

    Args:
        latest: Point -> the last attempt at it.
        objective: Name of the metric.
        direction: "maximize" or "minimize".
        seconds: How long this process is at work, which says how long it still takes.
    """
    states = [one.state for one in latest.values()]
    finished = sum(one.is_finished() for one in states)
    counts = [
        f"{states.count(state)} {_WORDS[state]}"
        for state in (TrialState.RUNNING, TrialState.FAIL, TrialState.PRUNED)
        if state in states
    ]
    text = ", ".join([f"Trials: {finished} of {len(states)}", *counts])
    if ranked := ranking(latest, direction):
        point, best = ranked[0]
        text += f"; best {objective} {best.value:.4f} (trial {point})"
    here = [
        (one.datetime_complete - one.datetime_start).total_seconds()
        for one in latest.values()
        if one.state == TrialState.COMPLETE
    ]
    left = len(states) - finished
    if left and here:
        at_once = max(1, states.count(TrialState.RUNNING))
        minutes = sum(here) / len(here) * left / at_once / 60
        text += f"; about {minutes:.0f} min left"
    return f"{text}."


def render(
    latest: Mapping[int, FrozenTrial],
    parameters: Sequence[search_space.Parameter],
    objective: str,
    direction: str,
) -> str:
    """The table of trials, the best first, and how far the winner can be believed.

    Args:
        latest: Point -> the last attempt at it.
        parameters: The space.
        objective: Name of the metric.
        direction: "maximize" or "minimize".

    Returns:
        Lines without a final line break.
    """
    ranked = ranking(latest, direction)
    others = [(p, one) for p, one in latest.items() if (p, one) not in ranked]
    names = [one.key.rpartition(".")[2] for one in parameters]
    rows = [["trial", *names, objective, "95 % interval", "state"]]
    for point, one in [*ranked, *others]:
        values = [str(_shown(one, parameter)) for parameter in parameters]
        rows.append([str(point), *values, *_figure(one, objective), _WORDS[one.state]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    lines = [line.rstrip() for line in lines]
    failures = [
        f"Trial {point} failed: {one.user_attrs['failure']}"
        for point, one in others
        if "failure" in one.user_attrs
    ]
    notes = [_verdict(ranked, objective)] if ranked else []
    return "\n\n".join(["\n".join(lines), *failures, *notes])


def write_csv(
    path: pathlib.Path,
    latest: Mapping[int, FrozenTrial],
    parameters: Sequence[search_space.Parameter],
) -> None:
    """Writes all trials with all their figures.

    Args:
        path: The file.
        latest: Point -> the last attempt at it.
        parameters: The space.
    """
    metrics = list(
        dict.fromkeys(
            name
            for one in latest.values()
            for name in one.user_attrs.get("figures", ())
        )
    )
    ends = ("value", "low", "high")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{name} {end}".removesuffix(" value") for name in metrics for end in ends]
    keys = [one.key for one in parameters]
    writer.writerow(["trial", "state", *keys, *heads, "failure"])
    for point, one in latest.items():
        figures = one.user_attrs.get("figures", {})
        cells = [figures.get(name, {}).get(end) for name in metrics for end in ends]
        values = [_shown(one, parameter) for parameter in parameters]
        failure = one.user_attrs.get("failure", "")
        writer.writerow([point, _WORDS[one.state], *values, *cells, failure])
    records.write_text(path, text.getvalue())


def _shown(one: FrozenTrial, parameter: search_space.Parameter):
    if parameter.key not in one.params:
        return "-"
    return parameter.shown(one.params[parameter.key])


def _figure(one: FrozenTrial, objective: str) -> tuple[str, str]:
    if one.state != TrialState.COMPLETE:
        return "-", "-"
    low, high = _interval(one, objective)
    interval = "-" if low is None else f"{low:.4f}-{high:.4f}"
    return f"{one.value:.4f}", interval


def _interval(one: FrozenTrial, objective: str) -> tuple[float | None, float | None]:
    entry = one.user_attrs["figures"][objective]
    return entry.get("low"), entry.get("high")


def _verdict(ranked: Sequence[tuple[int, FrozenTrial]], objective: str) -> str:
    """How far the winner stands out from the others."""
    point, best = ranked[0]
    low, high = _interval(best, objective)
    if len(ranked) == 1 or low is None:
        return f"Trial {point} has the best {objective}."
    within = [p for p, one in ranked[1:] if low <= one.value <= high]
    if not within:
        return f"Trial {point} has the best {objective}; no other lies in its interval."
    named = f"trial{'s' * (len(within) > 1)} {', '.join(map(str, within))}"
    lie = "lie" if len(within) > 1 else "lies"
    return (
        f"Trial {point} has the best {objective}, but it is not distinguishable: its "
        f"interval reaches {(high - low) / 2:.4f} either way, and {named} {lie} in it. "
        "More folds or seeds (tune.folds, tune.seeds) would tell them apart."
    )
