import numpy as np
import pytest

from evaluation import proportions, report, table
from input_pipeline import tasks

GRADES = ["0"] * 4 + ["1"] * 2 + ["2"] * 3 + ["4"]
LABELS = [0] * 6 + [1] * 4
DISEASE = [0.1, 0.2, 0.3, 0.7, 0.6, 0.2, 0.9, 0.8, 0.4, 0.3]


def test_each_grade_has_its_share_with_an_interval(made_up):
    found = made_up(LABELS, DISEASE, known={"grade": GRADES}).scores["by_grade"]
    counts = {grade: (one["called"], one["n"]) for grade, one in found.items()}
    assert counts == {"0": (1, 4), "1": (1, 2), "2": (2, 3), "4": (0, 1)}
    low, high = proportions.wilson(1 / 4, 4)
    assert (found["0"]["low"], found["0"]["high"]) == pytest.approx((low, high))


def test_the_threshold_decides_and_photographs_of_a_patient_count_less(made_up):
    known = {"grade": GRADES}
    alone = made_up(LABELS, DISEASE, known=known, threshold=0.25).scores["by_grade"]
    assert [one["called"] for one in alone.values()] == [2, 1, 3, 1]
    known |= {"patient": ["a"] * 4 + list("bcdefg")}
    shared = made_up(LABELS, DISEASE, known=known, threshold=0.25).scores["by_grade"]
    width = [one["0"]["high"] - one["0"]["low"] for one in (alone, shared)]
    assert width[1] > width[0]


@pytest.mark.parametrize("known", [{}, {"grade": [""] * 10}])
def test_where_no_grade_is_known_nothing_is_said(made_up, known):
    found = made_up(LABELS, DISEASE, known=known)
    assert found.scores["by_grade"] == {}
    assert "by grade" not in table.render(found.scores, found.class_names)
    assert 'id="table-by-grade"' not in report.render(found)


def test_of_five_grades_the_confusion_matrix_says_it(made_up):
    found = made_up(
        [0, 1, 2, 3, 4],
        task=tasks.icdr_grades(),
        probabilities=np.eye(5),
        known={"grade": list("01234")},
    )
    assert found.scores["by_grade"] == {}


def test_terminal_and_report_have_the_table(made_up):
    found = made_up(LABELS, DISEASE, known={"grade": GRADES})
    lines = table.render(found.scores, found.class_names).splitlines()
    start = lines.index("Called referable, by grade")
    assert lines[start + 2].split() == [
        "grade",
        "called",
        "share",
        "95",
        "%",
        "interval",
    ]
    assert lines[start + 6].startswith("2 moderate        2 of 3   0.667  0.")
    assert "Called referable, by grade" in report.render(found)


def test_photographs_without_a_grade_are_counted(made_up):
    found = made_up(LABELS, DISEASE, known={"grade": ["", "", *GRADES[2:]]})
    assert "Called referable, by grade; 2 without a grade" in table.render(
        found.scores, found.class_names
    )
    assert "; 2 without a grade" in report.render(found)
