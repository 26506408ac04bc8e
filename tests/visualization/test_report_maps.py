import keras
import numpy as np
import pytest

from evaluation import facts, report
from input_pipeline import records
from models import outputs, resnet_v2
from visualization import grad_cam, overlay, report_maps


@pytest.fixture
def model():
    return resnet_v2.resnet_v2(image_size=64, num_outputs=2, widths=(4,), depths=(1,))


@pytest.fixture
def drawn(drawn_run, audited):
    return facts.read(drawn_run, drawn_run, audited)


def test_a_map_is_grad_cams_of_disease_over_its_photograph(model, drawn):
    ids = report.shown(drawn)
    found = report_maps.make(model, outputs.Softmax(), drawn, ids)
    assert list(found) == ids
    for one in ids:
        image = drawn.audited.collection.read_image(one)
        heatmap = grad_cam.GradCam()(model, image[None], np.array([1]))[0]
        expected = overlay.overlay(image, heatmap).astype(int)
        assert np.abs(found[one].picture - expected).max() <= 1
        words = "what speaks for" if heatmap.any() else "nothing speaks for"
        assert found[one].explains == f"Grad-CAM: {words} “referable”"


def test_where_nothing_speaks_for_disease_the_photograph_is_as_it_was(model, drawn):
    (first, *_) = report.shown(drawn)
    logits = model.get_layer("logits")
    # Whatever the feature map, which is not negative: against class 1.
    kernel = np.stack([np.ones(4), -np.ones(4)], axis=1)
    logits.set_weights([kernel, np.zeros(2)])
    found = report_maps.make(model, outputs.Softmax(), drawn, [first])[first]
    assert found.explains == "Grad-CAM: nothing speaks for “referable”"
    image = drawn.audited.collection.read_image(first)
    np.testing.assert_array_equal(found.picture, image)


def test_only_the_photographs_that_are_asked_for_are_read(model, drawn, monkeypatch):
    read, read_image = [], records.Prepared.read_image

    def note(self, photograph_id):
        read.append(photograph_id)
        return read_image(self, photograph_id)

    monkeypatch.setattr(records.Prepared, "read_image", note)
    ids = report.shown(drawn)[:2]
    report_maps.make(model, outputs.Softmax(), drawn, ids)
    assert read == ids


def test_a_model_without_a_closed_form_has_no_maps(drawn):
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(4, 5, 8, name="feature_map")(inputs)
    x = keras.layers.GlobalMaxPooling2D()(x)
    largest = keras.Model(inputs, keras.layers.Dense(2)(x))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    mean = keras.Model(inputs, keras.layers.Dense(2)(x))
    for model in (largest, mean):
        ids = report.shown(drawn)
        assert report_maps.make(model, outputs.Softmax(), drawn, ids) == {}


def test_photographs_that_nobody_has_get_no_map(model, drawn_run):
    found = facts.read(drawn_run, drawn_run)
    ids = report.shown(found)
    assert ids
    assert report_maps.make(model, outputs.Softmax(), found, ids) == {}
