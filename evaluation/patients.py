"""One prediction for a patient, from as many photographs as there are."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from evaluation import metrics

COMBINATIONS = {"max": np.maximum.reduceat, "mean": np.add.reduceat}
"""How the probabilities of disease of a patient's photographs become one."""


@dataclasses.dataclass(frozen=True)
class Patients:
    """Predictions of two classes, a row a patient.

    Attributes:
        names: The patients, in the order of their first photograph.
        labels: int64 array of shape `(patients,)`: 1 where any photograph is diseased.
        probabilities: float64 array of shape `(patients, 2)`, 0-1.
        n_photographs: int64 array of shape `(patients,)`.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    n_photographs: np.ndarray


def combine(
    labels: np.ndarray,
    probabilities: np.ndarray,
    disease_classes: tuple[int, ...],
    patients: Sequence[str],
    how: str = "max",
) -> Patients:
    """Combines both eyes and all views of each patient.

    A patient is as ill as the worse eye. An eye or a view that is missing is left out:
    the others decide alone, and label and probability come from the same photographs.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        probabilities: float array of shape `(n, num_classes)`, 0-1, rows summing to 1.
        disease_classes: The classes that mean disease.
        patients: The patient of each photograph.
        how: "max", as the label is made, or "mean", which a single odd view moves less.

    Returns:
        The patients, to be scored with the disease class 1.

    Raises:
        ValueError: If a patient is not known, `how` is unknown, or predictions do not
            fit labels.
    """
    labels, probabilities = metrics.check_predictions(
        labels, probabilities, disease_classes
    )
    if how not in COMBINATIONS:
        raise ValueError(f"`how` must be one of {list(COMBINATIONS)}. Received: {how}.")
    if len(patients) != len(labels):
        raise ValueError(
            f"`patients` must name the patient of each of the {len(labels)} "
            f"photographs. Received: {len(patients)} of them."
        )
    unknown = sum(one is None for one in patients)
    if unknown:
        raise ValueError(
            f"The patient of {unknown} photographs is not known, so they cannot be "
            "combined. Leave them out, or score photographs."
        )
    names = tuple(dict.fromkeys(patients))
    number = {name: i for i, name in enumerate(names)}
    numbers = np.array([number[one] for one in patients], np.int64)
    order = np.argsort(numbers, kind="stable")
    counts = np.bincount(numbers, minlength=len(names))
    starts = np.cumsum(counts) - counts
    disease = metrics.disease_probability(probabilities, disease_classes)[order]
    diseased = np.isin(labels, disease_classes)[order]
    combined = COMBINATIONS[how](disease, starts) if len(names) else disease
    if how == "mean":
        combined = combined / counts
    ill = np.logical_or.reduceat(diseased, starts) if len(names) else diseased
    combined = np.clip(combined, 0, 1)
    return Patients(
        names,
        ill.astype(np.int64),
        np.stack([1 - combined, combined], axis=1),
        counts,
    )
