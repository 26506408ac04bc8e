import keras
import numpy as np
import pytest

from evaluation import predict
from input_pipeline import images


@pytest.fixture
def mean_model():
    """Logits are the means of red and green, so the right answer is known."""
    inputs = keras.Input((64, 64, 3))
    means = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, means[:, :2])


@pytest.mark.parametrize("batch_size", [7, 52, 64])
def test_every_photograph_is_predicted_once_and_in_order(
    prepared, mean_model, batch_size
):
    ids = [one.id for one in reversed(prepared.photographs)]
    logits = predict.Forward(mean_model, batch_size)(images.open(prepared, ids))
    expected = [prepared.read_image(one).mean(axis=(0, 1))[:2] for one in ids]
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_batches_do_not_change_a_prediction(prepared):
    model = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            keras.layers.Conv2D(2, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalMaxPool2D(),
        ]
    )
    photographs = images.open(prepared, [one.id for one in prepared.photographs])
    one_by_one, together = (
        predict.Forward(model, size)(photographs) for size in (1, 52)
    )
    np.testing.assert_allclose(one_by_one, together, rtol=1e-4)
