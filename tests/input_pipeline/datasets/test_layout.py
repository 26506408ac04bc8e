import dataclasses
import re

import pytest

from input_pipeline.datasets import layout as layouts

TREE = "\nlabels.csv    name,grade\nimages/       1.jpg ...\n"


@pytest.fixture
def layout(tmp_path):
    return layouts.Layout("Twelve Eyes", TREE, tmp_path)


def write(layout, text, name="labels.csv"):
    path = layout.data_dir / name
    path.write_bytes(text.encode())
    return path


def images(layout, *names):
    folder = layout.data_dir / "images"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def test_an_error_shows_the_tree_and_what_is_there(layout):
    images(layout, "7.jpg")
    assert str(layout.error("Something is wrong.")).splitlines() == [
        "Something is wrong.",
        f"Expected in {layout.data_dir}:",
        "  labels.csv    name,grade",
        "  images/       1.jpg ...",
        "Found:",
        f"  {layout.data_dir}/",
        "    images/  (1 entries: 7.jpg)",
    ]


def test_an_error_says_how_to_unpack_the_parts_of_an_archive(layout):
    for name in ("eyes.zip.002", "eyes.zip.001", "eyes.zip.txt"):
        write(layout, "", name)
    message = str(layout.error("Something is wrong."))
    assert message.startswith(
        "Something is wrong. Join and unpack eyes.zip.001, eyes.zip.002 first, as "
        "`7z x eyes.zip.001` does.\n"
    )


def test_folders_and_files_that_are_there_are_paths(layout):
    folder = images(layout)
    path = write(layout, "", "images/one.txt")
    assert layout.folder("images") == folder
    assert layout.folder() == layout.data_dir
    assert layout.file("images", "one.txt") == path


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_first_that_is_missing_is_named(layout, kind):
    images(layout)
    missing = layout.data_dir / "images" / "a"
    message = (
        rf"^Twelve Eyes lacks the folder {re.escape(str(missing))}\.\nExpected in "
    )
    with pytest.raises(ValueError, match=message):
        getattr(layout, kind)("images", "a", "b", "c")


@pytest.mark.parametrize("named", ["..", "../..", "my images", "my images/deeper"])
def test_a_folder_too_high_or_too_low_is_answered_with_the_right_one(layout, named):
    home = layout.data_dir / "one" / "home"
    (home / "my images" / "deeper").mkdir(parents=True)
    (home / "labels.csv").touch()
    there = dataclasses.replace(layout, data_dir=home)
    assert there.file("labels.csv")
    wrong = dataclasses.replace(layout, data_dir=(home / named).resolve())
    question = rf"lacks the .*\. Did you mean --data_dir={re.escape(str(home))}\?\n"
    with pytest.raises(ValueError, match=question):
        wrong.file("labels.csv")
    with pytest.raises(ValueError, match=question):
        wrong.folder("my images", "deeper")


def test_the_right_folder_is_quoted_for_a_shell(layout):
    (layout.data_dir / "my eyes" / "images").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"mean --data_dir='/.*/my eyes'\?"):
        layout.folder("images")


def test_a_folder_is_no_file_and_a_file_no_folder(layout):
    images(layout)
    write(layout, "")
    with pytest.raises(ValueError, match=r"lacks the file .*images\."):
        layout.file("images")
    with pytest.raises(ValueError, match=r"lacks the folder .*labels\.csv\."):
        layout.folder("labels.csv")


def test_a_table_has_the_cells_of_known_columns_by_line(layout):
    path = write(layout, 'note,grade,name\nx, 2 ,1\n,,\n"a, b",0," 2 "\n,3\n')
    rows = layout.table(path, ("name", "grade"))
    assert [(row.line, dict(row.cells)) for row in rows] == [
        (2, {"name": "1", "grade": "2"}),
        (4, {"name": "2", "grade": "0"}),
        (5, {"name": "", "grade": "3"}),
    ]
    assert rows[0]["grade"] == "2"


def test_an_optional_column_is_read_where_it_is(layout):
    path = write(layout, "name,eye\n1,left\n")
    rows = layout.table(path, ("name",), optional=("eye", "patient"))
    assert dict(rows[0].cells) == {"name": "1", "eye": "left"}


def test_what_spreadsheets_write_is_read(layout):
    path = write(layout, "\ufeffname ; grade\r\n1;2\r\n;\r\n")
    rows = layout.table(path, ("name", "grade"), delimiter=";")
    assert [dict(row.cells) for row in rows] == [{"name": "1", "grade": "2"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must have the columns \['name', 'grade'\]\. Missing: .* Received: \[\]"),
        ("name,Grade\n1,2\n", r"Missing: \['grade'\]\. Received: \['name', 'Grade'\]"),
        ("name;grade\n1;2\n", r"Received: \['name;grade'\]"),
        ("name,grade\n,\n", r"labels\.csv holds no label\. Restore it"),
        ("name,grade,name\n1,2,3\n", r"has the column 'name' twice\. Remove one\."),
        ("name,grade\n1,\x00\n" + "2" * 200000, r"cannot be read as a CSV file: "),
    ],
)
def test_a_table_that_is_none_is_an_error_with_the_tree(layout, text, message):
    path = write(layout, text)
    with pytest.raises(ValueError, match=message) as error:
        layout.table(path, ("name", "grade"))
    assert "images/       1.jpg ..." in str(error.value)


def test_bytes_that_are_no_text_are_an_error(layout):
    path = layout.data_dir / "labels.csv"
    path.write_bytes(b"PK\x03\x04\xff")
    with pytest.raises(ValueError, match=r"labels\.csv cannot be read as a CSV file: "):
        layout.table(path, ("name",))


def test_a_label_is_the_meaning_of_its_cell(layout):
    row = layouts.Row(layout.data_dir / "labels.csv", 7, {"grade": "2", "eye": ""})
    assert row.label("grade", {"1": "mild", "2": "moderate"}) == "moderate"
    assert row.label("eye", {"": None}) is None


def test_a_label_without_meaning_is_an_error_with_file_line_and_tree(layout):
    rows = layout.table(write(layout, "name,grade\n1,mild\n"), ("name", "grade"))
    with pytest.raises(ValueError, match="one of 0, 1, empty") as error:
        rows[0].label("grade", {"0": 0, "1": 1, "": None})
    assert str(error.value).splitlines() == [
        f"{layout.data_dir / 'labels.csv'}, line 2: `grade` must be one of 0, 1, "
        "empty. Received: 'mild'. Correct this row.",
        "Expected:",
        "  labels.csv    name,grade",
        "  images/       1.jpg ...",
    ]


def test_rows_are_found_by_name_in_their_order(layout):
    rows = layout.table(write(layout, "name\nb\na.1\n"), ("name",))
    assert list(layout.by_name(rows, "name").items()) == [
        ("b", rows[0]),
        ("a.1", rows[1]),
    ]


def test_the_extension_of_a_file_name_is_no_part_of_a_name(layout):
    rows = layout.table(write(layout, "name\n1.JPG\n2.tar.gz\n"), ("name",))
    assert list(layout.by_name(rows, "name", has_extension=True)) == ["1", "2.tar"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("1.jpg", "2.jpg", "1.jpg"),
            r"line 4: .*name='1\.jpg'\. It is in line 2 too\.",
        ),
        (("1.jpg", "1.png"), r"line 3: .*name='1\.png'\. It is in line 2 too\."),
        (("1.jpg", ""), r"line 3: .*Received: name=''\. Correct"),
    ],
)
def test_two_rows_for_one_photograph_are_an_error(layout, names, message):
    text = "\n".join(("name,grade", *(f"{name},0" for name in names)))
    rows = layout.table(write(layout, text), ("name",))
    with pytest.raises(ValueError, match=message):
        layout.by_name(rows, "name", has_extension=True)


def test_images_are_found_by_name_sorted(layout):
    folder = images(
        layout, "b.JPG", "a.1.tiff", "c.png", ".b.png", "Thumbs.db", "inner/d.jpg"
    )
    assert layout.images(folder) == {
        "a.1": folder / "a.1.tiff",
        "b": folder / "b.JPG",
        "c": folder / "c.png",
    }
    assert list(layout.images(folder)) == ["a.1", "b", "c"]


def test_two_files_of_one_name_are_an_error(layout):
    folder = images(layout, "a.jpg", "a.png")
    with pytest.raises(ValueError, match=r"Received: a\.jpg and a\.png\. Remove one"):
        layout.images(folder)


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ((), ""),
        ((".a.jpg", "Thumbs.db"), ""),
        (("inner/notes.txt",), ""),
        (("inner/images/a.jpg",), ""),
        (("eyes.zip",), " Unpack eyes.zip there first."),
        (("EYES.ZIP.001",), " Unpack EYES.ZIP.001 there first."),
        (("x/notes.txt", "y/a.jpg"), " The folder {}/y in it does: move them up."),
    ],
)
def test_without_images_an_error_says_where_they_probably_are(layout, names, hint):
    folder = images(layout)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    message = re.escape(f"{folder} holds no photograph.{hint.format(folder)}\n")
    with pytest.raises(ValueError, match=f"^{message}Expected in "):
        layout.images(folder)


def test_labels_and_files_that_name_the_same_photographs_match(layout):
    folder = images(layout, "1.jpg", "2.jpg")
    layout.match(iter("21"), layout.images(folder), folder, layout.data_dir)


def test_what_does_not_match_is_named(layout):
    folder = images(layout, *(f"{number:02d}.jpg" for number in range(7)))
    files = layout.images(folder)
    message = (
        r"without a label: 00, 01, 02, 03, 04 and 2 more\. "
        r"Labels without a photograph: x, y\. Restore .*\nExpected in "
    )
    with pytest.raises(ValueError, match=message):
        layout.match(["y", "x"], files, folder, layout.data_dir / "labels.csv")


def test_of_many_names_the_first_are_shown():
    assert layouts.few([]) == "none"
    assert layouts.few(["a", "b"]) == "a, b"
    assert layouts.few(list("abcdefg"), limit=3) == "a, b, c and 4 more"
