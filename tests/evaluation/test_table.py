"""The terminal's table, laid out by hand."""

import json

import numpy as np
import pytest

from evaluation import intervals, table

GRADES = ("no DR", "mild", "moderate", "severe", "proliferative")


def entry(value, low, high, n):
    return {"value": value, "low": low, "high": high, "method": "any", "n": n}


def test_two_classes_are_laid_out_as_drawn_here():
    scores = {
        "n": 1100,
        "disease_classes": [1],
        "class_counts": [1000, 100],
        "confusion_matrix": [[950, 50], [9, 91]],
        "confidence": 0.95,
        "metrics": {
            "balanced_accuracy": entry(0.93, 0.90004, 0.9595, 1100),
            "sensitivity": entry(0.91, 0.8377, 0.9519, 100),
            "auc": entry(1.0, None, None, 1100) | {"reason": "all resamples agree"},
            "quadratic_kappa": entry(-0.1, -0.2, 0.05, 1100),
            "specificity": {
                "value": None,
                "n": 0,
                "reason": "no photograph without the disease",
            },
        },
    }
    expected = """\
1,100 photographs; disease: referable

metric              value      n  95 % interval
------------------------------------------------
balanced accuracy   0.930  1,100  0.900 to 0.960
sensitivity         0.910    100  0.838 to 0.952
AUC                 1.000  1,100  none: all resamples agree
quadratic kappa    -0.100  1,100  -0.200 to 0.050
specificity             -      0  undefined: no photograph without the disease

Photographs by true class (rows) and predicted class (columns)

                not referable   referable   recall
--------------------------------------------------
not referable             950          50     95 %
referable                   9          91     91 %"""
    assert table.render(scores, ["not referable", "referable"]) == expected


def test_five_grades_and_their_operating_point_are_laid_out_as_drawn_here():
    scores = {
        "n": 60,
        "patients": 31,
        "disease_classes": [2, 3],
        "class_counts": [30, 10, 10, 10],
        "confusion_matrix": [[30, 0, 0, 0], *[[0, 10, 0, 0]] * 3],
        "confidence": 0.95,
        "threshold": 0.3141592,
        "prevalence": 0.08,
        "metrics": {
            "macro_f1": entry(0.5, 0.4, 0.6, 60),
            "off_by_one": entry(0.25, 0.1, 0.4, 60),
            "recall_2": entry(0.0, 0.0, 0.2775, 10),
            "recall_3": entry(0.0, 0.0, 0.2775, 10),
            "class_brier": entry(0.7, 0.6, 0.8, 60),
            "sensitivity": entry(0.0, 0.0, 0.2, 20),
            "ppv_at_prevalence": {
                "value": None,
                "n": 60,
                "reason": "no photograph called diseased",
            },
            "npv_at_prevalence": entry(0.92, 0.9, 0.94, 60),
            "pr_auc": entry(0.3, 0.2, 0.4, 60),
        },
    }
    expected = """\
60 photographs of 31 patients; disease: moderate, a severe or proliferative one,
called from a probability of 0.3142

metric                   value   n  95 % interval
--------------------------------------------------
macro F1                 0.500  60  0.400 to 0.600
off by one               0.250  60  0.100 to 0.400
recall of moderate       0.000  10  0.000 to 0.278
recall of class 3        0.000  10  0.000 to 0.278
class Brier              0.700  60  0.600 to 0.800

sensitivity              0.000  20  0.000 to 0.200
PPV at prevalence 0.08       -  60  undefined: no photograph called diseased
NPV at prevalence 0.08   0.920  60  0.900 to 0.940
PR AUC                   0.300  60  0.200 to 0.400
"""
    names = ["no DR", "mild", "moderate", "a severe or proliferative one"]
    assert table.render(scores, names).startswith(expected)


def score(labels, predicted, num_classes, disease_classes):
    probabilities = np.eye(num_classes)[predicted] * 0.8 + 0.2 / num_classes
    return intervals.score_with_intervals(
        labels, probabilities, disease_classes, resamples=100, prevalence=0.08
    )


def test_five_grades_fit_the_terminal_with_their_names():
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(5, size=(2, 50_000))
    text = table.render(score(labels, predicted, 5, (2, 3, 4)), GRADES)
    assert max(map(len, text.splitlines())) <= 80
    header = text.splitlines()[-7]
    assert header.split() == ["no", "DR", *GRADES[1:], "recall"]


def test_columns_are_numbered_where_the_names_are_too_long():
    names = [f"{grade} retinopathy of the eye" for grade in GRADES]
    labels = np.arange(5).repeat(3)
    text = table.render(score(labels, labels, 5, (3, 4)), names)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-7].split() == ["0", "1", "2", "3", "4", "recall"]
    assert lines[-5].startswith("0 no DR retinopathy of the eye ")


def test_absent_classes_are_named_and_have_no_recall():
    labels = np.array([0, 0, 1, 1, 2, 2])
    text = table.render(score(labels, labels[::-1], 5, (2, 3, 4)), GRADES)
    assert (
        "\nBalanced accuracy leaves out absent classes: severe, proliferative.\n"
        in text
    )
    assert text.splitlines()[-1].split() == ["proliferative", *"00000", "-"]


def test_no_photographs_and_one_photograph_are_laid_out_too():
    none = score(np.zeros(0, int), np.zeros(0, int), 2, (1,))
    text = table.render(none, ["healthy", "diseased"])
    assert text.startswith("0 photographs; disease: diseased\n")
    assert text.count("undefined: ") == len(none["metrics"]) == 15
    one = score(np.array([1]), np.array([1]), 2, (1,))
    text = table.render(one, ["healthy", "diseased"])
    assert text.startswith("1 photograph; disease: diseased\n")
    assert "none: only one photograph\n" in text
    assert "0.207 to 1.000" in text  # Wilson of one: 1 / (1 + z ** 2).


def test_scores_read_back_from_json_give_the_same_table():
    labels = np.arange(5).repeat(4)
    scores = score(labels, np.roll(labels, 2), 5, (2, 3, 4))
    read_back = json.loads(json.dumps(scores))
    assert table.render(read_back, GRADES) == table.render(scores, GRADES)


def test_each_class_needs_a_name():
    scores = score(np.array([0, 1]), np.array([0, 1]), 2, (1,))
    with pytest.raises(ValueError, match="hold 2 names, one for each row of the conf"):
        table.render(scores, GRADES)


def columns(*names, low=0.25):
    return {
        name: {
            "n": 1100,
            "disease_matrix": [[900, 100], [10, 90]],
            "patients": 550 if name.startswith("site") else None,
            "threshold": 0.5,
            "metrics": {
                "auc": entry(0.9, 0.8, 0.95, 1100),
                "quadratic_kappa": entry(0.5, low, 0.75, 1100),
                "npv": entry(0.0, None, None, 1100),
                "ppv": {"value": None, "n": 0, "reason": "nobody is called diseased"},
            },
        }
        for name in names
    }


def test_several_sets_stand_side_by_side_as_drawn_here():
    text = table.side_by_side(columns("test, in-domain", "site"), ("a", "b"))
    assert (
        text
        == """\
                 test                 site
                 in-domain
---------------------------------------------------------
photographs      1,100                1,100
patients         -                    550
diseased         100 (9 %)            100 (9 %)
threshold        0.5                  0.5
AUC              0.900 (0.800-0.950)  0.900 (0.800-0.950)
quadratic kappa  0.500 (0.250-0.750)  0.500 (0.250-0.750)
NPV              0.000                0.000
PPV              -                    -"""
    )


def test_what_does_not_fit_beside_the_first_stands_beside_it_again():
    names = ["test, in-domain", *(f"site{number}" for number in range(3))]
    blocks = table.side_by_side(columns(*names), ("a", "b")).split("\n\n")
    assert [block.split("\n")[0].split() for block in blocks] == [
        ["test", "site0", "site1"],
        ["test", "site2"],
    ]
    assert max(len(one) for block in blocks for one in block.split("\n")) <= 80


def test_a_negative_end_of_an_interval_is_no_dash():
    text = table.side_by_side(columns("test", "site", low=-0.25), ("a", "b"))
    assert "quadratic kappa  0.500 (-0.250 to 0.750)  0.500 (-0.2" in text
