import pytest

from train import tuning

SPACE = {"train.epochs": [1, 2]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, r"`tune\.trials` must be at least 1\. Received: 0"),
        ({"workers": 0}, r"`tune\.workers` must be at least 1"),
        ({"seeds": (1, 1)}, r"`tune\.seeds` must list each number once"),
    ],
)
def test_a_wrong_setting_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tuning.Tuner(space=SPACE, **settings)


def test_the_objective_says_which_way_is_better():
    assert tuning.Tuner(space=SPACE).direction == "maximize"
    assert tuning.Tuner(space=SPACE, objective="brier").direction == "minimize"


def test_a_trial_has_a_run_for_each_fold_and_seed():
    tuner = tuning.Tuner(space=SPACE, folds=(0, 1), seeds=(7,))
    assert tuner.repeats == [
        {"split.fold": "0", "train.seed": "7"},
        {"split.fold": "1", "train.seed": "7"},
    ]
    assert tuning.Tuner(space=SPACE).repeats == [{}]
