"""`--mode=doctor`: are photographs laid out as published, and are records intact?"""

import collections
import dataclasses
import pathlib

import gin

from input_pipeline import folder_lock, prepare, progress, records
from input_pipeline.datasets import dataset as datasets


@gin.register(denylist=["preparation", "data_dir", "prepared_dir"])
def doctor(
    preparation: prepare.Preparation,
    data_dir: pathlib.Path | None,
    prepared_dir: pathlib.Path,
    *,
    repair: bool = False,
) -> str:
    """Examines a data folder and the records that were prepared from it.

    Args:
        preparation: The dataset and its settings.
        data_dir: The dataset's folder; None leaves it out.
        prepared_dir: Where prepared folders lie.
        repair: Whether to make damaged shards again, from unchanged photographs.

    Returns:
        What was found, for a person.

    Raises:
        ValueError: Something is wrong and was not repaired.
    """
    folder = preparation.folder(prepared_dir)
    findings = []
    if data_dir is not None:
        findings.append(_examine_photographs(preparation.dataset, data_dir))
    if (folder / records.MANIFEST).exists():
        prepared = records.Prepared(folder)
        findings.append(_examine_records(preparation, prepared, data_dir, repair))
    else:
        findings.append(f"{folder}: nothing is prepared yet.")
    return "\n".join(findings)


def _examine_photographs(dataset: datasets.Dataset, data_dir: pathlib.Path) -> str:
    photographs = dataset.read(data_dir)
    lines = [f"{data_dir} is laid out as published:", dataset.tree.strip("\n")]
    by_split = collections.defaultdict(collections.Counter)
    for one in photographs:
        by_split[one.split or "no split"][one.grade] += 1
    for split, grades in by_split.items():
        counts = ", ".join(
            f"{'no grade' if grade is None else f'grade {grade}'}: {grades[grade]}"
            for grade in sorted(grades, key=lambda grade: (grade is None, grade))
        )
        lines.append(f"{split}: {grades.total()} photographs ({counts})")
    return "\n".join(lines)


def _examine_records(
    preparation: prepare.Preparation,
    prepared: records.Prepared,
    data_dir: pathlib.Path | None,
    repair: bool,
) -> str:
    every = range(len(prepared.manifest["shards"]))
    damaged = [
        shard
        for shard in progress.bar(every, "verify", unit="shard", delay=2)
        if not prepared.is_intact(shard)
    ]
    if not damaged:
        count = len(prepared.photographs)
        return f"{prepared.folder}: all {count} records in {len(every)} shards intact."
    damages = "\n".join(records.first_damage(prepared, shard) for shard in damaged)
    if not repair:
        raise ValueError(
            f"{len(damaged)} of {len(every)} shards are damaged:\n{damages}\n"
            "Make them again with --gin_bindings='doctor.repair = True' --data_dir=..."
        )
    if data_dir is None:
        raise ValueError(f"{damages}\nTo repair, name the photographs: --data_dir=...")
    with folder_lock.hold(prepared.folder, wait=True):
        for shard in damaged:
            _remake(preparation, prepared, shard, data_dir)
    return f"{damages}\nMade again: {len(damaged)} of {len(every)} shards."


def _remake(
    preparation: prepare.Preparation,
    prepared: records.Prepared,
    shard: int,
    data_dir: pathlib.Path,
) -> None:
    """Makes one shard again and enters it in the manifest."""
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
        if not path.exists() or records.file_sha256(path) != entry["sha256"]:
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
            f"{note['unreadable'][0]['path']} cannot be read any more: "
            f"{note['unreadable'][0]['reason']}"
        )
    manifest["shards"][shard] = note["shard"]
    for number, entry in zip(numbers, note["photographs"], strict=True):
        manifest["photographs"][number] = entry
    records.write_json(prepared.folder / records.MANIFEST, manifest)
    workshop.note_path(shard).unlink()
