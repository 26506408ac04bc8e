"""Probabilities that mean what they say.

A calibration is fitted on labelled logits, validation or pooled out-of-fold and never
the test split, kept as JSON with the run, and stands in for the output from then on: it
turns logits into probabilities.
"""

import numpy as np
from scipy import optimize
from sklearn import isotonic

from evaluation import proportions, scoring

# They live there for those who can do without what fits them.
from evaluation.calibrations import (  # noqa: F401
    Isotonic,
    Probabilities,
    Temperature,
    from_description,
)
from models import probabilities as of_outputs

# Temperatures beyond these are no calibration but a sign of something else.
_COLDEST, _HOTTEST = 0.02, 50.0


def fit_temperature(
    labels: np.ndarray,
    logits: np.ndarray,
    probabilities: Probabilities = of_outputs.softmax,
) -> Temperature:
    """The temperature at which the labels are most likely.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        logits: float array of shape `(n, num_outputs)`.
        probabilities: The output's function; the softmax unless said otherwise.

    Returns:
        The calibration.

    Raises:
        ValueError: If arguments do not fit together, or no temperature is best: the
            logits make no mistake, or say nothing about the labels.
    """
    labels, logits = _checked(labels, logits)
    rows = np.arange(len(labels))
    smallest = np.finfo(np.float64).tiny

    def loss(log_temperature: float) -> float:
        likely = probabilities(logits / np.exp(log_temperature))[rows, labels]
        return -np.log(np.maximum(likely, smallest)).mean()

    bounds = np.log([_COLDEST, _HOTTEST])
    # The loss has one valley in 1/T but is flat far from it: look before descending.
    grid = np.linspace(*bounds, 65)
    lowest = int(np.argmin([loss(one) for one in grid]))
    if lowest in (0, len(grid) - 1):
        why = "make no mistake" if lowest == 0 else "say nothing about the labels"
        raise ValueError(
            f"No temperature from {_COLDEST} to {_HOTTEST} calibrates these "
            f"{len(labels)} photographs: their logits {why}. Give more photographs, or "
            "leave calibration out."
        )
    result = optimize.minimize_scalar(
        loss,
        bounds=(grid[lowest - 1], grid[lowest + 1]),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return Temperature(float(np.exp(result.x)))


def fit_isotonic(
    labels: np.ndarray,
    logits: np.ndarray,
    probabilities: Probabilities = of_outputs.softmax,
) -> Isotonic:
    """The rising function that comes closest to the labels (least squares).

    It needs more photographs than a temperature does: a few hundred.

    Args:
        labels: int array of shape `(n,)`, 0 or 1.
        logits: float array of shape `(n, num_outputs)`.
        probabilities: The output's function; the softmax unless said otherwise.

    Returns:
        The calibration.

    Raises:
        ValueError: If arguments do not fit together, there are more than two classes,
            or one class is absent.
    """
    labels, logits = _checked(labels, logits)
    uncalibrated = probabilities(logits)
    if uncalibrated.shape[1] != 2 or set(labels.tolist()) != {0, 1}:
        raise ValueError(
            "Isotonic calibration needs two classes, and photographs of both. "
            f"Received: {uncalibrated.shape[1]} classes, labels "
            f"{np.unique(labels).tolist()}. Use a temperature."
        )
    regression = isotonic.IsotonicRegression(y_min=0, y_max=1)
    regression.fit(uncalibrated[:, 1], labels)
    return Isotonic(
        tuple(regression.X_thresholds_.tolist()),
        tuple(regression.y_thresholds_.tolist()),
    )


def reliability(
    outcome: np.ndarray, probability: np.ndarray, confidence: float = 0.95
) -> list[dict]:
    """What a reliability diagram shows: said probability beside observed share.

    The bins are those of the calibration error, which is the mean distance between the
    two, weighted by `n`.

    Args:
        outcome: bool array of shape `(n,)`: diseased, or rightly predicted.
        probability: float array of shape `(n,)`, 0-1, what was said of it.
        confidence: Share of the intervals that hold the true value, 0-1 exclusive.

    Returns:
        For each bin, rising: `start` and `end`, `n`, and, `None` where it is empty,
        `mean_probability`, `observed` (the share of true outcomes), `low` and `high`
        (Wilson's interval of that share).
    """
    outcome, probability = np.asarray(outcome, bool), np.asarray(probability)
    bins = scoring.calibration_bins(probability)
    rows = []
    for number in range(scoring.CALIBRATION_BINS):
        chosen = bins == number
        n = int(chosen.sum())
        mean = observed = low = high = None
        if n:
            mean = float(probability[chosen].mean())
            observed = float(outcome[chosen].mean())
            low, high = proportions.wilson(observed, n, confidence)
        rows.append(
            {
                "start": number / scoring.CALIBRATION_BINS,
                "end": (number + 1) / scoring.CALIBRATION_BINS,
                "n": n,
                "mean_probability": mean,
                "observed": observed,
                "low": low,
                "high": high,
            }
        )
    return rows


def _checked(labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            "`logits` must have shape `(n, num_outputs)` and `labels` `(n,)`, `n` at "
            f"least 1. Received: {logits.shape} and {labels.shape}."
        )
    if not np.isfinite(logits).all():
        raise ValueError("`logits` must be finite. The training has diverged.")
    return labels.astype(np.int64), logits
