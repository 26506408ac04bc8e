"""One's own photographs, listed in a CSV file."""

import csv
import functools
import pathlib

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

REQUIRED = ("path", "grade")
OPTIONAL = ("patient", "eye", "split", "any_dr", "macular_edema", "gradable")

TREE = """
{file}         path,grade[,patient,eye,split,any_dr,macular_edema,gradable]
<any folders>/*.jpg
"""

_NOT_KNOWN = {"": None}
_MEANINGS = {
    "grade": photograph.GRADE_OF_DIGIT | _NOT_KNOWN,
    "eye": {"left": "left", "right": "right"} | _NOT_KNOWN,
    "split": {"train": "train", "valid": "valid", "test": "test"} | _NOT_KNOWN,
    "any_dr": {"0": False, "1": True} | _NOT_KNOWN,
    "macular_edema": {"0": 0, "1": 1, "2": 2} | _NOT_KNOWN,
    "gradable": {"0": False, "1": True} | _NOT_KNOWN,
}


@gin.register
def csv_file(*, name: str = "csv", file: str = "photographs.csv") -> dataset.Dataset:
    """A set of one's own: one row of a CSV file for each photograph.

    `path` is relative to the file's folder. Any other cell may be empty, which means
    that it is not known: `grade` 0-4, `eye` left or right, `split` train, valid or
    test, `any_dr` and `gradable` 0 or 1, `macular_edema` 0-2. `patient` keeps a
    patient's photographs together in every split. Photographs that the file does not
    list are not read.

    Args:
        name: First part of the photographs' ids, which go on with the path.
        file: Name of the CSV file in the dataset's folder.

    Returns:
        The dataset; it is read from a folder that is laid out as `tree` shows.

    Raises:
        ValueError: `file` is not a file's name alone.
    """
    if not file or pathlib.PurePath(file).name != file:
        raise ValueError(
            "`csv_file.file` must be the name of a file in the folder that --data_dir "
            f"names. Received: file={file!r}."
        )
    tree = TREE.format(file=file)
    read = functools.partial(_read, name=name, file=file, tree=tree)
    return dataset.Dataset(
        name, tree, read, own=True, reader=dataset.gin_name("csv_file")
    )


def _read(
    data_dir: pathlib.Path, name: str, file: str, tree: str
) -> list[photograph.Photograph]:
    layout = layouts.Layout("This set", tree, data_dir)
    table = layout.file(file)
    _check_header(layout, table)
    rows = layout.table(table, REQUIRED, OPTIONAL)
    photographs: dict[str, photograph.Photograph] = {}
    lines: dict[str, int] = {}
    missing = []
    for row in rows:
        one = _photograph(row, name, data_dir)
        if one.id in photographs:
            raise row.error(
                "each row must name another photograph, apart from the extension. "
                f"Received: path={row['path']!r}. Line {lines[one.id]} names it too."
            )
        if not one.path.is_file():
            missing.append(f"{row['path']} (line {row.line})")
        photographs[one.id], lines[one.id] = one, row.line
    if missing:
        raise layout.error(
            f"{table} names photographs that are not in {data_dir}: "
            f"{layouts.few(missing)}. Correct the paths, or remove the rows."
        )
    return list(photographs.values())


def _check_header(layout: layouts.Layout, path: pathlib.Path) -> None:
    """Raises ValueError for a column that is missing, or that would be passed over."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
            empty = not any(any(row) for row in csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise layout.error(
            f"{path} cannot be read as a CSV file: {error}. Save it as CSV in UTF-8, "
            "with commas."
        ) from error
    absent = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name and name not in REQUIRED + OPTIONAL]
    if absent or unknown:
        raise layout.error(
            f"{path} must have the columns {list(REQUIRED)} and may have "
            f"{list(OPTIONAL)}. Missing: {absent}. Unknown: {unknown}. Correct its "
            "first line; commas separate the names."
        )
    if empty:
        raise layout.error(f"{path} lists no photograph. Write a row for each.")


def _photograph(
    row: layouts.Row, dataset_name: str, data_dir: pathlib.Path
) -> photograph.Photograph:
    text = row["path"]
    path = pathlib.PurePosixPath(text)
    windows = pathlib.PureWindowsPath(text)
    if not path.name or path.is_absolute() or windows.drive or ".." in path.parts:
        raise row.error(
            "`path` must lead to a photograph inside the file's folder. "
            f"Received: {text!r}."
        )
    if "\\" in text:
        raise row.error(f"`path` must have / between folders. Received: {text!r}.")
    known = {
        column: row.label(column, meanings)
        for column, meanings in _MEANINGS.items()
        if column in row.cells
    }
    try:
        return photograph.Photograph(
            id=f"{dataset_name}/{path.with_suffix('')}",
            path=data_dir / path,
            patient=row.cells.get("patient") or None,
            **known,
        )
    except ValueError as error:  # any_dr against the grade
        raise row.error(str(error)) from error
