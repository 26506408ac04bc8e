"""The gallery: which photographs are shown, in which order, with which words."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from evaluation import facts, gallery
from input_pipeline import tasks

LABELS = [1, 1, 1, 0, 0, 0, 1, 0]
DISEASE = [0.05, 0.45, 0.95, 0.55, 0.02, 0.99, 0.5, 0.3]


def by_title(groups):
    return {
        group.title: [int(one.rpartition("/")[2]) for one in group.ids]
        for group in groups
    }


def test_groups_hold_the_surest_first(made_up):
    # At 0.5 of the probability of disease; 0.5 itself counts as diseased.
    assert by_title(gallery.choose(made_up(LABELS, DISEASE), "test")) == {
        "Missed": [0, 1],
        "False alarms": [5, 3],
        "Found": [2, 6],
        "Rightly passed": [4, 7],
    }


def test_the_runs_own_threshold_decides(made_up):
    groups = by_title(gallery.choose(made_up(LABELS, DISEASE, threshold=0.4), "test"))
    assert (groups["Missed"], groups["Found"]) == ([0], [2, 6, 1])


def test_of_many_the_surest_are_shown_and_all_counted(made_up):
    disease = np.linspace(0.6, 0.9, 30)
    groups = {
        one.title: one for one in gallery.choose(made_up([0] * 30, disease), "test")
    }
    alarms = groups["False alarms"]
    assert [int(one.rpartition("/")[2]) for one in alarms.ids] == [*range(29, 21, -1)]
    assert (alarms.total, alarms.mistakes) == (30, True)
    assert groups["Found"].ids == [] and groups["Found"].total == 0


def test_among_equals_the_order_of_the_file_decides(made_up):
    groups = by_title(gallery.choose(made_up([1] * 12, [0.9] * 12), "test"))
    assert groups["Found"] == [*range(8)]


def test_of_more_than_two_classes_wrong_ones_are_a_group(made_up):
    probabilities = np.full((3, 5), 0.1)
    probabilities[[0, 1, 2], [0, 3, 4]] = 0.6
    probabilities[2] = [0.02, 0.02, 0.02, 0.04, 0.9]
    found = made_up([0, 4, 3], probabilities=probabilities, task=tasks.icdr_grades())
    groups = gallery.choose(found, "test")
    assert by_title(groups)["Wrong class"] == [2, 1]
    assert by_title(groups)["Found"] == [2, 1]
    (wrong,) = (one for one in groups if one.title == "Wrong class")
    first = gallery.cards(found, "test", wrong)[0]
    assert (first["truth"], first["said"]) == ("3 severe", "4 proliferative")
    assert first["class_probability"] == pytest.approx(0.9)
    assert first["probability"] == pytest.approx(0.96)


def test_cards_without_photographs_have_words_alone(made_up):
    found = made_up([1, 1], [0.2, 0.9], known={"disputed": ["1", ""]})
    (missed, *_) = gallery.choose(found, "test")
    assert gallery.cards(found, "test", missed) == [
        {
            "id": "far/test/0",
            "truth": "referable",
            "said": "not referable",
            "class_probability": pytest.approx(0.8),
            "probability": pytest.approx(0.2),
            "disputed": True,
            "picture": None,
            "heatmap": None,
            "explains": None,
        }
    ]


def decoded(uri):
    content = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)))


def test_cards_show_the_prepared_photograph_with_its_grade(drawn_run, audited):
    found = facts.read(drawn_run, drawn_run, audited)
    cards = [
        card
        for one in gallery.choose(found, "test")
        for card in gallery.cards(found, "test", one)
    ]
    assert {card["id"] for card in cards} <= set(found.split.test)
    for card in cards:
        photograph = audited.collection.photograph(card["id"])
        referable = "referable" if photograph.grade >= 2 else "not referable"
        assert card["truth"].startswith(f"{referable}, grade {photograph.grade} ")
        image = audited.collection.read_image(card["id"])
        difference = decoded(card["picture"]).astype(float) - image
        assert np.abs(difference).mean() < 6
        assert card["heatmap"] is None


def test_heat_maps_are_asked_for_photographs_that_are_shown(drawn_run, audited):
    found = facts.read(drawn_run, drawn_run, audited)
    asked = []

    def overlay(photograph_id):
        asked.append(photograph_id)
        if photograph_id == first.ids[0]:
            return None
        picture = np.full((64, 64, 3), (200, 30, 30), np.uint8)
        return gallery.HeatMap(picture, "a method, for a class")

    first = next(one for one in gallery.choose(found, "test") if len(one.ids) > 1)
    cards = gallery.cards(found, "test", first, overlay)
    assert asked == first.ids
    assert cards[0]["heatmap"] is None and cards[0]["explains"] is None
    assert cards[1]["explains"] == "a method, for a class"
    assert np.abs(decoded(cards[1]["heatmap"]) - np.array([200, 30, 30])).max() < 5
