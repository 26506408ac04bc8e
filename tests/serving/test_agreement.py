import json

import numpy as np
import pytest
from sklearn import metrics

from serving import agreement

GATE = {"least_agreement": 0.9, "most_auc_loss": 0.05}


def said(disease, heatmaps=None, logits=None):
    disease = np.array(disease, np.float64)
    if logits is None:
        logits = np.stack([-disease, disease], axis=1)
    probabilities = np.stack([1 - disease, disease], axis=1)
    return agreement.Said(logits, heatmaps, probabilities, disease, 7.0)


def test_every_number_is_what_its_name_says():
    diseased = np.array([0, 0, 1, 1, 0, 1, 1, 0, 1, 0], bool)
    reference = said([0.1, 0.2, 0.8, 0.9, 0.3, 0.7, 0.6, 0.25, 0.95, 0.05])
    other = said([0.1, 0.2, 0.8, 0.9, 0.45, 0.4, 0.6, 0.25, 0.95, 0.05])
    row = agreement.compare(
        "x", 1.5, other, reference=reference, diseased=diseased, threshold=0.35, **GATE
    )
    # The fifth is called diseased now, and the sixth no longer the likelier class.
    assert row.agreement == pytest.approx(0.8)
    assert row.probability_difference == pytest.approx(0.3)
    assert row.logit_difference == pytest.approx(0.3)
    assert row.heatmap_difference is None
    assert row.auc == pytest.approx(metrics.roc_auc_score(diseased, other.disease))
    assert row.auc_difference == pytest.approx(row.auc - 1)
    assert row.refused == "agreement 0.800 < 0.9"
    assert (row.megabytes, row.images_per_second) == (1.5, 7.0)


def test_what_loses_too_much_auc_is_refused_though_it_agrees():
    diseased = np.arange(10) >= 5
    reference = said(np.linspace(0.1, 0.4, 10))
    other = said(np.linspace(0.4, 0.1, 10))
    row = agreement.compare(
        "x", 1.0, other, reference=reference, diseased=diseased, threshold=0.5, **GATE
    )
    assert row.agreement == 1
    assert row.refused == "AUC -1.0000 < -0.05"


def test_the_table_shows_what_is_not_known_as_a_dash():
    row = agreement.Row("Keras", None, 99.6, 0.0, 0.0, None, 1.0, None, None)
    other = agreement.Row(
        "x", 12.345, 5.0, 1e-3, 2e-4, 0.5, 0.5, 0.75, -0.25, "agreement 0.500 < 0.9"
    )
    head, first, second = agreement.table([vars(row), vars(other)]).splitlines()
    assert head.split()[:3] == ["run-time", "MB", "images/s"]
    expected = ["Keras", "-", "100", "0.0e+00", "0.0e+00", "-", "1.000", "-", "-"]
    assert first.split() == expected
    assert second.split()[1:9] == [
        *("12.35", "5", "1.0e-03", "2.0e-04", "5.0e-01", "0.500", "0.7500", "-0.2500")
    ]
    assert second.endswith("refused: agreement 0.500 < 0.9")


def test_what_is_no_number_is_refused_however_seldom():
    diseased = np.arange(1000) % 2 == 0
    disease = np.where(diseased, 0.9, 0.1)
    heatmaps = np.zeros((1000, 2, 3, 3))
    reference = said(disease, heatmaps)
    one = disease.copy()
    one[1] = np.nan  # Not diseased, as of the reference.
    row = agreement.compare(
        "x",
        1.0,
        said(one, heatmaps),
        reference=reference,
        diseased=diseased,
        threshold=0.5,
        **GATE,
    )
    assert row.refused == "some of what it says is no number"
    assert row.logit_difference is None and row.heatmap_difference == 0
    infinite = np.where(np.arange(1000)[:, None, None, None] == 5, np.inf, heatmaps)
    row = agreement.compare(
        "x",
        1.0,
        said(disease, infinite),
        reference=reference,
        diseased=diseased,
        threshold=0.5,
        **GATE,
    )
    assert row.agreement == 1 and row.heatmap_difference is None
    assert row.refused == "some of what it says is no number"
    json.dumps(vars(row), allow_nan=False)
