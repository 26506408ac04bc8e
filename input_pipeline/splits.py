"""Splits: which photographs train, validate and test, as lists of ids that are stored.

A split is made once, before any sampling or augmentation, and read from its file ever
after. Photographs of one patient, and files that are byte-identical, stay together.
"""

import dataclasses
import json
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import gin
from sklearn import model_selection

from input_pipeline import photograph, records


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
        """Reads a split that `save` wrote."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        left_out = stored.pop("left_out")
        return cls(left_out=left_out, **{k: tuple(v) for k, v in stored.items()})


@gin.register("split")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Splitter:
    """Makes the split: the publisher's test set, a fold of the rest for validation.

    Folds are stratified by grade (scikit-learn's `StratifiedGroupKFold`).

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

    def split(self, prepared: records.Prepared) -> Split:
        """The stored split of prepared photographs, made and stored at first use."""
        name = f"{self.fold}-of-{self.folds}-seed-{self.seed}.json"
        path = prepared.folder / "splits" / f"{prepared.fingerprint}-{name}"
        if not path.exists():
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
            The split. Copies of test photographs are in none of its lists.

        Raises:
            ValueError: There are too few photographs for so many folds.
        """
        test = [one for one in photographs if one.split == "test"]
        in_test = {sha256[one.id]: one.id for one in test}
        test_patients = {one.patient for one in test if one.patient is not None}
        left_out = {}
        rest = []
        for one in photographs:
            if one.split == "test":
                continue
            if sha256[one.id] in in_test:
                left_out[one.id] = (
                    f"byte-identical to {in_test[sha256[one.id]]} of the test set"
                )
            elif one.patient in test_patients:
                left_out[one.id] = f"patient {one.patient} is in the test set"
            else:
                rest.append(one)
        valid = self._fold(rest, sha256)
        return Split(
            train=tuple(one.id for one in rest if one.id not in valid),
            valid=tuple(one.id for one in rest if one.id in valid),
            test=tuple(one.id for one in test),
            left_out=left_out,
        )

    def _fold(
        self, rest: Sequence[photograph.Photograph], sha256: Mapping[str, str]
    ) -> frozenset[str]:
        """Ids of the photographs that validate."""
        published = frozenset(one.id for one in rest if one.split == "valid")
        if published:
            return published
        groups = _groups(rest, sha256)
        if len(set(groups)) < self.folds:
            raise ValueError(
                f"{self.folds} folds need at least as many patients or photographs. "
                f"Received: {len(set(groups))} outside the test set. Lower `split.folds`."
            )
        strata = [
            (-1 if one.any_dr is None else int(one.any_dr))
            if one.grade is None
            else one.grade
            for one in rest
        ]
        splitter = model_selection.StratifiedGroupKFold(
            self.folds, shuffle=True, random_state=self.seed
        )
        with warnings.catch_warnings():
            # A grade rarer than the number of folds is absent from some: unavoidable.
            warnings.filterwarnings("ignore", "The least populated class in y")
            parts = list(splitter.split(strata, strata, groups))
        _, chosen = parts[self.fold]
        return frozenset(rest[i].id for i in chosen)


def _groups(
    photographs: Sequence[photograph.Photograph], sha256: Mapping[str, str]
) -> list[str]:
    """A name for each photograph, shared by those that may not be separated."""
    group_of_file: dict[str, str] = {}
    merged: dict[str, str] = {}

    def root(group: str) -> str:
        while merged.get(group, group) != group:
            group = merged[group]
        return group

    names = [one.patient or one.id for one in photographs]
    for name, one in zip(names, photographs, strict=True):
        other = group_of_file.setdefault(sha256[one.id], name)
        merged[root(name)] = root(other)
    return [root(name) for name in names]
