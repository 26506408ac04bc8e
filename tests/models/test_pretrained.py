import functools
import importlib
import inspect
import pathlib
import socket
import urllib.error
import urllib.request

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from configs import registry  # noqa: F401
from models import pretrained
from train import lineage

SIZE = 65
"""Odd, and no backbone's own."""

APPLICATIONS = keras.applications
FAMILIES = {
    "mobilenet": functools.partial(APPLICATIONS.MobileNet, alpha=0.25),
    "mobilenet_v2": functools.partial(APPLICATIONS.MobileNetV2, alpha=0.35),
    "mobilenet_v3": functools.partial(
        APPLICATIONS.MobileNetV3Small, alpha=0.75, minimalistic=True
    ),
    "efficientnet_v2": APPLICATIONS.EfficientNetV2B0,
    "convnext": APPLICATIONS.ConvNeXtTiny,
    "resnet": APPLICATIONS.ResNet50,
    "resnet_v2": APPLICATIONS.ResNet50V2,
}
"""A small backbone of each family that is tested as a whole."""


def photographs(size: int, count: int = 4) -> np.ndarray:
    """float32 RGB 0-255, smooth, so that no network of random weights saturates."""
    rng = np.random.default_rng(0)
    small = rng.uniform(0, 255, (count, 5, 5, 3))
    return tf.image.resize(small, (size, size)).numpy()


@pytest.fixture(scope="module", params=FAMILIES)
def built(request, tmp_path_factory):
    """Keras' backbone, our model with its weights, the family's name."""
    backbone = FAMILIES[request.param]
    keras.utils.set_random_seed(0)
    theirs = backbone(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    # Statistics of these photographs, so that features tell them apart.
    for layer in theirs.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    preprocess = importlib.import_module(f"keras.applications.{request.param}")
    theirs(preprocess.preprocess_input(photographs(SIZE)), training=True)
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    theirs.save_weights(path)
    ours = pretrained.pretrained(
        image_size=SIZE, num_outputs=3, backbone=backbone, weights=str(path)
    )
    return theirs, ours, request.param


def test_a_feature_map_is_that_of_keras_behind_the_familys_own_scaling(built):
    theirs, ours, family = built
    preprocess = importlib.import_module(f"keras.applications.{family}")
    images = photographs(SIZE)
    expected = theirs(preprocess.preprocess_input(images.copy()), training=False)
    features = keras.Model(ours.input, ours.get_layer("feature_map").output)
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 0.1 * scale
    np.testing.assert_allclose(features(images), expected, atol=1e-3 * scale)


def test_the_model_is_flat_and_named(built):
    theirs, ours, _ = built
    assert not any(isinstance(layer, keras.Model) for layer in ours.layers)
    names = [layer.name for layer in ours.layers]
    assert names[0] == "photograph"
    assert names[-3:] == ["feature_map", "pool", "logits"]
    assert ours.input_shape == (None, SIZE, SIZE, 3)
    assert ours.get_layer("feature_map").output.shape == theirs.output_shape
    assert ours.output_shape == (None, 3)
    assert ours.output.dtype == "float32"


def test_it_saves_and_loads(built, tmp_path):
    _, ours, _ = built
    ours.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = photographs(SIZE)
    np.testing.assert_array_equal(ours(images), loaded(images))
    assert [one.name for one in loaded.layers] == [one.name for one in ours.layers]


def test_gradients_reach_all_that_is_trained(built):
    _, ours, _ = built
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(ours(photographs(SIZE), training=True) ** 2)
    gradients = tape.gradient(loss, ours.trainable_variables)
    for one, variable in zip(gradients, ours.trainable_variables, strict=True):
        assert one is not None, variable.path


def families() -> list[str]:
    functions = filter(inspect.isfunction, vars(APPLICATIONS).values())
    return sorted({one.__module__.rpartition(".")[2] for one in functions})


@pytest.mark.parametrize("family", families())
def test_scaling_is_that_of_keras_for_every_family(family):
    preprocess = importlib.import_module(f"keras.applications.{family}")
    images = photographs(9)
    inputs = keras.Input((9, 9, 3))
    outputs = pretrained._scale(inputs, pretrained._SCALINGS.get(family))
    ours = images if outputs is inputs else keras.Model(inputs, outputs)(images)
    expected = preprocess.preprocess_input(images.copy())
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


def test_gins_name_of_a_backbone_does_not_hide_its_family():
    wrapped = gin.get_configurable(APPLICATIONS.ResNet50)
    assert pretrained._family(wrapped) == "resnet"
    assert pretrained._family(functools.partial(wrapped)) == "resnet"
    assert pretrained._family(small_backbone) == ""


def small_backbone(*, input_shape, weights):
    """A backbone of a user's own, with its scaling inside."""
    assert weights in ("imagenet", None)
    inputs = keras.Input(input_shape)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(4, 3, name="own_conv")(x)
    x = layers.BatchNormalization(name="own_norm")(x)
    return keras.Model(inputs, x, name="own")


def small(**settings) -> keras.Model:
    defaults = {"image_size": 16, "backbone": small_backbone, "weights": None}
    return pretrained.pretrained(num_outputs=2, **defaults | settings)


def test_a_users_own_backbone_gets_raw_pixels_and_our_head():
    model = small(hidden_units=8, dropout=0.3)
    assert [layer.name for layer in model.layers] == [
        "photograph",
        "rescaling",
        "own_conv",
        "own_norm",
        "feature_map",
        "pool",
        "hidden",
        "dropout",
        "logits",
    ]
    assert model.get_layer("hidden").units == 8
    assert model.get_layer("dropout").rate == 0.3


def test_photographs_are_given_imagenets_mean_and_deviation():
    mean, deviation = (115.0, 56.0, 19.0), (78.0, 42.0, 22.0)
    model = small(mean=mean, deviation=deviation)
    standardize = keras.Model(model.input, model.get_layer("standardize").output)
    for steps in (0, 1, -2):  # Deviations from the mean.
        image = np.empty((1, 16, 16, 3), np.float32)
        image[...] = np.add(mean, np.multiply(steps, deviation))
        # ImageNet's, as everywhere: 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225.
        expected = 255 * (
            np.array([0.485, 0.456, 0.406]) + steps * np.array([0.229, 0.224, 0.225])
        )
        np.testing.assert_allclose(
            standardize(image).numpy()[0, 3, 5], expected, rtol=1e-5
        )


def test_a_model_is_a_start_without_its_head(tmp_path):
    first = small(hidden_units=8)
    first.save(tmp_path / "model.keras")
    second = pretrained.pretrained(
        image_size=24,
        num_outputs=5,
        backbone=small_backbone,
        weights=str(tmp_path / "model.keras"),
    )
    for name in ("own_conv", "own_norm"):
        for one, other in zip(
            first.get_layer(name).weights, second.get_layer(name).weights, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert second.output_shape == (None, 5)


def test_the_model_of_a_run_is_refused_as_nobody_would_know_what_it_has_seen(tmp_path):
    path = tmp_path / "model.keras"
    small().save(path)
    (tmp_path / lineage.FILE).write_text("{}")
    message = rf"Bind train\.init_from = '{tmp_path}', which keeps account"
    with pytest.raises(ValueError, match=message):
        small(weights=str(path))


def test_efficientnet_with_imagenets_statistics_is_that_of_keras(tmp_path):
    """Its statistics are weights, unlike those of all other families."""
    build = APPLICATIONS.EfficientNetB0
    theirs = build(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    statistics = [
        np.float32([0.485, 0.456, 0.406]),
        np.float32([0.229, 0.224, 0.225]) ** 2,
        np.int32(1),
    ]
    (layer,) = [one for one in theirs.layers if isinstance(one, layers.Normalization)]
    layer.set_weights(statistics)
    layer.finalize_state()
    model = small(image_size=SIZE, backbone=lambda input_shape, weights: theirs)
    features = keras.Model(model.input, model.get_layer("feature_map").output)
    images = photographs(SIZE)
    scale = np.abs(theirs(images)).max()
    np.testing.assert_allclose(features(images), theirs(images), atol=1e-3 * scale)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(images), loaded(images))


def test_what_is_frozen_up_to_a_layer_is_not_trained(tmp_path):
    path = tmp_path / "model.keras"
    small().save(path)
    model = small(weights=str(path), freeze_up_to="feature_map")
    assert [one.path for one in model.trainable_variables] == [
        "logits/kernel",
        "logits/bias",
    ]
    model = small(weights=str(path), freeze_up_to="own_conv")
    assert len(model.trainable_variables) == 4  # Of own_norm and logits.


def test_normalization_can_be_frozen_while_the_rest_trains():
    model = small(freeze_normalization=True)
    assert [one.path for one in model.trainable_variables] == [
        "own_conv/kernel",
        "own_conv/bias",
        "logits/kernel",
        "logits/bias",
    ]
    before = model.get_layer("own_norm").moving_mean.numpy()
    model(photographs(16), training=True)
    np.testing.assert_array_equal(model.get_layer("own_norm").moving_mean, before)


def test_the_feature_map_can_be_that_of_an_earlier_layer(tmp_path):
    model = pretrained.pretrained(
        image_size=64,
        num_outputs=2,
        backbone=FAMILIES["mobilenet"],
        weights=None,
        features="conv_dw_6_relu",
    )
    # The fourth stage has an eighth of the side at its input, a sixteenth behind it.
    assert model.get_layer("feature_map").output.shape == (None, 4, 4, 64)
    assert "conv_pw_6" not in [layer.name for layer in model.layers]
    part = keras.Model(model.input, model.get_layer("feature_map").output)
    part.save_weights(tmp_path / "part.weights.h5")
    pretrained.pretrained(
        image_size=64,
        num_outputs=2,
        backbone=FAMILIES["mobilenet"],
        weights=str(tmp_path / "part.weights.h5"),
        features="conv_dw_6_relu",
    )
    with pytest.raises(ValueError, match=r"gives a feature map\. .*'conv_dw_99'\. Per"):
        small(features="conv_dw_99")


def around(*, input_shape, weights):
    """A backbone that holds another, as KerasHub's do."""
    inputs = keras.Input(input_shape, name="photograph")
    inner = small_backbone(input_shape=input_shape, weights=weights)
    return keras.Model(inputs, layers.ReLU(name="last")(inner(inputs)), name="around")


def test_an_earlier_layer_may_be_of_a_backbone_within_the_backbone():
    model = small(backbone=around, features="own_conv")
    names = [layer.name for layer in model.layers]
    assert names[-4:] == ["own_conv", "feature_map", "pool", "logits"]
    assert "last" in [one.name for one in small(backbone=around).layers]


def test_random_layers_are_not_frozen(tmp_path):
    model = small()
    part = keras.Model(model.input, model.get_layer("own_conv").output)
    path = tmp_path / "part.weights.h5"
    part.save_weights(path)
    with pytest.raises(ValueError, match=r"keep random for ever .*lacks: own_norm\."):
        small(weights=str(path), partial=True, freeze_up_to="feature_map")
    small(weights=str(path), partial=True, freeze_up_to="own_conv")
    with pytest.raises(ValueError, match=r"but random weights are to be trained"):
        small(freeze_up_to="own_conv")


def test_what_a_partial_file_leaves_random_is_logged(tmp_path, caplog):
    model = small()
    part = keras.Model(model.input, model.get_layer("own_conv").output)
    part.save_weights(tmp_path / "part.weights.h5")
    with caplog.at_level("INFO", logger="absl"):
        small(weights=str(tmp_path / "part.weights.h5"), partial=True)
    assert "so left random: own_norm." in caplog.text


def test_without_a_network_the_error_says_which_file_goes_where(monkeypatch):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    name = "mobilenet_2_5_224_tf_no_top.h5"  # One that nobody has.
    message = (
        r"ImageNet's weights of MobileNet could not be downloaded: .*not known\.\n"
        rf"Fetch https://\S+/{name} where there is a network\. Put it here: "
        rf"/\S*/models/{name}, or name it: pretrained\.weights = '<file>'\.\n"
    )
    backbone = functools.partial(APPLICATIONS.MobileNet, alpha=0.25)
    functools.update_wrapper(backbone, APPLICATIONS.MobileNet)
    with pytest.raises(OSError, match=message):
        small(image_size=32, backbone=backbone, weights="imagenet")


def test_keras_keeps_waiting_no_longer_than_we_let_it(monkeypatch):
    seen = []

    def build(*, input_shape, weights):
        seen.append(socket.getdefaulttimeout())
        return small_backbone(input_shape=input_shape, weights=weights)

    before = socket.getdefaulttimeout()
    small(backbone=build)
    assert seen == [20]
    assert socket.getdefaulttimeout() == before


def namesake(*, input_shape, weights):
    inputs = keras.Input(input_shape)
    x = layers.Dropout(0.1)(inputs)
    return keras.Model(inputs, layers.Conv2D(4, 3, name="feature_map")(x), name="twin")


def pooled(*, input_shape, weights):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(inputs))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "ImageNet"}, r"no file /.*/ImageNet\. Expected: 'imagenet', the"),
        ({"partial": True}, r"says how a file is loaded\. Received: partial=True, we"),
        ({"mean": (1.0, 2.0, 3.0)}, r"go together, three numbers each, .*deviation=No"),
        (
            {"mean": (1.0, 2.0, 3.0), "deviation": (1.0, 0.0, 1.0)},
            r"deviations above 0\. Received: mean=\(1\.0",
        ),
        ({"backbone": pooled}, r"must end in a feature map .*Received: \(None, 3\)"),
        (
            {"backbone": lambda image_size, num_outputs: None},
            r"must take input_shape and weights, as those of keras\.applications",
        ),
        (
            {"backbone": lambda input_shape, weights: None},
            r"must return a keras\.Model\. Received: NoneType\.",
        ),
        (
            {"backbone": namesake, "dropout": 0.5},
            r"layers of twin are called dropout, feature_map, as those that",
        ),
        (
            {"backbone": APPLICATIONS.MobileNet},
            r"cannot build MobileNet for prepare\.image_size = 16: .*Bind another size",
        ),
        (
            {"weights": "imagenet", "freeze_up_to": "hidden", "hidden_units": 4},
            r"'hidden', a layer of the head, .*freeze_up_to = 'feature_map'",
        ),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        small(**settings)


def test_a_file_that_keras_would_scale_otherwise_is_refused(tmp_path):
    path = pathlib.Path(tmp_path / "efficientnetb0_notop.h5")
    path.touch()
    with pytest.raises(ValueError, match=r"so that a file would be misread\. Put Ke"):
        small(backbone=APPLICATIONS.EfficientNetB0, weights=str(path))
