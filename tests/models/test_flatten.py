import keras
import numpy as np
import pytest
from keras import layers

from models import flatten


def nested() -> keras.Model:
    """A functional model in a sequential in a functional one, used between others."""
    inner_input = keras.Input((8, 8, 4))
    shortcut = layers.Conv2D(4, 1, name="inner_shortcut")(inner_input)
    x = layers.BatchNormalization()(inner_input)
    x = layers.ReLU()(x)
    inner = keras.Model(inner_input, layers.Add()([x, shortcut]))
    middle = keras.Sequential([keras.Input((8, 8, 4)), inner, layers.ReLU()])
    inputs = keras.Input((8, 8, 3), name="photograph")
    x = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    x = middle(x)
    x = x * 2 + layers.ReLU()(x)
    return keras.Model(inputs, layers.Dropout(0.5)(x), name="whole")


def test_no_model_is_left_inside_and_the_function_is_the_same():
    model = nested()
    flat = flatten.flatten(model)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    assert flat.name == "whole"
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(image), flat(image))
    assert model.count_params() == flat.count_params()


def test_an_inner_layers_output_can_be_had_from_the_input_on():
    flat = flatten.flatten(nested())
    shortcut = keras.Model(flat.input, flat.get_layer("inner_shortcut").output)
    assert shortcut(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 8, 8, 4)


def test_names_are_the_same_whatever_was_built_before():
    first = [one.name for one in flatten.flatten(nested()).operations]
    for _ in range(3):
        layers.ReLU()
    second = [one.name for one in flatten.flatten(nested()).operations]
    assert first == second
    assert {"first", "inner_shortcut", "re_lu", "re_lu_1", "re_lu_2"} <= set(first)
    assert len(set(first)) == len(first)


def test_it_saves_and_loads(tmp_path):
    flat = flatten.flatten(nested())
    flat.save(tmp_path / "flat.keras")
    loaded = keras.models.load_model(tmp_path / "flat.keras")
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(flat(image), loaded(image))


@pytest.mark.parametrize("synchronized", [False, True])
def test_batch_statistics_are_synchronized_if_asked_for(synchronized):
    flat = flatten.flatten(nested(), synchronized=synchronized)
    assert flat.get_layer("batch_normalization").synchronized == synchronized


def test_a_normalization_by_fixed_numbers_becomes_a_rescaling():
    inputs = keras.Input((4, 4, 3))
    outputs = layers.Normalization(mean=[100, 50, 20], variance=[900, 400, 100])(inputs)
    flat = flatten.flatten(keras.Model(inputs, outputs))
    assert [type(layer) for layer in flat.layers[1:]] == [layers.Rescaling]
    image = np.broadcast_to(np.float32([130, 50, 0]), (1, 4, 4, 3))
    np.testing.assert_allclose(flat(image)[0, 0, 0], [1, 0, -2], atol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
def test_an_adapted_normalization_becomes_a_rescaling_too(invert, tmp_path):
    inputs = keras.Input((4, 4, 3))
    normalization = layers.Normalization(invert=invert)
    model = keras.Model(inputs, normalization(inputs))
    normalization.adapt(np.random.default_rng(0).normal([9, 5, 2], 3, (5, 4, 4, 3)))
    flat = flatten.flatten(model)
    assert [type(layer) for layer in flat.layers[1:]] == [layers.Rescaling]
    image = np.random.default_rng(1).normal([9, 5, 2], 3, (2, 4, 4, 3))
    expected = model(image.astype(np.float32))
    np.testing.assert_allclose(flat(image.astype(np.float32)), expected, atol=1e-5)
    assert np.abs(expected - image).max() > 1
    flat.save(tmp_path / "flat.keras")
    loaded = keras.models.load_model(tmp_path / "flat.keras")
    np.testing.assert_array_equal(flat(image), loaded(image))
