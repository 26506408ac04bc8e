"""The model that comes with the project is whole, small, and grades photographs."""

import csv
import json

import numpy as np
import pytest

from serving import card, heatmaps, predictor


@pytest.fixture(scope="module")
def shipped() -> predictor.Predictor:
    return predictor.Predictor(card.PRETRAINED)


def test_it_is_as_it_was_exported_and_small():
    about = card.load(card.PRETRAINED)
    for name in about.files:
        about.check_file(card.PRETRAINED, name)
    files = {path.name for path in card.PRETRAINED.iterdir()}
    assert files == {*about.files, card.FILE}
    assert sum((card.PRETRAINED / name).stat().st_size for name in files) < 15e6
    assert not about.trained_on_drawings and about.heatmaps


def test_its_papers_count_the_readings_of_the_test_set():
    readings = (card.PRETRAINED / "ledger.jsonl").read_text().splitlines()
    text = (card.PRETRAINED / "model_card.md").read_text()
    assert f"Readings of the test photographs: {len(readings)}." in text
    certificate = json.loads((card.PRETRAINED / "leakage.json").read_text())
    about = card.load(card.PRETRAINED)
    assert certificate["kept"]["test"] == about.photographs["test"]
    assert "CC BY 4.0" in (card.PRETRAINED.parent / "README.md").read_text()


def test_the_folder_alone_names_whom_it_comes_from():
    # The images carry this folder, not the page beside it.
    text = (card.PRETRAINED / "model_card.md").read_text()
    data, _, made_by = text.partition("## Made by")
    assert "Porwal et al." in data and "CC BY 4.0" in data
    assert "ImageNet's" in made_by and "EfficientNet-Lite0" in made_by
    assert "Google" in made_by and "Apache-2.0" in made_by


def test_it_answers_with_a_heat_map(shipped, drawing):
    said = shipped.predict(drawing)
    assert isinstance(said, predictor.Prediction)
    assert sum(said.probabilities) == pytest.approx(1)
    picture = heatmaps.overlay(drawing, said)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_it_tells_real_photographs_apart(shipped, real_idrid):
    folder = real_idrid / "B. Disease Grading"
    photographs = folder / "1. Original Images" / "a. Training Set"
    (table,) = (folder / "2. Groundtruths").glob("*Training Labels.csv")
    with table.open() as file:
        rows = [
            (row["Image name"], row["Retinopathy grade"])
            for row in csv.DictReader(file)
        ]
    right = []
    for grade, diseased in (("0", False), ("4", True)):
        for name in [one for one, its in rows if its == grade][:6]:
            said = shipped.predict((photographs / f"{name}.jpg").read_bytes())
            right.append(said.diseased == diseased)
    # Copies with two grades, whose labels nobody knows, are among them.
    assert sum(right) >= 11
