"""Evaluated runs as a comparison takes them: what each said, and what it has seen."""

import csv
import dataclasses
import functools
import itertools
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import predictions as stored
from evaluation import scoring
from input_pipeline import photograph, whole_files


@dataclasses.dataclass(frozen=True)
class Run:
    """An evaluated run, with what it said of one split.

    Attributes:
        name: What the comparison calls it.
        folder: Where it lies.
        home: The directory of the run whose model spoke, which is another folder for
            its further evaluations; None for other people's models.
        task: What it answers, as `tasks.Task.description` says it.
        threshold: Least probability of disease that it calls diseased, 0-1.
        predictions: What it said.
        seen: "train" and "valid" -> the photographs that its training, and the choice
            of its epoch and threshold, have seen; None where that is not known.
        recipe: Equal for runs that differ in nothing but `train.seed`; None where that
            is not known.
        seed: That seed, as gin text.
    """

    name: str
    folder: pathlib.Path
    home: pathlib.Path | None
    task: Mapping[str, Any]
    threshold: float
    predictions: stored.Predictions
    seen: Mapping[str, frozenset[str]] | None
    recipe: str | None
    seed: str

    @property
    def question(self) -> str:
        """Who is diseased: by the tasks' convention what their rule ends with.

        So "ICDR grade 0-4; disease: grade >= 2" asks the same as "referable diabetic
        retinopathy: grade >= 2". Labels are compared too.
        """
        return self.task["rule"].rpartition(":")[2].strip()

    @property
    def disease_classes(self) -> tuple[int, ...]:
        """The classes that mean disease."""
        return tuple(self.task["disease_classes"])

    @functools.cached_property
    def scorer(self) -> scoring.Scorer:
        """Its figures."""
        return scoring.Scorer(
            self.predictions.labels,
            self.predictions.probabilities,
            self.disease_classes,
            threshold=self.threshold,
        )

    def take(self, ids: Sequence[str]) -> "Run":
        """The same run on some of its photographs, in their order."""
        places = {one: place for place, one in enumerate(self.predictions.ids)}
        chosen = self.predictions.take(np.array([places[one] for one in ids], np.int64))
        return dataclasses.replace(self, predictions=chosen)

    def answers(self, question: str) -> bool:
        """Whether its classes tell who is diseased by a question of another run."""
        return question == self.question or bool(self._grades(question))

    def as_two_classes(self, question: str) -> "Run":
        """The same run, saying of a photograph only whether it is diseased.

        Args:
            question: One that it answers. If it is not its own, a photograph is called
                diseased from a probability of one half: its threshold was chosen for
                another disease.

        Returns:
            A run of two classes.
        """
        classes, threshold = self.disease_classes, self.threshold
        if question != self.question:
            classes, threshold = self._grades(question), 0.5
        said = self.predictions
        disease = said.probabilities[:, list(classes)].sum(axis=1).clip(0, 1)
        said = dataclasses.replace(
            said,
            labels=np.isin(said.labels, classes).astype(np.int64),
            probabilities=np.stack([1 - disease, disease], axis=1),
        )
        task = {
            "name": self.task["name"],
            "rule": question,
            "class_names": ["no disease", "disease"],
            "disease_classes": [1],
        }
        return dataclasses.replace(
            self, predictions=said, task=task, threshold=threshold
        )

    def _grades(self, question: str) -> tuple[int, ...]:
        """Where its classes are the grades: those that "grade >= 3" names."""
        found = re.fullmatch(r"grade >= ([1-4])", question)
        if found is None or tuple(self.task["class_names"]) != photograph.GRADES:
            return ()
        return tuple(range(int(found[1]), len(photograph.GRADES)))


def read(run_dirs: Sequence[pathlib.Path], split: str) -> list[Run]:
    """Reads runs that are to be compared.

    Args:
        run_dirs: Folders of two or more evaluated runs, or of evaluations of runs.
        split: Whose predictions.

    Returns:
        The runs, each by a name of its own.

    Raises:
        ValueError: They are fewer than two, the same twice, not evaluated on the
            split, or damaged.
        FileNotFoundError: A folder holds no evaluated run.
    """
    _check_different(run_dirs)
    runs = [_read(folder, split) for folder in run_dirs]
    homes = [run.home or run.folder for run in runs]
    # An evaluation is named as its run is, unless that is here twice.
    named = homes if len(set(homes)) == len(homes) else [run.folder for run in runs]
    return [
        dataclasses.replace(run, name=name)
        for run, name in zip(runs, _names(named), strict=True)
    ]


def _check_different(run_dirs: Sequence[pathlib.Path]) -> None:
    if len(run_dirs) < 2:
        raise ValueError(
            "--mode=compare takes two or more runs, each with its own flag: "
            "--run_dir=runs/a --run_dir=runs/b. Received: "
            f"{', '.join(map(str, run_dirs)) or 'none'}."
        )
    for first, second in itertools.combinations(run_dirs, 2):
        if first.resolve() == second.resolve():
            raise ValueError(
                "--run_dir must name different runs. Received: "
                f"{first} and {second}, which are the same folder."
            )


def _names(folders: Sequence[pathlib.Path]) -> list[str]:
    """Their paths without what all of them begin or end with."""
    parts = [one.resolve().parts for one in folders]
    while min(map(len, parts)) > 1 and len({one[0] for one in parts}) == 1:
        parts = [one[1:] for one in parts]
    while min(map(len, parts)) > 1 and len({one[-1] for one in parts}) == 1:
        parts = [one[:-1] for one in parts]
    return ["/".join(one) for one in parts]


def _read(folder: pathlib.Path, split: str) -> Run:
    path = folder / "metrics.json"
    if not path.exists():
        raise FileNotFoundError(_why_missing(folder))
    content = _mapping(path)
    try:
        task = {
            "name": str(content["task"]["name"]),
            "rule": str(content["task"]["rule"]),
            "class_names": list(content["task"]["class_names"]),
            "disease_classes": list(content["task"]["disease_classes"]),
        }
        threshold = float(content["decision"]["operating_point"]["threshold"])
        decided = [
            content["evaluation"][one] for one in ("operating_point", "calibrate")
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no run's: its task, threshold or settings are missing "
            f"({error!r}). Evaluate the run again."
        ) from error
    said = _predictions(folder / "predictions.csv", task, split)
    home = _home(folder, said)
    recipe, seed = _recipe(home, decided)
    return Run(
        name=str(folder),
        folder=folder,
        home=home,
        task=task,
        threshold=threshold,
        predictions=said,
        seen=_seen(home),
        recipe=recipe,
        seed=seed,
    )


def _why_missing(folder: pathlib.Path) -> str:
    """Why a folder holds no evaluated run, and what to do."""
    if not folder.is_dir():
        return f"--run_dir: there is no folder {folder}."
    others = sorted(str(one.parent) for one in folder.glob("evaluate/*/metrics.json"))
    if others:
        return (
            f"{folder} has no metrics.json of its own. Name one of its evaluations: "
            f"{', '.join(f'--run_dir={one}' for one in others)}."
        )
    if (folder / "config.gin").exists():
        return (
            f"{folder} is not evaluated: it has no metrics.json. Evaluate it first: "
            f"python main.py --run_dir={folder} --mode=evaluate."
        )
    return (
        f"{folder} holds no evaluated run: it has no metrics.json. Name with --run_dir "
        "folders of runs, or of evaluations of runs, <run_dir>/evaluate/<name>."
    )


def _predictions(
    path: pathlib.Path, task: Mapping[str, Any], split: str
) -> stored.Predictions:
    try:
        said = stored.read_csv(path, task["class_names"])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} is damaged: {error}. Evaluate the run again."
        ) from error
    if split not in said:
        raise ValueError(
            f"{path} has predictions of {', '.join(map(repr, said))}, none of "
            f"{split!r}. Evaluate the run there, --mode=evaluate --gin_bindings="
            f"\"evaluate.splits = ('{split}',)\", and name the folder that this "
            "writes; or compare elsewhere: --gin_bindings=\"compare.split = '...'\"."
        )
    try:
        stored.check(said[split], task["disease_classes"])
    except ValueError as error:
        raise ValueError(f"{path}: {error} Evaluate the run again.") from error
    return said[split]


def _home(folder: pathlib.Path, said: stored.Predictions) -> pathlib.Path | None:
    """The directory of the run whose model spoke; None for other people's models."""
    if not said.logits.shape[1]:
        return None
    # `<run_dir>/<mode>/<name>/` is where other evaluations of a run lie.
    for one in (folder.resolve(), *folder.resolve().parents[1:2]):
        if (one / "bindings.json").exists():
            return one
    return None


def _seen(home: pathlib.Path | None) -> dict[str, frozenset[str]] | None:
    if home is None or not (home / "split.json").exists():
        return None
    own = _lists(home / "split.json")
    if not (home / "seen.json").exists():
        return own
    # Beside these what earlier runs and teachers saw, not what other members did.
    before = _lists(home / "seen.json")
    return {
        name: some | before[name] - own["train"] - own["valid"]
        for name, some in own.items()
    }


def _lists(path: pathlib.Path) -> dict[str, frozenset[str]]:
    content = _mapping(path)
    try:
        return {name: frozenset(content[name]) for name in ("train", "valid")}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged: {error!r}. Restore it: nothing else says which "
            "photographs the model has seen."
        ) from error


def _recipe(
    home: pathlib.Path | None, decided: Sequence[Any]
) -> tuple[str | None, str]:
    """All that decides what a run says but `train.seed`, as one text; and that."""
    parts = ["bindings.json", "task.json", "split.json"]
    if home is None or not all((home / one).exists() for one in parts):
        return None, ""
    bindings, *others = (_mapping(home / one) for one in parts)
    seed = bindings.pop("train.seed", "0")
    # The split itself, so that two folds are no repeats however they were made.
    return json.dumps([bindings, *others, *decided], sort_keys=True), seed


def _mapping(path: pathlib.Path) -> dict[str, Any]:
    content = whole_files.read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} is damaged: it must hold names and values. Received: "
            f"{type(content).__name__}. Restore it from a copy."
        )
    return content
