"""Patients combined by hand."""

import numpy as np
import pytest

from evaluation import patients

LABELS = np.array([0, 3, 1, 1, 2, 0])
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1, 0.0, 0.0],
        [0.1, 0.1, 0.2, 0.5, 0.1],
        [0.5, 0.3, 0.1, 0.1, 0.0],
        [0.2, 0.2, 0.6, 0.0, 0.0],
        [0.4, 0.3, 0.2, 0.1, 0.0],
        [0.9, 0.1, 0.0, 0.0, 0.0],
    ]
)
NAMES = ["q", "p", "q", "r", "p", "q"]


@pytest.mark.parametrize(
    ("how", "disease"),
    [("max", [0.2, 0.8, 0.6]), ("mean", [(0.1 + 0.2 + 0) / 3, (0.8 + 0.3) / 2, 0.6])],
)
def test_both_eyes_and_all_views_become_one_prediction(how, disease):
    combined = patients.combine(LABELS, PROBABILITIES, (2, 3, 4), NAMES, how)
    assert combined.names == ("q", "p", "r")
    assert combined.labels.tolist() == [0, 1, 0]
    assert combined.n_photographs.tolist() == [3, 2, 1]
    np.testing.assert_allclose(combined.probabilities[:, 1], disease)
    np.testing.assert_allclose(combined.probabilities.sum(axis=1), 1)


def test_a_patient_of_one_photograph_is_that_photograph():
    combined = patients.combine(LABELS, PROBABILITIES, (2, 3, 4), list("abcdef"))
    np.testing.assert_allclose(
        combined.probabilities[:, 1], PROBABILITIES[:, 2:].sum(axis=1)
    )
    assert combined.labels.tolist() == [0, 1, 0, 0, 1, 0]


def test_no_photographs_are_no_patients():
    combined = patients.combine(np.array([]), np.zeros((0, 2)), (1,), [])
    assert combined.names == ()
    assert combined.probabilities.shape == (0, 2)


@pytest.mark.parametrize(
    ("names", "how", "message"),
    [
        (NAMES, "median", r"one of \['max', 'mean'\]\. Received: median"),
        (NAMES[:2], "max", "each of the 6 photographs. Received: 2 of them"),
        ([*NAMES[:4], None, None], "max", "patient of 2 photographs is not known"),
    ],
)
def test_what_cannot_be_combined_is_refused(names, how, message):
    with pytest.raises(ValueError, match=message):
        patients.combine(LABELS, PROBABILITIES, (2, 3, 4), names, how)
