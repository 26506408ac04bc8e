"""Bootstrap draws: what each keeps, and how often."""

import numpy as np
import pytest

from evaluation import resampling


def draw(labels, units, resamples=500, seed=0):
    return np.concatenate(
        list(resampling.weights(labels, units, resamples=resamples, seed=seed))
    )


@pytest.mark.parametrize("chunk", [1, 35, 10**6])
def test_every_resample_keeps_the_classes_and_draws_with_replacement(
    monkeypatch, chunk
):
    monkeypatch.setattr(resampling, "_CHUNK", chunk)
    labels = np.array([2, 0, 0, 2, 0, 0, 4, 4, 0, 0])
    drawn = draw(labels, np.arange(10))
    assert drawn.shape == (500, 10)
    for label, count in ((0, 6), (2, 2), (4, 2)):
        assert (drawn[:, labels == label].sum(axis=1) == count).all()
    # Expected share of distinct positions: 1 - (1 - 1 / m) ** m in a group of m.
    expected = sum(m * (1 - (1 - 1 / m) ** m) for m in (6, 2, 2))
    assert (drawn > 0).sum(axis=1).mean() == pytest.approx(expected, abs=0.2)


def test_counts_are_multinomial():
    drawn = draw(np.zeros(5, int), np.arange(5), resamples=20_000)
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(drawn.var(axis=0), 1 - 1 / 5, atol=0.04)
    np.testing.assert_allclose(np.cov(drawn.T)[0, 1:], -1 / 5, atol=0.04)


def test_patients_are_drawn_whole_and_within_their_worst_label():
    labels = np.array([3, 0, 0, 0, 3, 3, 0, 0])
    groups = ["a", "a", "b", None, "c", "c", "b", None]
    units = resampling.number_units(groups, 8)
    assert units.tolist() == [0, 0, 1, 2, 3, 3, 1, 4]
    drawn = draw(labels, units)
    for same in ((0, 1), (2, 6), (4, 5)):
        assert (drawn[:, same[0]] == drawn[:, same[1]]).all()
    # Worst label 3: patients a and c. Worst label 0: b and the two unknown ones.
    assert (drawn[:, [0, 4]].sum(axis=1) == 2).all()
    assert (drawn[:, [2, 3, 7]].sum(axis=1) == 3).all()
    assert (drawn[:, 3] != drawn[:, 7]).any()


def test_without_groups_each_photograph_is_a_unit():
    assert resampling.number_units(None, 3).tolist() == [0, 1, 2]
    assert resampling.number_units([None, None], 2).tolist() == [0, 1]


def test_each_photograph_needs_a_group():
    with pytest.raises(ValueError, match=r"each of the 3 photographs.*Received: 2 of"):
        resampling.number_units(["a", "b"], 3)


def test_the_seed_decides():
    labels = np.arange(20) % 2
    same, again, other = (draw(labels, np.arange(20), seed=s) for s in (1, 1, 2))
    assert (same == again).all()
    assert (same != other).any()
