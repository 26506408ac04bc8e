import collections
import csv
import shutil

import pytest
from PIL import Image

from input_pipeline.datasets import eyepacs
from tests.input_pipeline.datasets import trees


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trees.write_eyepacs(tmp_path_factory.mktemp("trees") / "eyepacs")


@pytest.fixture
def few(tmp_path):
    """Five photographs, in an order that is not theirs by name."""
    (tmp_path / "trainLabels.csv").write_text(
        "image,level\n10_left,0\n10_right,4\n9_right,2\n"
    )
    (tmp_path / "retinopathy_solution.csv").write_text(
        "image,level,Usage\n1_left,1,Private\n2_right,3,Public\n"
    )
    for path in ("train/10_left", "train/10_right", "train/9_right"):
        (tmp_path / f"{path}.jpeg").parent.mkdir(exist_ok=True)
        (tmp_path / f"{path}.jpeg").touch()
    for path in ("test/1_left", "test/2_right"):
        (tmp_path / f"{path}.jpeg").parent.mkdir(exist_ok=True)
        (tmp_path / f"{path}.jpeg").touch()
    return tmp_path


def read(folder, **settings):
    return eyepacs.eyepacs(**settings).read(folder)


def test_patient_and_eye_are_of_the_name_and_the_split_of_the_usage(few):
    found = {
        one.id: (one.path.name, one.grade, one.patient, one.eye, one.split)
        for one in read(few)
    }
    assert found == {
        "eyepacs/train/10_left": ("10_left.jpeg", 0, "10", "left", "train"),
        "eyepacs/train/10_right": ("10_right.jpeg", 4, "10", "right", "train"),
        "eyepacs/train/9_right": ("9_right.jpeg", 2, "9", "right", "train"),
        "eyepacs/test/1_left": ("1_left.jpeg", 1, "1", "left", "test"),
        "eyepacs/test/2_right": ("2_right.jpeg", 3, "2", "right", "valid"),
    }


def test_without_the_test_half_its_files_need_not_be_there(few):
    (few / "retinopathy_solution.csv").unlink()
    shutil.rmtree(few / "test")
    assert {one.split for one in read(few, with_test=False)} == {"train"}


def test_without_the_test_half_its_files_are_not_read(few):
    (few / "retinopathy_solution.csv").write_text("damaged")
    assert len(read(few, with_test=False)) == 3


def test_photographs_that_are_not_eyepacs_can_have_a_name_of_their_own(few):
    assert {one.origin for one in read(few, name="drawn")} == {"drawn"}


def test_the_drawn_tree_is_read_with_the_labels_of_its_rows(folder):
    photographs = {(one.path.parent.name, one.path.stem): one for one in read(folder)}
    for half, label_file in (
        ("train", "trainLabels.csv"),
        ("test", "retinopathy_solution.csv"),
    ):
        with open(folder / label_file, newline="") as file:
            for row in csv.DictReader(file):
                one = photographs.pop((half, row["image"]))
                assert one.grade == int(row["level"])
                usage = row.get("Usage")
                assert one.split == {"Public": "valid", "Private": "test"}.get(
                    usage, "train"
                )
    assert not photographs


def test_the_drawn_tree_has_two_eyes_a_patient_who_is_in_one_split(folder):
    photographs = read(folder)
    eyes, splits = collections.defaultdict(list), collections.defaultdict(set)
    for one in photographs:
        eyes[one.patient].append(one.eye)
        splits[one.patient].add(one.split)
    assert all(sorted(both) == ["left", "right"] for both in eyes.values())
    assert all(len(one) == 1 for one in splits.values())
    assert collections.Counter(one.split for one in photographs) == {
        "train": 40,
        "valid": 4,
        "test": 12,
    }
    training = collections.Counter(
        one.grade for one in photographs if one.split == "train"
    )
    assert min(training[grade] for grade in range(5)) >= 5


def test_the_drawn_tree_has_the_forms_of_the_published_one(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "retinopathy_solution.csv",
        "test",
        "train",
        "trainLabels.csv",
    ]
    sizes = set()
    for half in ("train", "test"):
        for path in (folder / half).iterdir():
            assert path.suffix == ".jpeg"
            with Image.open(path) as image:
                assert image.format == "JPEG"
                sizes.add(image.size)
    assert sizes == set(trees.EYEPACS_SIZES)


def test_half_a_tree_can_be_drawn(tmp_path):
    folder = tmp_path / "eyepacs"
    trees.write_eyepacs(folder, train_patients=1, test_patients=0)
    assert sorted(path.name for path in folder.iterdir()) == [
        "train",
        "trainLabels.csv",
    ]
    assert len(read(folder, with_test=False)) == 2
