"""What reaches a person's terminal: our own messages, and nobody else's."""

import contextlib
import logging as python_logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator

from absl import logging

from configs import own_code
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
    library = own_code.is_library(record.pathname)
    return not library or record.levelno >= python_logging.ERROR


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


def is_told(error: Exception) -> bool:
    """Whether a user caused it, by a config, a folder or code of their own."""
    return _is_expected(error) or bool(own_code.frames(error))


def describe(error: Exception) -> str:
    """An error in one message, for a person; of a traceback, their own code's part."""
    if isinstance(error, OSError) and error.strerror:
        file = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{file}."
    text = str(error).partition("\n  In call to configurable ")[0]  # gin adds it.
    frames, own = traceback.extract_tb(error.__traceback__), own_code.frames(error)
    last = frames[-1].filename if frames else ""
    if not _is_expected(error):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    elif own_code.is_ours(last) or not (own or own_code.is_library(last)):
        return text  # It says enough.
    lines = [f"  {own_code.place(one)}, in {one.name}: {one.line}" for one in own]
    return "\n".join([text, *lines, "--verbosity=1 shows where this comes from."])


def _is_expected(error: Exception) -> bool:
    """Whether it is of a kind that tells of a config, a folder or the system."""
    slip = isinstance(error, NotImplementedError | RecursionError)
    return isinstance(error, ValueError | OSError | RuntimeError) and not slip
