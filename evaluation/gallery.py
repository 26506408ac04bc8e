"""The photographs that a report shows: the surest mistakes and the surest successes."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaluation import facts as known
from input_pipeline import photograph
from visualization import pages

PER_GROUP = 8
_PICTURE_WIDTH = 240


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """A heat map, drawn on its prepared photograph.

    Attributes:
        picture: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        explains: Method and class, for a reader.
    """

    picture: np.ndarray
    explains: str


Overlay = Callable[[str], HeatMap | None]
"""Photograph id -> its heat map; None where there is none."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Photographs that were mistaken, or recognised, in the same way.

    Attributes:
        title: A few words.
        description: What they have in common.
        mistakes: Whether they are mistakes.
        ids: The surest of them, the surest first.
        total: How many there are in all.
    """

    title: str
    description: str
    mistakes: bool
    ids: Sequence[str]
    total: int


def choose(facts: known.Facts, part: str) -> list[Group]:
    """Chooses the photographs of a split, or of another dataset.

    Args:
        facts: The evaluated run.
        part: Whose photographs.

    Returns:
        The groups, mistakes first. They decide by the run's threshold; where the task
        has more than two classes, photographs put into a wrong class are one more.
    """
    said = facts.parts[part]
    scorer = facts.settings.scorer(said.labels, said.probabilities)
    disease, ill, called = (
        scorer.disease_probability,
        scorer.diseased,
        scorer.said_diseased,
    )

    def group(title, description, mistakes, chosen, sureness) -> Group:
        places = np.flatnonzero(chosen)
        # Among equals the file's order, so that a page is always the same.
        surest = places[np.argsort(-sureness[places], kind="stable")]
        ids = [said.ids[place] for place in surest[:PER_GROUP]]
        return Group(title, description, mistakes, ids, len(places))

    low = 1 - disease
    groups = [
        group("Missed", "Diseased, but not called so.", True, ill & ~called, low),
        group(
            "False alarms",
            "Healthy, but called diseased.",
            True,
            ~ill & called,
            disease,
        ),
    ]
    if len(facts.class_names) > 2:
        sureness = said.probabilities.max(axis=1)
        wrong = scorer.predicted != said.labels
        text = "Another class than the true one was the most probable."
        groups.append(group("Wrong class", text, True, wrong, sureness))
    return [
        *groups,
        group("Found", "Diseased, and called so.", False, ill & called, disease),
        group(
            "Rightly passed",
            "Healthy, and not called diseased.",
            False,
            ~(ill | called),
            low,
        ),
    ]


def cards(
    facts: known.Facts, part: str, group: Group, overlay: Overlay | None = None
) -> list[dict[str, Any]]:
    """What a page shows of each photograph of a group.

    Args:
        facts: The evaluated run.
        part: As `choose` was asked.
        group: One of those it chose.
        overlay: Gives the heat maps, if there are any.

    Returns:
        For each photograph its `id`, its `truth`, the class `said` with its
        `class_probability`, the `probability` of disease, whether its label is
        `disputed`, its `picture` and its `heatmap` as data URIs, and what the latter
        `explains`; None where there is none.

    Raises:
        ValueError: A photograph that is shown cannot be read.
    """
    said = facts.parts[part]
    place_of = {one: place for place, one in enumerate(said.ids)}
    scorer = facts.settings.scorer(said.labels, said.probabilities)
    shown = []
    for one in group.ids:
        place, published = place_of[one], facts.photograph(one)
        heatmap = overlay and overlay(one)
        shown.append(
            {
                "id": one,
                "truth": _truth(facts, published, int(said.labels[place])),
                "said": facts.class_labels[scorer.predicted[place]],
                "class_probability": said.probabilities[place, scorer.predicted[place]],
                "probability": scorer.disease_probability[place],
                "disputed": bool(said.known["disputed"][place]),
                "picture": published
                and pages.picture(facts.collection.read_image(one), _PICTURE_WIDTH),
                "heatmap": None
                if heatmap is None
                else pages.picture(heatmap.picture, _PICTURE_WIDTH),
                "explains": heatmap and heatmap.explains,
            }
        )
    return shown


def _truth(
    facts: known.Facts, published: photograph.Photograph | None, label: int
) -> str:
    """The label and, where it says more, the grade."""
    name = facts.class_labels[label]
    if facts.are_grades or published is None or published.grade is None:
        return name
    return f"{name}, grade {published.grade} {photograph.GRADES[published.grade]}"
