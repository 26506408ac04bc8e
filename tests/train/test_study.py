import pathlib
import threading
import time

import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")

from tensorboard.backend.event_processing import event_accumulator  # noqa: E402
from tensorboard.plugins.hparams import metadata  # noqa: E402

from configs import syntax  # noqa: E402
from train import search_space, study, trial, tuning  # noqa: E402

SPACE = {"a.rate": [0.1, 0.01], "a.size": [2, 4]}


@pytest.fixture
def calls(monkeypatch):
    """Replaces the processes of trials: what was run, in order."""
    made = []

    def run(command, run_dir, point, log, watch):
        watch()
        made.append((run_dir.name, dict(point)))
        if point["a.rate"] == "0.01" and point["a.size"] == "2":
            raise trial.TrialError("The loss is not finite.")
        value = float(point["a.rate"]) + int(point["a.size"])
        return {"auc": {"value": value, "low": value - 0.2, "high": value + 0.2}}

    monkeypatch.setattr(trial, "run", run)
    monkeypatch.setattr(trial.Command, "call", lambda *arguments: None)
    return made


def search(folder, config="train.epochs = 1\n", **settings) -> study.Search:
    tuner = tuning.Tuner(space=SPACE, **settings)
    parameters = search_space.parse(SPACE)
    return study.Search(tuner, parameters, config, {}, pathlib.Path("prepared"), folder)


def test_a_grid_is_searched_once_and_a_failure_keeps_its_reason(tmp_path, calls):
    table = search(tmp_path / "s").run()
    assert [name for name, _ in calls] == ["0", "1", "2", "3"]
    lines = table.splitlines()
    assert lines[0].split() == [
        "trial",
        "rate",
        "size",
        "auc",
        "95",
        "%",
        "interval",
        "state",
    ]
    assert lines[1].split() == ["1", "0.1", "4", "4.1000", "3.9000-4.3000", "done"]
    assert lines[4].split() == ["2", "0.01", "2", "-", "-", "failed"]
    assert "Trial 2 failed: The loss is not finite." in table
    assert "and trial 3 lies in it." in table
    best = (tmp_path / "s" / "best.gin").read_text()
    assert best.startswith("# Trial 1 of s: auc 4.1000 on the validation photographs.")
    assert best.endswith("\ninclude 'experiment.gin'\n\na.rate = 0.1\na.size = 4\n")

    calls.clear()
    assert search(tmp_path / "s").run() == table
    assert calls == []


def test_several_workers_run_each_trial_once(tmp_path, calls):
    searches = [search(tmp_path / "s", workers=2) for _ in range(2)]
    threads = [threading.Thread(target=one.run) for one in searches]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(name for name, _ in calls) == ["0", "1", "2", "3"]


def test_what_a_dead_worker_left_is_run_once_more_in_its_folder(
    tmp_path, calls, monkeypatch
):
    monkeypatch.setattr(study, "GRACE_SECONDS", 1)
    dead = search(tmp_path / "s")
    dead._open()
    claimed = dead._claim()
    assert claimed.user_attrs["point"] == 0
    time.sleep(2.1)  # The database counts whole seconds.
    search(tmp_path / "s").run()
    assert sorted(name for name, _ in calls) == ["0", "1", "2", "3"]


def test_another_config_is_refused(tmp_path, calls):
    search(tmp_path / "s").run()
    with pytest.raises(ValueError, match=r"train\.epochs = 1 there\n.*= 2 here\nName"):
        search(tmp_path / "s", config="train.epochs = 2\n").run()


def test_the_winners_file_overrides_the_experiment(tmp_path, calls):
    search(tmp_path / "s", config="a.rate = 9\ntrain.epochs = 1\n").run()
    parsed = syntax.parse([str(tmp_path / "s" / "best.gin")], [])
    assert {one.key: one.value for one in parsed} == {
        "a.rate": 0.1,
        "a.size": 4,
        "train.epochs": 1,
    }


def test_a_sampler_chooses_as_many_points_as_asked(tmp_path, calls, monkeypatch):
    space = {"a.rate": ("log_float", 1e-3, 1e-1), "a.size": [2, 4]}
    monkeypatch.setitem(SPACE, "a.rate", space["a.rate"])
    search(tmp_path / "s", trials=3).run()
    assert [name for name, _ in calls] == ["0", "1", "2"]
    rates = [float(point["a.rate"]) for _, point in calls]
    assert len(set(rates)) == 3
    assert all(1e-3 <= rate <= 1e-1 for rate in rates)
    calls.clear()
    search(tmp_path / "s", trials=4).run()
    assert [name for name, _ in calls] == ["3"]


def test_the_dashboard_has_a_session_for_each_trial(tmp_path, calls):
    search(tmp_path / "s").run()
    board = tmp_path / "s" / "tensorboard"
    status = {}
    for folder in sorted(board.glob("trial-*")):
        events = event_accumulator.EventAccumulator(str(folder)).Reload()
        content = events.PluginTagToContent(metadata.PLUGIN_NAME)
        start = metadata.parse_session_start_info_plugin_data(
            content[metadata.SESSION_START_INFO_TAG]
        )
        end = metadata.parse_session_end_info_plugin_data(
            content[metadata.SESSION_END_INFO_TAG]
        )
        assert isinstance(start.hparams["a.rate"].number_value, float)
        assert start.hparams["a.rate"].WhichOneof("kind") == "number_value"
        status[folder.name] = end.status
    assert status == {"trial-000": 1, "trial-001": 1, "trial-002": 2, "trial-003": 1}
