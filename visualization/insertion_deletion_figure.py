"""The figure of mean insertion and deletion curves, a line for each method."""

import itertools
from collections.abc import Mapping, Sequence

from matplotlib import ticker
from matplotlib.figure import Figure

from visualization import figures

# Okabe and Ito (2008), in the order of the methods; then again, in dots.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_TITLES = {
    "insertion": "insertion: the higher the better",
    "deletion": "deletion: the lower the better",
}


def draw(
    changed: Sequence[float],
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    chance: str,
) -> Figure:
    """Draws both curves of all methods beside each other.

    Args:
        changed: Share of the pixels that have changed at each step, 0-1.
        curves: "insertion" and "deletion" -> method -> mean probability of the class
            at each step, 0-1.
        chance: Which of the methods is that of random maps, drawn as the reference.

    Returns:
        The figure.
    """
    figure, left = figures.plain_axes(9.0, 4.6, "")
    right = figure.add_subplot(1, 2, 2, sharey=left)
    left.set_subplotspec(right.get_gridspec()[0])
    for axes, (kind, title) in zip((left, right), _TITLES.items(), strict=True):
        figures.style_axes(axes)
        axes.set_title(title, size=11, color=figures.INK)
        axes.grid(color=figures.FAINT, lw=0.5)
        axes.xaxis.set_major_formatter(ticker.PercentFormatter(1, 0, symbol=" %"))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        looks = itertools.product(("-", ":"), _COLORS)
        for method, values in curves[kind].items():
            look = {"color": figures.DIM, "ls": figures.DASHES, "zorder": 1}
            if method != chance:
                line, color = next(looks)
                look = {"color": color, "ls": line, "lw": 1.8}
            label = method.replace("_", " ")
            axes.plot(changed, values, label=label, clip_on=False, **look)
    left.set_xlabel("pixels that have appeared", color=figures.INK)
    right.set_xlabel("pixels that have vanished", color=figures.INK)
    left.set_ylabel("mean probability of the class", color=figures.INK)
    figure.legend(
        handles=left.lines,
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
    )
    return figure
