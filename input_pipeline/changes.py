"""Whether photographs are still those that were prepared, and in what they differ."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from input_pipeline import photograph, records, whole_files
from input_pipeline.datasets import dataset as datasets

_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A data folder beside the records that were made of it.

    Attributes:
        differences: A line each, with the photograph's id.
        moved: Id -> path, size and time now, of files that are the same elsewhere.
    """

    differences: Sequence[str]
    moved: Mapping[str, dict[str, Any]]

    def listing(self) -> str:
        """The first differences, and how many more there are."""
        return listing(self.differences)


def compare(
    prepared: records.Prepared,
    photographs: Sequence[photograph.Photograph],
    data_dir: pathlib.Path,
) -> Comparison:
    """Compares photographs with those that were prepared.

    A file of known size and time is taken for known. Any other is read, unless labels
    and ids tell already that the photographs are others.

    Args:
        prepared: The prepared photographs.
        photographs: What the data folder holds now.
        data_dir: The data folder.

    Returns:
        What differs.
    """
    known = _entries(prepared)
    found = {one.id: one for one in photographs}
    now = {
        one.id: {name: getattr(one, name) for name in records.LABELS}
        for one in photographs
    }
    differences, moved = _of_labels(known, now), {}
    for key in [] if differences else found:
        source, entry = found[key], known[key]
        stat = source.path.stat()
        state = {
            "path": source.path.relative_to(data_dir).as_posix(),
            "bytes": stat.st_size,
            "modified": stat.st_mtime_ns,
        }
        if entry | state == entry:
            continue
        if records.file_sha256(source.path) != entry["sha256"]:
            differences.append(f"{key} is another file")
        else:
            moved[key] = state
    return Comparison(sorted(differences), moved)


def check(
    dataset: datasets.Dataset,
    prepared: records.Prepared,
    photographs: Sequence[photograph.Photograph],
    data_dir: pathlib.Path,
) -> None:
    """Refuses photographs other than those that were prepared.

    Args:
        dataset: Theirs.
        prepared: The prepared photographs; the caller holds their folder.
        photographs: What the data folder holds now.
        data_dir: The data folder.

    Raises:
        ValueError: They differ. Says in what. What turns out to be a copy or a renamed
            file is entered in the manifest, and read only once.
    """
    comparison = compare(prepared, photographs, data_dir)
    if comparison.differences:
        raise ValueError(
            f"The photographs in {data_dir} are not those that {prepared.folder} was "
            f"prepared from:\n{comparison.listing()}\nRestore them, or name another "
            "folder with --prepared_dir, or give another set a name of its own, "
            f"{dataset.renaming}, or remove {prepared.folder} and prepare again."
        )
    _note_moved(prepared, comparison)


def between(before: records.Prepared, after: records.Prepared) -> list[str]:
    """What differs between two prepared states of one dataset, a line each."""
    known, now = _entries(before), _entries(after)
    lines = _of_labels(known, now)
    lines += [
        f"{key} is another file"
        for key in known.keys() & now.keys()
        if known[key]["sha256"] != now[key]["sha256"]
    ]
    return sorted(lines)


def listing(lines: Sequence[str]) -> str:
    """The first lines of many, indented, and how many more there are."""
    shown = [f"  {one}" for one in lines[:_SHOWN]]
    if len(lines) > _SHOWN:
        shown.append(f"  and {len(lines) - _SHOWN} more")
    return "\n".join(shown)


def _note_moved(prepared: records.Prepared, comparison: Comparison) -> None:
    """Enters files that moved in the manifest, so that none is read a second time."""
    if comparison.moved:
        known = _entries(prepared)
        for key, state in comparison.moved.items():
            known[key] |= state
        manifest = prepared.folder / records.MANIFEST
        whole_files.write_json(manifest, prepared.manifest)


def _entries(prepared: records.Prepared) -> dict[str, dict[str, Any]]:
    manifest = prepared.manifest
    return {one["id"]: one for one in manifest["photographs"] + manifest["unreadable"]}


def _of_labels(
    known: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What differs in ids and labels."""
    lines = [f"{key} is new" for key in now.keys() - known.keys()]
    lines += [f"{key} is gone" for key in known.keys() - now.keys()]
    for key in known.keys() & now.keys():
        for name in records.LABELS:
            old, new = known[key][name], now[key][name]
            if old != new:
                lines.append(f"{key} has {name} {new!r}, was {old!r}")
    return lines
