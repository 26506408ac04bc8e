"""DeepDRiD: four views of each of 500 patients, with grades and quality labels.

Liu et al., "DeepDRiD: Diabetic Retinopathy - Grading and Image Quality Estimation
Challenge", Patterns 3(6):100512, 2022, doi:10.1016/j.patter.2022.100512. CC BY-SA 4.0.
"""

import functools
import pathlib
import re
import xml.etree.ElementTree
import zipfile
from collections.abc import Sequence
from typing import Literal

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

REGULAR = "regular_fundus_images"
EVALUATION = "Online-Challenge1&2-Evaluation"
GRADES_FILE, QUALITY_FILE = "Challenge1_labels.xlsx", "Challenge2_labels.xlsx"
FOLDERS = {"train": "regular-fundus-training", "valid": "regular-fundus-validation"}
NAME, QUALITY = "image_id", "Overall quality"
LEFT, RIGHT, GRADE = "left_eye_DR_Level", "right_eye_DR_Level", "DR_Levels"

GRADE_OF = {**photograph.GRADE_OF_DIGIT, "5": None}
"""5 says ungradable; no row of the training and validation files has it."""

QUALITY_OF = {"0": False, "1": True}

_NAME = re.compile(r"(?P<patient>\d+)_(?P<eye>[lr])\d")

TREE = f"""
{REGULAR}/
  {FOLDERS["train"]}/
    {FOLDERS["train"]}.csv
    Images/<patient>/<patient>_l1.jpg, _l2.jpg, _r1.jpg, _r2.jpg
  {FOLDERS["valid"]}/
    {FOLDERS["valid"]}.csv
    Images/<patient>/*.jpg
  {EVALUATION}/
    {GRADES_FILE}
    {QUALITY_FILE}
    Images/<patient>/*.jpg
"""


@gin.register
def deepdrid(*, name: str = "deepdrid") -> dataset.Dataset:
    """DeepDRiD's regular photographs: 1,200 to train, 400 to validate, 400 to test.

    Each view has its eye's grade. `gradable` is the label "Overall quality", which
    about half of the photographs fail although they have a grade. The eye is the one
    whose grade the row has: for patients 56, 77, 164 and 167 the letters in the names
    of eleven views say the other one. The test set's labels came two years after
    its photographs, as spreadsheets, and only the names say which eye.

    Args:
        name: First part of the photographs' ids.

    Returns:
        The dataset; it is read from a folder that is laid out as `tree` shows.
    """
    return dataset.Dataset(name, TREE, functools.partial(_read, name=name))


def _read(data_dir: pathlib.Path, name: str) -> list[photograph.Photograph]:
    layout = layouts.Layout("DeepDRiD", TREE, data_dir)
    photographs = [one for split in FOLDERS for one in _read_split(layout, name, split)]
    return photographs + _read_evaluation(layout, name)


def _read_split(
    layout: layouts.Layout, dataset_name: str, split: Literal["train", "valid"]
) -> list[photograph.Photograph]:
    label_file = layout.file(REGULAR, FOLDERS[split], f"{FOLDERS[split]}.csv")
    folder = layout.folder(REGULAR, FOLDERS[split], "Images")
    table = layout.table(label_file, (NAME, QUALITY, LEFT, RIGHT))
    rows = layout.by_name(table, NAME)
    files = _images(layout, folder)
    layout.match(rows, files, folder, label_file)
    photographs = []
    for name, row in rows.items():
        if bool(row[LEFT]) == bool(row[RIGHT]):
            raise row.error(
                f"either `{LEFT}` or `{RIGHT}` must hold the grade. "
                f"Received: {row[LEFT]!r} and {row[RIGHT]!r}."
            )
        grade = row.label(LEFT if row[LEFT] else RIGHT, GRADE_OF)
        photographs.append(
            photograph.Photograph(
                id=f"{dataset_name}/{split}/{name}",
                path=files[name],
                grade=grade,
                gradable=row.label(QUALITY, QUALITY_OF) and grade is not None,
                patient=_parts(row)["patient"],
                eye="left" if row[LEFT] else "right",
                split=split,
            )
        )
    return photographs


def _read_evaluation(
    layout: layouts.Layout, dataset_name: str
) -> list[photograph.Photograph]:
    grades_file = layout.file(REGULAR, EVALUATION, GRADES_FILE)
    quality_file = layout.file(REGULAR, EVALUATION, QUALITY_FILE)
    folder = layout.folder(REGULAR, EVALUATION, "Images")
    grades = layout.by_name(_spreadsheet(layout, grades_file, (NAME, GRADE)), NAME)
    quality = layout.by_name(_spreadsheet(layout, quality_file, (NAME, QUALITY)), NAME)
    files = _images(layout, folder)
    layout.match(grades, files, folder, grades_file)
    layout.match(quality, files, folder, quality_file)
    photographs = []
    for name, row in grades.items():
        parts = _parts(row)
        grade = row.label(GRADE, GRADE_OF)
        photographs.append(
            photograph.Photograph(
                id=f"{dataset_name}/test/{name}",
                path=files[name],
                grade=grade,
                gradable=quality[name].label(QUALITY, QUALITY_OF) and grade is not None,
                patient=parts["patient"],
                eye="left" if parts["eye"] == "l" else "right",
                split="test",
            )
        )
    return photographs


def _parts(row: layouts.Row) -> re.Match:
    """Patient and eye as a photograph's name says them."""
    parts = _NAME.fullmatch(row[NAME])
    if parts is None:
        raise row.error(
            f"`{NAME}` must say patient, eye and view, as 347_l1 does. "
            f"Received: {row[NAME]!r}."
        )
    return parts


def _images(layout: layouts.Layout, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Name -> file, over the folders of all patients."""
    files: dict[str, pathlib.Path] = {}
    for patient in sorted(path for path in folder.iterdir() if path.is_dir()):
        for name, path in layout.images(patient).items():
            if name in files:
                raise layout.error(f"{files[name]} and {path} have one name.")
            files[name] = path
    if not files:
        raise layout.error(f"{folder} holds no patient's folder.")
    return files


def _spreadsheet(
    layout: layouts.Layout, path: pathlib.Path, columns: Sequence[str]
) -> list[layouts.Row]:
    """Reads an Excel file's first sheet: text and whole numbers under a header."""
    try:
        table = _cells(path)
    except (
        zipfile.BadZipFile,
        xml.etree.ElementTree.ParseError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise layout.error(
            f"{path} cannot be read as an Excel file: {error}. Restore it from "
            "DeepDRiD's archive."
        ) from error
    (_, first), *rest = table or [(1, {})]
    header = {text: place for place, text in first.items()}
    absent = [name for name in columns if name not in header]
    if absent:
        raise layout.error(
            f"{path} must have the columns {list(columns)}. Missing: {absent}. "
            f"Received: {list(header)}. Restore it from DeepDRiD's archive."
        )
    rows = [
        layouts.Row(
            path,
            line,
            {one: cells.get(header[one], "") for one in columns},
            layout.tree,
        )
        for line, cells in rest
        if any(cells.values())
    ]
    if not rows:
        raise layout.error(
            f"{path} holds no label. Restore it from DeepDRiD's archive."
        )
    return rows


def _cells(path: pathlib.Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of an Excel file's first sheet: number, and column letters -> text."""
    main = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as archive:
        shared = []
        if "xl/sharedStrings.xml" in archive.namelist():
            strings = xml.etree.ElementTree.fromstring(
                archive.read("xl/sharedStrings.xml")
            )
            shared = ["".join(one.itertext()) for one in strings.iter(f"{main}si")]
        sheet = xml.etree.ElementTree.fromstring(
            archive.read("xl/worksheets/sheet1.xml")
        )
    table = []
    for row in sheet.iter(f"{main}row"):
        cells = {}
        for cell in row.iter(f"{main}c"):
            text = cell.findtext(f"{main}v", "")
            if cell.get("t") == "s":
                text = shared[int(text)]
            elif cell.get("t") == "inlineStr":
                text = "".join(cell.itertext())
            elif text and cell.get("t") in (None, "n"):
                text = f"{float(text):g}"
            cells[cell.get("r").rstrip("0123456789")] = text.strip()
        table.append((int(row.get("r")), cells))
    return table
