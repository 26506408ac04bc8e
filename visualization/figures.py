"""Figures of predictions, drawn without pyplot and so without global state."""

import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps, colors, lines, patches, ticker
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from evaluation import metrics
from evaluation import table as metrics_table

# Okabe and Ito (2008): told apart under every common colour blindness.
HEALTHY_COLOR = "#0072B2"
DISEASE_COLOR = "#D55E00"
INK = "#1a1a1a"
FAINT = "#d0d0d0"
_DIM = "#5f5f5f"

# Blues runs evenly from light to dark in one hue; absent rows are grey.
_SHARES = colormaps["Blues"]
_ABSENT = (0.93, 0.93, 0.93, 1.0)

# Validation's metrics that run from 0 (chance or worse) to 1.
_LEARNT = {
    "val_auc": HEALTHY_COLOR,
    "val_balanced_accuracy": DISEASE_COLOR,
    "val_quadratic_kappa": "#009E73",
}

_DOT = {"ls": "", "marker": "o", "ms": 7, "mec": "white", "clip_on": False}
_DASHES = (0, (4, 3))
_GAP = 6
_TITLE_HEIGHT = 22
_BACKGROUND = 16


def confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], title: str
) -> Figure:
    """Draws counts and their share of the row; the share gives the colour.

    Args:
        matrix: int array of shape `(num_classes, num_classes)`; rows are the truth,
            columns the predictions.
        class_names: A name for each class, in the order of the labels.
        title: Shown above.

    Returns:
        The figure.

    Raises:
        ValueError: If there is not one name for each class.
    """
    matrix = np.asarray(matrix)
    num_classes = len(class_names)
    if matrix.shape != (num_classes, num_classes):
        raise ValueError(
            "`matrix` must have a row and a column for each of the "
            f"{num_classes} names in `class_names`. Received: shape={matrix.shape}."
        )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    grounds = np.where(totals[..., None] > 0, _SHARES(shares), _ABSENT)

    # Laid out in inches and without axes, which would take half of the drawing time.
    names = [textwrap.fill(name, 14) for name in class_names]
    longest = max(len(line) for name in names for line in name.split("\n"))
    cell = max(0.95, 2.8 / num_classes)
    side = num_classes * cell
    heading = textwrap.wrap(title, int(side / 0.085))
    left = 0.5 + 0.072 * longest
    bottom = 0.52 + 0.14 * max(name.count("\n") + 1 for name in names)
    width, height = left + side + 0.2, bottom + side + 0.25 + 0.19 * len(heading)
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    style = {"color": INK, "transform": figure.dpi_scale_trans}
    columns = left + cell * (np.arange(num_classes) + 0.5)
    rows = bottom + cell * (num_classes - np.arange(num_classes) - 0.5)
    for (row, column), count in np.ndenumerate(matrix):
        where = (columns[column], rows[row])
        _draw_cell(figure, where, cell, grounds[row, column], count, totals[row, 0])
    for x, y, name in zip(columns, rows, names, strict=True):
        figure.text(x, bottom - 0.08, name, ha="center", va="top", size=9, **style)
        figure.text(left - 0.1, y, name, ha="right", va="center", size=9, **style)
    centre = left + side / 2
    figure.text(centre, 0.2, "predicted class", ha="center", size=10, **style)
    figure.text(
        0.2, bottom + side / 2, "true class", rotation=90, va="center", size=10, **style
    )
    figure.text(
        centre, bottom + side + 0.13, "\n".join(heading), ha="center", size=12, **style
    )
    return figure


def roc(
    labels: np.ndarray,
    disease_probability: np.ndarray,
    title: str,
    *,
    interval: tuple[float, float] | None = None,
    threshold: float | None = None,
    width: float = 5.4,
) -> Figure:
    """Draws the ROC curve, with its area in the legend.

    Where one of the two groups is absent there is no curve, and the figure says so.

    Args:
        labels: bool or int array of shape `(n,)`; true or 1 is diseased.
        disease_probability: float array of shape `(n,)`, 0-1.
        title: Shown above.
        interval: Lower and upper end of the area's 95 % interval.
        threshold: Probability from which a photograph counts as diseased; a dot marks
            what it does.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.

    Raises:
        ValueError: If labels and probabilities differ in shape or are out of range.
    """
    levels, table = _score_table(labels, disease_probability)
    figure, axes = _square_axes(width, title, "1 - specificity", "sensitivity")
    try:
        area = metrics.auc(table)
    except metrics.UndefinedMetricError as reason:
        axes.text(0.5, 0.5, f"undefined: {reason}", ha="center", color=INK)
        return figure
    # A threshold that falls past every score in turn, from the highest.
    passed = np.cumsum(table[:, ::-1], axis=1) / table.sum(axis=1, keepdims=True)
    rates = np.concatenate([np.zeros((2, 1)), passed], axis=1)
    axes.fill_between(rates[0], rates[1], color=HEALTHY_COLOR, alpha=0.08, lw=0)
    text = _with_interval("AUC", area, interval)
    axes.plot(*rates, color=HEALTHY_COLOR, lw=2, label=text, solid_joinstyle="miter")
    axes.plot([0, 1], [0, 1], color=_DIM, lw=1, ls=_DASHES, label="chance")
    if threshold is not None:
        point = rates[:, np.sum(levels >= threshold)]
        axes.plot(
            *point, color=DISEASE_COLOR, label=f"threshold {threshold:.3f}", **_DOT
        )
    _score_legend(axes, table, "lower right")
    return figure


def precision_recall(
    labels: np.ndarray,
    disease_probability: np.ndarray,
    title: str,
    *,
    interval: tuple[float, float] | None = None,
    threshold: float | None = None,
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
        threshold: Probability from which a photograph counts as diseased; a dot marks
            what it does, unless nobody is called diseased.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.

    Raises:
        ValueError: If labels and probabilities differ in shape or are out of range.
    """
    levels, table = _score_table(labels, disease_probability)
    figure, axes = _square_axes(width, title, "sensitivity", "PPV")
    try:
        area = metrics.average_precision(table)
    except metrics.UndefinedMetricError as reason:
        axes.text(0.5, 0.5, f"undefined: {reason}", ha="center", color=INK)
        return figure
    n_healthy, n_diseased = table.sum(axis=1)
    # A threshold that falls past every score in turn, from the highest.
    healthy, diseased = np.cumsum(table[:, ::-1], axis=1)
    recall, precision = diseased / n_diseased, diseased / (healthy + diseased)
    # The value of a step is reached at its end: no line joins two points.
    x, y = np.repeat(np.append(0, recall), 2)[1:-1], np.repeat(precision, 2)
    axes.fill_between(x, y, color=HEALTHY_COLOR, alpha=0.08, lw=0)
    text = _with_interval("PR AUC", area, interval)
    axes.plot(x, y, color=HEALTHY_COLOR, lw=2, label=text, solid_joinstyle="miter")
    share = n_diseased / (n_healthy + n_diseased)
    chance = f"chance, {share:.3f}"
    axes.axhline(share, color=_DIM, lw=1, ls=_DASHES, label=chance)
    called = np.sum(levels >= threshold) if threshold is not None else 0
    if called:
        point = [recall[called - 1]], [precision[called - 1]]
        axes.plot(
            *point, color=DISEASE_COLOR, label=f"threshold {threshold:.3f}", **_DOT
        )
    _score_legend(axes, table, "lower left")
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
    axes.plot([0, 1], [0, 1], color=_DIM, lw=1, ls=_DASHES, label="as it should be")
    for some, label, look in (
        (before or (), "before calibration", {"marker": "s", "mfc": "white"}),
        (bins, "reported", {"marker": "o", "color": HEALTHY_COLOR, "mec": "white"}),
    ):
        filled = [one for one in some if one["n"]]
        if not filled:
            continue
        x = [one["mean_probability"] for one in filled]
        shares = [one["observed"] for one in filled]
        style = {"color": _DIM, "ls": "", "ms": 6, "clip_on": False} | look
        if some is bins:
            ends = [one["low"] for one in filled], [one["high"] for one in filled]
            axes.vlines(x, *ends, color=HEALTHY_COLOR, lw=1.4, alpha=0.5)
        axes.plot(x, shares, label=label, **style)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    axes.tick_params(labelbottom=False)
    counts = _panel_below(figure, axes)
    counts.bar(
        [one["start"] for one in bins],
        [one["n"] for one in bins],
        width=[one["end"] - one["start"] for one in bins],
        align="edge",
        color=HEALTHY_COLOR,
        alpha=0.45,
    )
    counts.set_xlabel("said probability of disease", color=INK)
    counts.set_ylabel("photographs", color=INK)
    counts.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
    return figure


def referral(
    curve: Mapping[str, Any], name: str, title: str, *, width: float = 5.4
) -> Figure:
    """Draws what a metric becomes when the least certain photographs are referred.

    Args:
        curve: As `uncertainty.referral_curve` returns it.
        name: The metric's name for a reader.
        title: Shown above.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.
    """
    figure, axes = _plain_axes(width, 0.8 * width, title)
    axes.xaxis.set_major_locator(ticker.MultipleLocator(0.1))
    axes.xaxis.set_major_formatter(ticker.PercentFormatter(1, 0, symbol=" %"))
    axes.set_xlabel("photographs referred, the least certain first", color=INK)
    axes.set_ylabel(f"{name} of the others", color=INK)
    axes.grid(axis="y", color=FAINT, lw=0.5)
    axes.set_xlim(0, curve["referred"][-1])
    values = np.array([np.nan if one is None else one for one in curve["value"]])
    if np.isnan(values).all():
        middle = 0.5 * curve["referred"][-1]
        axes.text(middle, 0.5, f"{name} is undefined", ha="center", color=INK)
        return figure
    if not np.isnan(values[0]):
        axes.axhline(values[0], color=_DIM, lw=1, ls=_DASHES, label="nobody referred")
    axes.plot(curve["referred"], values, color=HEALTHY_COLOR, lw=2, label=name)
    axes.plot([], [], ls="", label=f"{curve['n'][-1]:,} photographs left at the end")
    low = min(np.nanmin(values), 0.9)
    axes.set_ylim(low - 0.15 * (1 - low), 1 + 0.05 * (1 - low))
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return figure


def learning_curves(
    epochs: Sequence[Mapping[str, float]],
    title: str,
    *,
    kept: int,
    width: float = 6.4,
) -> Figure:
    """Draws the loss of training and validation and, below it, validation's metrics.

    An epoch whose metric was undefined leaves a gap.

    Args:
        epochs: Names and values of each epoch; `val_` marks what is of validation.
        title: Shown above.
        kept: The epoch, from 1, whose weights the model has; a line marks it.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.
    """
    figure, axes = _plain_axes(width, max(4.6, 0.8 * width), title)
    metric_axes = figure.add_subplot(2, 1, 2, sharex=axes)
    axes.set_subplotspec(metric_axes.get_gridspec()[0])
    numbers = np.arange(1, len(epochs) + 1)

    def draw(where: Axes, name: str, color: str, label: str) -> None:
        values = [one.get(name, np.nan) for one in epochs]
        if np.isfinite(values).any():
            marker = "o" if len(epochs) < 10 else None
            style = {"lw": 1.2, "marker": marker, "ms": 4, "alpha": 0.9}
            where.plot(numbers, values, color=color, label=label, **style)

    draw(axes, "loss", HEALTHY_COLOR, "training")
    draw(axes, "val_loss", DISEASE_COLOR, "validation")
    for name, color in _LEARNT.items():
        label = metrics_table.label(name.removeprefix("val_"))
        draw(metric_axes, name, color, label)
    for one in (axes, metric_axes):
        _style(one)
        one.grid(color=FAINT, lw=0.5)
        one.axvline(kept, color=INK, lw=1, ls=_DASHES)
        if one.get_legend_handles_labels()[0]:
            one.legend(loc="best", edgecolor="none", framealpha=0.85, fontsize=8)
    losses = [
        one[name] for one in epochs for name in ("loss", "val_loss") if name in one
    ]
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axes.set_yscale("log")
    axes.set_ylabel("loss", color=INK)
    axes.tick_params(labelbottom=False)
    metric_axes.set_ylabel("validation", color=INK)
    metric_axes.set_xlabel(f"epoch; dashed: {kept:,}, which is kept", color=INK)
    metric_axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    return figure


def score_distribution(
    labels: np.ndarray,
    disease_probability: np.ndarray,
    class_names: Sequence[str],
    title: str,
    *,
    disease_classes: tuple[int, ...],
    threshold: float | None = None,
    width: float = 6.4,
) -> Figure:
    """Draws a histogram of the predicted disease probability for each class.

    The classes may be finer than the task's, such as the five grades of a binary task.
    Each histogram is scaled to its own peak; a dot marks its median.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        disease_probability: float array of shape `(n,)`, 0-1.
        class_names: A name for each class, in the order of the labels.
        title: Shown above.
        disease_classes: The classes that mean disease, drawn in another colour.
        threshold: Probability from which a photograph counts as diseased, marked by a
            line.
        width: Of the figure, in inches; 3.6 fits a phone.

    Returns:
        The figure.

    Raises:
        ValueError: If labels and probabilities differ in shape or are out of range.
    """
    labels, disease_probability = np.asarray(labels), np.asarray(disease_probability)
    num_classes = len(class_names)
    _check_scores(labels, disease_probability, num_classes)
    figure, axes = _plain_axes(width, 1.7 + 0.62 * num_classes, title)
    axes.set_xlabel("predicted probability of disease")
    # Bins of 0.02 need thousands of photographs to be more than noise.
    edges = np.linspace(0, 1, 21 if len(labels) < 2000 else 51)
    names = []
    for number, name in enumerate(class_names):
        # A sum of probabilities may leave 0-1 by rounding, and so its bin.
        values = np.clip(disease_probability[labels == number], 0, 1)
        names.append(f"{textwrap.fill(name, 20)}\nn = {len(values):,}")
        base = num_classes - 1 - number
        axes.axhline(base, color=FAINT, lw=0.8, zorder=0)
        if not values.size:
            continue
        color = DISEASE_COLOR if number in disease_classes else HEALTHY_COLOR
        counts = np.histogram(values, edges)[0]
        heights = base + 0.82 * counts / counts.max()
        axes.stairs(heights, edges, baseline=base, fill=True, color=color, alpha=0.35)
        axes.stairs(heights, edges, baseline=base, color=color, lw=1.2)
        axes.plot(np.median(values), base, color=color, **_DOT)
    keys = [
        patches.Patch(color=HEALTHY_COLOR, alpha=0.6, label="without the disease"),
        patches.Patch(color=DISEASE_COLOR, alpha=0.6, label="with the disease"),
        lines.Line2D([], [], color=_DIM, label="median", **_DOT),
    ]
    if threshold is not None:
        label = f"threshold {threshold:.2f}"
        keys.append(axes.axvline(threshold, color=INK, lw=1, ls=_DASHES, label=label))
    figure.legend(
        handles=keys,
        loc="outside lower center",
        ncols=len(keys) if width >= 6 else 2,
        frameon=False,
        fontsize=9,
        columnspacing=1.4,
    )
    axes.set(xlim=(0, 1), ylim=(-0.2, num_classes))
    axes.set_yticks(range(num_classes), names[::-1], va="bottom")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def share_colors(share: float) -> tuple[str, str]:
    """The ground that `confusion_matrix` gives a share, and what is legible on it.

    Args:
        share: Of the row, 0-1.

    Returns:
        Two colours, hexadecimal.
    """
    ground = _SHARES(float(share))
    return colors.to_hex(ground), colors.to_hex(_legible(np.array(ground)))


def photograph_grid(
    images: np.ndarray, titles: Sequence[str] | None, columns: int
) -> np.ndarray:
    """Tiles photographs of one size, row by row, on a dark ground.

    Args:
        images: uint8 array of shape `(n, height, width, 3)`, RGB, 0-255.
        titles: A line above each photograph, shortened where it is too long; the font
            has only ASCII. Or `None`.
        columns: How many photographs stand side by side, at most.

    Returns:
        uint8 array of shape `(grid_height, grid_width, 3)`, RGB, 0-255.

    Raises:
        ValueError: If there is no photograph, or a shape or a type is not as described.
    """
    _check_photographs(images, titles, columns)
    n, height, width, _ = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    header = _TITLE_HEIGHT if titles is not None else 0
    row_height, column_width = header + height + _GAP, width + _GAP
    shape = (rows * row_height + _GAP, columns * column_width + _GAP, 3)
    grid = np.full(shape, _BACKGROUND, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = _GAP + row * row_height, _GAP + column * column_width
        if titles is not None:
            _write(grid, titles[number], left, top + header - 7, width)
        top += header
        grid[top : top + height, left : left + width] = image
    return grid


def to_rgb(figure: Figure) -> np.ndarray:
    """Renders a figure at its own size and resolution.

    Args:
        figure: Any figure of this module.

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, 0-255.
    """
    canvas = backend_agg.FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(figure: Figure, path: pathlib.Path, dpi: int = 200) -> None:
    """Writes a figure as a PNG file; the same figure gives the same bytes.

    Args:
        figure: Any figure of this module.
        path: Where to; missing folders are made.
        dpi: Pixels per inch of the figure's size. 200 is fit for print.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = backend_agg.FigureCanvasAgg(figure)
    canvas.print_figure(path, dpi=dpi, format="png", metadata={"Software": None})


def _draw_cell(
    figure: Figure,
    where: tuple[float, float],
    size: float,
    color: np.ndarray,
    count: int,
    total: int,
) -> None:
    """Draws a square with the count and, below it, its share of the row."""
    (x, y), half = where, size / 2 - 0.012
    inches = figure.dpi_scale_trans
    figure.add_artist(
        patches.Rectangle(
            (x - half, y - half), 2 * half, 2 * half, fc=color, transform=inches
        )
    )
    style = {"ha": "center", "transform": inches}
    if count == 0:
        figure.text(x, y, "0", va="center", size=13, color=_DIM, **style)
        return
    percent = 100 * count / total
    # Rounding must not turn a few mistakes into none, or one success into all.
    share = "<1 %" if percent < 0.5 else f"{percent:.0f} %"
    share = ">99 %" if 99.5 <= percent < 100 else share
    ink = _legible(color)
    figure.text(x, y - 0.03, f"{count:,}", va="bottom", size=13, color=ink, **style)
    figure.text(x, y - 0.08, share, va="top", size=9, color=ink, **style)


def _legible(ground: np.ndarray) -> str:
    """Black or white, whichever stands out more (WCAG 2, relative luminance)."""
    channels = np.asarray(ground[:3])
    linear = np.where(
        channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
    )
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _plain_axes(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    axes = figure.add_subplot()
    lines_of_title = textwrap.wrap(title, int(10.2 * width))
    axes.set_title("\n".join(lines_of_title), size=12, color=INK, pad=8)
    axes.xaxis.set_major_locator(ticker.MultipleLocator(0.2))
    axes.grid(axis="x", color=FAINT, lw=0.5)
    _style(axes)
    return figure, axes


def _square_axes(width: float, title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Axes from 0 to 1 in both directions, with a margin for lines at their ends."""
    figure, axes = _plain_axes(width, width, title)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal")
    axes.grid(color=FAINT, lw=0.5)
    return figure, axes


def _panel_below(figure: Figure, axes: Axes) -> Axes:
    """A low second panel with the same horizontal axis."""
    grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
    axes.set_subplotspec(grid[0])
    axes.set_aspect("auto")
    panel = figure.add_subplot(grid[1], sharex=axes)
    _style(panel)
    return panel


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.set_axisbelow(True)


def _score_table(
    labels: np.ndarray, disease_probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The different scores, rising, and how many healthy and diseased have each."""
    diseased, disease_probability = np.asarray(labels), np.asarray(disease_probability)
    _check_scores(diseased, disease_probability, 2)
    levels, ranks = np.unique(disease_probability, return_inverse=True)
    table = metrics.score_table(diseased, ranks, len(levels))
    # Rounding may leave 0-1; whoever compares with a threshold clips.
    return np.clip(levels, 0, 1), table


def _score_legend(axes: Axes, table: np.ndarray, where: str) -> None:
    n_healthy, n_diseased = table.sum(axis=1)
    axes.legend(
        loc=where,
        frameon=False,
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


def _write(grid: np.ndarray, text: str, left: int, baseline: int, width: int) -> None:
    """Writes one line in place, cut to the width with dots."""
    font, scale, color = cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235)

    def fits(line):
        return cv2.getTextSize(line, font, scale, 1)[0][0] <= width

    line = text
    while not fits(line) and text:
        text = text[:-1]
        line = f"{text.rstrip()}..."
    cv2.putText(grid, line, (left, baseline), font, scale, color, 1, cv2.LINE_AA)


def _check_scores(
    labels: np.ndarray, disease_probability: np.ndarray, num_classes: int
) -> None:
    if labels.ndim != 1 or labels.shape != disease_probability.shape:
        raise ValueError(
            "`labels` and `disease_probability` must both have shape `(n,)`. Received: "
            f"shapes {labels.shape} and {disease_probability.shape}. Sum the "
            "probabilities of the disease classes first."
        )
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        raise ValueError(
            f"`labels` must be from 0 to {num_classes - 1}. Received: "
            f"{labels[outside][0]}."
        )
    # NaN is not inside either.
    inside = np.abs(disease_probability - 0.5) <= 0.5 + metrics.SUM_TOLERANCE
    if not inside.all():
        raise ValueError(
            "`disease_probability` must be from 0 to 1. Received: "
            f"{disease_probability[~inside][0]}. Logits must go through the output "
            "first."
        )


def _check_photographs(
    images: np.ndarray, titles: Sequence[str] | None, columns: int
) -> None:
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(
            "`images` must be uint8 of shape `(n, height, width, 3)`. Received: "
            f"shape={images.shape}, dtype={images.dtype}."
        )
    if not len(images):
        raise ValueError("`images` must hold at least one photograph. Received: none.")
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"`titles` must hold one line for each of the {len(images)} photographs. "
            f"Received: {len(titles)} titles."
        )
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: columns={columns}.")
