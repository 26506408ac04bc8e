import csv
import pathlib
import threading

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed")

from configs import syntax
from evaluation import paired_tests
from tests.train import drawn_search
from train import search as searches
from train import study, trial


@pytest.fixture
def runs(monkeypatch):
    return drawn_search.fake_runs(monkeypatch)


def test_a_grid_is_searched_once_and_a_failure_keeps_its_reason(tmp_path, runs):
    said = drawn_search.make(tmp_path / "s").run()
    assert [name for name, *_ in runs] == ["0", "1", "2", "3"]
    rows = [line.split() for line in said.split("\n\n")[0].splitlines()]
    assert rows[0] == (
        ["trial", "learning_rate", "batch_size", "AUC", "95", "%", "interval", "state"]
    )
    assert [row[0] for row in rows[1:]] == ["0", "1", "3", "2"]
    assert rows[4] == ["2", "0.01", "2", "-", "-", "failed"]
    assert "Trial 2 failed: The loss is not finite." in said
    assert "Noise floor: not known" in said
    assert "Importance: not known" in said

    runs.clear()
    assert drawn_search.make(tmp_path / "s").run() == said
    assert runs == []


def test_the_table_of_all_figures_can_be_read_again(tmp_path, runs):
    drawn_search.make(tmp_path / "s").run()
    with open(tmp_path / "s" / "trials.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done", "done", "failed", "done"]
    assert rows[0]["Adam.learning_rate"] == "0.1"
    assert 0.5 < float(rows[0]["auc low"]) < float(rows[0]["auc"]) <= 1
    assert rows[2]["reason"] == "The loss is not finite."
    assert rows[2]["auc"] == ""


def test_several_workers_of_two_searches_run_each_trial_once(tmp_path, runs):
    both = [drawn_search.make(tmp_path / "s", workers=2) for _ in range(2)]
    threads = [threading.Thread(target=one.run) for one in both]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(name for name, *_ in runs) == ["0", "1", "2", "3"]


def test_another_config_is_refused(tmp_path, runs):
    drawn_search.make(tmp_path / "s").run()
    other = drawn_search.make(tmp_path / "s", config="train.epochs = 2\n")
    with pytest.raises(ValueError, match=r"there: train\.epochs = 1\n.*= 2\nTake"):
        other.run()


def test_a_folder_that_holds_another_studys_trials_is_refused(tmp_path, runs):
    drawn_search.make(tmp_path / "s").run()
    before = (tmp_path / "s" / "best.gin").read_text()
    runs.clear()
    other = drawn_search.make(tmp_path / "s", config="train.epochs = 2\n", name="new")
    with pytest.raises(
        ValueError, match=r"holds the trials of another search than .*'n"
    ):
        other.run()
    assert runs == []
    assert (tmp_path / "s" / "best.gin").read_text() == before
    assert (tmp_path / "s" / "experiment.gin").read_text() == "train.epochs = 1\n"


def test_photographs_or_labels_that_have_changed_are_refused(
    tmp_path, runs, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(trial, "run", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drawn_search.make(tmp_path / "s").run()
    monkeypatch.setattr(searches, "fingerprint", lambda *arguments: "4567")
    with pytest.raises(ValueError, match="begun with other photographs or labels than"):
        drawn_search.make(tmp_path / "s").run()
    assert runs == []


def test_a_seeded_sampler_draws_no_point_again_after_a_resume(tmp_path, runs):
    from optuna import samplers

    space = {"Adam.learning_rate": ("log_float", 1e-3, 1e-1)} | (
        {"training_stream.batch_size": ("int", 1, 1000)}
    )
    for count in (2, 4):
        sampler = samplers.RandomSampler(seed=0)
        drawn_search.make(tmp_path / "s", space, trials=count, sampler=sampler).run()
    points = [tuple(point.values()) for _, point in runs]
    assert len(set(points)) == 4
    # In one go the seed decides.
    sampler = samplers.RandomSampler(seed=0)
    drawn_search.make(tmp_path / "t", space, trials=2, sampler=sampler).run()
    assert [tuple(point.values()) for _, point in runs[4:]] == points[:2]


def test_the_winners_file_overrides_the_experiment(tmp_path, runs):
    config = "Adam.learning_rate = 9\ntrain.epochs = 1\n"
    said = drawn_search.make(tmp_path / "s", config=config).run()
    best = tmp_path / "s" / "best.gin"
    parsed = syntax.parse([str(best)], [])
    assert {one.key: one.value for one in parsed} == {
        "Adam.learning_rate": 0.1,
        "training_stream.batch_size": 2,
        "train.epochs": 1,
    }
    command = f"python main.py --gin_file={best} --run_dir={tmp_path / 's' / 'best'}"
    assert f"# {command} --data_dir=data --prepared_dir=prepared\n" in best.read_text()
    assert f"To train and test the winner: {command}" in said


def test_a_trial_is_the_mean_of_its_runs_and_seeds_tell_the_noise(tmp_path, runs):
    said = drawn_search.make(tmp_path / "s", seeds=(0, 1, 2)).run()
    assert [name for name, *_ in runs[:3]] == ["seed-0", "seed-1", "seed-2"]
    assert [point["train.seed"] for _, point in runs[:3]] == ["0", "1", "2"]
    with open(tmp_path / "s" / "trials.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["state"] == "done"]
    values = [
        [float(row[f"auc, train.seed = {seed}"]) for seed in range(3)] for row in rows
    ]
    for row, each in zip(rows, values, strict=True):
        assert float(row["auc"]) == pytest.approx(sum(each) / 3)
    floor = paired_tests.noise_floor(values)
    assert f"seed differ by {floor.deviation:.4f} AUC" in said
    assert "Student's paired t, 3 seeds" in said


def test_a_single_seed_is_a_single_run(tmp_path, runs):
    said = drawn_search.make(tmp_path / "s", seeds=(7,)).run()
    assert [name for name, *_ in runs] == ["seed-7"] * 4
    assert "DeLong" in said


def test_a_sampler_chooses_as_many_points_as_asked(tmp_path, runs):
    space = {**drawn_search.SPACE, "Adam.learning_rate": ("log_float", 1e-3, 1e-1)}
    drawn_search.make(tmp_path / "s", space, trials=3).run()
    assert [name for name, *_ in runs] == ["0", "1", "2"]
    rates = [float(point["Adam.learning_rate"]) for _, point in runs]
    assert len(set(rates)) == 3
    assert all(1e-3 <= rate <= 1e-1 for rate in rates)
    runs.clear()
    drawn_search.make(tmp_path / "s", space, trials=4).run()
    assert [name for name, *_ in runs] == ["3"]


def test_an_objective_that_a_trial_leaves_undefined_fails_it(
    tmp_path, runs, monkeypatch
):
    scored = trial.run

    def run(command, run_dir, point, *others):
        figures = scored(command, run_dir, point, *others)
        if run_dir.name == "0":
            figures["auc"] = {"value": None, "reason": "no diseased photograph"}
        return figures

    monkeypatch.setattr(trial, "run", run)
    said = drawn_search.make(tmp_path / "s").run()
    assert "Trial 0 failed: auc is not defined: no diseased photograph." in said


def test_without_a_result_the_reasons_are_the_error(tmp_path, monkeypatch):
    def run(*arguments):
        raise trial.TrialError("The memory was full.")

    monkeypatch.setattr(trial, "run", run)
    drawn_search.prepare_nothing(monkeypatch)
    with pytest.raises(ValueError, match=r"^No trial is done\.\n\ntrial .*") as caught:
        drawn_search.make(tmp_path / "s").run()
    assert str(caught.value).endswith("Trial 3 failed: The memory was full.")


def test_an_interrupted_trial_is_begun_again(tmp_path, runs, monkeypatch):
    scored = trial.run

    def run(command, run_dir, point, *others):
        if run_dir.name == "1":
            raise KeyboardInterrupt
        return scored(command, run_dir, point, *others)

    with monkeypatch.context() as patch:
        patch.setattr(trial, "run", run)
        with pytest.raises(KeyboardInterrupt):
            drawn_search.make(tmp_path / "s").run()
    assert [name for name, *_ in runs] == ["0"]
    drawn_search.make(tmp_path / "s").run()
    assert [name for name, *_ in runs] == ["0", "1", "2", "3"]


def test_a_curve_that_is_far_below_the_others_is_given_up(tmp_path, runs, monkeypatch):
    from optuna import pruners

    scored = trial.run

    class Curve:
        def __init__(self, run_dir, direction):
            self._low = run_dir.name == "3"

        def new(self):
            return [(epoch, 0.1 if self._low else 0.9) for epoch in (1, 2)]

    def run(command, run_dir, point, log, watch, processes):
        for _ in range(3):
            watch()
        return scored(command, run_dir, point, log, watch, processes)

    monkeypatch.setattr(searches.curve, "Curve", Curve)
    monkeypatch.setattr(trial, "run", run)
    pruner = pruners.MedianPruner(n_startup_trials=1)
    said = drawn_search.make(tmp_path / "s", pruner=pruner).run()
    assert said.split("\n\n")[0].splitlines()[-1].split()[0::5] == ["3", "pruned"]
    assert [name for name, *_ in runs] == ["0", "1", "2"]


def test_what_a_trial_is_asked_to_run(tmp_path, monkeypatch):
    calls = []
    drawn_search.prepare_nothing(monkeypatch)
    monkeypatch.setattr(
        trial.Command, "call", lambda self, *arguments: calls.append((self, arguments))
    )
    monkeypatch.setattr(
        trial.whole_files,
        "read_json",
        lambda path: {"results": {"valid": {"metrics": {"auc": {"value": 0.5}}}}},
    )
    monkeypatch.setattr(study, "HEARTBEAT_SECONDS", 1)
    drawn_search.make(tmp_path / "s", bindings=["a.b = 1"]).run()
    command, arguments = calls[0]
    assert arguments[0] == "prepare"
    # What only the space gives a value may be needed to prepare.
    assert arguments[2] == (
        {"Adam.learning_rate": "0.1", "training_stream.batch_size": "2"}
    )
    mode, folder, point, log, *_ = calls[1][1]
    assert (mode, folder) == ("run", tmp_path / "s" / "trials" / "0")
    assert point == {"Adam.learning_rate": "0.1", "training_stream.batch_size": "2"}
    assert log == tmp_path / "s" / "logs" / "0.log"
    assert command.bindings == ["a.b = 1"]
    assert command.folders == ["--data_dir=data", "--prepared_dir=prepared"]
    assert command.config == tmp_path / "s" / "experiment.gin"
    assert pathlib.Path(command.config).read_text() == "train.epochs = 1\n"
