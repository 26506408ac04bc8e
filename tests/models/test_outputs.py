"""Outputs against their definitions, by brute force and automatic differentiation."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from models import losses, outputs
from models import probabilities as of_outputs

CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# (output for 5 classes, logits of 200 photographs)
OUTPUTS = {
    "softmax": (outputs.Softmax(), 5),
    "softmax of two": (outputs.Softmax(), 2),
    "ordinal": (outputs.Ordinal(), 4),
    "ordinal of two": (outputs.Ordinal(), 1),
    "regression": (outputs.Regression(5), 1),
}


def logits_of(name, spread=3.0, n=200):
    output, num_outputs = OUTPUTS[name]
    logits = np.random.default_rng(0).normal(0, spread, (n, num_outputs))
    if isinstance(output, outputs.Regression):
        logits += 2
    return logits.astype(np.float32)


def classes_of(name, n=200):
    output, num_outputs = OUTPUTS[name]
    num_classes = output.probabilities(np.zeros((1, num_outputs))).shape[1]
    return np.arange(n) % num_classes


def test_softmax_gives_probabilities_by_the_definition():
    logits = np.array([[0.0, np.log(3)], [100.0, 100.0]], np.float32)
    np.testing.assert_allclose(
        outputs.Softmax().probabilities(logits), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-6
    )


def test_softmax_survives_huge_logits():
    probabilities = outputs.Softmax().probabilities(np.array([[1e4, -1e4]], np.float32))
    np.testing.assert_array_equal(probabilities, [[1.0, 0.0]])


def test_each_output_has_its_number_of_logits():
    assert outputs.Softmax().num_outputs(5) == 5
    assert outputs.Ordinal().num_outputs(5) == 4
    assert outputs.Regression().num_outputs(5) == 1


def test_ordinal_probabilities_by_hand():
    """Odds of 3, of 1 and of 1/3 to go on."""
    logits = np.log(np.array([[3.0, 1.0, 1 / 3]]))
    expected = [[1 / 4, 3 / 4 * 1 / 2, 3 / 8 * 3 / 4, 3 / 8 * 1 / 4]]
    np.testing.assert_allclose(outputs.Ordinal().probabilities(logits), expected)


def test_ordinal_probabilities_are_the_shares_of_photographs_that_stop_there():
    """Photographs walk from class to class and go on with their probability."""
    generator = np.random.default_rng(0)
    logits = np.array([1.0, -0.5, 0.3, 2.0])
    goes_on = generator.random((400_000, 4)) < 1 / (1 + np.exp(-logits))
    stops = np.where(goes_on.all(axis=1), 4, (~goes_on).argmax(axis=1))
    shares = np.bincount(stops, minlength=5) / len(stops)
    received = outputs.Ordinal().probabilities(logits[np.newaxis])[0]
    np.testing.assert_allclose(received, shares, atol=0.003)


def test_the_probability_to_exceed_a_class_falls_whatever_the_logits():
    """The rank consistency that CORN is made for, and softmax does not promise."""
    probabilities = outputs.Ordinal().probabilities(logits_of("ordinal", 10.0))
    exceeds = 1 - probabilities.cumsum(axis=1)
    assert (np.diff(exceeds, axis=1) <= 1e-12).all()


def test_corn_is_the_log_likelihood_of_the_ordinal_probabilities():
    logits, labels = logits_of("ordinal", n=50), classes_of("ordinal", n=50)
    likely = outputs.Ordinal().probabilities(logits)[np.arange(50), labels]
    received = float(losses.Corn()(labels, logits))
    assert received == pytest.approx(-np.log(likely).mean(), rel=1e-5)


def test_regression_probabilities_are_areas_under_a_normal_density():
    """Of a grade that scatters around the value, by numerical integration."""
    for value in (-0.7, 1.9, 4.2):
        grid = np.linspace(value - 6, value + 6, 1_200_001)
        density = scipy.stats.norm.pdf(grid, value, of_outputs.USUAL_SIGMA)
        nearest = np.clip(np.floor(grid + 0.5), 0, 4).astype(int)
        areas = np.bincount(nearest, density, 5) * (grid[1] - grid[0])
        received = outputs.Regression(5).probabilities(np.array([[value]]))[0]
        np.testing.assert_allclose(received, areas, atol=1e-5)


def test_regression_of_a_whole_number_means_that_grade_with_probability_two_thirds():
    probabilities = outputs.Regression(5).probabilities(np.array([[2.0]]))[0]
    assert probabilities[2] == pytest.approx(0.6827, abs=1e-4)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)


def test_small_regression_probabilities_keep_their_digits():
    """In the far tails, where 1 minus something has none left."""
    cuts = np.array([0.0, 1.0])
    probabilities = of_outputs.grades(np.array([[20.0], [-19.0]]), cuts, 1.0)
    expected = np.exp(scipy.stats.norm.logcdf(-19))
    np.testing.assert_allclose(probabilities[0, 1], expected, rtol=1e-6)
    np.testing.assert_allclose(probabilities[1, 1], expected, rtol=1e-6)


@pytest.mark.parametrize("name", OUTPUTS)
def test_probabilities_sum_to_1_even_of_huge_logits(name):
    output, _ = OUTPUTS[name]
    for spread in (1.0, 1e4):
        probabilities = output.probabilities(logits_of(name, spread))
        assert probabilities.dtype == np.float64
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_class_predicted_within_a_graph_is_the_most_probable_one(name):
    output, _ = OUTPUTS[name]
    logits = logits_of(name)
    predicted = tf.function(output.predicted)(tf.constant(logits)).numpy()
    np.testing.assert_array_equal(
        predicted, output.probabilities(logits).argmax(axis=1)
    )
    assert len(set(predicted)) == len(set(classes_of(name)))


def test_a_class_of_the_softmax_is_explained_by_its_logit():
    logits = np.array([[1.0, -2.0, 4.0]], np.float32)
    received = outputs.Softmax().explained(logits, np.array([1]))
    np.testing.assert_array_equal(received, [-2.0])


@pytest.mark.parametrize("name", ["softmax of two", "ordinal of two"])
def test_one_of_two_classes_is_explained_by_its_log_odds(name):
    output, _ = OUTPUTS[name]
    logits, classes = logits_of(name), classes_of(name)
    right = output.probabilities(logits)[np.arange(200), classes]
    np.testing.assert_allclose(
        output.explained(logits, classes), scipy.special.logit(right), rtol=1e-4
    )


def test_an_ordinal_class_is_explained_by_the_log_odds_of_reaching_it():
    logits, classes = logits_of("ordinal"), classes_of("ordinal")
    probabilities = outputs.Ordinal().probabilities(logits)
    expected = []
    for row, wanted in zip(probabilities, classes, strict=True):
        if wanted == 0:
            expected.append(np.log(row[0] / row[1:].sum()))
        else:
            expected.append(np.log(row[wanted:].sum() / row[:wanted].sum()))
    received = outputs.Ordinal().explained(logits, classes)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


def test_a_regression_is_explained_by_its_value_and_the_lowest_class_by_minus_it():
    logits = np.array([[1.5], [1.5], [-3.0]], np.float32)
    received = outputs.Regression(5).explained(logits, np.array([0, 3, 4]))
    np.testing.assert_array_equal(received, [-1.5, 1.5, -3.0])


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_explains_a_class_rises_with_the_probability_of_reaching_it(name):
    """Along its own gradient; for the lowest class, of staying in it."""
    output, _ = OUTPUTS[name]
    logits, classes = logits_of(name, 1.0), classes_of(name)
    step = 1e-3 * np.asarray(output.explained_gradient(logits, classes))

    def goal(at):
        probabilities = output.probabilities(at)
        exact = probabilities[np.arange(200), classes]
        beyond = np.arange(probabilities.shape[1]) >= classes[:, np.newaxis]
        reached = (probabilities * beyond).sum(axis=1)
        nominal = isinstance(output, outputs.Softmax)
        return np.where((classes == 0) | nominal, exact, reached)

    assert (goal(logits + step) > goal(logits - step)).all()


@pytest.mark.parametrize("spread", [1.0, 10.0, 1e4])
@pytest.mark.parametrize("name", OUTPUTS)
def test_the_closed_gradient_is_that_of_automatic_differentiation(name, spread):
    output, _ = OUTPUTS[name]
    logits, classes = tf.constant(logits_of(name, spread)), classes_of(name)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        explained = output.explained(logits, classes)
    expected = tape.gradient(explained, logits).numpy()
    assert explained.shape == (200,)
    assert np.isfinite(explained.numpy()).all()
    received = tf.function(output.explained_gradient)(logits, tf.constant(classes))
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-6)
    assert (np.abs(expected).max(axis=1) > 0.1).all(), "no gradient may vanish"


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_explains_differentiates_as_finite_differences_do(name):
    output, num_outputs = OUTPUTS[name]
    logits, classes = logits_of(name).astype(np.float64), classes_of(name)
    received = np.asarray(output.explained_gradient(logits, classes))
    for number in range(num_outputs):
        step = np.zeros(num_outputs)
        step[number] = 1e-5
        above, below = (output.explained(logits + s, classes) for s in (step, -step))
        slope = (np.asarray(above) - np.asarray(below)) / 2e-5
        np.testing.assert_allclose(received[:, number], slope, atol=1e-5)


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        (outputs.Softmax(), CROSSENTROPY),
        (outputs.Softmax(), losses.Focal()),
        (outputs.Softmax(), losses.SmoothedCrossentropy()),
        (outputs.Ordinal(), losses.Corn()),
        (outputs.Regression(), keras.losses.MeanSquaredError()),
        (outputs.Regression(), keras.losses.Huber(delta=0.5)),
    ],
)
def test_an_output_accepts_its_losses_and_no_other_does(output, loss):
    output.check_loss(loss)
    others = {outputs.Softmax(), outputs.Ordinal(), outputs.Regression()} - {output}
    for other in others:
        with pytest.raises(
            ValueError,
            match=rf"fit the output '{other.name}' .*"
            rf"Received: {type(loss).__name__} .*"
            rf"It goes with train\.output = @{output.name}\(\)\.$",
        ):
            other.check_loss(loss)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None),
        keras.losses.MeanSquaredError(),
    ],
)
def test_a_loss_that_does_not_take_logits_is_refused(loss):
    with pytest.raises(ValueError, match=r"from_logits = True: models emit logits\."):
        outputs.Softmax().check_loss(loss)


def test_a_loss_that_is_not_the_mean_of_a_batch_is_refused():
    summed = keras.losses.MeanSquaredError(reduction="sum")
    message = (
        r"the mean of a batch: @MeanSquaredError\(\) or @Huber\(\)\. Received: .*'sum'"
    )
    with pytest.raises(ValueError, match=message):
        outputs.Regression().check_loss(summed)


@pytest.mark.parametrize("output", [outputs.Softmax(), outputs.Ordinal()])
def test_an_output_is_found_by_its_name(output):
    assert outputs.by_name(output.name, 3) == output


def test_a_regression_found_by_its_name_knows_its_classes():
    found = outputs.by_name("regression", 3)
    assert found.probabilities(np.zeros((2, 1))).shape == (2, 3)


def test_an_unknown_output_is_refused():
    message = r"one of softmax, ordinal, regression\. Received: 'coral'"
    with pytest.raises(ValueError, match=message):
        outputs.by_name("coral", 5)


def test_a_regression_that_was_not_told_its_classes_says_so():
    with pytest.raises(ValueError, match=r"Regression\(\)\.for_classes\(len\(task"):
        outputs.Regression().probabilities(np.zeros((1, 1)))
