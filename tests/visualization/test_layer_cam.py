import keras
import numpy as np
import pytest
import tensorflow as tf

from models import ensemble, outputs, resnet_v2
from tests.visualization import explained_scores
from visualization import explainer, layer_cam


@pytest.fixture(scope="module")
def model():
    return resnet_v2.resnet_v2(
        image_size=64, num_outputs=2, widths=(8, 16), depths=(1, 1)
    )


IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
CLASSES = np.array([0, 1, 1])


def of_layer(model, name):
    """Equations 6 and 7 of the paper, with the tape."""
    inner = keras.Model(model.input, [model.get_layer(name).output, model.output])
    with tf.GradientTape() as tape:
        result, logits = inner(tf.constant(IMAGES, tf.float32), training=False)
        scores = explained_scores.score(outputs.Softmax(), logits, CLASSES)
    weights = tf.nn.relu(tape.gradient(scores, result))
    return tf.reduce_sum(weights * result, axis=-1).numpy()


@pytest.mark.parametrize("name", ["stem_relu", "stage2_block1_1_relu", "feature_map"])
def test_any_layer_is_weighted_by_its_positive_gradient(model, softmax, name):
    bound = layer_cam.LayerCam(layers=[name]).bind(model, softmax)
    expected = of_layer(model, name)
    found = bound.evidence(IMAGES, CLASSES)
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def test_several_layers_are_fused_by_their_maximum(model, softmax):
    names = ["stage2_block1_1_relu", "feature_map"]
    found = layer_cam.LayerCam(layers=names).bind(model, softmax)(IMAGES, CLASSES)
    shallow, deep = (explainer.scale(of_layer(model, one), (64, 64)) for one in names)
    expected = np.maximum(np.tanh(2 * shallow), deep)
    peaks = expected.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, expected / peaks, atol=1e-5)


def test_by_default_it_takes_the_last_activation_of_each_resolution(model, softmax):
    bound = layer_cam.LayerCam().bind(model, softmax)
    assert bound.facts["layers"] == [
        "stage1_block1_1_relu",
        "stage2_block1_1_relu",
        "feature_map",
    ]
    bound = layer_cam.LayerCam(resolutions=1).bind(model, softmax)
    assert bound.facts["layers"] == ["feature_map"]


@pytest.mark.parametrize("names", [None, ["stage2_block1_1_relu", "feature_map"]])
def test_in_an_average_the_layers_of_all_networks_count(model, softmax, names):
    other = keras.models.clone_model(model)
    rng = np.random.default_rng(3)
    for one, own in zip(other.weights, model.weights, strict=True):
        one.assign(own * rng.uniform(0.5, 1.5, own.shape))
    whole = ensemble.average([model, other])
    method = layer_cam.LayerCam(layers=names)
    taken = method.bind(model, softmax).facts["layers"]
    # The gradient of a mean of two scores is half of each.
    parts = [(of_layer(model, one) + of_layer(other, one)) / 2 for one in taken]
    *shallow, deep = (explainer.scale(one, (64, 64)) for one in parts)
    expected = np.max([*(np.tanh(2 * one) for one in shallow), deep], axis=0)
    peaks = expected.max(axis=(1, 2), keepdims=True)
    found = method.bind(whole, softmax)(IMAGES, CLASSES)
    np.testing.assert_allclose(found, expected / peaks, atol=1e-4)


def test_settings_that_name_no_layer_are_refused(model):
    with pytest.raises(
        ValueError, match=r"`layer_cam\.resolutions` must be at least 1"
    ):
        layer_cam.LayerCam(resolutions=0)
    with pytest.raises(ValueError, match=r"`layer_cam\.layers` must name a layer, or"):
        layer_cam.LayerCam(layers=())
    with pytest.raises(ValueError, match="must have one layer 'stage9'"):
        layer_cam.LayerCam(layers=["stage9"])(model, IMAGES)
