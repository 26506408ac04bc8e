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
_CONTOUR = 0.5
_SPARSE = 0.001  # Of a map's values at the contour or above: single pixels.
_SMOOTHING = 0.01  # Standard deviation in sides.
_COLUMNS = 4
_SIDE = 2.7  # Inches.


def side_by_side(
    image: np.ndarray,
    heatmaps: Mapping[str, np.ndarray],
    title: str,
    *,
    lesions: Mapping[str, np.ndarray] | None = None,
    opacity: float = 0.6,
) -> Figure:
    """Draws a photograph and, beside it, each heatmap laid over it.

    A black line surrounds what has half of the map's maximum or more. A map without
    evidence says so.

    Args:
        image: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        heatmaps: Method -> float array of shape `(height, width)`, 0-1.
        title: Shown above: prediction, certainty, truth.
        lesions: Lesion -> bool array of shape `(height, width)`, outlined in all.
        opacity: Of the overlay, 0-1.

    Returns:
        The figure.
    """
    lesions = lesions or {}
    count = 1 + len(heatmaps)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = Figure(
        figsize=(columns * _SIDE + 0.8, rows * (_SIDE + 0.3) + 0.7),
        dpi=100,
        facecolor="white",
    )
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03)
    wrapped = textwrap.wrap(title, int(24 * columns))
    figure.suptitle("\n".join(wrapped), size=11, color=figures.INK)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    axes = grid.flat[0]
    axes.imshow(image)
    axes.set_title("photograph", size=9, color=figures.INK)
    _outline(axes, lesions)
    for axes, (name, heatmap) in zip(grid.flat[1:], heatmaps.items(), strict=False):
        shown, smoothed = visible(heatmap)
        axes.imshow(overlay.overlay(image, shown, opacity))
        label = name.replace("_", " ") + (" (smoothed)" if smoothed else "")
        if explainer.has_evidence(heatmap[None])[0]:
            axes.contour(shown, [_CONTOUR], colors="black", linewidths=0.7)
        else:
            label += ": no evidence"
        axes.set_title(label, size=9, color=figures.INK)
        _outline(axes, lesions)
    scale = cm.ScalarMappable(colors.Normalize(0, 1), overlay.COLOR_MAP)
    bar = figure.colorbar(scale, ax=grid.ravel().tolist(), fraction=0.02, aspect=30)
    bar.set_label("evidence, of its maximum", size=8, color=figures.INK)
    bar.ax.tick_params(labelsize=7, colors=figures.INK)
    drawn = [name for name in lesions if name in _OUTLINES]
    if drawn:
        keys = [
            lines.Line2D([], [], color=_OUTLINES[one], label=one.replace("_", " "))
            for one in drawn
        ]
        figure.legend(
            handles=keys,
            loc="outside lower center",
            ncols=len(keys),
            fontsize=8,
            facecolor="#404040",
            labelcolor="white",
        )
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
        titles: A line for each photograph.
        columns: How many stand side by side, at most.
        opacity: Of the overlay, 0-1.

    Returns:
        uint8 array of shape `(grid_height, grid_width, 3)`, RGB, 0-255.
    """
    pairs = [
        np.concatenate([image, overlay.overlay(image, visible(heatmap)[0], opacity)])
        for image, heatmap in zip(images, heatmaps, strict=True)
    ]
    return figures.photograph_grid(np.stack(pairs), titles, columns)


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
    """Writes a gallery as a PNG file.

    Args:
        image: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        path: Where to; missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _outline(axes: Axes, lesions: Mapping[str, np.ndarray]) -> None:
    for name, mask in lesions.items():
        if name in _OUTLINES and mask.any():
            axes.contour(
                mask.astype(float), [0.5], colors=_OUTLINES[name], linewidths=0.6
            )
