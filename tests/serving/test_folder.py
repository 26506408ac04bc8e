import csv
import os

import cv2
import numpy as np
import pytest

from input_pipeline import folder_lock
from serving import card as cards
from serving import folder, predictor

ALLOWED = "predict.allow_drawings = True"


@pytest.fixture
def photographs(originals, tmp_path):
    """Two drawings, one of them in a subfolder, and what is found in real folders."""
    path = tmp_path / "photographs"
    (path / "sub").mkdir(parents=True)
    first, second = list(originals.values())[:2]
    os.link(first, path / "b.JPG")
    os.link(second, path / "sub" / "a.jpeg")
    (path / "b.png").write_bytes(second.read_bytes()[:2000])
    (path / "empty.tif").touch()
    (path / "notes.txt").write_text("no photograph")
    (path / ".hidden.jpg").write_text("no photograph either")
    return path


def rows(path):
    with open(path / "predictions.csv", newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_damaged_files_have_their_row_and_stop_nothing(
    start, exported_run, photographs, tmp_path
):
    where = {"photographs": photographs, "output_dir": tmp_path / "out"}
    said = start("predict", exported_run[0], ALLOWED, **where)
    found = rows(tmp_path / "out")
    assert list(found) == ["b.JPG", "b.png", "empty.tif", "sub/a.jpeg"]
    for name in ("b.png", "empty.tif"):
        assert found[name]["reason"] == "unreadable"
        assert found[name]["message"]
        assert found[name]["diseased"] == ""
    for name in ("b.JPG", "sub/a.jpeg"):
        row = found[name]
        disease, threshold = float(row["disease_probability"]), float(row["threshold"])
        assert row["reason"] == ""
        assert row["diseased"] == str(int(disease >= threshold))
        assert row["predicted"] in ("not referable", "referable")
        assert float(row["probability referable"]) == disease
        assert float(row["sharpness"]) > 0
        assert row["overlay"] == f"overlays/{name}.heatmap.jpg"
        picture = cv2.imread(str(tmp_path / "out" / row["overlay"]))
        assert picture.shape == (356, 536, 3)
    model = cards.load(exported_run[0] / folder.EXPORTED)
    for row in found.values():
        assert (row["model"], row["variant"]) == ("tiny", "float32")
        assert row["model_sha256"] == model.fingerprints["model_sha256"]
    diseased = sum(row["diseased"] == "1" for row in found.values())
    assert f"4 files: {diseased} with the disease at the threshold" in said
    assert "2 without an answer.\n  2 unreadable: The file is no" in said
    assert "damaged.\n    b.png\n    empty.tif\nResearch" in said
    assert "Not a medical device" in said


def test_it_decides_the_same_with_fewer_pictures(
    start, exported_run, photographs, tmp_path
):
    texts = []
    for overlays in ("none", "all"):
        where = {"photographs": photographs, "output_dir": tmp_path / overlays}
        line = f"predict.overlays = '{overlays}'"
        start("predict", exported_run[0], ALLOWED, line, **where)
        found = rows(tmp_path / overlays)
        texts.append(
            [(row["file"], row["disease_probability"]) for row in found.values()]
        )
        assert (tmp_path / overlays / "overlays").exists() == (overlays == "all")
    assert texts[0] == texts[1]


def test_a_model_of_drawings_answers_only_if_it_is_told_to(
    start, exported_run, photographs, tmp_path
):
    where = {"photographs": photographs, "output_dir": tmp_path / "out"}
    said = start("predict", exported_run[0], **where)
    assert "0 with the disease" in said and "4 without an answer" in said
    assert "4 trained_on_drawings: The model learnt from drawings" in said


def test_a_dry_run_writes_nothing(
    start, exported_run, exported, photographs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    where = {"photographs": photographs, "exported": exported, "dry_run": True}
    said = start("predict", tmp_path / "elsewhere", **where)
    output = os.path.join("predictions", "photographs")
    assert said == f"Would ask tiny about 4 photographs: {output}."
    assert [path.name for path in tmp_path.iterdir()] == ["photographs"]


def test_results_do_not_go_among_the_photographs(start, exported_run, photographs):
    where = {"photographs": photographs, "output_dir": photographs / "out"}
    with pytest.raises(ValueError, match="must not be inside"):
        start("predict", exported_run[0], **where)


def test_a_folder_without_photographs_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"holds no photograph.*--photographs"):
        folder.find(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overlays": "some"}, "must be 'all', 'diseased' or 'none'"),
        ({"opacity": np.inf}, "`predict.opacity` must be 0-1"),
        ({"longest": 0}, "`predict.longest` at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        folder.Folder(**settings)


def test_names_that_are_no_letters_or_formulas_lose_nothing(
    start, exported_run, drawing, tmp_path
):
    photographs = tmp_path / "odd"
    photographs.mkdir()
    (photographs / "=1+1.jpg").write_bytes(drawing)
    with open(os.fsencode(photographs) + b"/caf\xe9.jpg", "wb") as file:
        file.write(drawing)
    where = {"photographs": photographs, "output_dir": tmp_path / "out"}
    start("predict", exported_run[0], ALLOWED, **where)
    found = rows(tmp_path / "out")
    # The first is its path still, which no spreadsheet computes.
    assert list(found) == ["./=1+1.jpg", r"caf\udce9.jpg"]
    assert all(row["diseased"] for row in found.values())


@pytest.fixture
def stopped_at(monkeypatch):
    """Ctrl-C while the nth photograph is predicted; returns those that were begun."""

    def stop(number):
        begun, predict = [], predictor.Predictor.predict

        def counted(self, data):
            begun.append(data)
            if len(begun) == number:
                raise KeyboardInterrupt
            return predict(self, data)

        monkeypatch.setattr(predictor.Predictor, "predict", counted)
        return begun

    return stop


@pytest.fixture
def many(originals, tmp_path):
    """Five drawings, two of which differ in their suffix alone."""
    path = tmp_path / "many"
    path.mkdir()
    for name, source in zip("abcd", originals.values(), strict=False):
        os.link(source, path / f"{name}.jpg")
    cv2.imwrite(str(path / "a.png"), cv2.imread(str(path / "a.jpg")))
    return path


def test_what_was_stopped_goes_on(
    start, exported_run, many, tmp_path, stopped_at, caplog, monkeypatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    whole = {"photographs": many, "output_dir": tmp_path / "whole"}
    told = start("predict", exported_run[0], ALLOWED, **whole)
    where = {"photographs": many, "output_dir": tmp_path / "out"}
    stopped_at(4)
    with caplog.at_level("INFO", logger="absl"), pytest.raises(KeyboardInterrupt):
        start("predict", exported_run[0], ALLOWED, **where)
    assert f"3 of 5 files are in {tmp_path / 'out' / 'predictions.csv'}." in caplog.text
    assert list(rows(tmp_path / "out")) == ["a.jpg", "a.png", "b.jpg"]
    dry = start("predict", exported_run[0], ALLOWED, dry_run=True, **where)
    assert "5 photographs, 3 of which are done: " in dry
    begun = stopped_at(None)
    with caplog.at_level("INFO", logger="absl"):
        again = start("predict", exported_run[0], ALLOWED, **where)
    assert "Going on: 3 of 5 files are done." in caplog.text
    assert len(begun) == 2
    assert again == told.replace(str(tmp_path / "whole"), str(tmp_path / "out"))
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")
    pictures = [one.name for one in (tmp_path / "out" / "overlays").iterdir()]
    assert sorted(pictures) == sorted(
        f"{one.name}.heatmap.jpg" for one in many.iterdir()
    )


def test_what_is_finished_changes_nothing(
    start, exported_run, many, tmp_path, stopped_at
):
    where = {"photographs": many, "output_dir": tmp_path / "out"}
    told = start("predict", exported_run[0], ALLOWED, **where)
    paths = list((tmp_path / "out").rglob("*"))
    before = [one.stat().st_mtime_ns for one in paths]
    begun = stopped_at(None)
    assert start("predict", exported_run[0], ALLOWED, **where) == told
    assert begun == []
    assert [one.stat().st_mtime_ns for one in paths] == before


def test_results_of_something_else_are_not_mixed_with_these(
    start, exported_run, many, tmp_path, damaged_card
):
    where = {"photographs": many, "output_dir": tmp_path / "out"}
    start("predict", exported_run[0], ALLOWED, **where)
    with pytest.raises(ValueError, match=r"opacity` was 0\.6, is 0\.5\nName another"):
        start("predict", exported_run[0], ALLOWED, "predict.opacity = 0.5", **where)
    other = damaged_card(name="other")
    with pytest.raises(ValueError, match=r"the model was tiny, is other\n.*checksum"):
        start("predict", exported_run[0], ALLOWED, exported=other, **where)
    (many / "b.jpg").unlink()
    with pytest.raises(ValueError, match=r"another question:\n  b\.jpg is gone\nName"):
        start("predict", exported_run[0], ALLOWED, **where)


def test_one_process_at_a_time_writes_results(start, exported_run, many, tmp_path):
    where = {"photographs": many, "output_dir": tmp_path / "out"}
    with (
        folder_lock.hold(tmp_path / "out", wait=False),
        pytest.raises(BlockingIOError, match="another folder with --output_dir"),
    ):
        start("predict", exported_run[0], ALLOWED, **where)


def test_of_many_without_an_answer_the_first_are_named(start, exported_run, tmp_path):
    photographs = tmp_path / "broken"
    photographs.mkdir()
    for number in range(12):
        (photographs / f"{number:02}.jpg").touch()
    where = {"photographs": photographs, "output_dir": tmp_path / "out"}
    said = start("predict", exported_run[0], ALLOWED, **where)
    assert "    09.jpg\n    and 2 more, unreadable in the CSV\n" in said
    assert "10.jpg" not in said
