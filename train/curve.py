"""The validation curve of a run under way, as far as it is written."""

import pathlib
from collections.abc import Iterator

import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from input_pipeline import whole_files
from train import recipe


class Curve:
    """What `train.monitor` is epoch by epoch."""

    def __init__(self, run_dir: pathlib.Path, direction: str):
        """Reads nothing yet.

        Args:
            run_dir: The run's directory.
            direction: "maximize" or "minimize"; values are turned to be better that
                way.
        """
        self._run_dir, self._direction = run_dir, direction
        self._events: event_accumulator.EventAccumulator | None = None
        self._seen = 0

    def new(self) -> Iterator[tuple[int, float]]:
        """Epochs that were not there at the last call, with their values."""
        folder = self._run_dir / "tensorboard" / "valid"
        if self._events is None:
            if not folder.exists():
                return
            guidance = {event_accumulator.TENSORS: 0}  # Keep all.
            self._events = event_accumulator.EventAccumulator(str(folder), guidance)
        self._events.Reload()
        monitor = self._monitor()
        tag = monitor.removeprefix("val_")
        if tag not in self._events.Tags()["tensors"]:
            return
        better = {"min": "minimize", "max": "maximize"}[recipe.MONITORS[monitor]]
        sign = 1 if better == self._direction else -1
        for event in self._events.Tensors(tag):
            if event.step > self._seen:
                self._seen = event.step
                yield event.step, sign * float(tf.make_ndarray(event.tensor_proto))

    def _monitor(self) -> str:
        bindings = whole_files.read_json(self._run_dir / "bindings.json")
        text = bindings.get("train.monitor", repr(recipe.Recipe.monitor))
        while text.startswith("%"):  # A macro, perhaps of another.
            text = bindings[text[1:]]
        return text.strip("'\"")
