import pytest

from configs import statements, syntax


def deciding(*lines, entry_points=("train",), neutral=()):
    return statements.deciding(syntax.parse([], lines), entry_points, neutral)


def test_deciding_follows_references_and_macros_to_the_end():
    lines = (
        "train.model = @net",
        "train.parts = [(1, @a/part()), {'k': @other()}]",
        "net.width = %WIDTH",
        "a/part.x = 1",
        "other.y = 2",
        "WIDTH = %HALF",
        "HALF = 8",
        "evaluate.splits = ('test',)",
        "unused_net.width = 4",
        "UNUSED = 3",
    )
    assert deciding(*lines) == {
        "HALF": "8",
        "WIDTH": "%HALF",
        "a/part.x": "1",
        "net.width": "%WIDTH",
        "other.y": "2",
        "train.model": "@net",
        "train.parts": "[(1, @a/part()), {'k': @other()}]",
    }


def test_deciding_does_not_depend_on_the_order_of_bindings():
    lines = ["train.model = @net", "net.width = 8", "train.epochs = 3"]
    assert list(deciding(*lines)) == list(deciding(*reversed(lines)))


def test_deciding_leaves_out_what_is_neutral_in_any_scope():
    lines = ["train.keep = 3", "a/train.keep = 4", "train.epochs = 5"]
    assert deciding(*lines, neutral=("train.keep",)) == {"train.epochs": "5"}


def test_deciding_tells_a_macro_from_a_function_of_the_same_name():
    assert deciding("train.x = %net", "net = 1", "net.width = 8") == {
        "net": "1",
        "train.x": "%net",
    }


def test_deciding_ends_where_references_run_in_a_circle():
    lines = ["train.a = @one()", "one.b = @two()", "two.c = @one()"]
    assert len(deciding(*lines)) == 3


def test_deciding_leaves_out_scopes_that_only_others_enter():
    lines = [
        "train.parts = [@part(), @b/part()]",
        "evaluate.part = @c/part()",
        "part.x = 1",
        "b/part.x = 2",
        "c/part.x = 3",
        "part.inner = @inner()",
        "b/inner.y = 4",
        "c/inner.y = 5",
    ]
    found = deciding(*lines)
    assert found.keys() - {"train.parts"} == {
        "part.x",
        "part.inner",
        "b/part.x",
        "b/inner.y",
    }


def test_replace_keeps_containers_and_changes_leaves():
    value = {"a": (1, [2, {"b": 3}]), 4: ()}
    doubled = statements.replace(value, lambda one: one * 2)
    assert doubled == {"aa": (2, [4, {"bb": 6}]), 8: ()}
    assert list(statements.leaves(value)) == ["a", 1, 2, "b", 3, 4]


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("epoch", ["epochs", "seed"], " Did you mean 'epochs'?"),
        ("xyz", ["epochs", "seed"], ""),
        ("xyz", [], ""),
    ],
)
def test_did_you_mean_names_only_what_is_close(name, known, sentence):
    assert statements.did_you_mean(name, known) == sentence
