import re

import pytest

from configs import registry, statements, syntax  # noqa: F401
from train import search_space, tuning

TINY = "tests/train/tiny.gin"
TRIAL = ("prepare", "audit", "split", "ensemble", "train", "evaluate")


def space_of(text):
    (binding,) = syntax.parse([], [f"tune.space = {text}"])
    return search_space.parse(binding.value)


def check(text):
    return search_space.check(space_of(text), TINY, TRIAL, tuning._build)


def test_a_grid_has_each_combination_once_the_last_fastest():
    parameters = space_of(
        "{'Adam.learning_rate': [1e-2, 1e-3], 'idrid.name': ('categorical', 2, (8, 8))}"
    )
    assert search_space.grid(parameters) == [
        {"Adam.learning_rate": "0.01", "idrid.name": "2"},
        {"Adam.learning_rate": "0.01", "idrid.name": "(8, 8)"},
        {"Adam.learning_rate": "0.001", "idrid.name": "2"},
        {"Adam.learning_rate": "0.001", "idrid.name": "(8, 8)"},
    ]


def test_one_choice_at_a_time_differs_from_the_first_ones():
    parameters = space_of("{'train.seed': [1, 2, 3], 'train.epochs': [9, 4]}")
    points = search_space.one_at_a_time(parameters)
    assert [tuple(one.values()) for one in points] == [
        ("1", "9"),
        ("2", "9"),
        ("3", "9"),
        ("1", "4"),
    ]


def test_a_choice_may_be_an_object_and_a_binding_a_macro():
    loss, rate = space_of("{'train.loss': [@focal(), @other/focal()], 'RATE': [1, 2]}")
    assert loss.texts == ("@focal()", "@other/focal()")
    assert rate.key == "RATE"


def test_the_ends_of_a_float_range_are_floats():
    (one,) = space_of("{'training_stream.batch_size': ('float', 2, 4)}")
    assert one.texts == ("2.0", "4.0")
    with pytest.raises(statements.ConfigError, match="batch_size must be of type int"):
        check("{'training_stream.batch_size': ('float', 2, 4)}")


@pytest.mark.parametrize("key", ["", "import os", "a.b = 1\\nc.d"])
def test_what_is_no_binding_is_refused(key):
    with pytest.raises(statements.ConfigError, match=r"`tune\.space`|Expected: name\."):
        space_of(f"{{'{key}': [1]}}")


def test_a_binding_has_one_spelling():
    (one,) = space_of("{'other/keras.optimizers.Adam.learning_rate': [0.1]}")
    assert one.key == "other/Adam.learning_rate"
    text = "{'Adam.learning_rate': [0.1], 'optimizers.Adam.learning_rate': [0.2]}"
    with pytest.raises(statements.ConfigError, match="must name each binding once"):
        space_of(text)


@pytest.mark.parametrize(
    ("choices", "shown"),
    [
        ("[2, 4]", [2, 4]),
        ("[0, 0.5]", [0.0, 0.5]),
        ("[True, False]", [True, False]),
        ("['best', 'last']", ["best", "last"]),
        ("[None, 0.5]", ["None", "0.5"]),
        ("[@focal(), @other/focal()]", ["@focal()", "@other/focal()"]),
    ],
)
def test_choices_are_shown_as_values_of_one_type(choices, shown):
    (one,) = space_of(f"{{'train.keep': {choices}}}")
    found = [one.shown(text) for text in one.texts]
    assert found == shown
    assert [type(value) for value in found] == [type(value) for value in shown]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "must name at least one binding"),
        ("{'train.seed': []}", "train.seed must have at least one value. Rec"),
        ("{'train.seed': [1, 1]}", "train.seed must have each value once"),
        ("{'train.seed': 3}", "train.seed must have a list of values, or one of"),
        ("{'train.seed': ('flaot', 1, 2)}", "train.seed must have a list of values"),
        ("{'train.seed': ('float', 2, 1)}", "two numbers, the lower first, as in ("),
        ("{'train.seed': ('log_float', 0, 1)}", "first, both above 0, as in ('log_f"),
        ("{'train.seed': ('int', 0.5, 1)}", "two whole numbers, the lower first, as"),
        ("{3: [1]}", "a binding is named by a text. Received: 3"),
        ("{'evaluate.splits': [1]}", "cannot vary evaluate.splits: trials are eval"),
        ("{'evaluation.evaluate.evaluate.on': [()]}", "cannot vary evaluate.on: "),
        ("{'tune.trials': [1, 2]}", "cannot vary tune.trials"),
        ("{'Adamm.learning_rate': [1e-3]}", "Did you mean 'Adam'?"),
    ],
)
def test_a_wrong_space_says_what_is_expected(text, message):
    with pytest.raises(statements.ConfigError, match=re.escape(message)):
        space_of(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'Adam.learning_rat': [1e-3]}", "Did you mean 'learning_rate'?"),
        ("{'train.epochs': [10, 2.5]}", "train.epochs must be of type int"),
        ("{'focal.gamma': [2.0]}", "so focal.gamma would have no effect"),
        ("{'train.epochs': ('float', 1.0, 8.0)}", "train.epochs must be of type int"),
        (
            "{'training_stream.batch_size': [4, 0]}",
            "training_stream.batch_size = 0: `training_stream.batch_size` must be at "
            "least 1. Received: 0.",
        ),
        ("{'split.fold': [0, 1]}", "cannot vary split.fold: all trials are judged by"),
        ("{'split.seed': ('int', 0, 1)}", "cannot vary split.seed: all trials are"),
        ("{'train.task': [@referable(), @any_dr()]}", "cannot vary train.task: all"),
        ("{'idrid.name': ['a', 'b']}", "cannot vary idrid.name: all trials are jud"),
        ("{'ensemble.every_fold': [True, False]}", "cannot vary ensemble.every_fold"),
    ],
)
def test_a_space_that_no_search_could_take_is_refused(text, message):
    with pytest.raises(statements.ConfigError, match=re.escape(message)) as caught:
        check(text)
    assert str(caught.value).startswith("`tune.space`")
    assert "In call to configurable" not in str(caught.value)


def test_a_good_space_passes():
    judge = check(
        "{'Adam.learning_rate': ('log_float', 1e-5, 1e-2), 'train.epochs': [1, 2]}"
    )
    assert judge.task["name"] == "referable"


def test_the_locks_come_after_what_a_point_says():
    lines = search_space.lines({"train.epochs": "3"})
    assert lines[:2] == ["train.epochs = 3", "evaluate.splits = ('valid',)"]
