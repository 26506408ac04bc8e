import numpy as np
import pytest

from models import resnet_v2
from visualization import baselines, integrated_gradients

IntegratedGradients = integrated_gradients.IntegratedGradients


def test_of_a_linear_model_each_pixel_adds_its_weight_times_its_value(linear, softmax):
    image = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    bound = IntegratedGradients(baseline="black").bind(linear, softmax)
    found, gaps = bound.integrate(image, np.array([0, 1]))
    # What speaks against one class speaks for the other.
    expected = image / 64 * np.array([[[[1, -1, 1]]], [[[-1, 1, -1]]]])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert gaps.max() < 1e-5
    evidence = bound.evidence(image, np.array([0, 1]))
    np.testing.assert_allclose(evidence, expected.sum(axis=-1), atol=1e-5)


@pytest.mark.parametrize("kind", ["black", "blurred"])
def test_attributions_add_up_to_the_difference_of_the_scores(kind, softmax):
    model = resnet_v2.resnet_v2(image_size=32, num_outputs=2, widths=(8,), depths=(1,))
    images = np.random.default_rng(0).integers(40, 256, (3, 32, 32, 3), np.uint8)
    images = images.astype(np.float32)
    classes = np.array([0, 1, 1])
    method = IntegratedGradients(baseline=kind, steps=8, tolerance=0.02)
    bound = method.bind(model, softmax)
    found, gaps = bound.integrate(images, classes)
    base = baselines.make(images, kind)
    logits = [model.predict(one, verbose=0) for one in (images, base)]
    ends = [one[range(3), classes] - one[range(3), 1 - classes] for one in logits]
    rise = ends[0] - ends[1]
    missed = np.abs(found.sum(axis=(1, 2, 3)) - rise)
    assert (missed <= 0.02 * np.abs(rise) + 1e-5).all()
    np.testing.assert_allclose(gaps, missed / np.abs(rise), atol=1e-3)
    assert bound.facts["largest_completeness_gap"] == gaps.max()
    assert bound.facts["most_steps_taken"] >= 8


def test_a_path_that_may_have_no_more_steps_says_how_far_it_came(softmax):
    model = resnet_v2.resnet_v2(image_size=32, num_outputs=2, widths=(8,), depths=(1,))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    method = IntegratedGradients(
        baseline="black", steps=1, most_steps=2, tolerance=1e-9
    )
    bound = method.bind(model, softmax)
    _, gaps = bound.integrate(images)
    assert bound.facts["most_steps_taken"] == 2
    assert bound.facts["largest_completeness_gap"] == gaps.max() > 1e-9


def test_settings_out_of_range_are_refused():
    with pytest.raises(
        ValueError, match=r"`integrated_gradients\.steps` must be from 1"
    ):
        IntegratedGradients(steps=0)
    with pytest.raises(ValueError, match=r"Received: steps=300, most_steps=256"):
        IntegratedGradients(steps=300)
