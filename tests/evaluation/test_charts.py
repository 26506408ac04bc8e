"""Charts of a page: the figure fits, and the words say the same as the picture."""

import dataclasses
import re

import pytest

from evaluation import charts, facts


@pytest.fixture
def drawn(drawn_run, audited):
    return facts.read(drawn_run, drawn_run, audited)


def all_of(found, split):
    return [
        *charts.discrimination(found, split),
        charts.reliability(found, split),
        charts.referral(found, split),
        charts.scores(found, split),
    ]


def test_every_chart_names_its_dataset_and_split(drawn):
    for split in ("test", "valid"):
        for chart in all_of(drawn, split):
            assert chart.picture.startswith("data:image/svg+xml;base64,")
            assert f"drawn, {split}" in chart.alt
    (learning,) = charts.learning(drawn)
    assert learning.alt == (
        "Curves of 20 epochs: training loss 0.700 in the first epoch, 0.035 in the "
        "last, validation loss 0.800 in the first epoch, 0.040 in the last; epoch 17 "
        "is kept."
    )


def test_the_words_have_the_figures_of_the_metrics(drawn):
    auc = drawn.scores["metrics"]["auc"]
    roc, pr = charts.discrimination(drawn, "test")
    ends = f"({auc['low']:.3f} to {auc['high']:.3f})"
    assert roc.alt == f"ROC curve of drawn, test: AUC {auc['value']:.3f} {ends}."
    assert "PR AUC" in pr.alt
    curve = drawn.scores["referral"]
    words = charts.referral(drawn, "test").alt
    for share, place in ((0, 0), (50, -1)):
        value = curve["value"][place]
        said = "undefined" if value is None else f"{value:.3f}"
        assert f"{share} % referred: {said}" in words


def test_what_is_undefined_is_told_with_its_reason(made_up):
    found = made_up([1, 1, 1], [0.2, 0.6, 0.9])
    roc, pr, reliability, referral, scores = all_of(found, "test")
    for chart in (roc, pr):
        assert "undefined, no photograph without the disease" in chart.alt
    assert "before calibration" not in reliability.alt
    # Two of three are found; of the surest half, the last one, all.
    assert "0 % referred: 0.667" in referral.alt
    assert referral.alt.endswith("50 % referred: 1.000.")
    assert scores.alt.endswith("Medians: referable 0.600.")


@pytest.mark.parametrize(("kept", "epoch"), [("best", 17), ("last", 20)])
def test_the_kept_epoch_is_the_best_or_the_last(drawn, kept, epoch):
    assert charts.kept_epoch(drawn.history | {"kept": kept}) == epoch


def test_the_epochs_of_an_extended_run_are_numbered_on(drawn):
    longer = drawn.history | {"kept": "last", "first_epoch": 301}
    assert charts.kept_epoch(longer) == 300 + len(drawn.history["epochs"])


def test_without_a_history_there_is_no_learning_curve(made_up, drawn):
    assert charts.learning(made_up([0, 1], [0.2, 0.7])) == []
    nothing = dataclasses.replace(drawn, history=drawn.history | {"epochs": []})
    assert charts.learning(nothing) == []


def test_grades_stand_in_the_words_of_the_scores(drawn):
    words = charts.scores(drawn, "test").alt
    assert re.search(
        r"by grade, .* 0 none 0\.\d{3}, 1 mild 0\.\d{3}, 2 moderate", words
    )
