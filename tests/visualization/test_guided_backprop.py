import keras
import numpy as np
import pytest

from visualization import grad_cam, guided_backprop, layers


def two_layers(activation):
    """1 x 1 convolutions, so that the hand can follow: 3 -> 2 -> 1 channels."""
    inputs = keras.Input((4, 4, 3))
    if activation == "fused":
        x = keras.layers.Conv2D(2, 1, use_bias=False, activation="relu", name="a")(
            inputs
        )
    else:
        x = keras.layers.Conv2D(2, 1, use_bias=False, name="a")(inputs)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(
        1, 1, use_bias=False, activation="relu", name="feature_map"
    )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False, name="logits")(x))
    model.get_layer("a").set_weights([A[None, None]])
    model.get_layer("feature_map").set_weights([B[None, None]])
    model.get_layer("logits").set_weights([C])
    return model


A = np.array([[1.0, -1.0], [0.5, 1.0], [-1.0, 2.0]])
B = np.array([[2.0], [-0.5]])
C = np.array([[1.0, -1.0]])


@pytest.mark.parametrize("activation", ["fused", "layer"])
def test_only_what_is_positive_passes_each_relu(activation, softmax):
    image = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3))
    hidden = np.maximum(image @ A, 0)
    last = np.maximum(hidden @ B, 0)
    # Class 0 gains 1 a unit, and class 1 loses as much: together 2.
    gradient = np.full((1, 4, 4, 1), 2 / 16) * (last > 0)
    gradient = np.maximum(gradient @ B.T, 0) * (hidden > 0)
    expected = np.abs(gradient @ A.T).max(axis=-1)
    method = guided_backprop.GuidedBackprop()
    bound = method.bind(two_layers(activation), softmax)
    np.testing.assert_allclose(
        bound.evidence(image, np.array([0])), expected, rtol=1e-5
    )
    # Of class 1 the gradient is negative, and stops at the first ReLU on its way.
    assert not bound.evidence(image, np.array([1])).any()


def test_the_models_own_gradient_stays_as_it_was(softmax):
    model = two_layers("layer")
    image = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3))
    differentiated = grad_cam._Differentiated(
        model, softmax, layers.find(model, "feature_map"), ""
    )
    before = differentiated.evidence(image, np.array([1]))
    guided_backprop.GuidedBackprop()(model, image, np.array([1]))
    again = grad_cam._Differentiated(
        model, softmax, layers.find(model, "feature_map"), ""
    )
    assert before.min() < 0
    np.testing.assert_array_equal(again.evidence(image, np.array([1])), before)


def test_guided_grad_cam_is_the_product_of_both(softmax):
    model = two_layers("layer")
    image = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3))
    classes = np.array([0, 0])
    coarse = grad_cam.GradCam()(model, image, classes)
    fine = guided_backprop.GuidedBackprop()(model, image, classes)
    product = coarse * fine
    found = guided_backprop.GuidedGradCam()(model, image, classes)
    peaks = product.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, product / peaks, atol=1e-6)


def test_a_model_without_relu_is_refused(linear):
    with pytest.raises(ValueError, match=r"must have ReLU layers, .* Received: none\."):
        guided_backprop.GuidedBackprop()(linear, np.zeros((1, 8, 8, 3)))


def bent(bend):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="stem")(inputs)
    x = keras.layers.Identity(name="feature_map")(bend(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(4, activation="relu", name="hidden")(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


@pytest.mark.parametrize(
    ("bend", "named"),
    [
        (keras.layers.Activation("silu", name="swish"), "'swish'"),
        (keras.layers.Activation("hard_silu", name="hard"), "'hard'"),
        (keras.layers.ReLU(negative_slope=0.1, name="leaky"), "'leaky'"),
        (keras.layers.LeakyReLU(name="leaky"), "'leaky'"),
        (keras.ops.relu, "a function relu, which is no layer"),
        (keras.activations.relu, "a function relu, which is no layer"),
        (keras.ops.silu, "a function silu, which is no layer"),
    ],
)
def test_a_path_that_is_bent_by_anything_else_is_refused(bend, named, softmax):
    flat = bent(bend)
    nested = keras.Sequential([keras.Input((8, 8, 3)), flat])
    for model in (flat, nested):
        with pytest.raises(ValueError, match=f"Received: {named}. Take another"):
            guided_backprop.GuidedBackprop().bind(model, softmax)


def test_gates_beside_the_path_are_left_alone(softmax):
    model = bent(keras.layers.ReLU(6.0))
    assert guided_backprop.GuidedBackprop().bind(model, softmax).facts == {
        "guided_layers": 2
    }
    gated = bent(
        lambda x: keras.layers.Multiply()(
            [keras.layers.ReLU()(x), keras.layers.Conv2D(4, 1, activation="sigmoid")(x)]
        )
    )
    assert guided_backprop.GuidedBackprop().bind(gated, softmax).facts == {
        "guided_layers": 2
    }
