import keras
import numpy as np
import pytest

from models import outputs


def test_softmax_gives_probabilities_by_the_definition():
    logits = np.array([[0.0, np.log(3)], [100.0, 100.0]], np.float32)
    np.testing.assert_allclose(
        outputs.Softmax().probabilities(logits), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-6
    )


def test_softmax_survives_huge_logits():
    probabilities = outputs.Softmax().probabilities(np.array([[1e4, -1e4]], np.float32))
    np.testing.assert_array_equal(probabilities, [[1.0, 0.0]])


def test_softmax_has_a_logit_a_class():
    assert outputs.Softmax().num_outputs(5) == 5


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None),
        keras.losses.MeanSquaredError(),
    ],
)
def test_a_loss_that_does_not_take_logits_is_refused(loss):
    with pytest.raises(ValueError, match=r"from_logits = True: models emit logits"):
        outputs.Softmax().check_loss(loss)
