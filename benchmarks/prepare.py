"""Preparation speed: originals to finished shards, against decoding alone.

    python benchmarks/prepare.py --data_dir=<IDRiD>

Decoding alone reads each file and decodes it at the same reduced scale, in as many
processes, and keeps nothing: what no preparation can beat. `--repeat` prepares every
photograph several times under other names, to show that memory does not grow.
"""

import concurrent.futures
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import sys
import tempfile
import threading
import time

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import cv2
import numpy as np

from input_pipeline import ingest

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of IDRiD.", required=True)
IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "Side of the prepared square.")
REPEAT = flags.DEFINE_integer("repeat", 1, "How often each photograph is prepared.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Measurements of each kind.")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    # Only here: the pool's processes import this file, and need no TensorFlow.
    from input_pipeline import prepare
    from input_pipeline.datasets import idrid

    published = idrid.idrid()
    repeated = dataclasses.replace(
        published, read=functools.partial(read_repeatedly, published.read)
    )
    preparation = prepare.Preparation(datasets=[repeated], image_size=IMAGE_SIZE.value)
    data_dir = pathlib.Path(DATA_DIR.value)
    photographs = repeated.read(data_dir)
    paths = [one.path for one in photographs]

    print(
        f"{len(paths)} photographs, {IMAGE_SIZE.value} px, {os.cpu_count()} processors"
    )
    print(f"{'decode alone':>13} {'prepare':>10} {'ratio':>6} {'peak memory':>12}")
    for _ in range(ROUNDS.value):
        decoding = len(paths) / decode_alone(paths)
        with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
            start = time.perf_counter()
            preparation.run({"idrid": data_dir}, pathlib.Path(folder))
            preparing = len(paths) / (time.perf_counter() - start)
        print(
            f"{decoding:10.0f} /s {preparing:7.0f} /s {preparing / decoding:6.2f} "
            f"{memory.peak / 1e6:9.0f} MB"
        )


def read_repeatedly(read, data_dir: pathlib.Path) -> list:
    """Every photograph several times, under ids of their own."""
    return [
        dataclasses.replace(one, id=f"{one.id}/{turn}")
        for turn in range(REPEAT.value)
        for one in read(data_dir)
    ]


def decode_alone(paths: list[pathlib.Path]) -> float:
    """Seconds to read and decode all files, the pool's start included."""
    start = time.perf_counter()
    reduced = {256: cv2.IMREAD_REDUCED_COLOR_4, 512: cv2.IMREAD_REDUCED_COLOR_2}
    flag = reduced.get(IMAGE_SIZE.value, cv2.IMREAD_COLOR)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        os.cpu_count(), context, initializer=ingest.start_worker
    ) as pool:
        for _ in pool.map(functools.partial(decode, flag), paths, chunksize=8):
            pass
    return time.perf_counter() - start


def decode(flag: int, path: pathlib.Path) -> None:
    """Decodes one file."""
    cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)


class PeakMemory:
    """The largest resident memory of this process and its children, in bytes."""

    def __enter__(self):
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.05):
            children = [one.pid for one in multiprocessing.active_children()]
            pages = 0
            for pid in (os.getpid(), *children):
                try:
                    text = pathlib.Path(f"/proc/{pid}/statm").read_text()
                except OSError:
                    continue
                pages += int(text.split()[1])
            self.peak = max(self.peak, pages * page)


if __name__ == "__main__":
    app.run(main)
