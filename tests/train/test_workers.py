import threading

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed")

from tests.train import drawn_study
from train import trial, workers


def crew(shared, run, count=1, **more):
    return workers.Crew(shared, run, count, **more)


def result(attempt):
    value = float(attempt.number)
    return value, {"auc": {"value": value}}, [value]


def test_workers_work_at_the_same_time(tmp_path):
    shared = drawn_study.make(tmp_path, trials=2)
    both, numbers = threading.Barrier(2, timeout=60), []

    def run(attempt, watch, worker):
        both.wait()  # Which one alone would not pass.
        numbers.append(worker)
        return result(attempt)

    crew(shared, run, 2).work()
    assert sorted(numbers) == [0, 1]
    assert [one.state for one in shared.trials()] == ["done", "done"]


def test_failure_and_pruning_end_the_trial_alone(tmp_path):
    shared = drawn_study.make(tmp_path)

    def run(attempt, watch, worker):
        watch()
        if attempt.number == 0:
            raise trial.TrialError("The memory was full.")
        if attempt.number == 1:
            raise workers.PrunedError("After epoch 1.")
        return result(attempt)

    changes = []
    crew(shared, run, on_change=lambda one: changes.append(one.number)).work()
    assert [one.state for one in shared.trials()] == ["failed", "pruned", "done"]
    reasons = [one.reason for one in shared.trials()]
    assert reasons == ["The memory was full.", "After epoch 1.", ""]
    assert changes == [0, 0, 1, 1, 2, 2]


def test_an_error_of_our_own_stops_all_workers_and_gives_their_trials_back(tmp_path):
    shared = drawn_study.make(tmp_path)
    begun = threading.Event()

    def run(attempt, watch, worker):
        if attempt.number == 0:
            begun.wait(60)
            raise OSError("The disk is full.")
        begun.set()
        while True:
            watch()

    with pytest.raises(OSError, match="The disk is full"):
        crew(shared, run, 2).work()
    assert [one.state for one in shared.trials()] == ["waiting"] * 3


def test_a_trial_that_went_to_another_worker_is_left_to_it(tmp_path):
    shared = drawn_study.make(tmp_path, trials=1)

    def run(attempt, watch, worker):
        shared._storage.set_trial_state_values(attempt._id, state_of("COMPLETE"), [0.9])
        return result(attempt)

    crew(shared, run).work()
    assert [one.value for one in shared.trials()] == [0.9]


def state_of(name):
    from optuna.trial import TrialState

    return TrialState[name]
