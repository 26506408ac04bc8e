"""What reaches a person's terminal: our own messages, and nobody else's."""

import contextlib
import logging as python_logging
import os
import pathlib
import sys
import tempfile
import traceback
from collections.abc import Iterator

from absl import logging

from train import tf_config


def show_own_messages() -> None:
    """Shows what this project reports, plainly; of libraries only their errors.

    With --verbosity=1 everything is shown, with its time and source.
    """
    if logging.get_verbosity() >= logging.DEBUG:
        return
    handler = logging.get_absl_handler()
    handler.setFormatter(_Formatter())
    handler.addFilter(_is_shown)


class _Formatter(python_logging.Formatter):
    """The message alone; what is more than information says so."""

    def format(self, record: python_logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno <= python_logging.INFO:
            return text
        return f"{record.levelname.lower()}: {text}"


def _is_shown(record: python_logging.LogRecord) -> bool:
    # Libraries log through absl's own logger too, so only the file tells who speaks.
    return not _is_library(record.pathname) or record.levelno >= python_logging.ERROR


def _is_library(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(pathlib.Path(file).parts)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Imports TensorFlow with a `with` block, and shows what that writes if it fails.

    TensorFlow tells, from C++ and past Python, how it was compiled and which GPUs it
    misses: when it is imported, and when it first looks for devices, as happens here.
    """
    # Of several workers it would also tell, a dozen times over, what a lost one has us
    # say once.
    level = "3" if len(tf_config.workers()[0]) > 1 else "2"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # Whatever ~/.keras/keras.json says.
    if not os.environ.get("TF_CONFIG", "").strip():
        os.environ.pop("TF_CONFIG", None)  # TensorFlow would take "" for broken JSON.
    with tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
            import tensorflow as tf

            tf.config.list_physical_devices()
        except Exception:
            sys.stderr.flush()
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def describe(error: Exception) -> str:
    """An error in one message, for a person."""
    if isinstance(error, OSError) and error.strerror:
        file = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{file}."
    text = str(error).partition("\n  In call to configurable ")[0]  # gin adds it.
    frames = traceback.extract_tb(error.__traceback__)
    if frames and _is_library(frames[-1].filename):  # It may not say enough.
        return f"{text}\n--verbosity=1 shows where this comes from."
    return text
