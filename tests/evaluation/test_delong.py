"""DeLong's covariance against its definition over all pairs."""

import numpy as np
import pytest
import scipy.stats

from evaluation import delong, metrics


def by_definition(diseased, scores):
    """Equations 3 to 5 of DeLong et al. (1988), over every pair."""
    placements = []
    for one in scores:
        ill, well = one[diseased], one[~diseased]
        wins = (ill[:, None] > well) + 0.5 * (ill[:, None] == well)
        placements.append((wins.mean(axis=1), wins.mean(axis=0)))
    areas = np.array([p[0].mean() for p in placements])
    m, n = diseased.sum(), (~diseased).sum()
    covariance = np.empty((len(scores), len(scores)))
    for i, j in np.ndindex(covariance.shape):
        (a, b), (c, d) = placements[i], placements[j]
        s10 = ((a - areas[i]) * (c - areas[j])).sum() / (m - 1)
        s01 = ((b - areas[i]) * (d - areas[j])).sum() / (n - 1)
        covariance[i, j] = s10 / m + s01 / n
    return areas, covariance


@pytest.mark.parametrize("decimals", [1, 10])
@pytest.mark.parametrize("models", [1, 3])
def test_ranks_give_what_all_pairs_give(models, decimals):
    generator = np.random.default_rng(0)
    diseased = generator.random(70) < 0.3
    scores = generator.normal(size=(models, 70)) + diseased
    scores = scores.round(decimals)
    areas, covariance = delong.covariance(diseased, scores)
    expected_areas, expected = by_definition(diseased, scores)
    np.testing.assert_allclose(areas, expected_areas)
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-15)


def test_the_interval_holds_the_true_area_as_often_as_it_says():
    generator = np.random.default_rng(0)
    truth, diseased, held = 0.93, np.arange(100) < 35, 0
    shift = np.sqrt(2) * scipy.stats.norm.ppf(truth)
    for _ in range(1000):
        scores = generator.normal(size=100) + shift * diseased
        areas, covariance = delong.covariance(diseased, scores[None])
        low, high = delong.interval(areas[0], covariance[0, 0], 0.95)
        held += low <= truth <= high
    # 1000 trials at 0.95 scatter by 0.007.
    assert 0.925 <= held / 1000 <= 0.975


def test_a_faultless_ranking_has_no_interval():
    diseased = np.array([False, False, True, True])
    areas, covariance = delong.covariance(diseased, np.array([[0.1, 0.2, 0.8, 0.9]]))
    assert areas[0] == 1
    assert delong.interval(areas[0], covariance[0, 0], 0.95) is None


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([0, 0, 1], "only one photograph with the disease"),
        ([0, 1, 1], "only one photograph without the disease"),
        ([0, 0, 0], "no photograph with the disease"),
    ],
)
def test_too_few_photographs_are_named(labels, reason):
    with pytest.raises(metrics.UndefinedMetricError, match=reason):
        delong.covariance(np.array(labels, bool), np.zeros((1, 3)))


def test_copies_of_a_patients_photograph_add_nothing():
    generator = np.random.default_rng(0)
    diseased = np.arange(40) < 15
    scores = generator.normal(size=(2, 40)) + diseased
    areas, expected = delong.covariance(diseased, scores)
    units = np.arange(40).repeat(3)
    got = delong.covariance(diseased[units], scores[:, units], units)
    np.testing.assert_allclose(got[0], areas)
    np.testing.assert_allclose(got[1], expected, rtol=1e-10)


def test_patients_by_obuchowskis_definition():
    """Equations 5 to 8 of Obuchowski (1997), patient by patient, over every pair."""
    generator = np.random.default_rng(1)
    units = np.sort(generator.integers(25, size=70))
    diseased = generator.random(70) < 0.4
    scores = generator.normal(size=70).round(1) + diseased
    ill, well = scores[diseased], scores[~diseased]
    wins = (ill[:, None] > well) + 0.5 * (ill[:, None] == well)
    area, (m, n) = wins.mean(), wins.shape
    patients = np.unique(units)
    of_ill = [(wins.mean(1) - area)[units[diseased] == one].sum() for one in patients]
    of_well = [(wins.mean(0) - area)[units[~diseased] == one].sum() for one in patients]
    with_ill = len(np.unique(units[diseased]))
    with_well = len(np.unique(units[~diseased]))
    total = len(patients)
    expected = with_ill / (with_ill - 1) * np.square(of_ill).sum() / m**2
    expected += with_well / (with_well - 1) * np.square(of_well).sum() / n**2
    expected += 2 * total / (total - 1) * np.dot(of_ill, of_well) / (m * n)
    areas, covariance = delong.covariance(diseased, scores[None], units)
    assert areas[0] == pytest.approx(area)
    assert covariance[0, 0] == pytest.approx(expected)
    assert with_ill + with_well > total  # Some patients have both kinds.


def test_one_patient_with_the_disease_is_named():
    labels, units = np.array([1, 1, 0, 0], bool), np.array([0, 0, 1, 2])
    with pytest.raises(metrics.UndefinedMetricError, match="only one patient with the"):
        delong.covariance(labels, np.zeros((1, 4)), units)


@pytest.mark.parametrize(("ill", "well"), [(5, 5), (12.5, 40), (300, 20)])
def test_a_faultless_area_solves_newcombes_equation(ill, well):
    low, high = delong.faultless_interval(1.0, ill, well, 0.95)
    more = (ill + well) / 2 - 1
    spread = 1 + more * (1 - low) / (2 - low) + more * low / (1 + low)
    variance = low * (1 - low) * spread / (ill * well)
    assert high == 1 and (1 - low) ** 2 == pytest.approx(1.959964**2 * variance)
    mirrored = delong.faultless_interval(0.0, ill, well, 0.95)
    assert mirrored == pytest.approx((0, 1 - low))


def test_equal_scores_have_no_interval_even_if_rounding_leaves_a_variance():
    assert delong.interval(0.5, 1e-17, 0.95) is None
