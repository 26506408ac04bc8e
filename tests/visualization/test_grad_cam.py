import keras
import numpy as np
import pytest
import tensorflow as tf

from models import efficientnet_lite, ensemble, pretrained, resnet_v2
from tests.visualization import explained_scores
from visualization import explainer, grad_cam, layers

SIZE = 64


def photographs(count=3, size=SIZE):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def small_resnet(num_outputs=3):
    return resnet_v2.resnet_v2(
        image_size=SIZE,
        num_outputs=num_outputs,
        widths=(8, 16),
        depths=(1, 1),
        dropout=0.3,
    )


def headed(application, last, **options):
    """A network of Keras with a hidden layer, under the names of this project."""

    def build():
        trunk = application(
            weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), **options
        )
        trunk.get_layer(last).name = "feature_map"
        x = keras.layers.GlobalAveragePooling2D()(trunk.output)
        x = keras.layers.Dense(16, "relu")(x)
        x = keras.layers.Dropout(0.5)(x)
        return keras.Model(trunk.input, keras.layers.Dense(3)(x))

    return build


def lite():
    return pretrained.pretrained(
        image_size=SIZE,
        num_outputs=3,
        backbone=efficientnet_lite.efficientnet_lite,
        weights=None,
    )


def keras_resnet():
    return pretrained.pretrained(
        image_size=SIZE,
        num_outputs=3,
        backbone=keras.applications.ResNet50,
        weights=None,
        hidden_units=16,
        dropout=0.5,
    )


def averaged():
    return ensemble.average([small_resnet() for _ in range(3)])


MODELS = {
    "efficientnet_lite": lite,
    "resnet50": keras_resnet,
    "ensemble": averaged,
    "resnet_v2": small_resnet,
    "mobilenet": headed(keras.applications.MobileNet, "conv_pw_13_relu", alpha=0.25),
    "mobilenet_v2": headed(keras.applications.MobileNetV2, "out_relu", alpha=0.35),
    "efficientnet": headed(keras.applications.EfficientNetB0, "top_activation"),
}


def by_differentiation(model, images, classes, output):
    """Grad-CAM as in the paper, with the tape, of a flat model."""
    inner = keras.Model(
        model.input, [model.get_layer("feature_map").output, model.output]
    )
    with tf.GradientTape() as tape:
        feature_map, logits = inner(tf.constant(images, tf.float32), training=False)
        scores = explained_scores.score(output, logits, classes)
    gradient = tape.gradient(scores, feature_map)
    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    return tf.reduce_sum(weights * feature_map, axis=-1).numpy()


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def test_it_is_what_the_hand_computes(linear, softmax):
    image = np.zeros((1, 8, 8, 3), np.float32)
    image[0, 0, 0] = 64, 0, 0  # Red speaks for class 0,
    image[0, 7, 0] = 0, 128, 0  # green for class 1,
    image[0, 0, 7] = 0, 0, 64  # blue against it.
    bound = grad_cam.GradCam().bind(linear, softmax)
    first, second = (bound.evidence(image, np.array([one]))[0] for one in (0, 1))
    # In 64 cells; what speaks for a class speaks against the other.
    assert (second[0, 0], second[7, 0], second[0, 7]) == (-1, 2, -1)
    assert np.count_nonzero(second) == 3
    np.testing.assert_array_equal(first, -second)
    heatmap = bound(image, np.array([1]))[0]
    assert heatmap[7, 0] == 1 and np.count_nonzero(heatmap) == 1


@pytest.mark.parametrize("name", MODELS)
def test_the_closed_form_is_the_tapes_gradient(name, softmax):
    model, classes = MODELS[name](), np.array([0, 2, 1])
    bound = grad_cam.GradCam().bind(model, softmax)
    assert bound.facts == {"gradient": "closed form"}
    expected = by_differentiation(model, photographs(), classes, softmax)
    assert relative(bound.evidence(photographs(), classes), expected) < 1e-5


@pytest.mark.parametrize("name", explained_scores.OUTPUTS)
def test_the_closed_form_is_the_tapes_gradient_of_every_output(name):
    output, num_outputs, num_classes = explained_scores.OUTPUTS[name]
    model = small_resnet(num_outputs)
    closed = grad_cam.GradCam().bind(model, output)
    assert closed.facts == {"gradient": "closed form"}
    layer = layers.find(model, "feature_map")
    taped = grad_cam._Differentiated(model, output, layer, "")
    graph = grad_cam.with_heatmaps(model, output, normalize=False)
    images = photographs().astype(np.float32)
    heatmaps = graph(images)["heatmaps"].numpy()
    assert heatmaps.shape == (3, num_classes, 4, 4)
    for number in range(num_classes):
        classes = np.full(3, number)
        expected = by_differentiation(model, images, classes, output)
        assert np.abs(expected).max() > 1e-3
        for found in (
            closed.evidence(images, classes),
            taped.evidence(images, classes),
            heatmaps[:, number],
        ):
            assert relative(found, expected) < 1e-5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_in_mixed_precision_it_is_differentiated_and_says_so(policy, softmax):
    classes = np.array([0, 2, 1])
    model = small_resnet()
    expected = by_differentiation(model, photographs(), classes, softmax)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        mixed = small_resnet()
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(model.get_weights())
    bound = grad_cam.GradCam().bind(mixed, softmax)
    assert bound.facts["gradient"].startswith("automatic differentiation: ")
    found = bound.evidence(photographs(), classes)
    assert found.dtype == np.float32
    assert relative(found, expected) < 0.05  # bfloat16 has 8 bits.
    with pytest.raises(ValueError, match="Received: no chain of single layers leads"):
        grad_cam.with_heatmaps(mixed, softmax)


def test_a_model_from_disk_and_a_nested_one_give_the_same_maps(tmp_path, softmax):
    model = small_resnet()
    model.save(tmp_path / "model.keras")
    nested = keras.Sequential([keras.Input((SIZE, SIZE, 3)), model])
    inputs = keras.Input((SIZE, SIZE, 3))
    twice = keras.Model(inputs, keras.layers.Dropout(0.1)(nested(inputs)))
    classes = np.array([0, 1, 2])
    expected = grad_cam.GradCam()(model, photographs(), classes)
    for other in (keras.models.load_model(tmp_path / "model.keras"), nested, twice):
        bound = grad_cam.GradCam().bind(other, softmax)
        assert bound.facts == {"gradient": "closed form"}
        np.testing.assert_allclose(bound(photographs(), classes), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (keras.layers.GlobalMaxPooling2D(), "is not pooled by a global average"),
        (keras.layers.Flatten(), "is not pooled by a global average"),
    ],
)
def test_another_head_is_differentiated_and_says_so(pool, reason, softmax):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, 2, activation="relu", name="feature_map")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(pool(x)))
    bound = grad_cam.GradCam().bind(model, softmax)
    assert bound.facts["gradient"].startswith("automatic differentiation: ")
    assert bound.facts["gradient"].endswith(reason)
    classes = np.array([1, 0, 1])
    expected = by_differentiation(model, photographs(size=16), classes, softmax)
    found = bound.evidence(photographs(size=16), classes)
    assert relative(found, expected) < 1e-5
    with pytest.raises(
        ValueError, match="must have a closed form behind 'feature_map'"
    ):
        grad_cam.with_heatmaps(model, softmax)


def test_a_shortcut_past_the_feature_map_is_no_closed_form(softmax):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, name="feature_map")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    both = keras.layers.Concatenate()([pooled, keras.layers.Flatten()(inputs)])
    model = keras.Model(inputs, keras.layers.Dense(2)(both))
    bound = grad_cam.GradCam().bind(model, softmax)
    assert "no chain of single layers" in bound.facts["gradient"]


def test_by_default_the_predicted_class_is_explained():
    model = small_resnet()
    predicted = model.predict(photographs(), verbose=0).argmax(axis=1)
    explain = grad_cam.GradCam()
    np.testing.assert_array_equal(
        explain(model, photographs()), explain(model, photographs(), predicted)
    )


def test_a_map_without_positive_evidence_is_all_zero(linear):
    image = np.zeros((2, 8, 8, 3), np.uint8)
    image[0, :, :, 2], image[1, :, :, 1] = 200, 200
    heatmaps = grad_cam.GradCam()(linear, image, np.array([1, 1]))
    assert not heatmaps[0].any() and (heatmaps[1] == 1).all()
    assert explainer.has_evidence(heatmaps).tolist() == [False, True]


def test_a_model_with_heatmaps_gives_all_in_one_graph(tmp_path, softmax):
    model = small_resnet()
    raw = grad_cam.with_heatmaps(model, softmax, normalize=False)
    images = photographs().astype(np.float32)
    found = {name: one.numpy() for name, one in raw(images).items()}
    logits = model(images, training=False).numpy()
    np.testing.assert_allclose(found["logits"], logits, atol=1e-6)
    assert found["feature_map"].shape == (3, 4, 4, 16)
    for number in range(3):
        classes = np.full(3, number)
        expected = by_differentiation(model, images, classes, softmax)
        assert relative(found["heatmaps"][:, number], expected) < 1e-5
    scaled = grad_cam.with_heatmaps(model, softmax)
    heatmaps = scaled(images)["heatmaps"].numpy()
    for number in range(3):
        expected = explainer.scale(found["heatmaps"][:, number], (4, 4))
        np.testing.assert_allclose(heatmaps[:, number], expected, atol=1e-6)
    scaled.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.serve(images)["heatmaps"], heatmaps, atol=1e-5)


def test_a_graph_without_evidence_gives_zeros(linear, softmax):
    image = np.zeros((1, 8, 8, 3), np.float32)
    image[..., 2] = 200
    heatmaps = grad_cam.with_heatmaps(linear, softmax)(image)["heatmaps"].numpy()
    assert (heatmaps[0, 0] == 1).all() and not heatmaps[0, 1].any()
    black = grad_cam.with_heatmaps(linear, softmax)(np.zeros_like(image))
    assert not black["heatmaps"].numpy().any()


def test_binding_leaves_no_trace_on_the_model(softmax):
    model = small_resnet()
    grad_cam.GradCam().bind(model, softmax)(photographs())
    assert all("call" not in vars(layer) for layer in layers.leaves(model))


def test_later_weights_are_seen(linear, softmax):
    bound = grad_cam.GradCam().bind(linear, softmax)
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[..., 2] = 200
    assert not bound(image, np.array([1])).any()
    head = linear.get_layer("logits")
    head.set_weights([-head.get_weights()[0], np.zeros(2)])
    assert bound(image, np.array([1])).all()


def test_a_layer_that_is_not_there_is_an_error_that_lists_those_that_are(linear):
    message = (
        r"must have one layer 'last_conv'\. Received: 0 of them\. Its layers are: "
    )
    with pytest.raises(ValueError, match=message + "feature_map, global_average"):
        grad_cam.GradCam(layer="last_conv")(linear, photographs(size=8))


def test_a_layer_without_height_and_width_is_refused(linear):
    with pytest.raises(
        ValueError, match=r"'logits' must give one feature map of shape"
    ):
        grad_cam.GradCam(layer="logits")(linear, photographs(size=8))
