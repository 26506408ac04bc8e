"""Uncertainty and referral by hand and against scipy."""

import json

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from evaluation import scoring, uncertainty


def test_entropy_is_scipys_and_zero_for_a_sure_prediction():
    rows = np.random.default_rng(0).dirichlet(np.ones(5), size=20)
    expected = scipy.stats.entropy(rows, axis=1)
    np.testing.assert_allclose(uncertainty.entropy(rows), expected)
    assert uncertainty.entropy(np.array([0.0, 1.0])) == 0
    assert uncertainty.entropy(np.full(5, 0.2)) == pytest.approx(np.log(5))


def test_the_margin_is_between_the_two_most_probable_classes():
    rows = np.array([[0.1, 0.6, 0.3], [0.4, 0.2, 0.4], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(uncertainty.margin(rows), [0.3, 0, 1])


def test_mutual_information_is_what_members_disagree_on():
    sure_of_others = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    guessing_alike = np.full((2, 1, 2), 0.5)
    assert uncertainty.mutual_information(sure_of_others) == pytest.approx(np.log(2))
    assert uncertainty.mutual_information(guessing_alike) == 0
    members = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 10))
    # The same by Kullback-Leibler divergences from the mean.
    expected = scipy.stats.entropy(members, members.mean(0), axis=-1).mean(0)
    np.testing.assert_allclose(uncertainty.mutual_information(members), expected)


def test_spread_is_the_standard_deviation_of_the_probability_of_disease():
    members = np.array([[[0.5, 0.2, 0.3]], [[0.7, 0.2, 0.1]], [[0.3, 0.3, 0.4]]])
    expected = [np.std([0.5, 0.3, 0.7], ddof=1)]
    np.testing.assert_allclose(uncertainty.spread(members, (1, 2)), expected)


def test_disagreement_is_both_by_name():
    members = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 6))
    found = uncertainty.disagreement(members, (2,))
    assert list(found) == ["spread", "mutual_information"]
    np.testing.assert_allclose(found["spread"], members[..., 2].std(axis=0, ddof=1))
    assert found["mutual_information"].shape == (6,)


@pytest.mark.parametrize("shape", [(1, 4, 2), (4, 2)])
def test_an_ensemble_has_at_least_two_members(shape):
    with pytest.raises(ValueError, match=r"at least two members\. Received: \("):
        uncertainty.mutual_information(np.full(shape, 0.5))


def scorer(n=200, seed=0):
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=n)
    disease = 1 / (1 + np.exp(-logits))
    labels = (generator.random(n) < disease).astype(int)
    return scoring.Scorer(labels, np.stack([1 - disease, disease], axis=1), (1,))


def test_the_curve_scores_what_is_left():
    one = scorer()
    unsure = -np.abs(one.disease_probability - 0.5)
    curve = uncertainty.referral_curve(one, unsure, "auc", most=0.6, steps=3)
    assert curve["referred"] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert curve["n"] == [200, 160, 120, 80]
    order = np.argsort(unsure)
    for n, value in zip(curve["n"], curve["value"], strict=True):
        kept = order[:n]
        expected = sklearn.metrics.roc_auc_score(
            one.labels[kept], one.disease_probability[kept]
        )
        assert value == pytest.approx(expected)
    gain = np.array(curve["value"]) - curve["value"][0]
    expected = (gain[0] / 2 + gain[1] + gain[2] + gain[3] / 2) / 3
    assert curve["gain"] == pytest.approx(expected)
    assert curve["gain"] > 0.02
    assert json.dumps(curve, allow_nan=False)


def test_a_meaningless_uncertainty_gains_nothing():
    one = scorer(5000)
    noise = np.random.default_rng(1).random(5000)
    curve = uncertainty.referral_curve(one, noise, "accuracy")
    assert abs(curve["gain"]) < 0.01


def test_the_earlier_of_equally_uncertain_photographs_stays():
    labels = np.array([0, 1, 1, 0])
    one = scoring.Scorer(labels, np.eye(2)[[0, 1, 0, 1]], (1,))
    curve = uncertainty.referral_curve(one, np.ones(4), "accuracy", steps=1)
    assert curve["value"] == [0.5, 1.0]


def test_where_a_class_runs_out_the_curve_stops():
    one = scoring.Scorer(np.array([0, 0, 1, 1]), np.eye(2)[[0, 0, 1, 1]], (1,))
    curve = uncertainty.referral_curve(one, np.arange(4), "auc", most=0.75, steps=3)
    assert curve["value"] == [1, 1, None, None]
    assert curve["gain"] == 0
    nothing = scoring.Scorer(np.zeros(3, int), np.eye(2)[[0, 0, 1]], (1,))
    curve = uncertainty.referral_curve(nothing, np.arange(3), "auc", steps=2)
    assert (curve["value"], curve["gain"]) == ([None] * 3, None)


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (np.ones(3), {}, r"each of the 200 photographs\. Received: shape \(3,\)"),
        (np.full(200, np.nan), {}, "must be a finite number"),
        (np.ones(200), {"name": "acc"}, r"no metric 'acc'\. Choose from \['accuracy"),
        (np.ones(200), {"most": 1.0}, "Received: most=1.0, steps=50"),
    ],
)
def test_what_does_not_fit_is_refused(values, settings, message):
    with pytest.raises(ValueError, match=message):
        uncertainty.referral_curve(scorer(), values, **({"name": "auc"} | settings))
