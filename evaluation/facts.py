"""What is known of an evaluated run: the facts behind its report and its model card."""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import assessment, predictions, table
from input_pipeline import audit, photograph, records

_SPLITS = ("test", "valid", "train")
_HEADLINES = ("sensitivity", "specificity", "auc", "balanced_accuracy")


@dataclasses.dataclass(frozen=True)
class Facts:
    """An evaluated run, read from its files.

    What a run does not have is empty: predictions of somebody else's model have neither
    a history nor a config.

    Attributes:
        name: The run's name, that of its directory.
        content: What `metrics.json` holds.
        said: Split -> its predictions.
        audited: The photographs, with their audit.
        history: What `history.json` holds, or None.
        config: The gin text of the run, or None.
        environment: Where it was started, an entry a start.
        ledger: Readings of the test photographs, an entry each; None where nobody
            kept one.
        trained: What the model was trained for (`task.json`), or None.
        predictions_sha256: Checksum of `predictions.csv`, hexadecimal.
    """

    name: str
    content: Mapping[str, Any]
    said: Mapping[str, predictions.Predictions]
    audited: audit.Audit
    history: Mapping[str, Any] | None
    config: str | None
    environment: Sequence[Mapping[str, Any]]
    ledger: Sequence[Mapping[str, Any]] | None
    trained: Mapping[str, Any] | None
    predictions_sha256: str

    @property
    def task(self) -> Mapping[str, Any]:
        """Name, rule and classes of the task."""
        return self.content["task"]

    @property
    def rule(self) -> str:
        """The task's rule, with the grades that it names in words."""
        return in_words(self.task["rule"])

    @property
    def class_names(self) -> list[str]:
        """In the order of the labels."""
        return self.task["class_names"]

    @property
    def disease_classes(self) -> tuple[int, ...]:
        """The classes that mean disease."""
        return tuple(self.task["disease_classes"])

    @property
    def decision(self) -> Mapping[str, Any]:
        """Calibration and operating point."""
        return self.content["decision"]

    @property
    def settings(self) -> assessment.Settings:
        """How the figures were computed."""
        evaluation = self.content["evaluation"]
        return assessment.Settings(
            disease_classes=self.disease_classes,
            threshold=self.decision["operating_point"]["threshold"],
            prevalence=evaluation["prevalence"],
            resamples=evaluation["resamples"],
            seed=evaluation["seed"],
        )

    @functools.cached_property
    def parts(self) -> dict[str, predictions.Predictions]:
        """A split or a part of one -> its predictions; those that test come first."""
        order = sorted(
            self.said.values(),
            key=lambda one: _SPLITS.index(one.split) if one.split in _SPLITS else -1,
        )
        return {
            name: one.take(chosen)
            for one in order
            for name, chosen in assessment.parts(one).items()
        }

    @property
    def headline(self) -> str:
        """The part whose figures stand first."""
        return next(iter(self.parts))

    @property
    def scores(self) -> Mapping[str, Any]:
        """Figures of the headline."""
        return self.content["results"][self.headline]

    @property
    def datasets(self) -> list[str]:
        """Where the evaluated photographs are from."""
        said = self.said.values()
        return sorted({name for one in said for name in one.known["dataset"]})

    @property
    def headline_metrics(self) -> list[str]:
        """The metrics that a summary shows."""
        more = ["quadratic_kappa"] if len(self.class_names) > 2 else []
        return [*_HEADLINES, *more]

    @property
    def test_readings(self) -> int | None:
        """How often the test photographs were read; None where nobody counted."""
        return None if self.ledger is None else len(self.ledger)

    def label(self, name: str, scores: Mapping[str, Any]) -> str:
        """A metric's name for a reader, with what it depends on.

        Args:
            name: As `metrics.json` has it.
            scores: Those that it is one of.

        Returns:
            The name.
        """
        if name.startswith("recall_"):
            return f"recall of {self.class_names[int(name.removeprefix('recall_'))]}"
        if name.endswith("_at_prevalence"):
            return f"{table.label(name[:3])} at prevalence {scores['prevalence']:g}"
        return table.label(name)

    def by_grade(
        self, part: str
    ) -> tuple[np.ndarray, list[str], tuple[int, ...], bool]:
        """The finest classes that a part's photographs are known by.

        Those are the five grades where each photograph has one and a grade alone
        decides what counts as disease; else they are the task's classes.

        Args:
            part: Name of a split or of a part of one.

        Returns:
            int array of shape `(n,)`, the names of the classes, those of them that mean
            disease, and whether they are grades.
        """
        said = self.parts[part]
        own = said.labels, self.class_names, self.disease_classes, False
        if tuple(self.class_names) == photograph.GRADES:
            names = [f"{number} {name}" for number, name in enumerate(self.class_names)]
            return said.labels, names, self.disease_classes, True
        collection = self.audited.collection
        grades = [collection.photograph(one).grade for one in said.ids]
        diseased = np.isin(said.labels, self.disease_classes)
        meaning: dict[int, bool] = {}
        for grade, ill in zip(grades, diseased.tolist(), strict=True):
            if grade is None or meaning.setdefault(grade, ill) != ill:
                return own
        names = [f"{number} {name}" for number, name in enumerate(photograph.GRADES)]
        ill = tuple(grade for grade, ill in sorted(meaning.items()) if ill)
        return np.array(grades), names, ill, True


def read(folder: pathlib.Path, run: pathlib.Path, audited: audit.Audit) -> Facts:
    """Reads what an evaluation and its run left.

    Args:
        folder: Holds `metrics.json` and `predictions.csv`.
        run: The run's directory; its files may be absent.
        audited: The photographs.

    Returns:
        The facts.

    Raises:
        ValueError: A file is damaged.
        FileNotFoundError: The run is not evaluated.
    """
    metrics = folder / "metrics.json"
    if not metrics.exists():
        raise FileNotFoundError(
            f"{metrics} does not exist: the run is not evaluated. Evaluate it first: "
            "the same command without --mode."
        )
    content = records.read_json(metrics)
    said = predictions.read_csv(
        folder / "predictions.csv", content["task"]["class_names"]
    )
    config = run / "config.gin"
    return Facts(
        name=run.resolve().name,
        content=content,
        said=said,
        audited=audited,
        history=_optional(run / "history.json"),
        config=config.read_text(encoding="utf-8") if config.exists() else None,
        environment=_optional(run / "environment.json") or [],
        ledger=_ledger(run),
        trained=_optional(run / "task.json"),
        predictions_sha256=records.file_sha256(folder / "predictions.csv"),
    )


def in_words(rule: str) -> str:
    """A task's rule with the grades that it names in words.

    Args:
        rule: As in "referable diabetic retinopathy: grade >= 2".

    Returns:
        As in "referable diabetic retinopathy: grade >= 2, moderate or worse".
    """

    def spell(found: re.Match) -> str:
        grade, more = found[1], found[2]
        name = photograph.GRADES[int(grade)]
        return f"grade >= {grade}, {name} or worse" + (f",{more}" if more else "")

    return re.sub(r"grade >= ([0-4])( or\b)?", spell, rule)


def _optional(path: pathlib.Path) -> Any:
    return records.read_json(path) if path.exists() else None


def _ledger(run: pathlib.Path) -> list[dict[str, Any]] | None:
    """Readings of the test photographs; None if the folder is not one of a run."""
    path = run / "ledger.jsonl"
    if not path.exists():
        return [] if (run / "history.json").exists() else None
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number} is damaged: {error}. Restore it from a copy: "
                "nothing else says how often the test photographs were read."
            ) from error
    return entries
