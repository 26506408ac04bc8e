"""Arrays that took long to make, kept on disk; a copy, that can be made anew."""

import io
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping

import numpy as np


def load(file: pathlib.Path, names: Iterable[str]) -> dict[str, np.ndarray] | None:
    """Reads what was kept.

    Args:
        file: Where, with the ending `.npz`.
        names: Of all arrays that were kept.

    Returns:
        Name -> array, or None: nothing was kept, or the file was cut off or damaged.
    """
    try:
        with np.load(io.BytesIO(file.read_bytes())) as kept:
            return {name: kept[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError):
        return None
    except (zipfile.BadZipFile, zlib.error):
        return None


def save(file: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Keeps arrays, compressed without loss, whole or not at all.

    Args:
        file: Where, with the ending `.npz`; the folder is made.
        arrays: Name -> array; no objects.

    Raises:
        OSError: The disk is full, for one; names the file.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial")  # Others may keep the same.
    try:
        partial.write_bytes(packed.getvalue())
        os.replace(partial, file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        error.filename = error.filename or str(file)  # Writing names none.
        raise
