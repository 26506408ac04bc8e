"""Pictures of explanations: a photograph beside its heatmaps, and galleries."""

import pathlib
import textwrap
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib import cm, colors, lines
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visualization import explainer, figures, overlay

# Told apart on a fundus and from each other: cool colours, and white.
_OUTLINES = {
    "microaneurysms": "#00e5ff",
    "haemorrhages": "#7cff6b",
    "hard_exudates": "#ffffff",
    "soft_exudates": "#8ab4ff",
    "optic_disc": "#b0b0b0",
}
_PEAK = {"color": "white", "marker": "o", "ms": 11, "mfc": "none", "mew": 1.2}
_CONTOUR = 0.5
_SPARSE = 0.001  # Of a map's values at the contour or above: single pixels.
_SMOOTHING = 0.01  # Standard deviation in sides.
_COLUMNS = 4

# Inches.
_SIDE = 2.7
_GAP = 0.08
_TITLE = 0.27
_LINE = 0.22
_BAR = 0.9


def side_by_side(
    image: np.ndarray,
    heatmaps: Mapping[str, np.ndarray],
    title: str,
    *,
    lesions: Mapping[str, np.ndarray] | None = None,
    note: str = "",
    opacity: float = 0.6,
) -> Figure:
    """Draws a photograph and, beside it, each heatmap laid over it.

    A black line surrounds what has half of the map's maximum or more, and a ring is
    about the maximum. A map without evidence says so.

    Args:
        image: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        heatmaps: Method -> float array of shape `(height, width)`, 0-1.
        title: Shown above, in as many lines as it has: prediction, certainty, truth.
        lesions: Lesion -> bool array of shape `(height, width)`, outlined in all.
        note: Shown below, in one line; or empty.
        opacity: Of the overlay, 0-1.

    Returns:
        The figure.
    """
    lesions = {name: mask for name, mask in (lesions or {}).items() if mask.any()}
    count = 1 + len(heatmaps)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    pictures = columns * (_SIDE + _GAP) + _GAP
    written = [
        line
        for one in title.split("\n")
        for line in textwrap.wrap(one, int(pictures / 0.085))
    ]
    head = _GAP + _LINE * len(written)
    keys = _keys(lesions)
    across = min(len(keys), int(pictures / 1.9))
    # Laid out in inches: to let matplotlib search for room takes it twice as long.
    foot = 0.2 + _LINE * (-(-len(keys) // across) + bool(note))
    width, height = pictures + _BAR, head + rows * (_TITLE + _SIDE) + foot
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    style = {"color": figures.INK, "transform": figure.dpi_scale_trans}
    for number, line in enumerate(written):
        y = height - _GAP - _LINE * (number + 0.5)
        figure.text(pictures / 2, y, line, size=11, ha="center", va="center", **style)

    def panel(place: int, name: str) -> Axes:
        row, column = divmod(place, columns)
        x = _GAP + column * (_SIDE + _GAP)
        y = height - head - (row + 1) * (_TITLE + _SIDE)
        axes = figure.add_axes(
            (x / width, y / height, _SIDE / width, _SIDE / height), frameon=False
        )
        axes.set_axis_off()
        axes.set_title(name, size=9, color=figures.INK, pad=4)
        return axes

    axes = panel(0, "photograph")
    axes.imshow(image)
    _outline(axes, lesions)
    for place, (name, heatmap) in enumerate(heatmaps.items(), 1):
        shown, smoothed = visible(heatmap)
        label = name.replace("_", " ") + (" (smoothed to be seen)" if smoothed else "")
        seen = explainer.has_evidence(heatmap[None])[0]
        axes = panel(place, label if seen else f"{label}: no evidence")
        axes.imshow(overlay.overlay(image, shown, opacity))
        _outline(axes, lesions)
        if seen:
            axes.contour(shown, [_CONTOUR], colors="black", linewidths=0.8)
            y, x = np.argwhere(heatmap == heatmap.max()).mean(axis=0)
            axes.plot(x, y, **_PEAK | {"color": "black", "mew": 2.4})
            axes.plot(x, y, **_PEAK)
    top = height - head - _TITLE
    bottom = height - head - rows * (_TITLE + _SIDE)
    bar = figure.colorbar(
        cm.ScalarMappable(colors.Normalize(0, 1), overlay.COLOR_MAP),
        cax=figure.add_axes(
            (
                (pictures + 0.08) / width,
                bottom / height,
                0.16 / width,
                (top - bottom) / height,
            )
        ),
    )
    bar.set_label("evidence, of its maximum", size=9, color=figures.INK)
    bar.ax.tick_params(labelsize=8, colors=figures.INK)
    figure.legend(
        handles=keys,
        loc="lower center",
        bbox_to_anchor=(pictures / 2 / width, (0.06 + bool(note) * _LINE) / height),
        ncols=across,
        fontsize=8,
        borderpad=0.4,
        borderaxespad=0,
        labelspacing=0.35,
        facecolor="#606060",
        labelcolor="white",
        framealpha=1,
    )
    if note:
        figure.text(pictures / 2, 0.13, note, size=8, ha="center", va="center", **style)
    return figure


def gallery(
    images: np.ndarray,
    heatmaps: np.ndarray,
    titles: Sequence[str],
    *,
    columns: int = 6,
    opacity: float = 0.6,
) -> np.ndarray:
    """Tiles photographs with their heatmaps below them.

    Args:
        images: uint8 array of shape `(n, height, width, 3)`, RGB, 0-255.
        heatmaps: float array of shape `(n, height, width)`, 0-1.
        titles: A line or two for each photograph: which one it is, what the model says
            of it. A map without evidence is one line more.
        columns: How many stand side by side, at most.
        opacity: Of the overlay, 0-1.

    Returns:
        uint8 array of shape `(grid_height, grid_width, 3)`, RGB, 0-255.
    """
    pairs = [
        np.concatenate([image, overlay.overlay(image, visible(heatmap)[0], opacity)])
        for image, heatmap in zip(images, heatmaps, strict=True)
    ]
    said = [
        title if seen else f"{title}\nno evidence"
        for title, seen in zip(titles, explainer.has_evidence(heatmaps), strict=True)
    ]
    return figures.photograph_grid(np.stack(pairs), said, columns)


def visible(heatmap: np.ndarray) -> tuple[np.ndarray, bool]:
    """Lets a map of single pixels be seen; for pictures, never for scores.

    Args:
        heatmap: float array of shape `(height, width)`, 0-1.

    Returns:
        The map, and whether it was smoothed: where fewer than a thousandth of its
        values reach half of the maximum.
    """
    if not 0 < (heatmap >= _CONTOUR).mean() < _SPARSE:
        return heatmap, False
    sigma = _SMOOTHING * max(heatmap.shape)
    smooth = cv2.GaussianBlur(np.float32(heatmap), (0, 0), sigma)
    return smooth / smooth.max(), True


def save(image: np.ndarray, path: pathlib.Path) -> None:
    """Writes a gallery or an overlay, as PNG or JPEG by the file's name.

    Args:
        image: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        path: Where to; missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes())


def _keys(lesions: Mapping[str, np.ndarray]) -> list[lines.Line2D]:
    """What the lines and the mark in the pictures mean."""
    drawn = [
        lines.Line2D([], [], color=color, label=name.replace("_", " "))
        for name, color in _OUTLINES.items()
        if name in lesions
    ]
    if drawn:
        drawn[0].set_label(f"outlined by an expert: {drawn[0].get_label()}")
    return [
        lines.Line2D([], [], color="black", label="half of the map's maximum"),
        lines.Line2D([], [], ls="", label="its maximum", **_PEAK),
        *drawn,
    ]


def _outline(axes: Axes, lesions: Mapping[str, np.ndarray]) -> None:
    for name, mask in lesions.items():
        if name in _OUTLINES:
            axes.contour(
                mask.astype(float), [0.5], colors=_OUTLINES[name], linewidths=0.5
            )
