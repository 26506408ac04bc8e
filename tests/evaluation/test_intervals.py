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


def test_the_bootstrap_of_log_loss_agrees_with_scipy():
    labels, probabilities = binary(np.random.default_rng(3), 400, 250)
    surprise = -np.log(probabilities[np.arange(650), labels])
    expected = scipy.stats.bootstrap(
        (surprise,),
        np.mean,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    result = intervals.score_with_intervals(labels, probabilities, (1,), resamples=4000)
    entry = result["metrics"]["log_loss"]
    assert entry["method"] == "bootstrap"
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(expected), abs=0.004)


def test_percentiles_of_few_photographs_are_those_of_a_wider_confidence():
    labels, probabilities = binary(np.random.default_rng(3), 7, 5)
    surprise = -np.log(probabilities[np.arange(12), labels])
    # Hesterberg (2015): levels of the normal distribution at sqrt(n / (n - 1)) t.
    reach = scipy.stats.t.ppf(0.975, 11) * np.sqrt(12 / 11)
    expected = scipy.stats.bootstrap(
        (surprise,),
        np.mean,
        confidence_level=1 - 2 * scipy.stats.norm.sf(reach),
        n_resamples=20000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    result = intervals.score_with_intervals(
        labels, probabilities, (1,), resamples=20000
    )
    entry = result["metrics"]["log_loss"]
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(expected), abs=0.02)


def test_briers_score_of_many_photographs_has_the_spread_of_its_mean():
    labels, probabilities = binary(np.random.default_rng(3), 4000, 2500)
    errors = (probabilities[:, 1] - labels) ** 2
    spread = errors.std(ddof=1) / np.sqrt(6500)
    expected = scipy.stats.norm.interval(0.95, errors.mean(), spread)
    entries = intervals.score_with_intervals(labels, probabilities, (1,))["metrics"]
    got = entries["brier"]["low"], entries["brier"]["high"]
    assert got == pytest.approx(expected, abs=2e-4)


def test_briers_score_of_classes_has_the_spread_of_its_mean():
    labels, probabilities = five_grades(5000)
    errors = ((probabilities - np.eye(5)[labels]) ** 2).sum(axis=1)
    spread = errors.std(ddof=1) / np.sqrt(5000)
    expected = scipy.stats.norm.interval(0.95, errors.mean(), spread)
    entries = intervals.score_with_intervals(labels, probabilities, (4,))["metrics"]
    got = entries["class_brier"]["low"], entries["class_brier"]["high"]
    assert got == pytest.approx(expected, abs=5e-4)


def test_the_precision_recall_curve_counts_the_diseased():
    labels, probabilities = binary(np.random.default_rng(3), 40, 25)
    entry = intervals.score_with_intervals(labels, probabilities, (1,))["metrics"][
        "pr_auc"
    ]
    value = sklearn.metrics.average_precision_score(labels, probabilities[:, 1])
    z2 = 1.959964**2
    centre = (value + z2 / 50) / (1 + z2 / 25)
    half = np.sqrt(z2 * value * (1 - value) / 25 + z2**2 / 2500) / (1 + z2 / 25)
    assert entry["method"] == "Wilson of the diseased"
    got = entry["low"], entry["high"]
    assert got == pytest.approx((centre - half, centre + half), abs=1e-6)


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
    assert all(one["method"].endswith(", by patient") for one in entries.values())
    # All four photographs agree, so the spread is that of 50 and of 100 patients.
    for name, n in (("sensitivity", 50), ("specificity", 100)):
        share = entries[name]["value"]
        of_patients = scipy.stats.binomtest(round(share * n), n)
        expected = of_patients.proportion_ci(method="wilson")
        got = (entries[name]["low"], entries[name]["high"])
        assert got == pytest.approx(tuple(expected), abs=0.01)
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
    # One of two by one patient: no more than between one and two photographs.
    assert entries["sensitivity"]["low"] < 0.1 and entries["sensitivity"]["high"] > 0.9
    assert entries["specificity"]["low"] < 0.75 < entries["specificity"]["high"]


def test_a_figure_that_many_resamples_leave_undefined_has_no_interval():
    # Two of ten photographs are diseased: no kappa where a resample has neither.
    labels = np.array([0] * 8 + [1] * 2)
    probabilities = np.eye(2)[[0] * 7 + [1, 1, 0]] * 0.8 + 0.1
    entries = intervals.score_with_intervals(labels, probabilities, (1,))["metrics"]
    reason = entries["quadratic_kappa"]["reason"]
    percent = int(reason.removeprefix("undefined in ").split()[0])
    assert abs(percent - 100 * 0.8**10) <= 3


def test_an_interval_of_hardly_any_width_is_none():
    values = np.full(1000, 0.5)
    agree = (None, "all resamples agree")
    assert intervals.percentiles(values, 0.95) == agree
    rounding = values + np.linspace(0, 1e-9, 1000)
    assert intervals.percentiles(rounding, 0.95) == agree
    values[:3] = 1
    nearly = (None, "nearly all resamples agree")
    assert intervals.percentiles(values, 0.95) == nearly


def test_no_interval_of_a_collapsed_model_has_no_width():
    """Patients of two, all called healthy with nearly the same probability."""
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=32)
    disease = 0.3 + 1e-9 * generator.normal(size=32)
    for scores in (disease, np.full(32, 0.3)):
        entries = intervals.score_with_intervals(
            labels,
            np.stack([1 - scores, scores], axis=1),
            (1,),
            groups=[f"p{i // 2}" for i in range(32)],
        )["metrics"]
        for name, entry in entries.items():
            if entry.get("low") is not None:
                assert entry["high"] > entry["low"] + 1e-3, name
        balanced = entries["balanced_accuracy"]
        assert balanced["value"] == 0.5
        assert balanced["low"] < 0.45 and balanced["high"] > 0.55
        assert entries["quadratic_kappa"]["reason"] == "all resamples agree"
        assert entries["ppv"]["reason"] == "no photograph called diseased"
    assert entries["auc"]["reason"] == "scores without a variance"


def test_accuracy_does_not_hold_the_class_counts():
    """32 photographs of 29 patients, 20 of 32 right, all the healthy and few others."""
    labels = np.repeat([0, 1], [19, 13])
    predicted = np.repeat([0, 1], [31, 1])
    groups = [f"p{min(i, 28)}" for i in range(32)]
    entries = intervals.score_with_intervals(
        labels, np.eye(2)[predicted], (1,), groups=groups
    )["metrics"]
    accuracy = entries["accuracy"]
    expected = scipy.stats.binomtest(20, 32).proportion_ci(method="wilson")
    assert accuracy["low"] < expected.low + 0.01
    assert accuracy["high"] > expected.high - 0.01
    specificity = entries["specificity"]
    assert (specificity["value"], specificity["high"]) == (1, 1)
    expected = scipy.stats.binomtest(19, 19).proportion_ci(method="wilson")
    assert specificity["low"] == pytest.approx(expected.low)


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
        assert entry["method"] == "bootstrap, reflected"
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


def test_the_interval_of_balanced_accuracy_has_the_binomial_spread():
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
        picked = generator.integers(80, size=80)
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
    recall = scipy.stats.binomtest(2, 3).proportion_ci(method="wilson")
    balanced = result["metrics"]["balanced_accuracy"]
    assert (balanced["low"], balanced["high"]) == pytest.approx(tuple(recall))


def test_no_photographs_at_all_is_a_defined_result():
    result = intervals.score_with_intervals(np.array([]), np.zeros((0, 5)), (3, 4))
    assert result["n"] == 0
    assert result["confusion_matrix"] == [[0] * 5] * 5
    assert all(entry["value"] is None for entry in result["metrics"].values())


def test_faultless_predictions_have_intervals_but_for_the_bootstraps():
    labels = np.repeat([0, 1], [5, 5])
    result = intervals.score_with_intervals(
        labels, np.eye(2)[labels], (1,), prevalence=0.1
    )
    entries = result["metrics"]
    for name in ("macro_f1", "quadratic_kappa"):
        assert entries[name] == {
            "value": 1,
            "low": None,
            "high": None,
            "method": "bootstrap",
            "n": 10,
            "reason": "all resamples agree",
        }
    five = scipy.stats.binomtest(5, 5).proportion_ci(method="wilson").low
    assert entries["accuracy"]["low"] == pytest.approx(0.7224672)
    assert entries["sensitivity"]["low"] == pytest.approx(five)
    assert entries["pr_auc"]["low"] == pytest.approx(five)
    # Half of either miss, added as independent ones.
    balanced = 1 - np.hypot(1 - five, 1 - five) / 2
    assert entries["balanced_accuracy"]["low"] == pytest.approx(balanced)
    assert entries["auc"]["method"] == "Newcombe"
    assert 0.5 < entries["auc"]["low"] < 0.8
    # The odds of a false alarm are nine to one.
    ratio = (1 - five) / np.sqrt(five * (2 - five))
    expected = 0.1 / (0.1 + 0.9 * ratio)
    assert entries["ppv_at_prevalence"]["low"] == pytest.approx(expected)
    for entry in entries.values():
        assert entry["low"] is None or entry["high"] in (1, 0) or entry["low"] == 0


def test_predictive_values_at_a_prevalence_have_the_spread_of_their_logarithms():
    labels = np.repeat([0, 1], [6000, 4000])
    predicted = np.concatenate(
        [np.repeat([0, 1], [5400, 600]), np.repeat([0, 1], [800, 3200])]
    )
    entries = intervals.score_with_intervals(
        labels, np.eye(2)[predicted], (1,), prevalence=0.2
    )["metrics"]
    # Mercaldo et al. (2007): the logit of either has the sum of two relative variances.
    for name, odds, spread in (
        ("ppv_at_prevalence", 0.25 * 0.8 / 0.1, np.hypot((0.2 / 3200) ** 0.5, 0.03873)),
        ("npv_at_prevalence", 4 * 0.9 / 0.2, np.hypot((0.1 / 5400) ** 0.5, 0.03162)),
    ):
        logits = np.log(odds) + 1.959964 * spread * np.array([-1, 1])
        expected = 1 / (1 + np.exp(-logits))
        got = entries[name]["low"], entries[name]["high"]
        assert got == pytest.approx(tuple(expected), abs=1e-3)


def test_a_class_of_one_photograph_widens_what_it_counts_in():
    labels = np.array([0, 0, 0, 1, 2, 2, 2])
    predicted = np.array([0, 0, 1, 1, 2, 1, 0])
    probabilities = np.eye(3)[predicted] * 0.7 + 0.1
    entries = intervals.score_with_intervals(labels, probabilities, (1, 2))["metrics"]
    assert entries["recall_1"]["low"] == pytest.approx(0.2065, abs=1e-4)
    assert entries["balanced_accuracy"]["low"] < 0.4
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
