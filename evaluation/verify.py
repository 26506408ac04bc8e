"""Whether the figures of a run follow from its predictions, and these from its model.

All of `metrics.json` is computed again from `predictions.csv`, the probabilities from
logits and decision, the decision from the validation photographs; the model's weights,
the split and the report are compared with what the run noted of them.

So a run shows that it was changed in some place. One that was written anew as a whole
agrees with itself: against that helps the checksum of `metrics.json`, published beside
the figures, or evaluating the model again.
"""

import ast
import csv
import itertools
import json
import pathlib
import zipfile

import keras
import numpy as np
from absl import logging

from evaluation import (
    assessment,
    decision,
    findings,
    metrics,
    other_models,
    predictions,
    seal,
)
from evaluation import operating_point as operating_points
from input_pipeline import audit, records, splits, tasks
from models import outputs
from train import checkpoints

# A search for a temperature ends anywhere on the flat floor of its valley.
_SEARCHED = 1e-6

_CHECKED = {"task", "evaluation", "decision", "results", "predictions_sha256"}
_OUTPUTS = {one.name: one for one in (outputs.Softmax(),)}
_RULES = {
    one.__name__: one
    for one in (
        operating_points.Fixed,
        operating_points.Youden,
        operating_points.SensitivityAtLeast,
        operating_points.SpecificityAtLeast,
        operating_points.SensitivityAssured,
    )
}


def verify(run: pathlib.Path) -> str:
    """Computes again what a run states, and compares.

    Args:
        run: The run's directory; the folders under its `evaluate/` are verified too.

    Returns:
        What was compared, a line each, and last how many numbers agree.

    Raises:
        ValueError: Something differs: file, key and both values. Or a file is damaged.
        FileNotFoundError: The run is not evaluated, or lacks a file.
    """
    folders = [run, *sorted(run.glob("evaluate/*"))]
    folders = [one for one in folders if (one / "metrics.json").exists()]
    if not folders:
        raise FileNotFoundError(
            f"{run} has no metrics.json: there is nothing to verify. Evaluate the run "
            "first: the same command without --mode."
        )
    found = findings.Findings(run)
    parts = [_Part(one, run, found) for one in folders]
    own = [one for one in parts if not one.is_given]
    if own:
        _verify_model(run, found)
        _verify_ledger(run, sum("test" in one.splits for one in own), found)
    _verify_split(run, found)
    for one in parts:
        logging.info("Computing the figures of %s again.", one.folder)
        one.verify()
    return found.conclude()


def _verify_model(run: pathlib.Path, found: findings.Findings) -> None:
    """Compares the model with the checksum of the weights that training ended with."""
    path = run / "model.keras"
    history = records.read_json(run / "history.json")
    if "model_sha256" in history:
        again = records.file_sha256(path)
        found.compare(path, "file's sha256", again, history["model_sha256"])
    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        found.differ(path, "weights", f"what cannot be read ({reason})", "a model")
        return
    noted = history["weights_sha256"]
    found.compare(path, "weights' sha256", checkpoints.digest(model.weights), noted)
    found.note(path, f"its weights have the checksum {noted} of history.json")
    best = run / "checkpoints" / "best.weights.h5"
    if history["kept"] != "best" or not best.exists():
        return
    try:
        model.load_weights(best)
        again = checkpoints.digest(model.weights)
    except (ValueError, KeyError, OSError) as error:
        again = f"what cannot be read ({str(error).splitlines()[0]})"
    found.compare(best, "weights' sha256", again, noted)
    found.note(best, "the weights of the model")


def _verify_ledger(run: pathlib.Path, tested: int, found: findings.Findings) -> None:
    """Compares each reading of the test photographs with the model."""
    path = run / "ledger.jsonl"
    noted = records.read_json(run / "history.json")["weights_sha256"]
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            entry = dict(json.loads(line))
        except (ValueError, TypeError):
            found.differ(path, f"line {number}", repr(line), "an entry in JSON")
            continue
        # Predictions of other people's models come without weights.
        weights = entry.get("weights_sha256", noted)
        found.compare(path, f"line {number}, weights_sha256", weights, noted)
    if len(lines) < tested:
        found.differ(path, "readings", len(lines), f"at least {tested}")
    found.note(path, f"readings of the test photographs: {len(lines)}")


def _verify_split(run: pathlib.Path, found: findings.Findings) -> None:
    """Compares the split with itself and with the certificate that it does not leak."""
    path = run / "split.json"
    split = splits.Split.load(path)
    names = ("train", "valid", "test")
    everything = [one for name in names for one in split[name]]
    found.compare(path, "photographs, each once", len(everything), len({*everything}))
    certificate = records.read_json(run / audit.CERTIFICATE)
    kept = certificate["kept"]
    found.compare(path, "all photographs", len(everything), sum(kept.values()))
    found.compare(path, "test photographs", len(split.test), kept.get("test", 0))
    disputed = certificate["disputed_test_photographs"]
    found.compare(path, "disputed", list(split.disputed), disputed)
    counts = ", ".join(f"{len(split[name])} {name}" for name in names)
    found.note(path, f"{counts}; as many as {audit.CERTIFICATE} certifies")


class _Part:
    """A folder of results: `predictions.csv`, `decision.json` and `metrics.json`.

    Attributes:
        folder: The folder.
        splits: The splits that `metrics.json` names.
        is_given: Whether the predictions are of somebody else's model.
    """

    def __init__(self, folder: pathlib.Path, run: pathlib.Path, found):
        self.folder = folder
        self.is_given = (folder / other_models.SOURCE).exists()
        self._run, self._found = run, found
        self._metrics = folder / "metrics.json"
        self._csv = folder / "predictions.csv"
        self._content = records.read_json(self._metrics)
        try:
            task, evaluation = self._content["task"], self._content["evaluation"]
            self._task = tasks.Task(
                name=task["name"],
                rule=task["rule"],
                class_names=tuple(task["class_names"]),
                disease_classes=tuple(task["disease_classes"]),
                label=lambda one: None,  # Labels are those of the CSV.
            )
            self.splits = list(evaluation["splits"])
            self._rule = _rule(evaluation["operating_point"])
            self._method = evaluation["calibrate"]
            self._decided = decision.from_description(self._content["decision"])
            self._settings = assessment.Settings(
                disease_classes=self._task.disease_classes,
                threshold=self._decided.threshold,
                prevalence=evaluation["prevalence"],
                resamples=evaluation["resamples"],
                seed=evaluation["seed"],
            )
        except (KeyError, TypeError, AttributeError, ValueError, SyntaxError) as error:
            raise ValueError(
                f"{self._metrics} is damaged: {type(error).__name__}, {error}. Restore "
                "it from a copy, or evaluate the run again."
            ) from error
        self._said = predictions.read_csv(self._csv, self._task.class_names)

    def verify(self) -> None:
        """Compares everything in the folder."""
        output = other_models.Given() if self.is_given else self._trained_output()
        self._verify_checksum()
        self._verify_rows()
        if self._verify_probabilities(output):
            self._verify_decision(output)
        self._verify_figures()
        self._verify_report()

    def _trained_output(self) -> outputs.Output:
        """What the model was trained with, according to `task.json`."""
        path = self._run / "task.json"
        described = records.read_json(path)
        self._found.compare(
            self._metrics, "task", self._content["task"], described["task"]
        )
        if described["output"] not in _OUTPUTS:
            raise ValueError(
                f"{path}: `output` must be one of {sorted(_OUTPUTS)}. Received: "
                f"{described['output']!r}. Verify with the version that trained."
            )
        return _OUTPUTS[described["output"]]

    def _verify_checksum(self) -> None:
        noted = self._content.get("predictions_sha256")
        if noted is None:
            text = "metrics.json has no checksum of it; nine digits of each number count"
        else:
            again = records.file_sha256(self._csv)
            self._found.compare(self._csv, "file's sha256", again, noted)
            text = "the file that metrics.json was computed from"
        self._found.note(self._csv, text)

    def _verify_rows(self) -> None:
        """Compares the photographs with the split, and classes with probabilities."""
        stored = self.folder / "split.json"  # Of photographs other than the run's.
        if not stored.exists():
            stored = self._run / "split.json"
        split = splits.Split.load(stored)
        self._found.compare(self._csv, "splits", list(self._said), self.splits)
        with open(self._csv, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for name, one in self._said.items():
            if name not in ("train", "valid", "test"):
                continue  # The names of the splits differ already.
            pairs = itertools.zip_longest(one.ids, split[name], fillvalue="nothing")
            for place, (listed, expected) in enumerate(pairs, start=1):
                if listed != expected:  # After a missing one all of them differ.
                    key = f"photograph {place} of {name!r}"
                    self._found.differ(self._csv, key, listed, expected)
                    break
            some = [row for row in rows if row["split"] == name]
            predicted = one.probabilities.argmax(axis=1)
            for place, row in enumerate(some):
                for column, number in (("label", one.labels), ("predicted", predicted)):
                    pair = row.get(column), str(number[place])
                    self._found.compare(self._csv, f"{row['id']}, {column}", *pair)
        counts = ", ".join(f"{len(one)} {name}" for name, one in self._said.items())
        self._found.note(self._csv, f"{counts}; the photographs of split.json, in order")

    def _verify_probabilities(self, output: outputs.Output) -> bool:
        """Compares probabilities with logits; False where there are no logits."""
        names = self._task.class_names
        for one in self._said.values():
            logits = self._logits(one)
            if not self.is_given:
                count, expected = logits.shape[1], output.num_outputs(len(names))
                if count != expected:
                    self._found.differ(self._csv, "columns of logits", count, expected)
                    return False
            again = {
                "probability": decision_probabilities(self._decided, output, logits),
                "uncalibrated": output.probabilities(logits),
            }
            stored = {
                "probability": one.probabilities,
                "uncalibrated": one.uncalibrated,
            }
            for block, values in stored.items():
                columns = [f"{block} {name}" for name in names]
                self._found.compare_arrays(
                    self._csv, one.ids, columns, values, again[block]
                )
        origin = "those given" if self.is_given else "the logits"
        text = f"its probabilities follow from {origin} and the decision"
        self._found.note(self._csv, text)
        return True
