"""Decisions of a card's settings against those that a run makes of the same logits."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from evaluation import (
    calibration,
    cut_points,
    decision,
    metrics,
    operating_point,
    scoring,
)
from models import outputs
from serving import card as cards

CASES = [
    ("softmax", 2, None),
    ("softmax", 5, calibration.Temperature(1.7)),
    ("softmax", 2, calibration.Isotonic((0.1, 0.5, 0.9), (0.0, 0.4, 1.0))),
    ("ordinal", 5, calibration.Temperature(0.6)),
    ("regression", 5, None),
    ("regression", 5, cut_points.CutPoints((0.4, 1.2, 2.2, 3.1), 0.7)),
]


@pytest.mark.parametrize(("name", "num_classes", "calibrated"), CASES)
def test_it_makes_the_probabilities_that_a_run_makes(name, num_classes, calibrated):
    output = outputs.by_name(name, num_classes)
    shape = (200, output.num_outputs(num_classes))
    logits = np.random.default_rng(0).normal(1, 2, shape).astype(np.float32)
    point = operating_point.OperatingPoint("fixed", 0.3, None, None, 0, 0)
    decided = decision.Decision(calibrated, point, "drawn")
    disease = list(range(num_classes // 2, num_classes))
    deciding = cards.Deciding(
        task={
            "class_names": [str(one) for one in range(num_classes)],
            "disease_classes": disease,
        },
        output=name,
        decision=decided.description(),
    )
    expected = decided.probabilities(output, logits)
    received = deciding.probabilities(logits)
    np.testing.assert_array_equal(received, expected)
    np.testing.assert_array_equal(
        deciding.disease_probability(received),
        metrics.disease_probability(expected, tuple(disease)),
    )
    labels = np.arange(200) % num_classes
    scored = scoring.Scorer(labels, expected, disease, threshold=0.3)
    np.testing.assert_array_equal(deciding.predicted(received), scored.predicted)
    assert deciding.threshold == 0.3
    assert deciding.views is None


def test_a_card_of_before_methods_were_noted_has_none_that_failed(damaged_card):
    folder = damaged_card()
    written = json.loads((folder / "card.json").read_text())
    del written["card_sha256"], written["failed_methods"]
    (folder / "card.json").write_text(json.dumps(cards.sealed(written)))
    assert list(cards.load(folder).failed_methods) == []


def test_a_card_that_was_changed_is_not_believed(exported, tmp_path):
    text = (exported / "card.json").read_text()
    threshold = str(cards.load(exported).threshold)
    for changed in (
        text.replace(f'"threshold": {threshold}', '"threshold": 0.01'),
        text.replace('"trained_on_drawings": true', '"trained_on_drawings": false'),
        text.replace('"fundus_version"', '"fundus_versiom"'),
        json.dumps(json.loads(text) | {"variants": []}),
        json.dumps({"format": 2}),
    ):
        assert changed != text
        (tmp_path / "card.json").write_text(changed)
        with pytest.raises(ValueError, match=r"written: its checksum differs\. Copy"):
            cards.load(tmp_path)
    # Only what it says counts, not how it is laid out.
    (tmp_path / "card.json").write_text(json.dumps(json.loads(text), indent=3))
    assert cards.load(tmp_path) == cards.load(exported)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("run", "run/card.json does not exist: run holds no exported model. Name"),
        ("run/export", "run/export holds no exported model. Name the folder of one"),
        ("run/export/defalt", "run/export/defalt holds no exported model. Name"),
        # As --run_dir, where the folder of the model was meant.
        ("run/export/default/export/default", "holds no exported model. Name the"),
        ("run/export/default/float32.xml", "float32.xml is a file and holds no expo"),
    ],
)
def test_a_slip_is_told_where_an_exported_model_is(
    exported, tmp_path, monkeypatch, named, message
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, tmp_path / "run" / "export" / "default")
    with pytest.raises(FileNotFoundError) as caught:
        cards.load(pathlib.Path(named))
    assert message in str(caught.value)
    assert str(caught.value).endswith("of one, such as run/export/default.")


def test_where_no_exported_model_is_near_it_says_how_to_make_one(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match=r"exported model\. Export one: py"):
            cards.load(path)
