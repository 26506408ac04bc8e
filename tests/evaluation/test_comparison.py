"""Comparisons against definitions, scipy and simulation."""

import json

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from evaluation import comparison, metrics


def two_columns(disease):
    return np.stack([1 - disease, disease], axis=1)


def models(n=120, seed=0, **skills):
    """Probabilities of models that see the disease as well as their skill says."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 == 0).astype(int)
    shared = generator.normal(size=n)
    made = {}
    for name, skill in skills.items():
        logits = skill * (labels - 0.5) + shared + 0.5 * generator.normal(size=n)
        made[name] = two_columns(1 / (1 + np.exp(-logits)))
    return labels, made


def only(result, metric="auc"):
    (pair,) = result["pairs"]
    return pair["differences"][metric]


def test_mcnemar_by_hand():
    # 1 against 6 photographs: P(X <= 1) of Binomial(7, 1/2) is 8/128, twice is 0.125.
    first = np.array([1] * 10 + [1] + [0] * 6 + [0] * 3, bool)
    second = np.array([1] * 10 + [0] + [1] * 6 + [0] * 3, bool)
    assert comparison.mcnemar(first, second) == {
        "both_right": 10,
        "only_first_right": 1,
        "only_second_right": 6,
        "both_wrong": 3,
        "p": pytest.approx(0.125),
    }
    assert comparison.mcnemar(first, first)["p"] == 1


def test_delongs_test_by_its_definition():
    labels, made = models(a=2.0, b=1.0)
    first, second = made["a"][:, 1], made["b"][:, 1]
    ill = labels == 1
    wins = [(one[ill][:, None] > one[~ill]).astype(float) for one in (first, second)]
    gap = wins[0] - wins[1]
    # The variance of a difference is that of the differences of placement values.
    variance = gap.mean(1).var(ddof=1) / ill.sum()
    variance += gap.mean(0).var(ddof=1) / (~ill).sum()
    p = 2 * scipy.stats.norm.sf(abs(gap.mean()) / variance**0.5)
    half = 1.959964 * variance**0.5
    got = comparison.delong_test(ill, first, second)
    expected = (gap.mean(), gap.mean() - half, gap.mean() + half, p)
    assert got == pytest.approx(expected, rel=1e-6)


def test_delongs_test_of_equal_models_is_true_as_often_as_it_says():
    rejected = 0
    for seed in range(400):
        labels, made = models(90, seed, a=1.5, b=1.5)
        *_, p = comparison.delong_test(
            labels == 1, *(one[:, 1] for one in made.values())
        )
        rejected += p < 0.1
    assert 0.06 <= rejected / 400 <= 0.145


def test_equal_rankings_do_not_differ():
    diseased = np.arange(9) % 2 == 0
    scores = np.random.default_rng(0).random(9)
    got = comparison.delong_test(diseased, scores, scores**3)
    assert got == (0, 0, 0, 1)
    with pytest.raises(metrics.UndefinedMetricError, match="without a variance"):
        comparison.delong_test(diseased, diseased * 1.0, 1.0 - diseased)


def test_holm_by_hand():
    # 0.01 * 4, then 0.02 * 3, 0.03 * 2 and 0.04 * 1, none below the one before it.
    got = comparison.holm([0.04, 0.01, None, 0.03, 0.02])
    assert got == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert comparison.holm([0.9, 0.8]) == [1, 1]
    assert comparison.holm([None]) == [None]


def test_the_noise_floor_is_the_spread_of_differences():
    # Standard deviation 0.01, of a difference root 2 of that.
    assert comparison.noise_floor([0.90, 0.91, 0.92]) == pytest.approx(0.02**0.5 / 10)
    with pytest.raises(ValueError, match=r"at least two runs.*Received: \[0\.9\]"):
        comparison.noise_floor([0.9])
    with pytest.raises(ValueError, match="each finite"):
        comparison.noise_floor([0.9, float("nan")])


def test_the_paired_bootstrap_agrees_with_scipy():
    labels, made = models(a=2.0, b=1.0)
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
    labels, made = models(300, a=1.5, b=1.4)
    result = comparison.compare(labels, made, (1,), compared=["brier"], resamples=8000)
    row = only(result, "brier")
    gaps = np.subtract(*((one[:, 1] - labels) ** 2 for one in made.values()))
    strata = [gaps[labels == c] for c in (0, 1)]
    spread = sum(len(one) * one.var(ddof=1) for one in strata) ** 0.5 / 300
    expected = 2 * scipy.stats.norm.sf(abs(gaps.mean()) / spread)
    assert 0.01 < expected < 0.5
    assert row["p"] == pytest.approx(expected, abs=0.03)


def test_the_result_has_every_pair_and_is_plain_json():
    labels, made = models(a=2.0, b=1.5, c=1.0)
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
    assert corrected == comparison.holm(raw)
    assert [one["mcnemar"]["p_holm"] for one in result["pairs"]] == comparison.holm(
        [one["mcnemar"]["p"] for one in result["pairs"]]
    )


def test_thresholds_and_a_prevalence_reach_the_metrics():
    labels, made = models(a=2.0, b=1.0)
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
    labels, made = models(40, a=2.0, b=1.0)
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


def test_an_unclear_difference_is_called_so_beside_the_noise_of_seeds():
    labels, made = models(60, a=1.6, b=1.3)
    row = only(
        comparison.compare(labels, made, (1,), repeats={"auc": [0.90, 0.91, 0.92]})
    )
    assert row["p"] > 0.05
    assert (row["noise"], row["runs"]) == (pytest.approx(0.02**0.5 / 10), 3)
    better = ("a", "b") if row["difference"] > 0 else ("b", "a")
    assert row["verdict"] == (
        f"{better[0]} is better than {better[1]} by {abs(row['difference']):.3f} AUC "
        f"(95 % interval {row['low']:.3f} to {row['high']:.3f}): not distinguishable "
        "from chance; runs that differ in nothing but their seed differ by 0.014."
    )


@pytest.mark.parametrize(
    ("values", "ending"),
    [
        (
            None,
            "more than chance on these photographs; whether more than between two "
            "seeds of one recipe is not known.",
        ),
        (
            [0.9, 0.9, 0.9, 0.901],
            "more than chance on these photographs, and more than runs that differ in "
            "nothing but their seed (standard deviation 0.001 from 4 runs).",
        ),
        (
            [0.9, 0.93],  # two runs say little: 12.7 standard deviations are possible
            "more than chance on these photographs, but runs that differ in nothing "
            "but their seed can differ as much (standard deviation 0.030 from 2 runs).",
        ),
    ],
)
def test_a_clear_difference_is_held_against_the_noise_of_seeds(values, ending):
    labels, made = models(300, a=3.0, b=1.0)
    repeats = {"auc": values} if values else None
    row = only(comparison.compare(labels, made, (1,), repeats=repeats))
    assert row["p_holm"] < 0.001
    assert row["verdict"].endswith(ending)


def test_a_difference_that_many_comparisons_explain_is_called_so():
    row = comparison.Difference(
        0.9, 0.8, 0.1, low=0.01, high=0.19, p=0.03, p_holm=0.12, method="DeLong"
    )
    text = comparison._verdict("a", "b", "auc", row, 0.95)
    assert text.endswith("0.190): among so many comparisons, no more than chance.")


def test_equal_predictions_do_not_differ():
    labels, made = models(a=2.0)
    made["b"] = made["a"]
    result = comparison.compare(labels, made, (1,), compared=["auc", "accuracy"])
    for name, label in (("auc", "AUC"), ("accuracy", "accuracy")):
        row = only(result, name)
        assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)
        assert row["verdict"].startswith(f"a and b do not differ in {label} (95 %")


def test_an_absent_class_is_a_defined_result():
    _, made = models(a=2.0, b=1.0)
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
        ({"repeats": {"area": [1, 2]}}, "no metric 'area'"),
        ({"thresholds": {"c": 0.5}}, r"some of \['a', 'b'\]\. Received: \['c'\]"),
        ({"resamples": 10}, "at least 100"),
    ],
)
def test_settings_that_fit_nothing_are_refused(settings, message):
    labels, made = models(a=2.0, b=1.0)
    with pytest.raises(ValueError, match=message):
        comparison.compare(labels, made, (1,), **settings)


def test_one_model_is_no_comparison():
    labels, made = models(a=2.0)
    with pytest.raises(ValueError, match=r"at least two sets.*Received: \['a'\]"):
        comparison.compare(labels, made, (1,))
