import numpy as np
import pytest
from scipy import stats

from tests.train import drawn_space
from train import averages, changes, outcomes

FOLDS = averages.Folds(3, of=5)

PARAMETERS = drawn_space.parameters(
    {"Adam.learning_rate": [0.1, 0.01], "train.seed": [0, 1, 2]}
)


def trial(number, *runs, rate="0.1", seed="0", state="done"):
    point = {"Adam.learning_rate": rate, "train.seed": seed}
    value = float(np.mean(runs)) if runs else None
    return outcomes.Outcome(number, state, point=point, value=value, runs=runs)


FIRST = trial(0, 0.80, 0.82, 0.84)
BETTER = trial(1, 0.85, 0.88, 0.88, rate="0.01")
SEEDS = [trial(2, 0.81, 0.82, 0.84, seed="1"), trial(3, 0.79, 0.82, 0.81, seed="2")]


def test_the_first_trial_and_not_the_best_is_compared():
    every = [FIRST, BETTER, *SEEDS]
    found = changes.against_first(every, "auc", dict.fromkeys(range(4)), FOLDS)
    assert [one.number for one in found] == [1, 2, 3]
    assert found[0].difference == pytest.approx(0.05)
    # Student's t of 0.05, 0.06 and 0.04, with the variance of three folds of five.
    half = stats.t.ppf(0.975, 2) * 0.01 * np.sqrt(1 / 3 + 1 / 4)
    assert (found[0].low, found[0].high) == pytest.approx((0.05 - half, 0.05 + half))
    names = changes.names(every, PARAMETERS)
    lines = changes.render(FIRST, found, names, "auc").splitlines()
    assert lines[0] == "What each change does to trial 0, whose AUC is 0.8200"
    assert lines[2].startswith("learning_rate = 0.01  1      +0.0500  +0.0")
    assert changes.say_noise(every, found, "auc") == (
        "Noise: another seed, which means nothing, changes AUC by 0.0033 and 0.0133."
    )


def test_without_another_seed_the_noise_is_not_said():
    found = changes.against_first([FIRST, BETTER], "auc", {}, FOLDS)
    assert changes.say_noise([FIRST, BETTER], found, "auc") == ""


def test_where_the_first_trial_failed_nothing_is_compared():
    failed = trial(0, state="failed")
    assert changes.against_first([failed, BETTER], "auc", {}, FOLDS) == []
    assert changes.why_not(failed) == (
        "What each change does is not known: trial 0, which all are compared with, is "
        "failed. Search in another --run_dir."
    )
