import collections
import csv

import cv2
import numpy as np
import pytest
from PIL import Image

from input_pipeline.datasets import aptos2019
from tests.input_pipeline.datasets import trees


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trees.write_aptos2019(tmp_path_factory.mktemp("trees") / "aptos2019")


def read(folder, **settings):
    return aptos2019.aptos2019(**settings).read(folder)


def test_every_labelled_photograph_is_read_with_the_grade_of_its_row(folder):
    with open(folder / "train.csv", newline="") as file:
        _, *rows = csv.reader(file)
    found = {one.id: (one.grade, one.path) for one in read(folder)}
    assert found == {
        f"aptos2019/{code}": (int(grade), folder / "train_images" / f"{code}.png")
        for code, grade in rows
    }
    assert len(found) == 42


def test_there_is_no_patient_no_eye_and_no_split(folder):
    known = {(one.patient, one.eye, one.split, one.gradable) for one in read(folder)}
    assert known == {(None, None, None, None)}


def test_photographs_that_are_not_aptos_can_have_a_name_of_their_own(folder):
    assert {one.origin for one in read(folder, name="drawn")} == {"drawn"}


def test_the_unlabelled_test_part_is_left_alone(folder):
    tested = {path.stem for path in (folder / "test_images").iterdir()}
    assert tested
    assert not tested & {one.path.stem for one in read(folder)}


def test_the_drawn_tree_has_the_forms_of_the_published_one(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "test.csv",
        "test_images",
        "train.csv",
        "train_images",
    ]
    lines = (folder / "train.csv").read_text().splitlines()
    assert lines[0] == "id_code,diagnosis"
    assert lines[1:] == sorted(lines[1:])
    sizes = set()
    for path in (folder / "train_images").iterdir():
        assert len(path.stem) == 12
        assert int(path.stem, 16) >= 0
        with Image.open(path) as image:
            assert image.format == "PNG"
            sizes.add(image.size)
    assert sizes == set(trees.APTOS_SIZES)


def test_two_drawn_photographs_come_twice_one_of_them_with_two_grades(folder):
    grades = collections.defaultdict(list)
    for one in read(folder):
        grades[one.path.read_bytes()].append(one.grade)
    twice = sorted(sorted(both) for both in grades.values() if len(both) > 1)
    assert twice == [[2, 2], [2, 3]]


def test_a_seed_draws_the_same_photographs_again_and_another_others(tmp_path):
    few = {"per_grade": 1, "copies": False}
    trees.write_aptos2019(tmp_path / "a", **few)
    trees.write_aptos2019(tmp_path / "b", **few)
    trees.write_aptos2019(tmp_path / "c", **few, seed=1)
    contents = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in "abc"
    ]
    assert contents[0] == contents[1]
    assert not set(contents[0].values()) & set(contents[2].values())


@pytest.mark.parametrize("size", [*trees.APTOS_SIZES, (360, 240), (256, 192)])
@pytest.mark.parametrize("eye", ["left", "right"])
def test_a_drawn_photograph_has_its_size_and_its_disc_on_the_nasal_side(size, eye):
    image = trees.photograph(0, size, np.random.default_rng(5), eye)
    assert image.shape == (size[1], size[0], 3)
    # The disc is by far the brightest part of a healthy retina.
    blurred = cv2.GaussianBlur(image[..., 1], (0, 0), size[0] / 40)
    middle = blurred[size[1] // 4 : -size[1] // 4]
    x = np.unravel_index(middle.argmax(), middle.shape)[1]
    assert (x > size[0] / 2) == (eye == "right")
