import pathlib

import pytest

from input_pipeline import photograph, renamed

HASH = "0123456789abcdef0123456789abcdef"


def named(paths):
    return [
        photograph.Photograph(id=f"{origin}/{path}", path=pathlib.Path(path), grade=0)
        for origin, path in paths
    ]


ONE, TWO = "0" * 31 + "1", "0" * 31 + "2"


def test_re_exports_are_known_by_their_names():
    photographs = named(
        [
            ("aptos2019", "train_images/000c1434d8d7.png"),
            ("folders", f"train/DR/000c1434d8d7_png.rf.{ONE}.jpg"),
            ("folders", f"test/DR/000c1434d8d7_png.rf.{TWO}.jpg"),
            ("folders", f"test/DR/001639a390f0_png.rf.{TWO}.jpg"),
        ]
    )
    ids = [one.id for one in photographs]
    assert sorted(renamed.pairs(photographs)) == sorted(
        [(ids[0], ids[1]), (ids[0], ids[2])]
    )


def test_a_name_that_two_photographs_have_says_nothing_of_a_re_export():
    photographs = named(
        [
            ("idrid", "train/IDRiD_001.jpg"),
            ("idrid", "test/IDRiD_001.jpg"),
            ("folders", f"IDRiD_001_jpg.rf.{ONE}.jpg"),
        ]
    )
    assert renamed.pairs(photographs) == []


def test_an_aptos_code_names_the_same_picture_in_every_dataset():
    photographs = named(
        [
            ("aptos2019", "train_images/000c1434d8d7.png"),
            ("filtered", "No_DR/000c1434d8d7.png"),
            ("folders", f"test/DR/000c1434d8d7_png.rf.{ONE}.jpg"),
            ("others", f"train/DR/000c1434d8d7_png.rf.{TWO}.jpg"),
        ]
    )
    first, *others = [one.id for one in photographs]
    assert sorted(renamed.pairs(photographs)) == [(first, one) for one in others]


@pytest.mark.parametrize(
    "paths",
    [
        [("a", "IDRiD_001.jpg"), ("b", "IDRiD_001.jpg")],
        [("a", "202311211559.jpg"), ("b", "202311211559.jpg")],  # a time
        [("a", "left/a1b2c3d4e5f6.jpg"), ("a", "right/a1b2c3d4e5f6.jpg")],  # a patient
        [("a", "left/000c1434d8d7.jpg"), ("a", "right/000c1434d8d7.jpg"), ("b", "1")],
    ],
)
def test_other_names_that_are_alike_say_nothing(paths):
    assert renamed.pairs(named(paths)) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (f"000c1434d8d7_png.rf.{HASH}.jpg", "000c1434d8d7"),
        (f"IMG_20_jpg.rf.{HASH}.jpg", "IMG_20"),
        (f"10_left_jpeg.rf.{HASH}.jpg", "10_left"),
        (f"a_png_png.rf.{HASH}.jpg", "a_png"),
        ("000c1434d8d7.png", None),
        (f"000c1434d8d7_png.rf.{HASH[:-1]}.jpg", None),
        (f"000c1434d8d7_bmp.rf.{HASH}.jpg", None),
        (f"_png.rf.{HASH}.jpg", None),
        (f"000c1434d8d7_png.rf.{HASH}.jpg.txt", None),
    ],
)
def test_a_roboflow_name_tells_its_source(name, source):
    assert renamed.roboflow_source(name) == source
