"""Prepared photographs for repeated reading: kept in memory, or decoded each time.

Which of the two changes no pixel and no order, so that a run may go on where there is
less memory than where it began.
"""

import collections
import concurrent.futures
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from input_pipeline import memory, processors, progress, records

SHARE = 0.5
"""Of the available memory: what photographs may take where a config does not say."""


def budget(cache_gigabytes: float | None) -> float:
    """Gigabytes that decoded photographs may take; None: half of what is available."""
    if cache_gigabytes is None:
        return SHARE * memory.available_gigabytes()
    return cache_gigabytes


def open(  # noqa: A001, called as `images.open`, as `gzip.open` is
    prepared: records.Prepared | records.Collection,
    ids: Sequence[str],
    cache_gigabytes: float | None = 0.0,
) -> "Images":
    """Opens prepared photographs, after a look at their checksums.

    Args:
        prepared: Where they are.
        ids: Which ones, in which order.
        cache_gigabytes: They are decoded once and kept in memory if they take no more
            than this, or than half of what is available if it is None; otherwise they
            are decoded at each reading.

    Returns:
        The photographs, to be taken by their positions in `ids`.

    Raises:
        ValueError: A shard is damaged.
    """
    prepared.check(ids)
    return Images(prepared, ids, budget(cache_gigabytes))


class Images:
    """Prepared photographs, read by position.

    Attributes:
        cached_gigabytes: Memory that they take: 0 if they are read from disk.
    """

    def __init__(
        self,
        prepared: records.Prepared | records.Collection,
        ids: Sequence[str],
        cache_gigabytes: float,
    ):
        self._prepared = prepared
        self._ids = ids
        self._cache = None
        self.cached_gigabytes = 0.0
        side = prepared.image_size
        gigabytes = len(ids) * side * side * 3 / 1e9
        fits = gigabytes <= cache_gigabytes
        if cache_gigabytes > 0:
            logging.info(
                "%s photographs, %s decoded, %s of memory for them: %s.",
                f"{len(ids):,}",
                _size(gigabytes),
                _size(cache_gigabytes),
                "kept in memory" if fits else "read from disk in each epoch",
            )
        if fits:
            self._cache = self._decode_all()
            self.cached_gigabytes = gigabytes

    def __len__(self):
        return len(self._ids)

    def take(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Photographs by their positions in the ids with which they were opened.

        Args:
            positions: Which ones, in which order; one may come several times.

        Returns:
            New uint8 array of shape `(len(positions), size, size, 3)`, RGB, 0-255.

        Raises:
            ValueError: A record is damaged.
        """
        positions = np.asarray(positions, np.intp)
        if self._cache is not None:
            return self._cache[positions]
        images = self._empty(len(positions))
        for row, position in zip(images, positions, strict=True):
            row[...] = self._prepared.read_image(self._ids[position])
        return images

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """All photographs in order, read ahead in threads while the caller works.

        Args:
            size: Photographs a batch; the last may have fewer.

        Yields:
            uint8 arrays of shape `(size, image_size, image_size, 3)`, RGB, 0-255.

        Raises:
            ValueError: A record is damaged.
        """
        threads = max(1, processors.count() // 2)  # The caller needs the others.
        ahead: collections.deque = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(self), size):
                positions = np.arange(start, min(start + size, len(self)))
                ahead.append(pool.submit(self.take, positions))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _empty(self, count: int) -> np.ndarray:
        side = self._prepared.image_size
        return np.empty((count, side, side, 3), np.uint8)

    def _decode_all(self) -> np.ndarray:
        cache = self._empty(len(self))

        def decode(position: int) -> None:
            cache[position] = self._prepared.read_image(self._ids[position])

        with concurrent.futures.ThreadPoolExecutor(processors.count()) as pool:
            decoded = pool.map(decode, range(len(self)))
            bar = progress.bar(decoded, "read", len(self), unit="photo", delay=2)
            collections.deque(bar, maxlen=0)
        return cache


def _size(gigabytes: float) -> str:
    """As in "15.9 MB" or "7.2 GB"."""
    return f"{1000 * gigabytes:.1f} MB" if gigabytes < 1 else f"{gigabytes:.1f} GB"
