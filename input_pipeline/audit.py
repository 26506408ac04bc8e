"""The audit: what is in the data, what would leak, and what was done about it.

It compares all photographs of an experiment with each other, whatever their dataset and
split, and writes three files: `audit.json`, every finding and decision; `audit.html`,
the same with pictures; and last `leakage.json`, the certificate without which nothing
is trained.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import numpy as np

from input_pipeline import (
    audit_page,
    duplicates,
    folder_lock,
    leakage,
    photograph,
    progress,
    quality,
    records,
    shortcut,
)

FORMAT = 2
"""Raise it when the same photographs would be audited differently."""

FINDINGS, PAGE, CERTIFICATE = "audit.json", "audit.html", "leakage.json"

_ANEW = (
    "Beside an audit, remove it: --mode=prepare then audits the photographs anew. In a "
    "run, train in another --run_dir."
)


@gin.register("audit")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Auditor(leakage.Policy):
    """How photographs are audited: a policy, and what counts as a copy.

    Attributes:
        near_identical: Greatest mean absolute difference of two copies' thumbnails, in
            grey levels. On IDRiD re-encoded and reduced copies stay below 2.0, and the
            nearest photographs of different eyes are 3.3 apart.
    """

    near_identical: float = 2.5

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.near_identical <= 10:
            raise ValueError(
                "`audit.near_identical` must be 0-10 grey levels. "
                f"Received: {self.near_identical}."
            )

    def decide(self, photographs: Sequence[photograph.Photograph]) -> leakage.Decisions:
        """What labels alone decide, before any photograph is opened."""
        return leakage.decide(photographs, (), self)

    def run(
        self, collection: records.Collection, prepared_dir: pathlib.Path
    ) -> "Audit":
        """Audits photographs, or finds that just these were audited before.

        Args:
            collection: All photographs of an experiment.
            prepared_dir: Where prepared folders, and so the audit's, lie.

        Returns:
            The audit, with a certificate that fits the photographs.

        Raises:
            ValueError: A stored audit is damaged.
        """
        text = json.dumps([FORMAT, collection.fingerprint, self.description()])
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:10]
        names = "+".join(one.dataset for one in collection.folders)
        folder = prepared_dir / f"audit-{names}-{fingerprint}"
        if not (folder / CERTIFICATE).exists():
            with folder_lock.hold(folder, wait=True):
                if not (folder / CERTIFICATE).exists():  # Unless another was first.
                    self._make(collection, folder)
        return Audit(collection, folder)

    def description(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # Lists, no tuples.

    def _make(self, collection: records.Collection, folder: pathlib.Path) -> None:
        copies = find_copies(collection, self.near_identical)
        decisions = leakage.decide(collection.photographs, copies, self)
        findings = {
            "format": FORMAT,
            "policy": self.description(),
            "copies": [self._describe(one, collection) for one in copies],
            "split": dict(decisions.split),
            "left_out": {
                key: dataclasses.asdict(why) for key, why in decisions.left_out.items()
            },
            "groups": dict(decisions.groups),
            "disputed": list(decisions.disputed),
            "patients_across_splits": _patients_across_splits(
                collection.photographs, self.test_on
            ),
            "shortcut": _shortcut(collection, decisions),
        }
        records.write_json(folder / FINDINGS, findings)
        page = audit_page.render(collection, findings)
        records.write_text(folder / PAGE, page)
        certificate = _certificate(collection, findings)
        certificate["audit_sha256"] = records.file_sha256(folder / FINDINGS)
        records.write_json(folder / CERTIFICATE, certificate)

    def _describe(
        self, copy: leakage.Copy, collection: records.Collection
    ) -> dict[str, Any]:
        pair = collection.photograph(copy.first), collection.photograph(copy.second)
        conflict = leakage.contradiction(*pair, self.must_agree)
        return dataclasses.asdict(copy) | {"conflict": conflict}


class Audit:
    """Audited photographs: the only ones that can be split and trained on.

    Attributes:
        collection: The photographs.
        folder: Where the audit's files lie.
        certificate: What was compared, found and done.
        findings: The content of `audit.json`.
        decisions: Which photographs stay in which split.
    """

    def __init__(self, collection: records.Collection, folder: pathlib.Path):
        """Reads an audit and compares its certificate with the photographs.

        Raises:
            ValueError: There is no certificate, or it does not fit.
        """
        self.collection = collection
        self.folder = folder
        self.certificate = read_certificate(folder / CERTIFICATE)
        check_certificate(self.certificate, collection, folder / CERTIFICATE)
        path = folder / FINDINGS
        if not path.exists() or (
            records.file_sha256(path) != self.certificate["audit_sha256"]
        ):
            raise ValueError(
                f"{path} is missing or not the file that {CERTIFICATE} certifies. "
                f"Remove {folder}: the same command then audits the photographs anew."
            )
        self.findings = records.read_json(path)
        self.decisions = leakage.Decisions(
            split=self.findings["split"],
            left_out={
                key: leakage.LeftOut(**why)
                for key, why in self.findings["left_out"].items()
            },
            groups=self.findings["groups"],
            disputed=self.findings["disputed"],
        )

    def summary(self) -> str:
        """A few lines for a person."""
        found, left_out = self.certificate["found"], self.certificate["left_out"]
        kept = ", ".join(
            f"{count} {name}" for name, count in self.certificate["kept"].items()
        )
        why = ", ".join(f"{count} {kind}" for kind, count in left_out.items())
        pairs = sum(found[f"{kind}_pairs"] for kind in leakage.KINDS)
        return (
            f"Audit: {pairs} pairs of copies, {found['pairs_across_splits']} across "
            f"splits, {found['contradictory_pairs']} with labels that contradict each "
            f"other. Left out: {sum(left_out.values())}{f' ({why})' if why else ''}. "
            f"Kept: {kept}.\n{self.folder / PAGE}"
        )


def read_certificate(path: pathlib.Path) -> dict[str, Any]:
    """Reads a leakage certificate.

    Raises:
        ValueError: There is none, or it is damaged.
    """
    if not path.exists():
        raise ValueError(
            f"There is no certificate {path}: nobody looked whether these photographs "
            "leak from one split into another. Audit them: the same command with "
            "--mode=prepare, and another --run_dir if the run was begun."
        )
    certificate = records.read_json(path)
    try:
        certificate["audit_sha256"], _certified(certificate)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: it is no certificate. {_ANEW}") from error
    return certificate


def _certified(certificate: Mapping[str, Any]) -> dict[str, str]:
    """Dataset -> fingerprint."""
    return {one["name"]: one["fingerprint"] for one in certificate["datasets"]}


def check_certificate(
    certificate: Mapping[str, Any],
    collection: records.Collection,
    path: pathlib.Path,
) -> None:
    """Refuses a certificate of other photographs.

    Args:
        certificate: What `leakage.json` holds.
        collection: The photographs that it should be of.
        path: Where it lies, for the message.

    Raises:
        ValueError: It does not fit; says which dataset differs.
    """
    certified = _certified(certificate)
    found = {one.dataset: one.fingerprint for one in collection.folders}
    for name in sorted(certified.keys() | found.keys()):
        if certified.get(name) != found.get(name):
            raise ValueError(
                f"The certificate {path} is not of these photographs: of {name!r} it "
                f"knows the fingerprint {certified.get(name)}, the records have "
                f"{found.get(name)}. {_ANEW}"
            )


def find_copies(
    collection: records.Collection, near_identical: float
) -> list[leakage.Copy]:
    """Compares all photographs with each other.

    Args:
        collection: The photographs.
        near_identical: Greatest distance of two copies' thumbnails, in grey levels.

    Returns:
        The copies, each pair once, by the surest sign that links them.
    """
    ids = [one.id for one in collection.photographs]
    place = {one: number for number, one in enumerate(ids)}
    found: dict[tuple[str, str], leakage.Copy] = {}

    def note(one: str, other: str, kind: leakage.Kind, distance=None) -> None:
        first, second = sorted((one, other), key=place.__getitem__)
        copy = leakage.Copy(first, second, kind, distance)
        found.setdefault((first, second), copy)

    first_of = {}
    for one in ids:
        other = first_of.setdefault(collection.entries[one]["sha256"], one)
        if other != one:
            note(other, one, "byte_identical", 0.0)
    for i, j, distance in duplicates.find(thumbnails(collection), near_identical):
        note(ids[i], ids[j], "near_identical", round(float(distance), 2))
    for one, other in _renamed(collection.photographs):
        note(one, other, "renamed")
    return sorted(found.values(), key=lambda copy: place[copy.first])


def _renamed(
    photographs: Sequence[photograph.Photograph],
) -> list[tuple[str, str]]:
    """Copies by their names: re-exports with their sources, and APTOS 2019 again."""
    originals, exports = collections.defaultdict(list), collections.defaultdict(list)
    for one in photographs:
        if source := duplicates.roboflow_source(one.path.name):
            exports[source].append(one)
        else:
            originals[one.path.stem].append(one)
    pairs = []
    for name in dict.fromkeys([*exports, *originals]):
        named, exported = originals.get(name, []), exports.get(name, [])
        if duplicates.is_aptos_code(name):
            # No two photographs share a code: it is the same picture in every set.
            sets = [_alone_in_their_set(named) + exported]
        else:
            # Numbered names, as IDRiD_001, are of several sets: only a name that one
            # photograph has says of which one an export was made.
            source = named if len(named) == 1 else []
            sets = [source + some for some in _by_set(exported)]
        for first, *others in filter(None, sets):
            pairs += [(first.id, one.id) for one in others]
    return pairs


def _by_set(
    photographs: Sequence[photograph.Photograph],
) -> list[list[photograph.Photograph]]:
    """The photographs of each dataset."""
    sets = collections.defaultdict(list)
    for one in photographs:
        sets[one.origin].append(one)
    return list(sets.values())


def _alone_in_their_set(
    photographs: Sequence[photograph.Photograph],
) -> list[photograph.Photograph]:
    """Those that share their name with no other photograph of their dataset."""
    return [some[0] for some in _by_set(photographs) if len(some) == 1]


def thumbnails(collection: records.Collection) -> np.ndarray:
    """uint8 of shape `(n, 64, 64, 3)`, from the records."""
    ids = [one.id for one in collection.photographs]
    side = quality.THUMBNAIL_SIZE
    pictures = np.empty((len(ids), side, side, 3), np.uint8)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        small = pool.map(lambda one: quality.thumbnail(collection.read_image(one)), ids)
        bar = progress.bar(small, "compare", len(ids), unit="photo", delay=2)
        for place, thumbnail in enumerate(bar):
            pictures[place] = thumbnail
    return pictures


def _patients_across_splits(
    photographs: Sequence[photograph.Photograph], test_on: Sequence[str]
) -> list[str]:
    """Patients whose photographs were in more than one split before the audit."""
    split = leakage.official(photographs, test_on)
    places = collections.defaultdict(set)
    for one in photographs:
        if one.patient is not None:
            places[f"{one.origin}/{one.patient}"].add(split[one.id])
    return [name for name, splits in places.items() if len(splits) > 1]


def _certificate(
    collection: records.Collection, findings: Mapping[str, Any]
) -> dict[str, Any]:
    """What was compared, found and done, in numbers."""
    photographs = collection.photographs
    kinds = collections.Counter(one["kind"] for one in findings["copies"])
    split = leakage.official(photographs, findings["policy"]["test_on"])
    across = [
        one for one in findings["copies"] if split[one["first"]] != split[one["second"]]
    ]
    done = collections.Counter(one["kind"] for one in findings["left_out"].values())
    return {
        "format": FORMAT,
        "datasets": [
            {
                "name": one.dataset,
                "photographs": len(one.photographs),
                "unreadable": len(one.manifest["unreadable"]),
                "fingerprint": one.fingerprint,
            }
            for one in collection.folders
        ],
        "policy": findings["policy"],
        "compared": {
            "photographs": len(photographs),
            "pairs": len(photographs) * (len(photographs) - 1) // 2,
            "with_a_known_patient": sum(one.patient is not None for one in photographs),
            "by": [
                "SHA-256 of the original files",
                "mean absolute difference of 64x64 thumbnails of the retina, at most "
                f"{findings['policy']['near_identical']} grey levels, and correlation "
                f"of their fine detail, at least {duplicates.MIN_AGREEMENT}",
                "names of Roboflow re-exports, and APTOS 2019's codes",
                "the publisher's names of patients",
            ],
        },
        "found": {
            **{f"{kind}_pairs": kinds[kind] for kind in leakage.KINDS},
            "pairs_across_splits": len(across),
            "contradictory_pairs": sum(
                one["conflict"] is not None for one in findings["copies"]
            ),
            "patients_across_splits": len(findings["patients_across_splits"]),
        },
        "left_out": dict(done),
        "kept": dict(collections.Counter(findings["split"].values())),
        "disputed_test_photographs": findings["disputed"],
    }


def _shortcut(
    collection: records.Collection, decisions: leakage.Decisions
) -> dict[str, Any]:
    """How well metadata alone tell the sick from the healthy; no test photograph."""
    training = [
        one
        for one in collection.photographs
        if decisions.split.get(one.id, "test") != "test"
    ]
    questions = {
        "any retinopathy": {one.id: one.any_dr for one in training},
        "referable retinopathy, grade >= 2": {
            one.id: None if one.grade is None else one.grade >= 2 for one in training
        },
    }
    scores = {}
    for question, answers in questions.items():
        ids = [key for key, sick in answers.items() if sick is not None]
        if not ids:
            continue
        score = shortcut.score(
            shortcut.columns(collection, ids),
            np.array([answers[one] for one in ids], int),
            [decisions.groups[one] for one in ids],
        )
        scores[question] = dataclasses.asdict(score) | {"photographs": len(ids)}
    return scores
