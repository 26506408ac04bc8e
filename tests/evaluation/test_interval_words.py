import numpy as np

from evaluation import interval_words, intervals, table


def sentences(labels, disease, groups=None, **settings):
    disease = np.array(disease, float)
    scores = intervals.score_with_intervals(
        np.array(labels),
        np.stack([1 - disease, disease], axis=1),
        (1,),
        groups=groups,
        resamples=200,
        **settings,
    )
    return interval_words.sentences(scores, table.label)


LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
DISEASE = [0.1, 0.6, 0.2, 0.3, 0.9, 0.4, 0.7, 0.8]


def test_each_figure_is_in_the_sentence_of_its_interval():
    said = sentences(LABELS, DISEASE, prevalence=0.1)
    kinds = {text.partition(": ")[2].split()[0]: text for text in said}
    assert kinds["Wilson's"].startswith("PR AUC: ")  # The last of two.
    assert said[0] == (
        "Accuracy, sensitivity, specificity, PPV, NPV and Brier: Wilson's score "
        "interval, which holds for few photographs and near 0 and 1."
    )
    assert kinds["put"].startswith(
        "Balanced accuracy, ppv at prevalence and npv at prevalence: "
    )
    assert kinds["DeLong's"].startswith("AUC: ")
    assert "Macro F1, quadratic kappa and log loss: percentiles of 200" in said[-2]
    assert said[-1].startswith("Calibration error: percentiles of 200 bootstrap res")


def test_patients_are_spoken_of_where_they_repeat_only():
    (*_, last) = sentences(LABELS, DISEASE, groups=list("aabcdeff"))
    assert last.startswith("Photographs of one patient are alike")
    said = sentences(LABELS, DISEASE, groups=list("abcdefgh"))
    assert not any("patient" in text for text in said)


def test_what_has_no_interval_is_in_no_sentence():
    said = sentences(LABELS, LABELS)
    assert any(text.startswith("AUC: Newcombe's") for text in said)
    assert not any("kappa" in text for text in said)


def test_the_recalls_of_classes_are_named_once():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=60)
    weights = np.exp(rng.normal(size=(60, 3)) + np.eye(3)[labels])
    scores = intervals.score_with_intervals(
        labels, weights / weights.sum(axis=1, keepdims=True), (1, 2), resamples=100
    )
    first = interval_words.sentences(scores, table.label)[0]
    assert first.startswith("Accuracy, off by one, recall, class Brier, sensitivity, ")
