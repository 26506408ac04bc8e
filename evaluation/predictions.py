"""What a model said of photographs, and all else that its figures are computed from.

`predictions.csv` holds it: every number of `metrics.json` follows from this file.
"""

import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from evaluation import metrics
from input_pipeline import photograph, whole_files

KNOWN = (
    "dataset",
    "grade",
    "patient",
    "eye",
    "size",
    "brightness",
    "sharpness",
    "disputed",
)
"""What is known of each photograph beside its label: text, "" where nothing is."""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model said of the photographs of one split.

    Attributes:
        split: Name of the split.
        ids: Photograph ids.
        labels: int array of shape `(n,)`.
        probabilities: float64 array of shape `(n, num_classes)`, 0-1: those that are
            reported, calibrated where the run has a calibration.
        uncalibrated: The same before any calibration.
        logits: float32 array of shape `(n, num_outputs)`; of other people's models
            there are none, `num_outputs` is 0.
        metadata: float64 array of shape `(n, num_classes)`: what size, file type,
            camera and dataset alone tell; or `None`.
        known: One of `KNOWN` -> a text for each photograph.
        disagreement: What `uncertainty.disagreement` says of several networks, or of
            passes with dropout, by name: float64 arrays of shape `(n,)`. Empty where
            there was one answer only, as to validation photographs of an ensemble of
            folds.
    """

    split: str
    ids: Sequence[str]
    labels: np.ndarray
    probabilities: np.ndarray
    uncalibrated: np.ndarray
    logits: np.ndarray
    metadata: np.ndarray | None
    known: Mapping[str, Sequence[str]]
    disagreement: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.ids)

    def take(self, chosen: np.ndarray) -> "Predictions":
        """Those of some photographs.

        Args:
            chosen: bool array of shape `(n,)`, or positions.

        Returns:
            Predictions of the same split.
        """
        places = np.arange(len(self))[chosen]
        return Predictions(
            split=self.split,
            ids=[self.ids[place] for place in places],
            labels=self.labels[places],
            probabilities=self.probabilities[places],
            uncalibrated=self.uncalibrated[places],
            logits=self.logits[places],
            metadata=None if self.metadata is None else self.metadata[places],
            known={
                name: [values[place] for place in places]
                for name, values in self.known.items()
            },
            disagreement={
                name: values[places] for name, values in self.disagreement.items()
            },
        )

    @property
    def patients(self) -> list[str | None] | None:
        """The patient of each photograph; None if no patient is known at all."""
        patients = [
            f"{origin}/{name}" if name else None
            for origin, name in zip(
                self.known["dataset"], self.known["patient"], strict=True
            )
        ]
        return patients if any(patients) else None


def write_csv(
    path: pathlib.Path, predictions: Sequence[Predictions], class_names: Sequence[str]
) -> None:
    """Writes a row a photograph: what it is, what the model said.

    Args:
        path: The CSV file; it appears whole or not at all.
        predictions: Those of each split.
        class_names: Names of the classes, for the header.
    """
    first = predictions[0]
    header = ["id", "split", "label", "predicted"]
    blocks = ["probability", "uncalibrated"]
    blocks += ["metadata"] if first.metadata is not None else []
    header += [f"{block} {name}" for block in blocks for name in class_names]
    header += [f"logit {number}" for number in range(first.logits.shape[1])]
    disagreement = [*dict.fromkeys(k for one in predictions for k in one.disagreement)]
    header += [f"disagreement {name}" for name in disagreement]
    header += KNOWN
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for one in predictions:
        numbers = [getattr(one, _ATTRIBUTES[block]) for block in blocks]
        numbers += [one.logits]
        numbers += [values[:, None] for values in one.disagreement.values()]
        numbers = np.concatenate(numbers, axis=1)
        missing = [""] * (len(disagreement) - len(one.disagreement))
        for place, name in enumerate(one.ids):
            row = [name, one.split, int(one.labels[place])]
            row.append(int(one.probabilities[place].argmax()))
            # 17 digits give back a float64 exactly.
            row += [f"{value:.17g}" for value in numbers[place]] + missing
            row += [one.known[column][place] for column in KNOWN]
            writer.writerow(row)
    whole_files.write_text(path, text.getvalue())


_ATTRIBUTES = {
    "probability": "probabilities",
    "uncalibrated": "uncalibrated",
    "metadata": "metadata",
}


def read_csv(path: pathlib.Path, class_names: Sequence[str]) -> dict[str, Predictions]:
    """Reads what `write_csv` wrote.

    Args:
        path: The CSV file.
        class_names: Names of the classes.

    Returns:
        Split -> its predictions, in the file's order.

    Raises:
        ValueError: It is damaged, or of other classes; says where.
        FileNotFoundError: There is none.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: the run is not evaluated. Evaluate it first: the "
            "same command without --mode."
        )
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or []
        rows = list(reader)
    # An earlier version wrote no grades; to ask for them would read the test set again.
    expected = ["id", "split", "label", *(one for one in KNOWN if one != "grade")]
    expected += [f"probability {name}" for name in class_names]
    expected += [f"uncalibrated {name}" for name in class_names]
    missing = [name for name in expected if name not in header]
    if missing or not rows:
        raise ValueError(
            f"{path} must be a run's predictions of {', '.join(class_names)}. "
            f"Missing columns: {missing or 'none'}, rows: {len(rows)}. Evaluate the "
            "run again."
        )
    by_split: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in enumerate(rows, start=2):
        by_split.setdefault(row["split"], []).append((line, row))
    found = {}
    for split, some in by_split.items():
        _check_grades(path, some)
        ids = [row["id"] for _, row in some]
        if len(set(ids)) < len(ids):
            raise ValueError(f"{path} has a photograph of {split!r} twice.")
        has_metadata = f"metadata {class_names[0]}" in header
        logits = [name for name in header if name.startswith("logit ")]
        disagreement = [
            name
            for name in header
            if name.startswith("disagreement ") and any(row[name] for _, row in some)
        ]
        found[split] = Predictions(
            split=split,
            ids=ids,
            labels=_numbers(path, some, ["label"])[:, 0].astype(np.int64),
            probabilities=_block(path, some, "probability", class_names),
            uncalibrated=_block(path, some, "uncalibrated", class_names),
            logits=_numbers(path, some, logits).astype(np.float32),
            metadata=_block(path, some, "metadata", class_names)
            if has_metadata
            else None,
            known={name: [row.get(name, "") for _, row in some] for name in KNOWN},
            disagreement={
                name.removeprefix("disagreement "): _numbers(path, some, [name])[:, 0]
                for name in disagreement
            },
        )
    return found


def _check_grades(
    path: pathlib.Path, rows: Sequence[tuple[int, Mapping[str, str]]]
) -> None:
    for line, row in rows:
        # A line that was cut off is an error of its numbers.
        if (row.get("grade") or "") not in ("", *photograph.GRADE_OF_DIGIT):
            raise ValueError(
                f"{path}, line {line}: `grade` must be an ICDR grade, 0-4, or nothing. "
                f"Received: {row['grade']!r}. Evaluate the run again."
            )


def _block(path, rows, block: str, class_names: Sequence[str]) -> np.ndarray:
    return _numbers(path, rows, [f"{block} {name}" for name in class_names])


def _numbers(
    path: pathlib.Path,
    rows: Sequence[tuple[int, Mapping[str, str]]],
    columns: Sequence[str],
) -> np.ndarray:
    """float64 of shape `(rows, columns)`; raises, with the line, for anything else."""
    numbers = []
    for line, row in rows:
        for name in columns:
            try:
                number = float(row[name])
            except (TypeError, ValueError):
                number = math.nan
            if not math.isfinite(number):
                raise ValueError(
                    f"{path}, line {line}: `{name}` must be a finite number. "
                    f"Received: {row[name]!r}. Evaluate the run again."
                )
            numbers.append(number)
    return np.array(numbers, np.float64).reshape(len(rows), len(columns))


def check(predictions: Predictions, disease_classes: Sequence[int]) -> None:
    """Raises ValueError unless the probabilities are probabilities of the labels."""
    metrics.check_predictions(
        predictions.labels, predictions.probabilities, tuple(disease_classes)
    )
