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


def score(labels, predicted, num_classes, disease_classes):
    probabilities = np.eye(num_classes)[predicted] * 0.8 + 0.2 / num_classes
    return intervals.score_with_intervals(
        labels, probabilities, disease_classes, resamples=100
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
    assert text.count("undefined: ") == 6
    one = score(np.array([1]), np.array([1]), 2, (1,))
    text = table.render(one, ["healthy", "diseased"])
    assert text.startswith("1 photograph; disease: diseased\n")
    assert "none: only one photograph of class 1" in text


def test_scores_read_back_from_json_give_the_same_table():
    labels = np.arange(5).repeat(4)
    scores = score(labels, np.roll(labels, 2), 5, (2, 3, 4))
    read_back = json.loads(json.dumps(scores))
    assert table.render(read_back, GRADES) == table.render(scores, GRADES)


def test_each_class_needs_a_name():
    scores = score(np.array([0, 1]), np.array([0, 1]), 2, (1,))
    with pytest.raises(ValueError, match="hold 2 names, one for each row of the conf"):
        table.render(scores, GRADES)
