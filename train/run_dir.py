"""A run directory: what was asked, what was used, and that nobody else is at work."""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

from input_pipeline import folder_lock, records


class RunDir:
    """The directory of one experiment.

    Attributes:
        path: The directory.
        model: The trained model; where it lies, training is finished.
        split: The stored split.
        metrics: The figures; where they lie, the run is finished.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.model = path / "model.keras"
        self.split = path / "split.json"
        self.metrics = path / "metrics.json"
        self.config = path / "config.gin"
        self._bindings = path / "bindings.json"
        self._task = path / "task.json"
        self._ledger = path / "ledger.jsonl"

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Has the directory alone for the length of a `with` block."""
        with folder_lock.hold(self.path, wait=False):
            yield

    def check_bindings(self, bindings: Mapping[str, str]) -> None:
        """Refuses a config that would train something else than is begun here.

        Args:
            bindings: Those that decide training, binding -> value.

        Raises:
            ValueError: Says what differs.
        """
        if not self._bindings.exists():
            return
        begun = json.loads(self._bindings.read_text(encoding="utf-8"))
        lines = []
        for key in sorted(begun.keys() | bindings.keys()):
            old, new = begun.get(key, "not bound"), bindings.get(key, "not bound")
            if old != new:
                lines.append(f"  {key}: {old} there, {new} here")
        if lines:
            raise ValueError(
                f"{self.path} was begun with another config:\n"
                + "\n".join(lines)
                + "\n"
                "Name another folder with --run_dir, or take back the difference."
            )

    def begin(self, config: str, bindings: Mapping[str, str]) -> None:
        """Notes what was asked and where it runs."""
        if not self._bindings.exists():
            _write_text(self.config, config)
            records.write_json(self._bindings, dict(bindings))
        records.write_json(self.path / "environment.json", environment())

    def note_operative_config(self, text: str) -> None:
        """Notes what was used, defaults included."""
        _write_text(self.path / "operative_config.gin", text)

    def check_task(self, description: Mapping[str, Any]) -> None:
        """Notes what a model of this run is trained for, or compares with that.

        Raises:
            ValueError: The photographs, or the way they are prepared, have changed.
        """
        if not self._task.exists():
            records.write_json(self._task, dict(description))
            return
        begun = json.loads(self._task.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(description))
        differing = [key for key in now if begun.get(key) != now[key]]
        if differing:
            listing = "\n".join(
                f"  {key}: {begun.get(key)} there, {now[key]} here" for key in differing
            )
            raise ValueError(
                f"{self.path} was begun for something else:\n{listing}\n"
                "Name another folder with --run_dir."
            )

    def note_test_reading(self, mode: str, count: int, weights: str) -> None:
        """Writes into the ledger that the test photographs are about to be read."""
        entry = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "mode": mode,
            "split": "test",
            "photographs": count,
            "weights_sha256": weights,
        }
        with open(self._ledger, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def test_readings(self) -> int:
        """How often the test photographs were read."""
        if not self._ledger.exists():
            return 0
        return len(self._ledger.read_text(encoding="utf-8").splitlines())


def environment() -> dict[str, Any]:
    """Versions and devices, as far as results can depend on them."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "devices": [one.device_type for one in tf.config.list_logical_devices()],
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _write_text(path: pathlib.Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
