import collections
import csv
import pathlib
import re

import cv2
import gin
import numpy as np
import PIL.Image
import pytest

from configs import loader
from input_pipeline.datasets import class_folders
from tests.input_pipeline.datasets import trees_more

CONFIG = pathlib.Path(__file__).parents[3] / "configs/datasets/class_folders.gin"
ANY_DR = {"DR": True, "No_DR": False}
GRADES = {"No_DR": 0, "Mild": 1, "Moderate": 2, "Severe": 3, "Proliferate_DR": 4}
FILES = (
    "train/DR/0124dffecf29_png.rf.1a2b.jpg",
    "train/DR/0124dffecf29_png.rf.3c4d.jpg",
    "train/No_DR/002c21358ce6_png.rf.5e6f.jpg",
    "valid/DR/0083ee8054ee_png.rf.7081.jpg",
    "valid/No_DR/005b95c28852_png.rf.92a3.jpg",
    "test/DR/00a8624548a9_png.rf.b4c5.jpg",
    "test/No_DR/00cb6555d108_png.rf.d6e7.jpg",
)


@pytest.fixture
def folder(tmp_path):
    """Seven photographs as Kaggle's set names them; the reader does not open them."""
    return touch(tmp_path, *FILES)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def read(folder, **settings):
    return class_folders.class_folders(**(settings or {"any_dr": ANY_DR})).read(folder)


def test_folders_say_split_and_disease_and_no_grade(folder):
    found = {one.id: (one.any_dr, one.grade, one.split) for one in read(folder)}
    assert found == {
        "folders/train/DR/0124dffecf29_png.rf.1a2b": (True, None, "train"),
        "folders/train/DR/0124dffecf29_png.rf.3c4d": (True, None, "train"),
        "folders/train/No_DR/002c21358ce6_png.rf.5e6f": (False, None, "train"),
        "folders/valid/DR/0083ee8054ee_png.rf.7081": (True, None, "valid"),
        "folders/valid/No_DR/005b95c28852_png.rf.92a3": (False, None, "valid"),
        "folders/test/DR/00a8624548a9_png.rf.b4c5": (True, None, "test"),
        "folders/test/No_DR/00cb6555d108_png.rf.d6e7": (False, None, "test"),
    }
    assert all(one.path.is_file() for one in read(folder))


def test_class_folders_alone_have_no_split_and_may_be_grades(tmp_path):
    touch(tmp_path, *(f"{name}/{name}_1.png" for name in GRADES), "export.pkl")
    photographs = read(tmp_path, grades=GRADES, name="gaussian")
    assert {one.id: (one.grade, one.any_dr, one.split) for one in photographs} == {
        "gaussian/No_DR/No_DR_1": (0, False, None),
        "gaussian/Mild/Mild_1": (1, True, None),
        "gaussian/Moderate/Moderate_1": (2, True, None),
        "gaussian/Severe/Severe_1": (3, True, None),
        "gaussian/Proliferate_DR/Proliferate_DR_1": (4, True, None),
    }


def test_val_is_the_validation_set_and_numbers_are_class_names_too(tmp_path):
    touch(tmp_path, "train/0/a.jpg", "train/4/b.jpg", "val/0/c.jpg", "val/4/d.jpg")
    photographs = read(tmp_path, grades={"0": 0, "4": 4})
    assert [(one.id, one.grade, one.split) for one in photographs] == [
        ("folders/train/0/a", 0, "train"),
        ("folders/train/4/b", 4, "train"),
        ("folders/valid/0/c", 0, "valid"),
        ("folders/valid/4/d", 4, "valid"),
    ]


def test_valid_and_test_may_be_absent_and_a_class_in_one_split(tmp_path):
    touch(tmp_path, "train/DR/a.jpg", "train/No_DR/b.jpg", "test/DR/c.jpg")
    assert {one.split for one in read(tmp_path)} == {"train", "test"}


def test_one_photograph_in_two_classes_stays_twice_under_two_ids(folder):
    touch(folder, "train/No_DR/0124dffecf29_png.rf.1a2b.jpg")
    found = {one.id: one.any_dr for one in read(folder)}
    assert found["folders/train/DR/0124dffecf29_png.rf.1a2b"] is True
    assert found["folders/train/No_DR/0124dffecf29_png.rf.1a2b"] is False
    assert len(found) == 8


def test_what_systems_and_exports_leave_behind_is_no_class(folder):
    touch(folder, "README.roboflow.txt", "__MACOSX/x", ".cache/y", "train/.DS_Store")
    assert len(read(folder)) == 7


def test_the_shipped_config_maps_the_kaggle_set(folder):
    lines = CONFIG.read_text().splitlines()
    mapping = [line for line in lines if line.startswith("class_folders.")]
    gin.parse_config(mapping)
    made = gin.get_configurable(class_folders.class_folders)()
    assert made.read(folder) == read(folder)


def test_strict_configs_take_both_mappings_and_no_other_types():
    for line in ("grades = {'No_DR': 0, 'Mild': 1}", "any_dr = {'DR': True}"):
        loader.load([], [f"class_folders.{line}"], [], ["class_folders"])
    with pytest.raises(ValueError, match="of type"):
        loader.load([], ["class_folders.any_dr = {'DR': 'yes'}"], [], ["class_folders"])


def test_drawn_photographs_are_a_squashed_re_export(tmp_path):
    trees_more.write_class_folders(tmp_path)
    photographs = read(tmp_path)
    found = collections.Counter((one.split, one.any_dr) for one in photographs)
    assert found == {
        ("train", True): 12,
        ("train", False): 12,
        ("valid", True): 5,
        ("valid", False): 5,
        ("test", True): 4,
        ("test", False): 4,
    }
    sources = collections.defaultdict(list)
    for one in photographs:
        with PIL.Image.open(one.path) as image:
            assert image.size == (224, 224)
        source, marker, digest = one.path.name.partition("_png.rf.")
        assert len(source) == 12
        assert marker
        assert len(digest) == 32 + len(".jpg")
        sources[source].append(one.split)
    versions = collections.Counter(tuple(sorted(splits)) for splits in sources.values())
    assert versions[("train", "train", "train")] == 4
    assert versions[("train", "valid")] == 2


def test_an_aptos_folder_can_be_re_exported(tmp_path):
    (tmp_path / "aptos" / "train_images").mkdir(parents=True)
    rows = [(f"{number:012x}", number % 3) for number in range(8)]
    with open(tmp_path / "aptos" / "train.csv", "w", newline="") as file:
        csv.writer(file).writerows([("id_code", "diagnosis"), *rows])
    for number, (name, _) in enumerate(rows):
        pixels = np.full((30, 40, 3), 20 * number, np.uint8)
        cv2.imwrite(str(tmp_path / "aptos" / "train_images" / f"{name}.png"), pixels)
    trees_more.write_class_folders(tmp_path / "folders", aptos=tmp_path / "aptos")
    photographs = read(tmp_path / "folders")
    found = {one.path.name[:12]: one.any_dr for one in photographs}
    assert found == {name: grade > 0 for name, grade in rows}
    path = next(one.path for one in photographs if one.path.name.startswith(rows[7][0]))
    with PIL.Image.open(path) as image:
        assert np.abs(np.asarray(image, int) - 140).max() <= 2


@pytest.mark.parametrize(
    "settings", [{}, {"grades": {"DR": 1, "No_DR": 0}, "any_dr": ANY_DR}]
)
def test_one_of_the_two_mappings_must_be_given(settings):
    with pytest.raises(ValueError, match="either `grades` or `any_dr`"):
        class_folders.class_folders(**settings)


@pytest.mark.parametrize(
    ("grades", "message"),
    [
        # The order of the alphabet, which data loaders use.
        ({"DR": 0, "No_DR": 1}, "maps 'DR' to 0, but it says only"),
        ({"No_DR": 1, "Mild": 0}, "maps 'No_DR' to 1. By its name it is 0"),
        (
            {"Mild": 0, "Moderate": 1, "No_DR": 2, "Proliferate_DR": 3, "Severe": 4},
            "maps 'Mild' to 0. By its name it is 1",
        ),
        ({"normal": 0, "PDR": 3}, "maps 'PDR' to 3. By its name it is 4"),
        ({"healthy": 0, "severe npdr": 4}, "'severe npdr' to 4. By its name it is 3"),
        ({"a": 0, "b": 5}, "Received: 'b': 5"),
        ({"a": 0, "b": True}, "Received: 'b': True"),
        ({"a": 2, "b": 2}, "must tell classes apart"),
        ({}, "must tell classes apart"),
    ],
)
def test_grades_that_contradict_the_names_are_refused(grades, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        class_folders.class_folders(grades=grades)


@pytest.mark.parametrize(
    ("any_dr", "message"),
    [
        ({"DR": False, "No_DR": True}, "maps 'DR' to False. By its name it is True"),
        ({"a": False, "No_DR": True}, "maps 'No_DR' to True. By its name it is False"),
        ({"a": False, "NoDR": True}, "maps 'NoDR' to True"),
        ({"a": False, "Normal": True}, "maps 'Normal' to True"),
        ({"Mild": False, "a": True}, "maps 'Mild' to False"),
        ({"DR": True, "No_DR": 0}, "Received: 'No_DR': 0"),
        ({"a": True, "b": True}, "must tell classes apart"),
    ],
)
def test_disease_that_contradicts_the_names_is_refused(any_dr, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        class_folders.class_folders(any_dr=any_dr)


@pytest.mark.parametrize(
    "grades",
    [
        {"0": 0, "1": 1, "2": 2},
        {"none": 0, "mild NPDR": 1, "Non-Proliferative": 2},
        {"Healthy": 0, "Severe DR": 3, "Proliferative DR": 4},
    ],
)
def test_names_that_agree_or_do_not_say_are_accepted(grades):
    assert class_folders.class_folders(grades=grades).name == "folders"


def test_an_unmapped_folder_is_an_error_that_shows_the_mapping_to_write(folder):
    touch(folder, "test/Mild/x.jpg")
    with pytest.raises(
        ValueError, match=r"without a meaning: \['Mild'\]\. Mapped but not there: \[\]"
    ) as error:
        read(folder)
    mapping = "class_folders.any_dr = {'DR': True, 'Mild': True, 'No_DR': False}"
    assert mapping in str(error.value)
    assert "train/<class>/*.jpg" in str(error.value)


def test_a_mapped_class_without_a_folder_is_an_error_that_names_it(tmp_path):
    touch(tmp_path, "train/No_DR/a.jpg", "train/Mild/b.jpg")
    with pytest.raises(ValueError, match=r"not there: \['Severe'\]") as error:
        read(tmp_path, grades={"No_DR": 0, "Mild": 1, "Severe": 3})
    assert "class_folders.grades = {'Mild': 1, 'No_DR': 0}" in str(error.value)


def test_of_names_that_say_nothing_the_meaning_is_left_open(tmp_path):
    touch(tmp_path, "train/a/a.jpg", "train/No_DR/b.jpg")
    with pytest.raises(ValueError, match=r"any_dr = \{'No_DR': False, 'a': \.\.\.\}"):
        read(tmp_path)


def test_a_folder_one_level_too_high_is_an_error_that_shows_what_is_in_it(tmp_path):
    touch(tmp_path, *(f"gaussian_filtered_images/{one}/a.png" for one in GRADES))
    inner = tmp_path / "gaussian_filtered_images"
    question = rf"Did you mean --data_dir={re.escape(str(inner))}\?"
    with pytest.raises(ValueError, match=question) as error:
        read(tmp_path, grades=GRADES)
    assert "gaussian_filtered_images/  (5 entries: Mild" in str(error.value)
    with pytest.raises(ValueError, match=question):
        read(inner / "Mild", grades=GRADES)


def test_class_folders_beside_split_folders_are_an_error(folder):
    touch(folder, "DR/x.jpg")
    with pytest.raises(ValueError, match=r"Two layouts are mixed .* others \['DR'\]"):
        read(folder)


def test_val_and_valid_together_are_an_error(folder):
    touch(folder, "val/DR/x.jpg")
    with pytest.raises(ValueError, match="has both valid and val"):
        read(folder)


def test_a_set_without_training_photographs_is_an_error_with_a_way_out(folder):
    (folder / "train").rename(folder.parent / f"{folder.name}_train")
    with pytest.raises(ValueError, match=r"no folder train.*point --data_dir"):
        read(folder)


@pytest.mark.parametrize("name", ["x.jpg", "train/x.PNG"])
def test_photographs_outside_of_a_class_are_an_error(folder, name):
    touch(folder, name)
    with pytest.raises(ValueError, match=r"holds 1 photographs beside .* x\.(jpg|PNG)"):
        read(folder)


def test_a_folder_inside_of_a_class_is_an_error(folder):
    touch(folder, "train/DR/more/x.jpg")
    with pytest.raises(ValueError, match=r"DR must hold photographs and no folder"):
        read(folder)


def test_two_files_of_one_name_are_an_error(folder):
    touch(folder, "test/DR/00a8624548a9_png.rf.b4c5.png")
    with pytest.raises(ValueError, match=r"b4c5\.jpg and .*b4c5\.png\. Remove one"):
        read(folder)


@pytest.mark.parametrize("empty", ["train/DR", "valid", ""])
def test_an_empty_folder_is_an_error_that_names_it(folder, empty):
    for path in sorted((folder / empty).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(ValueError, match=rf"{empty} holds no (photograph|folder)"):
        read(folder)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"lacks the folder .*absent") as error:
        read(tmp_path / "absent")
    assert "does not exist" in str(error.value)


def test_an_archive_that_is_not_unpacked_is_an_error_that_names_it(tmp_path):
    (tmp_path / "archive.zip").touch()
    with pytest.raises(ValueError, match=r"(?s)holds no folder.*npack archive\.zip"):
        read(tmp_path)
