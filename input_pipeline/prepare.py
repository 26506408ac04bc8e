"""The one pass that decodes photographs: originals in, records with a manifest out.

A prepared folder belongs to its settings and is shared by all runs that have the same.
The manifest comes last: where it lies, the folder is complete.
"""

import dataclasses
import errno
import hashlib
import itertools
import json
import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import gin
from absl import logging

from input_pipeline import (
    changes,
    folder_lock,
    fundus,
    photograph,
    records,
    shards,
    sources,
    whole_files,
)
from input_pipeline.datasets import dataset as datasets


@gin.register("prepare")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """How photographs become records.

    Attributes:
        datasets: Which photographs, of one dataset or of several.
        image_size: Side of the prepared square, in pixels.
        jpeg_quality: 1-100; None stores without loss, as PNG.
        skip_unreadable: Whether to go on without photographs that cannot be read. They
            are listed either way; by default the run then fails at its end.
    """

    datasets: Sequence[datasets.Dataset]
    image_size: int = 256
    jpeg_quality: int | None = None
    skip_unreadable: bool = False

    def __post_init__(self):
        names = [one.name for one in self.datasets]
        if not names:
            raise ValueError("`prepare.datasets` must list a dataset. Received: [].")
        for one in self.datasets:
            if names.count(one.name) > 1:
                raise ValueError(
                    "`prepare.datasets` must list datasets with names of their own. "
                    f"Received: {names}. {datasets.naming_two(one.reader)}"
                )
        for name in names:
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise ValueError(
                    "A dataset's name must be letters, digits, '_', '-' and '.': it "
                    f"becomes a folder's. Received: {name!r}."
                )
        if not 16 <= self.image_size <= 4096:
            raise ValueError(
                "`prepare.image_size` must be 16-4096 pixels. "
                f"Received: {self.image_size}."
            )
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(
                "`prepare.jpeg_quality` must be 1-100, or None for lossless PNG. "
                f"Received: {self.jpeg_quality}."
            )

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the records' content beside the photographs themselves."""
        return {
            "image_size": self.image_size,
            "jpeg_quality": self.jpeg_quality,
            "fundus_version": fundus.VERSION,
            "format": records.FORMAT,
        }

    def folder(
        self, dataset: datasets.Dataset, prepared_dir: pathlib.Path
    ) -> pathlib.Path:
        """Where a dataset's records go: another folder for other settings."""
        text = json.dumps(self.settings, sort_keys=True)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:10]
        return prepared_dir / f"{dataset.name}-{fingerprint}"

    def folders(
        self, dataset: datasets.Dataset, prepared_dir: pathlib.Path
    ) -> list[pathlib.Path]:
        """Where its records are, whole; of a set of one's own one a state, in order."""
        first = self.folder(dataset, prepared_dir)
        others = prepared_dir.glob(f"{first.name}-*")
        numbered = sorted(
            (int(number[1]), one)
            for one in others
            if (number := re.fullmatch(r"-(\d+)", one.name.removeprefix(first.name)))
        )
        states = [first, *(one for _, one in numbered)]
        return [one for one in states if (one / records.MANIFEST).exists()]

    def place(
        self,
        dataset: datasets.Dataset,
        prepared_dir: pathlib.Path,
        photographs: Sequence[photograph.Photograph] | None = None,
        data_dir: pathlib.Path | None = None,
    ) -> pathlib.Path:
        """Where a dataset's records are, or will be.

        A published set has one folder. A set of one's own may grow and be corrected:
        each of its states has a folder, so that runs on an earlier one stay sound.

        Args:
            dataset: One of `datasets`.
            prepared_dir: Where prepared folders lie.
            photographs: What the data folder holds; None where it is not at hand.
            data_dir: The data folder, likewise.

        Returns:
            The folder.

        Raises:
            ValueError: There are several, and without the photographs nothing tells
                which is meant.
        """
        states = self.folders(dataset, prepared_dir)
        if photographs is None and len(states) > 1:
            listing = "\n".join(f"  {one}" for one in states)
            raise ValueError(
                f"Of {dataset.name!r} several states are prepared:\n{listing}\nIts "
                f"photographs tell which is meant: {self._flag(dataset)}<folder>."
            )
        if photographs is None or not dataset.own:
            return states[0] if states else self.folder(dataset, prepared_dir)
        for one in reversed(states):
            prepared = records.Prepared(one)
            if not changes.compare(prepared, photographs, data_dir).differences:
                return one
        first = self.folder(dataset, prepared_dir)
        names = (f"{first.name}-{number}" for number in itertools.count(2))
        free = itertools.chain([first], (first.with_name(name) for name in names))
        return next(one for one in free if one not in states)

    def run(
        self, data_dirs: Mapping[str, pathlib.Path], prepared_dir: pathlib.Path
    ) -> records.Collection:
        """Prepares what is not prepared yet.

        Args:
            data_dirs: Dataset's name -> its folder. A dataset that is not among them
                must be prepared already; it is then not compared with its originals.
            prepared_dir: Where prepared folders lie.

        Returns:
            The prepared photographs of all datasets.

        Raises:
            ValueError: A folder is not laid out as published, photographs cannot be
                read, or those of a published set are not those that were prepared.
            OSError: The disk is full; finished shards are kept.
        """
        self.check_at_hand(data_dirs, prepared_dir)
        # A slip in the last dataset's folder shows before the first is prepared.
        photographs = self.read(data_dirs)
        prepared = []
        for one in self.datasets:
            if one.name in photographs:
                found = photographs[one.name]
                prepared.append(
                    self._run(one, found, data_dirs[one.name], prepared_dir)
                )
            else:
                prepared.append(self.open(one, prepared_dir))
        return records.Collection(prepared)

    def name_folders(
        self, given: Mapping[str, pathlib.Path]
    ) -> dict[str, pathlib.Path]:
        """Which folder is which dataset's, as `sources.name_folders` tells."""
        return sources.name_folders([one.name for one in self.datasets], given)

    def read(
        self, data_dirs: Mapping[str, pathlib.Path]
    ) -> dict[str, list[photograph.Photograph]]:
        """Lists photographs with their labels, as `sources.read` does."""
        return sources.read(self.datasets, data_dirs)

    def check_at_hand(
        self, data_dirs: Collection[str], prepared_dir: pathlib.Path
    ) -> None:
        """Refuses datasets of which neither originals nor records are there.

        Args:
            data_dirs: Names of the datasets whose folder is known.
            prepared_dir: Where prepared folders lie.

        Raises:
            NotPreparedError: Names all of them.
        """
        missing = [
            one.name
            for one in self.datasets
            if one.name not in data_dirs and not self.folders(one, prepared_dir)
        ]
        if missing:
            several = len(self.datasets) > 1
            raise sources.not_prepared(missing, several, prepared_dir)

    def open(
        self, dataset: datasets.Dataset, prepared_dir: pathlib.Path
    ) -> records.Prepared:
        """A dataset's photographs that were prepared before.

        Raises:
            ValueError: They were not, or some could not be read.
        """
        others = [one.name for one in self.datasets if one.name != dataset.name]
        self.check_at_hand(others, prepared_dir)
        prepared = records.Prepared(self.place(dataset, prepared_dir))
        self._check_complete(prepared)
        return prepared

    def _flag(self, dataset: datasets.Dataset) -> str:
        return f"--data_dir={'' if len(self.datasets) == 1 else f'{dataset.name}='}"

    def _run(
        self,
        dataset: datasets.Dataset,
        photographs: Sequence[photograph.Photograph],
        data_dir: pathlib.Path,
        prepared_dir: pathlib.Path,
    ) -> records.Prepared:
        """Prepares one dataset, or finds it prepared and unchanged."""
        folder = self.place(dataset, prepared_dir, photographs, data_dir)
        with folder_lock.hold(folder, wait=True):
            if (folder / records.MANIFEST).exists():
                prepared = records.Prepared(folder)
                _remove_leftovers(folder, prepared.manifest["shards"])
                changes.check(dataset, prepared, photographs, data_dir)
                self._check_complete(prepared)
                logging.info("Reusing the prepared photographs in %s.", folder)
                return prepared
            if states := self.folders(dataset, prepared_dir):
                latest = records.Prepared(states[-1])
                logging.info(
                    "The photographs in %s are not those that %s was prepared from:\n"
                    "%s\nThey go into %s, beside it. If this is another set, give it a "
                    "name of its own, %s.",
                    data_dir,
                    latest.folder,
                    changes.compare(latest, photographs, data_dir).listing(),
                    folder,
                    dataset.renaming,
                )
            try:
                self._make(photographs, data_dir, folder)
            except OSError as error:
                remedy = "Make room" if error.errno == errno.ENOSPC else "Mend that"
                raise OSError(
                    f"Preparing into {folder} stopped: {error.strerror or error}. "
                    f"Finished shards are kept. {remedy}, then run the same command "
                    "again: it goes on where it stopped."
                ) from error
        return records.Prepared(folder)

    def workshop(
        self, data_dir: pathlib.Path, folder: pathlib.Path, count: int
    ) -> shards.Workshop:
        """What makes `count` shards in `folder` with these settings."""
        return shards.Workshop(
            folder, count, data_dir, self.image_size, self.jpeg_quality
        )

    def _make(
        self,
        photographs: Sequence[photograph.Photograph],
        data_dir: pathlib.Path,
        folder: pathlib.Path,
    ) -> None:
        step = shards.PHOTOGRAPHS_PER_SHARD
        groups = [photographs[i : i + step] for i in range(0, len(photographs), step)]
        workshop = self.workshop(data_dir, folder, len(groups))
        notes, missing = {}, {}
        for number, group in enumerate(groups):
            if note := workshop.finished(number, group):
                notes[number] = note
            else:
                missing[number] = group
        if notes:
            logging.info("Going on: %d of %d shards are made.", len(notes), len(groups))
        notes |= workshop.make(missing)
        ordered = [notes[number] for number in range(len(groups))]
        unreadable = [one for note in ordered for one in note["unreadable"]]
        self._report(
            unreadable,
            f"{len(unreadable)} of {len(photographs)} photographs in {data_dir} cannot "
            "be read; all others are prepared",
            "Replace them and run the same command again",
        )
        whole_files.write_json(
            folder / records.MANIFEST,
            {
                "format": records.FORMAT,
                "dataset": photographs[0].origin,
                "settings": self.settings,
                "drawn": (data_dir / datasets.DRAWN).exists(),
                "shards": [note["shard"] for note in ordered],
                "photographs": [one for note in ordered for one in note["photographs"]],
                "unreadable": unreadable,
            },
        )
        _remove_leftovers(folder, [note["shard"] for note in ordered])

    def _check_complete(self, prepared: records.Prepared) -> None:
        """Reports what an earlier run, which was told to skip it, could not read."""
        unreadable = prepared.manifest["unreadable"]
        self._report(
            unreadable,
            f"{len(unreadable)} photographs are missing from {prepared.folder}, which "
            "was prepared without those that could not be read",
            f"Replace them, remove {prepared.folder} and prepare again",
        )

    def _report(
        self, unreadable: Sequence[dict[str, Any]], what: str, remedy: str
    ) -> None:
        """Fails because of unreadable photographs, or lists them and goes on."""
        if not unreadable:
            return
        lines = (f"  {one['path']}: {one['reason']}" for one in unreadable)
        listing = "\n".join(lines)
        if not self.skip_unreadable:
            raise ValueError(
                f"{what}:\n{listing}\n{remedy}, or go on without them: "
                "--gin_bindings='prepare.skip_unreadable = True'."
            )
        logging.warning("Going on although %s:\n%s", what, listing)


def sizes(collection: records.Collection) -> str:
    """A line a dataset on what preparation made of how much, for a person."""
    lines = []
    for one in collection.folders:
        before = sum(entry["bytes"] for entry in one.manifest["photographs"])
        after = sum(entry["bytes"] for entry in one.manifest["shards"])
        lines.append(
            f"{len(one.photographs)} photographs, {before / 1e6:.1f} MB -> "
            f"{after / 1e6:.1f} MB in {len(one.manifest['shards'])} shards: "
            f"{one.folder}"
        )
    return "\n".join(lines)


def _remove_leftovers(folder: pathlib.Path, made: Sequence[dict[str, Any]]) -> None:
    """Removes notes, what killed runs left, and shards of photographs since changed."""
    keep = {one["file"] for one in made}
    leftovers = {path for path in folder.glob("shard-*") if path.name not in keep}
    for path in leftovers | set(folder.rglob("*.partial")):
        path.unlink()
