"""A comparison as a page for a person: verdicts, tables and figures in one file."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from evaluation import comparison_text, table
from visualization import pages


def render(result: Mapping[str, Any], drawn: Sequence[Mapping[str, Figure]]) -> str:
    """Writes the page.

    Args:
        result: The content of `comparison.json`.
        drawn: Of each of its questions the figures, by name.

    Returns:
        HTML in one file, figures included.
    """
    return pages.render(
        "comparison.html",
        names=list(result["runs"]),
        result=result,
        metrics=result["settings"]["metrics"],
        pictures=[
            {name: pages.figure(one) for name, one in figures.items()}
            for figures in drawn
        ],
        label=table.label,
        text=comparison_text,
    )
