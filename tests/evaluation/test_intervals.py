"""Intervals against scipy, theory and simulation."""

import json

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from evaluation import intervals, scoring


def binary(generator, n_healthy, n_diseased, shift=1.0):
    """Scores whose area under the ROC curve is `norm.cdf(shift / sqrt(2))`."""
    labels = np.repeat([0, 1], [n_healthy, n_diseased])
    logits = generator.normal(size=len(labels)) + shift * (labels - 0.5)
    disease = 1 / (1 + np.exp(-logits))
    return labels, np.stack([1 - disease, disease], axis=1)


def five_grades(n, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(5, size=n)
    distance = np.abs(np.arange(5) - labels[:, None])
    weights = np.exp(generator.normal(size=(n, 5)) - distance)
    return labels, weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (1, 1), (44, 47), (3, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(hits, n, confidence):
    test = scipy.stats.binomtest(hits, n)
    expected = test.proportion_ci(confidence, method="wilson")
    low, high = intervals.wilson(hits / n, n, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_reaches_but_does_not_pass_0_and_1():
    for n in range(1, 200):
        assert intervals.wilson(0, n)[0] == 0
        assert intervals.wilson(1, n)[1] == 1


def test_result_has_the_metrics_and_counts_and_is_plain_json():
    labels, probabilities = five_grades(120)
    result = intervals.score_with_intervals(labels, probabilities, (2, 3, 4))
    predicted = probabilities.argmax(axis=1)

    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["n"] == 120
    assert result["disease_classes"] == [2, 3, 4]
    assert result["class_counts"] == [int((labels == c).sum()) for c in range(5)]
    expected = sklearn.metrics.confusion_matrix(labels, predicted)
    assert result["confusion_matrix"] == expected.tolist()
    assert [result[k] for k in ("confidence", "resamples", "seed")] == [0.95, 2000, 0]
    predicted_ill = np.isin(predicted, (2, 3, 4))
    expected = sklearn.metrics.confusion_matrix(labels >= 2, predicted_ill)
    assert result["disease_matrix"] == expected.tolist()
    assert [result[k] for k in ("patients", "threshold", "prevalence")] == [None] * 3
    scores = scoring.Scorer(labels, probabilities, (2, 3, 4)).score()
    assert list(result["metrics"]) == list(scores)
    for name, entry in result["metrics"].items():
        assert set(entry) == {"value", "low", "high", "method", "n"}
        assert (entry["value"], entry["n"]) == (scores[name].value, scores[name].n)
        assert entry["low"] <= entry["value"] <= entry["high"]
        assert entry["low"] < entry["high"]


def test_proportions_have_the_interval_of_their_own_denominator():
    labels = np.repeat([0, 1], [30, 10])
    predicted = np.concatenate([np.repeat([0, 1], [24, 6]), np.repeat([0, 1], [1, 9])])
    result = intervals.score_with_intervals(labels, np.eye(2)[predicted], (1,))
    for name, hits, n in (
        ("accuracy", 33, 40),
        ("sensitivity", 9, 10),
        ("specificity", 24, 30),
        ("ppv", 9, 15),
        ("npv", 24, 25),
    ):
        expected = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
        entry = result["metrics"][name]
        assert entry["method"] == "Wilson"
        assert (entry["low"], entry["high"]) == pytest.approx(tuple(expected))


def test_bootstrap_of_brier_agrees_with_scipy():
    labels, probabilities = binary(np.random.default_rng(3), 40, 25)
    errors = (probabilities[:, 1] - labels) ** 2

    # Two samples, each resampled on its own: a bootstrap stratified by class.
    def brier(healthy, diseased, axis):
        return (healthy.sum(axis) + diseased.sum(axis)) / 65

    expected = scipy.stats.bootstrap(
        (errors[labels == 0], errors[labels == 1]),
        brier,
        n_resamples=4000,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    result = intervals.score_with_intervals(labels, probabilities, (1,), resamples=4000)
    entry = result["metrics"]["brier"]
    assert entry["method"] == "stratified bootstrap"
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(expected), abs=0.004)


def test_the_interval_of_the_auc_is_delongs():
    labels, probabilities = binary(np.random.default_rng(3), 40, 25)
    ill, well = probabilities[labels == 1, 1], probabilities[labels == 0, 1]
    wins = ill[:, None] > well
    area = wins.mean()
    variance = wins.mean(1).var(ddof=1) / 25 + wins.mean(0).var(ddof=1) / 40
    half = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    expected = tuple(1 / (1 + np.exp(-(logit + np.array([-half, half])))))
    result = intervals.score_with_intervals(labels, probabilities, (1,))
    entry = result["metrics"]["auc"]
    assert entry["method"] == "DeLong, logit scale"
    assert (entry["low"], entry["high"]) == pytest.approx(expected, abs=1e-6)


def repeated_patients(generator, n_patients=150):
    """Four photographs a patient that are right or wrong together."""
    ill = np.arange(n_patients) < n_patients // 3
    right = generator.random(n_patients) < 0.8
    labels, said = (one.repeat(4).astype(int) for one in (ill, ill == right))
    groups = [f"p{i}" for i in range(n_patients) for _ in range(4)]
    return labels, np.eye(2)[said] * 0.8 + 0.1, groups


def test_repeated_patients_widen_every_interval_to_that_of_patients():
    labels, probabilities, groups = repeated_patients(np.random.default_rng(0))
    result = intervals.score_with_intervals(
        labels, probabilities, (1,), groups=groups, resamples=4000
    )
    assert result["patients"] == 150
    entries = result["metrics"]
    assert {one["method"].split(",")[0] for one in entries.values()} == {
        "patient-wise stratified bootstrap"
    }
    # All four photographs agree, so the spread is that of 50 and of 100 patients.
    for name, n in (("sensitivity", 50), ("specificity", 100)):
        share = entries[name]["value"]
        spread = np.sqrt(share * (1 - share) / n)
        expected = scipy.stats.norm.interval(0.95, share, spread)
        got = (entries[name]["low"], entries[name]["high"])
        assert got == pytest.approx(expected, abs=0.02)
    by_photograph = intervals.score_with_intervals(labels, probabilities, (1,))
    for name, entry in by_photograph["metrics"].items():
        if name != "calibration_error":
            width = entries[name]["high"] - entries[name]["low"]
            assert width > 1.3 * (entry["high"] - entry["low"]), name


def test_patients_with_one_photograph_each_are_independent():
    labels, probabilities = five_grades(50)
    groups = [None if i % 2 else f"p{i}" for i in range(50)]
    with_groups = intervals.score_with_intervals(
        labels, probabilities, (4,), groups=groups
    )
    without = intervals.score_with_intervals(labels, probabilities, (4,))
    assert with_groups["metrics"] == without["metrics"]
    assert (with_groups["patients"], without["patients"]) == (50, None)


def test_one_patient_with_the_disease_leaves_no_interval():
    labels = np.array([1, 1, 0, 0, 0, 0])
    disease = np.array([0.9, 0.4, 0.1, 0.2, 0.6, 0.3])
    entries = intervals.score_with_intervals(
        labels, np.stack([1 - disease, disease], 1), (1,), groups=list("aabcde")
    )["metrics"]
    assert entries["auc"]["reason"] == "only one patient with the disease"
    assert entries["sensitivity"]["reason"] == "all resamples agree"
    assert entries["specificity"]["low"] < 0.75 < entries["specificity"]["high"]


def test_a_figure_that_many_resamples_leave_undefined_has_no_interval():
    # One patient of three has the only second-class photograph beside a worse one.
    labels = np.array([0, 0, 1, 2, 2, 2, 0])
    probabilities = np.eye(3)[[0, 1, 1, 2, 1, 2, 0]] * 0.7 + 0.1
    entries = intervals.score_with_intervals(
        labels, probabilities, (1, 2), groups=list("abccdef")
    )["metrics"]
    # Patient c is one of three with worst label 2, left out of (2 / 3) ** 3 resamples.
    percent = entries["recall_1"]["reason"].removeprefix("undefined in ").split()[0]
    assert abs(int(percent) - 100 * (2 / 3) ** 3) <= 3


@pytest.mark.parametrize(("slope", "truth"), [(1.0, 0.0), (0.6, 0.0769)])
def test_intervals_of_the_calibration_error_hold_the_true_value(slope, truth):
    # The truth for slope 0.6 is the binned error of two million photographs.
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(100):
        logits = 2 * generator.normal(size=300)
        disease = 1 / (1 + np.exp(-logits))
        labels = generator.random(300) < 1 / (1 + np.exp(-slope * logits))
        entry = intervals.score_with_intervals(
            labels.astype(int),
            np.stack([1 - disease, disease], axis=1),
            (1,),
            resamples=200,
            seed=seed,
        )["metrics"]["calibration_error"]
        assert entry["method"] == "stratified bootstrap, reflected"
        held += entry["low"] <= truth <= entry["high"]
    assert held >= 88


def test_an_operating_point_and_a_prevalence_change_what_they_should():
    labels, probabilities = binary(np.random.default_rng(1), 60, 30)
    result = intervals.score_with_intervals(
        labels, probabilities, (1,), threshold=0.3, prevalence=0.05
    )
    said = probabilities[:, 1] >= 0.3
    sensitivity, specificity = said[labels == 1].mean(), (~said[labels == 0]).mean()
    entries = result["metrics"]
    assert (result["threshold"], result["prevalence"]) == (0.3, 0.05)
    assert entries["sensitivity"]["value"] == pytest.approx(sensitivity)
    assert entries["accuracy"]["value"] == pytest.approx((said == labels).mean())
    ppv = 0.05 * sensitivity / (0.05 * sensitivity + 0.95 * (1 - specificity))
    assert entries["ppv_at_prevalence"]["value"] == pytest.approx(ppv)
    assert entries["ppv_at_prevalence"]["low"] < ppv < entries["ppv"]["low"]


def test_bootstrap_of_balanced_accuracy_has_the_binomial_spread():
    labels = np.repeat([0, 1], [600, 200])
    predicted = np.concatenate([np.repeat([0, 1], [480, 120]), np.repeat([0, 1], 100)])
    result = intervals.score_with_intervals(labels, np.eye(2)[predicted], (1,))
    entry = result["metrics"]["balanced_accuracy"]
    # Mean of two independent proportions, 0.8 of 600 and 0.5 of 200.
    spread = np.sqrt(0.8 * 0.2 / 600 + 0.5 * 0.5 / 200) / 2
    expected = scipy.stats.norm.interval(0.95, loc=0.65, scale=spread)
    assert (entry["low"], entry["high"]) == pytest.approx(expected, abs=0.004)


def test_bootstrap_of_kappa_equals_resampling_by_scikit_learn():
    labels, probabilities = five_grades(80)
    predicted = probabilities.argmax(axis=1)
    generator = np.random.default_rng(1)
    values = []
    for _ in range(600):
        picked = np.concatenate(
            [
                generator.choice(np.flatnonzero(labels == c), (labels == c).sum())
                for c in range(5)
            ]
        )
        values.append(
            sklearn.metrics.cohen_kappa_score(
                labels[picked], predicted[picked], weights="quadratic"
            )
        )
    result = intervals.score_with_intervals(labels, probabilities, (2, 3, 4))
    entry = result["metrics"]["quadratic_kappa"]
    expected = np.quantile(values, [0.025, 0.975])
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(expected), abs=0.03)


def test_intervals_of_the_auc_hold_the_true_value_as_often_as_they_say():
    generator = np.random.default_rng(0)
    truth = scipy.stats.norm.cdf(1.2 / np.sqrt(2))
    held = 0
    for seed in range(300):
        labels, probabilities = binary(generator, 60, 40, shift=1.2)
        result = intervals.score_with_intervals(
            labels, probabilities, (1,), resamples=300, seed=seed, confidence=0.9
        )
        entry = result["metrics"]["auc"]
        held += entry["low"] <= truth <= entry["high"]
    # 300 trials at 0.9 scatter by 0.017; percentile intervals run a little short.
    assert 0.84 <= held / 300 <= 0.95


def test_the_seed_decides_the_resamples():
    labels, probabilities = five_grades(60)

    def score(seed):
        return intervals.score_with_intervals(labels, probabilities, (4,), seed=seed)

    assert score(1) == score(1)
    assert score(1)["metrics"] != score(2)["metrics"]


def test_a_wider_confidence_gives_a_wider_interval():
    labels, probabilities = five_grades(60)
    narrow, wide = (
        intervals.score_with_intervals(labels, probabilities, (4,), confidence=c)
        for c in (0.8, 0.99)
    )
    for name, entry in wide["metrics"].items():
        if name.endswith("calibration_error"):
            continue  # stops at 0 and at the value
        assert entry["low"] < narrow["metrics"][name]["low"]
        assert entry["high"] > narrow["metrics"][name]["high"]


def test_an_undefined_metric_keeps_its_reason_and_has_no_interval():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]])
    result = intervals.score_with_intervals(np.zeros(3, int), probabilities, (1,))
    assert result["metrics"]["sensitivity"] == {
        "value": None,
        "n": 0,
        "reason": "no photograph with the disease",
    }
    assert result["metrics"]["auc"]["value"] is None
    assert result["metrics"]["balanced_accuracy"]["low"] == 0


def test_no_photographs_at_all_is_a_defined_result():
    result = intervals.score_with_intervals(np.array([]), np.zeros((0, 5)), (3, 4))
    assert result["n"] == 0
    assert result["confusion_matrix"] == [[0] * 5] * 5
    assert all(entry["value"] is None for entry in result["metrics"].values())


def test_faultless_predictions_have_no_bootstrap_interval():
    labels = np.repeat([0, 1], [5, 5])
    result = intervals.score_with_intervals(labels, np.eye(2)[labels], (1,))
    for name in ("balanced_accuracy", "auc", "quadratic_kappa"):
        is_auc = name == "auc"
        assert result["metrics"][name] == {
            "value": 1,
            "low": None,
            "high": None,
            "method": "DeLong, logit scale" if is_auc else "stratified bootstrap",
            "n": 10,
            "reason": "scores without a variance" if is_auc else "all resamples agree",
        }
    assert result["metrics"]["accuracy"]["low"] == pytest.approx(0.7224672)


def test_a_class_of_one_photograph_leaves_no_interval_where_it_counts():
    labels = np.array([0, 0, 0, 1, 2, 2, 2])
    predicted = np.array([0, 0, 1, 1, 2, 1, 0])
    probabilities = np.eye(3)[predicted] * 0.7 + 0.1
    entries = intervals.score_with_intervals(labels, probabilities, (1, 2))["metrics"]
    assert entries["balanced_accuracy"]["low"] is None
    assert entries["balanced_accuracy"]["reason"] == "only one photograph of class 1"
    assert entries["quadratic_kappa"]["reason"] == "only one photograph of class 1"
    assert entries["auc"]["low"] < entries["auc"]["value"]

    entries = intervals.score_with_intervals(labels, probabilities, (1,))["metrics"]
    assert entries["auc"]["reason"] == "only one photograph with the disease"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"resamples": 20}, r"at least 100 .* Received: resamples=20\."),
        ({"confidence": 95}, r"between 0 and 1, as 0\.95 does\. Received: confidence"),
        ({"confidence": 0.0}, r"Received: confidence=0\.0\."),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    labels, probabilities = five_grades(10)
    with pytest.raises(ValueError, match=message):
        intervals.score_with_intervals(labels, probabilities, (4,), **setting)


def test_predictions_are_checked_where_they_enter():
    with pytest.raises(ValueError, match="Logits must go through the output first"):
        intervals.score_with_intervals(np.array([0]), np.array([[2.0, 3.0]]), (1,))
