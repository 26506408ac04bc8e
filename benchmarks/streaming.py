"""A set larger than memory: how fast it starts and streams, and in how much memory.

    python benchmarks/streaming.py --prepared=prepared/idrid-<fingerprint>

Prepared photographs are written again and again, under ids of their own, to as many
records as `--photographs` says: 90,000 of 256 pixels are 7 GB, in a temporary folder
under `--work_dir`. Three streams then train in turns, so that a machine that slows down
does it to all of them:

- cached: of as many photographs as `--cached` says, decoded once and kept in memory.
- streaming: of all of them, each batch read from disk and decoded.
- cold: the same after the system forgot what it has read of the records.
"""

import dataclasses
import functools
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import gin
import tensorflow as tf
import tqdm

from configs import loader, registry  # noqa: F401
from input_pipeline import pipeline, records, whole_files
from train import recipe as recipes
from train import trainer

GIN_FILE = flags.DEFINE_string("gin_file", "configs/idrid_resnet_v2.gin", "Experiment.")
PREPARED = flags.DEFINE_string("prepared", None, "A prepared folder.", required=True)
WORK_DIR = flags.DEFINE_string("work_dir", None, "Where the records go for a while.")
PHOTOGRAPHS = flags.DEFINE_integer("photographs", 90_000, "Photographs of the set.")
CACHED = flags.DEFINE_integer("cached", 4096, "Photographs of the set in memory.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Photographs a step.")
STEPS = flags.DEFINE_integer("steps", 2000, "Batches over which memory is watched.")
MEASURED = flags.DEFINE_integer("measured", 1600, "Photographs a measurement.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each kind.")

PER_SHARD = 128


def main(argv: list[str]) -> None:
    """Prints what was measured."""
    del argv
    base = records.Prepared(pathlib.Path(PREPARED.value))
    with tempfile.TemporaryDirectory(dir=WORK_DIR.value) as name:
        folder = pathlib.Path(name)
        size = write_copies(base, folder)
        decoded = PHOTOGRAPHS.value * base.image_size**2 * 3
        print(
            f"{PHOTOGRAPHS.value:,} photographs of {base.image_size} px: "
            f"{size / 1e9:.1f} GB on disk, {decoded / 1e9:.1f} GB decoded; "
            f"{os.cpu_count()} processors",
            flush=True,
        )
        measure(folder)


def write_copies(base: records.Prepared, folder: pathlib.Path) -> int:
    """Writes a prepared folder of repeated photographs; returns its bytes."""
    entries = base.manifest["photographs"]
    originals = [base.read_record(entry["id"]) for entry in entries]
    manifest = base.manifest | {"photographs": [], "shards": []}
    numbers = range(PHOTOGRAPHS.value)
    for first in tqdm.tqdm(numbers[::PER_SHARD], "write", unit="shard"):
        path = folder / f"shard-{first // PER_SHARD:05d}.tfrecord"
        offset = 0
        with tf.io.TFRecordWriter(os.fspath(path)) as writer:
            for number in numbers[first : first + PER_SHARD]:
                entry = entries[number % len(entries)]
                new_id = f"{entry['id'].partition('/')[0]}/copy/{number:06d}"
                record = renamed(originals[number % len(entries)], new_id)
                writer.write(record)
                place = records.Place(first // PER_SHARD, offset, len(record))
                offset += records.HEADER_BYTES + len(record) + records.FOOTER_BYTES
                manifest["photographs"].append(
                    entry | {"id": new_id, "place": dataclasses.asdict(place)}
                )
        manifest["shards"].append(
            {"file": path.name, "bytes": offset, "sha256": records.file_sha256(path)}
        )
    whole_files.write_json(folder / records.MANIFEST, manifest)
    os.sync()  # Only what is on disk can be forgotten.
    return sum(shard["bytes"] for shard in manifest["shards"])


def renamed(record: bytes, new_id: str) -> bytes:
    """The same record of a photograph with another id."""
    example = tf.train.Example.FromString(record)
    example.features.feature["id"].bytes_list.value[0] = new_id.encode()
    return example.SerializeToString(deterministic=True)


def measure(folder: pathlib.Path) -> None:
    """Prints start, memory and speed of streams from a prepared folder."""
    gin.clear_config()
    bindings = [f"training_stream.batch_size = {BATCH_SIZE.value}"]
    loader.load([GIN_FILE.value], bindings, ("prepare", "audit", "split", "train"))
    recipe = gin.get_configurable(recipes.Recipe)()

    forget(folder)
    prepared, manifest = timed(functools.partial(records.Prepared, folder))
    ids = [one.id for one in prepared.photographs]
    labels = recipe.task.labels(prepared.photographs)

    def open_stream(count: int, gigabytes: float) -> pipeline.OpenStream:
        settings = dataclasses.replace(recipe.stream, cache_gigabytes=gigabytes)
        return settings.open(prepared, ids[:count], labels[:count], recipe.seed)

    streaming, checksums = timed(functools.partial(open_stream, len(ids), 0.0))
    _, first = timed(functools.partial(streaming.batch, 0))
    print(
        f"start from a cold disk: manifest {manifest:.1f} s, checksums and order "
        f"{checksums:.1f} s, first batch {first:.2f} s",
        flush=True,
    )

    watched = list(watch_memory(streaming))
    early = len(watched) // 10 + 1
    print(
        f"memory while streaming: at most {max(watched[:early]) / 1e6:.0f} MB in the "
        f"first {STEPS.value // 10} steps, {max(watched[early:]) / 1e6:.0f} MB in the "
        f"rest of {STEPS.value}",
        flush=True,
    )

    before = resident()
    cached = open_stream(CACHED.value, float("inf"))
    print(
        f"in memory: {CACHED.value:,} photographs, "
        f"{(resident() - before) / 1e6:.0f} MB more",
        flush=True,
    )
    compare_speeds(
        trainer.Trainer(recipe, prepared.image_size),
        cached,
        streaming,
        functools.partial(forget, folder),
    )


def watch_memory(stream: pipeline.OpenStream) -> Iterator[int]:
    """Resident bytes of this process after each tenth batch."""
    batches = stream.dataset(0, STEPS.value)
    for step, _ in enumerate(tqdm.tqdm(batches, "stream", STEPS.value, unit="batch")):
        if step % 10 == 9:
            yield resident()


def compare_speeds(
    training: trainer.Trainer,
    cached: pipeline.OpenStream,
    streaming: pipeline.OpenStream,
    make_cold: Callable[[], None],
) -> None:
    """Prints photographs a second of each kind, the training step included."""
    kinds = {"cached": cached, "streaming": streaming, "cold": streaming}
    batches = {name: iter(one.dataset(0, 10**9)) for name, one in kinds.items()}
    steps = MEASURED.value // BATCH_SIZE.value

    def take(name: str, count: int) -> float:
        training.train_steps(batches[name], tf.constant(count, tf.int64))
        training.running()  # Waits for the device.
        return count * BATCH_SIZE.value

    for name in kinds:  # Traces the graph and fills the buffers.
        take(name, 5)
    rates, costs = ({name: [] for name in kinds} for _ in range(2))
    for _ in range(ROUNDS.value):
        for name in kinds:
            if name == "cold":
                make_cold()
            used = time.process_time()
            taken, seconds = timed(functools.partial(take, name, steps))
            rates[name].append(taken / seconds)
            costs[name].append(1000 * (time.process_time() - used) / taken)
    print("medians; the ratio is that to cached within a round")
    print(f"{'':>10} {'photographs/s':>14} {'ratio':>6} {'processor ms each':>18}")
    for name, found in rates.items():
        pairs = zip(found, rates["cached"], strict=True)
        ratio = statistics.median(one / other for one, other in pairs)
        print(
            f"{name:>10} {statistics.median(found):14.0f} {ratio:6.2f} "
            f"{statistics.median(costs[name]):18.2f}",
            flush=True,
        )


def timed(run: Callable) -> tuple:
    """What a function returns, and the seconds that it took."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def forget(folder: pathlib.Path) -> None:
    """Makes the system drop what it keeps in memory of a folder's files."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def resident() -> int:
    """Bytes of memory that this process has, without cached files."""
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    app.run(main)
