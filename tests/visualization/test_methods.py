"""Every method with every output, against finite differences of the score."""

import keras
import numpy as np
import pytest

from models import ensemble, resnet_v2
from tests.visualization import explained_scores
from visualization import (
    explainer,
    grad_cam,
    guided_backprop,
    integrated_gradients,
    layer_cam,
    occlusion,
)

METHODS = (
    grad_cam.GradCam(),
    layer_cam.LayerCam(),
    guided_backprop.GuidedBackprop(),
    guided_backprop.GuidedGradCam(),
    integrated_gradients.IntegratedGradients(steps=8, most_steps=64),
    occlusion.Occlusion(patch=0.5, stride=0.25),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.fixture(params=explained_scores.OUTPUTS)
def trained(request):
    output, num_outputs, num_classes = explained_scores.OUTPUTS[request.param]
    model = resnet_v2.resnet_v2(
        image_size=32, num_outputs=num_outputs, widths=(8,), depths=(1,)
    )
    return model, output, np.array([0, 1, num_classes - 1, num_classes // 2])


def test_every_method_explains_every_output(trained):
    model, output, classes = trained
    for method in METHODS:
        heatmaps = method(model, IMAGES, classes, output)
        assert heatmaps.shape == (4, 32, 32) and heatmaps.dtype == np.float32
        assert heatmaps.min() >= 0
        seen = explainer.has_evidence(heatmaps)
        assert (heatmaps[seen].max(axis=(1, 2)) == pytest.approx(1)) and seen.any()


@pytest.mark.parametrize("method", METHODS, ids=lambda one: one.name)
def test_a_model_from_disk_and_a_nested_one_give_the_same_maps(method, tmp_path):
    model = resnet_v2.resnet_v2(image_size=32, num_outputs=3, widths=(8,), depths=(1,))
    model.save(tmp_path / "model.keras")
    nested = keras.Sequential([keras.Input((32, 32, 3)), model])
    inputs = keras.Input((32, 32, 3))
    twice = keras.Model(inputs, keras.layers.Dropout(0.1)(nested(inputs)))
    twice.save(tmp_path / "twice.keras")
    classes = np.array([0, 1, 2, 1])
    expected = method(model, IMAGES, classes)
    assert explainer.has_evidence(expected).any()
    of_disk = [
        keras.models.load_model(tmp_path / name)
        for name in ("model.keras", "twice.keras")
    ]
    for other in (nested, twice, *of_disk):
        found = method(other, IMAGES, classes)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=lambda one: one.name)
def test_maps_do_not_depend_on_how_many_photographs_a_pass_takes(method, monkeypatch):
    model = resnet_v2.resnet_v2(image_size=32, num_outputs=2, widths=(8,), depths=(1,))
    classes = np.array([0, 1, 1, 0])
    whole = method(model, IMAGES, classes)
    monkeypatch.setattr(explainer, "_PIXELS", 3 * 32 * 32)
    assert explainer.at_once(model) == 3
    np.testing.assert_allclose(method(model, IMAGES, classes), whole, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "networks", "expected"), [(256, 1, 16), (512, 1, 4), (256, 5, 3)]
)
def test_a_pass_takes_fewer_photographs_the_more_memory_each_needs(
    size, networks, expected
):
    model = ensemble.average(
        [
            resnet_v2.resnet_v2(
                image_size=size, num_outputs=2, widths=(4,), depths=(1,)
            )
            for _ in range(networks)
        ]
    )
    assert explainer.at_once(model) == expected


def test_attributions_add_up_to_the_rise_of_the_score_of_every_output(trained):
    model, output, classes = trained
    method = integrated_gradients.IntegratedGradients(
        baseline="black", tolerance=0.01, most_steps=512
    )
    found, _ = method.bind(model, output).integrate(IMAGES, classes)
    whole, none = (
        explained_scores.score(output, model(one, training=False), classes).numpy()
        for one in (IMAGES.astype(np.float32), np.zeros((4, 32, 32, 3), np.float32))
    )
    rise = whole - none
    missed = np.abs(found.sum(axis=(1, 2, 3)) - rise)
    assert (missed <= 0.01 * np.maximum(np.abs(rise), 0.01) + 1e-4).all()


def test_an_occluded_patch_lowers_the_score_of_every_output(trained):
    model, output, classes = trained
    method = occlusion.Occlusion(patch=1, stride=1, baseline="black")
    found = method.bind(model, output).evidence(IMAGES, classes)
    # Four patches, each a quarter of the photograph about one of its corners.
    hidden = IMAGES.astype(np.float32)
    hidden[:, :16, :16] = 0
    whole, less = (
        explained_scores.score(output, model(one, training=False), classes).numpy()
        for one in (IMAGES.astype(np.float32), hidden)
    )
    np.testing.assert_allclose(found[:, 0, 0], whole - less, atol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=lambda one: one.name)
def test_a_network_of_nan_is_an_error_and_no_map_without_evidence(method):
    model = resnet_v2.resnet_v2(image_size=32, num_outputs=2, widths=(8,), depths=(1,))
    model.get_layer("logits").set_weights([np.full((8, 2), np.nan), np.zeros(2)])
    with pytest.raises(ValueError, match="The evidence for a class must be finite"):
        method(model, IMAGES, np.array([0, 1, 1, 0]))


@pytest.mark.parametrize("level", [0, 7, 120, 255])
@pytest.mark.parametrize("method", METHODS[-2:], ids=lambda one: one.name)
def test_where_nothing_can_be_taken_away_rounding_is_no_evidence(method, level):
    model = resnet_v2.resnet_v2(
        image_size=64, num_outputs=2, widths=(8, 16), depths=(1, 1)
    )
    plain = np.full((3, 64, 64, 3), level, np.uint8)
    assert not method(model, plain, np.array([0, 1, 1])).any()
