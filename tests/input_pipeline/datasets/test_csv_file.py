import collections
import re

import gin
import pytest

from input_pipeline.datasets import csv_file
from tests.input_pipeline.datasets import trees_more

TEXT = (
    "path,grade,patient,eye,split\n"
    "2023/p1_left.jpg,0,p1,left,train\n"
    "2023/p1_right.jpg,3,p1,right,train\n"
    "2024/p2_left.png,,p2,left,valid\n"
    "p3.jpg,4,,,\n"
)


@pytest.fixture
def folder(tmp_path):
    """Four photographs and their CSV file; the reader does not look into them."""
    for line in TEXT.splitlines()[1:]:
        path = tmp_path / line.split(",")[0]
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "photographs.csv").write_text(TEXT)
    return tmp_path


def write(folder, text, name="photographs.csv"):
    (folder / name).write_text(text)


def replace(folder, old, new):
    text = (folder / "photographs.csv").read_text()
    assert old in text
    write(folder, text.replace(old, new, 1))


def read(folder, **settings):
    return csv_file.csv_file(**settings).read(folder)


def test_each_row_is_a_photograph_and_an_empty_cell_is_not_known(folder):
    found = {
        one.id: (one.grade, one.patient, one.eye, one.split, one.path)
        for one in read(folder)
    }
    left, right = folder / "2023" / "p1_left.jpg", folder / "2023" / "p1_right.jpg"
    assert found == {
        "csv/2023/p1_left": (0, "p1", "left", "train", left),
        "csv/2023/p1_right": (3, "p1", "right", "train", right),
        "csv/2024/p2_left": (
            None,
            "p2",
            "left",
            "valid",
            folder / "2024" / "p2_left.png",
        ),
        "csv/p3": (4, None, None, None, folder / "p3.jpg"),
    }


def test_two_columns_are_enough_in_any_order(folder):
    write(folder, "grade,path\n2,p3.jpg\n")
    (one,) = read(folder, name="clinic")
    assert (one.id, one.grade, one.patient, one.split) == ("clinic/p3", 2, None, None)


def test_edema_any_retinopathy_and_quality_can_be_told_too(folder):
    write(
        folder,
        "path,grade,any_dr,macular_edema,gradable\n"
        "p3.jpg,,1,2,1\n"
        "2023/p1_left.jpg,0,0,,0\n"
        "2023/p1_right.jpg,2,,,\n",
    )
    found = [(one.any_dr, one.macular_edema, one.gradable) for one in read(folder)]
    assert found == [(True, 2, True), (False, None, False), (True, None, None)]


def test_photographs_that_the_file_does_not_list_are_not_read(folder):
    (folder / "other.jpg").touch()
    assert len(read(folder)) == 4


def test_another_file_of_the_folder_can_be_named(folder):
    write(folder, "path,grade\np3.jpg,1\n", "second.csv")
    made = csv_file.csv_file(file="second.csv")
    assert [one.grade for one in made.read(folder)] == [1]
    assert "second.csv" in made.tree


@pytest.mark.parametrize("file", ["../photographs.csv", "/data/p.csv", "a/b.csv", ""])
def test_a_file_elsewhere_is_refused(file):
    with pytest.raises(ValueError, match=r"`csv_file\.file` must be the name"):
        csv_file.csv_file(file=file)


def test_a_spreadsheets_marks_and_empty_rows_are_read(folder):
    text = "\ufeff" + TEXT.replace("eye,split", "eye , split,") + ",,,,\n"
    (folder / "photographs.csv").write_bytes(text.replace("\n", "\r\n").encode())
    assert len(read(folder)) == 4


def test_drawn_photographs_are_both_eyes_of_twenty_patients(tmp_path):
    trees_more.write_csv(tmp_path)
    photographs = read(tmp_path)
    eyes = collections.defaultdict(set)
    for one in photographs:
        eyes[one.patient].add(one.eye)
    assert len(photographs) == 40
    assert len(eyes) == 20
    assert all(found == {"left", "right"} for found in eyes.values())
    assert [one.id for one in photographs if one.grade is None] == [
        "csv/clinic_b/p03_right"
    ]
    assert {one.grade for one in photographs} == {None, 0, 1, 2, 3, 4}


def test_a_missing_file_is_an_error_that_names_it(folder):
    (folder / "photographs.csv").rename(folder / "labels.csv")
    with pytest.raises(ValueError, match=r"lacks the file .*photographs\.csv") as error:
        read(folder)
    assert "path,grade[,patient,eye,split" in str(error.value)
    assert "labels.csv" in str(error.value).split("Found:")[1]


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "absent")


def test_an_archive_that_is_not_unpacked_is_an_error_that_names_it(tmp_path):
    (tmp_path / "mine.zip").touch()
    with pytest.raises(ValueError, match=r"(?s)lacks .*npack mine\.zip"):
        read(tmp_path)


@pytest.mark.parametrize("column", ["path", "grade"])
def test_a_missing_column_is_an_error_that_names_it(folder, column):
    replace(folder, column, "renamed")
    with pytest.raises(ValueError, match=rf"Missing: \['{column}'\]. Unknown: \['ren"):
        read(folder)


def test_a_misspelt_column_is_an_error_and_not_passed_over(folder):
    replace(folder, "patient", "Patient")
    message = r"Unknown: \['Patient'\]\. Correct its .* mean 'patient' by 'Patient'\?$"
    with pytest.raises(ValueError, match=f"(?m){message}"):
        read(folder)


@pytest.mark.parametrize(
    ("column", "written", "meant"),
    [("patient", "patinet", "patient"), ("grade", "Grades", "grade")],
)
def test_what_was_perhaps_meant_by_a_column_is_asked(folder, column, written, meant):
    replace(folder, column, written)
    with pytest.raises(ValueError, match=rf"Did you mean '{meant}' by '{written}'\?"):
        read(folder)


def test_further_columns_are_an_error_that_says_how_to_pass_over_them(folder):
    write(folder, "path,grade,device,notes\np3.jpg,2,x,good\n")
    with pytest.raises(ValueError, match=r"Unknown: \['device', 'notes'\]") as error:
        read(folder)
    (line,) = re.findall(r'pass over it: --gin_bindings="(.*)"\.', str(error.value))
    gin.parse_config(line)
    (one,) = gin.get_configurable(csv_file.csv_file)().read(folder)
    assert one.grade == 2


def test_a_column_that_is_ignored_is_not_read(folder):
    assert {one.patient for one in read(folder, ignore=["patient"])} == {None}
    with pytest.raises(ValueError, match=r"must not name 'grade', .*Received: \('gra"):
        read(folder, ignore=["grade"])


def test_an_eye_may_be_written_as_clinics_do(folder):
    eyes = ["left", "OS", "l", "LEFT", "right", "OD", "R", "Right", ""]
    rows = [f"{number}.jpg,0,{eye}" for number, eye in enumerate(eyes)]
    for number in range(len(eyes)):
        (folder / f"{number}.jpg").touch()
    write(folder, "\n".join(["path,grade,eye", *rows]))
    found = [one.eye for one in read(folder)]
    assert found == ["left"] * 4 + ["right"] * 4 + [None]


def test_a_column_that_comes_twice_is_an_error(folder):
    replace(folder, "split", "eye")
    with pytest.raises(ValueError, match="the column 'eye' twice"):
        read(folder)


def test_semicolons_are_an_error_that_says_so(folder):
    write(folder, TEXT.replace(",", ";"))
    with pytest.raises(ValueError, match="commas separate the names"):
        read(folder)


@pytest.mark.parametrize("text", ["path,grade\n", "path,grade\n,\n\n"])
def test_a_file_without_rows_is_an_error(folder, text):
    write(folder, text)
    with pytest.raises(ValueError, match=r"photographs\.csv lists no photograph"):
        read(folder)


def test_a_file_that_is_no_text_is_an_error(folder):
    (folder / "photographs.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"cannot be read as a CSV .* Save it as CSV"):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "right.jpg,3",
            "right.jpg,5",
            r"`grade` must be one of .*empty\. Received: '5'",
        ),
        ("right.jpg,3", "right.jpg,2.0", "`grade` must be .* '2.0'"),
        ("p1,right", "p1,OU", "`eye` must be one of left, .*, OS, right, .* 'OU'"),
        ("right,train", "right,dev", "`split` must be one of train, valid, .* 'dev'"),
    ],
)
def test_an_unknown_label_is_an_error_that_names_line_and_column(
    folder, old, new, message
):
    replace(folder, old, new)
    with pytest.raises(ValueError, match=rf"photographs\.csv, line 3: {message}"):
        read(folder)


def test_a_grade_against_any_retinopathy_is_an_error_that_names_the_line(folder):
    write(folder, "path,grade,any_dr\np3.jpg,2,0\n")
    with pytest.raises(ValueError, match=r"line 2: Photograph csv/p3 has grade 2"):
        read(folder)


@pytest.mark.parametrize(
    "path", ["../p3.jpg", "/data/p3.jpg", "2023/../../p3.jpg", "C:/p3.jpg", "", "."]
)
def test_a_path_out_of_the_folder_is_refused(folder, path):
    replace(folder, "p3.jpg", path)
    with pytest.raises(
        ValueError, match=r"line 5: `path` must lead to a photograph in"
    ):
        read(folder)


def test_a_path_with_backslashes_is_refused(folder):
    replace(folder, "2023/p1_left", "2023\\p1_left")
    with pytest.raises(ValueError, match="line 2: `path` must have / between folders"):
        read(folder)


@pytest.mark.parametrize("path", ["2023/p1_left.jpg", "./2023//p1_left.jpg"])
def test_a_photograph_that_comes_twice_is_an_error_that_names_both_lines(folder, path):
    replace(folder, "2023/p1_right.jpg", path)
    with pytest.raises(ValueError, match=r"line 3: each row must .* in line 2 too\."):
        read(folder)


def test_names_that_differ_in_the_extension_alone_are_an_error_that_says_so(folder):
    replace(folder, "2023/p1_right.jpg", "2023/p1_left.png")
    message = (
        r"line 3: photographs must differ in more than the extension, .* Received: "
        r"path='2023/p1_left\.png', and p1_left\.jpg in line 2\. Rename one"
    )
    with pytest.raises(ValueError, match=message):
        read(folder)


def test_rows_without_a_photograph_are_an_error_that_names_them(folder):
    (folder / "p3.jpg").unlink()
    (folder / "2024" / "p2_left.png").unlink()
    with pytest.raises(
        ValueError, match=r"2024/p2_left\.png \(line 4\), p3\.jpg \(line 5\)\. Correct"
    ):
        read(folder)


def test_a_folder_without_photographs_is_an_error(folder):
    for path in [*folder.rglob("*.jpg"), *folder.rglob("*.png")]:
        path.unlink()
    with pytest.raises(ValueError, match="names photographs that are not in"):
        read(folder)
