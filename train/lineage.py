"""What a model's weights have seen: its own photographs, and those of earlier runs.

A photograph that trained the weights a run begins with tells as little about the run
as one of its own training photographs. So each run notes in `seen.json` what it, and
the runs behind it, trained and validated on, and a run that begins with it is refused
where these are in its test set, or training photographs in its validation set.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging

from input_pipeline import audit, duplicates, records, same_picture, splits, whole_files

FILE = "seen.json"


@dataclasses.dataclass(frozen=True)
class Seen:
    """Photographs that weights have seen.

    Attributes:
        train: Id -> SHA-256 of the original file, of those trained on.
        valid: The same, of those that an epoch or a threshold was chosen on.
        datasets: Name -> fingerprint of the records they are in.
    """

    train: Mapping[str, str]
    valid: Mapping[str, str]
    datasets: Mapping[str, str]

    @classmethod
    def of(cls, split: splits.Split, collection: records.Collection) -> "Seen":
        """What a run with a split sees."""
        return cls(
            train={one: collection.entries[one]["sha256"] for one in split.train},
            valid={one: collection.entries[one]["sha256"] for one in split.valid},
            datasets={one.dataset: one.fingerprint for one in collection.folders},
        )

    @property
    def files(self) -> dict[str, str]:
        """Id -> SHA-256 of the file, of all of them."""
        return {**self.valid, **self.train}

    def after(self, earlier: "Seen") -> "Seen":
        """The same, with what weights had seen before."""
        return Seen(
            train={**earlier.train, **self.train},
            valid={**earlier.valid, **self.valid},
            datasets={**earlier.datasets, **self.datasets},
        )

    @classmethod
    def load(cls, run_dir: pathlib.Path) -> "Seen":
        """Reads what a run has seen.

        Raises:
            FileNotFoundError: The run does not say.
        """
        if not (run_dir / FILE).exists():
            raise FileNotFoundError(
                f"{run_dir / FILE} does not exist: nothing says which photographs the "
                "weights of that run have seen. Train it again."
            )
        return cls(**whole_files.read_json(run_dir / FILE))

    def save(self, run_dir: pathlib.Path) -> None:
        """Writes `seen.json`."""
        whole_files.write_json(run_dir / FILE, dataclasses.asdict(self))


class Inheritance(NamedTuple):
    """What a run takes over from the one it begins with or learns from.

    Attributes:
        role: Under which name it stands in the certificate.
        seen: The photographs that the weights have seen.
        certificate: Which run it is, and what was compared; JSON-ready.
    """

    role: str
    seen: Seen
    certificate: dict[str, Any]


def check(
    earlier: Seen,
    path: str,
    split: splits.Split,
    audited: audit.Audit,
    prepared_dir: pathlib.Path,
) -> dict[str, Any]:
    """Refuses a split that weights of an earlier run make worthless.

    Photographs are the same if their ids or bytes are, and as good as the same if the
    audit puts them together: copies, and photographs of one patient. Where the records
    of the earlier run are still there, pixels are compared too.

    Args:
        earlier: What the weights have seen.
        path: Directory of that run, for the error.
        split: Which photographs train, validate and test now.
        audited: The photographs.
        prepared_dir: Where records of the earlier run may lie.

    Returns:
        What was compared and found, for the certificate, JSON-ready.

    Raises:
        ValueError: A test photograph was seen, or one that validates was trained on.
    """
    same, blind = _same(earlier, audited, prepared_dir)
    if blind:
        logging.warning(
            "%d photographs that %s has seen, such as %s, have no records in %s: they "
            "were compared with this run's by id and bytes, not by pixels.",
            len(blind),
            path,
            blind[0],
            prepared_dir,
        )
    groups = audited.decisions.groups
    seen = {
        name: {groups[one] for key in ids for one in same.get(key, ()) if one in groups}
        for name, ids in (("train", earlier.train), ("valid", earlier.valid))
    }
    for name, forbidden, remedy in (
        (
            "test",
            seen["train"] | seen["valid"],
            "Train that run again with the datasets of this one in its "
            "`prepare.datasets`, those that test in its `audit.test_on`: the audit "
            "then keeps them, and copies of them, out.",
        ),
        (
            "valid",
            seen["train"],
            "Bind split.folds, split.fold and split.seed as that run has them, or keep "
            "the photographs out of it."
            if split.train
            else "Here each photograph validates a member: train one fold at a time "
            "(ensemble.every_fold = False), with split.folds, split.fold and "
            "split.seed as that run has them.",
        ),
    ):
        leaking = [one for one in split[name] if groups[one] in forbidden]
        if leaking:
            raise ValueError(
                f"The weights of {path} have seen {len(leaking)} of {len(split[name])} "
                f"photographs of this run's {name!r} split, such as {leaking[0]}: "
                f"figures there would say nothing. {remedy}"
            )
    return {
        "trained_on": len(earlier.train),
        "validated_on": len(earlier.valid),
        "datasets": dict(earlier.datasets),
        "compared_by": ["id", "SHA-256 of the original files", "pixels"],
        "not_compared_by_pixels": len(blind),
        "validating_then_and_now": sum(
            groups[one] in seen["valid"] for one in split.valid
        ),
    }


def _same(
    earlier: Seen, audited: audit.Audit, prepared_dir: pathlib.Path
) -> tuple[dict[str, list[str]], list[str]]:
    """Id of a seen photograph -> ids here; and the ids whose pixels are unknown."""
    collection = audited.collection
    by_bytes = collections.defaultdict(list)
    for key, entry in collection.entries.items():
        by_bytes[entry["sha256"]].append(key)
    same: dict[str, list[str]] = {}
    for key, checksum in {**earlier.valid, **earlier.train}.items():
        here = list(by_bytes[checksum]) if checksum in by_bytes else []
        if key in collection.entries and key not in here:
            here.append(key)
        same[key] = here
    unknown = {key for key, here in same.items() if not here}
    folders = _records(earlier, collection, unknown, prepared_dir)
    if folders:
        both = records.Collection([*collection.folders, *folders])
        near = audited.certificate["policy"]["near_identical"]
        for group in _copies(both, near):
            here = [one for one in group if one in collection.entries]
            for key in unknown.intersection(group):
                same[key] = here
    found = {one.id for folder in folders for one in folder.photographs}
    return same, sorted(unknown - found)


def _records(
    earlier: Seen,
    collection: records.Collection,
    unknown: set[str],
    prepared_dir: pathlib.Path,
) -> list[records.Prepared]:
    """The prepared folders that hold photographs not known here, if they are there."""
    here = {one.dataset for one in collection.folders}
    wanted = {one.partition("/")[0] for one in unknown} - here
    found = []
    for name in sorted(wanted):
        fingerprint = earlier.datasets.get(name)
        if fingerprint and (prepared := records.find(prepared_dir, name, fingerprint)):
            found.append(prepared)
    return found


def _copies(collection: records.Collection, near_identical: float) -> list[list[str]]:
    """Ids of photographs that show the same picture, list by list."""
    ids: Sequence[str] = [one.id for one in collection.photographs]
    place = {one: number for number, one in enumerate(ids)}
    pairs = [
        duplicates.Pair(place[one.first], place[one.second], 0.0)
        for one in same_picture.find(collection, near_identical)
    ]
    return [[ids[i] for i in group] for group in duplicates.groups(len(ids), pairs)]
