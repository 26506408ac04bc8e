import collections
import zipfile

import pytest

from input_pipeline.datasets import deepdrid
from tests.input_pipeline.datasets import trees_more

REGULAR = "regular_fundus_images"
TRAIN = f"{REGULAR}/regular-fundus-training"
VALID = f"{REGULAR}/regular-fundus-validation"
TEST = f"{REGULAR}/Online-Challenge1&2-Evaluation"
TRAIN_LABELS = f"{TRAIN}/regular-fundus-training.csv"

# Rows as published. Of patient 56, two names say the other eye.
HEADER = (
    "patient_id,image_id,image_path,Overall quality,left_eye_DR_Level,"
    "right_eye_DR_Level,patient_DR_Level,Clarity,Field definition,Artifact\n"
)
TRAIN_ROWS = (
    "51,51_l1,\\regular-fundus-training\\51\\51_l1.jpg,0,0,,4,4,6,8\n"
    "51,51_r1,\\regular-fundus-training\\51\\51_r1.jpg,1,,4,4,6,8,4\n"
    "56,56_l1,\\regular-fundus-training\\56\\56_l1.jpg,0,1,,1,8,8,0\n"
    "56,56_r3,\\regular-fundus-training\\56\\56_r3.jpg,0,1,,1,10,8,1\n"
    "56,56_l3,\\regular-fundus-training\\56\\56_l3.jpg,1,,0,1,10,10,0\n"
)
VALID_ROWS = "265,265_l1,\\regular-fundus-validation\\265\\265_l1.jpg,0,3,,4,4,8,10\n"
GRADES = [("347_l1", 4), ("347_r1", 2)]
QUALITY = [("347_r1", 1, 0, 8, 8), ("347_l1", 0, 8, 6, 8)]
QUALITY_HEADER = (
    "image_id",
    "Overall quality",
    "Artifact",
    "Clarity",
    "Field definition",
)


@pytest.fixture
def folder(tmp_path):
    """Eight photographs in DeepDRiD's layout; the reader does not look into them."""
    for part, names in (
        (TRAIN, ("51_l1", "51_r1", "56_l1", "56_r3", "56_l3")),
        (VALID, ("265_l1",)),
        (TEST, ("347_l1", "347_r1")),
    ):
        for name in names:
            patient = tmp_path / part / "Images" / name.split("_")[0]
            patient.mkdir(parents=True, exist_ok=True)
            (patient / f"{name}.jpg").touch()
    (tmp_path / TRAIN_LABELS).write_text(HEADER + TRAIN_ROWS)
    (tmp_path / VALID / "regular-fundus-validation.csv").write_text(HEADER + VALID_ROWS)
    write_grades(tmp_path)
    write_quality(tmp_path)
    return tmp_path


def write_grades(folder, rows=GRADES, header=("image_id", "DR_Levels")):
    path = folder / TEST / "Challenge1_labels.xlsx"
    trees_more.write_spreadsheet(path, header, rows)


def write_quality(folder, rows=QUALITY, header=QUALITY_HEADER):
    path = folder / TEST / "Challenge2_labels.xlsx"
    trees_more.write_spreadsheet(path, header, rows)


def read(folder, **settings):
    return deepdrid.deepdrid(**settings).read(folder)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_each_view_has_its_eyes_grade_its_quality_and_its_patient(folder):
    found = {
        one.id: (one.grade, one.gradable, one.patient, one.eye, one.split)
        for one in read(folder)
    }
    assert found == {
        "deepdrid/train/51_l1": (0, False, "51", "left", "train"),
        "deepdrid/train/51_r1": (4, True, "51", "right", "train"),
        "deepdrid/train/56_l1": (1, False, "56", "left", "train"),
        "deepdrid/train/56_r3": (1, False, "56", "left", "train"),
        "deepdrid/train/56_l3": (0, True, "56", "right", "train"),
        "deepdrid/valid/265_l1": (3, False, "265", "left", "valid"),
        "deepdrid/test/347_l1": (4, False, "347", "left", "test"),
        "deepdrid/test/347_r1": (2, True, "347", "right", "test"),
    }


def test_photographs_lie_in_their_patients_folder(folder):
    paths = {one.id: one.path for one in read(folder, name="deep")}
    assert paths["deep/test/347_l1"] == folder / TEST / "Images/347/347_l1.jpg"
    assert all(path.is_file() for path in paths.values())


def test_grade_5_says_that_a_photograph_cannot_be_graded(folder):
    write_grades(folder, [("347_l1", 4), ("347_r1", 5)])
    found = {one.id: one for one in read(folder)}
    assert found["deepdrid/test/347_r1"].grade is None
    assert found["deepdrid/test/347_r1"].gradable is False


def test_drawn_photographs_are_of_ten_patients_whom_no_split_shares(tmp_path):
    trees_more.write_deepdrid(tmp_path)
    photographs = read(tmp_path)
    splits = collections.defaultdict(set)
    for one in photographs:
        splits[one.patient].add(one.split)
    assert len(photographs) == 40
    assert len(splits) == 10
    assert all(len(found) == 1 for found in splits.values())
    grades = {one.id: (one.grade, one.eye) for one in photographs}
    assert grades["deepdrid/train/4_r2"] == (4, "right")
    assert grades["deepdrid/train/56_r3"] == (1, "left")
    assert grades["deepdrid/test/347_l2"] == (4, "left")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('<c r="B2"><v>3</v></c>', 3),
        ('<c r="B2" t="n"><v>3.0</v></c>', 3),
        ('<c r="B2" t="str"><v>3</v></c>', 3),
        ('<c r="B2" t="inlineStr"><is><t>3</t></is></c>', 3),
    ],
)
def test_a_spreadsheets_cells_are_read_however_they_are_stored(folder, cell, expected):
    path = folder / TEST / "Challenge1_labels.xlsx"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    assert '<c r="B2"><v>4</v></c>' in sheet
    parts["xl/worksheets/sheet1.xml"] = sheet.replace('<c r="B2"><v>4</v></c>', cell)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    assert {one.id: one.grade for one in read(folder)}[
        "deepdrid/test/347_l1"
    ] == expected


@pytest.mark.parametrize(
    "missing",
    [
        REGULAR,
        TRAIN,
        TRAIN_LABELS,
        f"{VALID}/Images",
        f"{TEST}/Challenge1_labels.xlsx",
        f"{TEST}/Challenge2_labels.xlsx",
        f"{TEST}/Images",
    ],
)
def test_a_missing_part_is_an_error_that_names_it(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(ValueError, match="DeepDRiD lacks the f") as error:
        read(folder)
    expected, found = str(error.value).split("Found:")
    assert str(folder / missing) in expected.split("Expected in")[0]
    for line in deepdrid.TREE.strip().splitlines():
        assert line.strip() in expected
    assert "elsewhere" in found


def test_an_archive_that_is_not_unpacked_is_an_error_that_names_it(tmp_path):
    (tmp_path / "DeepDRiD-1.1.zip").touch()
    with pytest.raises(ValueError, match=r"(?s)lacks .*Unpack DeepDRiD-1\.1\.zip"):
        read(tmp_path)


@pytest.mark.parametrize(
    "column", ["image_id", "Overall quality", "left_eye_DR_Level", "right_eye_DR_Level"]
)
def test_a_renamed_column_is_an_error_that_names_both(folder, column):
    replace(folder / TRAIN_LABELS, column, "renamed")
    with pytest.raises(ValueError, match=r"training\.csv must have") as error:
        read(folder)
    assert f"Missing: ['{column}']" in str(error.value)
    assert "'renamed'" in str(error.value)


@pytest.mark.parametrize(
    ("write", "header", "missing"),
    [
        (
            write_grades,
            ("image_id", "DR_Level"),
            r"1_labels.* Missing: \['DR_Levels'\]",
        ),
        (write_quality, ("image_id", "Quality"), r"2_labels.* \['Overall quality'\]"),
    ],
)
def test_a_renamed_column_of_a_spreadsheet_is_an_error(folder, write, header, missing):
    write(folder, header=header)
    with pytest.raises(ValueError, match=missing):
        read(folder)


@pytest.mark.parametrize("content", [b"", b"image_id,DR_Levels\n347_l1,4\n"])
def test_a_spreadsheet_that_is_none_is_an_error(folder, content):
    (folder / TEST / "Challenge1_labels.xlsx").write_bytes(content)
    with pytest.raises(ValueError, match=r"1_labels\.xlsx cannot be read as an Excel"):
        read(folder)


def test_another_archive_in_a_spreadsheets_place_is_an_error(folder):
    with zipfile.ZipFile(folder / TEST / "Challenge1_labels.xlsx", "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    with pytest.raises(ValueError, match=r"1_labels\.xlsx cannot be read as an Excel"):
        read(folder)


def test_a_spreadsheet_without_rows_is_an_error(folder):
    write_grades(folder, rows=[])
    with pytest.raises(ValueError, match=r"1_labels\.xlsx holds no label"):
        read(folder)


@pytest.mark.parametrize("grade", ["6", "-1", "2.0", "mild"])
def test_an_unknown_grade_is_an_error_that_names_the_line(folder, grade):
    replace(folder / TRAIN_LABELS, "r1.jpg,1,,4,", f"r1.jpg,1,,{grade},")
    with pytest.raises(
        ValueError,
        match=rf"training\.csv, line 3: `right_eye_DR_Level` must be one of "
        rf"0, 1, 2, 3, 4, 5\. Received: '{grade}'",
    ):
        read(folder)


def test_an_unknown_grade_in_a_spreadsheet_is_an_error_that_names_the_row(folder):
    write_grades(folder, [("347_l1", 4), ("347_r1", 7)])
    with pytest.raises(ValueError, match=r"1_labels\.xlsx, line 3: `DR_Levels` must"):
        read(folder)


@pytest.mark.parametrize("grades", [",", "2,3"])
def test_a_row_without_a_grade_or_with_two_is_an_error(folder, grades):
    replace(folder / TRAIN_LABELS, "r1.jpg,1,,4,", f"r1.jpg,1,{grades},")
    with pytest.raises(ValueError, match="line 3: either `left_eye_DR_Level` or"):
        read(folder)


def test_an_unknown_quality_is_an_error_that_names_the_line(folder):
    replace(folder / TRAIN_LABELS, "r1.jpg,1,,4,", "r1.jpg,good,,4,")
    with pytest.raises(
        ValueError, match="line 3: `Overall quality` must be one of 0, 1"
    ):
        read(folder)


def test_a_name_that_says_no_patient_is_an_error(folder):
    patient = folder / TEST / "Images" / "347"
    (patient / "347_l1.jpg").rename(patient / "scan.jpg")
    write_grades(folder, [("scan", 4), ("347_r1", 2)])
    write_quality(folder, [("scan", 1), ("347_r1", 1)])
    with pytest.raises(
        ValueError, match=r"line 2: `image_id` must say patient.*'scan'"
    ):
        read(folder)


def test_a_name_that_comes_twice_is_an_error_that_names_both_lines(folder):
    replace(folder / TRAIN_LABELS, "51,51_r1,", "51,51_l1,")
    with pytest.raises(ValueError, match=r"line 3: each row must .* in line 2 too"):
        read(folder)


def test_one_photograph_in_two_patients_folders_is_an_error(folder):
    (folder / TRAIN / "Images" / "56" / "51_l1.jpg").touch()
    with pytest.raises(ValueError, match=r"51_l1\.jpg and .*51_l1\.jpg have one name"):
        read(folder)


def test_a_label_without_a_photograph_is_an_error_that_names_it(folder):
    (folder / TRAIN / "Images" / "51" / "51_r1.jpg").unlink()
    with pytest.raises(ValueError, match=r"without a photograph: 51_r1\. "):
        read(folder)


def test_a_photograph_without_a_label_is_an_error_that_names_it(folder):
    (folder / VALID / "Images" / "265" / "265_l2.jpg").touch()
    with pytest.raises(ValueError, match=r"without a label: 265_l2\. "):
        read(folder)


def test_a_test_photograph_without_quality_is_an_error_that_names_it(folder):
    write_quality(folder, rows=QUALITY[:1])
    with pytest.raises(ValueError, match=r"2_labels.* without a label: 347_l1\. "):
        read(folder)


def test_a_patient_without_photographs_is_an_error(folder):
    (folder / VALID / "Images" / "999").mkdir()
    with pytest.raises(ValueError, match="999 holds no photograph"):
        read(folder)


def test_a_set_without_patients_is_an_error(folder):
    (folder / VALID / "Images" / "265" / "265_l1.jpg").unlink()
    (folder / VALID / "Images" / "265").rmdir()
    with pytest.raises(ValueError, match="Images holds no patient's folder"):
        read(folder)


def test_ultra_widefield_photographs_in_their_place_are_an_error(folder):
    (folder / TRAIN).rename(folder / REGULAR / "ultra-widefield-training")
    with pytest.raises(ValueError, match=r"lacks the folder .*regular-fundus-training"):
        read(folder)
