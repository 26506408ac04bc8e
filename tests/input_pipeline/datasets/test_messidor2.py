import collections
import csv

import pytest
from PIL import Image

from input_pipeline.datasets import messidor2
from tests.input_pipeline.datasets import trees


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trees.write_messidor2(tmp_path_factory.mktemp("trees") / "messidor2")


@pytest.fixture
def few(tmp_path):
    """Two examinations, with the quirks of the published files."""
    (tmp_path / "IMAGES").mkdir()
    for name in ("20051020_43808_0100_PP.png", "20051020_43832_0100_PP.png"):
        (tmp_path / "IMAGES" / name).touch()
    for name in ("IM000012.JPG", "IM000013.JPG"):
        (tmp_path / "IMAGES" / name).touch()
    (tmp_path / "messidor_data.csv").write_text(
        "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable\n"
        "20051020_43808_0100_PP.png,0,0,1\n"
        "20051020_43832_0100_PP.png,3,1,1\n"
        "IM000012.jpg,,,0\n"
        "IM000013.jpg,4,0,1\n"
    )
    (tmp_path / "messidor-2.csv").write_text(
        "left;right \n"
        "20051020_43832_0100_PP.png;20051020_43808_0100_PP.png\n"
        "IM000013.JPG;IM000012.JPG\n"
    )
    return tmp_path


def read(folder, **settings):
    return messidor2.messidor2(**settings).read(folder)


def test_grades_and_eyes_are_read_although_extensions_differ(few):
    left, other = "20051020_43832_0100_PP", "20051020_43808_0100_PP"
    found = {
        one.id: (one.path.name, one.grade, one.gradable, one.patient, one.eye)
        for one in read(few)
    }
    assert found == {
        f"messidor2/{other}": (f"{other}.png", 0, True, left, "right"),
        f"messidor2/{left}": (f"{left}.png", 3, True, left, "left"),
        "messidor2/IM000012": ("IM000012.JPG", None, False, "IM000013", "right"),
        "messidor2/IM000013": ("IM000013.JPG", 4, True, "IM000013", "left"),
    }


def test_what_cannot_be_graded_is_not_labelled(few):
    assert {one.path.stem: one.labelled for one in read(few)}["IM000012"] is False


def test_referable_edema_is_no_risk_of_edema(few):
    assert {one.macular_edema for one in read(few)} == {None}


def test_there_is_no_official_split(few):
    assert {one.split for one in read(few)} == {None}


def test_without_pairs_neither_patient_nor_eye_is_known(few):
    (few / "messidor-2.csv").unlink()
    photographs = read(few, with_pairs=False)
    assert {(one.patient, one.eye) for one in photographs} == {(None, None)}
    assert len(photographs) == 4


def test_without_pairs_their_file_is_not_read(few):
    (few / "messidor-2.csv").write_text("damaged")
    assert {one.patient for one in read(few, with_pairs=False)} == {None}


def test_a_blank_row_in_the_pairs_file_is_no_pair(few):
    with open(few / "messidor-2.csv", "a") as file:
        file.write(";\n")
    assert len({one.patient for one in read(few)}) == 2


def test_photographs_that_are_not_messidors_can_have_a_name_of_their_own(few):
    assert {one.origin for one in read(few, name="drawn")} == {"drawn"}


def test_the_drawn_tree_is_read_with_the_labels_of_its_rows(folder):
    photographs = {one.path.stem: one for one in read(folder)}
    with open(folder / "messidor_data.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        one = photographs.pop(row["image_id"].split(".")[0])
        grade = row["adjudicated_dr_grade"]
        assert one.grade == (int(grade) if grade else None)
        assert one.gradable == (row["adjudicated_gradable"] == "1")
    assert not photographs
    assert [row["adjudicated_gradable"] for row in rows].count("0") == 2


def test_the_drawn_tree_has_two_eyes_an_examination(folder):
    eyes = collections.defaultdict(list)
    for one in read(folder):
        eyes[one.patient].append(one.eye)
    assert len(eyes) == 20
    assert all(sorted(both) == ["left", "right"] for both in eyes.values())


def test_the_drawn_tree_has_the_forms_of_the_published_one(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "IMAGES",
        "messidor-2.csv",
        "messidor_data.csv",
    ]
    assert (folder / "messidor-2.csv").read_text().startswith("left;right \n")
    formats, sizes = collections.Counter(), set()
    for path in (folder / "IMAGES").iterdir():
        with Image.open(path) as image:
            formats[path.suffix, image.format] += 1
            sizes.add(image.size)
    assert formats == {(".png", "PNG"): 24, (".JPG", "JPEG"): 16}
    assert sizes == set(trees.MESSIDOR_SIZES)
    text = (folder / "messidor_data.csv").read_text()
    assert text.count(".jpg,") == 16
    assert ".JPG" not in text
