"""The audit: what is in the data, what would leak, and what was done about it.

It compares all photographs of an experiment with each other, whatever their dataset and
split, and writes three files: `audit.json`, every finding and decision; `audit.html`,
the same with pictures; and last `leakage.json`, the certificate without which nothing
is trained.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from input_pipeline import (
    audit_findings,
    audit_page,
    changes,
    folder_lock,
    leakage,
    photograph,
    records,
    same_picture,
    tasks,
    whole_files,
)

FORMAT = 3
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
        copies = same_picture.find(collection, self.near_identical)
        decisions = leakage.decide(collection.photographs, copies, self)
        findings = audit_findings.gather(collection, copies, decisions, self)
        findings = {"format": FORMAT, "policy": self.description()} | findings
        whole_files.write_json(folder / FINDINGS, findings)
        page = audit_page.render(collection, findings)
        whole_files.write_text(folder / PAGE, page)
        certificate = audit_findings.certify(collection, findings)
        certificate["audit_sha256"] = records.file_sha256(folder / FINDINGS)
        whole_files.write_json(folder / CERTIFICATE, certificate)


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
        self.findings = whole_files.read_json(path)
        self.decisions = leakage.Decisions(
            split=self.findings["split"],
            left_out={
                key: leakage.LeftOut(**why)
                for key, why in self.findings["left_out"].items()
            },
            groups=self.findings["groups"],
        )

    def disputed(self, task: tasks.Task) -> list[str]:
        """Ids of the test photographs that have a copy with another answer to a task.

        Labels that mean nothing dispute nothing.
        """
        if task.random:
            return []
        names = [one.name for one in dataclasses.fields(leakage.Copy)]
        copies = [
            leakage.Copy(**{name: one[name] for name in names})
            for one in self.findings["copies"]
        ]
        return leakage.disputed(
            self.collection.photographs, copies, self.decisions.split, task.label
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
    certificate = whole_files.read_json(path)
    try:
        certificate["audit_sha256"], certified(certificate)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: it is no certificate. {_ANEW}") from error
    return certificate


def certified(certificate: Mapping[str, Any]) -> dict[str, str]:
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
    if difference := describe_difference(certificate, collection):
        raise ValueError(
            f"The certificate {path} is not of these photographs: {difference} {_ANEW}"
        )


def describe_difference(
    certificate: Mapping[str, Any], collection: records.Collection
) -> str:
    """Says which photographs are not those of a certificate.

    Args:
        certificate: What `leakage.json` holds.
        collection: The photographs that it should be of.

    Returns:
        The first dataset that differs, photograph by photograph where the records that
        were certified are still there; "" where none does.
    """
    known = certified(certificate)
    counts = {one["name"]: one["photographs"] for one in certificate["datasets"]}
    folders = {one.dataset: one for one in collection.folders}
    for name in sorted(known.keys() | folders.keys()):
        now = folders.get(name)
        if known.get(name) != (now and now.fingerprint):
            before = "none"
            if name in known:
                before = f"{counts[name]} with the fingerprint {known[name]}"
            here = "here are none"
            if now:
                count = len(now.photographs)
                here = f"{now.folder} holds {count} with {now.fingerprint}"
            changed = _what_changed(name, known, collection)
            return f"of {name!r} it knows {before}, {here}.{changed}"
    return ""


def _what_changed(
    name: str, known: Mapping[str, str], collection: records.Collection
) -> str:
    """What differs, where the records that were known are still there."""
    (now,) = [one for one in collection.folders if one.dataset == name] or [None]
    if now is None or name not in known:
        return ""
    before = records.find(now.folder.parent, name, known[name])
    if before is None:
        return ""
    lines = changes.between(before, now)
    return (
        f" Since then:\n{changes.listing(lines)}\nWith photographs and labels as they "
        f"were, {before.folder} is used again."
    )
