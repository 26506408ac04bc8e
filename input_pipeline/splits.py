"""Splits: which photographs train, validate and test, as lists of ids that are stored.

A split is made once, before any sampling or augmentation, and read from its file ever
after. Photographs of one patient, and files that are byte-identical, stay together.
"""

import collections
import dataclasses
import json
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import gin
from sklearn import model_selection

from input_pipeline import folder_lock, photograph, records


@dataclasses.dataclass(frozen=True)
class Split:
    """Ids of the photographs that train, validate and test a model.

    Attributes:
        train: Ids to train on.
        valid: Ids that decide: the epoch, a threshold, a hyperparameter.
        test: Ids that decide nothing.
        left_out: Id -> why it is in none of the three.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    left_out: Mapping[str, str]

    def __getitem__(self, name: photograph.Split) -> tuple[str, ...]:
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]

    def save(self, path: pathlib.Path) -> None:
        """Writes the split as JSON."""
        records.write_json(path, dataclasses.asdict(self))

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
        seed: Decides the folds.
    """

    folds: int = 5
    fold: int = 0
    seed: int = 0

    def __post_init__(self):
        if self.folds < 2 or not 0 <= self.fold < self.folds:
            raise ValueError(
                "`split.folds` must be at least 2 and `split.fold` between 0 and folds "
                f"- 1. Received: folds={self.folds}, fold={self.fold}."
            )
        if self.seed < 0:
            raise ValueError(f"`split.seed` must be at least 0. Received: {self.seed}.")

    def split(self, prepared: records.Prepared) -> Split:
        """The stored split of prepared photographs, made and stored at first use."""
        name = f"{self.fold}-of-{self.folds}-seed-{self.seed}.json"
        path = prepared.folder / "splits" / f"{prepared.fingerprint}-{name}"
        if not path.exists():
            with folder_lock.hold(prepared.folder, wait=True):
                if not path.exists():  # Unless another run was first.
                    path.parent.mkdir(exist_ok=True)
                    self.make(prepared.photographs, prepared.sha256).save(path)
        return Split.load(path)

    def make(
        self, photographs: Sequence[photograph.Photograph], sha256: Mapping[str, str]
    ) -> Split:
        """Splits photographs.

        Args:
            photographs: All of them, test photographs included.
            sha256: Id -> checksum of the photograph's file.

        Returns:
            The split. What shares a file or a patient with a test photograph is in none
            of its lists. Photographs that the publisher validates with are kept apart
            from the training photographs in the same way.

        Raises:
            ValueError: There are too few photographs for so many folds.
        """
        groups = _groups(photographs, sha256)
        lists = {"test": [], "valid": [], "train": []}
        left_out = {}
        group_owners, file_owners = {}, {}
        for one in sorted(photographs, key=_precedence):
            owner = group_owners.setdefault(groups[one.id], one)
            twin = file_owners.setdefault(sha256[one.id], one)
            if _precedence(owner) == _precedence(one):
                lists[one.split or "train"].append(one)
            elif _precedence(twin) < _precedence(one):
                why = f"byte-identical to {twin.id} of the {twin.split} set"
                left_out[one.id] = why
            else:
                why = f"of the same patient as {owner.id} of the {owner.split} set"
                left_out[one.id] = why
        if not lists["valid"]:
            rest = lists["train"]
            chosen = self._fold(rest, [groups[one.id] for one in rest])
            lists["valid"] = [one for one in rest if one.id in chosen]
            lists["train"] = [one for one in rest if one.id not in chosen]
        ids = {name: tuple(one.id for one in chosen) for name, chosen in lists.items()}
        return Split(**ids, left_out=left_out)

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


def _precedence(one: photograph.Photograph) -> int:
    """Of photographs that belong together, those that come first keep their place."""
    return {"test": 0, "valid": 1}.get(one.split, 2)


def _groups(
    photographs: Sequence[photograph.Photograph], sha256: Mapping[str, str]
) -> dict[str, str]:
    """Id -> a name that is shared by photographs that may not be separated."""
    group_of_file: dict[str, str] = {}
    merged: dict[str, str] = {}

    def root(group: str) -> str:
        while merged.get(group, group) != group:
            group = merged[group]
        return group

    names = {one.id: one.patient or one.id for one in photographs}
    for photograph_id, name in names.items():
        other = group_of_file.setdefault(sha256[photograph_id], name)
        merged[root(name)] = root(other)
    return {photograph_id: root(name) for photograph_id, name in names.items()}
