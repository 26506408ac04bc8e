"""Comparison of stored values with recomputed ones, and what came of it in words."""

import collections
import math
import pathlib
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

TOLERANCE = 1e-9
"""Relative difference of equal numbers: other machines round otherwise."""

# A zero that is reached by rounding may be 1e-17.
_NEAR_ZERO = 1e-12

# Of each file: a changed prediction moves hundreds of figures.
_SHOWN = 8


class _Nothing:
    """Stands for a value that is not there."""

    def __repr__(self):
        return "nothing"


NOTHING = _Nothing()


class Findings:
    """What was compared in a run, and what differs."""

    def __init__(self, run: pathlib.Path):
        self._run = run
        self._lines: list[str] = []
        self._differences: dict[str, list[str]] = collections.defaultdict(list)
        self._numbers = 0
        self._to_the_last_bit = 0

    def note(self, path: pathlib.Path, text: str) -> None:
        """Says what was done with a file; told only where nothing differs."""
        self._lines.append(f"{self._name(path)}: {text}.")

    def differ(
        self, path: pathlib.Path, key: str, stored: Any, again: Any, by: str
    ) -> None:
        """Notes a difference, as in "auc is 0.9; predictions.csv gives 0.8".

        Args:
            path: The file with the stored value.
            key: Where in the file.
            stored: What is there; text as words of ours, all else as a value.
            again: What should be there.
            by: What says so, with its verb, as in "metrics.json has".
        """
        there = "is missing" if stored is NOTHING else f"is {_shown(stored)}"
        expected = "none" if again is NOTHING else _shown(again)
        self.fail(path, f"{key or 'its content'} {there}; {by} {expected}")

    def fail(self, path: pathlib.Path, text: str) -> None:
        """Notes in a sentence of its own, without the full stop, what is wrong."""
        self._differences[self._name(path)].append(f"{text}.")

    def compare(
        self,
        path: pathlib.Path,
        key: str,
        stored: Any,
        again: Any,
        by: str,
        tolerance: float = TOLERANCE,
    ) -> None:
        """Compares what JSON can hold, value by value.

        Args:
            path: The file with the stored value.
            key: Where in the file; "" for all of it.
            stored: What is there.
            again: What should be there.
            by: What says so, with its verb, as in "predictions.csv gives".
            tolerance: Relative difference up to which numbers agree.
        """
        if isinstance(stored, dict) and isinstance(again, dict):
            for name in dict.fromkeys([*stored, *again]):
                pair = stored.get(name, NOTHING), again.get(name, NOTHING)
                inner = f"{key}.{name}" if key else name
                self.compare(path, inner, *pair, by, tolerance)
        elif isinstance(stored, list) and isinstance(again, list):
            if len(stored) != len(again):
                self.differ(path, f"the length of {key}", len(stored), len(again), by)
            for place, pair in enumerate(zip(stored, again, strict=False)):
                self.compare(path, f"{key}[{place}]", *pair, by, tolerance)
        elif type(stored) in (int, float) and type(again) in (int, float):
            self._numbers += 1
            self._to_the_last_bit += stored == again
            near = math.isclose(stored, again, rel_tol=tolerance, abs_tol=_NEAR_ZERO)
            if not near:
                self.differ(path, key, stored, again, by)
        elif type(stored) is not type(again) or stored != again:
            self.differ(path, key, stored, again, by)

    def compare_arrays(
        self,
        path: pathlib.Path,
        rows: Sequence[str],
        columns: Sequence[str],
        stored: np.ndarray,
        again: np.ndarray,
        by: str,
    ) -> None:
        """Compares a table of numbers.

        Args:
            path: The file with the stored table.
            rows: Names of the rows.
            columns: Names of the columns.
            stored: float array of shape `(rows, columns)`: what is there.
            again: The same: what should be there.
            by: What says so, with its verb.
        """
        self._numbers += stored.size
        self._to_the_last_bit += int((stored == again).sum())
        close = np.isclose(stored, again, rtol=TOLERANCE, atol=_NEAR_ZERO)
        for row, column in np.argwhere(~close):
            key = f"{columns[column]!r} of {rows[row]}"
            pair = float(stored[row, column]), float(again[row, column])
            self.differ(path, key, *pair, by)

    def conclude(self) -> str:
        """What was compared, a line each, and last how many numbers agree.

        Raises:
            ValueError: Something differs; names the first eight of each file.
        """
        if self._differences:
            lines = []
            for name, some in self._differences.items():
                lines += [f"  {name}: {one}" for one in some[:_SHOWN]]
                if len(some) > _SHOWN:
                    lines.append(f"  {name}: {len(some) - _SHOWN:,} more.")
            count = sum(len(some) for some in self._differences.values())
            raise ValueError(
                "\n".join(
                    [
                        f"{self._run} does not agree with itself. Differences: "
                        f"{count:,}.",
                        *lines,
                        "These files were changed after the run had written them, or "
                        "another version of this project wrote them. Restore them from "
                        "a copy of the run. Without one believe no figure of it: make "
                        "it anew in another --run_dir.",
                    ]
                )
            )
        lines = list(self._lines)
        rounded = self._numbers - self._to_the_last_bit
        if rounded:
            lines.append(
                f"{rounded:,} numbers differ beyond the ninth digit, as other machines "
                "and libraries round; the others agree to the last bit."
            )
        return "\n".join([*lines, f"All {self._numbers:,} numbers agree."])

    def _name(self, path: pathlib.Path) -> str:
        return path.relative_to(self._run).as_posix()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else reprlib.repr(value)
