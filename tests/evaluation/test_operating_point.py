"""Operating points by hand, against scikit-learn's curve and by simulation."""

import json

import gin
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from evaluation import operating_point

#                   h    h    d    h    d    h    d    d
SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9])
DISEASED = np.array([0, 0, 1, 0, 1, 0, 1, 1], bool)


def sample(n, seed=0, shift=1.5, decimals=10):
    generator = np.random.default_rng(seed)
    diseased = generator.random(n) < 0.4
    scores = 1 / (1 + np.exp(-generator.normal(size=n) - shift * diseased))
    return diseased, scores.round(decimals)


@pytest.mark.parametrize(
    ("rule", "threshold", "sensitivity", "specificity"),
    [
        (operating_point.Fixed(), 0.5, 0.75, 0.75),
        (operating_point.Fixed(threshold=0.85), 0.85, 0.25, 1.0),
        # Sums of 1.5 at 0.25, 0.45 and 0.7: the most sensitive of them.
        (operating_point.Youden(), 0.25, 1.0, 0.5),
        (operating_point.SensitivityAtLeast(value=0.75), 0.45, 0.75, 0.75),
        (operating_point.SensitivityAtLeast(value=0.76), 0.25, 1.0, 0.5),
        (operating_point.SpecificityAtLeast(value=0.75), 0.45, 0.75, 0.75),
        (operating_point.SpecificityAtLeast(value=0.99), 0.7, 0.5, 1.0),
    ],
)
def test_rules_by_hand(rule, threshold, sensitivity, specificity):
    point = rule(DISEASED, SCORES)
    assert point.threshold == pytest.approx(threshold)
    assert (point.sensitivity, point.specificity) == (sensitivity, specificity)
    assert (point.n_diseased, point.n_healthy) == (4, 4)


def test_of_equal_specificities_the_most_sensitive_is_taken():
    # Between 0.2 and 0.5 no healthy score: 0.35 keeps all, 0.45 fewer.
    scores = np.array([0.2, 0.2, 0.4, 0.5, 0.9])
    diseased = np.array([0, 0, 1, 1, 1], bool)
    point = operating_point.SensitivityAtLeast(value=0.6)(diseased, scores)
    assert (point.threshold, point.sensitivity) == (pytest.approx(0.3), 1.0)


def test_of_equal_sensitivities_the_most_specific_is_taken():
    scores = np.array([0.2, 0.4, 0.5, 0.9])
    diseased = np.array([0, 0, 0, 1], bool)
    point = operating_point.SpecificityAtLeast(value=0.3)(diseased, scores)
    assert (point.threshold, point.specificity) == (pytest.approx(0.7), 1.0)


@pytest.mark.parametrize("decimals", [1, 10])
@pytest.mark.parametrize("seed", range(4))
def test_rules_find_the_best_point_of_scikit_learns_curve(seed, decimals):
    diseased, scores = sample(90, seed, decimals=decimals)
    rises, hits, _ = sklearn.metrics.roc_curve(
        diseased, scores, drop_intermediate=False
    )
    point = operating_point.Youden()(diseased, scores)
    best = (hits - rises).max()
    assert point.sensitivity + point.specificity - 1 == pytest.approx(best)
    point = operating_point.SensitivityAtLeast(value=0.85)(diseased, scores)
    assert point.sensitivity >= 0.85
    assert point.specificity == pytest.approx(1 - rises[hits >= 0.85].min())
    point = operating_point.SpecificityAtLeast(value=0.85)(diseased, scores)
    assert point.specificity >= 0.85
    assert point.sensitivity == pytest.approx(hits[1 - rises >= 0.85].max())


@pytest.mark.parametrize("low", [0.3, np.nextafter(0.3, 1)])
def test_a_threshold_separates_adjacent_floats(low):
    high = np.nextafter(low, 1)
    diseased = np.array([False, True, False, True])
    point = operating_point.Youden()(diseased, np.array([low, high, low, high]))
    assert (point.sensitivity, point.specificity) == (1, 1)


def test_a_share_that_is_just_reached_counts():
    diseased = np.repeat([True, False], [30, 30])
    scores = np.concatenate([np.linspace(0.31, 0.9, 30), np.linspace(0.1, 0.37, 30)])
    point = operating_point.SensitivityAtLeast(value=0.9)(diseased, scores)
    assert point.sensitivity == 27 / 30


def test_a_fixed_threshold_needs_no_photographs_of_either_kind():
    point = operating_point.Fixed()(np.ones(3, bool), np.array([0.2, 0.5, 0.7]))
    assert (point.sensitivity, point.specificity) == (2 / 3, None)


def test_an_operating_point_survives_json():
    point = operating_point.Youden()(DISEASED, SCORES)
    content = json.loads(json.dumps(point.description()))
    assert operating_point.OperatingPoint(**content) == point


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            operating_point.SensitivityAtLeast(value=0.8),
            r"sensitivity at least 0\.8 calls any healthy .*Reached: 0\.500, at a spec",
        ),
        (
            operating_point.SpecificityAtLeast(value=0.8),
            r"specificity at least 0\.8 calls any diseased .*Reached: 0\.500, at a",
        ),
        (operating_point.Youden(), "do not rise with the disease"),
    ],
)
def test_what_cannot_be_reached_says_what_was(rule, message):
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    diseased = np.array([1, 0, 1, 0], bool) if "Youden" not in str(rule) else None
    if diseased is None:
        diseased = np.array([1, 1, 0, 0], bool)
    with pytest.raises(ValueError, match=message):
        rule(diseased, scores)


@pytest.mark.parametrize(
    "rule",
    [
        operating_point.Youden(),
        operating_point.SensitivityAtLeast(),
        operating_point.SpecificityAtLeast(),
    ],
)
def test_rules_that_search_need_both_kinds(rule):
    with pytest.raises(ValueError, match=r"with and without.*Received: 0 with, 3 with"):
        rule(np.zeros(3, bool), np.array([0.1, 0.2, 0.3]))


@pytest.mark.parametrize(
    ("diseased", "scores", "message"),
    [
        ([True, False], [0.5], r"same shape `\(n,\)`\. Received: \(2,\) and \(1,\)"),
        ([0, 2], [0.5, 0.5], r"Received: \[0, 2\]\. Say first which classes"),
        ([0, 1], [0.5, 7.0], r"from 0 to 1\. Received: 7 in row 1"),
        ([0, 1], [np.nan, 0.5], "from 0 to 1. Received: nan in row 0"),
    ],
)
def test_what_is_no_labels_or_probabilities_is_refused(diseased, scores, message):
    with pytest.raises(ValueError, match=message):
        operating_point.Fixed()(np.array(diseased), np.array(scores))


@pytest.mark.parametrize(
    ("value", "confidence", "needed"),
    [
        (0.9, 0.95, 29),
        (0.95, 0.95, 59),
        (0.8, 0.95, 14),
        (0.9, 0.99, 44),
        (0.5, 0.75, 2),
    ],
)
def test_how_many_diseased_photographs_an_assured_sensitivity_takes(
    value, confidence, needed
):
    rule = operating_point.SensitivityAssured(value=value, confidence=confidence)
    assert rule.needed() == needed
    assert value**needed <= 1 - confidence < value ** (needed - 1)
    scores = np.linspace(0.5, 0.9, needed)
    assert rule(np.ones(needed, bool), scores).threshold == 0.5
    with pytest.raises(ValueError, match=rf"at least {needed} diseased.*Label 1 more"):
        rule(np.ones(needed - 1, bool), scores[1:])


@pytest.mark.parametrize("prevalence", [0.05, 0.3, 0.72, 1.0])
def test_as_many_photographs_as_asked_for_hold_enough_diseased(prevalence):
    rule = operating_point.SensitivityAssured(value=0.9)
    count = rule.photographs(prevalence, chance=0.9)
    enough = [
        scipy.stats.binom.sf(rule.needed() - 1, n, prevalence)
        for n in (count - 1, count)
    ]
    assert enough[0] < 0.9 <= enough[1]


@pytest.mark.parametrize("prevalence", [0.0, 1.1])
def test_a_prevalence_is_a_share(prevalence):
    with pytest.raises(ValueError, match=r"`prevalence` must be above 0.*Received: "):
        operating_point.SensitivityAssured().photographs(prevalence)


@pytest.mark.parametrize("n", [30, 46, 47, 200, 1000])
def test_the_assured_threshold_is_clopper_and_pearsons(n):
    generator = np.random.default_rng(n)
    scores = generator.permutation(np.linspace(0.01, 0.99, n))
    point = operating_point.SensitivityAssured()(np.ones(n, bool), scores)

    def proven(hits):
        test = scipy.stats.binomtest(hits, n, alternative="greater")
        return test.proportion_ci(0.95, method="exact").low

    hits = int((scores >= point.threshold).sum())
    assert proven(hits) >= 0.9 > proven(hits - 1)


@pytest.mark.parametrize("n", [29, 60, 150])
def test_the_assurance_holds_as_often_as_it_says(n):
    generator = np.random.default_rng(0)
    rule = operating_point.SensitivityAssured(value=0.9, confidence=0.9)
    held = 0
    for _ in range(500):
        # Uniform scores: the true sensitivity of a threshold is 1 less it.
        point = rule(np.ones(n, bool), generator.random(n))
        held += point.threshold <= 0.1
    # 500 trials at 0.9 scatter by 0.013; a step function cannot hit 0.9 exactly.
    assert held / 500 >= 0.87


def test_a_sample_with_two_photographs_of_a_patient_is_refused():
    with pytest.raises(ValueError, match=r"Received: 3 of 2 patients\. Keep one"):
        operating_point.SensitivityAssured()(
            np.ones(4, bool), np.full(4, 0.5), groups=["a", "b", None, "a"]
        )


def test_rules_are_set_by_gin():
    gin.parse_config(
        """
        sensitivity_at_least.value = 0.8
        specificity_at_least.value = 0.7
        sensitivity_assured.confidence = 0.8
        fixed_threshold.threshold = 0.4
        """
    )
    assert gin.get_configurable("sensitivity_at_least")().value == 0.8
    assert gin.get_configurable("specificity_at_least")().value == 0.7
    assert gin.get_configurable("sensitivity_assured")().confidence == 0.8
    assert gin.get_configurable("fixed_threshold")().threshold == 0.4
    assert gin.get_configurable("youden")() == operating_point.Youden()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: operating_point.Fixed(threshold=2),
            r"`fixed_threshold.threshold`.*: 2",
        ),
        (lambda: operating_point.SensitivityAtLeast(value=90), "between 0 and 1.*: 90"),
        (
            lambda: operating_point.SpecificityAtLeast(value=1.0),
            "`specificity_at_least",
        ),
        (lambda: operating_point.SensitivityAssured(confidence=95), r"assured\.confid"),
    ],
)
def test_shares_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
