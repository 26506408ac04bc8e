import dataclasses
import pathlib

import numpy as np
import pytest
from scipy import stats

from input_pipeline import photograph, tasks


def make(**labels):
    return photograph.Photograph(id="set/one", path=pathlib.Path("one.jpg"), **labels)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (tasks.any_dr(), [0, 1, 1, 1, 1]),
        (tasks.referable(), [0, 0, 1, 1, 1]),
        (tasks.sight_threatening(), [0, 0, 0, 1, 1]),
        (tasks.icdr_grades(), [0, 1, 2, 3, 4]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_each_grade_has_the_label_that_the_rule_says(task, expected):
    assert task.labels([make(grade=grade) for grade in range(5)]) == expected


@pytest.mark.parametrize(
    ("grade", "edema", "expected"),
    [
        (0, 0, 0),
        (0, 1, 0),
        (0, 2, 1),
        (2, 1, 0),
        (2, 2, 1),
        (3, 0, 1),
        (4, 1, 1),
        (4, 2, 1),
    ],
)
def test_sight_threatening_counts_edema_only_where_it_is_told_to(
    grade, edema, expected
):
    one = make(grade=grade, macular_edema=edema)
    assert tasks.sight_threatening(include_macular_edema=True).labels([one]) == [
        expected
    ]
    assert tasks.sight_threatening().labels([one]) == [int(grade >= 3)]


def test_the_edema_task_takes_the_risk_and_not_the_grade():
    photographs = [make(grade=4 - risk, macular_edema=risk) for risk in range(3)]
    assert tasks.macular_edema().labels(photographs) == [0, 1, 2]


def test_any_dr_needs_no_grade():
    assert tasks.any_dr().labels([make(any_dr=True), make(any_dr=False)]) == [1, 0]


@pytest.mark.parametrize(
    ("task", "unknown"),
    [
        (tasks.any_dr(), {"macular_edema": 1}),
        (tasks.referable(), {"any_dr": True}),
        (tasks.sight_threatening(), {"any_dr": True}),
        (tasks.sight_threatening(include_macular_edema=True), {"grade": 2}),
        (tasks.icdr_grades(), {"any_dr": False}),
        (tasks.macular_edema(), {"grade": 0}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_unknown_label_is_an_error_that_names_task_and_photograph(task, unknown):
    known = make(grade=0, macular_edema=0)
    with pytest.raises(
        ValueError, match=rf"'{task.name}'.* 1 photographs does not .* first: set/one\."
    ):
        task.labels([known, make(**unknown)])


@pytest.mark.parametrize(
    ("task", "classes", "disease"),
    [
        (tasks.any_dr(), 2, (1,)),
        (tasks.referable(), 2, (1,)),
        (tasks.sight_threatening(), 2, (1,)),
        (tasks.icdr_grades(), 5, (2, 3, 4)),
        (tasks.macular_edema(), 3, (1, 2)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_task_names_a_class_for_each_label_and_says_which_are_the_disease(
    task, classes, disease
):
    assert len(set(task.class_names)) == classes
    assert task.disease_classes == disease


def test_the_printed_rule_says_whether_edema_counts():
    assert tasks.sight_threatening().rule.endswith("grade >= 3")
    with_edema = tasks.sight_threatening(include_macular_edema=True)
    assert with_edema.rule.endswith("grade >= 3 or macular edema risk 2")


def test_the_description_is_what_json_can_hold():
    assert tasks.referable().description() == {
        "name": "referable",
        "rule": "referable diabetic retinopathy: grade >= 2",
        "class_names": ["not referable", "referable"],
        "disease_classes": [1],
    }


def test_random_labels_ask_the_same_and_mean_nothing():
    task = tasks.random_labels(task=tasks.icdr_grades())
    photographs = [
        photograph.Photograph(
            id=f"set/{number}", path=pathlib.Path("one.jpg"), grade=number % 5
        )
        for number in range(2000)
    ]
    labels = task.labels(photographs)
    assert task.class_names == photograph.GRADES and task.random
    assert task.rule == f"labels drawn at random, instead of {tasks.icdr_grades().rule}"
    assert task.labels(photographs) == labels
    table = np.zeros((5, 5), int)
    for one, label in zip(photographs, labels, strict=True):
        table[one.grade, label] += 1
    assert stats.chi2_contingency(table).pvalue > 0.01
    assert stats.chisquare(table.sum(axis=0)).pvalue > 0.01
    assert labels != tasks.random_labels(task=tasks.icdr_grades(), seed=1).labels(
        photographs
    )


def test_random_labels_are_unknown_where_the_true_ones_are():
    task = tasks.random_labels(task=tasks.referable())
    assert task.label(make()) is None


def test_where_a_task_is_not_answered_those_that_are_stand_ready_to_be_pasted():
    some = [
        photograph.Photograph(id=f"a/{one}", path=pathlib.Path("1"), any_dr=True)
        for one in range(2)
    ]
    message = r"dataset answers: --gin_bindings='train\.task = @any_dr\(\)'\.$"
    with pytest.raises(ValueError, match=message):
        tasks.referable().labels(some)
    some[0] = dataclasses.replace(some[0], any_dr=None, macular_edema=1)
    with pytest.raises(ValueError, match=r"Choose a task that the dataset answers\.$"):
        tasks.referable().labels(some)
