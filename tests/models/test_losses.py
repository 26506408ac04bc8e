"""Losses against hand computations, the papers' definitions and Keras."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from models import losses

LABELS = np.array([0, 2, 4, 1, 3, 3])
LOGITS = np.random.default_rng(0).normal(0, 2, (6, 5)).astype(np.float32)
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0, 3.0, 1.0], np.float32)

ALL = {
    "corn": (losses.Corn(), LOGITS[:, :4]),
    "focal": (losses.Focal(), LOGITS),
    "smoothed_crossentropy": (losses.SmoothedCrossentropy(), LOGITS),
    "crossentropy": (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        LOGITS,
    ),
    "mean_squared_error": (keras.losses.MeanSquaredError(), LOGITS[:, :1]),
    "huber": (keras.losses.Huber(), LOGITS[:, :1]),
}


def each(loss, labels, logits):
    """The loss of each photograph, taken one by one."""
    return np.array(
        [float(loss(labels[i : i + 1], logits[i : i + 1])) for i in range(len(labels))]
    )


def crossentropy(logits, labels):
    log_probabilities = scipy.special.log_softmax(logits.astype(float), axis=1)
    return -log_probabilities[np.arange(len(labels)), labels]


def gradient(loss, labels, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits)
    return tape.gradient(value, logits).numpy()


@pytest.mark.parametrize("name", ALL)
def test_a_batch_is_the_weighted_mean_of_its_photographs(name):
    """So that halves on two replicas make a whole, which CORN's own divisor breaks."""
    loss, logits = ALL[name]
    one_by_one = each(loss, LABELS, logits)
    assert float(loss(LABELS, logits)) == pytest.approx(one_by_one.mean(), rel=1e-5)
    weighted = float(loss(LABELS, logits, sample_weight=WEIGHTS))
    assert weighted == pytest.approx((one_by_one * WEIGHTS).mean(), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_labels_may_be_of_any_integer_type(name):
    loss, logits = ALL[name]
    expected = float(loss(LABELS, logits))
    assert float(loss(LABELS.astype(np.int32), logits)) == expected


def test_corn_by_hand():
    """Odds of 3 to go on from the first class, of 1 from the second."""
    logits = np.log(np.array([[3.0, 1.0]] * 3, np.float32))
    likely = [1 / 4, 3 / 4 * 1 / 2, 3 / 4 * 1 / 2]
    np.testing.assert_allclose(
        each(losses.Corn(), np.array([0, 1, 2]), logits), -np.log(likely), rtol=1e-6
    )


def corn_of_the_paper(labels, logits):
    """Task by task over its conditional subset; divided by the sizes of all subsets."""
    total, asked = 0.0, 0
    for task in range(logits.shape[1]):
        subset = [i for i in range(len(labels)) if labels[i] > task - 1]
        for i in subset:
            probability = 1 / (1 + np.exp(-float(logits[i, task])))
            total -= np.log(probability if labels[i] > task else 1 - probability)
        asked += len(subset)
    return total / asked, asked


def test_corn_is_that_of_the_paper_but_for_the_divisor():
    logits = LOGITS[:, :4]
    theirs, asked = corn_of_the_paper(LABELS, logits)
    ours = float(losses.Corn()(LABELS, logits))
    assert ours == pytest.approx(theirs * asked / len(LABELS), rel=1e-5)


def test_the_gradient_of_corn_is_probability_minus_answer_where_it_was_asked():
    logits = LOGITS[:, :4]
    expected = np.zeros_like(logits)
    for i, label in enumerate(LABELS):
        for task in range(min(label + 1, 4)):
            answer = label > task
            expected[i, task] = scipy.special.expit(logits[i, task]) - answer
    received = gradient(losses.Corn(), LABELS, logits)
    np.testing.assert_allclose(received, expected / len(LABELS), atol=1e-6)


def test_corn_of_two_classes_is_binary_crossentropy():
    labels, logits = np.array([0, 1, 1]), np.array([[0.3], [-2.0], [5.0]], np.float32)
    keras_own = keras.losses.BinaryCrossentropy(from_logits=True)
    expected = float(keras_own(labels[:, np.newaxis].astype(np.float32), logits))
    assert float(losses.Corn()(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_focal_by_hand():
    """Probabilities 1/4 and 3/4: (3/4)^2 log 4 and (1/4)^2 log(4/3)."""
    logits = np.log(np.array([[1.0, 3.0]] * 2, np.float32))
    expected = [9 / 16 * np.log(4), 1 / 16 * np.log(4 / 3)]
    received = each(losses.Focal(), np.array([0, 1]), logits)
    np.testing.assert_allclose(received, expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_is_keras_where_keras_does_not_clip(gamma):
    keras_own = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=gamma, from_logits=True
    )
    expected = float(keras_own(np.eye(5, dtype=np.float32)[LABELS], LOGITS))
    received = float(losses.Focal(gamma=gamma)(LABELS, LOGITS))
    assert received == pytest.approx(expected, rel=1e-4)


def test_focal_without_focus_is_crossentropy():
    received = each(losses.Focal(gamma=0.0), LABELS, LOGITS)
    np.testing.assert_allclose(received, crossentropy(LOGITS, LABELS), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_corrects_a_mistake_that_the_model_is_sure_of(gamma):
    logits = np.array([[40.0, 0.0], [0.0, 40.0]], np.float32)
    received = gradient(losses.Focal(gamma=gamma), np.array([1, 1]), logits)
    # Of the mistake that of cross-entropy, of what is right none.
    np.testing.assert_allclose(received, [[0.5, -0.5], [0.0, 0.0]], atol=1e-6)
    keras_own = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, from_logits=True)
    one_hot = np.array([[0.0, 1.0]] * 2, np.float32)
    np.testing.assert_array_equal(gradient(keras_own, one_hot, logits)[0], 0.0)


def test_label_smoothing_by_the_definition():
    log_probabilities = scipy.special.log_softmax(LOGITS.astype(float), axis=1)
    expected = 0.8 * crossentropy(LOGITS, LABELS) - 0.2 * log_probabilities.mean(axis=1)
    loss = losses.SmoothedCrossentropy(label_smoothing=0.2)
    np.testing.assert_allclose(each(loss, LABELS, LOGITS), expected, rtol=1e-5)


def test_squared_error_and_smooth_l1_are_of_the_grade_of_each_photograph():
    """And not of each against every other's, as shapes (6,) and (6, 1) could give."""
    off = LOGITS[:, 0].astype(float) - LABELS
    squared = each(keras.losses.MeanSquaredError(), LABELS, LOGITS[:, :1])
    np.testing.assert_allclose(squared, off**2, rtol=1e-5)
    smooth = each(keras.losses.Huber(delta=1.0), LABELS, LOGITS[:, :1])
    far = np.abs(off) - 0.5
    np.testing.assert_allclose(
        smooth, np.where(np.abs(off) < 1, off**2 / 2, far), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["corn", "focal", "smoothed_crossentropy"])
def test_huge_logits_leave_loss_and_gradient_finite(name):
    loss, logits = ALL[name]
    huge = (np.sign(logits) * 1e4).astype(np.float32)
    assert np.isfinite(float(loss(LABELS, huge)))
    assert np.isfinite(gradient(loss, LABELS, huge)).all()


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`focal.gamma` must be at least 0.*: -1"):
        losses.Focal(gamma=-1.0)
    with pytest.raises(ValueError, match=r"label_smoothing` must be from 0 to below 1"):
        losses.SmoothedCrossentropy(label_smoothing=1.0)
