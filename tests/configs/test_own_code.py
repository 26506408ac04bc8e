import importlib
import json

import numpy as np
import pytest

from configs import own_code


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Calls a function of a user's module in the current folder; gives its error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(body, *arguments):
        text = f"def inner(f):\n    {body}\n\ndef outer(f):\n    return inner(f)\n"
        (tmp_path / "theirs.py").write_text(text)
        importlib.invalidate_caches()
        try:
            importlib.import_module("theirs").outer(*arguments)
        except Exception as error:
            return error

    yield call
    importlib.sys.modules.pop("theirs", None)


@pytest.mark.parametrize(
    "function",
    [
        lambda: 1 / 0,  # Of ours, as tests are.
        lambda: np.zeros(2).reshape(3),
        lambda: json.loads("{"),
        lambda: importlib.import_module("not_there"),
    ],
)
def test_of_a_traceback_the_frames_of_the_user_are_theirs(theirs, function):
    frames = own_code.frames(theirs("return f()", function))
    assert [own_code.place(one) for one in frames] == [
        "theirs.py, line 5",
        "theirs.py, line 2",
    ]
    with pytest.raises(Exception) as caught:
        function()
    assert own_code.frames(caught.value) == []


def test_an_error_is_named_by_its_kind(theirs):
    assert own_code.in_words(theirs("return x", None)) == (
        "NameError: name 'x' is not defined"
    )
    assert own_code.in_words(AssertionError()) == "AssertionError"
