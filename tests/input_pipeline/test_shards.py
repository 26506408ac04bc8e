import concurrent.futures
import hashlib
import io
import json
import multiprocessing
import os
import pathlib
import runpy
import signal
import time
from concurrent.futures import process

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from input_pipeline import fundus, shards

CHILD = pathlib.Path(__file__).with_name("prepare_in_child.py")


def content(folder):
    """Every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# What a record holds, read by TensorFlow's own reader and parser.

SCHEMA = {
    "id": tf.io.FixedLenFeature([], tf.string),
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "source/sha256": tf.io.FixedLenFeature([], tf.string),
    "grade": tf.io.VarLenFeature(tf.int64),
    "any_dr": tf.io.VarLenFeature(tf.int64),
    "macular_edema": tf.io.VarLenFeature(tf.int64),
    "patient": tf.io.VarLenFeature(tf.string),
    "eye": tf.io.VarLenFeature(tf.string),
    "split": tf.io.VarLenFeature(tf.string),
    "crop/left": tf.io.FixedLenFeature([], tf.int64),
    "crop/top": tf.io.FixedLenFeature([], tf.int64),
    "crop/right": tf.io.FixedLenFeature([], tf.int64),
    "crop/bottom": tf.io.FixedLenFeature([], tf.int64),
    "crop/width": tf.io.FixedLenFeature([], tf.int64),
    "crop/height": tf.io.FixedLenFeature([], tf.int64),
}


@pytest.fixture(scope="module")
def parsed(few_prepared_once):
    """Id -> what TensorFlow parses from its record."""
    files = sorted(map(str, few_prepared_once.folder.glob("*.tfrecord")))
    examples = [
        tf.io.parse_single_example(record, SCHEMA)
        for record in tf.data.TFRecordDataset(files)
    ]
    return {one["id"].numpy().decode(): one for one in examples}


def test_any_tfrecord_reader_finds_each_photograph_once_in_order(parsed):
    assert list(parsed) == [f"few/{letter}.jpg" for letter in "abcdefg"]


def test_the_stored_image_is_pixel_for_pixel_what_fundus_makes(parsed, few):
    for photograph_id, example in parsed.items():
        content = (few / photograph_id.removeprefix("few/")).read_bytes()
        expected, _ = fundus.prepare(content, 64)
        stored = Image.open(io.BytesIO(example["image/encoded"].numpy()))
        assert stored.format == "PNG"
        np.testing.assert_array_equal(stored, expected)
        decoded = tf.io.decode_png(example["image/encoded"])
        np.testing.assert_array_equal(decoded, expected)


def test_the_crop_and_the_originals_checksum_are_stored(parsed, few):
    for photograph_id, example in parsed.items():
        content = (few / photograph_id.removeprefix("few/")).read_bytes()
        _, crop = fundus.prepare(content, 64)
        for name in ("left", "top", "right", "bottom", "width", "height"):
            assert example[f"crop/{name}"].numpy() == getattr(crop, name)
        expected = hashlib.sha256(content).hexdigest()
        assert example["source/sha256"].numpy().decode() == expected


def test_labels_are_stored_and_what_is_unknown_is_absent_rather_than_0(parsed):
    names = ("grade", "any_dr", "macular_edema", "patient", "eye", "split")
    found = {
        photograph_id: [example[name].values.numpy().tolist() for name in names]
        for photograph_id, example in parsed.items()
    }
    assert found == {
        "few/a.jpg": [[0], [0], [0], [b"p1"], [b"left"], []],
        "few/b.jpg": [[3], [1], [2], [b"p1"], [b"right"], []],
        "few/c.jpg": [[1], [1], [], [], [], [b"train"]],
        "few/d.jpg": [[], [1], [], [], [], [b"valid"]],
        "few/e.jpg": [[], [0], [], [], [], []],
        "few/f.jpg": [[], [], [1], [], [], [b"test"]],
        "few/g.jpg": [[], [], [], [], [], []],
    }


def test_a_record_holds_nothing_that_the_schema_does_not_name(few_prepared_once):
    record = few_prepared_once.read_record("few/a.jpg")
    names = set(tf.train.Example.FromString(record).features.feature)
    assert names == set(SCHEMA) - {"split"}  # The source does not name it.


# The work of a pool.


def test_a_full_disk_is_an_oserror_and_leaves_no_partial_file(
    few_preparation, few, tmp_path, monkeypatch
):
    def no_space(self, record):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.io.TFRecordWriter, "write", no_space)
    with pytest.raises(
        OSError, match=r"Preparing into .* stopped: No space left on dev"
    ):
        few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    assert set(content(tmp_path / "prepared")) == {f"{folder_name(tmp_path)}/.lock"}


def folder_name(tmp_path):
    (folder,) = (tmp_path / "prepared").iterdir()
    return folder.name


def test_a_killed_worker_is_a_readable_error_and_the_next_run_goes_on(
    few_preparation, few, few_prepared_once, tmp_path, monkeypatch
):
    to_example = shards._to_example

    def kill_a_worker(source, ingested):
        if source.path.name == "c.jpg":
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()
        return to_example(source, ingested)

    monkeypatch.setattr(shards, "_to_example", kill_a_worker)
    # One worker is given four photographs at a time, so it has not seen the last one.
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(
        RuntimeError,
        match=r"photographs died at or shortly after .*\.jpg, perhaps for lack of "
        r"memory\. Finished shards are kept: run the same command again\.",
    ):
        few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    left = {path.name for path in (tmp_path / "prepared").rglob("shard-*")}
    assert {"shard-00000-of-00003.tfrecord", "shard-00000-of-00003.json"} <= left
    assert not any(name.startswith("shard-00002") for name in left)
    assert not any(name.endswith(".partial") for name in left)

    monkeypatch.setattr(shards, "_to_example", to_example)
    prepared = few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    records = {path.name for path in prepared.folder.glob("*.tfrecord")}
    for name in records:
        expected = (few_prepared_once.folder / name).read_bytes()
        assert (prepared.folder / name).read_bytes() == expected
    assert len(records) == 3


def test_a_pool_that_takes_no_more_work_is_the_same_readable_error(
    few_preparation, few, tmp_path, monkeypatch
):
    class Broken(concurrent.futures.ThreadPoolExecutor):
        def __init__(self, workers, context, initializer):
            super().__init__(workers)

        def submit(self, *args):
            raise process.BrokenProcessPool("A child process terminated abruptly")

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Broken)
    with pytest.raises(
        RuntimeError, match=r"photographs died, perhaps for lack of memory\. Finished"
    ):
        few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]


def test_a_damaged_note_makes_its_shard_again(
    few_preparation, few, few_prepared_once, tmp_path, monkeypatch
):
    bad = few / "g.jpg"
    good = bad.read_bytes()
    bad.write_bytes(b"")
    with pytest.raises(ValueError, match=r"g\.jpg"):
        few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    folder = tmp_path / "prepared" / folder_name(tmp_path)
    (folder / "shard-00000-of-00003.json").write_text('{"photographs": [')
    (folder / "shard-00001-of-00003.json").write_text("{}")
    bad.write_bytes(good)
    few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    for number in range(3):
        name = f"shard-0000{number}-of-00003.tfrecord"
        expected = (few_prepared_once.folder / name).read_bytes()
        assert (folder / name).read_bytes() == expected


# Real processes that are killed. They are forked from a server that has imported
# TensorFlow, which takes seconds, once.

needs_proc = pytest.mark.skipif(
    not pathlib.Path("/proc/self/stat").exists(), reason="processes are seen in /proc"
)


@pytest.fixture(scope="module")
def start(idrid_like):
    context = multiprocessing.get_context("forkserver")
    multiprocessing.set_forkserver_preload(
        ["input_pipeline.prepare", "input_pipeline.datasets.idrid"]
    )

    def start(prepared_dir, dies=None):
        """Starts a process that prepares the drawn photographs in six shards."""
        arguments = {
            "data_dir": idrid_like,
            "prepared_dir": prepared_dir,
            "dies": dies,
            "workers": prepared_dir.with_name("workers.txt"),
        }
        child = context.Process(
            target=runpy.run_path, args=(str(CHILD), {"ARGUMENTS": arguments})
        )
        child.start()
        return child

    return start


@pytest.fixture(scope="module")
def undisturbed(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "prepared"
    child = start(folder)
    child.join()
    assert child.exitcode == 0
    return content(folder)


def identity(path):
    """Changes when a file is written again, with the same content or not."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def is_running(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def assert_that_workers_end(workers):
    deadline = time.monotonic() + 60
    while running := [pid for pid in workers if is_running(pid)]:
        assert time.monotonic() < deadline, f"still running: {running}"
        time.sleep(0.01)


# The six shards and their notes get their names one after another, the manifest last.
MOMENTS = {
    "as the first shard is whole but has no name": ("before", 1),
    "as the first shard has no note": ("after", 1),
    "as the first note is whole but has no name": ("before", 2),
    "in the middle of the third shard": ("record", 25),
    "as the manifest is whole but has no name": ("before", 13),
    "as the notes are not removed yet": ("after", 13),
}


@needs_proc
@pytest.mark.parametrize("dies", MOMENTS.values(), ids=MOMENTS)
def test_a_killed_preparation_is_finished_by_the_same_command(
    start, undisturbed, tmp_path, dies
):
    killed = start(tmp_path / "prepared", dies)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert content(tmp_path / "prepared") != undisturbed
    assert_that_workers_end((tmp_path / "workers.txt").read_text().split())
    finished = start(tmp_path / "prepared")
    finished.join()
    assert finished.exitcode == 0
    assert content(tmp_path / "prepared") == undisturbed


@needs_proc
def test_a_preparation_killed_again_and_again_keeps_its_finished_shards(
    start, undisturbed, tmp_path
):
    first = set()
    for _ in range(3):
        child = start(tmp_path / "prepared", ("record", 15))  # In its second shard.
        child.join()
        assert child.exitcode == -signal.SIGKILL
        workers = (tmp_path / "workers.txt").read_text().split()
        assert workers
        assert_that_workers_end(workers)
        (shard,) = (tmp_path / "prepared").rglob("shard-00000-of-00006.tfrecord")
        first.add(identity(shard))
    notes = [path.name[:11] for path in (tmp_path / "prepared").rglob("shard-*.json")]
    assert sorted(notes) == ["shard-00000", "shard-00001", "shard-00002"]
    child = start(tmp_path / "prepared")
    child.join()
    assert child.exitcode == 0
    assert content(tmp_path / "prepared") == undisturbed
    assert first == {identity(shard)}


def test_two_processes_that_prepare_the_same_at_once_both_succeed(
    start, undisturbed, tmp_path
):
    children = [start(tmp_path / "prepared") for _ in range(2)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert content(tmp_path / "prepared") == undisturbed


def test_the_undisturbed_folder_holds_shards_and_manifest_alone(undisturbed):
    names = sorted(pathlib.PurePath(name).name for name in undisturbed)
    shard_names = [f"shard-{number:05d}-of-00006.tfrecord" for number in range(6)]
    assert names == [".lock", "manifest.json", *shard_names]
    (manifest,) = (undisturbed[one] for one in undisturbed if one.endswith(".json"))
    assert len(json.loads(manifest)["photographs"]) == 52
