import logging
import threading

import pytest

from input_pipeline import folder_lock


def test_the_folder_is_made_and_can_be_held_again_after_the_block(tmp_path):
    folder = tmp_path / "new" / "folder"
    for _ in range(2):
        with folder_lock.hold(folder, wait=False):
            assert folder.is_dir()


def test_a_second_holder_is_refused_with_a_way_out(tmp_path):
    with (
        folder_lock.hold(tmp_path, wait=True),
        pytest.raises(
            BlockingIOError, match=r"at work in .*\. Wait .* with --run_dir\."
        ),
        folder_lock.hold(tmp_path, wait=False),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    message = r"file/run must be a folder .*: Not a directory\. .*--run_dir"
    with (
        pytest.raises(OSError, match=message),
        folder_lock.hold(tmp_path / "file" / "run", wait=True),
    ):
        pass


def test_the_folder_is_free_after_an_error(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        folder_lock.hold(tmp_path, wait=False),
    ):
        raise ZeroDivisionError
    with folder_lock.hold(tmp_path, wait=False):
        pass


def test_a_second_holder_says_that_it_waits_and_comes_in_after_the_first(tmp_path):
    order = []
    waits = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record):
            if "Waiting for another process" in record.getMessage():
                waits.set()

    def second():
        with folder_lock.hold(tmp_path, wait=True):
            order.append("second")

    logger, listener = logging.getLogger("absl"), Listener()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(listener)
    thread = threading.Thread(target=second)
    try:
        with folder_lock.hold(tmp_path, wait=False):
            thread.start()
            assert waits.wait(timeout=60)
            order.append("first")
        thread.join(timeout=60)
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
    assert order == ["first", "second"]
