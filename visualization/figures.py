"""Figures of predictions, drawn without pyplot and so without global state."""

import pathlib
import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib import colormaps, colors, lines, patches, ticker
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from evaluation import metrics

# Okabe and Ito (2008): told apart under every common colour blindness.
HEALTHY_COLOR = "#0072B2"
DISEASE_COLOR = "#D55E00"
INK = "#1a1a1a"
FAINT = "#d0d0d0"
DIM = "#5f5f5f"

# Blues runs evenly from light to dark in one hue; absent rows are grey.
_SHARES = colormaps["Blues"]
_ABSENT = (0.93, 0.93, 0.93, 1.0)

DOT = {"ls": "", "marker": "o", "ms": 7, "mec": "white", "clip_on": False}
DASHES = (0, (4, 3))
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
    check_scores(labels, disease_probability, num_classes)
    figure, axes = plain_axes(width, 1.7 + 0.62 * num_classes, title)
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
        axes.plot(np.median(values), base, color=color, **DOT)
    keys = [
        patches.Patch(color=HEALTHY_COLOR, alpha=0.6, label="without the disease"),
        patches.Patch(color=DISEASE_COLOR, alpha=0.6, label="with the disease"),
        lines.Line2D([], [], color=DIM, label="median", **DOT),
    ]
    if threshold is not None:
        label = f"threshold {threshold:.2f}"
        keys.append(axes.axvline(threshold, color=INK, lw=1, ls=DASHES, label=label))
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
        titles: A line or several above each photograph, shortened where one is too
            long; the font has only ASCII. Or `None`.
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
    written = [title.split("\n") for title in titles or ()]
    header = _TITLE_HEIGHT * max(map(len, written), default=0)
    row_height, column_width = header + height + _GAP, width + _GAP
    shape = (rows * row_height + _GAP, columns * column_width + _GAP, 3)
    grid = np.full(shape, _BACKGROUND, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = _GAP + row * row_height, _GAP + column * column_width
        for line, text in enumerate(written[number] if written else ()):
            _write(grid, text, left, top + (line + 1) * _TITLE_HEIGHT - 7, width)
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
        figure.text(x, y, "0", va="center", size=13, color=DIM, **style)
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


def plain_axes(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """A figure with one panel in this project's look.

    Args:
        width: Of the figure, in inches.
        height: Of the figure, in inches.
        title: Shown above, in as many lines as it needs.

    Returns:
        The figure and its panel.
    """
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    axes = figure.add_subplot()
    lines_of_title = textwrap.wrap(title, int(10.2 * width))
    axes.set_title("\n".join(lines_of_title), size=12, color=INK, pad=8)
    axes.xaxis.set_major_locator(ticker.MultipleLocator(0.2))
    axes.grid(axis="x", color=FAINT, lw=0.5)
    style_axes(axes)
    return figure, axes


def style_axes(axes: Axes) -> None:
    """Gives a panel this project's look."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.set_axisbelow(True)


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


def check_scores(
    labels: np.ndarray, disease_probability: np.ndarray, num_classes: int
) -> None:
    """Refuses what cannot be drawn.

    Args:
        labels: int or bool array of shape `(n,)`, 0 to `num_classes - 1`.
        disease_probability: float array of shape `(n,)`, 0-1.
        num_classes: How many classes there are.

    Raises:
        ValueError: If shapes differ, or a value is out of range.
    """
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
