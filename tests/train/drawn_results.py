"""The results of a search whose trials are drawn runs; no Optuna."""

import datetime

from evaluation import intervals
from input_pipeline import tasks
from tests.evaluation import drawn_runs
from tests.train import drawn_space
from train import outcomes, search_results, search_space, tuning

NOON = datetime.datetime(2026, 1, 2, 12)
SKILLS = (3.0, 2.0, None, 0.5)
"""Of the trials; that without one fails."""


def write(folder, **settings):
    """Writes them; returns what is said."""
    parameters = drawn_space.parameters()
    tuner = tuning.Tuner(space=drawn_space.SPACE, **settings)
    points = search_space.grid(parameters)
    if tuner.one_at_a_time:
        points = search_space.one_at_a_time(parameters)
    every = [
        _trial(folder, number, point, skill)
        for number, (point, skill) in enumerate(zip(points, SKILLS, strict=False))
    ]
    (folder / search_results.CONFIG).write_text("train.epochs = 1\n")
    return search_results.write(
        "drawn",
        every,
        {"Adam.learning_rate": 0.75, "training_stream.batch_size": 0.25},
        tuner,
        parameters,
        drawn_space.METRICS,
        folder,
        ["--data_dir=my data"],
        tuner.averaged(of=5),
    )


def _trial(folder, number, point, skill):
    values = {one.key: one.shown(point[one.key]) for one in drawn_space.parameters()}
    known = {"point": point, "values": values, "start": NOON}
    end = NOON + datetime.timedelta(minutes=12)
    if skill is None:
        reason = "The loss is not finite."
        return outcomes.Outcome(number, "failed", end=end, reason=reason, **known)
    path = folder / "trials" / str(number)
    drawn_runs.write_run(path, skill=skill, seed=number, split="valid")
    names = tasks.referable().class_names
    said = drawn_runs.predictions.read_csv(path / "predictions.csv", names)["valid"]
    figures = intervals.score_with_intervals(
        said.labels, said.probabilities, (1,), resamples=100
    )["metrics"]
    value = figures["auc"]["value"]
    return outcomes.Outcome(
        number, "done", value=value, figures=figures, runs=[value], end=end, **known
    )
