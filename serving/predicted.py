"""A folder of predictions: of what they are, and a row a file as soon as it is done."""

import contextlib
import csv
import io
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from input_pipeline import whole_files

FILE = "predictions.csv"

ASKED = "asked.json"
"""What the rows are answers to; written before the first."""

_SHOWN = 10


class Predicted:
    """Answers in the order of the photographs, of one model by the same settings.

    What was killed leaves rows behind with which the next start goes on. Answers to
    another question are refused: their pictures would lie among the new ones.

    Attributes:
        folder: Where all is.
        path: The CSV.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        asked: Mapping[str, Any],
        states: Mapping[str, Sequence[int]],
        columns: Sequence[str],
    ):
        """Opens no file yet.

        Args:
            folder: Where it is, or will be.
            asked: What decides the answers, name -> value, JSON-ready.
            states: The photographs in order: name, the CSV's first column -> bytes and
                time.
            columns: Those of the CSV.
        """
        self.folder = folder
        self.path = folder / FILE
        self._asked = dict(asked)
        self._states = {name: list(state) for name, state in states.items()}
        self._columns = list(columns)

    def read(self) -> list[dict[str, str]]:
        """The rows that are there, each whole; those of the first photographs.

        Raises:
            ValueError: The folder holds something else. Says what differs.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(
                f"--output_dir must be a folder. Received: {self.folder}, a file."
            )
        if not (self.folder / ASKED).exists():
            self._check_empty()
            return []
        there = whole_files.read_json(self.folder / ASKED)
        if not isinstance(there, dict) or there.keys() != {"asked", "photographs"}:
            raise ValueError(
                f"{self.folder / ASKED} is not as it was written. Remove {self.folder} "
                "to begin anew, or name another folder with --output_dir."
            )
        self._check_same(there)
        return self._read_rows() if self.path.exists() else []

    @contextlib.contextmanager
    def go_on(
        self, rows: Sequence[Mapping[str, str]]
    ) -> Iterator[Callable[[Mapping[str, str]], None]]:
        """Adds rows to those that were read; the caller holds the folder.

        Args:
            rows: What `read` gave.

        Yields:
            A function that adds a row, which then outlives this process.
        """
        content = {"asked": self._asked, "photographs": self._states}
        whole_files.write_json(self.folder / ASKED, content)
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(rows)
        whole_files.write_text(self.path, text.getvalue())  # Without half a row.
        file = open(  # noqa: SIM115
            self.path,
            "a",
            encoding="utf-8",
            errors="backslashreplace",  # Names of files may be bytes, no letters.
            newline="",
        )
        writer = csv.DictWriter(file, self._columns)

        def add(row: Mapping[str, str]) -> None:
            try:
                writer.writerow(row)
                file.flush()
            except OSError as error:
                error.filename = str(self.path)  # Of a full disk it names none.
                raise

        try:
            yield add
        finally:
            with contextlib.suppress(OSError):  # Of what `add` could not write.
                file.close()

    def _read_rows(self) -> list[dict[str, str]]:
        # What was killed may have left half a row, and half a letter in it.
        text = self.path.read_bytes().decode(errors="replace")
        lines: list[list[str]] = []
        try:
            lines.extend(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error:
            pass  # Cut off between quotes: those before are whole.
        else:
            if lines and not (
                text.endswith("\n") and len(lines[-1]) == len(self._columns)
            ):
                del lines[-1]
        header, names = lines[:1], [one[:1] for one in lines[1:]]
        expected = [[name] for name in self._states]
        whole = all(len(one) == len(self._columns) for one in lines)
        if header not in ([], [self._columns]) or names != expected[: len(names)]:
            whole = False
        if not whole:
            raise ValueError(
                f"{self.path} is not as it was written: it must have the columns "
                f"{self._columns} and a row for each photograph, in their order. "
                f"Remove {self.folder} to begin anew, or name another folder with "
                "--output_dir."
            )
        return [dict(zip(self._columns, one, strict=True)) for one in lines[1:]]

    def _check_empty(self) -> None:
        found = sorted(
            one.name
            for one in (self.folder.iterdir() if self.folder.exists() else ())
            if not one.name.startswith(".") and not one.name.endswith(".partial")
        )
        if found:
            raise ValueError(
                f"{self.folder} holds files of which nothing says what they are of: "
                f"{', '.join(found[:_SHOWN])}. Name another folder with --output_dir, "
                "or remove that one."
            )

    def _check_same(self, there: Mapping[str, Any]) -> None:
        """Raises, with the difference, unless the rows are answers to this question."""
        before, now = there["asked"], json.loads(json.dumps(self._asked))
        lines = [
            f"{key} was {before.get(key)}, is {now.get(key)}"
            for key in now
            if before.get(key) != now.get(key)
        ]
        known, found = there["photographs"], self._states
        if not lines:  # Of another folder all would differ.
            lines += [f"{name} is new" for name in found if name not in known]
            lines += [f"{name} is gone" for name in known if name not in found]
            lines += [
                f"{name} is another file"
                for name, state in found.items()
                if known.get(name, state) != state
            ]
        if lines:
            listing = "\n".join(f"  {one}" for one in lines[:_SHOWN])
            if len(lines) > _SHOWN:
                listing += f"\n  and {len(lines) - _SHOWN} more"
            raise ValueError(
                f"{self.folder} holds the answers to another question:\n{listing}\n"
                "Name another folder with --output_dir, or remove that one to begin "
                "anew."
            )
