"""Every figure against scikit-learn or a hand computation."""

import numpy as np
import pytest
import sklearn.metrics

from evaluation import metrics, scoring
from tests.evaluation import drawn_predictions


def calibration_error(outcome, probability, bins=15):
    """By its definition, a bin at a time."""
    total = 0
    for b in range(bins):
        inside = (probability >= b / bins) & (probability < (b + 1) / bins)
        if b == bins - 1:
            inside |= probability == 1
        if inside.any():
            gap = abs(probability[inside].mean() - outcome[inside].mean())
            total += inside.sum() / len(outcome) * gap
    return total


@pytest.mark.parametrize("threshold", [None, 0.37])
@pytest.mark.parametrize("decimals", [2, 8])
@pytest.mark.parametrize(
    ("num_classes", "disease_classes"), [(2, (1,)), (2, (0,)), (5, (2, 3, 4))]
)
def test_every_figure_agrees_with_scikit_learn(
    num_classes, disease_classes, decimals, threshold
):
    labels, probabilities = drawn_predictions.predictions(
        211, num_classes, decimals=decimals
    )
    scores = scoring.Scorer(
        labels, probabilities, disease_classes, threshold=threshold, prevalence=0.05
    ).score()

    diseased = np.isin(labels, disease_classes)
    disease = probabilities[:, list(disease_classes)].sum(axis=1).clip(0, 1)
    predicted = probabilities.argmax(axis=1)
    said = np.isin(predicted, disease_classes)
    if threshold is not None:
        said = disease >= threshold
        if num_classes == 2:
            predicted = np.where(said, disease_classes[0], 1 - disease_classes[0])
    sensitivity = sklearn.metrics.recall_score(diseased, said)
    specificity = sklearn.metrics.recall_score(diseased, said, pos_label=False)
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(labels, predicted),
        "macro_f1": sklearn.metrics.f1_score(labels, predicted, average="macro"),
        "quadratic_kappa": sklearn.metrics.cohen_kappa_score(
            labels, predicted, weights="quadratic"
        ),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": sklearn.metrics.precision_score(diseased, said),
        "npv": sklearn.metrics.precision_score(diseased, said, pos_label=False),
        "ppv_at_prevalence": 0.05
        * sensitivity
        / (0.05 * sensitivity + 0.95 * (1 - specificity)),
        "npv_at_prevalence": 0.95
        * specificity
        / (0.95 * specificity + 0.05 * (1 - sensitivity)),
        "auc": sklearn.metrics.roc_auc_score(diseased, disease),
        "pr_auc": sklearn.metrics.average_precision_score(diseased, disease),
        "brier": sklearn.metrics.brier_score_loss(diseased, disease),
        "log_loss": sklearn.metrics.log_loss(diseased, disease),
        "calibration_error": calibration_error(diseased, disease),
    }
    if num_classes > 2:
        recalls = sklearn.metrics.recall_score(labels, predicted, average=None)
        expected |= {f"recall_{c}": recall for c, recall in enumerate(recalls)}
        expected |= {
            "off_by_one": (np.abs(labels - predicted) == 1).mean(),
            "class_brier": np.square(probabilities - np.eye(5)[labels]).sum(1).mean(),
            "class_log_loss": sklearn.metrics.log_loss(labels, probabilities),
            "class_calibration_error": calibration_error(
                labels == predicted, probabilities.max(axis=1)
            ),
        }
    assert {name: one.value for name, one in scores.items()} == pytest.approx(expected)
    assert all(one.reason is None for one in scores.values())


def test_each_figure_states_how_many_photographs_it_is_counted_on():
    labels = np.array([0, 0, 0, 1, 2, 2])
    probabilities = np.eye(3)[[0, 0, 1, 1, 2, 0]]
    scores = scoring.Scorer(labels, probabilities, (1, 2)).score()
    others = {name: one.n for name, one in scores.items() if one.n != 6}
    assert others == {
        "recall_0": 3,
        "recall_1": 1,
        "recall_2": 2,
        "sensitivity": 3,
        "specificity": 3,
        "ppv": 3,
        "npv": 3,
    }


@pytest.mark.parametrize("decimals", [1, 8])
def test_weights_count_photographs_as_often_as_if_they_were_repeated(decimals):
    labels, probabilities = drawn_predictions.predictions(60, 5, decimals=decimals)
    generator = np.random.default_rng(1)
    weights = generator.integers(0, 3, size=(4, 60))
    scorer = scoring.Scorer(labels, probabilities, (2, 3, 4), prevalence=0.2)
    values = scorer.values(weights.astype(float), list(scorer.figures))
    for row, counts in enumerate(weights):
        picked = np.repeat(np.arange(60), counts)
        repeated = scoring.Scorer(
            labels[picked], probabilities[picked], (2, 3, 4), prevalence=0.2
        ).score()
        assert {name: one[row] for name, one in values.items()} == pytest.approx(
            {name: one.value for name, one in repeated.items()}
        )


def test_weights_that_leave_a_figure_undefined_give_nan():
    labels, probabilities = drawn_predictions.predictions(40, 2)
    scorer = scoring.Scorer(labels, probabilities, (1,))
    weights = np.stack([labels == 0, np.ones(40)]).astype(float)
    values = scorer.values(weights, ["sensitivity", "auc", "accuracy"])
    assert np.isnan(values["sensitivity"]).tolist() == [True, False]
    assert np.isnan(values["auc"]).tolist() == [True, False]
    assert not np.isnan(values["accuracy"]).any()
    assert np.isnan(scorer.values(weights[:1], ["auc"])["auc"]).all()


def reasons(labels, predicted, **settings):
    scorer = scoring.Scorer(
        np.array(labels, int),
        np.eye(3)[predicted].reshape(-1, 3),
        (1, 2),
        **settings,
    )
    scores = scorer.score()
    assert all(
        (one.value is None) == (one.reason is not None) for one in scores.values()
    )
    return {name: one.reason for name, one in scores.items() if one.reason}


def test_absent_classes_leave_figures_undefined_with_their_reason():
    assert reasons([0, 0], [0, 0], prevalence=0.1) == {
        "quadratic_kappa": "photographs of one class only",
        "recall_1": "no photograph of this class",
        "recall_2": "no photograph of this class",
        "sensitivity": "no photograph with the disease",
        "ppv": "no photograph called diseased",
        "ppv_at_prevalence": "no photograph with the disease",
        "npv_at_prevalence": "no photograph with the disease",
        "auc": "no photograph with the disease",
        "pr_auc": "no photograph with the disease",
    }
    assert reasons([1, 2], [1, 0]) == {
        "recall_0": "no photograph of this class",
        "specificity": "no photograph without the disease",
        "auc": "no photograph without the disease",
        "pr_auc": "no photograph without the disease",
    }
    assert reasons([0, 1], [0, 0], prevalence=0.1) == {
        "recall_2": "no photograph of this class",
        "ppv": "no photograph called diseased",
        "ppv_at_prevalence": "no photograph called diseased",
    }


def test_without_photographs_everything_is_undefined():
    scores = scoring.Scorer(np.array([]), np.zeros((0, 5)), (3, 4)).score()
    assert all(one.value is None and one.n == 0 for one in scores.values())


def test_a_sure_mistake_has_a_large_but_finite_log_loss():
    scores = scoring.Scorer(np.array([0, 1]), np.eye(2)[[1, 1]], (1,)).score()
    assert scores["log_loss"].value == pytest.approx(-np.log(2.0**-52) / 2)
    assert scores["calibration_error"].value == 0.5


def test_rounding_below_0_does_not_escape_a_threshold_of_0():
    probabilities = np.array([[1 + 1e-9, -1e-9], [0.5, 0.5]])
    scorer = scoring.Scorer(np.array([0, 1]), probabilities, (1,), threshold=0.0)
    assert scorer.said_diseased.all()


def test_training_follows_figures_of_the_same_values():
    labels, probabilities = drawn_predictions.predictions(80, 5)
    full = scoring.Scorer(labels, probabilities, (2, 3, 4)).score()
    for name, one in metrics.score(labels, probabilities, (2, 3, 4)).items():
        assert one.value == pytest.approx(full[name].value)
        assert one.n == full[name].n


def test_what_is_listed_as_better_when_lower_is_a_figure():
    labels, probabilities = drawn_predictions.predictions(20, 5)
    figures = scoring.Scorer(labels, probabilities, (4,)).figures
    assert set(scoring.LOWER_IS_BETTER) <= set(figures)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"threshold": 1.5}, r"`threshold` must be from 0 to 1\. Received: threshold="),
        ({"threshold": float("nan")}, "`threshold` must be from 0 to 1"),
        ({"prevalence": 0.0}, "`prevalence` must be between 0 and 1, exclusive"),
        ({"prevalence": 10}, "Received: prevalence=10"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        scoring.Scorer(np.array([0, 1]), np.eye(2), (1,), **setting)
