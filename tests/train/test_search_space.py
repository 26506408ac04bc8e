import re

import pytest

from configs import registry, statements, syntax  # noqa: F401
from train import search_space, tuning

TINY = "tests/train/tiny.gin"
TRIAL = ("prepare", "audit", "split", "train", "evaluate")


def space_of(text):
    (binding,) = syntax.parse([], [f"tune.space = {text}"])
    return search_space.parse(binding.value)


def test_a_grid_has_each_combination_once_the_last_fastest():
    parameters = space_of("{'a.x': [1e-2, 1e-3], 'b.y': ('categorical', 2, (8, 8))}")
    assert search_space.grid(parameters) == [
        {"a.x": "0.01", "b.y": "2"},
        {"a.x": "0.01", "b.y": "(8, 8)"},
        {"a.x": "0.001", "b.y": "2"},
        {"a.x": "0.001", "b.y": "(8, 8)"},
    ]


def test_a_choice_may_be_an_object():
    (one,) = space_of("{'train.loss': [@focal(), @other/focal()]}")
    assert one.texts == ("@focal()", "@other/focal()")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "must name at least one binding"),
        ("{'a.x': []}", "a.x must have at least one value, each once"),
        ("{'a.x': [1, 1]}", "a.x must have at least one value, each once"),
        ("{'a.x': 3}", "a.x must have a list of values, or one of ('float'"),
        ("{'a.x': ('flaot', 1, 2)}", "a.x must have a list of values"),
        ("{'a.x': ('float', 2, 1)}", "two numbers, the lower first, as in ('float'"),
        ("{'a.x': ('log_float', 0, 1)}", "the lower first, both above 0, as in"),
        ("{'a.x': ('int', 0.5, 1)}", "two whole numbers, the lower first, as in"),
        ("{'evaluate.splits': [1]}", "cannot vary evaluate.splits: a search only"),
        ("{'tune.trials': [1, 2]}", "cannot vary tune.trials"),
    ],
)
def test_a_wrong_space_says_what_is_expected(text, message):
    with pytest.raises(statements.ConfigError, match=re.escape(message)):
        space_of(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'Adam.learning_rat': [1e-3]}", "Did you mean 'learning_rate'?"),
        ("{'Adamm.learning_rate': [1e-3]}", "Did you mean 'Adam'?"),
        ("{'train.epochs': [10, 2.5]}", "train.epochs must be of type int"),
        ("{'focal.gamma': [2.0]}", "so focal.gamma would have no effect"),
        ("{'train.epochs': ('float', 1.0, 8.0)}", "train.epochs must be of type int"),
    ],
)
def test_a_binding_that_no_trial_could_take_is_refused(text, message):
    with pytest.raises(statements.ConfigError, match=re.escape(message)) as caught:
        search_space.check(space_of(text), TINY, TRIAL)
    assert str(caught.value).startswith("`tune.space`: ")


def test_a_good_space_passes():
    text = "{'Adam.learning_rate': ('log_float', 1e-5, 1e-2), 'train.epochs': [1, 2]}"
    search_space.check(space_of(text), TINY, TRIAL)


def test_the_locks_come_after_what_a_point_says():
    lines = search_space.lines({"train.epochs": "3"})
    assert lines[:2] == ["train.epochs = 3", "evaluate.splits = ('valid',)"]


def test_the_experiment_of_a_trial_knows_nothing_of_the_search():
    config = "import train.phases\ntune.space = {'a': [1]}\ntrain.epochs = 3\n"
    text = tuning.experiment_text(config)
    assert text == "import train.phases\ntrain.epochs = 3\n"
