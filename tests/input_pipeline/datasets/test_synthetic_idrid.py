import csv
import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import PIL.Image
import pytest

from input_pipeline.datasets import synthetic, synthetic_idrid

REPOSITORY = pathlib.Path(__file__).parents[3]
GRADING_TRAIN = "B. Disease Grading/1. Original Images/a. Training Set"
GRADING_TEST = "B. Disease Grading/1. Original Images/b. Testing Set"
LABELS = "B. Disease Grading/2. Groundtruths"
TRAIN_LABELS = f"{LABELS}/a. IDRiD_Disease Grading_Training Labels.csv"
TEST_LABELS = f"{LABELS}/b. IDRiD_Disease Grading_Testing Labels.csv"
SEGMENTATION = "A. Segmentation/1. Original Images/a. Training Set"
MASKS = "A. Segmentation/2. All Segmentation Groundtruths/a. Training Set"
SETTINGS = {"train": (3, 2, 3, 2, 2), "test": (1, 0, 1, 0, 1), "seed": 5, "width": 256}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("synthetic") / "data" / "idrid"
    assert synthetic_idrid.write_idrid(path, **SETTINGS)
    return path


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_photographs_are_named_as_idrid_names_them(folder):
    train = sorted(path.name for path in (folder / GRADING_TRAIN).iterdir())
    test = sorted(path.name for path in (folder / GRADING_TEST).iterdir())
    assert train == [f"IDRiD_{number:03d}.jpg" for number in range(1, 13)]
    assert test == ["IDRiD_001.jpg", "IDRiD_002.jpg", "IDRiD_003.jpg"]
    with PIL.Image.open(folder / GRADING_TRAIN / "IDRiD_001.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (256, 170))


def test_label_files_have_the_quirks_of_idrid(folder):
    header = "Image name,Retinopathy grade,Risk of macular edema "
    train = (folder / TRAIN_LABELS).read_text().split("\n")
    test = (folder / TEST_LABELS).read_text().split("\n")
    assert train[0] == header + "," * 9
    assert test[0] == header
    assert all(line.endswith("," * 9) for line in train[1:-1])
    assert (len(train), len(test), train[-1], test[-1]) == (14, 5, "", "")


def test_grades_are_as_many_as_asked_for_and_shuffled(folder):
    grades = [int(row[1]) for row in rows(folder / TRAIN_LABELS)[1:]]
    assert tuple(np.bincount(grades, minlength=5)) == SETTINGS["train"]
    assert grades != sorted(grades)
    assert sorted(int(row[1]) for row in rows(folder / TEST_LABELS)[1:]) == [0, 2, 4]


def test_labels_and_photographs_are_those_drawn_from_seed_split_and_number(folder):
    for split, labels, images in (
        (0, TRAIN_LABELS, GRADING_TRAIN),
        (1, TEST_LABELS, GRADING_TEST),
    ):
        name, grade, risk, *_ = rows(folder / labels)[2]
        assert name == "IDRiD_002"
        rng = np.random.default_rng(np.random.SeedSequence((5, split, 2)))
        drawing = synthetic.draw(int(grade), rng, width=256)
        assert int(risk) == drawing.macular_edema
        with PIL.Image.open(folder / images / "IDRiD_002.jpg") as image:
            error = np.asarray(image, float) - drawing.image
        assert np.abs(error).mean() < 4  # what JPEG takes away


def test_segmentation_part_holds_training_photographs_with_lesions(folder):
    header, *pairs = rows(folder / "segmentation_to_grading.csv")
    assert header == ["segmentation_id", "grading_split", "grading_id"]
    grades = {row[0]: int(row[1]) for row in rows(folder / TRAIN_LABELS)[1:]}
    diseased = {name for name, grade in grades.items() if grade > 0}
    assert {pair[1] for pair in pairs} == {"train"}
    assert {pair[2] for pair in pairs} == diseased
    assert [pair[0] for pair in pairs] == [f"IDRiD_{n:02d}" for n in range(1, 10)]
    assert [pair[2] for pair in pairs] != sorted(diseased)  # a numbering of its own
    for segmentation, _, grading in pairs:
        twin = (folder / GRADING_TRAIN / f"{grading}.jpg").read_bytes()
        assert (folder / SEGMENTATION / f"{segmentation}.jpg").read_bytes() == twin
    assert len(list((folder / SEGMENTATION).iterdir())) == len(pairs)


def test_mask_files_are_there_for_the_lesions_that_are(folder):
    kinds = {
        "microaneurysms": "1. Microaneurysms/{}_MA.tif",
        "haemorrhages": "2. Haemorrhages/{}_HE.tif",
        "hard_exudates": "3. Hard Exudates/{}_EX.tif",
        "soft_exudates": "4. Soft Exudates/{}_SE.tif",
        "optic_disc": "5. Optic Disc/{}_OD.tif",
    }
    grades = {row[0]: int(row[1]) for row in rows(folder / TRAIN_LABELS)[1:]}
    written = 0
    for segmentation, _, grading in rows(folder / "segmentation_to_grading.csv")[1:]:
        seeds = np.random.SeedSequence((5, 0, int(grading[-3:])))
        drawing = synthetic.draw(grades[grading], np.random.default_rng(seeds), 256)
        for name, mask in drawing.masks.items():
            path = folder / MASKS / kinds[name].format(segmentation)
            assert path.exists() == mask.any()
            if mask.any():
                written += 1
                with PIL.Image.open(path) as image:
                    np.testing.assert_array_equal(np.asarray(image) > 0, mask)
                grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
                np.testing.assert_array_equal(grey > 0, mask)
    assert len(list((folder / MASKS).rglob("*.tif"))) == written


def test_files_do_not_depend_on_the_number_of_workers(folder, tmp_path):
    synthetic_idrid.write_idrid(tmp_path / "one", **SETTINGS, workers=1)
    assert contents(tmp_path / "one") == contents(folder)


def test_another_seed_draws_other_photographs(folder, tmp_path):
    synthetic_idrid.write_idrid(tmp_path / "other", **{**SETTINGS, "seed": 6})
    name = f"{GRADING_TEST}/IDRiD_001.jpg"
    assert (tmp_path / "other" / name).read_bytes() != (folder / name).read_bytes()


def test_finished_folder_is_left_alone(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert not synthetic_idrid.write_idrid(folder, **SETTINGS)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in folder.parent.iterdir()] == ["idrid"]


def test_empty_folder_is_filled(tmp_path):
    one = {**SETTINGS, "train": (1, 0, 0, 0, 0), "test": (0, 1, 0, 0, 0)}
    assert synthetic_idrid.write_idrid(tmp_path, **one)
    settings = json.loads((tmp_path / "synthetic.json").read_text())
    assert (settings["seed"], settings["train"]) == (5, [1, 0, 0, 0, 0])


def test_other_drawings_are_refused(folder):
    message = r'"seed": 6.*Received: .*"seed": 5.*Name another folder, or remove'
    with pytest.raises(ValueError, match=message):
        synthetic_idrid.write_idrid(folder, **{**SETTINGS, "seed": 6})


def test_folder_with_anything_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"must be new or empty.*Received: no such"):
        synthetic_idrid.write_idrid(tmp_path, **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(grade, rng, width):
        raise MemoryError

    monkeypatch.setattr(synthetic, "draw", fail)
    with pytest.raises(MemoryError):
        synthetic_idrid.write_idrid(tmp_path / "new", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": (1, 2)}, r"`train` must be .* five numbers.*train=\[1, 2\]\."),
        ({"test": (0, 0, 0, 0, 0)}, r"not all 0\. Received: test=\[0, 0, 0, 0, 0\]\."),
        ({"test": (1, 0, 0, 0, -1)}, r"none negative.*test=\[1, 0, 0, 0, -1\]\."),
        ({"seed": -1}, r"`seed` must not be negative\. Received: seed=-1\."),
        ({"width": 100}, r"at least 256 pixels\. Received: width=100\."),
        ({"quality": 101}, r"`quality` must be 0-100\. Received: quality=101\."),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        synthetic_idrid.write_idrid(tmp_path / "new", **{**SETTINGS, **change})
    assert list(tmp_path.iterdir()) == []


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "input_pipeline.datasets.synthetic_idrid", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_says_what_it_wrote_and_that_it_need_not(tmp_path):
    output = f"--output_dir={tmp_path / 'new'}"
    small = (output, "--width=256", "--train=1,0,1,0,0", "--test=1,0,0,0,0")
    first, second = command(*small), command(*small)
    assert (first.returncode, second.returncode) == (0, 0)
    what = "2 training and 1 test photographs"
    assert first.stdout == f"Wrote {what} to {tmp_path / 'new'}.\n"
    assert f"holds these {what} already; nothing was written." in second.stdout


def test_command_reports_bad_flags_without_traceback(tmp_path):
    output = f"--output_dir={tmp_path / 'new'}"
    for arguments, message in (
        ((output, "--train=1,x"), "--train must be five numbers, as in 39,6,40,21,14."),
        ((), "--output_dir must have a value"),
    ):
        result = command(*arguments)
        assert result.returncode == 1
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "new").exists()
