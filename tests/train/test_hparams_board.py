import datetime

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from tests.train import drawn_space
from train import hparams_board, outcomes

NOON = datetime.datetime(2026, 1, 2, 12)
VALUES = {"Adam.learning_rate": 0.1, "train.keep": "best", "train.require_gpu": True}


def ended(number, state="done", **more):
    end = NOON + datetime.timedelta(minutes=10)
    return outcomes.Outcome(number, state, values=VALUES, start=NOON, end=end, **more)


def read(folder):
    """What the dashboard reads: (the plugin's content by tag, all events)."""
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    return events.PluginTagToContent(metadata.PLUGIN_NAME), events


def test_a_trial_that_is_done_is_a_session_with_its_figures(tmp_path):
    figures = {
        "auc": {"value": 0.875, "low": 0.75, "high": 1.0},
        "ppv": {"value": 0.5, "low": None, "high": None, "reason": "all agree"},
        "npv": {"value": None, "reason": "undefined"},
    }
    hparams_board.write_trial(tmp_path, ended(7, figures=figures))
    content, events = read(tmp_path / "tensorboard" / "trial-007")
    start = metadata.parse_session_start_info_plugin_data(
        content[metadata.SESSION_START_INFO_TAG]
    )
    assert start.group_name == "trial 7"
    assert start.start_time_secs == NOON.timestamp()
    kinds = {name: one.WhichOneof("kind") for name, one in start.hparams.items()}
    assert kinds == {
        "Adam.learning_rate": "number_value",
        "train.keep": "string_value",
        "train.require_gpu": "bool_value",
    }
    assert start.hparams["Adam.learning_rate"].number_value == 0.1
    end = metadata.parse_session_end_info_plugin_data(
        content[metadata.SESSION_END_INFO_TAG]
    )
    assert end.status == api_pb2.STATUS_SUCCESS
    assert end.end_time_secs - start.start_time_secs == 600
    shown = {
        name: tf.make_ndarray(events.Tensors(name)[0].tensor_proto).item()
        for name in events.Tags()["tensors"]
        if not name.startswith("_hparams_")
    }
    assert shown == {"auc": 0.875, "auc (low)": 0.75, "auc (high)": 1.0, "ppv": 0.5}


@pytest.mark.parametrize("state", ["failed", "pruned"])
def test_a_trial_without_a_result_is_a_failure(tmp_path, state):
    hparams_board.write_trial(tmp_path, ended(0, state))
    content, events = read(tmp_path / "tensorboard" / "trial-000")
    end = metadata.parse_session_end_info_plugin_data(
        content[metadata.SESSION_END_INFO_TAG]
    )
    assert end.status == api_pb2.STATUS_FAILURE
    assert all(name.startswith("_hparams_") for name in events.Tags()["tensors"])


def test_a_session_is_written_once_and_of_ended_trials_alone(tmp_path):
    hparams_board.write_trial(tmp_path, outcomes.Outcome(0, "running", start=NOON))
    assert not (tmp_path / "tensorboard").exists()
    for _ in range(2):
        hparams_board.write_trial(tmp_path, ended(0))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert len(list(folder.iterdir())) == 1


def test_the_columns_are_known_and_of_one_type(tmp_path):
    space = {
        "Adam.learning_rate": ("log_float", 1e-5, 1e-2),
        "train.epochs": ("int", 1, 8),
        "training_stream.batch_size": [4, 2],
        "train.loss": ["a", None],
        "train.require_gpu": [True, False],
    }
    parameters = drawn_space.parameters(space)
    metrics = ["accuracy", "auc", "ppv"]
    hparams_board.write_experiment(tmp_path, parameters, metrics, "auc")
    content, _ = read(tmp_path / "tensorboard" / "experiment")
    found = metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG])
    columns = {one.name: one for one in found.hparam_infos}
    assert columns["Adam.learning_rate"].display_name == "learning_rate"
    interval = columns["Adam.learning_rate"].domain_interval
    assert (interval.min_value, interval.max_value) == (1e-5, 1e-2)
    assert columns["Adam.learning_rate"].type == api_pb2.DATA_TYPE_FLOAT64
    assert columns["train.epochs"].domain_interval.max_value == 8
    batch = columns["training_stream.batch_size"]
    assert list(batch.domain_discrete) == [2, 4]
    assert columns["train.loss"].type == api_pb2.DATA_TYPE_STRING
    assert columns["train.require_gpu"].type == api_pb2.DATA_TYPE_BOOL
    names = [one.name.tag for one in found.metric_infos]
    assert names == ["auc", "accuracy", "ppv", "auc (low)", "auc (high)"]
