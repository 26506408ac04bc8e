"""Memory for photographs while they are decoded and drawn, for all threads together."""

import contextlib
import threading
from collections.abc import Iterator

from input_pipeline import image_header

MOST_BYTES = 600_000_000
"""For all that is decoded at once: the largest photograph, or several smaller ones."""

# Of a progressive JPEG in four colours with a small retina 11.4 were measured, of a PNG
# 6 and, where much of the retina's box lies beyond it, 10.5.
_BYTES_A_PIXEL = 12
_BYTES_A_DRAWN_PIXEL = 40  # Colours are mixed as float32.


class Room:
    """Bytes that there are; who needs more than are left waits for them.

    Where each thread could decode the largest photograph at once, a machine of many
    processors would need many gigabytes.
    """

    def __init__(self, most: int = MOST_BYTES):
        """All of it is free.

        Args:
            most: Bytes.
        """
        self._most = self._free = most
        self._first = threading.Lock()
        self._given_back = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Waits until there is room, which is given back at the context's end.

        Args:
            size: Bytes; more than there ever are count as all of them.
        """
        size = min(size, self._most)
        # One waits for room, the others for their turn: what is large would wait for
        # ever if what is small could go before it.
        with self._first, self._given_back:
            self._given_back.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._given_back:
                self._free += size
                self._given_back.notify()


def of_file(header: image_header.ImageHeader) -> int:
    """Bytes that decoding and preparing a photograph take, at most."""
    return header.width * header.height * _BYTES_A_PIXEL


def of_drawing(header: image_header.ImageHeader, longest: int) -> int:
    """The same of a picture of it whose longer side has at most so many pixels."""
    scale = min(1, longest / max(header.width, header.height))
    drawn = header.width * header.height * scale**2
    return of_file(header) + round(drawn * _BYTES_A_DRAWN_PIXEL)
