"""The one pass that decodes photographs: originals in, records with a manifest out.

A prepared folder belongs to its settings and is shared by all runs that have the same.
The manifest comes last: where it lies, the folder is complete.
"""

import collections
import dataclasses
import errno
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gin
from absl import logging

from input_pipeline import folder_lock, fundus, photograph, records, shards
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
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "`prepare.datasets` must list one dataset or more, each with a name of "
                f"its own. Received: {names}."
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
                read, or they differ from those that were prepared.
            OSError: The disk is full; finished shards are kept.
        """
        # A slip in the last dataset's folder shows before the first is prepared.
        photographs = self.read(data_dirs)
        prepared = []
        for one in self.datasets:
            folder = self.folder(one, prepared_dir)
            if one.name in photographs:
                data_dir = data_dirs[one.name]
                prepared.append(self._run(photographs[one.name], data_dir, folder))
            else:
                prepared.append(self.open(one, prepared_dir))
        return records.Collection(prepared)

    def name_folders(
        self, given: Mapping[str, pathlib.Path]
    ) -> dict[str, pathlib.Path]:
        """Which folder is which dataset's.

        Args:
            given: Dataset's name -> its folder; a single dataset's may be named "".

        Returns:
            Dataset's name -> its folder, for those that were given.

        Raises:
            ValueError: A name is of no dataset, or missing where there are several.
        """
        names = [one.name for one in self.datasets]
        flags = " ".join(f"--data_dir={name}=<folder>" for name in names)
        if "" in given and len(names) > 1:
            raise ValueError(
                f"The experiment has {len(names)} datasets, so each folder needs the "
                f"name of its own: {flags}. Received: --data_dir={given['']}."
            )
        for name in given:
            if name and name not in names:
                raise ValueError(
                    f"The experiment has no dataset {name!r}. Expected: {flags}. "
                    f"Received: --data_dir={name}={given[name]}."
                )
        if "" in given:
            return {names[0]: given[""]}
        return dict(given)

    def read(
        self, data_dirs: Mapping[str, pathlib.Path]
    ) -> dict[str, list[photograph.Photograph]]:
        """Lists photographs with their labels; opens none.

        Args:
            data_dirs: Dataset's name -> its folder, for some or all datasets.

        Returns:
            Dataset's name -> its photographs.

        Raises:
            ValueError: A folder is not laid out as published.
        """
        found = {}
        for one in self.datasets:
            if one.name in data_dirs:
                found[one.name] = one.read(data_dirs[one.name])
                _check_ids(found[one.name], one.name)
        return found

    def open(
        self, dataset: datasets.Dataset, prepared_dir: pathlib.Path
    ) -> records.Prepared:
        """A dataset's photographs that were prepared before.

        Raises:
            ValueError: They were not, or some could not be read.
        """
        folder = self.folder(dataset, prepared_dir)
        if not (folder / records.MANIFEST).exists():
            flag = "" if len(self.datasets) == 1 else f"{dataset.name}="
            raise ValueError(
                f"{folder} holds no prepared photographs. Name the folder of the "
                f"dataset {dataset.name!r}, --data_dir={flag}<folder>, or with "
                "--prepared_dir the one that holds them."
            )
        prepared = records.Prepared(folder)
        self._check_complete(prepared)
        return prepared

    def _run(
        self,
        photographs: Sequence[photograph.Photograph],
        data_dir: pathlib.Path,
        folder: pathlib.Path,
    ) -> records.Prepared:
        """Prepares one dataset, or finds it prepared and unchanged."""
        with folder_lock.hold(folder, wait=True):
            if (folder / records.MANIFEST).exists():
                prepared = records.Prepared(folder)
                _remove_leftovers(folder, prepared.manifest["shards"])
                check_unchanged(prepared, photographs, data_dir)
                self._check_complete(prepared)
                logging.info("Reusing the prepared photographs in %s.", folder)
                return prepared
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
        records.write_json(
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


def check_unchanged(
    prepared: records.Prepared,
    photographs: Sequence[photograph.Photograph],
    data_dir: pathlib.Path,
) -> None:
    """Compares photographs with those that were prepared.

    A file of known size and time is taken for known; any other is read. What turns out
    to be a copy or a renamed file is entered in the manifest, and read only once.

    Args:
        prepared: The prepared photographs; the caller holds their folder.
        photographs: What the data folder holds now.
        data_dir: The data folder.

    Raises:
        ValueError: They differ. Says in what.
    """
    manifest = prepared.manifest
    known = {one["id"]: one for one in manifest["photographs"] + manifest["unreadable"]}
    found = {one.id: one for one in photographs}
    touched = False
    differences = [(one, "is new") for one in found.keys() - known.keys()]
    differences += [(one, "is gone") for one in known.keys() - found.keys()]
    for photograph_id in found.keys() & known.keys():
        source, entry = found[photograph_id], known[photograph_id]
        for name in records.LABELS:
            old, new = entry[name], getattr(source, name)
            if old != new:
                what = f"has {name} {new!r}, was {old!r}"
                differences.append((photograph_id, what))
        stat = source.path.stat()
        now = {
            "path": source.path.relative_to(data_dir).as_posix(),
            "bytes": stat.st_size,
            "modified": stat.st_mtime_ns,
        }
        if entry | now == entry:
            continue
        if records.file_sha256(source.path) != entry["sha256"]:
            differences.append((photograph_id, "is another file"))
        else:
            entry |= now
            touched = True
    if differences:
        differences.sort()
        listing = "\n".join(f"  {one} {what}" for one, what in differences[:10])
        more = f"\n  and {len(differences) - 10} more" if len(differences) > 10 else ""
        raise ValueError(
            f"The photographs in {data_dir} are not those that {prepared.folder} was "
            f"prepared from:\n{listing}{more}\nRestore them, or name another folder "
            "with --prepared_dir, or give another set another name (its reader has "
            f"`name`), or remove {prepared.folder} and prepare again."
        )
    if touched:
        records.write_json(prepared.folder / records.MANIFEST, manifest)


def _check_ids(photographs: Sequence[photograph.Photograph], name: str) -> None:
    """Raises if two photographs share an id, so that one would hide the other."""
    if not photographs:
        raise ValueError(f"The dataset {name!r} lists no photograph.")
    counts = collections.Counter(one.id for one in photographs)
    shared = [one for one in photographs if counts[one.id] > 1]
    if shared:
        paths = ", ".join(str(one.path) for one in shared if one.id == shared[0].id)
        raise ValueError(
            f"Each photograph needs an id of its own. Received: {shared[0].id!r} for "
            f"{paths}. Correct the dataset's reader."
        )
    for one in photographs:
        if one.origin != name:
            raise ValueError(
                f"Ids of the dataset {name!r} must begin with '{name}/'. "
                f"Received: {one.id!r}. Correct the dataset's reader."
            )


def _remove_leftovers(folder: pathlib.Path, made: Sequence[dict[str, Any]]) -> None:
    """Removes notes, what killed runs left, and shards of photographs since changed."""
    keep = {one["file"] for one in made}
    leftovers = {path for path in folder.glob("shard-*") if path.name not in keep}
    for path in leftovers | set(folder.rglob("*.partial")):
        path.unlink()
