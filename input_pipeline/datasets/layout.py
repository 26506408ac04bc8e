"""A dataset's folder while it is read: label files and images, as published."""

import csv
import dataclasses
import os
import pathlib
import re
import shlex
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from input_pipeline.datasets import dataset

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")

_ARCHIVE = re.compile(r"\.(zip|rar|7z|tar|gz|tgz)(\.\d+)?$", re.IGNORECASE)
_ARCHIVE_PART = re.compile(r"\.(zip|rar|7z)\.\d+$", re.IGNORECASE)

_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a label file.

    Attributes:
        path: The label file.
        line: The row's number in it, from 1.
        cells: Column -> text without surrounding blanks; "" where the row is short.
        tree: The layout that its dataset must have, for errors.
    """

    path: pathlib.Path
    line: int
    cells: Mapping[str, str]
    tree: str = ""

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def label(self, column: str, meanings: Mapping[str, _Value]) -> _Value:
        """What a cell means.

        Args:
            column: Name of the column.
            meanings: Text of a cell -> its meaning.

        Returns:
            The meaning of this row's cell.

        Raises:
            ValueError: The cell holds another text; names file, line and column.
        """
        text = self.cells[column]
        if text not in meanings:
            known = ", ".join(one or "empty" for one in meanings)
            raise self.error(f"`{column}` must be one of {known}. Received: {text!r}.")
        return meanings[text]

    def error(self, what: str) -> ValueError:
        """An error in this row, with file, line and the expected layout."""
        where = f"{self.path}, line {self.line}: {what} Correct this row."
        if self.tree:
            where += f"\nExpected:\n{textwrap.indent(self.tree.strip(), '  ')}"
        return ValueError(where)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A dataset's folder and the layout that it must have.

    Attributes:
        title: The dataset's name, as a person writes it.
        tree: The expected folders and files, drawn as text.
        data_dir: The dataset's folder.
    """

    title: str
    tree: str
    data_dir: pathlib.Path

    def error(self, what: str) -> ValueError:
        """An error that shows the expected layout and what is there instead."""
        if parts := [one for one in _names(self.data_dir) if _ARCHIVE_PART.search(one)]:
            what += (
                f" Join and unpack {', '.join(parts)} first, as `7z x {parts[0]}` does."
            )
        return dataset.layout_error(what, self.tree, self.data_dir)

    def folder(self, *names: str) -> pathlib.Path:
        """The path of a folder that must be there."""
        path = self.data_dir
        for name in names:
            path = path / name
            if not path.is_dir():  # The first that is missing says most.
                raise self.error(
                    f"{self.title} lacks the folder {path}.{self._meant(*names)}"
                )
        return path

    def file(self, *names: str) -> pathlib.Path:
        """The path of a file that must be there."""
        path = self.folder(*names[:-1]) / names[-1]
        if not path.is_file():
            raise self.error(
                f"{self.title} lacks the file {path}.{self._meant(*names)}"
            )
        return path

    def _meant(self, *names: str) -> str:
        """Where what is missing lies instead, if it is near."""
        return meant(self.data_dir, lambda one: one.joinpath(*names).exists())

    def table(
        self,
        path: pathlib.Path,
        columns: Sequence[str],
        optional: Collection[str] = (),
        delimiter: str = ",",
    ) -> list[Row]:
        """Reads a CSV file with a header; blank rows and unknown columns are left out.

        Args:
            path: The file, UTF-8.
            columns: Names of the columns that must be there.
            optional: Names of columns that may be there.
            delimiter: What separates the cells.

        Returns:
            The rows in the file's order; a row has a cell for each column that the
            file has.

        Raises:
            ValueError: It is no CSV file, lacks a column, has one twice, or no row.
        """
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file, delimiter=delimiter))
        except (UnicodeDecodeError, csv.Error) as error:
            raise self.error(
                f"{path} cannot be read as a CSV file: {error}. Restore it from the "
                "publisher's archive."
            ) from error
        header = [name.strip() for name in rows[0]] if rows else []
        absent = [name for name in columns if name not in header]
        if absent:
            raise self.error(
                f"{path} must have the columns {list(columns)}. Missing: {absent}. "
                f"Received: {[name for name in header if name]}. Restore the file from "
                "the publisher's archive."
            )
        known = [*columns, *(name for name in optional if name in header)]
        for name in known:
            if header.count(name) > 1:
                raise self.error(f"{path} has the column {name!r} twice. Remove one.")
        places = {name: header.index(name) for name in known}
        table = [
            Row(
                path,
                line,
                {
                    name: row[place].strip() if place < len(row) else ""
                    for name, place in places.items()
                },
                self.tree,
            )
            for line, row in enumerate(rows[1:], start=2)
            if any(cell.strip() for cell in row)
        ]
        if not table:
            raise self.error(
                f"{path} holds no label. Restore it from the publisher's archive."
            )
        return table

    def by_name(
        self, rows: Iterable[Row], column: str, has_extension: bool = False
    ) -> dict[str, Row]:
        """The rows by the name of their photograph, in the same order.

        Args:
            rows: Rows of a label file.
            column: The column that names the photograph.
            has_extension: Whether it names the file: its extension is taken off, as
                `images` does.

        Returns:
            Name -> row.

        Raises:
            ValueError: A name is empty or comes twice.
        """
        named: dict[str, Row] = {}
        for row in rows:
            name = pathlib.PurePath(row[column]).stem if has_extension else row[column]
            if not name or name in named:
                before = f" It is in line {named[name].line} too." if name else ""
                raise row.error(
                    "each row must name another photograph. "
                    f"Received: {column}={row[column]!r}.{before}"
                )
            named[name] = row
        return named

    def images(self, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """The image files of a folder, not of folders in it.

        Args:
            folder: Where they lie.

        Returns:
            Name without extension -> file, sorted: a lossless copy of a set is read
            too.

        Raises:
            ValueError: There is none, or two files share a name.
        """
        files: dict[str, pathlib.Path] = {}
        for path in filter(_is_image, sorted(folder.iterdir())):
            if path.stem in files:
                raise self.error(
                    f"{folder} must hold one file for each photograph. Received: "
                    f"{files[path.stem].name} and {path.name}. Remove one of them."
                )
            files[path.stem] = path
        if not files:
            raise self.error(f"{folder} holds no photograph.{_where_else(folder)}")
        return files

    def match(
        self,
        names: Iterable[str],
        files: Mapping[str, pathlib.Path],
        folder: pathlib.Path,
        label_file: pathlib.Path,
    ) -> None:
        """Raises ValueError unless labels and files name the same photographs."""
        labelled = set(names)
        unlabelled = sorted(files.keys() - labelled)
        missing = sorted(labelled - files.keys())
        if unlabelled or missing:
            raise self.error(
                f"Each photograph in {folder} needs one row in {label_file}, and the "
                f"reverse. Photographs without a label: {few(unlabelled)}. "
                f"Labels without a photograph: {few(missing)}. "
                "Restore what is missing from the publisher's archive."
            )


def meant(data_dir: pathlib.Path, looks_right: Callable[[pathlib.Path], bool]) -> str:
    """Asks whether another folder was meant, a level or two above or below.

    Args:
        data_dir: The folder that was named.
        looks_right: Whether a folder holds what it should.

    Returns:
        A question that names the flag, after a blank; or nothing.
    """
    data_dir = data_dir.absolute()
    inner = _folders(data_dir)
    inmost = [one for folder in inner for one in _folders(folder)]
    for one in (*list(data_dir.parents)[:3], *inner, *inmost):
        if looks_right(one):
            return f" Did you mean --data_dir={shlex.quote(str(one))}?"
    return ""


def _folders(folder: pathlib.Path, limit: int = 50) -> list[pathlib.Path]:
    """The first folders in a folder, or none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / one.name for one in entries if one.is_dir())[:limit]
    except OSError:
        return []


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def _where_else(folder: pathlib.Path) -> str:
    """Where the photographs of an empty folder probably are."""
    if packed := [name for name in _names(folder) if _ARCHIVE.search(name)]:
        return f" Unpack {few(packed)} there first."
    for inner in sorted(one for one in folder.iterdir() if one.is_dir()):
        if any(_is_image(path) for path in inner.iterdir()):
            return f" The folder {inner} in it does: move them up."
    return ""


def _is_image(path: pathlib.Path) -> bool:
    """Whether it is named as one; a file manager's own files, as ._1.jpg, are not."""
    return not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES


def few(names: Sequence[str], limit: int = 5) -> str:
    """The first of some names, and how many more there are."""
    if not names:
        return "none"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
