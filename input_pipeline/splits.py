"""Splits: which photographs train, validate and test, as lists of ids that are stored.

A split is made once, of photographs that were audited, before any sampling or
augmentation, and read from its file ever after. Photographs of one patient, and copies
of one picture, stay together.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import gin
from sklearn import model_selection

from input_pipeline import (
    audit,
    folder_lock,
    leakage,
    photograph,
    tasks,
    whole_files,
)

_REMEDY = "Train in another --run_dir, which makes a split of its own."


@dataclasses.dataclass(frozen=True)
class Split:
    """Ids of the photographs that train, validate and test a model.

    Attributes:
        train: Ids to train on.
        valid: Ids that decide: the epoch, a threshold, a hyperparameter.
        test: Ids that decide nothing.
        left_out: Id -> why it is in none of the three.
        disputed: Ids of test photographs that a copy contradicts in the run's task.
        not_drawn: Ids that would train or validate, had fewer not been asked for.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    left_out: Mapping[str, str]
    disputed: tuple[str, ...] = ()
    not_drawn: tuple[str, ...] = ()

    def __getitem__(self, name: photograph.Split) -> tuple[str, ...]:
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]

    def check(self, audited: audit.Audit) -> None:
        """Refuses to go on with a split that leaks.

        Args:
            audited: All photographs of the experiment.

        Raises:
            ValueError: The split holds a photograph that was left out, uses a test
                photograph for anything else, or separates photographs that belong
                together.
        """
        decisions = audited.decisions
        seen: dict[str, tuple[str, str]] = {}
        for name in photograph.SPLITS:
            for key in self[name]:
                allowed = decisions.split.get(key, "no split")
                if (name == "test") != (allowed == "test") or allowed == "no split":
                    raise ValueError(
                        f"The split has {key} in {name!r}; the audit in "
                        f"{audited.folder} allows {allowed!r}. {_REMEDY}"
                    )
                group = decisions.groups[key]
                other, before = seen.setdefault(group, (key, name))
                if name != before:
                    raise ValueError(
                        f"The split has {key} in {name!r} and {other} in {before!r}, "
                        "but they are copies or of one patient. " + _REMEDY
                    )

    def for_task(self, audited: audit.Audit, task: tasks.Task) -> "Split":
        """The same split, with the photographs that copies contradict in a task.

        Args:
            audited: All photographs of the experiment.
            task: What a run asks of them.

        Returns:
            What the run stores: the split itself is of all tasks.
        """
        return dataclasses.replace(self, disputed=tuple(audited.disputed(task)))

    def save(self, path: pathlib.Path) -> None:
        """Writes the split as JSON."""
        whole_files.write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: pathlib.Path) -> "Split":
        """Reads a split that `save` wrote.

        Args:
            path: The JSON file.

        Returns:
            The split.

        Raises:
            ValueError: The file is damaged.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            left_out = dict(stored.pop("left_out"))
            lists = {name: tuple(ids) for name, ids in stored.items()}
            return cls(**lists, left_out=left_out)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged: {error}. Restore it: nothing else says which "
                "photographs a model that was trained with it has seen."
            ) from error


@gin.register("split")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Splitter:
    """Makes the split: the publisher's test set, a fold of the rest for validation.

    Folds are stratified by grade (scikit-learn's `StratifiedGroupKFold`). They play no
    part where the publisher says which photographs validate.

    Attributes:
        folds: How many parts the training photographs are cut into.
        fold: Which part validates, 0 to `folds - 1`.
        seed: Decides the folds, and which photographs are drawn.
        train_photographs: How many photographs train, drawn from those that would; a
            smaller number draws some of the same. None: all.
        valid_photographs: How many validate, likewise.
    """

    folds: int = 5
    fold: int = 0
    seed: int = 0
    train_photographs: int | None = None
    valid_photographs: int | None = None

    def __post_init__(self):
        if self.folds < 2 or not 0 <= self.fold < self.folds:
            raise ValueError(
                "`split.folds` must be at least 2 and `split.fold` between 0 and folds "
                f"- 1. Received: folds={self.folds}, fold={self.fold}."
            )
        if self.seed < 0:
            raise ValueError(f"`split.seed` must be at least 0. Received: {self.seed}.")

    def validation(self, split_of: Mapping[str, photograph.Split]) -> str:
        """Which photographs validate, in words.

        Args:
            split_of: Id -> the split that the audit allows (`Decisions.split`).
        """
        if "valid" in split_of.values():
            return "the publisher's validation photographs"
        return f"fold {self.fold} of {self.folds}"

    def split(self, audited: audit.Audit) -> Split:
        """The stored split of audited photographs, made and stored at first use."""
        name = f"{self.fold}-of-{self.folds}-seed-{self.seed}"
        for part, count in self._drawn.items():
            name += f"-{part}-{count}"
        path = audited.folder / "splits" / f"{name}.json"
        if not path.exists():
            with folder_lock.hold(audited.folder, wait=True):
                if not path.exists():  # Unless another run was first.
                    path.parent.mkdir(exist_ok=True)
                    photographs = audited.collection.photographs
                    self.make(photographs, audited.decisions).save(path)
        return Split.load(path)

    def make(
        self,
        photographs: Sequence[photograph.Photograph],
        decisions: leakage.Decisions,
    ) -> Split:
        """Splits photographs.

        Args:
            photographs: All of them, test photographs included.
            decisions: What the audit decided about them.

        Returns:
            The split.

        Raises:
            ValueError: There are too few photographs for so many folds, or to draw so
                many from, or none of the publisher's validation photographs is left.
        """
        lists = {"test": [], "valid": [], "train": []}
        for one in photographs:
            if one.id not in decisions.left_out:
                lists[decisions.split[one.id]].append(one)
        if not lists["valid"] and lists["train"]:
            _check_none_was_published(photographs, decisions)
            rest = lists["train"]
            chosen = self._fold(rest, [decisions.groups[one.id] for one in rest])
            lists["valid"] = [one for one in rest if one.id in chosen]
            lists["train"] = [one for one in rest if one.id not in chosen]
        ids = {name: tuple(one.id for one in chosen) for name, chosen in lists.items()}
        not_drawn = []
        for name, count in self._drawn.items():
            every, ids[name] = ids[name], self._draw(name, ids[name], count)
            not_drawn += sorted({*every} - {*ids[name]})
        left_out = {key: why.reason for key, why in decisions.left_out.items()}
        return Split(**ids, left_out=left_out, not_drawn=tuple(not_drawn))

    @property
    def _drawn(self) -> dict[str, int]:
        """Split -> how many are drawn, of those of which not all are taken."""
        asked = {"train": self.train_photographs, "valid": self.valid_photographs}
        return {name: count for name, count in asked.items() if count is not None}

    def _draw(self, name: str, ids: Sequence[str], count: int) -> tuple[str, ...]:
        """So many of the ids, in their order."""
        if not 1 <= count <= len(ids):
            raise ValueError(
                f"`split.{name}_photographs` must be between 1 and the {len(ids)} "
                f"photographs of the split {name!r}, or None for all. Received: "
                f"{count}."
            )
        # By a number that each id has for itself: fewer are a part of more, and one
        # photograph that leaves changes nothing for the others.
        numbers = {
            one: hashlib.sha256(f"{self.seed}/{one}".encode()).digest() for one in ids
        }
        chosen = set(sorted(ids, key=numbers.get)[:count])
        return tuple(one for one in ids if one in chosen)

    def _fold(
        self, rest: Sequence[photograph.Photograph], groups: Sequence[str]
    ) -> frozenset[str]:
        """Ids of the photographs that validate."""
        strata = [
            (-1 if one.any_dr is None else int(one.any_dr))
            if one.grade is None
            else one.grade
            for one in rest
        ]
        commonest = max(collections.Counter(strata).values(), default=0)
        if min(len(set(groups)), commonest) < self.folds:
            raise ValueError(
                f"{self.folds} folds need as many patients, and as many photographs of "
                f"the commonest grade. Received: {len(set(groups))} and {commonest} "
                "outside the test set. Lower `split.folds`."
            )
        splitter = model_selection.StratifiedGroupKFold(
            self.folds, shuffle=True, random_state=self.seed
        )
        with warnings.catch_warnings():
            # A grade rarer than the number of folds is absent from some: unavoidable.
            warnings.filterwarnings("ignore", "The least populated class in y")
            parts = list(splitter.split(strata, strata, groups))
        _, chosen = parts[self.fold]
        return frozenset(rest[i].id for i in chosen)


def _check_none_was_published(
    photographs: Sequence[photograph.Photograph], decisions: leakage.Decisions
) -> None:
    """Raises where a fold would silently stand in for published validation."""
    lost = [
        one.id
        for one in photographs
        if one.split == "valid" and one.id in decisions.left_out
    ]
    if lost and all(decisions.left_out[one].kind != "unlabelled" for one in lost):
        why = decisions.left_out[lost[0]].reason
        raise ValueError(
            f"None of the publisher's {len(lost)} validation photographs may validate: "
            f"{lost[0]} {why}. Remove their split from the labels, and a fold of the "
            "training photographs validates."
        )
