"""One process at a time in a folder; the lock ends with its process, killed or not."""

import contextlib
import fcntl
import io
import pathlib
from collections.abc import Iterator

from absl import logging

NAME = ".lock"


@contextlib.contextmanager
def hold(
    folder: pathlib.Path, *, wait: bool, flag: str = "--run_dir"
) -> Iterator[None]:
    """Holds `folder` for the length of a `with` block, creating it if need be.

    Args:
        folder: The folder to have alone.
        wait: Whether to wait for another process, or to refuse.
        flag: What names another folder.

    Yields:
        Nothing.

    Raises:
        BlockingIOError: Another process holds the folder and `wait` is False.
        OSError: The folder cannot be made, or not be written to.
    """
    with _lock_file(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise BlockingIOError(
                    f"Another process is at work in {folder}. Wait for it to end, or "
                    f"name another folder with {flag}."
                ) from None
            logging.info("Waiting for another process that is at work in %s.", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_file(folder: pathlib.Path) -> io.BufferedWriter:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return open(folder / NAME, "ab")
    except OSError as error:
        raise OSError(
            f"{folder} must be a folder that can be written to. Received: "
            f"{error.strerror}. Make it so, or name another one (--run_dir, "
            "--prepared_dir, --output_dir)."
        ) from error
