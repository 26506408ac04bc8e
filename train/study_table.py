"""A search as text: how far it is, the table of trials, a CSV file."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence

from evaluation import table
from train import outcomes, search_space

_ENDS = ("value", "low", "high")
_FIRST = ("trial", "state")
_TIMES = ("start", "end", "seconds")


def progress(
    every: Sequence[outcomes.Outcome], objective: str, direction: str, workers: int
) -> str:
    """How far a search is, in a line.

    Args:
        every: All trials.
        objective: Name of the metric.
        direction: "maximize" or "minimize".
        workers: How many trials this machine trains at the same time.
    """
    states = [one.state for one in every]
    counts = [f"{states.count('done')} done", f"{states.count('running')} running"]
    counts += [
        f"{states.count(state)} {state}"
        for state in ("failed", "pruned")
        if state in states
    ]
    text = f"Of {len(every)} trials {', '.join(counts)}"
    if ranked := outcomes.ranked(every, direction):
        best = ranked[0]
        text += (
            f"; best {table.label(objective)} {best.value:.4f} (trial {best.number})"
        )
    seconds = _seconds_left(every, workers)
    return f"{text}; {duration(seconds)} left." if seconds else f"{text}."


def _seconds_left(every: Sequence[outcomes.Outcome], workers: int) -> float:
    """0 where nothing is left, or nothing is known yet."""
    took = [one.seconds for one in every if one.state in ("done", "pruned")]
    if not took:
        return 0.0
    # A trial that was found finished took no time of this search.
    usual = statistics.median(took)
    waiting = sum(one.state == "waiting" for one in every)
    running = [one for one in every if one.state == "running"]
    left = usual * waiting + sum(max(0.0, usual - one.seconds) for one in running)
    at_once = max(len(running), min(workers, waiting + len(running)), 1)
    return left / at_once


def duration(seconds: float) -> str:
    """As in "about 40 s", "about 12 min", "about 3.5 h"."""
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


def render(
    rows: Sequence[outcomes.Outcome],
    parameters: Sequence[search_space.Parameter],
    objective: str,
) -> str:
    """The table of trials.

    Args:
        rows: In the order of the table.
        parameters: The space.
        objective: Name of the metric.

    Returns:
        Lines without a final line break.
    """
    keys = [one.key for one in parameters]
    names = outcomes.short_names(keys)
    head = ["trial", *names.values(), table.label(objective), "95 % interval", "state"]
    cells = [head]
    for one in rows:
        values = [shown(one.values.get(key)) for key in keys]
        cells.append([str(one.number), *values, *figure(one, objective), one.state])
    return lined_up(cells)


def lined_up(cells: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )


def shown(value: float | bool | str | None) -> str:
    """A value as a cell has it."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figure(one: outcomes.Outcome, objective: str) -> tuple[str, str]:
    """A trial's objective and its interval, as cells have them."""
    if one.value is None:
        return "-", "-"
    ends = one.interval(objective)
    return (
        f"{one.value:.4f}",
        "-" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}",
    )


def to_csv(
    every: Sequence[outcomes.Outcome],
    parameters: Sequence[search_space.Parameter],
    metrics: Sequence[str],
    repeats: Sequence[Mapping[str, str]],
    objective: str,
) -> str:
    """All trials with all their figures, and the objective of each of their runs.

    Start and end are local times.

    Args:
        every: All trials.
        parameters: The space.
        metrics: Names of the figures.
        repeats: The runs of a trial: binding -> value.
        objective: Name of the metric.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{one} {end}".removesuffix(" value") for one in metrics for end in _ENDS]
    runs = [
        f"{objective}, {', '.join(f'{key} = {value}' for key, value in one.items())}"
        for one in repeats
        if one
    ]
    keys = [one.key for one in parameters]
    writer.writerow([*_FIRST, *keys, *_TIMES, *heads, *runs, "reason"])
    for one in every:
        cells = [
            one.figures.get(name, {}).get(end) for name in metrics for end in _ENDS
        ]
        each = list(one.runs) if len(one.runs) == len(runs) else [None] * len(runs)
        times = [
            when and when.isoformat(sep=" ", timespec="seconds")
            for when in (one.start, one.end)
        ]
        times.append(round(one.seconds, 1) if one.end else None)
        values = [one.values.get(key) for key in keys]
        writer.writerow(
            [one.number, one.state, *values, *times, *cells, *each, one.reason]
        )
    return text.getvalue()
