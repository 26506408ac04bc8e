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


def test_the_symmetries_of_a_square_are_what_numpy_makes_of_them():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    turned = [np.rot90(images, turns, axes=(1, 2)) for turns in range(4)]
    expected = {one.tobytes() for view in turned for one in (view, view[:, :, ::-1])}
    assert len(expected) == 8
    found = [np.array(one) for one in predict.Symmetries().views(images)]
    assert {one.tobytes() for one in found} == expected
    np.testing.assert_array_equal(found[0], images)


@pytest.mark.parametrize(
    ("settings", "count"),
    [({"quarter_turns": False}, 2), ({"flips": False}, 4), ({}, 8)],
)
def test_logits_are_averaged_over_the_views(prepared, settings, count):
    """Of a model that sees its photograph's upper left corner alone."""
    inputs = keras.Input((64, 64, 3))
    model = keras.Model(inputs, inputs[:, 0, 0, :2])
    ids = [one.id for one in prepared.photographs][:3]
    forward = predict.Forward(model, symmetries=predict.Symmetries(**settings))
    for key, logits in zip(ids, forward(images.open(prepared, ids)), strict=True):
        corners = prepared.read_image(key)[::63, ::63, :2].astype(float)
        if count == 2:  # The upper two, which a mirror exchanges.
            corners = corners[:1]
        np.testing.assert_allclose(logits, corners.mean(axis=(0, 1)), rtol=1e-5)


def test_no_symmetry_at_all_is_an_error():
    with pytest.raises(ValueError, match=r"flips or quarter_turns\. Received: neither"):
        predict.Symmetries(flips=False, quarter_turns=False)
