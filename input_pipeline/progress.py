"""Progress bars that suit a terminal and a log file alike."""

import contextlib
import sys
from typing import Any

import tqdm


def bar(*args: Any, **kwargs: Any) -> tqdm.tqdm:
    """`tqdm.tqdm`, but a line every 30 seconds where there is no terminal to redraw."""
    if not sys.stderr.isatty():
        kwargs |= {"mininterval": 30, "ascii": True, "ncols": 100}
    return tqdm.tqdm(*args, **kwargs)


def aside() -> contextlib.AbstractContextManager[None]:
    """Lets a `with` block write to the terminal on lines of its own, past any bar."""
    return tqdm.tqdm.external_write_mode(file=sys.stderr)
