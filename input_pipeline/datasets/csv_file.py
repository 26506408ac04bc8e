"""One's own photographs, listed in a CSV file."""

import csv
import difflib
import functools
import pathlib
from collections.abc import Sequence

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

REQUIRED = ("path", "grade")
OPTIONAL = ("patient", "eye", "split", "any_dr", "macular_edema", "gradable")
_COLUMNS = REQUIRED + OPTIONAL

TREE = """
{file}         path,grade[,patient,eye,split,any_dr,macular_edema,gradable]
<any folders>/*.jpg
"""

_NOT_KNOWN = {"": None}
_EYES = {
    written: eye
    for eye, forms in {
        "left": ("left", "Left", "LEFT", "l", "L", "os", "OS"),  # oculus sinister
        "right": ("right", "Right", "RIGHT", "r", "R", "od", "OD"),  # oculus dexter
    }.items()
    for written in forms
}
_MEANINGS = {
    "grade": photograph.GRADE_OF_DIGIT | _NOT_KNOWN,
    "eye": _EYES | _NOT_KNOWN,
    "split": {"train": "train", "valid": "valid", "test": "test"} | _NOT_KNOWN,
    "any_dr": {"0": False, "1": True} | _NOT_KNOWN,
    "macular_edema": {"0": 0, "1": 1, "2": 2} | _NOT_KNOWN,
    "gradable": {"0": False, "1": True} | _NOT_KNOWN,
}


@gin.register
def csv_file(
    *, name: str = "csv", file: str = "photographs.csv", ignore: Sequence[str] = ()
) -> dataset.Dataset:
    """A set of one's own: one row of a CSV file for each photograph.

    `path` is relative to the file's folder. Any other cell may be empty, which means
    that it is not known: `grade` 0-4, `eye` left or right, `split` train, valid or
    test, `any_dr` and `gradable` 0 or 1, `macular_edema` 0-2. An eye may be written OS
    and OD, L and R, too. `patient` keeps a patient's photographs together in every
    split. Photographs that the file does not list are not read.

    A set of one's own may grow and be corrected: what it is now is prepared beside what
    it was.

    Args:
        name: First part of the photographs' ids, which go on with the path.
        file: Name of the CSV file in the dataset's folder.
        ignore: Columns of the file that are not read.

    Returns:
        The dataset; it is read from a folder that is laid out as `tree` shows.

    Raises:
        ValueError: `file` is not a file's name alone, or `ignore` names a column that
            must be read.
    """
    if not file or pathlib.PurePath(file).name != file:
        raise ValueError(
            "`csv_file.file` must be the name of a file in the folder that --data_dir "
            f"names. Received: file={file!r}."
        )
    if needed := [one for one in REQUIRED if one in ignore]:
        raise ValueError(
            f"`csv_file.ignore` must not name {needed[0]!r}, which must be read. "
            f"Received: {tuple(ignore)}."
        )
    tree, reader = TREE.format(file=file), dataset.gin_name("csv_file")
    read = functools.partial(
        _read, name=name, file=file, ignore=tuple(ignore), reader=reader, tree=tree
    )
    return dataset.Dataset(name, tree, read, own=True, reader=reader)


def _read(
    data_dir: pathlib.Path,
    name: str,
    file: str,
    ignore: tuple[str, ...],
    reader: str,
    tree: str,
) -> list[photograph.Photograph]:
    layout = layouts.Layout("This set", tree, data_dir)
    table = layout.file(file)
    _check_header(layout, table, ignore, reader)
    optional = [one for one in OPTIONAL if one not in ignore]
    rows = layout.table(table, REQUIRED, optional)
    photographs: dict[str, photograph.Photograph] = {}
    lines: dict[str, int] = {}
    missing = []
    for row in rows:
        one = _photograph(row, name, data_dir)
        if one.id in photographs:
            raise _repeated(row, photographs[one.id].path, one.path, lines[one.id])
        if not one.path.is_file():
            missing.append(f"{row['path']} (line {row.line})")
        photographs[one.id], lines[one.id] = one, row.line
    if missing:
        raise layout.error(
            f"{table} names photographs that are not in {data_dir}: "
            f"{layouts.few(missing)}. Correct the paths, or remove the rows."
        )
    return list(photographs.values())


def _repeated(
    row: layouts.Row, first: pathlib.Path, second: pathlib.Path, line: int
) -> ValueError:
    if first == second:
        return row.error(
            "each row must name another photograph. "
            f"Received: path={row['path']!r}, which is in line {line} too."
        )
    return row.error(
        "photographs must differ in more than the extension, which is no part of their "
        f"ids. Received: path={row['path']!r}, and {first.name} in line {line}. Rename "
        "one of the files, if both are photographs and not one of them a copy."
    )


def _check_header(
    layout: layouts.Layout, path: pathlib.Path, ignore: tuple[str, ...], reader: str
) -> None:
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
    unknown = [name for name in header if name not in {"", *_COLUMNS, *ignore}]
    if absent or unknown:
        hints = "".join(_meant(name) for name in unknown)
        if not absent and not hints:
            ignored = (*ignore, *unknown)
            hints = f' To pass over it: --gin_bindings="{reader}.ignore = {ignored}".'
        raise layout.error(
            f"{path} must have the columns {list(REQUIRED)} and may have "
            f"{list(OPTIONAL)}. Missing: {absent}. Unknown: {unknown}. Correct its "
            f"first line; commas separate the names.{hints}"
        )
    if empty:
        raise layout.error(f"{path} lists no photograph. Write a row for each.")


def _meant(column: str) -> str:
    """Asks whether a known column was meant, case and typing errors apart."""
    close = difflib.get_close_matches(column.lower(), _COLUMNS, n=1, cutoff=0.7)
    return f" Did you mean {close[0]!r} by {column!r}?" if close else ""


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
