"""What is known of an evaluated run: the facts behind its report and its model card."""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import (
    assessment,
    external,
    interval_words,
    members,
    predictions,
    table,
)
from input_pipeline import (
    audit,
    dataset_titles,
    photograph,
    records,
    splits,
    whole_files,
)

# Between them stand other sets of photographs.
_FIRST, _LAST = ("test",), ("valid", "train")
_HEADLINES = ("sensitivity", "specificity", "auc", "balanced_accuracy")


@dataclasses.dataclass(frozen=True)
class Facts:
    """An evaluated run, read from its files.

    What there is not is None: predictions of somebody else's model have neither a
    history nor a config, and perhaps nobody has the photographs.

    Attributes:
        name: The run's name, that of its directory, and the evaluation's if it is one
            of several.
        content: What `metrics.json` holds.
        said: Split -> its predictions.
        audited: The run's own photographs, with their audit.
        collection: These, and those of other datasets that it was evaluated on.
        external: Which photographs of other datasets, and why not others; empty where
            there are none.
        split: Which photographs trained, validated and tested.
        history: What `history.json` holds.
        members: The same of each member of an ensemble, by its name.
        config: The gin text of the run.
        operative_config: The same with all defaults that were used.
        environment: Where it was started, an entry a start; empty where unknown.
        ledger: Readings of the test photographs, an entry each; None where nobody
            kept one.
        trained: What the model was trained for (`task.json`).
    """

    name: str
    content: Mapping[str, Any]
    said: Mapping[str, predictions.Predictions]
    audited: audit.Audit | None
    collection: records.Collection | None
    external: Mapping[str, Any]
    split: splits.Split | None
    history: Mapping[str, Any] | None
    members: Mapping[str, Mapping[str, Any]]
    config: str | None
    operative_config: str | None
    environment: Sequence[Mapping[str, Any]]
    ledger: Sequence[Mapping[str, Any]] | None
    trained: Mapping[str, Any] | None

    @property
    def trainings(self) -> Mapping[str, Mapping[str, Any]]:
        """What `history.json` holds of each training; none where nobody knows."""
        return {self.name: self.history} if self.history else self.members

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
    def class_labels(self) -> list[str]:
        """The class names; grades, whose names are bare adjectives, with numbers."""
        return _numbered(self.class_names) if self.are_grades else self.class_names

    @property
    def are_grades(self) -> bool:
        """Whether the classes are the five grades."""
        return tuple(self.class_names) == photograph.GRADES

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
        return assessment.settings_of(self.content)

    @functools.cached_property
    def parts(self) -> dict[str, predictions.Predictions]:
        """A split or a part of one -> its predictions, in the order of a reader."""
        others = [name for name in self.said if name not in (*_FIRST, *_LAST)]
        return {
            name: self.said[split].take(chosen)
            for split in (*_FIRST, *others, *_LAST)
            if split in self.said
            for name, chosen in assessment.parts(self.said[split]).items()
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
    def where(self) -> str:
        """The datasets for a reader, as in "APTOS 2019, EyePACS and IDRiD"."""
        return _listed(self.datasets)

    @property
    def trained_where(self) -> str:
        """The datasets that the model was trained for, for a reader."""
        return _listed(self.trained["datasets"])

    @property
    def sources(self) -> dict[str, str]:
        """Title of each published dataset that is in the run -> citation and terms."""
        folders = self.collection.folders if self.collection else ()
        # Drawings may lie in the folders, and bear the name, of a published dataset.
        drawn = {one.dataset for one in folders if one.drawn}
        names = {*self.trained["datasets"], *self.datasets} - drawn
        return {
            dataset_titles.title(name): dataset_titles.SOURCES[name]
            for name in sorted(names & dataset_titles.SOURCES.keys())
        }

    def where_of(self, part: str) -> str:
        """The datasets of one part, for a reader."""
        return _listed(sorted({*self.parts[part].known["dataset"]}))

    @property
    def headline_metrics(self) -> list[str]:
        """The metrics that a summary shows."""
        more = ["quadratic_kappa"] if len(self.class_names) > 2 else []
        return [*_HEADLINES, *more]

    @property
    def metric_groups(self) -> list[tuple[str, list[str]]]:
        """Titles and names: metrics of the classes, then of the disease alone."""
        names = list(self.scores["metrics"])
        if len(self.class_names) == 2:
            return [("", names)]
        first = names.index("sensitivity")
        return [("Of the classes", names[:first]), ("Of the disease", names[first:])]

    @property
    def intervals(self) -> list[str]:
        """What the headline's intervals are, a sentence a kind."""
        scores = self.scores
        return interval_words.sentences(scores, lambda one: self.label(one, scores))

    def readings(self, split: str) -> int | None:
        """How often the photographs of a split were read; None where nobody counted."""
        if self.ledger is None:
            return None
        return sum(entry["split"] == split for entry in self.ledger)

    def label(self, name: str, scores: Mapping[str, Any]) -> str:
        """A metric's name for a reader, with what it depends on.

        Args:
            name: As `metrics.json` has it.
            scores: Those that it is one of.

        Returns:
            The name.
        """
        if name.startswith("recall_"):
            return f"recall of {self.class_labels[int(name.removeprefix('recall_'))]}"
        if name.endswith("_at_prevalence"):
            return f"{table.label(name[:3])} at prevalence {scores['prevalence']:g}"
        return table.label(name)

    def photograph(self, photograph_id: str) -> photograph.Photograph | None:
        """A photograph's published labels; None where nobody has the photograph."""
        if self.collection is None or photograph_id not in self.collection.entries:
            return None
        return self.collection.photograph(photograph_id)

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
        own = said.labels, self.class_labels, self.disease_classes, self.are_grades
        if self.are_grades:
            return own
        if "" in said.known["grade"]:
            return own
        grades = [int(one) for one in said.known["grade"]]
        diseased = np.isin(said.labels, self.disease_classes)
        meaning: dict[int, bool] = {}
        for grade, ill in zip(grades, diseased.tolist(), strict=True):
            if meaning.setdefault(grade, ill) != ill:
                return own
        ill = tuple(grade for grade, ill in sorted(meaning.items()) if ill)
        return np.array(grades), _numbered(photograph.GRADES), ill, True


def read(
    folder: pathlib.Path,
    run: pathlib.Path | None = None,
    audited: audit.Audit | None = None,
) -> Facts:
    """Reads what an evaluation and its run left.

    Args:
        folder: Holds `metrics.json` and `predictions.csv`.
        run: The run's directory, or None where the predictions are of no run.
        audited: The photographs, or None where nobody has them.

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
    content = whole_files.read_json(metrics)
    collection = None
    if audited is not None:
        collection = external.find(folder, audited.collection)
    class_names = content["task"]["class_names"]
    return Facts(
        name=_name(folder.resolve(), run and run.resolve()),
        content=content,
        said=predictions.read_csv(folder / "predictions.csv", class_names),
        audited=audited,
        collection=collection,
        external=_find(whole_files.read_json, external.FILE, folder) or {},
        split=_find(splits.Split.load, "split.json", folder, run),
        history=_find(whole_files.read_json, "history.json", run),
        members=members.histories(run) if run else {},
        config=_find(_read_text, "config.gin", run),
        operative_config=_find(_read_text, "operative_config.gin", run),
        environment=_find(whole_files.read_json, "environment.json", run) or [],
        ledger=None if run is None else _find(_read_ledger, "ledger.jsonl", run) or [],
        trained=_find(whole_files.read_json, "task.json", run),
    )


def bindings(config: str) -> str:
    """The bindings of a gin text that gin wrote, without gin's comments.

    Args:
        config: The text.

    Returns:
        Its lines, what belongs together still in a block of its own.
    """
    lines = [line for line in config.splitlines() if not line.startswith("#")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


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


def _listed(names: Sequence[str]) -> str:
    titles = map(dataset_titles.title, names)
    *others, last = [one or "an unnamed dataset" for one in titles]
    return f"{', '.join(others)} and {last}" if others else last


def _numbered(names: Sequence[str]) -> list[str]:
    return [f"{number} {name}" for number, name in enumerate(names)]


def _name(folder: pathlib.Path, run: pathlib.Path | None) -> str:
    if run is None or folder == run:
        return folder.name
    inside = folder.is_relative_to(run)
    return f"{run.name}, {folder.relative_to(run) if inside else folder.name}"


def _find(
    reader: Callable[[pathlib.Path], Any],
    name: str,
    *folders: pathlib.Path | None,
) -> Any:
    """What the first of some folders that has a file of this name has in it."""
    paths = [folder / name for folder in folders if folder is not None]
    return next((reader(path) for path in paths if path.exists()), None)


def _read_text(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8")


def _read_ledger(path: pathlib.Path) -> list[dict[str, Any]]:
    entries = []
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number} is damaged: {error}. Restore it from a copy: "
                "nothing else says how often the test photographs were read."
            ) from error
    return entries
