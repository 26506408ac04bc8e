import keras
import numpy as np
import pytest
import tensorflow as tf

from models import heads


def build(**settings) -> keras.Model:
    inputs = keras.Input((4, 5, 6))
    return keras.Model(inputs, heads.classify(inputs, 3, **settings))


def test_the_layers_of_a_head_are_named():
    names = [layer.name for layer in build(hidden_units=8, dropout=0.3).layers]
    assert names[1:] == list(heads.NAMES)
    assert [one.name for one in build().layers][1:] == ["feature_map", "pool", "logits"]


def test_logits_are_float32_whatever_the_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(hidden_units=8)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output.dtype == "float32"
    assert model.get_layer("hidden").compute_dtype == "bfloat16"


def test_logits_by_hand():
    model = build(hidden_units=7, dropout=0.3)
    rng = np.random.default_rng(0)
    shapes = [(6, 7), (7,), (7, 3), (3,)]
    w1, b1, w2, b2 = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    model.set_weights([w1, b1, w2, b2])
    maps = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    hidden = np.maximum(maps.mean(axis=(1, 2)) @ w1 + b1, 0)
    np.testing.assert_allclose(model(maps), hidden @ w2 + b2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden_units", [None, 7])
def test_the_gradient_at_the_feature_map_has_the_closed_form_of_the_docstring(
    hidden_units,
):
    model = build(hidden_units=hidden_units, dropout=0.3)
    maps = tf.random.stateless_normal((2, 4, 5, 6), seed=(1, 2))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logit = model(maps, training=False)[:, 1]
    gradient = tape.gradient(logit, maps).numpy()
    if hidden_units:
        w1, b1, w2, _ = model.get_weights()
        active = maps.numpy().mean(axis=(1, 2)) @ w1 + b1 > 0
        closed = (active * w2[:, 1]) @ w1.T
    else:
        w2, _ = model.get_weights()
        closed = np.tile(w2[:, 1], (2, 1))
    expected = np.broadcast_to(closed[:, None, None] / 20, gradient.shape)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout": 1.0}, r"`dropout` must be from 0 to below 1\. Received: 1\.0"),
        ({"hidden_units": 0}, r"must be None or at least 1\. Received: 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)
