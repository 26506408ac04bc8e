"""The model card: what a model is for, and how far it can be trusted, in Markdown."""

from evaluation import facts as known
from evaluation import remarks
from visualization import pages

FILE = "model_card.md"


def render(facts: known.Facts) -> str:
    """Writes the card of a run's model.

    Args:
        facts: The evaluated run; it says what its model was trained for.

    Returns:
        Markdown.
    """
    return pages.render(
        "model_card.md",
        facts=facts,
        results=facts.content["results"],
        oddities=remarks.oddities(facts),
        limits=remarks.limits(facts),
        bindings=known.bindings,
    )
