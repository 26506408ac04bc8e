"""Metrics against scikit-learn, scipy and hand computation."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from evaluation import metrics
from tests.evaluation import drawn_predictions


@pytest.mark.parametrize(
    ("num_classes", "disease_classes"), [(2, (1,)), (3, (1, 2)), (5, (2, 3, 4))]
)
@pytest.mark.parametrize("decimals", [1, 8])
def test_every_metric_agrees_with_scikit_learn(num_classes, disease_classes, decimals):
    labels, probabilities = drawn_predictions.predictions(
        200, num_classes, decimals=decimals
    )
    predicted = probabilities.argmax(axis=1)
    diseased = np.isin(labels, disease_classes)
    said_diseased = np.isin(predicted, disease_classes)
    disease_probability = probabilities[:, list(disease_classes)].sum(axis=1)

    scores = metrics.score(labels, probabilities, disease_classes)

    expected = {
        "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(labels, predicted),
        "sensitivity": sklearn.metrics.recall_score(diseased, said_diseased),
        "specificity": sklearn.metrics.recall_score(
            diseased, said_diseased, pos_label=False
        ),
        "auc": sklearn.metrics.roc_auc_score(diseased, disease_probability),
        "quadratic_kappa": sklearn.metrics.cohen_kappa_score(
            labels, predicted, weights="quadratic"
        ),
    }
    assert {name: m.value for name, m in scores.items()} == pytest.approx(expected)
    assert all(metric.reason is None for metric in scores.values())


def test_each_metric_states_how_many_photographs_it_is_counted_on():
    labels = np.array([0, 0, 0, 1, 2])
    scores = metrics.score(labels, np.eye(3)[labels], (1, 2))
    assert {name: metric.n for name, metric in scores.items()} == {
        "accuracy": 5,
        "balanced_accuracy": 5,
        "sensitivity": 2,
        "specificity": 3,
        "auc": 5,
        "quadratic_kappa": 5,
    }


def test_confusion_matrix_has_the_truth_in_its_rows():
    matrix = metrics.confusion_matrix([0, 0, 1, 2, 2], [0, 1, 1, 1, 0], 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [1, 1, 0]])


def test_confusion_matrix_of_many_resamples_equals_one_at_a_time():
    generator = np.random.default_rng(0)
    labels = generator.integers(4, size=30)
    predicted = generator.integers(4, size=(2, 3, 30))
    stacked = metrics.confusion_matrix(labels, predicted, 4)
    assert stacked.shape == (2, 3, 4, 4)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(
            stacked[i, j], sklearn.metrics.confusion_matrix(labels, predicted[i, j])
        )


def test_small_integer_types_do_not_overflow():
    labels = np.full(10, 19, np.uint8)
    assert metrics.confusion_matrix(labels, labels, 20)[19, 19] == 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 2], r"must be from 0 to 1\. Received: 0 to 2\."),
        ([-1, 1], r"must be from 0 to 1\. Received: -1 to 1\."),
        ([0.0, 1.0], r"must be integers\. Received: dtype=float64\."),
    ],
)
def test_confusion_matrix_refuses_what_is_no_class(values, message):
    with pytest.raises(ValueError, match=message):
        metrics.confusion_matrix([0, 1], values, 2)


def test_accuracy_by_hand():
    assert metrics.accuracy(np.array([[3, 1], [2, 4]])) == 0.7


def test_balanced_accuracy_leaves_out_absent_classes():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert metrics.balanced_accuracy(matrix) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_sensitivity_and_specificity_ignore_confusions_within_each_side():
    matrix = np.array([[5, 4, 1], [2, 6, 2], [3, 1, 6]])
    assert metrics.sensitivity(matrix, (2,)) == pytest.approx(6 / 10)
    assert metrics.specificity(matrix, (2,)) == pytest.approx(17 / 20)
    assert metrics.sensitivity(matrix, (1, 2)) == pytest.approx(15 / 20)
    assert metrics.specificity(matrix, (1, 2)) == pytest.approx(5 / 10)


def test_auc_is_mann_whitney_with_ties_counting_half():
    healthy, diseased = [0.1, 0.4, 0.4, 0.7], [0.4, 0.7, 0.9]
    scores = np.array(healthy + diseased)
    levels, ranks = np.unique(scores, return_inverse=True)
    table = metrics.score_table(np.arange(7) >= 4, ranks, len(levels))
    # Of 12 pairs: 0.4 wins 1 and ties 2, 0.7 wins 3 and ties 1, 0.9 wins 4.
    assert metrics.auc(table) == pytest.approx((1 + 1 + 3 + 0.5 + 4) / 12)
    u = scipy.stats.mannwhitneyu(diseased, healthy).statistic
    assert metrics.auc(table) == pytest.approx(u / 12)


def test_auc_of_constant_scores_is_one_half():
    table = metrics.score_table(np.array([False, True, True]), np.zeros(3, int), 1)
    assert metrics.auc(table) == 0.5


def test_quadratic_kappa_by_hand():
    matrix = np.array([[2, 0, 0], [0, 1, 1], [1, 0, 1]])
    observed = 1 + 4
    # Rows sum to (2, 2, 2), columns to (3, 1, 2); weights are (0, 1, 4), (1, 0, 1),
    # (4, 1, 0).
    by_chance = (2 * (0 + 1 + 8) + 2 * (3 + 0 + 2) + 2 * (12 + 1 + 0)) / 6
    assert metrics.quadratic_kappa(matrix) == pytest.approx(1 - observed / by_chance)


def test_recall_macro_f1_and_off_by_one_by_hand():
    matrix = np.array([[3, 1, 0, 0], [2, 0, 2, 0], [0, 0, 0, 0], [1, 0, 0, 1]])
    assert metrics.recall(matrix, 0) == 3 / 4
    assert metrics.recall(matrix, 1) == 0
    with pytest.raises(metrics.UndefinedMetricError, match="no photograph of this cla"):
        metrics.recall(matrix, 2)
    # 2 tp / (present + predicted); class 2 is predicted twice, so it counts.
    assert metrics.macro_f1(matrix) == pytest.approx((6 / 10 + 0 + 0 + 2 / 3) / 4)
    assert metrics.off_by_one(matrix) == (1 + 2 + 2) / 10


def test_a_class_neither_present_nor_predicted_is_left_out_of_macro_f1():
    matrix = np.array([[3, 1, 0], [1, 1, 0], [0, 0, 0]])
    assert metrics.macro_f1(matrix) == pytest.approx((6 / 8 + 2 / 4) / 2)


@pytest.mark.parametrize("decimals", [1, 8])
def test_average_precision_agrees_with_scikit_learn(decimals):
    labels, probabilities = drawn_predictions.predictions(150, 2, decimals=decimals)
    levels, ranks = np.unique(probabilities[:, 1], return_inverse=True)
    table = metrics.score_table(labels, ranks, len(levels))
    expected = sklearn.metrics.average_precision_score(labels, probabilities[:, 1])
    assert metrics.average_precision(table) == pytest.approx(expected)


def test_predictive_values_at_a_prevalence_by_hand():
    # Of 1,000 people 100 are ill: 90 found; of 900 healthy 720 are let go.
    assert metrics.ppv_at_prevalence(0.9, 0.8, 0.1) == pytest.approx(90 / 270)
    assert metrics.npv_at_prevalence(0.9, 0.8, 0.1) == pytest.approx(720 / 730)
    with pytest.raises(metrics.UndefinedMetricError, match="called diseased"):
        metrics.ppv_at_prevalence(0.0, 1.0, 0.1)
    with pytest.raises(metrics.UndefinedMetricError, match="called healthy"):
        metrics.npv_at_prevalence(1.0, 0.0, 0.1)


def test_those_of_many_resamples_that_define_nothing_are_nan():
    matrices = np.array([[[3, 1], [0, 2]], [[3, 1], [0, 0]], [[0, 0], [0, 0]]])
    undefined = {
        metrics.accuracy: [False, False, True],
        metrics.balanced_accuracy: [False, False, True],
        metrics.macro_f1: [False, False, True],
        metrics.off_by_one: [False, False, True],
        metrics.quadratic_kappa: [False, True, True],
    }
    for function, expected in undefined.items():
        assert np.isnan(function(matrices)).tolist() == expected
    assert np.isnan(metrics.sensitivity(matrices, (1,))).tolist() == [False, True, True]
    tables = np.array([[[1, 2], [0, 1]], [[0, 0], [1, 1]], [[2, 0], [0, 0]]])
    for function in (metrics.auc, metrics.average_precision):
        assert np.isnan(function(tables)).tolist() == [False, True, True]


def test_kappa_of_two_classes_is_cohens_plain_kappa():
    labels, probabilities = drawn_predictions.predictions(60, 2)
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, 2)
    plain = sklearn.metrics.cohen_kappa_score(labels, predicted)
    assert metrics.quadratic_kappa(matrix) == pytest.approx(plain)


def test_metrics_of_many_resamples_equal_one_at_a_time():
    generator = np.random.default_rng(0)
    matrices = generator.integers(1, 20, size=(2, 3, 5, 5))
    tables = generator.integers(0, 9, size=(2, 3, 2, 12))
    for function, counts, *rest in (
        (metrics.accuracy, matrices),
        (metrics.balanced_accuracy, matrices),
        (metrics.sensitivity, matrices, (3, 4)),
        (metrics.specificity, matrices, (3, 4)),
        (metrics.quadratic_kappa, matrices),
        (metrics.recall, matrices, 3),
        (metrics.macro_f1, matrices),
        (metrics.off_by_one, matrices),
        (metrics.auc, tables),
        (metrics.average_precision, tables),
    ):
        stacked = function(counts, *rest)
        assert stacked.shape == (2, 3)
        for i, j in np.ndindex(2, 3):
            assert stacked[i, j] == pytest.approx(function(counts[i, j], *rest))


def reasons(labels, num_classes, disease_classes):
    labels = np.array(labels, int)
    probabilities = np.full((len(labels), num_classes), 1 / num_classes)
    scores = metrics.score(labels, probabilities, disease_classes)
    assert all((m.value is None) == (m.reason is not None) for m in scores.values())
    return {name: m.reason for name, m in scores.items() if m.value is None}


def test_without_photographs_every_metric_is_undefined():
    assert reasons([], 2, (1,)) == {
        "accuracy": "no photograph",
        "balanced_accuracy": "no photograph",
        "sensitivity": "no photograph with the disease",
        "specificity": "no photograph without the disease",
        "auc": "no photograph with the disease",
        "quadratic_kappa": "no photograph",
    }


def test_without_the_disease_three_metrics_are_undefined():
    assert reasons([0, 0, 0], 2, (1,)) == {
        "sensitivity": "no photograph with the disease",
        "auc": "no photograph with the disease",
        "quadratic_kappa": "photographs of one class only",
    }


def test_without_healthy_photographs_kappa_of_several_grades_stands():
    assert reasons([2, 3, 4], 5, (2, 3, 4)) == {
        "specificity": "no photograph without the disease",
        "auc": "no photograph without the disease",
    }


def test_one_photograph_of_each_side_defines_everything():
    assert reasons([0, 1], 2, (1,)) == {}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"labels of shape \(2,\), probabilities of shape \(3, 2\)\. Pass"),
        ([[1, 0]] * 3, r"labels of shape \(3, 2\).* Pass class numbers, not one-hot"),
        ([0.0, 1.0, 1.0], r"must be integers\. Received: dtype=float64\. Photographs"),
        ([0, 2, 1], r"from 0 to 1, one for .*Received: label 2 in row 1 \(1 such"),
        ([0, -1, -1], r"Received: label -1 in row 1 \(2 such rows\)\. Score with"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        metrics.score(np.array(labels), np.full((3, 2), 0.5), (1,))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 0.5], r"must be finite\. Received: \[nan, 0\.5\] in row 1 \(1 such"),
        (
            [np.inf, 0.0],
            r"0\.0\] in row 1 \(1 such rows\)\. The training that made them",
        ),
        (
            [2.0, 3.0],
            r"sum to 1 within 0\.0001\. Received: \[2\.0, 3\.0\] in row 1, sum",
        ),
        ([1.5, -0.5], r"from 0 to 1 and each row.* in row 1, sum 1 \(1 such rows\)"),
        ([0.5, 0.4998], r"sum 0\.9998 \(1 such rows\)\. Logits must go through"),
    ],
)
def test_rows_that_are_no_probabilities_are_refused(row, message):
    with pytest.raises(ValueError, match=message):
        metrics.score(np.array([0, 1]), np.array([[0.5, 0.5], row]), (1,))


def test_rounding_of_probabilities_is_tolerated():
    rows = np.array([[0.5, 0.50005], [-1e-8, 1]], np.float32)
    assert metrics.score(np.array([0, 1]), rows, (1,))["auc"].value == 1


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2, 1)])
def test_probabilities_need_a_column_for_each_class(shape):
    with pytest.raises(ValueError, match=r"at least two classes\. Received: shape="):
        metrics.score(np.zeros(3, int), np.ones(shape), (1,))


@pytest.mark.parametrize("disease_classes", [(), (2,), (-1,), (0, 1), (1, 1)])
def test_disease_classes_must_split_the_classes(disease_classes):
    with pytest.raises(ValueError, match="not all of the classes 0 to 1, each once"):
        metrics.score(np.array([0, 1]), np.full((2, 2), 0.5), disease_classes)


@pytest.mark.parametrize(
    ("confusion", "expected"),
    [
        ([[3, 1], [0, 2]], None),
        ([[4, 0], [2, 0]], 0),
        ([[0, 0, 2], [0, 0, 1], [0, 0, 4]], 2),
        ([[6, 0], [0, 0]], None),  # All are of that class.
    ],
)
def test_one_class_for_photographs_of_several_is_seen(confusion, expected):
    assert metrics.only_class(np.array(confusion)) == expected
