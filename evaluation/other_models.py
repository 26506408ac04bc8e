"""Predictions of other people's models: a CSV of probabilities gets the same figures.

The file has a row a photograph: `id` and `prob_0` to `prob_4` (as many as the task has
classes), or of two classes `id` and `prob`, the probability of disease. A file says
nothing about how it was made, so nothing in it is repaired: what is not as described is
an error with its line.
"""

import csv
import dataclasses
import math
import pathlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import decision, metrics, predictions
from evaluation import evaluate as evaluators
from evaluation import operating_point as operating_points
from input_pipeline import audit, photograph, records, shortcut, tasks
from input_pipeline import splits as stored_splits

SOURCE = "source.json"
"""In a folder of results: which file they are of."""


class Given:
    """Stands in for a model's output where probabilities are all there is."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Float64 probabilities of shape `(n, num_classes)`, as they are."""
        return logits


def evaluate(
    path: pathlib.Path,
    evaluator: evaluators.Evaluator,
    task: tasks.Task,
    audited: audit.Audit,
    split: stored_splits.Split,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Decides and scores as for a model of our own.

    Writes `source.json`, `decision.json`, `predictions.csv`, `figures/` and last
    `metrics.json`; nothing before all of the file is found right.

    Args:
        path: The CSV file. It must have every photograph of `evaluator.splits`, each
            once; those of other splits may be there too. Where the validation
            photographs are, the threshold is chosen on them.
        evaluator: How predictions are evaluated.
        task: What they answer.
        audited: The photographs.
        split: Which photographs are in which split.
        folder: Where the results go.

    Returns:
        The content of `metrics.json`.

    Raises:
        ValueError: The file is not as described, lacks a photograph, or has no
            validation photographs where the rule needs them.
        FileNotFoundError: There is no file.
    """
    collection = audited.collection
    given = read(path, task, collection.photographs)
    needed = dict.fromkeys(evaluator.splits)
    if any(one in given for one in split.valid):
        needed["valid"] = None  # All of them or none: a part would decide in silence.
    for name in needed:
        _check_complete(path, given, name, split[name])

    def labels_of(name: str) -> np.ndarray:
        photographs = [collection.photograph(one) for one in split[name]]
        return np.array(task.labels(photographs))

    def given_of(name: str) -> np.ndarray:
        return np.stack([given[one] for one in split[name]])

    validated = (labels_of("valid"), given_of("valid")) if "valid" in needed else None
    decided = choose(evaluator.operating_point, evaluator.calibrate, task, validated)
    said = []
    for name in evaluator.splits:
        one = predictions.Predictions(
            split=name,
            ids=split[name],
            labels=labels_of(name),
            probabilities=decided.probabilities(Given(), given_of(name)),
            uncalibrated=given_of(name),
            logits=np.zeros((len(split[name]), 0), np.float32),
            metadata=_from_metadata_alone(task, collection, split, name),
            known=evaluators.describe(collection, split, split[name]),
        )
        said.append(one)
    folder.mkdir(parents=True, exist_ok=True)
    source = {"file": path.name, "sha256": records.file_sha256(path)}
    records.write_json(folder / SOURCE, source)
    decided.save(folder)
    predictions.write_csv(folder / "predictions.csv", said, task.class_names)
    return evaluator.write(said, task, decided, folder)


def choose(
    rule: operating_points.Rule,
    method: decision.Method | None,
    task: tasks.Task,
    validated: tuple[np.ndarray, np.ndarray] | None,
) -> decision.Decision:
    """Chooses a calibration and a threshold, as far as probabilities allow.

    Where they allow no calibration, the decision's note says why.

    Args:
        rule: How the threshold is chosen.
        method: How to calibrate, or None.
        task: What the predictions answer.
        validated: Labels, an int array of shape `(n,)`, and probabilities, float64 of
            shape `(n, num_classes)`, of the validation photographs; None where they
            are not predicted.

    Returns:
        The decision.

    Raises:
        ValueError: There are no validation photographs and the rule needs some, or
            they do not allow what it asks.
    """
    note = None
    if validated is None:
        if not isinstance(rule, operating_points.Fixed):
            raise ValueError(
                "The threshold is chosen on validation photographs, and the "
                f"predictions have none. Received: {rule}. Add them to the file, or "
                "fix the threshold: evaluate.operating_point = @fixed_threshold()."
            )
        if method is not None:
            note = f"No {method} calibration: no validation photograph is predicted."
        point = rule(np.zeros(0, bool), np.zeros(0))
        return decision.Decision(None, point, "no photograph", note)
    if method == "temperature":
        note = "No temperature calibration: it needs logits, and the file has none."
    elif method == "isotonic" and len(task.class_names) > 2:
        note = "No isotonic calibration: it needs a task with two classes."
    labels, probabilities = validated
    decided = decision.choose(
        rule,
        None if note else method,
        task,
        Given(),
        labels,
        probabilities,
        chosen_on=f"{len(labels)} validation photographs",
    )
    return dataclasses.replace(decided, note=note or decided.note)


def read(
    path: pathlib.Path,
    task: tasks.Task,
    photographs: Sequence[photograph.Photograph],
) -> dict[str, np.ndarray]:
    """Reads probabilities.

    Args:
        path: The CSV file.
        task: What they answer.
        photographs: All that can be in it. The file may name one by its id or by its
            file name without the ending, where no other has the same.

    Returns:
        Photograph id -> float64 array of shape `(num_classes,)`, 0-1, of sum 1.

    Raises:
        ValueError: The file is not as described; says where.
        FileNotFoundError: There is none.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}. Name a CSV with the columns "
            f"{', '.join(_columns(task))}."
        )
    names = _Names(photographs)
    given: dict[str, np.ndarray] = {}
    lines: dict[str, int] = {}
    # Spreadsheets begin a file with a byte order mark.
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            columns = _check_header(path, reader.fieldnames or [], task)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                key = names.find(where, row["id"])
                if key in given:
                    raise ValueError(
                        f"{where}: {key} was in line {lines[key]} already. Every "
                        "photograph must be in the file once."
                    )
                given[key] = _probabilities(where, row, columns, task)
                lines[key] = reader.line_num
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, line {reader.line_num + 1}: not a CSV file in UTF-8: "
                f"{error}. Save it as one."
            ) from error
    if not given:
        raise ValueError(
            f"{path} has a header and no rows. Write one for each photograph."
        )
    return given


class _Names:
    """What a file may call photographs."""

    def __init__(self, photographs: Sequence[photograph.Photograph]):
        self._ids = {one.id for one in photographs}
        self._example = photographs[0].id
        self._by_stem = defaultdict(list)
        for one in photographs:
            self._by_stem[one.path.stem].append(one.id)

    def find(self, where: str, name: str) -> str:
        """The id of the photograph that is meant."""
        if name in self._ids:
            return name
        meant = self._by_stem.get(name, [])
        if len(meant) > 1:
            raise ValueError(
                f"{where}: {name!r} may be {' or '.join(meant[:2])}. Write the full id."
            )
        if not meant:
            raise ValueError(
                f"{where}: `id` must name a photograph of the dataset, as in "
                f"{self._example!r}, or by its file name without the ending. Received: "
                f"{name!r}."
            )
        return meant[0]


def _columns(task: tasks.Task) -> list[str]:
    return ["id", *(f"prob_{number}" for number in range(len(task.class_names)))]


def _check_header(
    path: pathlib.Path, header: Sequence[str], task: tasks.Task
) -> list[str]:
    """The columns of probabilities; raises if they are not those of the task."""
    stated = [name for name in header if re.fullmatch(r"prob(_\d+)?", name)]
    _, *columns = _columns(task)
    if stated == ["prob"] and len(columns) == 2:
        columns = stated
    # Other columns may be there, but a class too many is a model of another task.
    if header.count("id") != 1 or sorted(stated) != sorted(columns):
        binary = " or id, prob (the probability of disease)" if len(columns) < 3 else ""
        raise ValueError(
            f"{path}, line 1: predictions of {task.name!r} ({task.rule}) must have the "
            f"columns {', '.join(_columns(task))}{binary}, each once. Received: "
            f"{', '.join(header) or 'nothing'}. Rename them, or choose the task that "
            "the model answers."
        )
    return columns


def _probabilities(
    where: str,
    row: Mapping[str, str | None],
    columns: Sequence[str],
    task: tasks.Task,
) -> np.ndarray:
    """A row's probabilities, float64 of shape `(num_classes,)`."""
    if None in row or None in row.values():
        raise ValueError(
            f"{where}: the row must have a cell for each column of the header, with "
            "commas between them and points in numbers. Received: "
            f"{', '.join(str(one) for one in row.values())}."
        )
    values = []
    for name in columns:
        try:
            value = float(row[name])
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            raise ValueError(
                f"{where}: `{name}` must be a probability, a number from 0 to 1. "
                f"Received: {row[name]!r}. Write probabilities, neither logits nor "
                "percentages."
            )
        values.append(value)
    if columns == ["prob"]:
        (disease,) = task.disease_classes
        pair = [1 - values[0], 1 - values[0]]
        pair[disease] = values[0]
        return np.array(pair)
    if abs(sum(values) - 1) > metrics.SUM_TOLERANCE:
        raise ValueError(
            f"{where}: the probabilities must sum to 1, to {metrics.SUM_TOLERANCE:g}. "
            f"Received: {sum(values):.6g}. Write the softmax, with six digits."
        )
    return np.array(values)


def _check_complete(
    path: pathlib.Path,
    given: Mapping[str, np.ndarray],
    name: str,
    ids: Sequence[str],
) -> None:
    """Raises unless every photograph of a split is predicted."""
    if not ids:
        raise ValueError(
            f"There are no photographs in {name!r}. Take it out of `evaluate.splits`."
        )
    missing = [one for one in ids if one not in given]
    if missing:
        raise ValueError(
            f"{path} must have all {len(ids)} photographs of {name!r}. Missing: "
            f"{len(missing)}, the first {missing[0]}. Predict them too, or take "
            f"{name!r} out of `evaluate.splits` and of the file."
        )


def _from_metadata_alone(
    task: tasks.Task,
    collection: records.Collection,
    split: stored_splits.Split,
    name: str,
) -> np.ndarray:
    """What size, file type, camera and dataset tell of a split's photographs."""
    train = [collection.photograph(one) for one in split.train]
    return shortcut.fit_predict(
        shortcut.columns(collection, split.train),
        np.array(task.labels(train)),
        shortcut.columns(collection, split[name]),
        num_classes=len(task.class_names),
    )
