import numpy as np
import pytest
from scipy import stats

from evaluation import compared_runs, joint
from input_pipeline import tasks
from tests.evaluation import drawn_runs


@pytest.fixture
def runs(tmp_path):
    """A run of five grades and one of edema."""
    task = tasks.macular_edema()
    folders = [
        drawn_runs.write_run(tmp_path / "grade", task=tasks.icdr_grades(), label=int),
        drawn_runs.write_run(
            tmp_path / "edema", task=task, label=lambda grade: min(grade, 2), seed=1
        ),
    ]
    return compared_runs.read(folders, "test")


def both_right(runs, groups=None):
    return joint.both_right(*runs, groups=groups, resamples=4000, seed=0)


def right(run):
    said = run.predictions
    return said.probabilities.argmax(axis=1) == said.labels


def test_photographs_are_counted_by_who_is_right_about_the_class(runs):
    found = both_right(runs)
    grade, edema = map(right, runs)
    assert found.both_right == (grade & edema).sum() > 0
    assert found.only_first_right == (grade & ~edema).sum() > 0
    assert found.only_second_right == (~grade & edema).sum() > 0
    assert found.both_wrong == (~grade & ~edema).sum() > 0
    assert (found.first, found.first_task) == ("grade", "icdr_grades")
    assert (found.second, found.second_task) == ("edema", "macular_edema")


def test_the_interval_is_wilsons(runs):
    found = both_right(runs)
    expected = stats.binomtest(found.both_right, 60).proportion_ci(method="wilson")
    assert found.method == "Wilson"
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_where_patients_repeat_whole_patients_are_drawn(runs):
    groups = [f"p{number // 6}" for number in range(60)]
    found = both_right(runs, groups)
    grade, edema = map(right, runs)
    means = (grade & edema).reshape(10, 6).mean(axis=1)
    expected = stats.bootstrap(
        (means,), np.mean, method="percentile", n_resamples=4000, rng=0
    ).confidence_interval
    assert found.method == "patient-wise bootstrap"
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.02)
