"""A folder of results, computed again from its predictions."""

import csv
import itertools
import json
import pathlib
from typing import Any

import numpy as np

from evaluation import (
    assessment,
    decision,
    findings,
    metrics,
    operating_point,
    other_models,
    own_settings,
    recompute_members,
    recompute_others,
    uncertainty,
)
from evaluation import evaluate as evaluators
from evaluation import predictions as stored_predictions
from input_pipeline import records, splits, tasks, whole_files
from models import outputs

# What says what a column of predictions.csv should hold.
_BY = {
    "label": "as a whole number it is",
    "predicted": "the probabilities give",
    "disputed": "the list of disputed photographs gives",
}

# A search for a temperature ends anywhere on the flat floor of its valley.
_SEARCHED = 1e-6


class Recomputed:
    """`predictions.csv`, `decision.json` and `metrics.json` of one evaluation.

    Attributes:
        settings: What was asked, as `Evaluator.description` gives it.
        is_given: Whether the predictions are those of somebody else's model.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        holder: pathlib.Path,
        found: findings.Findings,
    ):
        """Reads the three files.

        Args:
            folder: Where they lie.
            holder: Where `split.json` and `task.json` lie that they go by.
            found: Receives what differs.

        Raises:
            ValueError: A file is damaged.
            FileNotFoundError: There are no predictions.
        """
        self._folder, self._holder, self._found = folder, holder, found
        self.is_given = other_models.is_given(folder)
        self._metrics = folder / "metrics.json"
        self._csv = folder / "predictions.csv"
        self._content = whole_files.read_json(self._metrics)
        try:
            self._task = _task(self._content["task"])
            self.settings = evaluators.settings_of(self._content)
            self._rule = own_settings.read(self.settings["operating_point"])
            self._computed = assessment.settings_of(self._content)
            self._decided = decision.from_description(self._content["decision"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"{self._metrics} is damaged: {type(error).__name__}, {error}. Restore "
                "it from a copy, or evaluate in another --run_dir."
            ) from error
        self._others = recompute_others.Others(
            folder, self._content, self.settings, found
        )
        self._said = stored_predictions.read_csv(self._csv, self._task.class_names)
        self._members = recompute_members.Members(folder, holder, self._content, found)

    @property
    def validation(self) -> stored_predictions.Predictions | None:
        """What was said of the validation photographs, if it is there."""
        return self._said.get("valid")

    def verify(
        self,
        output: outputs.Output,
        validation: stored_predictions.Predictions | None,
    ) -> None:
        """Compares everything in the folder.

        Args:
            output: How logits become probabilities; of given ones it plays no part.
            validation: What the run's own model said of the validation photographs,
                for evaluations without them.
        """
        task = whole_files.read_json(self._holder / "task.json").get("task")
        self._found.compare(
            self._metrics, "task", self._content["task"], task, "task.json has"
        )
        self._verify_checksum()
        self._verify_rows()
        if self._verify_probabilities(output):
            if self.validation is None and not self.is_given:
                self._verify_decision(output, validation)
            else:
                self._verify_decision(output, self.validation)
        self._others.verify(self._said, self._decided, self._computed)
        self._members.verify(self._said, output, self._decided, self._computed)
        self._verify_figures()

    def verify_frozen(self, run: pathlib.Path) -> None:
        """Compares the decision with the run's own, which other datasets go by."""
        path, own = self._folder / decision.FILE, run / decision.FILE
        stored = self._content["decision"]
        again = whole_files.read_json(own) if own.exists() else findings.NOTHING
        by = "the run's own decision.json has"
        self._found.compare(path, "", stored, again, by, tolerance=0)
        self._found.note(path, "the run's own")

    def _verify_checksum(self) -> None:
        noted = self._content.get("predictions_sha256")
        if noted is None:
            text = "metrics.json has no checksum of it, so nine digits of each number"
            text += " are compared"
        else:
            checksum = records.file_sha256(self._csv)
            self._found.compare(
                self._csv, "its SHA-256", checksum, noted, "metrics.json notes"
            )
            text = "the file that metrics.json was computed from"
        self._found.note(self._csv, text)

    def _verify_rows(self) -> None:
        """Compares the photographs with the lists, and classes with probabilities."""
        split = splits.Split.load(self._holder / "split.json")
        expected_ids = {name: split[name] for name in self.settings["splits"]}
        expected_ids |= self._others.parts
        disputed = {*split.disputed, *self._others.disputed}
        self._found.compare(
            self._csv,
            "splits",
            list(self._said),
            list(expected_ids),
            "metrics.json asks for",
        )
        with open(self._csv, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for name, said in self._said.items():
            if name not in expected_ids:
                continue  # Noted already.
            of_others = name in self._others.parts
            by = "external.json lists" if of_others else "split.json lists"
            pairs = itertools.zip_longest(
                said.ids, expected_ids[name], fillvalue=findings.NOTHING
            )
            for place, (listed, expected) in enumerate(pairs, start=1):
                if listed != expected:  # Behind a missing one all of them differ.
                    key = f"photograph {place} of {name!r}"
                    self._found.differ(self._csv, key, listed, expected, by)
                    break
            of_split = [row for row in rows if row["split"] == name]
            predicted = said.probabilities.argmax(axis=1)
            for row, label, most in zip(of_split, said.labels, predicted, strict=True):
                again = {
                    "label": str(label),
                    "predicted": str(most),
                    "disputed": "1" if row["id"] in disputed else "",
                }
                for key, value in again.items():
                    if row.get(key) != value:
                        pair = repr(row.get(key)), repr(value)
                        place = f"{key!r} of {row['id']}"
                        self._found.differ(self._csv, place, *pair, _BY[key])
        asked = self.settings["dropout_samples"]
        columns = [*{name for one in self._said.values() for name in one.disagreement}]
        disagree = asked or self._members.disagree
        self._found.compare(
            self._csv,
            "the columns of disagreement",
            sorted(columns),
            sorted(uncertainty.DISAGREEMENT) if disagree else [],
            "metrics.json asks for",
        )
        counts = ", ".join(f"{len(one)} {name}" for name, one in self._said.items())
        lists = "split.json and external.json" if self._others.parts else "split.json"
        self._found.note(self._csv, f"{counts}; the photographs of {lists}, in order")

    def _verify_probabilities(self, output: outputs.Output) -> bool:
        """Compares probabilities with logits; False if these are not as expected."""
        names = self._task.class_names
        origin = "those given" if self.is_given else "the logits"
        for said in self._said.values():
            count = said.logits.shape[1]
            expected = 0 if self.is_given else output.num_outputs(len(names))
            if count != expected:
                by = "the output of config.gin has"
                key = "the number of its columns of logits"
                self._found.differ(self._csv, key, count, expected, by)
                return False
            again = {"probability": self._reported(output, said)}
            if not self.is_given:
                again["uncalibrated"] = output.probabilities(said.logits)
            stored = {
                "probability": said.probabilities,
                "uncalibrated": said.uncalibrated,
            }
            for block, values in again.items():
                columns = [f"{block} {name}" for name in names]
                self._found.compare_arrays(
                    self._csv,
                    said.ids,
                    columns,
                    stored[block],
                    values,
                    f"{origin} and decision.json give",
                )
        self._found.note(
            self._csv, f"its probabilities follow from {origin} and decision.json"
        )
        return True

    def _reported(
        self, output: outputs.Output, said: stored_predictions.Predictions
    ) -> np.ndarray:
        """What the stored decision makes of logits, or of given probabilities."""
        if self.is_given:
            return other_models.reported(self._decided, said.uncalibrated)
        return self._decided.probabilities(output, said.logits)

    def _verify_decision(
        self,
        output: outputs.Output,
        validation: stored_predictions.Predictions | None,
    ) -> None:
        """Chooses calibration and threshold again, if it is known on what."""
        path = self._folder / decision.FILE
        stored = self._content["decision"]
        in_file = whole_files.read_json(path) if path.exists() else findings.NOTHING
        self._found.compare(path, "", in_file, stored, "metrics.json has", tolerance=0)
        if self._rule is None:
            rule = self.settings["operating_point"]
            self._found.note(path, f"not chosen again: {rule} is not a rule of ours")
            return
        unchosen = stored["chosen_on"] == other_models.UNCHOSEN
        if validation is None and not (self.is_given and unchosen):
            self._found.note(
                path, "not chosen again: no CSV has the validation photographs"
            )
            return
        try:
            again = self._choose(output, validation)
            point = again.operating_point
            if validation is not None:  # By the stored calibration, to the last digit.
                disease = metrics.disease_probability(
                    self._reported(output, validation), self._task.disease_classes
                )
                diseased = np.isin(validation.labels, self._task.disease_classes)
                point = self._rule(diseased, disease)
        except ValueError as error:
            text = f"the threshold cannot be chosen again: {_without_stop(error)}"
            self._found.fail(path, text)
            return
        views = "test_time_augmentation"
        self._found.compare(
            path,
            views,
            stored.get(views),
            self.settings[views],
            "metrics.json asks for",
        )
        again = again.description()
        by = f"chosen again on {again['chosen_on']} it is"
        for key, tolerance in (
            ("calibration", _SEARCHED),
            ("chosen_on", 0),
            ("note", 0),
        ):
            self._found.compare(path, key, stored[key], again[key], by, tolerance)
        self._found.compare(
            path, "operating_point", stored["operating_point"], point.description(), by
        )
        self._found.note(path, _how(again))

    def _choose(
        self,
        output: outputs.Output,
        validation: stored_predictions.Predictions | None,
    ) -> decision.Decision:
        method = self.settings["calibrate"]
        if self.is_given:
            validated = None
            if validation is not None:
                validated = validation.labels, validation.uncalibrated
            return other_models.choose(self._rule, method, self._task, validated)
        split = splits.Split.load(self._holder / "split.json")
        out_of_fold = "members" in self._content and not split.train
        return decision.choose(
            self._rule,
            method,
            self._task,
            output,
            validation.labels,
            validation.logits,
            chosen_on=decision.chosen_on(len(validation), out_of_fold),
        )

    def _verify_figures(self) -> None:
        """Computes all results again."""
        if not self._can_be_scored():
            text = (
                "no figure of it can be computed again before predictions.csv is right"
            )
            self._found.fail(self._metrics, text)
            return
        try:
            again = assessment.assess(list(self._said.values()), self._computed)
        except (ValueError, TypeError) as error:
            text = f"its figures cannot be computed again: {_without_stop(error)}"
            self._found.fail(self._metrics, text)
            return
        # As JSON has it: lists for tuples, text for keys.
        again = json.loads(json.dumps(again))
        stored = self._content.get("results")
        for name, scores in again.items():  # An earlier version wrote no grades.
            if not scores["by_grade"] and "by_grade" not in (stored or {}).get(
                name, {}
            ):
                del scores["by_grade"]
        self._found.compare(
            self._metrics, "results", stored, again, "predictions.csv gives"
        )
        known = {"task", "evaluation", "decision", "predictions_sha256", "results"}
        known |= {"external_sha256", "others", "recalibrated"}
        known |= {"members", "members_sha256"}
        text = "every number follows from predictions.csv"
        if unknown := sorted(self._content.keys() - known):
            text += f", but for {', '.join(unknown)}, which were not computed again"
        self._found.note(self._metrics, text)

    def _can_be_scored(self) -> bool:
        """Names labels and probabilities that no model of the task can have."""
        faultless, classes = True, len(self._task.class_names)
        for said in self._said.values():
            sums = said.probabilities.sum(axis=1)
            for place in np.flatnonzero(np.abs(sums - 1) > metrics.SUM_TOLERANCE):
                key = f"the sum of the probabilities of {said.ids[place]}"
                self._found.differ(
                    self._csv, key, float(sums[place]), 1.0, "it must be"
                )
                faultless = False
            outside = (said.labels < 0) | (said.labels >= classes)
            for place in np.flatnonzero(outside):
                key, label = f"'label' of {said.ids[place]}", int(said.labels[place])
                by = "the task's classes are"
                self._found.differ(self._csv, key, label, f"0 to {classes - 1}", by)
                faultless = False
        return faultless


def _how(decided: dict[str, Any]) -> str:
    """What was chosen again, and what there was not to choose."""
    if decided["operating_point"]["rule"] != operating_point.FIXED:
        return f"chosen again on {decided['chosen_on']}"
    text = "its threshold was fixed beforehand"
    if decided["calibration"] is None:
        return text
    return f"{text}, its calibration chosen again on {decided['chosen_on']}"


def _without_stop(error: Exception) -> str:
    return str(error).removesuffix(".")


def _task(described: dict[str, Any]) -> tasks.Task:
    return tasks.Task(
        name=described["name"],
        rule=described["rule"],
        class_names=tuple(described["class_names"]),
        disease_classes=tuple(described["disease_classes"]),
        label=lambda one: None,  # Labels are those of the CSV.
    )
