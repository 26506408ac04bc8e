import os

import pytest

from tests.train import tf_configs
from train import terminal, tf_config


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, ([], 0)),
        ("", ([], 0)),
        (" \n", ([], 0)),
        (
            tf_configs.of({"worker": ["[::1]:1", "[::1]:2"]}),
            (["[::1]:1", "[::1]:2"], 0),
        ),
        ({"task": {}}, ([], 0)),
        (tf_configs.of(tf_configs.TWO, index=1), (["a:1", "b:2"], 1)),
        (tf_configs.of(tf_configs.TWO, index="1"), (["a:1", "b:2"], 1)),
        (
            tf_configs.of({"chief": ["c:3"], **tf_configs.TWO}, "chief"),
            (["c:3", "a:1", "b:2"], 0),
        ),
        (
            tf_configs.of({**tf_configs.TWO, "chief": ["c:3"]}, index=0),
            (["c:3", "a:1", "b:2"], 1),
        ),
    ],
)
def test_tf_config_tells_the_workers_with_the_chief_first(
    monkeypatch, content, expected
):
    tf_configs.named(monkeypatch, content)
    assert tf_config.workers() == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("worker", r"`TF_CONFIG` must be like .*host-b:12345.* Received: worker\."),
        ("[1]", "must be like"),
        (tf_configs.of(tf_configs.TWO, index=2), "The task must be one of the cluster"),
        (
            tf_configs.of(tf_configs.TWO, index="one"),
            "The task must be one of the cluster",
        ),
        (
            tf_configs.of(tf_configs.TWO, index=-1),
            "The task must be one of the cluster",
        ),
        (tf_configs.of({"worker": "a:1"}), "needs an address, host:port, in a list"),
        (
            tf_configs.of({"worker": ["a", "b"]}),
            "needs an address, host:port, in a list",
        ),
        (tf_configs.of(tf_configs.TWO, "chief"), "The task must be one of the cluster"),
        ({"cluster": tf_configs.TWO}, "The task must be one of the cluster"),
        (tf_configs.of({**tf_configs.TWO, "ps": ["c:3"]}), "Only workers train here"),
        (
            tf_configs.of({"worker": ["a:1", "a:1"]}),
            "Each worker needs an address of its own",
        ),
    ],
)
def test_a_tf_config_that_is_wrong_is_refused(monkeypatch, content, message):
    tf_configs.named(monkeypatch, content)
    with pytest.raises(ValueError, match=message):
        tf_config.workers()


def test_without_tf_config_there_is_one_process(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert tf_config.workers() == ([], 0)


@pytest.mark.parametrize("mode", ["evaluate", "prepare", "verify", "tune"])
def test_what_workers_do_not_share_is_refused(monkeypatch, mode):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO, index=1))
    message = (
        rf"--mode={mode} is for one process, and TF_CONFIG names 2 workers: each would "
        r"do all of it.* Only run and train share.* Unset TF_CONFIG"
    )
    with pytest.raises(ValueError, match=message):
        tf_config.check_mode(mode)


def test_a_search_is_shared_by_its_database(monkeypatch):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    with pytest.raises(ValueError, match=r"share a search by its .*`tune\.storage`\."):
        tf_config.check_mode("tune")


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (tf_configs.of(tf_configs.TWO), "train"),
        (tf_configs.of(tf_configs.TWO), "run"),
        (tf_configs.of({"worker": ["a:1"]}), "evaluate"),
        ("", "evaluate"),
    ],
)
def test_what_workers_share_or_one_does_alone_is_allowed(monkeypatch, content, mode):
    tf_configs.named(monkeypatch, content)
    tf_config.check_mode(mode)


@pytest.mark.parametrize(
    ("content", "level"),
    [
        (tf_configs.of(tf_configs.TWO), "3"),
        (tf_configs.of({"worker": ["a:1"]}), "2"),
        ("{}", "2"),
    ],
)
def test_only_of_several_workers_tensorflows_errors_are_kept_back(
    monkeypatch, content, level
):
    tf_configs.named(monkeypatch, content)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with terminal.quiet_import():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == level


def test_an_empty_tf_config_is_none_for_tensorflow_too(monkeypatch):
    tf_configs.named(monkeypatch, "")
    with terminal.quiet_import():
        assert "TF_CONFIG" not in os.environ
