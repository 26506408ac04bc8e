import errno
import logging as python_logging
import os

import keras
import pytest
from absl import logging

from train import terminal


@pytest.fixture
def handler():
    """absl's handler as `show_own_messages` leaves it, until the test ends."""
    one = logging.get_absl_handler()
    formatter, filters = one.python_handler.formatter, list(one.filters)
    yield one
    one.setFormatter(formatter)
    one.filters[:] = filters


def record(path, level, message="%d shards", *arguments):
    return python_logging.LogRecord("absl", level, path, 1, message, arguments, None)


OURS, THEIRS = (
    "/home/me/retinograd/input_pipeline/prepare.py",
    ("/home/me/retinograd/.venv/lib/python3.11/site-packages/tensorflow/saver.py"),
)


@pytest.mark.parametrize(
    ("path", "level", "shown"),
    [
        (OURS, python_logging.INFO, True),
        (OURS, python_logging.WARNING, True),
        (THEIRS, python_logging.INFO, False),
        (THEIRS, python_logging.WARNING, False),
        (THEIRS, python_logging.ERROR, True),
    ],
)
def test_of_libraries_only_errors_are_shown(handler, path, level, shown):
    terminal.show_own_messages()
    assert bool(handler.filter(record(path, level, "text"))) is shown


def test_messages_are_plain_and_warnings_say_that_they_are(handler):
    terminal.show_own_messages()
    assert handler.format(record(OURS, python_logging.INFO, "%d left", 3)) == "3 left"
    warning = record(OURS, python_logging.WARNING, "%d left", 3)
    assert handler.format(warning) == "warning: 3 left"


def test_with_verbosity_1_all_is_shown_with_its_source(handler):
    before = logging.get_verbosity()
    logging.set_verbosity(logging.DEBUG)
    try:
        terminal.show_own_messages()
    finally:
        logging.set_verbosity(before)
    assert handler.filter(record(THEIRS, python_logging.INFO, "text"))


def test_noise_of_an_import_is_kept_back(capfd):
    with terminal.quiet_import():
        os.write(2, b"failed call to cuInit\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_noise_of_an_import_that_fails_is_shown(capfd):
    with pytest.raises(ImportError, match="no TensorFlow"), terminal.quiet_import():
        os.write(2, b"the reason\n")
        raise ImportError("no TensorFlow")
    assert capfd.readouterr().err == "the reason\n"


def test_the_backend_is_tensorflow_whatever_was_set(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with terminal.quiet_import():
        assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_an_error_of_the_system_is_described_by_cause_and_file():
    error = OSError(errno.ENOSPC, "No space left on device", "runs/x")
    assert terminal.describe(error) == "No space left on device: runs/x."
    assert terminal.describe(OSError("Make room.")) == "Make room."
    assert terminal.describe(OSError(errno.EIO, "I/O error")) == "I/O error."
    assert terminal.describe(ValueError("wrong")) == "wrong"


def raised(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A user's function in the current folder that does as its second line says."""
    monkeypatch.chdir(tmp_path)

    def make(line):
        file, scope = tmp_path / "net.py", {}
        file.write_text(f"def net(f):\n    {line}\n")
        exec(compile(file.read_text(), str(file), "exec"), scope)
        return scope["net"]

    return make


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("return x", "NameError: name 'x' is not defined"),
        ("raise NotImplementedError", "NotImplementedError"),
        ("return int('x')", "invalid literal for int() with base 10: 'x'"),
    ],
)
def test_an_error_in_a_users_function_is_told_with_their_lines_alone(net, line, text):
    error = raised(net(line), None)
    assert terminal.is_told(error)
    assert terminal.describe(error) == (
        f"{text}\n  net.py, line 2, in net: {line}\n"
        "--verbosity=1 shows where this comes from."
    )


def test_what_we_say_of_what_a_user_hands_over_is_enough(net):
    def ours(rate=0):
        raise ValueError("`rate` must be above 0.")

    assert terminal.describe(raised(net("return f()"), ours)) == (
        "`rate` must be above 0."
    )


def test_a_slip_of_ours_is_not_told_as_if_it_were_the_users():
    assert not terminal.is_told(raised(lambda: 1 / 0))
    assert not terminal.is_told(NotImplementedError("wrong"))
    assert terminal.is_told(ValueError("wrong"))


def test_an_error_from_within_a_library_says_how_to_see_more():
    with pytest.raises(ValueError, match="momentum") as caught:
        keras.optimizers.SGD(momentum=5)
    assert terminal.describe(caught.value) == (
        f"{caught.value}\n--verbosity=1 shows where this comes from."
    )
