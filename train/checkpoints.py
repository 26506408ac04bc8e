"""Checkpoints: all that a training remembers, so that it can go on as if never stopped.

Keras' seed generators are not found by `tf.train.Checkpoint(model=model)`, so variables
are listed; what callbacks remember and where the training stands go along as one
serialized value.
"""

import contextlib
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from input_pipeline import records
from train import cluster, optimizers


class Progress(tf.train.experimental.PythonState):
    """Where a training stands, beside its variables.

    Attributes:
        step: Steps done, from the first epoch's first.
        epoch: Epochs done.
        best: The monitored metric's best value so far, or None.
        best_epoch: The epoch that gave it, counted from 1, or None.
        best_sha256: Checksum of the file with that epoch's weights, or None.
        history: One row of figures an epoch.
        only_class: For each epoch the class of all predictions, if there is just one.
        phase_starts: Epochs done before each phase that was begun.
        stopped: Whether a callback ended the phase.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]):
        super().__init__()
        self.step = 0
        self.epoch = 0
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_sha256: str | None = None
        self.history: list[dict[str, float]] = []
        self.only_class: list[int | None] = []
        self.phase_starts = [0]
        self.stopped = False
        self._callbacks = callbacks

    @property
    def phase(self) -> int:
        """The number of the phase, from 0."""
        return len(self.phase_starts) - 1

    def begin_phase(self) -> None:
        """Goes on to the next phase."""
        self.phase_starts.append(self.epoch)
        self.stopped = False

    def serialize(self) -> bytes:
        """Everything as one value, for `tf.train.Checkpoint`."""
        fields = {name: value for name, value in vars(self).items() if name in _FIELDS}
        arrays: dict[str, np.ndarray] = {}
        states = []
        for number, callback in enumerate(self._callbacks):
            plain, weights = _remembered(callback)
            states.append(plain)
            for name, values in weights.items():
                for index, value in enumerate(values):
                    arrays[f"{number}/{name}/{index:06d}"] = value
        meta = json.dumps({"fields": fields, "callbacks": states}).encode()
        buffer = io.BytesIO()
        np.savez(buffer, meta=np.frombuffer(meta, np.uint8), **arrays)
        return buffer.getvalue()

    def deserialize(self, string_value: bytes) -> None:
        """Takes back what `serialize` gave."""
        with np.load(io.BytesIO(string_value), allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes())
            for name, value in meta["fields"].items():
                setattr(self, name, value)
            for number, callback in enumerate(self._callbacks):
                vars(callback).update(meta["callbacks"][number])
                lists: dict[str, list[np.ndarray]] = {}
                for key in sorted(stored.files):
                    owner, _, rest = key.partition("/")
                    if owner == str(number):
                        lists.setdefault(rest.partition("/")[0], []).append(stored[key])
                vars(callback).update(lists)


_MADE_ANEW = ("_model", "params")
_FIELDS = (
    "step",
    "epoch",
    "best",
    "best_epoch",
    "best_sha256",
    "history",
    "only_class",
    "phase_starts",
    "stopped",
)


def _remembered(
    callback: keras.callbacks.Callback,
) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]]:
    """What a callback holds: what JSON can say, and its lists of arrays.

    Its model and its functions are made anew with the callback.

    Raises:
        ValueError: It holds something else, which resuming would lose in silence.
    """
    plain, weights = {}, {}
    for name, value in vars(callback).items():
        if isinstance(value, np.generic):
            value = value.item()
        if name in _MADE_ANEW or callable(value):
            continue
        if isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value):
            weights[name] = value
            continue
        try:
            kept = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            kept = _MADE_ANEW  # Equal to nothing that a callback holds.
        if kept != value:
            raise ValueError(
                "What a callback remembers must be numbers, text, lists, dictionaries "
                "with text as keys, or lists of arrays, to be checkpointed. Received: "
                f"{type(callback).__name__}.{name} = {value!r}."
            )
        plain[name] = kept
    return plain, weights


class Checkpoints:
    """The last checkpoints of a run, and the weights of its best epoch.

    All workers of a training read them, and one writes: each has all variables whole,
    so that nothing has to be gathered. The one that writes also says which is the last:
    the others may look into the shared folder at another moment.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        model: keras.Model,
        every_optimizer: Sequence[keras.optimizers.Optimizer],
        totals: tf.Variable,
        progress: Progress,
        keep: int,
        writes: bool = True,
    ):
        self._folder = folder
        self._writes = writes
        self._best_weights = folder / "best.weights.h5"
        # Of the last checkpoint, where a better epoch has come since.
        self._best_before = folder / "best-before.weights.h5"
        self._model = model
        self._checkpoint = tf.train.Checkpoint(
            model=[one.value for one in model.variables],
            optimizers=[optimizers.state(one) for one in every_optimizer],
            totals=totals,
            progress=progress,
        )
        self._progress = progress
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, os.fspath(folder), max_to_keep=keep
        )

    @property
    def latest(self) -> str | None:
        """Path of the last checkpoint, or None."""
        if not self._writes:  # A manager knows only its own since it began.
            return tf.train.latest_checkpoint(os.fspath(self._folder))
        return self._manager.latest_checkpoint

    def restore(self, name: str | None) -> bool:
        """Goes back to a checkpoint, if there is one, and says whether it did.

        Args:
            name: The last component of its path, or None if there is none.

        Raises:
            ValueError: The checkpoint is damaged or of another model.
            FileNotFoundError: This worker does not see it.
        """
        if name is None:
            return False
        path = os.fspath(self._folder / name)
        if not (self._writes or cluster.seen(lambda: os.path.exists(f"{path}.index"))):
            raise FileNotFoundError(
                f"{path} does not exist on this worker, but the chief goes on from it. "
                "Name with --run_dir a folder that all workers share."
            )
        try:
            self._checkpoint.restore(path).assert_consumed()
        except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"The checkpoint {path} cannot be read: {reason} Remove its "
                "files and its line in `checkpoint` beside it to go on from the one "
                "before, or remove the folder to start anew."
            ) from error
        if self._writes:
            self._restore_best()
        return True

    def _restore_best(self) -> None:
        """Goes back to the best weights of the checkpoint.

        Epochs that are trained again need not end alike: on a GPU, or with another
        number of threads.
        """
        known = self._progress.best_sha256
        if known is None or _sha256(self._best_weights) == known:
            self._best_before.unlink(missing_ok=True)
            return
        if _sha256(self._best_before) == known:
            os.replace(self._best_before, self._best_weights)
            return
        logging.warning(
            "The weights of epoch %d, the best so far, are not in %s any more. The "
            "best of the epochs from here on is kept.",
            self._progress.best_epoch,
            self._folder,
        )
        progress = self._progress
        progress.best = progress.best_epoch = progress.best_sha256 = None
        if self._best_weights.exists():  # Nor must another epoch's pass for the best.
            os.replace(self._best_weights, self._best_before)

    def save(self) -> None:
        """Writes a checkpoint; an older one is removed only when this one is whole.

        Raises:
            OSError: The disk is full; the checkpoints there were are kept.
        """
        if not self._writes:
            return
        # One of this step is as good, and must not be half overwritten by a kill.
        if self.latest and self.latest.endswith(f"-{self._progress.step}"):
            return
        with records.as_os_error(self._best_weights.parent):
            self._manager.save(checkpoint_number=self._progress.step)
        self._best_before.unlink(missing_ok=True)

    def save_best(self) -> None:
        """Writes the weights of the best epoch so far."""
        if not self._writes:
            return
        partial = self._best_weights.with_name("partial.weights.h5")
        self._best_weights.parent.mkdir(parents=True, exist_ok=True)
        with self._without_optimizer():
            self._model.save_weights(partial)
        self._progress.best_sha256 = records.file_sha256(partial)
        if self._best_weights.exists() and not self._best_before.exists():
            os.replace(self._best_weights, self._best_before)
        os.replace(partial, self._best_weights)

    def checksums(self) -> dict[str, str]:
        """File name -> checksum, of the last checkpoints and the best weights."""
        files = [*self._folder.glob("ckpt-*"), self._best_weights]
        return {
            one.name: records.file_sha256(one) for one in sorted(files) if one.is_file()
        }

    def load_best(self) -> None:
        """Gives the model the weights of the best epoch."""
        try:
            with self._without_optimizer():
                self._model.load_weights(self._best_weights)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self._best_weights} cannot be read: {error} Without the weights of "
                "the best epoch the run cannot end. Train in another --run_dir."
            ) from error

    @contextlib.contextmanager
    def _without_optimizer(self) -> Iterator[None]:
        """Keras takes it for a part of the model; another phase has another."""
        optimizer = getattr(self._model, "optimizer", None)
        self._model.optimizer = None
        try:
            yield
        finally:
            self._model.optimizer = optimizer


def _sha256(path: pathlib.Path) -> str | None:
    return records.file_sha256(path) if path.exists() else None


def digest(variables: Sequence[keras.Variable]) -> str:
    """A checksum of variables, hexadecimal: equal for bit-identical weights."""
    checksum = hashlib.sha256()
    for variable in variables:
        checksum.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return checksum.hexdigest()
