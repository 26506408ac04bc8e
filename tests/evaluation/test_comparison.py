"""Comparisons against definitions, scipy and simulation."""

import json

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from evaluation import comparison, paired_tests
from tests.evaluation import drawn_predictions


def only(result, metric="auc"):
    (pair,) = result["pairs"]
    return pair["differences"][metric]


def test_the_paired_bootstrap_agrees_with_scipy():
    labels, made = drawn_predictions.models(a=2.0, b=1.0)
    errors = [(one[:, 1] - labels) ** 2 for one in made.values()]
    gaps = errors[0] - errors[1]
    expected = scipy.stats.bootstrap(
        (gaps[labels == 0], gaps[labels == 1]),
        lambda healthy, ill, axis: (healthy.sum(axis) + ill.sum(axis)) / 120,
        n_resamples=4000,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    result = comparison.compare(labels, made, (1,), compared=["brier"], resamples=4000)
    row = only(result, "brier")
    assert row["method"] == "paired stratified bootstrap"
    assert row["difference"] == pytest.approx(gaps.mean())
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected), abs=0.003)
    # The first model errs less, which is better.
    assert row["verdict"].startswith("a is better than b by ")


def test_the_bootstraps_p_value_agrees_with_its_normal_approximation():
    labels, made = drawn_predictions.models(300, a=1.5, b=1.4)
    result = comparison.compare(labels, made, (1,), compared=["brier"], resamples=8000)
    row = only(result, "brier")
    gaps = np.subtract(*((one[:, 1] - labels) ** 2 for one in made.values()))
    strata = [gaps[labels == c] for c in (0, 1)]
    spread = sum(len(one) * one.var(ddof=1) for one in strata) ** 0.5 / 300
    expected = 2 * scipy.stats.norm.sf(abs(gaps.mean()) / spread)
    assert 0.01 < expected < 0.5
    assert row["p"] == pytest.approx(expected, abs=0.03)


def test_the_result_has_every_pair_and_is_plain_json():
    labels, made = drawn_predictions.models(a=2.0, b=1.5, c=1.0)
    result = comparison.compare(
        labels, made, (1,), compared=["auc", "accuracy"], resamples=200
    )
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    pairs = [(one["first"], one["second"]) for one in result["pairs"]]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
    areas = {k: sklearn.metrics.roc_auc_score(labels, v[:, 1]) for k, v in made.items()}
    raw = []
    for one in result["pairs"]:
        row = one["differences"]["auc"]
        difference = areas[one["first"]] - areas[one["second"]]
        assert row["difference"] == pytest.approx(difference)
        assert row["method"] == "DeLong"
        raw += [row["p"], one["differences"]["accuracy"]["p"]]
    corrected = [
        one["differences"][name]["p_holm"]
        for one in result["pairs"]
        for name in ("auc", "accuracy")
    ]
    assert corrected == paired_tests.holm(raw)
    assert [one["mcnemar"]["p_holm"] for one in result["pairs"]] == paired_tests.holm(
        [one["mcnemar"]["p"] for one in result["pairs"]]
    )


def test_thresholds_and_a_prevalence_reach_the_metrics():
    labels, made = drawn_predictions.models(a=2.0, b=1.0)
    result = comparison.compare(
        labels,
        made,
        (1,),
        compared=["sensitivity", "npv_at_prevalence"],
        thresholds={"b": 0.2},
        prevalence=0.1,
        resamples=200,
    )
    row = only(result, "sensitivity")
    assert row["first"] == pytest.approx((made["a"][labels == 1, 1] > 0.5).mean())
    assert row["second"] == pytest.approx((made["b"][labels == 1, 1] >= 0.2).mean())
    assert only(result, "npv_at_prevalence")["first"] > 0.9


def test_repeated_patients_leave_only_the_patient_wise_bootstrap():
    labels, made = drawn_predictions.models(40, a=2.0, b=1.0)
    repeat = np.repeat(np.arange(40), 4)
    repeated = {name: one[repeat] for name, one in made.items()}
    result = comparison.compare(
        labels[repeat], repeated, (1,), groups=[str(i) for i in repeat]
    )
    row, (pair,) = only(result), result["pairs"]
    assert row["method"] == "paired patient-wise stratified bootstrap"
    # Copies add nothing: the interval is about that of the 40 photographs.
    once = only(comparison.compare(labels, made, (1,)))
    width, expected = row["high"] - row["low"], once["high"] - once["low"]
    assert width == pytest.approx(expected, rel=0.25)
    assert result["patients"] == 40
    assert pair["mcnemar"]["p"] is None
    assert "not independent" in pair["mcnemar"]["reason"]


def test_repeats_tell_the_noise_of_a_seed():
    labels, made = drawn_predictions.models(a=2.0, a_again=2.0, b=1.0)
    result = comparison.compare(
        labels, made, (1,), repeats=[["a", "a_again"]], resamples=200
    )
    areas = [sklearn.metrics.roc_auc_score(labels, made[k][:, 1]) for k in made]
    deviation = 2**0.5 * np.std(areas[:2], ddof=1)
    reach = scipy.stats.t.ppf(0.975, 1) * deviation
    expected = {"deviation": deviation, "reach": reach, "runs": 2}
    assert result["noise"] == {"auc": pytest.approx(expected)}
    rows = [one["differences"]["auc"] for one in result["pairs"]]
    assert [row["noise"] for row in rows] == [pytest.approx(expected)] * 3
    assert [one["repeat"] for one in result["pairs"]] == [True, False, False]
    # A pair of repeats is no hypothesis: two are left to correct for.
    assert rows[0]["p_holm"] is None and rows[0]["meaningful"] is False
    both = [row["p_holm"] for row in rows[1:]]
    assert both == paired_tests.holm([row["p"] for row in rows[1:]])
    assert result["pairs"][0]["mcnemar"]["p_holm"] is None


def test_no_repeats_tell_no_noise():
    labels, made = drawn_predictions.models(a=2.0, b=1.0)
    result = comparison.compare(labels, made, (1,), resamples=200)
    assert (result["repeats"], result["noise"]) == ([], {"auc": None})
    assert only(result)["noise"] is None


def test_an_undefined_metric_of_repeats_tells_no_noise():
    _, made = drawn_predictions.models(a=2.0, b=1.0)
    result = comparison.compare(np.zeros(120, int), made, (1,), repeats=[["a", "b"]])
    assert result["noise"] == {"auc": None}


def test_equal_predictions_do_not_differ():
    labels, made = drawn_predictions.models(a=2.0)
    made["b"] = made["a"]
    result = comparison.compare(labels, made, (1,), compared=["auc", "accuracy"])
    for name, label in (("auc", "AUC"), ("accuracy", "accuracy")):
        row = only(result, name)
        assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)
        assert row["verdict"].startswith(f"a and b do not differ in {label} (95 %")


def test_an_absent_class_is_a_defined_result():
    _, made = drawn_predictions.models(a=2.0, b=1.0)
    result = comparison.compare(np.zeros(120, int), made, (1,))
    row = only(result)
    assert row["difference"] is row["p"] is row["p_holm"] is None
    assert row["verdict"] == (
        "a and b cannot be compared by AUC: no photograph with the disease."
    )
    assert json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"compared": ["acu"]},
            r"no metric 'acu' to compare\. Choose from \['accuracy",
        ),
        ({"repeats": [["a", "c"]]}, r"`repeats` must .* Received: \['a', 'c'\]"),
        ({"repeats": [["a", "b"], ["a", "b"]]}, "`repeats` must name .* each once"),
        ({"thresholds": {"c": 0.5}}, r"some of \['a', 'b'\], .*Received: \['c'\]"),
        ({"resamples": 10}, "at least 100"),
    ],
)
def test_settings_that_fit_nothing_are_refused(settings, message):
    labels, made = drawn_predictions.models(a=2.0, b=1.0)
    with pytest.raises(ValueError, match=message):
        comparison.compare(labels, made, (1,), **settings)


def test_one_model_is_no_comparison():
    labels, made = drawn_predictions.models(a=2.0)
    with pytest.raises(ValueError, match=r"at least two sets.*Received: \['a'\]"):
        comparison.compare(labels, made, (1,))
