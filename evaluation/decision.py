"""How a run turns logits into a decision: calibrated, then compared with a threshold.

Chosen once, on validation photographs, and frozen into the run: the same file serves
the test photographs, other datasets, exports and serving.
"""

import dataclasses
import pathlib
from typing import Any, Literal

import numpy as np
from absl import logging

from evaluation import calibration, cut_points, metrics, operating_point
from input_pipeline import tasks, whole_files
from models import outputs

FILE = "decision.json"

Method = Literal["temperature", "isotonic", "cut_points"]
Calibration = calibration.Temperature | calibration.Isotonic | cut_points.CutPoints


@dataclasses.dataclass(frozen=True)
class Decision:
    """A calibration and a threshold.

    Attributes:
        calibration: What makes probabilities out of logits, or None where there is
            none: not asked for, or not to be fitted.
        operating_point: From which probability of disease on a photograph counts as
            diseased, and what that does on the photographs it was chosen on.
        chosen_on: Those photographs, in words.
        note: Why there is no calibration although one was asked for, or None.
        test_time_augmentation: The views over which logits are averaged before all
            this, as `predict.Symmetries` has them, or None.
    """

    calibration: Calibration | None
    operating_point: operating_point.OperatingPoint
    chosen_on: str
    note: str | None = None
    test_time_augmentation: dict[str, bool] | None = None

    @property
    def threshold(self) -> float:
        """Least probability of disease that counts as diseased, 0-1."""
        return self.operating_point.threshold

    def probabilities(self, output: outputs.Output, logits: np.ndarray) -> np.ndarray:
        """Logits -> float64 array of shape `(n, num_classes)`, 0-1, as reported."""
        return _apply(self.calibration, output, logits)

    def description(self) -> dict[str, Any]:
        """JSON-ready; `from_description` gives it back."""
        return {
            "calibration": self.calibration and self.calibration.description(),
            "operating_point": self.operating_point.description(),
            "chosen_on": self.chosen_on,
            "note": self.note,
            "test_time_augmentation": self.test_time_augmentation,
        }

    def save(self, folder: pathlib.Path) -> None:
        """Writes `decision.json`."""
        whole_files.write_json(folder / FILE, self.description())


def check_method(method: Method | None, output: outputs.Output) -> None:
    """Raises ValueError for a way to calibrate that the output does not have."""
    if method is not None and method not in output.calibrations:
        known = ", ".join(map(repr, output.calibrations))
        raise ValueError(
            f"`evaluate.calibrate` must be {known} or None with the output "
            f"{output.name!r}. Received: {method!r}. Bind evaluate.calibrate = "
            f"{output.calibrations[0]!r}."
        )


def chosen_on(count: int, out_of_fold: bool) -> str:
    """On what a run of ours chooses, in words.

    Args:
        count: How many photographs validate.
        out_of_fold: Whether each of them trains members that do not answer it.
    """
    photographs = f"{count} validation photographs"
    return f"{photographs}, predicted out of fold" if out_of_fold else photographs


def choose(
    rule: operating_point.Rule,
    method: Method | None,
    task: tasks.Task,
    output: outputs.Output,
    labels: np.ndarray,
    logits: np.ndarray,
    chosen_on: str,
) -> Decision:
    """Chooses a calibration, and a threshold on what it gives.

    Args:
        rule: How the threshold is chosen.
        method: How to calibrate, or None.
        task: What the model was trained for.
        output: How its logits become probabilities.
        labels: int array of shape `(n,)`; never of test photographs.
        logits: float array of shape `(n, num_outputs)`.
        chosen_on: Which photographs they are, in words.

    Returns:
        The decision.

    Raises:
        ValueError: The photographs do not allow what the rule asks, or the output
            has no such calibration.
    """
    check_method(method, output)
    fitted, note = None, None
    if method is not None:
        fit = {
            "temperature": calibration.fit_temperature,
            "isotonic": calibration.fit_isotonic,
            "cut_points": cut_points.fit,
        }[method]
        try:
            fitted = fit(labels, logits, output.probabilities)
        except ValueError as error:  # Such as of faultless predictions.
            note = str(error)
            logging.warning("Probabilities stay uncalibrated: %s", note)
    disease = metrics.disease_probability(
        _apply(fitted, output, logits), task.disease_classes
    )
    chosen = rule(np.isin(labels, task.disease_classes), disease)
    return Decision(fitted, chosen, chosen_on, note)


def _apply(
    fitted: Calibration | None, output: outputs.Output, logits: np.ndarray
) -> np.ndarray:
    if fitted is None:
        return output.probabilities(logits)
    return fitted.apply(logits, output.probabilities)


def load(folder: pathlib.Path) -> Decision:
    """Reads the decision that is frozen into a run.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: no threshold was chosen yet. Evaluate the run "
            "first: the same command without --mode."
        )
    return from_description(whole_files.read_json(path))


def from_description(description: dict[str, Any]) -> Decision:
    """What `Decision.description` describes."""
    fitted = description["calibration"]
    return Decision(
        fitted and calibration.from_description(fitted),
        operating_point.OperatingPoint(**description["operating_point"]),
        description["chosen_on"],
        description["note"],
        description.get("test_time_augmentation"),
    )
