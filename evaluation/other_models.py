"""Predictions of other people's models: a CSV of probabilities gets the same figures.

The file has a row a photograph: `id` and `prob_0` to `prob_4` (as many as the task has
classes), or of two classes `id` and `prob`, the probability of disease. It says nothing
about how it was made, so nothing in it is repaired: what is not as described is an
error with its line.
"""

import csv
import dataclasses
import difflib
import math
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import decision, metrics, predictions
from evaluation import evaluate as evaluators
from evaluation import operating_point as operating_points
from input_pipeline import audit, photograph, records, tasks, whole_files
from input_pipeline import splits as stored_splits
from input_pipeline.datasets import layout
from models import outputs

SOURCE = "source.json"
"""In a folder of results: the name and the checksum of the file that they are of."""

UNCHOSEN = "no photograph"
"""What a decision is chosen on where no validation photograph is predicted."""


@dataclasses.dataclass(frozen=True)
class Table:
    """What a file says, before it is known which photographs it means.

    Attributes:
        path: The CSV file.
        names: What it calls each photograph: an id, or a file name.
        lines: The line of each.
        probabilities: float64 array of shape `(n, num_classes)`, 0-1, as given.
    """

    path: pathlib.Path
    names: Sequence[str]
    lines: Sequence[int]
    probabilities: np.ndarray

    def source(self) -> dict[str, str]:
        """Name and checksum of the file, JSON-ready."""
        return {"file": self.path.name, "sha256": records.file_sha256(self.path)}


def is_given(folder: pathlib.Path) -> bool:
    """Whether the results in a folder are of somebody else's predictions."""
    return (folder / SOURCE).exists()


def check_settings(evaluator: evaluators.Evaluator) -> None:
    """Raises ValueError for settings that need the model itself."""
    usual = evaluators.Evaluator()
    for name in ("on", "dropout_samples", "test_time_augmentation"):
        if getattr(evaluator, name) != getattr(usual, name):
            raise ValueError(
                f"`evaluate.{name}` needs a model that can be asked, and --predictions "
                f"are answers. Received: {evaluator.description()[name]}. Take it back."
            )


def decide(
    table: Table,
    evaluator: evaluators.Evaluator,
    task: tasks.Task,
    audited: audit.Audit,
    split: stored_splits.Split,
) -> tuple[list[predictions.Predictions], decision.Decision]:
    """Brings predictions together with the photographs, and decides; scores nothing.

    Args:
        table: The predictions, of every photograph of `evaluator.splits`. If the
            validation photographs are among them, the decision is made on these.
        evaluator: How predictions are evaluated.
        task: What they answer.
        audited: The photographs.
        split: Which photographs are in which split.

    Returns:
        The predictions of each split of `evaluator.splits`, and the decision.

    Raises:
        ValueError: Photographs are missing, repeated or not to be evaluated, or the
            operating point's rule needs validation photographs that are not there.
    """
    collection = audited.collection
    given = identify(table, collection.photographs, split, evaluator.splits)

    def labels_of(name: str) -> np.ndarray:
        photographs = [collection.photograph(one) for one in split[name]]
        return np.array(task.labels(photographs))

    validated = None
    if "valid" in given:
        validated = labels_of("valid"), given["valid"]
    decided = choose(evaluator.operating_point, evaluator.calibrate, task, validated)
    said = []
    for name in evaluator.splits:
        metadata = None
        if split.train:
            metadata = evaluators.from_metadata_alone(
                task, collection, split.train, split[name]
            )
        one = predictions.Predictions(
            split=name,
            ids=split[name],
            labels=labels_of(name),
            probabilities=reported(decided, given[name]),
            uncalibrated=given[name],
            logits=np.zeros((len(split[name]), 0), np.float32),
            metadata=metadata,
            known=evaluators.describe(collection, split, split[name]),
        )
        said.append(one)
    return said, decided


def write(
    table: Table,
    evaluator: evaluators.Evaluator,
    task: tasks.Task,
    said: Sequence[predictions.Predictions],
    decided: decision.Decision,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Scores predictions as those of a model of our own.

    Writes `source.json`, `decision.json`, `predictions.csv`, `figures/` and last
    `metrics.json`.

    Args:
        table: Where the predictions are from.
        evaluator: How they are evaluated.
        task: What they answer.
        said: Those of each split.
        decided: Calibration and threshold.
        folder: Where the results go; it exists.

    Returns:
        The content of `metrics.json`.
    """
    whole_files.write_json(folder / SOURCE, table.source())
    decided.save(folder)
    predictions.write_csv(folder / "predictions.csv", said, task.class_names)
    return evaluator.write(said, task, decided, folder)


def check_source(table: Table, folder: pathlib.Path) -> None:
    """Refuses a folder that was begun with other predictions.

    Raises:
        ValueError: The file is another one, or was changed since.
    """
    if not is_given(folder):
        return
    evaluated, now = whole_files.read_json(folder / SOURCE), table.source()
    if evaluated != now:
        raise ValueError(
            f"{folder} has the results of {evaluated['file']} with the checksum "
            f"{evaluated['sha256'][:16]}. Received: {table.path} with "
            f"{now['sha256'][:16]}. Give the file another name, or name another "
            "--run_dir."
        )


def choose(
    rule: operating_points.Rule,
    method: decision.Method | None,
    task: tasks.Task,
    validated: tuple[np.ndarray, np.ndarray] | None,
) -> decision.Decision:
    """Chooses a calibration and a threshold, as far as the photographs allow.

    Args:
        rule: How the threshold is chosen.
        method: How to calibrate, or None.
        task: What the predictions answer.
        validated: Labels, an int array of shape `(n,)`, and probabilities, float64 of
            shape `(n, num_classes)`, of the validation photographs; None where they
            are not predicted.

    Returns:
        The decision; its note says why a calibration that was asked for is not there.

    Raises:
        ValueError: There are no validation photographs and the rule needs some, or
            they do not allow what it asks.
    """
    if validated is None:
        if not isinstance(rule, operating_points.Fixed):
            raise ValueError(
                "The threshold is chosen on validation photographs, and the "
                f"predictions have none. Received: {rule}. Add them to the file, or "
                "fix the threshold: evaluate.operating_point = @fixed_threshold()."
            )
        note = f"No {method} calibration: no validation photograph is predicted."
        point = rule(np.zeros(0, bool), np.zeros(0))
        return decision.Decision(None, point, UNCHOSEN, note if method else None)
    labels, given = validated
    decided = decision.choose(
        rule,
        method,
        task,
        outputs.Softmax(),
        labels,
        _logits(given),
        chosen_on=f"{len(labels)} validation photographs",
    )
    # On what is reported: given probabilities, to the last bit, if uncalibrated.
    disease = metrics.disease_probability(
        reported(decided, given), task.disease_classes
    )
    point = rule(np.isin(labels, task.disease_classes), disease)
    return dataclasses.replace(decided, operating_point=point)


def reported(decided: decision.Decision, given: np.ndarray) -> np.ndarray:
    """Probabilities as given -> as reported: calibrated where a decision says so.

    Args:
        decided: The decision.
        given: float64 array of shape `(n, num_classes)`, 0-1.

    Returns:
        The same, calibrated; the very same without a calibration.
    """
    if decided.calibration is None:
        return given
    return decided.probabilities(outputs.Softmax(), _logits(given))


def _logits(given: np.ndarray) -> np.ndarray:
    """Logits whose softmax the probabilities are; of 0 those of the smallest step."""
    return np.log(np.maximum(given, np.finfo(np.float64).eps))


def read(path: pathlib.Path, task: tasks.Task) -> Table:
    """Reads probabilities.

    Args:
        path: The CSV file.
        task: What they answer.

    Returns:
        What it says, each name once.

    Raises:
        ValueError: The file is not as described; says where.
        FileNotFoundError: There is none.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}. Name a CSV with the columns "
            f"{', '.join(_columns(task))}."
        )
    lines: dict[str, int] = {}
    probabilities = []
    # Spreadsheets begin a file with a byte order mark.
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            columns = _check_header(path, reader.fieldnames or [], task)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                name = _check_cells(where, row)["id"]
                if name in lines:
                    raise _repeated(where, name, lines[name])
                lines[name] = reader.line_num
                probabilities.append(_probabilities(where, row, columns, task))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, line {reader.line_num + 1}: not a CSV file in UTF-8: "
                f"{error}. Save it as one."
            ) from error
    if not lines:
        raise ValueError(
            f"{path} has a header and no rows. Write one for each photograph."
        )
    return Table(path, [*lines], [*lines.values()], np.array(probabilities))


def check_known(table: Table, photographs: Sequence[photograph.Photograph]) -> None:
    """Finds names of nothing, before any photograph is opened.

    Args:
        table: The predictions.
        photographs: All photographs of the experiment.

    Raises:
        ValueError: A name is that of no photograph; says which come near.
    """
    known = {one.id for one in photographs} | {one.path.stem for one in photographs}
    for name, line in zip(table.names, table.lines, strict=True):
        if known.isdisjoint(_spellings(name)):
            near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.7)
            meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise ValueError(
                f"{table.path}, line {line}: `id` must name a photograph of the "
                f"experiment, as in {photographs[0].id!r}, or by its file name. "
                f"Received: {name!r}.{meant}"
            )


def identify(
    table: Table,
    photographs: Iterable[photograph.Photograph],
    split: stored_splits.Split,
    evaluated: Sequence[str],
) -> dict[str, np.ndarray]:
    """Finds which photographs are meant, and that none is missing.

    Args:
        table: The predictions. A photograph is named by its id, or by its file name
            where only one of the evaluated has it, with or without an ending.
        photographs: All photographs of the experiment.
        split: Which photographs are in which split.
        evaluated: The splits that will be scored.

    Returns:
        Name of a split -> float64 array of shape `(n, num_classes)`, in the order of
        the split: of those evaluated, and of the validation photographs if they are
        predicted.

    Raises:
        ValueError: A photograph is missing, named twice or ambiguously, or is not one
            of those that will be scored.
    """
    splits = {one: name for name in ("train", "valid", "test") for one in split[name]}
    wanted = {one for one, name in splits.items() if name in {*evaluated, "valid"}}
    by_stem = defaultdict(list)
    for one in photographs:
        if splits.get(one.id) in evaluated:
            by_stem[one.path.stem].append(one.id)

    rows: dict[str, int] = {}
    others = []
    for row, (name, line) in enumerate(zip(table.names, table.lines, strict=True)):
        spellings = _spellings(name)
        meant = [one for one in spellings if one in wanted][:1] or next(
            (by_stem[one] for one in spellings if one in by_stem), []
        )
        where = f"{table.path}, line {line}"
        if len(meant) > 1:
            raise ValueError(
                f"{where}: {name!r} may be {' or '.join(meant[:2])}. Write the id, or "
                "evaluate one split alone: evaluate.splits = ('test',)."
            )
        if not meant:
            others.append((where, name))
        elif meant[0] in rows:
            raise _repeated(where, meant[0], table.lines[rows[meant[0]]])
        else:
            rows[meant[0]] = row
    if others:
        where, name = others[0]
        place = "in none of them"
        for one in _spellings(name):
            if one in splits:
                place = f"in {splits[one]!r}"
            elif reason := split.left_out.get(one):
                place = f"left out: {reason}"
        raise ValueError(
            f"{where}: every row must be of a photograph that is evaluated, which are "
            f"those in {', '.join(map(repr, evaluated))}. Received: {name!r}, which is "
            f"{place}; there are {len(others)} such rows. Remove them, or name their "
            "split in `evaluate.splits`."
        )

    # All of the validation photographs or none: a part would decide in silence.
    with_valid = any(one in rows for one in split.valid)
    needed = dict.fromkeys([*evaluated, *(["valid"] if with_valid else [])])
    for name in needed:
        _check_complete(table.path, rows, name, split[name])
    return {
        name: table.probabilities[[rows[one] for one in split[name]]] for name in needed
    }


def _spellings(name: str) -> tuple[str, ...]:
    """A name as it is, and without the ending of an image file."""
    ending = pathlib.PurePath(name).suffix
    is_image = ending.lower() in layout.IMAGE_SUFFIXES
    return (name, name.removesuffix(ending)) if is_image else (name,)


def _check_complete(
    path: pathlib.Path, rows: Mapping[str, int], name: str, ids: Sequence[str]
) -> None:
    if not ids:
        raise ValueError(
            f"There are no photographs in {name!r}. Take it out of `evaluate.splits`."
        )
    missing = [one for one in ids if one not in rows]
    if missing:
        rest = " and of the file" if len(missing) < len(ids) else ""
        raise ValueError(
            f"{path} must have all {len(ids)} photographs of {name!r}. Missing: "
            f"{len(missing)}, the first {missing[0]}. Predict them too, or take "
            f"{name!r} out of `evaluate.splits`{rest}, as in "
            "--gin_bindings=\"evaluate.splits = ('test',)\"."
        )


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
        remedy = "Rename them, or choose the task that the model answers."
        if any(";" in name or "\t" in name for name in header):
            remedy = (
                "Save it with commas: semicolons or tabs stand between its columns."
            )
        raise ValueError(
            f"{path}, line 1: predictions of {task.name!r} ({task.rule}) must have the "
            f"columns {', '.join(_columns(task))}{binary}, each once and with commas "
            f"between them. Received: {', '.join(header)[:200] or 'nothing'}. {remedy}"
        )
    return columns


def _check_cells(where: str, row: Mapping[str | None, str | None]) -> Mapping[str, str]:
    """The same row; raises if it has not as many cells as the header."""
    if None in row or None in row.values():
        received = [cell for cell in row.values() if isinstance(cell, str)]
        raise ValueError(
            f"{where}: the row must have a cell for each column of the header, with "
            "commas between them and points in numbers. Received: "
            f"{', '.join(received + row.get(None, []))}."
        )
    return row


def _probabilities(
    where: str, row: Mapping[str, str], columns: Sequence[str], task: tasks.Task
) -> list[float]:
    """A row's probabilities, one a class."""
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
        return [values[0] if number == disease else 1 - values[0] for number in (0, 1)]
    total = math.fsum(values)
    if abs(total - 1) > metrics.SUM_TOLERANCE:
        raise ValueError(
            f"{where}: the probabilities must sum to 1, to {metrics.SUM_TOLERANCE:g}. "
            f"Received: {total:.6g}. Write the softmax, with six digits."
        )
    return values


def _repeated(where: str, name: str, line: int) -> ValueError:
    return ValueError(
        f"{where}: {name} was in line {line} already. Every photograph must be in the "
        "file once."
    )
