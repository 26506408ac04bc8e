"""Subgroups against scoring each by hand."""

import numpy as np
import pytest
import scipy.stats

from evaluation import intervals, subgroups


def predictions(n=90):
    generator = np.random.default_rng(0)
    labels = np.arange(n) % 3 % 2
    disease = np.clip(0.5 * labels + 0.5 * generator.random(n), 0, 1)
    return labels, np.stack([1 - disease, disease], axis=1)


def test_each_subgroup_is_scored_by_itself_at_the_corrected_confidence():
    labels, probabilities = predictions()
    cameras = np.array(["b", "a", "c"] * 30)[np.random.default_rng(1).permutation(90)]
    result = subgroups.score_subgroups(
        labels, probabilities, (1,), cameras.tolist(), threshold=0.4, resamples=100
    )
    assert list(result) == ["a", "b", "c"]
    assert [one["n"] for one in result.values()] == [30, 30, 30]
    for name, one in result.items():
        assert one["confidence"] == pytest.approx(0.95 ** (1 / 3))
        chosen = cameras == name
        right = (probabilities[chosen, 1] >= 0.4) == labels[chosen]
        expected = scipy.stats.binomtest(int(right.sum()), 30).proportion_ci(
            0.95 ** (1 / 3), method="wilson"
        )
        entry = one["metrics"]["accuracy"]
        assert (entry["low"], entry["high"]) == pytest.approx(tuple(expected))


def test_patients_are_followed_into_the_subgroups():
    labels, probabilities = predictions(8)
    groups = ["p", "p", "q", "q", "r", "s", "t", "u"]
    result = subgroups.score_subgroups(
        labels, probabilities, (1,), ["x"] * 4 + ["y"] * 4, groups=groups, resamples=100
    )
    assert [one["patients"] for one in result.values()] == [2, 4]
    methods = [one["metrics"]["accuracy"]["method"] for one in result.values()]
    assert methods == ["Wilson, by patient", "Wilson"]


def test_one_subgroup_is_the_whole():
    labels, probabilities = predictions()
    result = subgroups.score_subgroups(labels, probabilities, (1,), ["all"] * 90)
    whole = intervals.score_with_intervals(labels, probabilities, (1,))
    assert result == {"all": whole}


def test_each_photograph_needs_a_subgroup():
    with pytest.raises(
        ValueError, match=r"each of the 90 photographs\. Received: 2 of"
    ):
        subgroups.score_subgroups(*predictions(), (1,), ["a", "b"])


def test_settings_are_checked_before_they_are_corrected():
    with pytest.raises(ValueError, match=r"Received: confidence=95\."):
        subgroups.score_subgroups(*predictions(), (1,), ["a"] * 90, confidence=95)
