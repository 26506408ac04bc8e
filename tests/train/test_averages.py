import numpy as np
import pytest
from scipy import stats

from train import averages


def test_a_single_run_keeps_its_intervals():
    run = {"auc": {"value": 0.9, "low": 0.8, "high": 0.95, "method": "DeLong"}}
    assert averages.average([run]) == run


def test_several_runs_have_their_mean_with_students_interval():
    values = [0.8, 0.9, 0.85]
    runs = [{"auc": {"value": one}, "ppv": {"value": one}} for one in values]
    runs[1]["ppv"] = {"value": None, "reason": "none called diseased"}
    found = averages.average(runs)
    assert list(found) == ["auc"]
    assert found["auc"]["method"] == "Student's t over 3 seeds"
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    entry = found["auc"]
    assert entry["value"] == pytest.approx(np.mean(values))
    assert (entry["low"], entry["high"]) == pytest.approx((low, high))


def test_an_interval_has_no_values_that_the_metric_cannot_have():
    runs = [
        {"auc": {"value": auc}, "quadratic_kappa": {"value": kappa}}
        for auc, kappa in ((0.6, -0.5), (0.9, 0.5))
    ]
    found = averages.average(runs)
    assert (found["auc"]["low"], found["auc"]["high"]) == (0, 1)
    kappa = found["quadratic_kappa"]
    assert (kappa["low"], kappa["high"]) == (-1, 1)


def test_runs_that_are_all_alike_have_no_interval():
    found = averages.average([{"auc": {"value": 0.5}}] * 2)["auc"]
    assert (found["value"], found["low"], found["high"]) == (0.5, None, None)
    assert found["reason"] == "all 2 seeds are alike"


def test_seeds_of_one_fold_count_once_and_folds_share_photographs():
    values = [0.8, 0.9, 0.85, 0.87]  # Two of five folds, of two seeds each.
    runs = [{"auc": {"value": one}} for one in values]
    entry = averages.average(runs, averages.Folds(2, of=5))["auc"]
    means = [0.85, 0.86]
    # Nadeau and Bengio, 2003: 1 / k + validating / training for 1 / k.
    error = np.std(means, ddof=1) * np.sqrt(1 / 2 + 1 / 4)
    low, high = stats.t.interval(0.95, 1, np.mean(means), error)
    assert entry["value"] == pytest.approx(np.mean(values))
    assert (entry["low"], entry["high"]) == pytest.approx((low, high))
    assert entry["method"] == "Student's t over 2 folds"


def test_a_p_value_is_below_a_twentieth_where_the_interval_leaves_zero_out():
    found = averages.mean([0.01, 0.02, 0.015], averages.Folds(3, of=5))
    for shift in (found.half - 1e-9, found.half + 1e-9):
        moved = averages.mean(
            np.array([0.01, 0.02, 0.015]) - found.value + shift,
            averages.Folds(3, of=5),
        )
        assert (moved.p < 0.05) == (moved.value > moved.half)
