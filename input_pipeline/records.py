"""Prepared photographs on disk: TFRecord shards with a manifest.

A record holds what was published of one photograph, never a task's label, so that no
new task, fold or sampling policy writes a record again. The manifest names every record
with its place in its shard: a reader goes to any record directly.
"""

import contextlib
import dataclasses
import errno
import functools
import glob
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from google.protobuf import message

from input_pipeline import fundus, photograph

FORMAT = 2
"""Raise it when records or manifest change so that older readers would misread them."""

MANIFEST = "manifest.json"
LABELS = ("grade", "any_dr", "macular_edema", "gradable", "patient", "eye", "split")

REPAIR = (
    "Make the damaged shards again: the same command with --mode=doctor "
    "--gin_bindings='doctor.repair = True'."
)

# A record's frame: length (8 bytes), its checksum (4), data, the data's checksum (4).
HEADER_BYTES, FOOTER_BYTES = 12, 4


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a record lies: shard number, offset of its frame, bytes of its data."""

    shard: int
    offset: int
    length: int


@contextlib.contextmanager
def as_os_error(path: pathlib.Path) -> Iterator[None]:
    """TensorFlow's file errors as Python's, so that callers know one kind."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message, str(path)) from error


def file_sha256(path: pathlib.Path) -> str:
    """Checksum of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Prepared:
    """A folder of prepared photographs, whatever their split, ready to be read.

    Attributes:
        folder: Where the shards and the manifest lie.
        manifest: The manifest's content.
        dataset: The dataset's name, the first part of every id.
        photographs: All readable photographs, in the manifest's order; their paths are
            relative to the data folder.
        image_size: Side of the prepared squares, in pixels.
        fingerprint: Changes with any photograph, label or setting; hexadecimal.
        drawn: Whether they are drawings, so that no model of them is for real eyes.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.manifest = _read_manifest(folder)
        self.dataset: str = self.manifest["dataset"]
        entries = self.manifest["photographs"]
        self.photographs = [
            photograph.Photograph(
                id=entry["id"],
                path=pathlib.Path(entry["path"]),
                **{name: entry[name] for name in LABELS},
            )
            for entry in entries
        ]
        self.image_size: int = self.manifest["settings"]["image_size"]
        self.drawn: bool = self.manifest.get("drawn", False)
        self._places = {entry["id"]: Place(**entry["place"]) for entry in entries}

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a checksum over settings, photographs and labels."""
        content = [
            [entry[name] for name in ("id", "sha256", *LABELS)]
            for entry in self.manifest["photographs"]
        ]
        text = json.dumps([self.manifest["settings"], content])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def shard_path(self, shard: int) -> pathlib.Path:
        """The file of a shard."""
        return self.folder / self.manifest["shards"][shard]["file"]

    def place(self, photograph_id: str) -> Place:
        """Where the record of a photograph lies."""
        return self._places[photograph_id]

    def check(self, ids: Sequence[str]) -> None:
        """Compares the shards that hold `ids` with their checksums.

        Raises:
            ValueError: A shard is not as it was written; names the first damage.
        """
        for shard in sorted({self._places[one].shard for one in ids}):
            if not self.is_intact(shard):
                raise ValueError(f"{first_damage(self, shard)} {REPAIR}")

    def is_intact(self, shard: int) -> bool:
        """Whether a shard is, byte for byte, as it was written."""
        entry, path = self.manifest["shards"][shard], self.shard_path(shard)
        return path.exists() and file_sha256(path) == entry["sha256"]

    def read_record(self, photograph_id: str) -> bytes:
        """The serialized `tf.train.Example` of one photograph."""
        place = self._places[photograph_id]
        with open(self.shard_path(place.shard), "rb") as file:
            file.seek(place.offset + HEADER_BYTES)
            return file.read(place.length)

    def read_image(self, photograph_id: str) -> np.ndarray:
        """One prepared photograph.

        Args:
            photograph_id: Which one.

        Returns:
            uint8 array of shape `(image_size, image_size, 3)`, RGB, 0-255.

        Raises:
            ValueError: The record is damaged.
        """
        record = self.read_record(photograph_id)
        try:
            return _read_image(record, photograph_id, self.image_size)
        except ValueError as error:
            path = self.shard_path(self.place(photograph_id).shard)
            raise ValueError(
                f"{path}: the record of {photograph_id} is damaged: {error}. {REPAIR}"
            ) from error


def find(prepared_dir: pathlib.Path, dataset: str, fingerprint: str) -> Prepared | None:
    """A dataset's records by their fingerprint.

    Args:
        prepared_dir: Where prepared folders lie.
        dataset: The dataset's name.
        fingerprint: That of the records.

    Returns:
        The records, or None where they are not there any more.
    """
    for manifest in sorted(prepared_dir.glob(f"{glob.escape(dataset)}-*/{MANIFEST}")):
        try:
            prepared = Prepared(manifest.parent)
        except ValueError:  # Damaged, or of another version: not these.
            continue
        if (prepared.dataset, prepared.fingerprint) == (dataset, fingerprint):
            return prepared
    return None


class Collection:
    """The prepared photographs of one dataset or several, seen as one set.

    Attributes:
        folders: The prepared folder of each dataset.
        photographs: All readable photographs, dataset by dataset.
        image_size: Side of the prepared squares, in pixels.
        entries: Id -> what the manifest says of the photograph and its original file.
    """

    def __init__(self, folders: Sequence[Prepared]):
        self.folders = tuple(folders)
        self.photographs = [one for folder in folders for one in folder.photographs]
        self.image_size: int = folders[0].image_size
        self.entries: dict[str, dict[str, Any]] = {
            entry["id"]: entry
            for folder in folders
            for entry in folder.manifest["photographs"]
        }
        self._by_id = {one.id: one for one in self.photographs}
        # The first part of an id names its dataset, and so its folder.
        self._folder_of = {folder.dataset: folder for folder in folders}

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes with any photograph, label or setting; 16 hexadecimal digits."""
        content = [[folder.dataset, folder.fingerprint] for folder in self.folders]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def photograph(self, photograph_id: str) -> photograph.Photograph:
        """The photograph of an id."""
        return self._by_id[photograph_id]

    def check(self, ids: Sequence[str]) -> None:
        """Compares the shards that hold `ids` with their checksums.

        Raises:
            ValueError: A shard is not as it was written; names the first damage.
        """
        by_folder: dict[str, list[str]] = {name: [] for name in self._folder_of}
        for one in ids:
            by_folder[one.partition("/")[0]].append(one)
        for name, some in by_folder.items():
            self._folder_of[name].check(some)

    def location(self, photograph_id: str) -> tuple[pathlib.Path, Place]:
        """The shard file that holds a photograph's record, and where in it."""
        folder = self._folder(photograph_id)
        place = folder.place(photograph_id)
        return folder.shard_path(place.shard), place

    def read_record(self, photograph_id: str) -> bytes:
        """The serialized `tf.train.Example` of one photograph."""
        return self._folder(photograph_id).read_record(photograph_id)

    def read_image(self, photograph_id: str) -> np.ndarray:
        """One prepared photograph, as `Prepared.read_image` gives it."""
        return self._folder(photograph_id).read_image(photograph_id)

    def _folder(self, photograph_id: str) -> Prepared:
        return self._folder_of[photograph_id.partition("/")[0]]


def crop_of(record: bytes) -> fundus.Crop:
    """Where a record's square lies in its photograph."""
    values = read_values(record)
    return fundus.Crop(
        **{
            one.name: values[f"crop/{one.name}"]
            for one in dataclasses.fields(fundus.Crop)
        }
    )


def read_values(record: bytes) -> dict[str, bytes | int | float]:
    """What a serialized `tf.train.Example` holds; labels that are not known are absent.

    Args:
        record: The serialized example, each of its features a single value.

    Returns:
        Name -> value; text is UTF-8.

    Raises:
        ValueError: It is no such example.
    """
    try:
        features = tf.train.Example.FromString(record).features.feature
        return {
            name: getattr(feature, feature.WhichOneof("kind")).value[0]
            for name, feature in features.items()
        }
    except (message.DecodeError, TypeError, IndexError) as error:
        raise ValueError("it is no tf.train.Example of single values") from error


def first_damage(prepared: Prepared, shard: int) -> str:
    """Says which record of a shard is the first that cannot be read, and why."""
    path = prepared.shard_path(shard)
    if not path.exists():
        return f"{path} is missing."
    ids = [
        one.id for one in prepared.photographs if prepared.place(one.id).shard == shard
    ]
    written = iter(tf.data.TFRecordDataset(os.fspath(path)).as_numpy_iterator())
    for number, photograph_id in enumerate(ids):
        try:
            _read_image(next(written), photograph_id, prepared.image_size)
            continue
        except StopIteration:
            reason = "the file ends before it"
        except tf.errors.DataLossError as error:
            cut = "truncated" in error.message
            reason = "it is cut off" if cut else "its bytes do not match their checksum"
        except (tf.errors.OpError, ValueError) as error:
            reason = getattr(error, "message", str(error))
        return f"{path}: record {number} ({photograph_id}) is damaged: {reason}."
    return (
        f"{path}: all {len(ids)} records can be read, but the file is not as it was "
        "written: its checksum differs."
    )


def _read_image(record: bytes, photograph_id: str, image_size: int) -> np.ndarray:
    """Decodes a record's image; raises ValueError if it is another record or none."""
    values = read_values(record)
    found, encoded = values.get("id"), values.get("image/encoded")
    if found != photograph_id.encode() or encoded is None:
        raise ValueError(f"it holds {found!r} instead")
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None or image.shape != (image_size, image_size, 3):
        raise ValueError(
            f"its image is no picture of {image_size} x {image_size} pixels"
        )
    return image


def _read_manifest(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} does not exist: the photographs are not prepared. "
            "Run the same command with --mode=prepare --data_dir=<folder>."
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged: {error}. Remove it and prepare the photographs again."
        ) from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{path} must have format {FORMAT}. Received: format={found!r}. "
            f"Remove {folder} and prepare the photographs again."
        )
    return manifest
