import collections
import hashlib

import PIL.Image
import pytest

from input_pipeline import fundus
from input_pipeline.datasets import ddr
from tests.input_pipeline.datasets import trees_more

# As published: no header, a blank between name and grade, names of two kinds.
LABELS = {
    "train": "007-0004-000.jpg 0\n007-0007-000.jpg 3\n20170323093305605.jpg 5\n",
    "valid": "007-0010-000.jpg 2\n",
    "test": "007-0012-100.jpg 4\n007-0014-000.jpg 1\n",
}


@pytest.fixture
def folder(tmp_path):
    """Six photographs in DDR's layout; the reader does not look into them."""
    for split, text in LABELS.items():
        (tmp_path / "DR_grading" / split).mkdir(parents=True)
        (tmp_path / "DR_grading" / f"{split}.txt").write_text(text)
        for line in text.splitlines():
            (tmp_path / "DR_grading" / split / line.split()[0]).touch()
    return tmp_path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "ddr"
    trees_more.write_ddr(folder)
    return folder


def read(folder, **settings):
    return ddr.ddr(**settings).read(folder)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_labels_of_all_three_splits_are_read(folder):
    found = {
        one.id: (one.grade, one.gradable, one.split, one.path.name)
        for one in read(folder)
    }
    assert found == {
        "ddr/train/007-0004-000": (0, True, "train", "007-0004-000.jpg"),
        "ddr/train/007-0007-000": (3, True, "train", "007-0007-000.jpg"),
        "ddr/train/20170323093305605": (
            None,
            False,
            "train",
            "20170323093305605.jpg",
        ),
        "ddr/valid/007-0010-000": (2, True, "valid", "007-0010-000.jpg"),
        "ddr/test/007-0012-100": (4, True, "test", "007-0012-100.jpg"),
        "ddr/test/007-0014-000": (1, True, "test", "007-0014-000.jpg"),
    }


def test_what_cannot_be_graded_has_no_label_at_all(folder):
    ungradable = [one for one in read(folder) if not one.gradable]
    assert [one.labelled for one in ungradable] == [False]


def test_another_name_begins_the_ids(folder):
    assert {one.origin for one in read(folder, name="ddr512")} == {"ddr512"}


def test_drawn_photographs_have_the_grades_that_were_asked_for(drawn):
    found = collections.Counter((one.split, one.grade) for one in read(drawn))
    expected = {
        (split, None if grade == 5 else grade): count
        for split, counts in trees_more.DDR_COUNTS.items()
        for grade, count in enumerate(counts)
    }
    assert found == expected
    assert found.total() == 43


def test_drawn_photographs_show_a_retina_and_some_are_cut_to_it(drawn):
    sizes = set()
    for one in read(drawn):
        with PIL.Image.open(one.path) as image:
            sizes.add(image.size)
        fundus.prepare(one.path.read_bytes(), 64)
    widths = {width for width, _ in sizes}
    assert max(widths) == 256
    assert min(widths) < 220


def test_the_same_seed_draws_the_same_files(drawn, tmp_path):
    def contents(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest()
            for path in folder.rglob("*")
            if path.is_file()
        }

    trees_more.write_ddr(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(drawn)
    trees_more.write_ddr(tmp_path / "other", seed=1)
    assert contents(tmp_path / "other") != contents(drawn)


def test_lossless_copies_are_read_in_place_of_the_originals(folder):
    path = folder / "DR_grading" / "valid" / "007-0010-000.jpg"
    path.rename(path.with_suffix(".png"))
    assert "007-0010-000.png" in {one.path.name for one in read(folder)}


def test_blank_lines_tabs_and_a_spreadsheets_marks_are_read(folder):
    text = "\ufeff007-0010-000.jpg\t2\r\n\r\n"
    (folder / "DR_grading" / "valid.txt").write_bytes(text.encode())
    assert len(read(folder)) == 6


@pytest.mark.parametrize(
    "missing",
    ["DR_grading", "DR_grading/valid", "DR_grading/test.txt", "DR_grading/train"],
)
def test_a_missing_part_is_an_error_that_names_it(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(ValueError, match="DDR lacks the f") as error:
        read(folder)
    expected, found = str(error.value).split("Found:")
    assert str(folder / missing) in expected.split("Expected in")[0]
    for line in ddr.TREE.strip().splitlines():
        assert line.strip() in expected
    assert "elsewhere" in found


def test_parts_of_an_archive_are_an_error_that_says_how_to_unpack_them(tmp_path):
    for number in (1, 2, 10):
        (tmp_path / f"DDR-dataset.zip.{number:03d}").touch()
    with pytest.raises(ValueError, match=r"nd unpack .*DDR-dataset\.zip\.001"):
        read(tmp_path)


def test_an_archive_that_is_not_unpacked_is_an_error_that_names_it(tmp_path):
    (tmp_path / "DDR-dataset.zip").touch()
    with pytest.raises(ValueError, match=r"(?s)lacks .*Unpack DDR-dataset\.zip"):
        read(tmp_path)


def test_a_folder_one_level_too_deep_is_an_error_that_shows_it(folder):
    with pytest.raises(ValueError, match=r"lacks the folder .*DR_grading/DR_grading"):
        read(folder / "DR_grading")


@pytest.mark.parametrize("grade", ["6", "-1", "2.0", "mild", "", "2 3"])
def test_an_unknown_grade_is_an_error_that_names_the_line(folder, grade):
    replace(
        folder / "DR_grading" / "train.txt", "0007-000.jpg 3", f"0007-000.jpg {grade}"
    )
    with pytest.raises(
        ValueError,
        match=rf"train\.txt, line 2: `grade` must be one of 0, 1, 2, 3, 4, 5\. "
        rf"Received: '{grade}'\. Correct this row",
    ) as error:
        read(folder)
    assert "train/*.jpg" in str(error.value)


def test_a_name_that_comes_twice_is_an_error_that_names_both_lines(folder):
    replace(folder / "DR_grading" / "train.txt", "007-0007-000.jpg", "007-0004-000.jpg")
    with pytest.raises(
        ValueError, match=r"line 2: each row must name another .* in line 1 too"
    ):
        read(folder)


def test_a_label_without_a_photograph_is_an_error_that_names_it(folder):
    (folder / "DR_grading" / "test" / "007-0014-000.jpg").unlink()
    with pytest.raises(ValueError, match=r"without a photograph: 007-0014-000\. "):
        read(folder)


def test_a_photograph_without_a_label_is_an_error_that_names_it(folder):
    (folder / "DR_grading" / "test" / "new.jpg").touch()
    with pytest.raises(ValueError, match=r"without a label: new\. "):
        read(folder)


def test_photographs_of_another_split_are_an_error(folder):
    train, test = folder / "DR_grading" / "train", folder / "DR_grading" / "test"
    (test / "007-0014-000.jpg").rename(train / "007-0014-000.jpg")
    with pytest.raises(ValueError, match=r"without a label: 007-0014-000"):
        read(folder)


def test_a_folder_without_photographs_is_an_error(folder):
    (folder / "DR_grading" / "valid" / "007-0010-000.jpg").unlink()
    with pytest.raises(ValueError, match="valid holds no photograph"):
        read(folder)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_label_file_without_rows_is_an_error(folder, content):
    (folder / "DR_grading" / "valid.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"valid\.txt holds no label"):
        read(folder)


def test_a_label_file_that_is_no_text_is_an_error(folder):
    (folder / "DR_grading" / "valid.txt").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ValueError, match=r"valid\.txt cannot be read as text"):
        read(folder)
