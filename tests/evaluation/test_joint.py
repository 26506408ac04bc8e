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
    return joint.both_right(*runs, groups=groups)


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


def test_patients_whose_photographs_agree_count_once(runs):
    grade, edema = map(right, runs)
    order = np.argsort(grade & edema)  # Ten patients, nearly all of one mind.
    groups = [""] * 60
    for place, number in enumerate(order):
        groups[number] = f"p{place // 6}"
    found = both_right(runs, groups)
    share = stats.binomtest(round(10 * found.value), 10)
    expected = share.proportion_ci(method="wilson")
    assert found.method == "Wilson, by patient"
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.06)
