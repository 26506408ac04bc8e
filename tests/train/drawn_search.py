"""A search whose trials are no processes: each writes a drawn run, in no time."""

import pathlib

from evaluation import intervals
from input_pipeline import tasks
from tests.evaluation import drawn_runs
from tests.train.drawn_space import METRICS, SPACE, parameters
from train import search, trial, tuning


def make(folder, space=None, config="train.epochs = 1\n", bindings=(), **settings):
    """A search that is not begun."""
    space = space or SPACE
    tuner = tuning.Tuner(space=space, **settings)
    return search.Search(
        tuner,
        parameters(space),
        config,
        METRICS,
        bindings,
        {"": pathlib.Path("data")},
        pathlib.Path("prepared"),
        folder,
        tuner.averaged(of=5),
    )


def skill(point):
    """A rate of 0.1 and small batches are better."""
    return (
        4
        * float(point["Adam.learning_rate"]) ** 0.3
        / int(point["training_stream.batch_size"])
    )


def fake_runs(monkeypatch):
    """Replaces the processes of trials; returns what was run, in order.

    The trial of the lower rate and the smaller batch fails.
    """
    made = []

    def run(command, run_dir, point, log, watch, processes):
        watch()
        made.append((run_dir.name, dict(point)))
        if tuple(point.values())[:2] == ("0.01", "2"):
            raise trial.TrialError("The loss is not finite.")
        seed = int(point.get("train.seed", 0))
        drawn_runs.write_run(run_dir, skill=skill(point), split="valid", seed=seed)
        said = drawn_runs.predictions.read_csv(
            run_dir / "predictions.csv", tasks.referable().class_names
        )["valid"]
        return intervals.score_with_intervals(
            said.labels, said.probabilities, (1,), resamples=100
        )["metrics"]

    monkeypatch.setattr(trial, "run", run)
    prepare_nothing(monkeypatch)
    return made


def prepare_nothing(monkeypatch):
    """Has a search find its photographs prepared."""
    monkeypatch.setattr(trial.Command, "call", lambda *arguments: None)
    monkeypatch.setattr(search, "fingerprint", lambda *arguments: "0123")
