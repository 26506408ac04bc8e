"""Photographs to TFRecord shards: a pool of processes decodes, this process writes.

A shard appears whole or not at all. Beside it goes a note, a JSON file of what it
holds: from notes a run that was killed goes on, and the manifest is put together.
"""

import collections
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import process
from typing import Any

import tensorflow as tf
import tqdm

from input_pipeline import ingest, photograph, progress, records, whole_files

PHOTOGRAPHS_PER_SHARD = 128

Note = dict[str, Any]
"""`shard`: the file's entry; `photographs`, `unreadable`: an entry each."""


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Where shards are made, and how.

    Attributes:
        folder: Where the shards go.
        count: How many shards there are in all; part of their names.
        data_dir: The dataset's folder, to which recorded paths are relative.
        image_size: Side of the prepared square, in pixels.
        jpeg_quality: 1-100, or None for PNG.
    """

    folder: pathlib.Path
    count: int
    data_dir: pathlib.Path
    image_size: int
    jpeg_quality: int | None

    def shard_path(self, number: int) -> pathlib.Path:
        """The file of a shard."""
        return self.folder / f"shard-{number:05d}-of-{self.count:05d}.tfrecord"

    def note_path(self, number: int) -> pathlib.Path:
        """The note beside a shard."""
        return self.shard_path(number).with_suffix(".json")

    def finished(
        self, number: int, sources: Sequence[photograph.Photograph]
    ) -> Note | None:
        """The note of a shard that an earlier run made of just these photographs."""
        try:
            note = json.loads(self.note_path(number).read_text(encoding="utf-8"))
            if records.file_sha256(self.shard_path(number)) != note["shard"]["sha256"]:
                return None
            noted = {one["id"]: one for one in note["photographs"] + note["unreadable"]}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # It is absent or damaged, so the shard is made again.
        expected = {
            one.id: _labels(one) | _stat(one.path) | self._path(one) for one in sources
        }
        if any(one["sha256"] is None for one in note["unreadable"]):
            return None  # Not the file's own fault, so it is tried again.
        same = noted.keys() == expected.keys() and all(
            noted[key] | expected[key] == noted[key] for key in expected
        )
        return note if same else None

    def make(
        self, sources: Mapping[int, Sequence[photograph.Photograph]]
    ) -> dict[int, Note]:
        """Makes shards of photographs, in constant memory.

        Args:
            sources: Shard number -> its photographs.

        Returns:
            Shard number -> its note.

        Raises:
            OSError: The disk is full; shards that were finished stay.
            RuntimeError: A worker process died.
        """
        if not sources:
            return {}
        every = [one for group in sources.values() for one in group]
        context = multiprocessing.get_context("spawn")
        workers = max(1, min(os.cpu_count() or 1, len(every)))
        with (
            concurrent.futures.ProcessPoolExecutor(
                workers, context, initializer=ingest.start_worker
            ) as pool,
            progress.bar(total=len(every), desc="prepare", unit="photo") as bar,
        ):
            results = self._ingest(pool, every, window=4 * workers)
            notes = {}
            try:
                for number, group in sources.items():
                    notes[number] = self._write(number, group, results, bar)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return notes

    def _ingest(
        self,
        pool: concurrent.futures.Executor,
        sources: Iterable[photograph.Photograph],
        window: int,
    ) -> Iterator[tuple[dict[str, int], ingest.Ingested | ingest.Unreadable]]:
        """Each one's file state and content, in order, few at a time in memory."""
        pending: collections.deque = collections.deque()
        first = None  # The photograph whose result is awaited.
        try:
            for source in sources:
                # Taken before the file is read, so that a later change shows.
                state = _stat(source.path)
                future = pool.submit(
                    ingest.ingest, source.path, self.image_size, self.jpeg_quality
                )
                pending.append((source, state, future))
                if len(pending) == window:
                    first, state, future = pending.popleft()
                    yield state, future.result()
            while pending:
                first, state, future = pending.popleft()
                yield state, future.result()
        except process.BrokenProcessPool as error:
            near = f" at or shortly after {first.path}" if first else ""
            raise RuntimeError(
                f"A process that reads photographs died{near}, perhaps for lack of "
                "memory. Finished shards are kept: run the same command again. If it "
                "dies there again, the photograph is to blame: take it out."
            ) from error

    def _write(
        self,
        number: int,
        sources: Sequence[photograph.Photograph],
        results: Iterator[tuple[dict[str, int], ingest.Ingested | ingest.Unreadable]],
        bar: tqdm.tqdm,
    ) -> Note:
        """Writes one shard, then its note."""
        note: Note = {"photographs": [], "unreadable": []}
        with _ShardWriter(self.shard_path(number), number) as writer:
            for source in sources:
                state, result = next(results)
                entry = {"id": source.id} | self._path(source) | _labels(source) | state
                entry["sha256"] = result.sha256
                if isinstance(result, ingest.Unreadable):
                    why = {"reason": result.reason, "kind": result.kind}
                    note["unreadable"].append(entry | why)
                else:
                    place = writer.write(_to_example(source, result))
                    entry["place"] = dataclasses.asdict(place)
                    note["photographs"].append(entry | _measured(result))
                bar.update()
        note["shard"] = writer.entry
        whole_files.write_json(self.note_path(number), note)
        return note

    def _path(self, source: photograph.Photograph) -> dict[str, str]:
        return {"path": source.path.relative_to(self.data_dir).as_posix()}


def _labels(source: photograph.Photograph) -> dict[str, Any]:
    return {name: getattr(source, name) for name in records.LABELS}


def _measured(ingested: ingest.Ingested) -> dict[str, Any]:
    """What the manifest says of a photograph beside its labels and its file."""
    return {
        "width": ingested.crop.width,
        "height": ingested.crop.height,
        "format": ingested.format,
        "camera": ingested.camera,
        "quality": dataclasses.asdict(ingested.quality),
    }


def _stat(path: pathlib.Path) -> dict[str, int]:
    try:
        stat = path.stat()
    except OSError:  # The worker finds the same and says why.
        return {"bytes": 0, "modified": 0}
    return {"bytes": stat.st_size, "modified": stat.st_mtime_ns}


class _ShardWriter:
    """A shard that has its name only once the `with` block ends well."""

    def __init__(self, path: pathlib.Path, number: int):
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._number = number
        self._offset = 0

    def __enter__(self):
        with records.as_os_error(self._partial):
            self._writer = tf.io.TFRecordWriter(os.fspath(self._partial))
        return self

    def write(self, record: bytes) -> records.Place:
        with records.as_os_error(self._partial):
            self._writer.write(record)
        place = records.Place(self._number, self._offset, len(record))
        self._offset += records.HEADER_BYTES + len(record) + records.FOOTER_BYTES
        return place

    def __exit__(self, kind, error, traceback):
        try:
            with records.as_os_error(self._partial):
                self._writer.close()
            if kind is None:
                with open(self._partial, "rb+") as file:
                    os.fsync(file.fileno())
                self.entry = {
                    "file": self._path.name,
                    "bytes": self._offset,
                    "sha256": records.file_sha256(self._partial),
                }
                os.replace(self._partial, self._path)
        except OSError:
            if kind is None:
                raise
        finally:
            self._partial.unlink(missing_ok=True)


def _to_example(source: photograph.Photograph, ingested: ingest.Ingested) -> bytes:
    """Serializes a `tf.train.Example`; labels that are not known are left out."""
    values = {
        "id": source.id,
        "image/encoded": ingested.encoded,
        "source/sha256": ingested.sha256,
    }
    values |= _labels(source)
    crop = dataclasses.asdict(ingested.crop)
    values |= {f"crop/{name}": value for name, value in crop.items()}
    features = {
        name: _to_feature(value) for name, value in values.items() if value is not None
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _to_feature(value: bytes | str | int | float) -> tf.train.Feature:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
