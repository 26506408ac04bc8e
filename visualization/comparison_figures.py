"""Figures of several runs side by side, narrow enough for a phone."""

import dataclasses
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation import metrics, scoring, table
from visualization import figures

# Okabe and Ito (2008), darkened where they are faint on white.
_COLORS = ("#0072B2", "#D55E00", "#00845F", "#B0558A", "#1a1a1a", "#8F6B00")
_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1)))

# Inches.
_WIDTH, _MARGIN = 3.7, 0.16
_HEAD, _LINE, _BAR, _FOOT = 0.42, 0.15, 0.24, 0.42

_NAME = 24
"""Letters of a run's name that stand beside its numbers."""


@dataclasses.dataclass(frozen=True)
class _Row:
    """A value with its interval; None where there is none."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    color: str

    @property
    def lines(self) -> list[str]:
        return textwrap.wrap(self.label, _NAME)

    @property
    def height(self) -> float:
        return _LINE * len(self.lines) + _BAR


def values(scores: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> Figure:
    """Draws figures with their intervals, a panel a metric and a row a run.

    Args:
        scores: By the run's name, what `intervals.score_with_intervals` returns.
        names: Which metrics.

    Returns:
        The figure.
    """
    panels = {}
    for name in names:
        rows = []
        for color, (run, one) in zip(
            itertools.cycle(_COLORS), scores.items(), strict=False
        ):
            entry = one["metrics"][name]
            rows.append(
                _Row(run, entry["value"], entry.get("low"), entry.get("high"), color)
            )
        panels[name] = rows
    figure, _ = _forest(panels, "{:.3f}")
    return figure


def differences(
    pairs: Sequence[Mapping[str, Any]],
    noise: Mapping[str, Mapping[str, float] | None],
) -> Figure:
    """Draws the difference of each pair beside the noise of seeds, a panel a metric.

    Args:
        pairs: What `comparison.compare` returns by that name.
        noise: The same.

    Returns:
        The figure.
    """
    panels = {}
    for name in noise:
        panels[name] = [
            _Row(
                f"{pair['first']} less {pair['second']}",
                row["difference"],
                row["low"],
                row["high"],
                figures.INK,
            )
            for pair in pairs
            for row in [pair["differences"][name]]
        ]
    figure, axes = _forest(panels, "{:+.3f}", zero=True)
    for one, floor in zip(axes, noise.values(), strict=True):
        if floor is not None:
            limits = one.get_xlim()
            one.axvspan(
                -floor["reach"], floor["reach"], color=figures.FAINT, alpha=0.55
            )
            one.set_xlim(limits)
            one.set_xlabel("grey: what two seeds can differ by", size=8)
            one.xaxis.label.set_color(figures.INK)
    return figure


def roc(
    scorers: Mapping[str, scoring.Scorer], scores: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Draws the ROC curves of runs that ask the same, with their operating points.

    Where one of the two groups is absent there is no curve, and the figure says so.

    Args:
        scorers: The predictions, by the run's name.
        scores: What `intervals.score_with_intervals` returns, by the same names.

    Returns:
        The figure.
    """
    figure = Figure(
        figsize=(_WIDTH, _WIDTH + 0.2 + 0.32 * len(scorers)), dpi=100, facecolor="white"
    )
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    axes = figure.add_subplot()
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal")
    axes.set_xlabel("1 - specificity", color=figures.INK, size=9)
    axes.set_ylabel("sensitivity", color=figures.INK, size=9)
    axes.grid(color=figures.FAINT, lw=0.5)
    _plain(axes)
    axes.spines["left"].set_visible(True)
    axes.plot([0, 1], [0, 1], color=figures.FAINT, lw=1)
    looks = zip(itertools.cycle(_COLORS), itertools.cycle(_STYLES), strict=False)
    for (color, style), (name, scorer) in zip(looks, scorers.items(), strict=False):
        entry = scores[name]["metrics"]["auc"]
        if entry["value"] is None:
            text = textwrap.fill(f"undefined: {entry['reason']}", 30)
            axes.text(0.5, 0.6, text, ha="center", color=figures.INK, size=9)
            return figure
        number = _number(entry["value"], entry["low"], entry["high"], "{:.3f}")
        label = f"{textwrap.fill(name, 40)}\nAUC {number}"
        axes.plot(*_curve(scorer), color=color, ls=style, lw=1.8, label=label)
        of_healthy, of_diseased = scorer.disease_matrix()
        point = (of_healthy[1] / of_healthy.sum(), of_diseased[1] / of_diseased.sum())
        axes.plot(*point, "o", color=color, ms=7, mec="white", clip_on=False)
    figure.legend(
        loc="outside lower center",
        frameon=False,
        fontsize=8,
        title="Dots: what each does at its threshold",
        title_fontsize=8,
        alignment="left",
    )
    return figure


def _curve(scorer: scoring.Scorer) -> np.ndarray:
    """1 - specificity and sensitivity of every threshold, from the highest."""
    levels, ranks = np.unique(scorer.disease_probability, return_inverse=True)
    counts = metrics.score_table(scorer.diseased, ranks, len(levels))
    passed = np.cumsum(counts[:, ::-1], axis=1) / counts.sum(axis=1, keepdims=True)
    return np.concatenate([np.zeros((2, 1)), passed], axis=1)


def _forest(
    panels: Mapping[str, Sequence[_Row]], number: str, zero: bool = False
) -> tuple[Figure, list[Axes]]:
    """Draws a panel a metric, laid out in inches so that any text has its room."""
    heights = [sum(row.height for row in rows) for rows in panels.values()]
    total = sum(heights) + len(panels) * (_HEAD + _FOOT)
    figure = Figure(figsize=(_WIDTH, total), dpi=100, facecolor="white")
    drawn, top = [], total
    for height, (name, rows) in zip(heights, panels.items(), strict=True):
        top -= _HEAD
        left, width = _MARGIN / _WIDTH, 1 - 2 * _MARGIN / _WIDTH
        axes = figure.add_axes((left, (top - height) / total, width, height / total))
        title = table.label(name)
        if name in scoring.LOWER_IS_BETTER:
            title += " (less is better)"
        axes.set_title(title, size=10, loc="left", color=figures.INK, pad=8)
        axes.set(ylim=(0, height), yticks=[])
        axes.grid(axis="x", color=figures.FAINT, lw=0.5)
        axes.locator_params(axis="x", nbins=5)
        _plain(axes)
        if zero:
            axes.axvline(0, color=figures.INK, lw=0.8, zorder=1)
        _draw_rows(axes, rows, height, number)
        axes.margins(x=0.08)
        drawn.append(axes)
        top -= height + _FOOT
    return figure, drawn


def _draw_rows(axes: Axes, rows: Sequence[_Row], height: float, number: str) -> None:
    """Draws each row's name and numbers, and below them its interval."""
    place, style = height, {"size": 8.5, "color": figures.INK, "va": "bottom"}
    style["transform"] = axes.get_yaxis_transform()  # Across in shares of the panel.
    style["bbox"] = {"fc": "white", "ec": "none", "pad": 0.6}
    for row in rows:
        place -= row.height
        text = _number(row.value, row.low, row.high, number)
        axes.text(0, place + _BAR, "\n".join(row.lines), ha="left", **style)
        axes.text(1, place + _BAR, text, ha="right", **style)
        middle = place + 0.55 * _BAR
        if row.low is not None:
            axes.plot((row.low, row.high), (middle, middle), color=row.color, lw=2.2)
        if row.value is not None:
            axes.plot(row.value, middle, "o", color=row.color, ms=6.5, mec="white")


def _plain(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines[:].set_color(figures.INK)
    axes.tick_params(colors=figures.INK, labelsize=8)


def _number(
    value: float | None, low: float | None, high: float | None, number: str
) -> str:
    if value is None:
        return "undefined"
    text = number.format(value)
    if low is None:
        return text
    return f"{text} ({number.format(low)} to {number.format(high)})"
