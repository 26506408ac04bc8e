"""Duplicate search: time, memory and what it finds, on up to 90,000 photographs.

    python benchmarks/duplicates.py --data_dir=<IDRiD>

Thumbnails are simulated: random mixtures of the principal components of real ones, or
of drawn ones without `--data_dir`, and noise. Among them lie re-encoded copies of
others. `--brightness=0.25` makes all dark, and so alike: the slowest case.
"""

import concurrent.futures
import math
import os
import pathlib
import resource
import sys
import time

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import cv2
import numpy as np

from input_pipeline import duplicates, fundus, progress, quality
from input_pipeline.datasets import synthetic

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of real photographs.")
COUNTS = flags.DEFINE_multi_integer(
    "count", [10_000, 30_000, 90_000], "Photographs; repeatable, ascending."
)
THRESHOLD = flags.DEFINE_float("threshold", 2.5, "In grey levels.")
BRIGHTNESS = flags.DEFINE_float("brightness", 1.0, "Factor on all thumbnails.")

DRAWN = 300
COPIES = 0.01  # of all
NOISE = 1.0  # grey levels
BATCH = 1000


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    cv2.setNumThreads(1)
    seen = photograph_thumbnails()
    print(f"{len(seen)} thumbnails to learn from, {os.cpu_count()} processors")
    print(
        f"{'photographs':>11} {'time':>8} {'growth':>7} {'peak memory':>12} "
        f"{'compared whole':>15} {'of all pairs':>13} {'planted':>8} {'found':>6} "
        f"{'other pairs':>12}"
    )
    compared = count_comparisons()
    before = None
    for count in COUNTS.value:
        thumbnails, planted = simulate(seen, count)
        compared.clear()
        start = time.perf_counter()
        links = duplicates.find(thumbnails, THRESHOLD.value)
        seconds = time.perf_counter() - start
        found = {(one.first, one.second) for one in links}
        growth = "" if before is None else f"n^{exponent(before, (count, seconds)):.2f}"
        before = count, seconds
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{count:11,} {seconds:6.1f} s {growth:>7} {peak:9.2f} GB "
            f"{sum(compared):15,} {sum(compared) / math.comb(count, 2):13.1e} "
            f"{len(planted):8,} {len(planted & found):6,} {len(found - planted):12,}"
        )


def exponent(one: tuple[int, float], other: tuple[int, float]) -> float:
    """The power of the number with which time grows; 2 if every pair costs the same."""
    return math.log(other[1] / one[1]) / math.log(other[0] / one[0])


def count_comparisons() -> list[int]:
    """A list to which the search adds how many pairs it compares pixel by pixel."""
    counts = []
    compare = duplicates._Distinct.compare

    def counting(self, first, second, threshold):
        counts.append(len(first))
        return compare(self, first, second, threshold)

    duplicates._Distinct.compare = counting
    return counts


def photograph_thumbnails() -> np.ndarray:
    """Distinct thumbnails of real or drawn photographs, uint8 `(n, 64, 64, 3)`."""
    if DATA_DIR.value:
        sources = sorted(pathlib.Path(DATA_DIR.value).rglob("*.jpg"))
    else:
        sources = range(DRAWN)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        small = progress.bar(pool.map(prepared_thumbnail, sources), total=len(sources))
        return np.unique(np.stack(list(small)), axis=0)


def prepared_thumbnail(source: pathlib.Path | int) -> np.ndarray:
    """Of a photograph's file, or of the drawing of a seed."""
    if isinstance(source, pathlib.Path):
        data = source.read_bytes()
    else:
        drawing = synthetic.draw(source % 5, np.random.default_rng(source), width=536)
        data = cv2.imencode(".png", drawing.image[..., ::-1])[1].tobytes()
    return quality.thumbnail(fundus.prepare(data, 256)[0])


def simulate(seen: np.ndarray, count: int) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """Thumbnails with the statistics of others, and the pairs that are copies."""
    rng = np.random.default_rng(0)
    pixels = seen.reshape(len(seen), -1).astype(np.float32)
    mean = pixels.mean(axis=0)
    _, spread, components = np.linalg.svd(pixels - mean, full_matrices=False)
    components *= (spread / math.sqrt(len(seen)))[:, None]
    thumbnails = np.empty((count, *seen.shape[1:]), np.uint8)
    originals = count - round(COPIES * count)
    for start in range(0, originals, BATCH):
        size = min(BATCH, originals - start)
        scores = rng.standard_normal((size, len(components)), np.float32)
        batch = scores @ components + mean
        batch += NOISE * rng.standard_normal(batch.shape, np.float32)
        batch = np.clip(BRIGHTNESS.value * batch, 0, 255).round()
        thumbnails[start : start + size] = batch.reshape(size, *seen.shape[1:])
    planted = set()
    for copy, original in enumerate(
        rng.choice(originals, count - originals, replace=False), originals
    ):
        thumbnails[copy] = reencode(thumbnails[original])
        planted.add((int(original), copy))
    return thumbnails, planted


def reencode(thumbnail: np.ndarray) -> np.ndarray:
    """The thumbnail of a photograph that was saved again as JPEG."""
    photograph = cv2.resize(thumbnail, (512, 512), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return quality.thumbnail(cv2.imdecode(data, cv2.IMREAD_COLOR))


if __name__ == "__main__":
    app.run(main)
