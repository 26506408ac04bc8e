import math
import threading
import time

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed")

import sqlalchemy
from optuna.trial import TrialState

from tests.train import drawn_study
from train import database, search_space, study


def done(attempt, value):
    attempt.complete(value, {"auc": {"value": value}}, [value])


def test_trials_are_taken_in_turn_and_read_back(tmp_path):
    shared = drawn_study.make(tmp_path)
    assert [one.state for one in shared.trials()] == ["waiting"] * 3
    first, second, third = (shared.claim() for _ in range(3))
    assert [one.point for one in (first, second, third)] == (
        [{"a.x": "0"}, {"a.x": "1"}, {"a.x": "2"}]
    )
    assert shared.claim() is None
    done(first, 0.75)
    second.fail("The memory was full.")
    assert shared.is_open
    third.prune("After epoch 3.")
    assert not shared.is_open
    zero, one, two = shared.trials()
    assert (zero.state, zero.value, zero.runs) == ("done", 0.75, (0.75,))
    assert (zero.point, zero.values) == ({"a.x": "0"}, {"a.x": 0})
    assert zero.figures == {"auc": {"value": 0.75}}
    assert (one.state, one.value, one.reason) == (
        ("failed", None, "The memory was full.")
    )
    assert (two.state, two.value, two.reason) == ("pruned", None, "After epoch 3.")


def test_what_is_given_back_waits_for_another(tmp_path):
    shared = drawn_study.make(tmp_path, trials=1)
    shared.claim().give_back()
    assert [one.state for one in shared.trials()] == ["waiting"]
    again = shared.claim()
    assert (again.number, again.point) == (0, {"a.x": "0"})


def test_the_trial_of_a_silent_worker_goes_to_another(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(study, "GRACE_SECONDS", 1)
    first = drawn_study.make(tmp_path, trials=1)
    second = drawn_study.make(tmp_path, trials=1)
    silent = first.claim()
    silent.beat()
    assert second.claim() is None
    time.sleep(2.1)  # The database counts whole seconds.
    other = second.claim()
    assert (other.number, other.point) == (0, {"a.x": "0"})
    with pytest.raises(study.LostError):
        silent.beat()
    with pytest.raises(study.LostError):
        done(silent, 0.5)
    done(other, 0.75)
    assert [one.value for one in first.trials()] == [0.75]


def test_workers_that_open_and_take_at_once_have_each_trial_once(tmp_path):
    taken = []

    def work():
        shared = drawn_study.make(tmp_path, trials=8)
        while attempt := shared.claim():
            taken.append(attempt.number)
            done(attempt, 0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(taken) == list(range(8))


def test_a_worker_that_dies_while_it_draws_values_leaves_the_point_whole(
    tmp_path, monkeypatch
):
    parameters = [
        search_space.Parameter("a.x", "choice", (0, 1)),
        search_space.Parameter("a.y", "choice", tuple(range(20))),
    ]
    point = {"a.x": "1", "a.y": "17"}
    given = {"parameters": parameters, "points": [point]}
    shared = drawn_study.make(tmp_path, **given)
    suggest = search_space.Parameter.suggest

    def die_at_the_second(one, trial):
        if one.key == "a.y":
            raise KeyboardInterrupt
        return suggest(one, trial)

    with monkeypatch.context() as patch:
        patch.setattr(search_space.Parameter, "suggest", die_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            shared.claim()
    (left,) = shared._study.get_trials()
    assert left.params == {"a.x": "1"}
    shared._storage.set_trial_state_values(left._trial_id, TrialState.FAIL)
    assert drawn_study.make(tmp_path, **given).claim().point == point


def test_a_database_that_fails_for_a_moment_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "RETRY_SECONDS", 0.01)
    shared = drawn_study.make(tmp_path, trials=1)
    attempt = shared.claim()
    beat, failures = shared._storage.record_heartbeat, []

    def gone(trial_id):
        if len(failures) < 3:
            failures.append(trial_id)
            raise sqlalchemy.exc.OperationalError("", {}, Exception("gone"))
        beat(trial_id)

    monkeypatch.setattr(shared._storage, "record_heartbeat", gone)
    attempt.beat()
    assert len(failures) == 3
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
    failures.clear()
    attempt._beaten = -math.inf
    with pytest.raises(sqlalchemy.exc.OperationalError):
        attempt.beat()


def test_another_experiment_of_the_same_name_is_refused(tmp_path):
    drawn_study.make(tmp_path)
    with pytest.raises(
        ValueError, match=r"its experiment:\n  there: a = 1\n  here:  a = 2"
    ):
        drawn_study.make(tmp_path, about={"experiment": "a = 2\n"})


def test_a_study_of_somebody_else_is_left_alone(tmp_path):
    drawn_study.make(tmp_path, about={})
    with pytest.raises(ValueError, match=r"'drawn' .* is not one of --mode=tune"):
        drawn_study.make(tmp_path)


def test_values_of_a_range_are_numbers(tmp_path):
    parameters = [
        search_space.Parameter("a.rate", "log_float", (1e-5, 1e-1)),
        search_space.Parameter("a.size", "int", (2, 4)),
    ]
    shared = drawn_study.make(tmp_path, parameters=parameters, points=[{}])
    attempt = shared.claim()
    done(attempt, 0.5)
    (one,) = shared.trials()
    assert 1e-5 <= one.values["a.rate"] <= 1e-1
    assert one.values["a.size"] in (2, 3, 4)
    assert one.point == {key: repr(value) for key, value in one.values.items()}
    assert attempt.point == one.point


def test_all_importance_belongs_to_the_parameter_that_decides(tmp_path):
    parameters = [
        search_space.Parameter("a.rate", "choice", (1, 2, 3)),
        search_space.Parameter("a.size", "choice", (1, 2, 3)),
    ]
    grid = search_space.grid(parameters)
    shared = drawn_study.make(tmp_path, parameters=parameters, points=grid)
    while attempt := shared.claim():
        assert shared.importance() == {} or attempt.number > 3
        done(attempt, float(attempt.point["a.rate"]))
    shares = shared.importance()
    assert list(shares) == ["a.rate", "a.size"]
    assert shares["a.rate"] > 0.95
    assert sum(shares.values()) == pytest.approx(1)


def test_what_does_not_vary_among_finished_trials_has_no_importance(tmp_path):
    parameters = [
        search_space.Parameter("a.rate", "choice", (1, 2, 3)),
        search_space.Parameter("a.size", "choice", (1, 2)),
    ]
    grid = search_space.grid(parameters)
    shared = drawn_study.make(tmp_path, parameters=parameters, points=grid)
    found = []
    while attempt := shared.claim():
        if attempt.point["a.size"] == "1":
            done(attempt, float(attempt.point["a.rate"]))
            found.append(shared.importance())
        else:
            attempt.fail("The memory was full.")
    assert found == [{}, {}, {"a.rate": 1.0}]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hidden@there/db",
        "mysql://there/db?password=hidden",
        "postgresql:/me:hidden@there/db",
        "sqlite:///a.db",
    ],
)
def test_only_postgresql_is_shared(tmp_path, url):
    with pytest.raises(ValueError, match=r"`tune\.storage` must be .* Rec") as caught:
        drawn_study.make(tmp_path, url=url)
    assert "hidden" not in str(caught.value)
