"""`--mode=doctor`: are photographs laid out as published, and are records intact?"""

import collections
import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence

import gin

from input_pipeline import (
    changes,
    folder_lock,
    photograph,
    prepare,
    progress,
    records,
    whole_files,
)
from input_pipeline.datasets import dataset as datasets


@gin.register(denylist=["preparation", "data_dirs", "prepared_dir"])
def doctor(
    preparation: prepare.Preparation,
    data_dirs: Mapping[str, pathlib.Path],
    prepared_dir: pathlib.Path,
    *,
    repair: bool = False,
) -> str:
    """Examines data folders and the records that were prepared from them.

    Args:
        preparation: The datasets and their settings.
        data_dirs: Dataset's name -> its folder, for those that are to be examined.
        prepared_dir: Where prepared folders lie.
        repair: Whether to make damaged shards again, from unchanged photographs.

    Returns:
        What was found, for a person.

    Raises:
        ValueError: Something is wrong and was not repaired, or there is nothing to
            examine.
    """
    photographs = preparation.read(data_dirs)
    findings = []
    for one in preparation.datasets:
        found, data_dir = photographs.get(one.name), data_dirs.get(one.name)
        if found is not None:
            findings.append(_describe(one, found, data_dir))
        folder = preparation.place(one, prepared_dir, found, data_dir)
        if (folder / records.MANIFEST).exists():
            findings += _examine(preparation, one, folder, found, data_dir, repair)
        elif found is None:
            raise ValueError(
                f"There is nothing of {one.name!r} to examine: no --data_dir is named, "
                f"and {folder} holds no records. Name one, or another --prepared_dir."
            )
        elif states := preparation.folders(one, prepared_dir):
            findings.append(
                f"{data_dir} has changed since {states[-1]} was prepared: the next run "
                f"prepares it into {folder}."
            )
        else:
            findings.append(f"{folder}: nothing is prepared yet.")
    return "\n".join(findings)


def _examine(
    preparation: prepare.Preparation,
    dataset: datasets.Dataset,
    folder: pathlib.Path,
    photographs: Sequence[photograph.Photograph] | None,
    data_dir: pathlib.Path | None,
    repair: bool,
) -> list[str]:
    """Examines the records of one dataset."""
    findings = []
    with folder_lock.hold(folder, wait=True):
        prepared = records.Prepared(folder)
        damaged = _find_damage(prepared)
        if damaged and not (repair and data_dir):
            damages = "\n".join(damaged.values())
            raise ValueError(
                f"{len(damaged)} of {len(prepared.manifest['shards'])} shards are "
                f"damaged:\n{damages}\nMake them again: --data_dir=<folder of the "
                "photographs> --gin_bindings='doctor.repair = True'."
            )
        _check_manifest(prepared, skip=damaged)
        if photographs is not None:
            changes.check(dataset, prepared, photographs, data_dir)
        for shard, damage in damaged.items():
            findings.append(damage)
            findings.append(_remake(preparation, prepared, shard, data_dir))
    findings.append(
        f"{folder}: all {len(prepared.photographs)} records in "
        f"{len(prepared.manifest['shards'])} shards are intact."
    )
    if unreadable := prepared.manifest["unreadable"]:
        lines = [f"  {one['path']}: {one['reason']}" for one in unreadable]
        missing = f"{len(unreadable)} photographs could not be read and have no record:"
        if not preparation.skip_unreadable:
            remedy = (
                f"Replace them, remove {folder} and prepare again, or say that they "
                "may be missing: --gin_bindings='prepare.skip_unreadable = True'."
            )
            raise ValueError("\n".join([*findings, missing, *lines, remedy]))
        findings += [missing, *lines]
    return findings


def _describe(
    dataset: datasets.Dataset,
    photographs: Sequence[photograph.Photograph],
    data_dir: pathlib.Path,
) -> str:
    lines = [f"{data_dir} is laid out as published:", dataset.tree.strip("\n")]
    by_split = collections.defaultdict(collections.Counter)
    for one in photographs:
        by_split[one.split or "no split"][one.grade] += 1
    for split in [one for one in (*photograph.SPLITS, "no split") if by_split[one]]:
        grades = by_split[split]
        counts = ", ".join(
            f"{'no grade' if grade is None else f'grade {grade}'}: {grades[grade]}"
            for grade in sorted(grades, key=lambda grade: (grade is None, grade))
        )
        lines.append(f"{split}: {grades.total()} photographs ({counts})")
    return "\n".join(lines)


def _find_damage(prepared: records.Prepared) -> dict[int, str]:
    """Damaged shard -> its first damage."""
    every = range(len(prepared.manifest["shards"]))
    return {
        shard: records.first_damage(prepared, shard)
        for shard in progress.bar(every, "verify", unit="shard", delay=2)
        if not prepared.is_intact(shard)
    }


def _check_manifest(prepared: records.Prepared, skip: Collection[int]) -> None:
    """Raises if the manifest and a record, not in a shard to skip, contradict."""
    entries = prepared.manifest["photographs"]
    for entry in progress.bar(entries, "compare", unit="photo", delay=2):
        if entry["place"]["shard"] in skip:
            continue
        expected = {"id": entry["id"], "source/sha256": entry["sha256"]}
        expected |= {name: entry[name] for name in records.LABELS}
        expected = {name: one for name, one in expected.items() if one is not None}
        try:
            found = records.read_values(prepared.read_record(entry["id"]))
        except ValueError as error:
            found = {"record": str(error)}
        found = {
            name: one.decode() if isinstance(one, bytes) else one
            for name, one in found.items()
            if name != "image/encoded" and not name.startswith("crop/")
        }
        if found != expected:
            raise ValueError(
                f"{prepared.folder / records.MANIFEST} is damaged: of {entry['id']} it "
                f"says {expected}, where the record says {found}. Remove the manifest "
                "and prepare the photographs again."
            )


def _remake(
    preparation: prepare.Preparation,
    prepared: records.Prepared,
    shard: int,
    data_dir: pathlib.Path,
) -> str:
    """Makes one shard again and enters it in the manifest; says what came of it."""
    manifest = prepared.manifest
    numbers = [
        number
        for number, entry in enumerate(manifest["photographs"])
        if entry["place"]["shard"] == shard
    ]
    sources = []
    for number in numbers:
        entry = manifest["photographs"][number]
        path = data_dir / entry["path"]
        if records.file_sha256(path) != entry["sha256"]:
            raise ValueError(
                f"{path} is not the photograph that was prepared, so its shard cannot "
                f"be made again. Restore it, or remove {prepared.folder} and prepare "
                "again."
            )
        sources.append(dataclasses.replace(prepared.photographs[number], path=path))
    workshop = preparation.workshop(data_dir, prepared.folder, len(manifest["shards"]))
    note = workshop.make({shard: sources})[shard]
    if note["unreadable"]:
        raise ValueError(
            f"{data_dir / note['unreadable'][0]['path']} cannot be read any more: "
            f"{note['unreadable'][0]['reason']}"
        )
    same = note["shard"] == manifest["shards"][shard]
    manifest["shards"][shard] = note["shard"]
    for number, entry in zip(numbers, note["photographs"], strict=True):
        manifest["photographs"][number] = entry
    whole_files.write_json(prepared.folder / records.MANIFEST, manifest)
    workshop.note_path(shard).unlink()
    how = "as it was" if same else "by libraries that write other bytes than before"
    return f"Made again: {prepared.shard_path(shard)}, {how}."
