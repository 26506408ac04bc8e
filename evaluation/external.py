"""Other datasets than a run's own: prepared like it, compared with it, then evaluated.

What a model was trained or validated on says nothing about other sites, whatever its
name there: public sets share photographs, and re-exports rename them. So the other
photographs are compared with the run's, and those that it knows are left out of the
figures, each with the reason.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from absl import logging

from evaluation import recalibration
from input_pipeline import (
    audit,
    leakage,
    photograph,
    prepare,
    records,
    same_picture,
    splits,
    tasks,
    whole_files,
)
from input_pipeline.datasets import dataset

FILE = "external.json"
"""Which photographs of other datasets a folder of results is of, and why not others."""

_RESERVED = ("train", "valid", "test")

KINDS = {
    "known": "known to the run",
    "unlabelled": "without a label for the task",
    "unreadable": "unreadable",
    "drawn": "of patients in the sample",
}
"""Why a photograph is left out, in words for a count."""


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Why a photograph is neither reported on nor in the sample.

    Attributes:
        kind: One of `KINDS`.
        reason: The same with ids, in words that follow the photograph's id.
    """

    kind: Literal["known", "unlabelled", "unreadable", "drawn"]
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class External:
    """The photographs of one other dataset.

    Attributes:
        name: The dataset's, and in results the name of its part.
        collection: The prepared photographs of the run and of all other datasets.
        ids: Those to report on.
        sample: Those that a threshold for the site is chosen on.
        left_out: Id -> why it is in neither.
        disputed: Ids of those that a copy contradicts in the task.
        read: Which part of the dataset was asked for, in words.
        labels_sha256: Checksum of all its ids and labels.
    """

    name: str
    collection: records.Collection
    ids: tuple[str, ...]
    sample: tuple[str, ...]
    left_out: Mapping[str, LeftOut]
    disputed: tuple[str, ...]
    read: str
    labels_sha256: str

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Name of a part of the results -> its ids; none is empty."""
        parts = {self.name: self.ids, f"{self.name} sample": self.sample}
        return {name: ids for name, ids in parts.items() if ids}

    def description(self) -> dict[str, Any]:
        """JSON-ready; `labels_sha256` tells whether it is of the same photographs."""
        fingerprints = {one.dataset: one.fingerprint for one in self.collection.folders}
        return {
            "read": self.read,
            "parts": {name: list(ids) for name, ids in self.parts.items()},
            "left_out": {
                one: dataclasses.asdict(why) for one, why in self.left_out.items()
            },
            "disputed": list(self.disputed),
            "fingerprint": fingerprints[self.name],
            "labels_sha256": self.labels_sha256,
        }


def count(name: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """What `metrics.json` says of a dataset's photographs.

    Args:
        name: The dataset's.
        described: As `External.description` describes them.

    Returns:
        Which part was read, how many photographs are reported on and in the sample,
        and how many are left out, by kind.
    """
    parts = described["parts"]
    kinds = collections.Counter(one["kind"] for one in described["left_out"].values())
    return {
        "read": described["read"],
        "photographs": len(parts.get(name, ())),
        "sample": len(parts.get(f"{name} sample", ())),
        "left_out": dict(kinds),
    }


class Others:
    """The other datasets of an evaluation, none of them opened yet.

    Attributes:
        own_folders: Of the folders that were given those of the run's own datasets.
    """

    def __init__(
        self,
        datasets: Sequence[dataset.Dataset],
        wanted: Sequence[photograph.Split],
        recalibrate: recalibration.Recalibration | None,
        preparation: prepare.Preparation,
        given: Mapping[str, pathlib.Path],
        prepared_dir: pathlib.Path,
    ):
        """Tells which folder is whose.

        Args:
            datasets: The other datasets.
            wanted: Which published splits of them; none: the published test split, or
                all of a dataset without one.
            recalibrate: How their samples are drawn, if any.
            preparation: The run's own.
            given: Dataset's name -> its folder; that of the run's only one may be "".
            prepared_dir: Where prepared folders lie.

        Raises:
            ValueError: Names clash, or a folder has the name of no dataset.
        """
        self._names = [one.name for one in datasets]
        own = [one.name for one in preparation.datasets]
        if clash := sorted({*self._names} & {*own, *_RESERVED}):
            raise ValueError(
                "`evaluate.on` must list datasets with names other than the run's "
                f"({', '.join(own)}) and those of splits. Received: {clash[0]!r}. Name "
                "it in a scope, as in evaluate.on = [@other/csv_file()] and "
                "other/csv_file.name = 'other'."
            )
        given = dict(given)
        if datasets and "" in given and len(own) == 1 and own[0] not in given:
            given[own[0]] = given.pop("")
        self._wanted, self._recalibrate = tuple(wanted), recalibrate
        self._prepared_dir = prepared_dir
        self._joint = dataclasses.replace(
            preparation, datasets=[*preparation.datasets, *datasets]
        )
        folders = self._joint.name_folders(given)
        self.own_folders = {
            name: folder for name, folder in folders.items() if name not in self._names
        }
        self._folders = {
            name: folder for name, folder in folders.items() if name in self._names
        }

    def check(self, task: tasks.Task) -> str:
        """Finds what labels alone tell, before anything is prepared.

        Args:
            task: What the model was trained for.

        Returns:
            What will be read, a line a dataset, for a person.

        Raises:
            ValueError: A folder is not as published or not named, a dataset does not
                answer the task or lacks a split, or a sample must be too small.
        """
        lines = []
        for name, photographs in self._list().items():
            chosen, left_out, read = choose(name, photographs, task, self._wanted)
            if self._recalibrate is not None:
                pool = self._pool(name, photographs, task, chosen)
                self._recalibrate.check(_diseased(pool, task), name)
            lines.append(
                f"On {name}: {read}, {len(chosen)} photographs, {len(left_out)} more "
                "without a label for the task."
            )
        return "\n".join(lines)

    def check_same(self, folder: pathlib.Path) -> None:
        """Refuses results of other photographs than those in the folders given.

        Args:
            folder: Holds the results.

        Raises:
            ValueError: Says which dataset differs.
        """
        if not self._folders:
            return
        done = whole_files.read_json(folder / FILE)
        for name, photographs in self._joint.read(self._folders).items():
            if done[name]["labels_sha256"] != _labels_sha256(photographs):
                raise ValueError(
                    f"{folder} has results on {name!r}, but not on the photographs in "
                    f"{self._folders[name]}: ids or labels differ. Give this dataset "
                    "another name, or remove the results."
                )

    def read(
        self,
        task: tasks.Task,
        audited: audit.Audit,
        auditor: audit.Auditor,
        split: splits.Split,
        seen: Mapping[str, str],
    ) -> list[External]:
        """Prepares what is missing, compares it with the run, and draws samples.

        Args:
            task: What the model was trained for.
            audited: The run's own photographs.
            auditor: How it compares photographs.
            split: Which of them trained and validated the model.
            seen: Id -> SHA-256 of the file, of all photographs that its weights have
                seen, also those of earlier runs and of teachers.

        Returns:
            The photographs of each dataset.

        Raises:
            ValueError: As `check`, or no photograph is left, or a sample is too small.
        """
        if not self._names:
            return []
        # The run's own as they were audited, which the certificate vouches for.
        datasets = [one for one in self._joint.datasets if one.name in self._names]
        beside = dataclasses.replace(self._joint, datasets=datasets)
        others = beside.run(self._folders, self._prepared_dir).folders
        collection = records.Collection([*audited.collection.folders, *others])
        copies = same_picture.find(collection, auditor.near_identical)
        policy = dataclasses.replace(auditor, test_on=[*auditor.test_on, *self._names])
        decisions = leakage.decide(collection.photographs, copies, policy)
        given = {*split.train, *split.valid}
        before = {one: file for one, file in seen.items() if one not in given}
        files = set(before.values())
        earlier = {
            one
            for one, entry in collection.entries.items()
            if one.partition("/")[0] in self._names
            and (one in before or entry["sha256"] in files)
        }
        known = leakage.known_to_model(collection.photographs, copies, given | earlier)
        unusable = {
            one: f"{why}, on which the run was trained or validated"
            for one, why in known.items()
        } | dict.fromkeys(
            earlier,
            "was seen by an earlier run that this one began with, or learned from",
        )
        disputed = leakage.disputed(
            collection.photographs, copies, decisions.split, task.label
        )
        return [
            self._external(one, collection, decisions, unusable, disputed, task)
            for one in others
        ]

    def _external(
        self,
        prepared: records.Prepared,
        collection: records.Collection,
        decisions: leakage.Decisions,
        known: Mapping[str, str],
        disputed: Sequence[str],
        task: tasks.Task,
    ) -> External:
        """What is read of a dataset, and what is not."""
        name, photographs = prepared.dataset, _listed(prepared)
        chosen, left_out, read = choose(name, photographs, task, self._wanted)
        pool = self._pool(name, photographs, task, chosen)
        unusable = {one: LeftOut("known", why) for one, why in known.items()}
        unusable |= {
            one["id"]: LeftOut("unreadable", f"cannot be read: {one['reason']}")
            for one in prepared.manifest["unreadable"]
        }
        ids = tuple(one.id for one in chosen if one.id not in unusable)
        left_out |= {one.id: unusable[one.id] for one in chosen if one.id in unusable}
        if not ids:
            raise ValueError(
                f"No photograph of {name!r} is left to evaluate: the run knows all "
                f"{len(chosen)}. The first: {chosen[0].id}, "
                f"{unusable[chosen[0].id].reason}. Read was {read}; other published "
                "splits can be named in `evaluate.on_splits`, as in "
                "--gin_bindings=\"evaluate.on_splits = ('train', 'valid')\"."
            )
        sample = ()
        if self._recalibrate is not None:
            pool = [one for one in pool if one.id not in unusable]
            groups = decisions.groups
            sample = self._recalibrate.draw([one.id for one in pool], groups, name)
            drawn = [collection.photograph(one) for one in sample]
            self._recalibrate.check(_diseased(drawn, task), name)
            patients = {groups[one] for one in sample}
            left_out |= {
                one: LeftOut("drawn", "of a patient of whom another is in the sample")
                for one in ids
                if groups[one] in patients and one not in sample
            }
            ids = tuple(one for one in ids if groups[one] not in patients)
        return External(
            name=name,
            collection=collection,
            ids=ids,
            sample=sample,
            left_out=left_out,
            disputed=tuple(one for one in disputed if one.partition("/")[0] == name),
            read=read,
            labels_sha256=_labels_sha256(photographs),
        )

    def _pool(
        self,
        name: str,
        photographs: Sequence[photograph.Photograph],
        task: tasks.Task,
        chosen: Sequence[photograph.Photograph],
    ) -> Sequence[photograph.Photograph]:
        """What a sample is drawn from."""
        if self._recalibrate is None or self._recalibrate.split is None:
            return chosen
        return choose(name, photographs, task, (self._recalibrate.split,))[0]

    def _list(self) -> dict[str, list[photograph.Photograph]]:
        """Dataset's name -> its photographs, none of them opened."""
        read = self._joint.read(self._folders)
        return {
            one.name: read.get(one.name)
            or _listed(self._joint.open(one, self._prepared_dir))
            for one in self._joint.datasets
            if one.name in self._names
        }


def find(folder: pathlib.Path, own: records.Collection) -> records.Collection:
    """The photographs of a folder of results, those of other datasets too.

    Args:
        folder: Holds the results.
        own: The run's own photographs. The others lie beside them, prepared alike.

    Returns:
        The same, and those of the other datasets that are still as they were.
    """
    if not (folder / FILE).exists():
        return own
    beside, found = own.folders[0].folder.parent, []
    for name, one in whole_files.read_json(folder / FILE).items():
        if prepared := records.find(beside, name, one["fingerprint"]):
            found.append(prepared)
        else:
            logging.warning(
                "%s holds %r no more as it was: nothing of it is shown.", beside, name
            )
    return records.Collection([*own.folders, *found])


def choose(
    name: str,
    photographs: Sequence[photograph.Photograph],
    task: tasks.Task,
    wanted: Sequence[photograph.Split],
) -> tuple[list[photograph.Photograph], dict[str, LeftOut], str]:
    """Chooses the photographs of a dataset that a task can be asked of.

    Args:
        name: The dataset's.
        photographs: All of it.
        task: The question.
        wanted: Which published splits; none: the published test split, on which others
            report too, or all where there is none.

    Returns:
        The photographs; id -> why, for those without an answer; which part of the
        dataset it is, in words.

    Raises:
        ValueError: There is no such split, or it has no answer at all.
    """
    published = {one.split or "train" for one in photographs}
    if missing := [one for one in wanted if one not in published]:
        raise ValueError(
            f"{name!r} has no published split {missing[0]!r}. Expected some of "
            f"{sorted(published)}, in `evaluate.on_splits` or `recalibration.split`."
        )
    if not wanted and "test" in published:
        wanted = ("test",)
    asked = [
        one for one in photographs if not wanted or (one.split or "train") in wanted
    ]
    chosen = [one for one in asked if task.label(one) is not None]
    if not chosen:
        raise ValueError(
            f"The task {task.name!r} ({task.rule}) needs labels that {name!r} does not "
            f"give: none of {len(asked)} photographs has one. Take it out of "
            "`evaluate.on`, or evaluate a run with a task that it answers."
        )
    left_out = {
        one.id: LeftOut(
            "unlabelled",
            "ungradable, as its publisher says"
            if one.gradable is False
            else "without a label that the task asks for",
        )
        for one in asked
        if task.label(one) is None
    }
    read = f"its published {' and '.join(wanted)} split" if wanted else "all of it"
    return chosen, left_out, read


def _listed(prepared: records.Prepared) -> list[photograph.Photograph]:
    """All photographs of a dataset, those that could not be read too."""
    unreadable = [
        photograph.Photograph(
            id=entry["id"],
            path=pathlib.Path(entry["path"]),
            **{name: entry[name] for name in records.LABELS},
        )
        for entry in prepared.manifest["unreadable"]
    ]
    return [*prepared.photographs, *unreadable]


def _diseased(
    photographs: Sequence[photograph.Photograph], task: tasks.Task
) -> list[bool]:
    return [one in task.disease_classes for one in task.labels(photographs)]


def _labels_sha256(photographs: Sequence[photograph.Photograph]) -> str:
    content = sorted(
        [one.id, *(getattr(one, name) for name in records.LABELS)]
        for one in photographs
    )
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
