"""What a reader says of a folder that is not as published: one error, with the tree."""

import dataclasses
import pathlib
import re
import shutil

import pytest

from input_pipeline.datasets import aptos2019, dataset, eyepacs, idrid, messidor2


@dataclasses.dataclass(frozen=True)
class Part:
    """A label file and the photographs that it names; `files` is their whole dataset.

    `row` is the row of the photograph `image`, with `{}` for its grade.
    """

    dataset: dataset.Dataset
    files: dict[str, str]
    labels: str
    columns: tuple[str, str]
    images: str
    image: str
    row: str

    @property
    def name(self) -> str:
        return self.row.partition(",")[0]

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder


APTOS = {
    "train.csv": "id_code,diagnosis\n000c1434d8d7,2\n001639a390f0,4\n",
    "train_images/000c1434d8d7.png": "",
    "train_images/001639a390f0.png": "",
}
EYEPACS = {
    "trainLabels.csv": "image,level\n10_left,0\n10_right,2\n",
    "train/10_left.jpeg": "",
    "train/10_right.jpeg": "",
    "retinopathy_solution.csv": (
        "image,level,Usage\n1_left,1,Private\n1_right,0,Private\n2_left,2,Public\n"
    ),
    "test/1_left.jpeg": "",
    "test/1_right.jpeg": "",
    "test/2_left.jpeg": "",
}
MESSIDOR = {
    "messidor_data.csv": (
        "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable\n"
        "20051020_43808_0100_PP.png,0,0,1\n"
        "20051020_43832_0100_PP.png,3,1,1\n"
    ),
    "messidor-2.csv": (
        "left;right \n20051020_43808_0100_PP.png;20051020_43832_0100_PP.png\n"
    ),
    "IMAGES/20051020_43808_0100_PP.png": "",
    "IMAGES/20051020_43832_0100_PP.png": "",
}
IDRID_FOLDER = "B. Disease Grading/1. Original Images"
IDRID_LABELS = "B. Disease Grading/2. Groundtruths"
IDRID = {
    f"{IDRID_LABELS}/a. IDRiD_Disease Grading_Training Labels.csv": (
        "Image name,Retinopathy grade,Risk of macular edema ,,\n"
        "IDRiD_001,3,2,,\nIDRiD_002,0,0,,\n"
    ),
    f"{IDRID_LABELS}/b. IDRiD_Disease Grading_Testing Labels.csv": (
        "Image name,Retinopathy grade,Risk of macular edema \nIDRiD_001,4,0\n"
    ),
    f"{IDRID_FOLDER}/a. Training Set/IDRiD_001.jpg": "",
    f"{IDRID_FOLDER}/a. Training Set/IDRiD_002.jpg": "",
    f"{IDRID_FOLDER}/b. Testing Set/IDRiD_001.jpg": "",
}
PARTS = {
    "aptos2019": Part(
        aptos2019.aptos2019(),
        APTOS,
        "train.csv",
        ("id_code", "diagnosis"),
        "train_images",
        "001639a390f0.png",
        "001639a390f0,{}",
    ),
    "eyepacs train": Part(
        eyepacs.eyepacs(),
        EYEPACS,
        "trainLabels.csv",
        ("image", "level"),
        "train",
        "10_right.jpeg",
        "10_right,{}",
    ),
    "eyepacs test": Part(
        eyepacs.eyepacs(),
        EYEPACS,
        "retinopathy_solution.csv",
        ("image", "level"),
        "test",
        "1_right.jpeg",
        "1_right,{},Private",
    ),
    "messidor2": Part(
        messidor2.messidor2(),
        MESSIDOR,
        "messidor_data.csv",
        ("image_id", "adjudicated_dr_grade"),
        "IMAGES",
        "20051020_43832_0100_PP.png",
        "20051020_43832_0100_PP.png,{},1,1",
    ),
    "idrid": Part(
        idrid.idrid(),
        IDRID,
        f"{IDRID_LABELS}/a. IDRiD_Disease Grading_Training Labels.csv",
        ("Image name", "Retinopathy grade"),
        f"{IDRID_FOLDER}/a. Training Set",
        "IDRiD_002.jpg",
        "IDRiD_002,{},0",
    ),
}

each_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)


def refusal(part, folder):
    """The message about a folder: readable, and with the expected tree in it."""
    with pytest.raises(ValueError, match="Expected") as raised:
        part.dataset.read(folder)
    message = str(raised.value)
    assert len(message.splitlines()) < 30
    for line in part.dataset.tree.strip().splitlines():
        assert line.strip() in message
    return message


def edit(path, pattern, new):
    text, number = re.subn(pattern, new, path.read_text(), count=1, flags=re.MULTILINE)
    assert number == 1
    path.write_text(text)


@each_part
def test_as_published_it_is_read(part, tmp_path):
    photographs = part.dataset.read(part.write(tmp_path))
    images = [name for name in part.files if not name.endswith(".csv")]
    assert {one.path for one in photographs} == {tmp_path / name for name in images}


@each_part
def test_a_missing_label_file_is_named(part, tmp_path):
    (part.write(tmp_path) / part.labels).unlink()
    assert f"lacks the file {tmp_path / part.labels}." in refusal(part, tmp_path)


@each_part
def test_a_missing_folder_is_named(part, tmp_path):
    shutil.rmtree(part.write(tmp_path) / part.images)
    assert f"lacks the folder {tmp_path / part.images}." in refusal(part, tmp_path)


@each_part
def test_of_a_folder_that_does_not_exist_the_nearest_that_does_is_named(part, tmp_path):
    message = refusal(part, tmp_path / "typo" / "data")
    assert f"typo/data does not exist; {tmp_path} does." in message


@each_part
@pytest.mark.parametrize("which", [0, 1])
def test_a_wrong_column_is_named(part, which, tmp_path):
    edit(part.write(tmp_path) / part.labels, part.columns[which], "Klasse")
    message = refusal(part, tmp_path)
    assert f"{part.labels} must have the columns" in message
    assert f"Missing: ['{part.columns[which]}']." in message
    assert "'Klasse'" in message


@each_part
def test_a_repeated_column_is_named(part, tmp_path):
    edit(part.write(tmp_path) / part.labels, "^", f"{part.columns[1]},")
    assert f"has the column '{part.columns[1]}' twice" in refusal(part, tmp_path)


@each_part
@pytest.mark.parametrize("grade", ["5", "", "mild", "2.0", "-1", "NaN"])
def test_an_unknown_grade_is_named_with_its_line(part, grade, tmp_path):
    pattern = re.escape(part.row).replace(r"\{\}", r"\d")
    edit(part.write(tmp_path) / part.labels, pattern, part.row.format(grade))
    assert (
        f"{part.labels}, line 3: `{part.columns[1]}` must be one of 0, 1, 2, 3, 4. "
        f"Received: {grade!r}. Correct this row."
    ) in refusal(part, tmp_path)


@each_part
def test_a_repeated_photograph_is_named_with_both_lines(part, tmp_path):
    path = part.write(tmp_path) / part.labels
    path.write_text(path.read_text() + part.row.format(1) + "\n")
    lines = len(path.read_text().splitlines())
    message = refusal(part, tmp_path)
    assert f"line {lines}: each row must name another photograph. " in message
    assert f"{part.columns[0]}={part.name!r}. It is in line 3 too." in message


@each_part
def test_a_row_without_a_name_is_refused(part, tmp_path):
    edit(part.write(tmp_path) / part.labels, f"^{re.escape(part.name)}", "")
    assert f"Received: {part.columns[0]}=''." in refusal(part, tmp_path)


@each_part
def test_an_empty_label_file_is_refused(part, tmp_path):
    path = part.write(tmp_path) / part.labels
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert f"{part.labels} holds no label." in refusal(part, tmp_path)


@each_part
def test_a_label_file_that_is_still_an_archive_is_refused(part, tmp_path):
    (part.write(tmp_path) / part.labels).write_bytes(b"PK\x03\x04\x14\x00\xff\xfe")
    assert f"{part.labels} cannot be read as a CSV" in refusal(part, tmp_path)


@each_part
def test_an_empty_folder_is_named(part, tmp_path):
    folder = part.write(tmp_path) / part.images
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "Thumbs.db").touch()
    assert f"{folder} holds no photograph.\n" in refusal(part, tmp_path)


@each_part
def test_a_label_without_a_photograph_is_named(part, tmp_path):
    (part.write(tmp_path) / part.images / part.image).unlink()
    assert (
        "Photographs without a label: none. "
        f"Labels without a photograph: {pathlib.Path(part.image).stem}."
    ) in refusal(part, tmp_path)


@each_part
def test_a_photograph_without_a_label_is_named(part, tmp_path):
    (part.write(tmp_path) / part.images / "new.jpg").touch()
    assert (
        "Photographs without a label: new. Labels without a photograph: none."
    ) in refusal(part, tmp_path)


@each_part
def test_two_files_for_one_photograph_are_named(part, tmp_path):
    other = pathlib.Path(part.image).with_suffix(".tif").name
    (part.write(tmp_path) / part.images / other).touch()
    message = refusal(part, tmp_path)
    assert "must hold one file for each photograph" in message
    assert other in message


@each_part
@pytest.mark.parametrize("archive", ["images.zip", "images.7z", "images.tar.gz"])
def test_an_archive_in_place_of_the_folder_is_named(part, archive, tmp_path):
    shutil.rmtree(part.write(tmp_path) / part.images)
    (tmp_path / archive).touch()
    assert f"Unpack {archive} first." in refusal(part, tmp_path)


@each_part
def test_the_parts_of_an_archive_are_named(part, tmp_path):
    shutil.rmtree(part.write(tmp_path) / part.images)
    for number in (1, 2):
        (tmp_path / f"images.zip.00{number}").touch()
    assert "Join and unpack images.zip.001, images.zip.002 first, as `7z x" in (
        refusal(part, tmp_path)
    )


@each_part
def test_an_archive_in_the_folder_is_named(part, tmp_path):
    folder = part.write(tmp_path) / part.images
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "images.zip").touch()
    assert "holds no photograph. Unpack images.zip there first." in (
        refusal(part, tmp_path)
    )


@each_part
def test_a_folder_in_itself_is_named(part, tmp_path):
    folder = part.write(tmp_path) / part.images
    inner = folder / folder.name
    folder.rename(tmp_path / "away")
    folder.mkdir()
    (tmp_path / "away").rename(inner)
    assert (
        f"{folder} holds no photograph. The folder {inner} in it does: move them"
        in (refusal(part, tmp_path))
    )


@each_part
def test_another_datasets_photographs_in_between_are_named(part, tmp_path):
    other = PARTS["eyepacs train" if part.dataset.name != "eyepacs" else "aptos2019"]
    (part.write(tmp_path) / part.images / other.image).touch()
    assert f"without a label: {pathlib.Path(other.image).stem}." in (
        refusal(part, tmp_path)
    )


@each_part
def test_another_datasets_folder_is_refused(part, tmp_path):
    other = PARTS["idrid" if part.dataset.name != "idrid" else "aptos2019"]
    assert " lacks the f" in refusal(part, other.write(tmp_path))


ROBOFLOW = "001639a390f0_png.rf.1a2b3c4d5e6f.jpg"


@pytest.mark.parametrize("among_others", [True, False])
def test_photographs_that_roboflow_renamed_are_not_aptos(among_others, tmp_path):
    part = PARTS["aptos2019"]
    images = part.write(tmp_path) / part.images
    if not among_others:
        for path in images.iterdir():
            path.unlink()
    (images / ROBOFLOW).touch()
    assert f"Roboflow renamed and compressed: {ROBOFLOW}. Remove" in (
        refusal(part, tmp_path)
    )


@pytest.mark.parametrize("mixed", [True, False])
def test_aptos_in_three_parts_is_not_aptos(mixed, tmp_path):
    part = PARTS["aptos2019"]
    path = part.write(tmp_path) / "train.csv"
    for name in ("train_1.csv", "valid.csv", "test.csv"):
        shutil.copyfile(path, tmp_path / name)
    if not mixed:
        path.unlink()
    assert "holds train_1.csv, which is not Kaggle's" in refusal(part, tmp_path)


@pytest.mark.parametrize("name", ["10", "10_middle", "left_10", "10_left_1"])
def test_a_name_without_patient_and_eye_is_not_eyepacs(name, tmp_path):
    part = PARTS["eyepacs train"]
    edit(part.write(tmp_path) / part.labels, "10_right", name)
    path = tmp_path / part.images / part.image
    path.rename(path.with_stem(name))
    message = refusal(part, tmp_path)
    assert "line 3: `image` must be a patient's number and an eye" in message
    assert f"Received: {name!r}." in message


def test_a_patient_in_both_halves_is_not_eyepacs(tmp_path):
    part = PARTS["eyepacs test"]
    edit(part.write(tmp_path) / part.labels, "2_left", "10_left")
    (tmp_path / "test" / "2_left.jpeg").rename(tmp_path / "test" / "10_left.jpeg")
    message = refusal(part, tmp_path)
    assert "one patient in train and in test" in message
    assert "Received: patients 10." in message


@pytest.mark.parametrize("usage", ["", "Ignored", "private"])
def test_an_unknown_usage_is_named(usage, tmp_path):
    part = PARTS["eyepacs test"]
    edit(part.write(tmp_path) / part.labels, "0,Private", f"0,{usage}")
    assert f"line 3: `Usage` must be one of Public, Private. Received: {usage!r}." in (
        refusal(part, tmp_path)
    )


def test_test_labels_without_usage_are_refused(tmp_path):
    part = PARTS["eyepacs test"]
    edit(part.write(tmp_path) / part.labels, "Usage", "usage")
    assert "Missing: ['Usage']." in refusal(part, tmp_path)


def test_half_of_eyepacs_is_refused_with_the_way_to_say_so(tmp_path):
    part = PARTS["eyepacs test"]
    (part.write(tmp_path) / part.labels).unlink()
    shutil.rmtree(tmp_path / part.images)
    assert "not needed with `eyepacs.with_test = False`" in refusal(part, tmp_path)


@pytest.mark.parametrize("gradable", ["", "2", "True"])
def test_an_unknown_gradability_is_named(gradable, tmp_path):
    part = PARTS["messidor2"]
    edit(part.write(tmp_path) / part.labels, "3,1,1$", f"3,1,{gradable}")
    assert f"must be one of 1, 0. Received: {gradable!r}." in refusal(part, tmp_path)


def test_an_ungradable_photograph_with_a_grade_is_refused(tmp_path):
    part = PARTS["messidor2"]
    edit(part.write(tmp_path) / part.labels, "3,1,1$", "3,1,0")
    assert "`adjudicated_dr_grade` must be one of empty. Received: '3'." in (
        refusal(part, tmp_path)
    )


def test_two_extensions_are_two_rows_for_one_photograph(tmp_path):
    part = PARTS["messidor2"]
    edit(part.write(tmp_path) / part.labels, "43832_0100_PP.png", "43808_0100_PP.PNG")
    assert "image_id='20051020_43808_0100_PP.PNG'. It is in line 2 too." in (
        refusal(part, tmp_path)
    )


def test_messidor2_without_pairs_is_refused_with_the_way_to_say_so(tmp_path):
    part = PARTS["messidor2"]
    (part.write(tmp_path) / "messidor-2.csv").unlink()
    message = refusal(part, tmp_path)
    assert f"lacks the file {tmp_path / 'messidor-2.csv'}." in message
    assert "not needed with `messidor2.with_pairs = False`" in message


FIRST, SECOND = "20051020_43808_0100_PP", "20051020_43832_0100_PP"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("", "messidor-2.csv must have the columns ['left', 'right']."),
        (f"left,right\n{FIRST}.png,{SECOND}.png\n", "Missing: ['left', 'right']."),
        (f"left;right\n{FIRST}.png\n", "line 2: each row must name another"),
        (f"left;right\n{FIRST}.png;IM1.JPG\n", "Labels without a photograph: IM1."),
        (f"left;right\n{FIRST}.png;{FIRST}.png\n", "each photograph must be of one"),
        (
            f"left;right\n{FIRST}.png;{SECOND}.png\n{FIRST}.png;IM1.JPG\n",
            f"line 3: each row must name another photograph. Received: left='{FIRST}",
        ),
    ],
)
def test_pairs_that_do_not_pair_the_photographs_are_refused(pairs, message, tmp_path):
    part = PARTS["messidor2"]
    (part.write(tmp_path) / "messidor-2.csv").write_text(pairs)
    assert message in refusal(part, tmp_path)


def test_photographs_without_a_pair_are_named(tmp_path):
    part = PARTS["messidor2"]
    edit(part.write(tmp_path) / part.labels, r"(.*)\Z", r"\1IM000012.jpg,0,0,1\n")
    (tmp_path / "IMAGES" / "IM000012.JPG").touch()
    message = refusal(part, tmp_path)
    assert "Photographs without a label: IM000012." in message
    assert "one row in" in message
    assert "messidor-2.csv" in message
