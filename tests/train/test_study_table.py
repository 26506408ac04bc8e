import datetime

import pytest

from tests.train import drawn_space
from train import outcomes, study_table

NOON = datetime.datetime(2026, 1, 2, 12)


def ended(number, state="done", minutes=10, **more):
    end = NOON + datetime.timedelta(minutes=minutes)
    value = {"value": 0.5 + number / 100} if state == "done" else {}
    return outcomes.Outcome(number, state, start=NOON, end=end, **(value | more))


def waiting(number):
    return outcomes.Outcome(number, "waiting")


BEST = "; best AUC 0.5100 (trial 1)"


@pytest.mark.parametrize(
    ("every", "workers", "text"),
    [
        ([waiting(0), waiting(1)], 1, "Of 2 trials 0 done, 0 running."),
        (
            [ended(0), ended(1), waiting(2), waiting(3)],
            1,
            f"Of 4 trials 2 done, 0 running{BEST}; about 20 min left.",
        ),
        (
            [ended(0), ended(1), waiting(2), waiting(3)],
            2,
            f"Of 4 trials 2 done, 0 running{BEST}; about 10 min left.",
        ),
        (
            [ended(0, "failed"), ended(1), ended(2, "pruned", 5), waiting(3)],
            1,
            f"Of 4 trials 1 done, 0 running, 1 failed, 1 pruned{BEST}; about 8 min "
            "left.",
        ),
        (  # As of a trial that was found finished.
            [ended(0, minutes=0), ended(1), ended(2, "pruned"), waiting(3)],
            1,
            f"Of 4 trials 2 done, 0 running, 1 pruned{BEST}; about 10 min left.",
        ),
        ([ended(0), ended(1)], 1, f"Of 2 trials 2 done, 0 running{BEST}."),
    ],
)
def test_progress_says_what_is_done_and_how_long_the_rest_takes(every, workers, text):
    assert study_table.progress(every, "auc", "maximize", workers) == text


def test_of_a_trial_that_runs_only_its_rest_is_left():
    start = datetime.datetime.now() - datetime.timedelta(minutes=4)
    every = [ended(0), ended(1), outcomes.Outcome(2, "running", start=start)]
    said = study_table.progress(every, "auc", "maximize", 1)
    assert said == f"Of 3 trials 2 done, 1 running{BEST}; about 6 min left."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "about 1 s"),
        (89, "about 89 s"),
        (720, "about 12 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_a_duration_is_said_in_fitting_units(seconds, text):
    assert study_table.duration(seconds) == text


def test_the_table_has_a_row_a_trial():
    values = {"Adam.learning_rate": 0.1, "training_stream.batch_size": 2}
    figures = {"auc": {"value": 0.5, "low": 0.25, "high": 0.75}}
    rows = [ended(0, values=values, figures=figures), waiting(1)]
    text = study_table.render(rows, drawn_space.parameters(), "auc")
    assert text.splitlines() == [
        "trial  learning_rate  batch_size  AUC     95 % interval     state",
        "0      0.1            2           0.5000  0.2500 to 0.7500  done",
        "1      -              -           -       -                 waiting",
    ]


def test_the_best_are_ranked_first_either_way():
    every = [ended(0), ended(2), ended(1), ended(3, "failed")]
    assert [one.number for one in outcomes.ranked(every, "maximize")] == [2, 1, 0]
    assert [one.number for one in outcomes.ranked(every, "minimize")] == [0, 1, 2]


def test_names_are_short_as_long_as_they_differ():
    keys = ["Adam.learning_rate", "SGD.learning_rate", "train.seed"]
    assert list(outcomes.short_names(keys).values()) == [*keys[:2], "seed"]
