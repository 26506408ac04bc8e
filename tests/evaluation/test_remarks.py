"""Remarks: a run's weaknesses are said in words, and only where they are there."""

import dataclasses

import numpy as np
import pytest

from evaluation import facts, remarks
from input_pipeline import tasks


def odd(found):
    return " ".join(remarks.oddities(found))


def test_a_good_run_has_nothing_odd(made_up):
    assert remarks.oddities(made_up([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])) == []


def test_a_model_that_says_the_same_of_all_has_collapsed(made_up):
    text = odd(made_up([0, 0, 1, 1], [0.6, 0.7, 0.8, 0.9]))
    assert "collapsed: it gives every photograph the same class, referable." in text


def test_a_class_that_is_there_and_never_said_is_named(made_up):
    probabilities = np.eye(5)[[0, 2, 2, 4]]
    found = made_up([0, 1, 2, 3], probabilities=probabilities, task=tasks.icdr_grades())
    assert "the model never says 1 mild, 3 severe." in odd(found)


def test_a_single_class_leaves_most_figures_undefined(made_up):
    text = odd(made_up([1, 1], [0.6, 0.3]))
    assert "all photographs are of one class, referable: most figures are" in text


def test_metadata_that_tell_as_much_as_the_model_are_an_alarm(made_up):
    labels, disease = [0, 1] * 20, [0.4, 0.6, 0.6, 0.4] * 10
    told = np.eye(2)[labels]
    text = odd(made_up(labels, disease, metadata=told))
    assert "camera and dataset alone tell the disease with an AUC of 1.000" in text
    told = np.full((40, 2), 0.5)
    assert odd(made_up(labels, disease, metadata=told)) == ""


def test_a_promise_above_the_interval_is_told_with_both_figures(made_up):
    # 10 of 20 found: Wilson's interval is 0.299 to 0.701.
    labels, disease = [1] * 20 + [0] * 20, [0.9] * 10 + [0.2] * 10 + [0.1] * 20
    text = odd(made_up(labels, disease, promised=(0.8, 1.0)))
    assert text == (
        "In “test” the sensitivity is 0.500 (at most 0.701 by its interval); on 20 "
        "validation photographs it was 0.800."
    )
    assert odd(made_up(labels, disease, promised=(0.7, 1.0))) == ""


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (["", "1", "", ""], "1 photograph has a copy with other labels, so that its"),
        (["1", "1", "", ""], "2 photographs have copies with other labels, so that th"),
    ],
)
def test_disputed_labels_are_counted_once(made_up, marks, words):
    found = made_up([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], known={"disputed": marks})
    assert list(found.parts) == ["test", "test without conflicts"]
    assert [words in text for text in remarks.oddities(found)] == [True]


def test_why_there_is_no_calibration_is_told(made_up):
    found = made_up([0, 1], [0.1, 0.8], note="All predictions are right.")
    assert odd(found).endswith("are not calibrated: All predictions are right.")


@pytest.mark.parametrize(("best", "told"), [(3, True), (2, False)])
def test_a_best_epoch_at_the_end_is_told(made_up, best, told):
    history = {"epochs": [{}] * 3, "best_epoch": best, "kept": "best"}
    found = dataclasses.replace(made_up([0, 1], [0.1, 0.8]), history=history)
    assert ("The last epoch of 3 was the best one" in odd(found)) == told
    history["kept"] = "last"  # A schedule that ends, so that nothing follows from it.
    assert "was the best one" not in odd(found)


def limits(found):
    return " ".join(remarks.limits(found))


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("train", "These photographs trained the model"),
        ("valid", "The validation photographs helped to choose the model"),
        ("test", "Nobody counted how often these photographs were looked at"),
    ],
)
def test_what_the_photographs_were_used_for_limits_their_figures(made_up, split, words):
    found = made_up([0, 0, 1], [0.1, 0.2, 0.8], split=split)
    assert remarks.limits(found)[0].startswith(words)
    # 1 of 3.
    assert "PPV and NPV hold where 33 % have the disease" in limits(found)


def test_more_than_one_reading_is_told(made_up):
    found = made_up([0, 1], [0.1, 0.8])
    once = dataclasses.replace(found, ledger=[{"split": "test"}])
    assert "read" not in remarks.limits(once)[0]
    thrice = dataclasses.replace(found, ledger=[{"split": "test"}] * 3)
    assert "These photographs were read 3 times" in remarks.limits(thrice)[0]


@pytest.mark.parametrize(("patients", "told"), [(["a", ""], True), (["a", "b"], False)])
def test_patients_that_are_not_named_are_told(made_up, patients, told):
    found = made_up([0, 1], [0.1, 0.8], known={"patient": patients})
    assert ("Not every photograph names its patient" in limits(found)) == told


def test_remarks_of_a_real_evaluation_are_sentences(drawn_run, audited):
    found = facts.read(drawn_run, drawn_run, audited)
    for text in (*remarks.limits(found), *remarks.oddities(found)):
        assert text[0].isupper() and text.endswith(".")


def collapsed(made_up, epochs, **known):
    """A training that had collapsed in epochs 3 to 9, and kept the weights of 2."""
    collapse = {"predicted": "referable", "first_epoch": 3, "last_epoch": 9} | known
    history = {
        "epochs": [{}] * epochs,
        "best_epoch": 2,
        "kept": "best",
        "collapses": [collapse],
    }
    return dataclasses.replace(made_up([0, 1], [0.1, 0.8]), history=history)


def test_a_collapse_while_training_is_told_with_its_epochs(made_up):
    text = odd(collapsed(made_up, 9))
    assert "In epochs 3 to 9 the model had collapsed: it gave every validation" in text
    assert "the same class, referable." in text


@pytest.mark.parametrize(
    ("changes", "is_odd"),
    [
        ({}, False),
        ({"overcome": False}, True),
        ({"first_epoch": 1}, True),  # The kept epoch is one of them.
    ],
)
def test_a_collapse_that_was_overcome_is_a_note(made_up, changes, is_odd):
    found = collapsed(made_up, 12, **{"overcome": True} | changes)
    assert ("the model had collapsed" in odd(found)) == is_odd
    note = (
        "In epochs 3 to 9 the model gave every validation photograph the same class, "
        "referable, and recovered."
    )
    assert remarks.overcome(found) == [note] * (not is_odd)


def test_the_epochs_of_an_extended_run_go_on(made_up):
    history = {
        "epochs": [{}] * 3,
        "best_epoch": 303,
        "first_epoch": 301,
        "kept": "best",
    }
    found = dataclasses.replace(made_up([0, 1], [0.1, 0.8]), history=history)
    assert "The last epoch of 3 was the best one" in odd(found)
    found.history["best_epoch"] = 3
    assert odd(found) == ""
