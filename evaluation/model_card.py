"""The model card: what a model is for, and how far it can be trusted, in Markdown."""

from evaluation import by_grade, operating_point, remarks, starting_weights
from evaluation import facts as known
from input_pipeline import photograph
from visualization import pages

FILE = "model_card.md"


def render(facts: known.Facts) -> str:
    """Writes the card of a run's model.

    Args:
        facts: The evaluated run; it says what its model was trained for.

    Returns:
        Markdown.
    """
    rule = facts.decision["operating_point"]["rule"]
    chosen = {
        "the epoch": any(one["kept"] == "best" for one in facts.trainings.values()),
        "the calibration": facts.decision["calibration"] is not None,
        "the threshold": rule != operating_point.FIXED,
    }
    return pages.render(
        "model_card.md",
        facts=facts,
        chosen=[what for what, was_chosen in chosen.items() if was_chosen],
        results=facts.content["results"],
        oddities=remarks.oddities(facts),
        limits=remarks.limits(facts),
        overcome=remarks.overcome(facts),
        began=starting_weights.sentence(facts.operative_config or ""),
        bindings=known.bindings,
        scale=photograph.GRADES,
        without_grade=by_grade.without(facts.scores),
    )
