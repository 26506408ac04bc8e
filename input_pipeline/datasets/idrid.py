"""IDRiD, the Indian Diabetic Retinopathy Image Dataset, as its publisher lays it out.

Porwal et al., "Indian Diabetic Retinopathy Image Dataset (IDRiD)", Data 3(3):25, 2018,
doi:10.3390/data3030025. 516 photographs of 4288x2848 pixels, CC BY 4.0.
"""

import csv
import functools
import pathlib
from typing import Literal

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset

GRADING = "B. Disease Grading"
IMAGES = "1. Original Images"
LABELS = "2. Groundtruths"
FOLDERS = {"train": "a. Training Set", "test": "b. Testing Set"}
LABEL_FILES = {
    "train": "a. IDRiD_Disease Grading_Training Labels.csv",
    "test": "b. IDRiD_Disease Grading_Testing Labels.csv",
}
NAME, GRADE, EDEMA = "Image name", "Retinopathy grade", "Risk of macular edema"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")

TREE = f"""
{GRADING}/
  {IMAGES}/
    {FOLDERS["train"]}/    IDRiD_001.jpg ...
    {FOLDERS["test"]}/     IDRiD_001.jpg ...  (numbers restart)
  {LABELS}/
    {LABEL_FILES["train"]}
    {LABEL_FILES["test"]}
"""


@gin.register
def idrid(*, name: str = "idrid") -> dataset.Dataset:
    """IDRiD's disease grading part, with the official split.

    Args:
        name: First part of every id. Photographs in IDRiD's layout that are not
            IDRiD's, as the drawn ones, need a name of their own.

    Returns:
        The dataset.
    """
    read = functools.partial(_read, name=name)
    return dataset.Dataset(name=name, tree=TREE, read=read)


def _read(data_dir: pathlib.Path, name: str) -> list[photograph.Photograph]:
    if not (data_dir / GRADING).is_dir():
        raise dataset.layout_error(
            f"This is not IDRiD's folder: it has no folder {GRADING!r}.", TREE, data_dir
        )
    return [
        one for split in ("train", "test") for one in _read_split(data_dir, name, split)
    ]


def _read_split(
    data_dir: pathlib.Path, dataset_name: str, split: Literal["train", "test"]
) -> list[photograph.Photograph]:
    folder = data_dir / GRADING / IMAGES / FOLDERS[split]
    label_file = data_dir / GRADING / LABELS / LABEL_FILES[split]
    for path, exists in ((folder, folder.is_dir()), (label_file, label_file.is_file())):
        if not exists:
            raise dataset.layout_error(f"IDRiD lacks {path}.", TREE, data_dir)
    labels = _read_labels(label_file)
    files = _image_files(folder)
    unlabelled = sorted(files.keys() - labels.keys())
    missing = sorted(labels.keys() - files.keys())
    if unlabelled or missing:
        raise ValueError(
            f"Each photograph in {folder} needs one row in {label_file}, and the "
            f"reverse. Photographs without a label: {_few(unlabelled)}. "
            f"Labels without a photograph: {_few(missing)}. "
            "Restore what is missing from IDRiD's archive."
        )
    return [
        photograph.Photograph(
            # Names restart in the test set, so the split is part of the id.
            id=f"{dataset_name}/{split}/{name}",
            path=files[name],
            grade=grade,
            macular_edema=edema,
            split=split,
        )
        for name, (grade, edema) in labels.items()
    ]


def _image_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Name without extension -> file: a lossless copy of the set is read too."""
    files: dict[str, pathlib.Path] = {}
    for path in sorted(folder.iterdir()):
        # A file manager's own files, as .DS_Store and Thumbs.db, are no photographs.
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if path.stem in files:
            raise ValueError(
                f"{folder} must hold one file for each photograph. Received: "
                f"{files[path.stem].name} and {path.name}. Remove one of them."
            )
        files[path.stem] = path
    return files


def _read_labels(path: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Name -> (grade, edema), in the file's order."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} cannot be read as a CSV file: {error}. Restore it from IDRiD's "
            "archive."
        ) from error
    # The published header ends in "Risk of macular edema " with a space, and the
    # training file has nine more empty columns.
    header = [name.strip() for name in rows[0]] if rows else []
    absent = [name for name in (NAME, GRADE, EDEMA) if name not in header]
    if absent:
        raise ValueError(
            f"{path} must have the columns {[NAME, GRADE, EDEMA]}. "
            f"Missing: {absent}. Received: {[name for name in header if name]}. "
            "Restore the file from IDRiD's archive."
        )
    columns = [header.index(name) for name in (NAME, GRADE, EDEMA)]
    labels: dict[str, tuple[int, int]] = {}
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [row[i].strip() if i < len(row) else "" for i in columns]
        name = cells[0]
        if not name or name in labels:
            raise ValueError(
                f"{path}, line {line}: each row must name another photograph. "
                f"Received: {NAME}={name!r}. Correct this row."
            )
        labels[name] = (
            _label(path, line, GRADE, cells[1], range(5)),
            _label(path, line, EDEMA, cells[2], range(3)),
        )
    if not labels:
        raise ValueError(f"{path} holds no label. Restore it from IDRiD's archive.")
    return labels


def _label(path: pathlib.Path, line: int, column: str, text: str, valid: range) -> int:
    if text not in map(str, valid):
        raise ValueError(
            f"{path}, line {line}: `{column}` must be one of {list(valid)}. "
            f"Received: {text!r}. Correct this cell."
        )
    return int(text)


def _few(names: list[str], limit: int = 5) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
