"""The members of an ensemble: what each said, and how far their figures are apart."""

import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from evaluation import assessment, decision, predictions, table
from input_pipeline import whole_files
from models import outputs

FILE = "members.csv"
"""What each member said of each photograph that it has not trained on."""

FOLDER = "members"
"""Where in a run the members lie, each a run of its own."""

ENSEMBLE = "ensemble.json"
"""Which members a run has, and the checksums of their weights."""

_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "auc",
    "quadratic_kappa",
)


@dataclasses.dataclass(frozen=True)
class Said:
    """What the members said of the photographs of one split.

    Attributes:
        split: Name of the split.
        ids: Photograph ids.
        names: The members' names.
        logits: float32 array of shape `(len(names), len(ids), num_outputs)`, NaN where
            a member does not answer.
    """

    split: str
    ids: Sequence[str]
    names: Sequence[str]
    logits: np.ndarray


def together(of_each: np.ndarray) -> np.ndarray:
    """The mean of the answers.

    Args:
        of_each: float32 array of shape `(num_members, n, num_outputs)`, NaN where a
            member does not answer; one at least answers each photograph.

    Returns:
        float32 array of shape `(n, num_outputs)`; of one answer that answer.
    """
    # In float64 the order of so few summands makes no difference.
    return np.nanmean(of_each, axis=0, dtype=np.float64).astype(np.float32)


def several(of_each: np.ndarray) -> np.ndarray | None:
    """The answers alone, where there are several to each photograph.

    Args:
        of_each: float32 array of shape `(num_members, n, num_outputs)`, NaN where a
            member does not answer.

    Returns:
        float32 array of shape `(count, n, num_outputs)`; None where not every
        photograph is answered by the same number of networks, two or more.
    """
    answered = np.isfinite(of_each).all(axis=-1)
    counts = np.unique(answered.sum(axis=0))
    if len(counts) != 1 or counts[0] < 2:
        return None
    by_photograph = of_each.transpose(1, 0, 2)[answered.T]
    n, num_outputs = of_each.shape[1:]
    return by_photograph.reshape(n, counts[0], num_outputs).transpose(1, 0, 2)


def histories(run: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What `history.json` holds of each member, by its name.

    Args:
        run: Directory of a run.

    Returns:
        Nothing where it is one training.

    Raises:
        FileNotFoundError: A member is gone.
    """
    if not (run / ENSEMBLE).exists():
        return {}
    found = {}
    for name in whole_files.read_json(run / ENSEMBLE)["members"]:
        path = run / FOLDER / name / "history.json"
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist: it belongs to one of the networks of {run}. "
                f"Bring {path.parent} back, or remove {run / 'model.keras'}: the "
                "command that trained it then makes it again."
            )
        found[name] = whole_files.read_json(path)
    return found


def write_csv(path: pathlib.Path, said: Sequence[Said]) -> None:
    """Writes a row for each photograph and each member that answers.

    Args:
        path: The CSV file; it appears whole or not at all.
        said: What was said of each split.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    num_outputs = said[0].logits.shape[-1]
    logits = [f"logit {number}" for number in range(num_outputs)]
    writer.writerow(["id", "split", "member", *logits])
    for one in said:
        for place, key in enumerate(one.ids):
            for name, row in zip(one.names, one.logits[:, place], strict=True):
                if not np.isnan(row).any():  # 9 digits give back a float32 exactly.
                    numbers = [f"{value:.9g}" for value in row]
                    writer.writerow([key, one.split, name, *numbers])
    whole_files.write_text(path, text.getvalue())


def read_csv(path: pathlib.Path) -> list[Said]:
    """Reads what `write_csv` wrote.

    Args:
        path: The CSV file.

    Returns:
        What was said of each split.

    Raises:
        ValueError: It is damaged; says where.
        FileNotFoundError: There is none.
    """
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if header[:3] != ["id", "split", "member"] or len(header) < 4 or not rows:
        raise ValueError(
            f"{path} must have the columns id, split, member, logit 0, ... and a row "
            f"for each answer. Received: {','.join(header)!r} and {len(rows)} rows."
        )
    answers: dict[str, dict[tuple[str, str], list[float]]] = {}
    for line, row in enumerate(rows, start=2):
        try:
            key, split, member, *numbers = row
            logits = [float(number) for number in numbers]
        except ValueError:
            logits = []
        if len(logits) != len(header) - 3 or not all(map(math.isfinite, logits)):
            raise ValueError(
                f"{path}, line {line} must hold an id, a split, a member and "
                f"{len(header) - 3} finite numbers. Received: {','.join(row)!r}."
            )
        answers.setdefault(split, {})[key, member] = logits
    said = []
    for split, found in answers.items():
        ids = list(dict.fromkeys(key for key, _ in found))
        names = sorted({member for _, member in found})
        logits = np.full((len(names), len(ids), len(header) - 3), np.nan, np.float32)
        rows_of = {name: number for number, name in enumerate(names)}
        places = {key: number for number, key in enumerate(ids)}
        for (key, member), numbers in found.items():
            logits[rows_of[member], places[key]] = numbers
        said.append(Said(split, ids, names, logits))
    return said


def score(
    said: Sequence[Said],
    together: Sequence[predictions.Predictions],
    output: outputs.Output,
    decided: decision.Decision,
    settings: assessment.Settings,
) -> dict[str, dict[str, dict[str, Any]]]:
    """The figures of each member by itself, by the ensemble's decision.

    Args:
        said: What each said of each split.
        together: What they said together; gives the labels.
        output: How logits become probabilities.
        decided: Calibration and threshold of the ensemble.
        settings: How figures are computed.

    Returns:
        Split -> metric -> `members`, the figure of each by its name, `None` where it is
        undefined; their `mean` and `deviation`, that of a sample, `None` of fewer than
        two. On validation photographs each member has other ones, those it has not
        trained on. JSON-ready.
    """
    labels = {one.split: one.labels for one in together}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for one in said:
        figures: dict[str, dict[str, float | None]] = {name: {} for name in _METRICS}
        for name, logits in zip(one.names, one.logits, strict=True):
            answered = np.isfinite(logits).all(axis=-1)
            if not answered.any():
                continue
            probabilities = decided.probabilities(output, logits[answered])
            scores = settings.scorer(labels[one.split][answered], probabilities).score()
            for metric in _METRICS:
                figures[metric][name] = scores[metric].value
        found[one.split] = {
            metric: {"members": of_each, **_spread(of_each.values())}
            for metric, of_each in figures.items()
        }
    return found


def _spread(values: Iterable[float | None]) -> dict[str, float | None]:
    defined = [one for one in values if one is not None]
    if len(defined) < 2:
        return {"mean": None, "deviation": None}
    return {
        "mean": float(np.mean(defined)),
        "deviation": float(np.std(defined, ddof=1)),
    }


def report(scores: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The table of `score`, for the terminal.

    Args:
        scores: As `score` returns them.

    Returns:
        Lines: what each member says by itself, mean and standard deviation.
    """
    lines = []
    for split, figures in scores.items():
        count = max(len(one["members"]) for one in figures.values())
        lines.append(f"{split}: {count} members, each by itself")
        for name, one in figures.items():
            if one["mean"] is not None:
                defined = [v for v in one["members"].values() if v is not None]
                lines.append(
                    f"  {table.label(name):<20}{one['mean']:.3f} +- "
                    f"{one['deviation']:.3f} ({min(defined):.3f}-{max(defined):.3f})"
                )
    return "\n".join(lines)
