import collections
import csv
import pathlib
import shutil

import cv2
import pytest
from PIL import Image

from input_pipeline.datasets import idrid

GRADING = pathlib.Path("B. Disease Grading")
TRAIN = GRADING / "1. Original Images" / "a. Training Set"
TEST = GRADING / "1. Original Images" / "b. Testing Set"
TRAIN_LABELS = (
    GRADING / "2. Groundtruths" / "a. IDRiD_Disease Grading_Training Labels.csv"
)
TEST_LABELS = (
    GRADING / "2. Groundtruths" / "b. IDRiD_Disease Grading_Testing Labels.csv"
)

# The first lines of the published files, quirks included.
TRAIN_TEXT = (
    "Image name,Retinopathy grade,Risk of macular edema ,,,,,,,,,\n"
    "IDRiD_001,3,2,,,,,,,,,\n"
    "IDRiD_002,0,0,,,,,,,,,\n"
    "IDRiD_003,4,1,,,,,,,,,\n"
)
TEST_TEXT = (
    "Image name,Retinopathy grade,Risk of macular edema \n"
    "IDRiD_001,4,0\n"
    "IDRiD_002,1,1\n"
)


@pytest.fixture
def folder(tmp_path):
    """Five photographs in IDRiD's layout; the reader does not look into them."""
    for images, count in ((TRAIN, 3), (TEST, 2)):
        (tmp_path / images).mkdir(parents=True)
        for number in range(1, count + 1):
            (tmp_path / images / f"IDRiD_{number:03d}.jpg").write_bytes(b"")
    (tmp_path / TRAIN_LABELS).parent.mkdir()
    (tmp_path / TRAIN_LABELS).write_text(TRAIN_TEXT)
    (tmp_path / TEST_LABELS).write_text(TEST_TEXT)
    return tmp_path


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def read(folder, **settings):
    return idrid.idrid(**settings).read(folder)


def test_both_label_files_are_read_with_their_quirks(folder):
    found = {
        one.id: (one.grade, one.macular_edema, one.split, one.path)
        for one in read(folder)
    }
    assert found == {
        "idrid/train/IDRiD_001": (3, 2, "train", folder / TRAIN / "IDRiD_001.jpg"),
        "idrid/train/IDRiD_002": (0, 0, "train", folder / TRAIN / "IDRiD_002.jpg"),
        "idrid/train/IDRiD_003": (4, 1, "train", folder / TRAIN / "IDRiD_003.jpg"),
        "idrid/test/IDRiD_001": (4, 0, "test", folder / TEST / "IDRiD_001.jpg"),
        "idrid/test/IDRiD_002": (1, 1, "test", folder / TEST / "IDRiD_002.jpg"),
    }


def test_idrid_names_neither_patient_nor_eye(folder):
    assert {(one.patient, one.eye) for one in read(folder)} == {(None, None)}


def test_ids_differ_although_names_restart_in_the_test_set(folder):
    photographs = read(folder)
    assert len({one.id for one in photographs}) == len(photographs) == 5
    assert len({one.path.name for one in photographs}) == 3


def test_photographs_that_are_not_idrids_can_have_a_name_of_their_own(folder):
    ids = {one.id for one in read(folder, name="drawn")}
    assert "drawn/train/IDRiD_001" in ids
    assert not any(one.startswith("idrid/") for one in ids)


def test_drawn_photographs_are_read_by_the_same_reader(idrid_like):
    photographs = read(idrid_like)
    grades = {
        split: collections.Counter(
            one.grade for one in photographs if one.split == split
        )
        for split in ("train", "test")
    }
    assert grades["train"] == {0: 14, 1: 2, 2: 14, 3: 6, 4: 4}
    assert grades["test"] == {0: 4, 1: 1, 2: 4, 3: 2, 4: 1}


@pytest.mark.parametrize(
    ("split", "grades", "edema"),
    [
        ("train", (134, 20, 136, 74, 49), (177, 41, 195)),
        ("test", (34, 5, 32, 19, 13), (45, 10, 48)),
    ],
)
def test_the_real_photographs_have_the_published_counts(
    real_idrid, split, grades, edema
):
    photographs = [one for one in read(real_idrid) if one.split == split]
    assert collections.Counter(one.grade for one in photographs) == dict(
        enumerate(grades)
    )
    assert collections.Counter(one.macular_edema for one in photographs) == dict(
        enumerate(edema)
    )
    assert all(one.path.is_file() for one in photographs)


def test_real_labels_are_those_of_the_row_with_the_photographs_name(real_idrid):
    photographs = {one.id: one for one in read(real_idrid)}
    for split, path in (("train", TRAIN_LABELS), ("test", TEST_LABELS)):
        with open(real_idrid / path, newline="") as file:
            _, *rows = csv.reader(file)
        for name, grade, edema, *_ in rows:
            one = photographs[f"idrid/{split}/{name}"]
            assert (one.grade, one.macular_edema) == (int(grade), int(edema))
            assert one.path.stem == name


def test_lossless_copies_are_read_in_place_of_the_originals(folder):
    for path in sorted((folder / TRAIN).iterdir()):
        path.rename(path.with_suffix(".PNG"))
    assert [one.path.name for one in read(folder)][:3] == [
        "IDRiD_001.PNG",
        "IDRiD_002.PNG",
        "IDRiD_003.PNG",
    ]


def test_png_copies_give_the_same_photographs_and_labels(idrid_like, tmp_path):
    originals = read(idrid_like)
    for one in originals:
        copy = tmp_path / one.path.relative_to(idrid_like).with_suffix(".png")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    one = originals[0]
    copy = tmp_path / one.path.relative_to(idrid_like).with_suffix(".png")
    Image.open(one.path).save(copy)
    for labels in (TRAIN_LABELS, TEST_LABELS):
        (tmp_path / labels).parent.mkdir(exist_ok=True)
        (tmp_path / labels).write_bytes((idrid_like / labels).read_bytes())
    copies = read(tmp_path)
    assert [(one.id, one.grade, one.macular_edema) for one in copies] == [
        (one.id, one.grade, one.macular_edema) for one in originals
    ]
    assert cv2.imread(str(copies[0].path)).shape == cv2.imread(str(one.path)).shape


def test_a_file_managers_own_files_are_no_photographs(folder):
    for name in (".DS_Store", "._IDRiD_001.jpg", "Thumbs.db", "desktop.ini"):
        (folder / TRAIN / name).write_bytes(b"\0")
    assert len(read(folder)) == 5


def test_labels_saved_by_a_spreadsheet_are_read(folder):
    # A byte order mark, Windows line ends and an empty line at the end.
    text = "\ufeff" + TRAIN_TEXT + ",,\n"
    (folder / TRAIN_LABELS).write_bytes(text.replace("\n", "\r\n").encode())
    assert len(read(folder)) == 5


def test_a_folder_that_does_not_exist_is_an_error_that_says_which_one_does(tmp_path):
    with pytest.raises(ValueError, match=r"idrid does not exist; .*data does\."):
        (tmp_path / "data").mkdir()
        read(tmp_path / "data" / "idrid")


def test_another_folder_is_an_error_with_the_expected_tree_and_what_was_found(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    (tmp_path / "readme.txt").touch()
    with pytest.raises(
        ValueError, match=r"IDRiD lacks the folder .*/B\. Disease Grading\."
    ) as error:
        read(tmp_path)
    expected, found = str(error.value).split("Found:")
    for line in idrid.TREE.strip().splitlines():
        assert line.strip() in expected
    assert "photos/  (1 entries: one.jpg)" in found
    assert "readme.txt" in found


def test_a_folder_one_level_too_deep_is_an_error_that_shows_it(folder):
    missing = r"IDRiD lacks the folder .*Grading/B\. Disease Grading\."
    with pytest.raises(ValueError, match=missing) as error:
        read(folder / GRADING)
    assert "1. Original Images/" in str(error.value).split("Found:")[1]


@pytest.mark.parametrize("missing", [TRAIN, TEST, TRAIN_LABELS, TEST_LABELS])
def test_a_missing_part_is_an_error_that_names_it(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(ValueError, match="IDRiD lacks ") as error:
        read(folder)
    message = str(error.value)
    assert str(missing) in message
    assert "Expected in" in message
    assert "elsewhere" in message.split("Found:")[1]


@pytest.mark.parametrize(
    ("column", "renamed"),
    [
        ("Image name", "Image"),
        ("Retinopathy grade", "DR grade"),
        ("Risk of macular edema ", "DME"),
    ],
)
def test_a_renamed_label_column_is_an_error_that_names_both(folder, column, renamed):
    replace(folder / TRAIN_LABELS, column, renamed)
    with pytest.raises(ValueError, match=r"Training Labels\.csv must have") as error:
        read(folder)
    assert f"Missing: ['{column.strip()}']" in str(error.value)
    assert f"'{renamed}'" in str(error.value).split("Received:")[1]


def test_a_missing_label_column_is_an_error_that_names_it(folder):
    (folder / TEST_LABELS).write_text("Image name,Retinopathy grade\nIDRiD_001,4\n")
    with pytest.raises(ValueError, match=r"Missing: \['Risk of macular edema'\]"):
        read(folder)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_label_file_is_an_error(folder, content):
    (folder / TEST_LABELS).write_text(content)
    with pytest.raises(ValueError, match=r"must have the columns .* Received: \[\]"):
        read(folder)


def test_a_label_file_without_rows_is_an_error(folder):
    (folder / TEST_LABELS).write_text(TEST_TEXT.splitlines()[0])
    with pytest.raises(ValueError, match=r"Testing Labels\.csv holds no label"):
        read(folder)


def test_a_label_file_that_is_no_text_is_an_error(folder):
    (folder / TEST_LABELS).write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(
        ValueError, match=r"Testing Labels\.csv cannot be read as a CSV"
    ):
        read(folder)


@pytest.mark.parametrize("grade", ["5", "-1", "", "2.0", "mild"])
def test_a_grade_outside_0_to_4_is_an_error_that_names_the_line(folder, grade):
    replace(folder / TRAIN_LABELS, "IDRiD_002,0,", f"IDRiD_002,{grade},")
    with pytest.raises(
        ValueError,
        match=r"line 3: `Retinopathy grade` must be one of 0, 1, 2, 3, 4\. Received: "
        rf"'{grade}'\. Correct this row\.",
    ):
        read(folder)


@pytest.mark.parametrize("edema", ["3", "-1", ""])
def test_an_edema_risk_outside_0_to_2_is_an_error_that_names_the_line(folder, edema):
    replace(folder / TEST_LABELS, "IDRiD_002,1,1", f"IDRiD_002,1,{edema}")
    with pytest.raises(
        ValueError,
        match=r"line 3: `Risk of macular edema` must be one of 0, 1, 2\. Received: "
        rf"'{edema}'\.",
    ):
        read(folder)


def test_a_row_that_ends_early_is_an_error_that_names_the_line(folder):
    replace(folder / TEST_LABELS, "IDRiD_002,1,1", "IDRiD_002,1")
    with pytest.raises(ValueError, match="line 3: `Risk of macular edema` must be"):
        read(folder)


@pytest.mark.parametrize("name", ["IDRiD_001", ""])
def test_a_second_row_for_a_photograph_or_none_is_an_error(folder, name):
    replace(folder / TEST_LABELS, "IDRiD_002,", f"{name},")
    with pytest.raises(
        ValueError, match=f"line 3: each row must name another .* name='{name}'"
    ):
        read(folder)


def test_a_label_without_a_photograph_is_an_error_that_names_it(folder):
    (folder / TRAIN / "IDRiD_002.jpg").unlink()
    with pytest.raises(
        ValueError,
        match=r"without a label: none\. Labels without a photograph: IDRiD_002\.",
    ):
        read(folder)


def test_a_photograph_without_a_label_is_an_error_that_names_it(folder):
    (folder / TEST / "IDRiD_009.jpg").touch()
    with pytest.raises(
        ValueError,
        match=r"without a label: IDRiD_009\. Labels without a photograph: none\.",
    ):
        read(folder)


def test_of_many_photographs_without_a_label_the_first_are_named(folder):
    for number in range(10, 20):
        (folder / TEST / f"IDRiD_{number:03d}.jpg").touch()
    with pytest.raises(ValueError, match=r"IDRiD_010, .*IDRiD_014 and 5 more"):
        read(folder)


def test_two_files_for_one_photograph_are_an_error_that_names_both(folder):
    (folder / TRAIN / "IDRiD_002.png").touch()
    with pytest.raises(ValueError, match=r"IDRiD_002\.jpg and IDRiD_002\.png\. Remove"):
        read(folder)


SEGMENTATION = pathlib.Path("A. Segmentation") / "1. Original Images"


@pytest.fixture
def segmentation(tmp_path):
    """Two photographs and one in the layout of IDRiD's segmentation part."""
    for half, numbers in (("a. Training Set", (1, 2)), ("b. Testing Set", (55,))):
        (tmp_path / SEGMENTATION / half).mkdir(parents=True)
        for number in numbers:
            (tmp_path / SEGMENTATION / half / f"IDRiD_{number:02d}.jpg").touch()
    return tmp_path


def test_segmentation_photographs_have_no_label_and_no_split(segmentation):
    photographs = idrid.idrid_segmentation().read(segmentation)
    assert {one.id: one.path.name for one in photographs} == {
        "idrid_segmentation/train/IDRiD_01": "IDRiD_01.jpg",
        "idrid_segmentation/train/IDRiD_02": "IDRiD_02.jpg",
        "idrid_segmentation/test/IDRiD_55": "IDRiD_55.jpg",
    }
    assert not any(one.labelled or one.split or one.patient for one in photographs)
    assert {one.origin for one in photographs} == {"idrid_segmentation"}


def test_the_segmentation_parts_testing_set_may_be_absent(segmentation):
    shutil.rmtree(segmentation / SEGMENTATION / "b. Testing Set")
    assert len(idrid.idrid_segmentation().read(segmentation)) == 2


@pytest.mark.parametrize("half", ["a. Training Set", "b. Testing Set"])
def test_an_empty_folder_of_the_segmentation_part_is_an_error(segmentation, half):
    for path in (segmentation / SEGMENTATION / half).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=rf"{half} holds no photograph\.") as error:
        idrid.idrid_segmentation().read(segmentation)
    assert "IDRiD_55.jpg ...  (may be absent)" in str(error.value)


def test_without_its_training_set_the_segmentation_part_is_an_error(segmentation):
    shutil.rmtree(segmentation / SEGMENTATION / "a. Training Set")
    with pytest.raises(ValueError, match=r"lacks the folder .*/a\. Training Set\."):
        idrid.idrid_segmentation().read(segmentation)


def test_the_real_segmentation_part_has_54_photographs(real_idrid):
    photographs = idrid.idrid_segmentation(name="seg").read(real_idrid)
    training = [one.id for one in photographs if one.id.startswith("seg/train/")]
    assert training == [f"seg/train/IDRiD_{number:02d}" for number in range(1, 55)]
    with open(real_idrid / "segmentation_to_grading.csv", newline="") as file:
        known = [row[0] for row in csv.reader(file)][1:]
    assert [one.rpartition("/")[2] for one in training] == known
