"""Curves of predictions and of a training, for print and, narrower, for a phone."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation import metrics, table
from visualization import figures

# Validation's metrics that run from 0 (chance or worse) to 1.
_LEARNT = {
    "val_auc": figures.HEALTHY_COLOR,
    "val_balanced_accuracy": figures.DISEASE_COLOR,
    "val_quadratic_kappa": "#009E73",
}

_REFERENCE = {"color": figures.DIM, "lw": 1, "ls": figures.DASHES}

# Told apart by more than their colour.
_OTHER_WAYS = (
    {"color": figures.DISEASE_COLOR, "ls": "--"},
    {"color": "#009E73", "ls": ":"},
)

# A curve of more would make a page of megabytes.
_POINTS = 2000


def roc(
    labels: np.ndarray,
    disease_probability: np.ndarray,
    title: str,
    *,
    interval: tuple[float, float] | None = None,
    thresholds: Sequence[float] = (),
    width: float = 5.4,
) -> Figure:
    """Draws the ROC curve, with its area in the legend.

    Where one of the two groups is absent there is no curve, and the figure says so.

    Args:
        labels: bool or int array of shape `(n,)`; true or 1 is diseased.
        disease_probability: float array of shape `(n,)`, 0-1.
        title: Shown above.
        interval: Lower and upper end of the area's 95 % interval.
        thresholds: Probabilities from which a photograph counts as diseased; a dot
            marks what each does.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.

    Raises:
        ValueError: If labels and probabilities differ in shape or are out of range.
    """
    levels, counts = _score_table(labels, disease_probability)
    figure, axes = _square_axes(width, title, "1 - specificity", "sensitivity")
    try:
        area = metrics.auc(counts)
    except metrics.UndefinedMetricError as reason:
        _say_undefined(axes, str(reason))
        return figure
    # A threshold that falls past every score in turn, from the highest.
    passed = np.cumsum(counts[:, ::-1], axis=1) / counts.sum(axis=1, keepdims=True)
    rates = np.concatenate([np.zeros((2, 1)), passed], axis=1)
    _draw_curve(axes, *_thin(*rates), _with_interval("AUC", area, interval))
    axes.plot([0, 1], [0, 1], label="chance", **_REFERENCE)
    for number, threshold in enumerate(thresholds):
        called = np.sum(levels >= threshold)
        _draw_point(axes, *rates[:, called], threshold, hollow=number > 0)
    _score_legend(axes, counts, "lower right")
    return figure


def precision_recall(
    labels: np.ndarray,
    disease_probability: np.ndarray,
    title: str,
    *,
    interval: tuple[float, float] | None = None,
    thresholds: Sequence[float] = (),
    width: float = 5.4,
) -> Figure:
    """Draws positive predictive value against sensitivity, as the steps they are.

    The area, average precision, is in the legend. Chance scores the share of the
    diseased, so curves compare only where that share is the same. Where one of the two
    groups is absent there is no curve, and the figure says so.

    Args:
        labels: bool or int array of shape `(n,)`; true or 1 is diseased.
        disease_probability: float array of shape `(n,)`, 0-1.
        title: Shown above.
        interval: Lower and upper end of the area's 95 % interval.
        thresholds: Probabilities from which a photograph counts as diseased; a dot
            marks what each does, unless nobody is called diseased.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.

    Raises:
        ValueError: If labels and probabilities differ in shape or are out of range.
    """
    levels, counts = _score_table(labels, disease_probability)
    figure, axes = _square_axes(width, title, "sensitivity", "PPV")
    try:
        area = metrics.average_precision(counts)
    except metrics.UndefinedMetricError as reason:
        _say_undefined(axes, str(reason))
        return figure
    n_healthy, n_diseased = counts.sum(axis=1)
    # A threshold that falls past every score in turn, from the highest.
    healthy, diseased = np.cumsum(counts[:, ::-1], axis=1)
    recall, precision = diseased / n_diseased, diseased / (healthy + diseased)
    ends, heights = _thin(recall, precision)
    # The value of a step is reached at its end: no line joins two points.
    x, y = np.repeat(np.append(0, ends), 2)[1:-1], np.repeat(heights, 2)
    _draw_curve(axes, x, y, _with_interval("PR AUC", area, interval))
    share = n_diseased / (n_healthy + n_diseased)
    axes.axhline(share, label=f"chance, {share:.3f}", **_REFERENCE)
    for number, threshold in enumerate(thresholds):
        if called := np.sum(levels >= threshold):
            point = recall[called - 1], precision[called - 1]
            _draw_point(axes, *point, threshold, hollow=number > 0)
    _score_legend(axes, counts, "lower left")
    return figure


def reliability(
    bins: Sequence[Mapping[str, Any]],
    title: str,
    *,
    before: Sequence[Mapping[str, Any]] | None = None,
    width: float = 5.4,
) -> Figure:
    """Draws the share of the diseased against the probability that was said.

    On the diagonal a probability means what it says. Bars are intervals of the shares;
    below stands how many photographs each bin has.

    Args:
        bins: As `calibration.reliability` returns them.
        title: Shown above.
        before: The same before a calibration, drawn behind.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.
    """
    figure, axes = _square_axes(width, title, "", "share with the disease")
    figure.set_size_inches(width, 1.3 * width)
    axes.plot([0, 1], [0, 1], label="as it should be", **_REFERENCE)
    color = figures.HEALTHY_COLOR
    if before is not None:
        look = {"color": figures.DIM, "marker": "s", "mfc": "white"}
        _draw_shares(axes, before, label="before calibration", **look)
    for one in bins:
        if one["n"]:
            ends = one["low"], one["high"]
            axes.vlines(one["mean_probability"], *ends, color=color, lw=1.4, alpha=0.5)
    _draw_shares(axes, bins, label="reported", color=color, marker="o", mec="white")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    axes.tick_params(labelbottom=False)
    counts = _panel_below(figure, axes)
    counts.bar(
        [one["start"] for one in bins],
        [one["n"] for one in bins],
        width=[one["end"] - one["start"] for one in bins],
        align="edge",
        color=color,
        alpha=0.45,
    )
    counts.set_xlabel("said probability of disease", color=figures.INK)
    counts.set_ylabel("photographs", color=figures.INK)
    counts.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
    return figure


def referral(
    curve: Mapping[str, Any],
    name: str,
    title: str,
    *,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    width: float = 5.4,
) -> Figure:
    """Draws what a metric becomes when the least certain photographs are referred.

    Args:
        curve: As `uncertainty.referral_curve` returns it, by entropy.
        name: The metric's name for a reader.
        title: Shown above.
        others: Another way to tell who is certain -> its curve, beside the first.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.
    """
    figure, axes = figures.plain_axes(width, 0.8 * width, title)
    axes.xaxis.set_major_locator(ticker.MultipleLocator(0.1))
    axes.xaxis.set_major_formatter(ticker.PercentFormatter(1, 0, symbol=" %"))
    axes.set_xlabel("referred, the least certain first", color=figures.INK)
    axes.set_ylabel(name, color=figures.INK)
    axes.grid(axis="y", color=figures.FAINT, lw=0.5)
    axes.set_xlim(0, curve["referred"][-1])
    values = _values(curve)
    if np.isnan(values).all():
        middle = 0.5 * curve["referred"][-1]
        axes.text(middle, 0.5, f"{name} is undefined", ha="center", color=figures.INK)
        return figure
    if not np.isnan(values[0]):
        axes.axhline(values[0], label="nobody referred", **_REFERENCE)
    label = "by entropy" if others else f"the others; {curve['n'][-1]:,} at the end"
    axes.plot(curve["referred"], values, color=figures.HEALTHY_COLOR, lw=2, label=label)
    lowest = np.nanmin(values)
    for style, (way, one) in zip(_OTHER_WAYS, (others or {}).items(), strict=False):
        beside = _values(one)
        axes.plot(one["referred"], beside, lw=1.5, label=f"by {way}", **style)
        lowest = np.nanmin([lowest, *beside])
    low = min(lowest, 0.9)
    axes.set_ylim(low - 0.15 * (1 - low), 1 + 0.05 * (1 - low))
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _values(curve: Mapping[str, Any]) -> np.ndarray:
    return np.array([np.nan if one is None else one for one in curve["value"]])


def learning_curves(
    epochs: Sequence[Mapping[str, float]],
    title: str,
    *,
    kept: int,
    first: int = 1,
    width: float = 6.4,
) -> Figure:
    """Draws the loss of training and validation and, below it, validation's metrics.

    An epoch whose metric was undefined leaves a gap.

    Args:
        epochs: Names and values of each epoch; `val_` marks what is of validation.
        title: Shown above.
        kept: The epoch, from 1, whose weights the model has; a line marks it.
        first: Number of the first epoch, above 1 where an earlier run is extended.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.
    """
    figure, axes = figures.plain_axes(width, max(4.6, 0.8 * width), title)
    metric_axes = figure.add_subplot(2, 1, 2, sharex=axes)
    axes.set_subplotspec(metric_axes.get_gridspec()[0])
    numbers = np.arange(first, first + len(epochs))

    def draw(where: Axes, name: str, color: str, label: str) -> None:
        values = [one.get(name, np.nan) for one in epochs]
        if np.isfinite(values).any():
            marker = "o" if len(epochs) < 10 else None
            style = {"lw": 1.2, "marker": marker, "ms": 4, "alpha": 0.9}
            where.plot(numbers, values, color=color, label=label, **style)

    draw(axes, "loss", figures.HEALTHY_COLOR, "training")
    draw(axes, "val_loss", figures.DISEASE_COLOR, "validation")
    for name, color in _LEARNT.items():
        label = table.label(name.removeprefix("val_"))
        draw(metric_axes, name, color, label)
    for one in (axes, metric_axes):
        figures.style_axes(one)
        one.grid(color=figures.FAINT, lw=0.5)
        one.axvline(kept, color=figures.INK, lw=1, ls=figures.DASHES)
        if one.get_legend_handles_labels()[0]:
            one.legend(loc="best", edgecolor="none", framealpha=0.85, fontsize=8)
    losses = [
        one[name] for one in epochs for name in ("loss", "val_loss") if name in one
    ]
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axes.set_yscale("log")
    axes.set_ylabel("loss", color=figures.INK)
    axes.tick_params(labelbottom=False)
    metric_axes.set_ylabel("validation", color=figures.INK)
    metric_axes.set_xlabel(f"epoch; dashed: {kept:,}, which is kept", color=figures.INK)
    metric_axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    return figure


def _square_axes(width: float, title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Axes from 0 to 1 in both directions, with a margin for lines at their ends."""
    figure, axes = figures.plain_axes(width, width, title)
    axes.set_xlabel(x, color=figures.INK)
    axes.set_ylabel(y, color=figures.INK)
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal")
    axes.grid(color=figures.FAINT, lw=0.5)
    return figure, axes


def _panel_below(figure: Figure, axes: Axes) -> Axes:
    """A low second panel with the same horizontal axis."""
    grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
    axes.set_subplotspec(grid[0])
    axes.set_aspect("auto")
    panel = figure.add_subplot(grid[1], sharex=axes)
    figures.style_axes(panel)
    return panel


def _score_table(
    labels: np.ndarray, disease_probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The different scores, rising, and how many healthy and diseased have each."""
    diseased, disease_probability = np.asarray(labels), np.asarray(disease_probability)
    figures.check_scores(diseased, disease_probability, 2)
    levels, ranks = np.unique(disease_probability, return_inverse=True)
    counts = metrics.score_table(diseased, ranks, len(levels))
    # Rounding may leave 0-1; whoever compares with a threshold clips.
    return np.clip(levels, 0, 1), counts


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of thousands of points those that can be told apart in print, to 0.001."""
    if len(x) <= _POINTS:
        return x, y
    _, first = np.unique(np.round([1000 * x, 1000 * y]), axis=1, return_index=True)
    kept = np.union1d(first, [0, len(x) - 1])
    return x[kept], y[kept]


def _draw_curve(axes: Axes, x: np.ndarray, y: np.ndarray, label: str) -> None:
    color = figures.HEALTHY_COLOR
    axes.fill_between(x, y, color=color, alpha=0.08, lw=0)
    axes.plot(x, y, color=color, lw=2, label=label, solid_joinstyle="miter")


def _draw_shares(axes: Axes, bins: Sequence[Mapping[str, Any]], **look) -> None:
    filled = [one for one in bins if one["n"]]
    x = [one["mean_probability"] for one in filled]
    shares = [one["observed"] for one in filled]
    axes.plot(x, shares, ls="", ms=6, clip_on=False, **look)


def _draw_point(axes: Axes, x: float, y: float, threshold: float, hollow: bool) -> None:
    look = {"color": figures.DISEASE_COLOR} | figures.DOT
    if hollow:
        look |= {"mfc": "none", "mec": figures.DISEASE_COLOR, "ms": 10}
    axes.plot(x, y, label=f"threshold {threshold:.3f}", **look)


def _say_undefined(axes: Axes, reason: str) -> None:
    text = textwrap.fill(f"undefined: {reason}", 30)
    axes.text(0.5, 0.5, text, ha="center", va="center", color=figures.INK)


def _score_legend(axes: Axes, counts: np.ndarray, where: str) -> None:
    n_healthy, n_diseased = counts.sum(axis=1)
    axes.legend(
        loc=where,
        edgecolor="none",
        framealpha=0.85,
        fontsize=9,
        title=f"{n_diseased:,} diseased, {n_healthy:,} healthy",
        title_fontsize=9,
        alignment="left",
    )


def _with_interval(
    name: str, value: float, interval: tuple[float, float] | None
) -> str:
    text = f"{name} {value:.3f}"
    if interval is not None:
        text += f" ({interval[0]:.3f} to {interval[1]:.3f})"
    return text
