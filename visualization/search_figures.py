"""Figures of a hyperparameter search, narrow enough for a phone."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from visualization import figures

# Inches.
_WIDTH = 3.7
_BAR = 0.26

_MOST = 40
"""Trials that are drawn with their names; more would not be legible."""

_TICKS = 6


def trials(
    names: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float] | None],
    label: str,
    noise: float | None = None,
) -> Figure:
    """Draws the trials with their intervals, a row each.

    Args:
        names: Of the trials, the best first.
        values: The objective of each.
        intervals: The ends of each one's interval, or None.
        label: What the objective is.
        noise: How far seeds alone move a value, drawn to both sides of the best.

    Returns:
        The figure; of more than 40 trials it shows the best.
    """
    names, values, intervals = names[:_MOST], values[:_MOST], intervals[:_MOST]
    figure, axes = figures.plain_axes(
        _WIDTH, 0.9 + _BAR * len(names), f"{label}, the best first"
    )
    rows = np.arange(len(names))
    if noise is not None:
        axes.axvspan(
            values[0] - noise, values[0] + noise, color=figures.FAINT, alpha=0.55, lw=0
        )
    for row, value, ends in zip(rows, values, intervals, strict=True):
        color = figures.DISEASE_COLOR if row == 0 else figures.HEALTHY_COLOR
        if ends is not None:
            axes.plot(ends, (row, row), color=color, lw=2)
        axes.plot(value, row, color=color, **figures.DOT)
    axes.set_yticks(rows, names, size=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
    text = "lines: 95 % intervals"
    if noise is not None:
        text += "; grey: what seeds alone do"
    axes.set_xlabel(text, size=8, color=figures.INK)
    return figure


def changes(
    names: Sequence[str],
    differences: Sequence[float],
    intervals: Sequence[tuple[float, float] | None],
    label: str,
) -> Figure:
    """Draws what each change does to the objective, a row each.

    Args:
        names: What was changed.
        differences: The objective with the change less that without it.
        intervals: The ends of each difference's interval, or None.
        label: What the objective is.

    Returns:
        The figure.
    """
    named = ["\n".join(textwrap.wrap(one, 26)) for one in names]
    # Names may leave a title no room.
    figure, axes = figures.plain_axes(_WIDTH, 0.9 + 1.4 * _BAR * len(names), "")
    axes.axvline(0, color=figures.INK, lw=0.8, zorder=1)
    for row, (value, ends) in enumerate(zip(differences, intervals, strict=True)):
        if ends is not None:
            axes.plot(ends, (row, row), color=figures.HEALTHY_COLOR, lw=2)
        axes.plot(value, row, color=figures.HEALTHY_COLOR, **figures.DOT)
    axes.set_yticks(range(len(names)), named, size=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    text = f"change of {label}\nlines: 95 % intervals"
    axes.set_xlabel(text, size=8, color=figures.INK)
    return figure


def parameters(
    columns: Mapping[str, Sequence[float | bool | str]],
    values: Sequence[float],
    label: str,
) -> Figure:
    """Draws the objective over each parameter, a panel each.

    Args:
        columns: Parameter -> its value in each trial; numbers are drawn to scale,
            logarithmic where the largest is at least 10 times the smallest.
        values: The objective of each trial, the best first.
        label: What the objective is.

    Returns:
        The figure.
    """
    height = 2.3
    figure = Figure(figsize=(_WIDTH, height * len(columns)), dpi=100, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    every = np.atleast_1d(figure.subplots(len(columns), sharey=True))
    for axes, (name, column) in zip(every, columns.items(), strict=True):
        figures.style_axes(axes)
        places = column
        if _are_numbers(column):
            different = sorted(set(column))
            if different[0] > 0 and different[-1] >= 10 * different[0]:
                axes.set_xscale("log")
            if len(different) <= _TICKS:  # A grid's, which says more than round ones.
                axes.set_xticks(different, [f"{one:.4g}" for one in different])
                axes.set_xticks([], minor=True)
        else:
            texts = sorted({str(one) for one in column})
            places = [texts.index(str(one)) for one in column]
            shown = [textwrap.shorten(one, 14, placeholder="...") for one in texts]
            axes.set_xticks(range(len(texts)), shown)
        axes.margins(x=0.15)
        axes.plot(places, values, color=figures.HEALTHY_COLOR, **figures.DOT)
        # On top; an empty line of the others would let the layout collapse.
        axes.plot(places[0], values[0], color=figures.DISEASE_COLOR, **figures.DOT)
        axes.grid(color=figures.FAINT, lw=0.5)
        axes.set_xlabel(name, size=9, color=figures.INK)
        axes.set_ylabel(label, size=9, color=figures.INK)
    return figure


def importance(shares: Mapping[str, float]) -> Figure:
    """Draws how much each parameter decides, the most important first.

    Args:
        shares: Parameter -> its share, 0-1.

    Returns:
        The figure.
    """
    figure, axes = figures.plain_axes(
        _WIDTH, 0.9 + 0.3 * len(shares), "Importance of each parameter"
    )
    rows = np.arange(len(shares))
    axes.barh(rows, list(shares.values()), color=figures.HEALTHY_COLOR, height=0.6)
    for row, share in zip(rows, shares.values(), strict=True):
        axes.text(share + 0.015, row, f"{100 * share:.0f} %", va="center", size=8)
    axes.set_yticks(rows, list(shares), size=8)
    axes.set(ylim=(len(shares) - 0.5, -0.5), xlim=(0, 1.15), xticks=[])
    return figure


def _are_numbers(column: Sequence) -> bool:
    return all(isinstance(one, int | float) and type(one) is not bool for one in column)
