import collections

import gin
import numpy as np
import pytest

from input_pipeline import samplers

EYEPACS = np.repeat(np.arange(5), [25810, 2443, 5292, 873, 708])
SMALL = np.array([0] * 10 + [1] * 4 + [4] * 3)


def rng(seed=0):
    return np.random.default_rng(seed)


def per_class(labels, order):
    return collections.Counter(labels[order].tolist())


@pytest.mark.parametrize(
    "sampler",
    [samplers.every_photograph_once, samplers.oversample, samplers.progressive],
)
def test_an_order_depends_on_labels_epoch_and_generator_alone(sampler):
    first, again = (sampler(SMALL, 3, rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert list(sampler(SMALL, 3, rng(8))) != list(first)
    # Not in the order of the classes, nor of the photographs.
    assert (np.diff(first) < 0).any()
    assert (np.diff(SMALL[first]) < 0).any()
    assert SMALL.tolist() == [0] * 10 + [1] * 4 + [4] * 3


def test_without_balance_each_photograph_comes_once():
    order = samplers.every_photograph_once(np.zeros(50, int), 0, rng())
    assert sorted(order) == list(range(50))
    assert list(order) != list(range(50))


def test_oversampling_balances_classes_and_takes_every_photograph():
    order = samplers.oversample(SMALL, 0, rng())
    assert per_class(SMALL, order) == {0: 10, 1: 10, 4: 10}
    times = np.bincount(order, minlength=len(SMALL))
    assert set(times[SMALL == 0]) == {1}
    assert sorted(times[SMALL == 1]) == [2, 2, 3, 3]
    assert sorted(times[SMALL == 4]) == [3, 3, 4]


def test_oversampling_gives_the_odd_turn_to_other_photographs_in_other_epochs():
    labels = np.array([0] * 5 + [1] * 4)
    most = {
        np.bincount(samplers.oversample(labels, epoch, rng(epoch))).argmax()
        for epoch in range(60)
    }
    assert most == {5, 6, 7, 8}


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        # 17 photographs, 3 classes: 5 2/3 each, so two of them get the sixth.
        (0, {0: 6, 1: 6, 4: 5}),
        # Half of 5 2/3 and half of 10, 4, 3 is 7 5/6, 4 5/6, 4 1/3: floors 7, 4, 4.
        (1, {0: 8, 1: 5, 4: 4}),
        # A quarter and three quarters: 8 11/12, 4 5/12, 3 2/3: floors 8, 4, 3.
        (2, {0: 9, 1: 4, 4: 4}),
        (60, {0: 10, 1: 4, 4: 3}),
    ],
)
def test_progressive_counts_are_those_worked_out_by_hand(epoch, expected):
    order = samplers.progressive(SMALL, epoch, rng(), decay=0.5)
    assert per_class(SMALL, order) == expected


def test_progressive_sampling_starts_with_equal_shares():
    order = samplers.progressive(EYEPACS, 0, rng())
    # 35,126 = 5 * 7,025 + 1.
    assert sorted(per_class(EYEPACS, order).values()) == [7025] * 4 + [7026]


def test_the_shares_of_epoch_40_are_still_36_percent_equal():
    # 0.975**40 = 0.36323 by logarithms: exp(40 * ln 0.975) = exp(-1.01271).
    counts = per_class(EYEPACS, samplers.progressive(EYEPACS, 40, rng()))
    assert counts[0] == pytest.approx(0.36323 * 7025.2 + 0.63677 * 25810, abs=1.5)
    assert counts[4] == pytest.approx(0.36323 * 7025.2 + 0.63677 * 708, abs=1.5)


def test_in_the_limit_progressive_sampling_takes_each_photograph_once():
    order = samplers.progressive(EYEPACS, 3000, rng())
    assert sorted(order) == list(range(len(EYEPACS)))


@pytest.mark.parametrize("epoch", [0, 7, 40, 200])
def test_progressive_epochs_are_equally_long_and_repeat_evenly(epoch):
    order = samplers.progressive(EYEPACS, epoch, rng(epoch))
    assert len(order) == len(EYEPACS)
    times = np.bincount(order, minlength=len(EYEPACS))
    for label in range(5):
        assert np.ptp(times[label == EYEPACS]) <= 1


def test_all_members_of_a_large_class_have_their_turn():
    labels = np.array([0] * 40 + [1] * 4 + [2] * 4)
    epochs = [samplers.progressive(labels, 0, rng(seed)) for seed in range(30)]
    assert all(len(set(order[labels[order] == 0])) == 16 for order in epochs)
    assert set(np.concatenate(epochs)) == set(range(48))


@pytest.mark.parametrize(("decay", "epoch_1"), [(0.0, [10, 4, 3]), (1.0, [6, 6, 5])])
def test_a_decay_of_0_ends_balancing_at_once_and_one_of_1_never(decay, epoch_1):
    start = per_class(SMALL, samplers.progressive(SMALL, 0, rng(), decay=decay))
    assert [start[one] for one in (0, 1, 4)] == [6, 6, 5]
    then = per_class(SMALL, samplers.progressive(SMALL, 1, rng(), decay=decay))
    assert [then[one] for one in (0, 1, 4)] == epoch_1


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_outside_0_to_1_is_an_error(decay):
    with pytest.raises(ValueError, match=r"`progressive\.decay` must be between 0 an"):
        samplers.progressive(SMALL, 0, rng(), decay=decay)


def test_gin_sets_the_decay_of_a_sampler_that_is_handed_over_uncalled():
    gin.parse_config("progressive.decay = 0.0")
    sampler = gin.get_configurable(samplers.progressive)
    assert per_class(SMALL, sampler(SMALL, 1, rng())) == {0: 10, 1: 4, 4: 3}


def test_samplers_that_balance_are_known_also_as_gin_hands_them_over():
    assert samplers.balances(samplers.oversample)
    assert samplers.balances(gin.get_configurable(samplers.progressive))
    assert not samplers.balances(samplers.every_photograph_once)
    assert not samplers.balances(gin.get_configurable(samplers.every_photograph_once))
    assert not samplers.balances(lambda labels, epoch, rng: labels)


@pytest.mark.parametrize(
    "sampler",
    [samplers.every_photograph_once, samplers.oversample, samplers.progressive],
)
def test_of_no_photographs_none_are_taken(sampler):
    assert sampler(np.empty(0, int), 0, rng()).tolist() == []
