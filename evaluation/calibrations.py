"""Calibrations as they are frozen into a run, in NumPy alone: serving has no more.

`calibration` and `cut_points` fit them.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from models import probabilities as of_outputs

Probabilities = Callable[[np.ndarray], np.ndarray]
"""An output's `(n, num_outputs)` logits -> `(n, num_classes)` probabilities."""


@dataclasses.dataclass(frozen=True)
class Temperature:
    """Divides logits by one number (Guo et al., 2017, section 4.2).

    The order of the classes stays, and with it every predicted class; not so where the
    output is ordinal, whose probabilities are products.

    Attributes:
        temperature: Above 1 where the model is too sure of itself.
    """

    temperature: float

    def apply(
        self, logits: np.ndarray, probabilities: Probabilities = of_outputs.softmax
    ) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            logits: float array of shape `(n, num_outputs)`.
            probabilities: The output's function; the softmax unless said otherwise.

        Returns:
            float64 array of shape `(n, num_classes)`, 0-1.
        """
        return probabilities(np.asarray(logits, np.float64) / self.temperature)

    def description(self) -> dict:
        """JSON-ready; `from_description` gives it back."""
        return {"method": "temperature", "temperature": self.temperature}


@dataclasses.dataclass(frozen=True)
class Isotonic:
    """Maps the probability of class 1 by a rising function, of two classes.

    Photographs whose probabilities differ may become equal, which can move the AUC.

    Attributes:
        before: Probabilities of class 1 as the model gives them, rising, 0-1.
        after: What becomes of them; in between by straight lines, beyond as at the end.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]

    def apply(
        self, logits: np.ndarray, probabilities: Probabilities = of_outputs.softmax
    ) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            logits: float array of shape `(n, num_outputs)`.
            probabilities: The output's function; the softmax unless said otherwise.

        Returns:
            float64 array of shape `(n, 2)`, 0-1.
        """
        uncalibrated = probabilities(np.asarray(logits, np.float64))[:, 1]
        calibrated = np.interp(uncalibrated, self.before, self.after)
        return np.stack([1 - calibrated, calibrated], axis=1)

    def description(self) -> dict:
        """JSON-ready; `from_description` gives it back."""
        points = {"before": list(self.before), "after": list(self.after)}
        return {"method": "isotonic"} | points


@dataclasses.dataclass(frozen=True)
class CutPoints:
    """A cumulative probit model: `P(y > k) = Phi((value - cut_points[k]) / sigma)`.

    Attributes:
        cut_points: Where the chance to exceed a grade is even, rising, one less than
            there are classes.
        sigma: Spread of the grade at a value, above 0, in grades.
    """

    cut_points: tuple[float, ...]
    sigma: float

    def apply(
        self, logits: np.ndarray, probabilities: Probabilities | None = None
    ) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            logits: float array of shape `(n, 1)`, values on the scale of the grades.
            probabilities: The output's function, in whose place this one stands.

        Returns:
            float64 array of shape `(n, num_classes)`, 0-1.
        """
        del probabilities
        return of_outputs.grades(
            check_values(logits), np.array(self.cut_points), self.sigma
        )

    def description(self) -> dict:
        """JSON-ready; `calibration.from_description` gives it back."""
        return {
            "method": "cut_points",
            "cut_points": list(self.cut_points),
            "sigma": self.sigma,
        }


Calibration = Temperature | Isotonic | CutPoints


def from_description(description: dict) -> Calibration:
    """The calibration that `description` describes.

    Args:
        description: As a calibration's `description()` returns it.

    Returns:
        The same calibration.

    Raises:
        ValueError: If it describes none.
    """
    method = description.get("method")
    if method == "temperature":
        return Temperature(description["temperature"])
    if method == "isotonic":
        return Isotonic(tuple(description["before"]), tuple(description["after"]))
    if method == "cut_points":
        cuts = tuple(description["cut_points"])
        return CutPoints(cuts, description["sigma"])
    raise ValueError(
        "A calibration's `method` must be 'temperature', 'isotonic' or 'cut_points'. "
        f"Received: {method!r}."
    )


def check_values(logits: np.ndarray) -> np.ndarray:
    """float64 logits of a regression; raises ValueError for those of anything else."""
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or logits.shape[1] != 1 or not np.isfinite(logits).all():
        raise ValueError(
            "`logits` must be finite and of shape `(n, 1)`: cut points are of the "
            f"output 'regression'. Received: shape {logits.shape}."
        )
    return logits
