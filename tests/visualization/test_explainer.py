import cv2
import numpy as np
import pytest

from visualization import explainer


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.full((1, 8, 8, 3), np.nan),
            r"must be finite, from 0 to 255\. Received: im",
        ),
        (np.full((2, 8, 8, 3), -1.0), "image 0 with values from -1.0 to -1.0"),
        (np.full((1, 8, 8, 3), 256.0), "image 0 with values from 256.0 to 256.0"),
        (np.zeros((8, 8, 3)), r"shape `\(batch, 8, 8, 3\)`, as the model takes them"),
        (np.zeros((1, 9, 8, 3)), r"Received: shape=\(1, 9, 8, 3\)"),
        (np.zeros((0, 8, 8, 3)), r"Received: shape=\(0, 8, 8, 3\)"),
    ],
)
def test_images_that_are_not_photographs_are_refused(linear, bare, images, message):
    with pytest.raises(ValueError, match=message):
        bare(linear)(images)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0], r"one class for each of the 2 images\. Received: shape=\(1,\)"),
        ([0, 2], r"must be whole numbers from 0 to 1\. Received: \[0, 2\]"),
        ([0, -1], r"Received: \[0, -1\]"),
        ([0.0, 0.5], r"Received: \[0.0, 0.5\]"),
    ],
)
def test_a_class_out_of_range_is_refused(linear, bare, classes, message):
    bound = bare(linear)
    with pytest.raises(ValueError, match=message):
        images, checked = bound.check(np.zeros((2, 8, 8, 3)), classes)
        bound.choose(bound.logits(images), checked)


def test_scaling_keeps_what_is_positive_and_makes_its_maximum_1():
    evidence = np.array([[[4.0, 2.0], [-4.0, 0.0]]])
    heatmap = explainer.scale(evidence, (2, 2))
    assert heatmap.dtype == np.float32
    np.testing.assert_array_equal(heatmap, [[[1, 0.5], [0, 0]]])
    large = explainer.scale(evidence, (8, 8))[0]
    expected = cv2.resize(np.array([[4.0, 2], [0, 0]]), (8, 8))
    np.testing.assert_allclose(large, expected / expected.max(), atol=1e-6)


@pytest.mark.parametrize(("least", "seen"), [(0.009, False), (0.011, True)])
def test_evidence_of_less_than_a_hundredth_of_that_against_is_none(least, seen):
    heatmap = explainer.scale(np.array([[[least, -1.0]]]), (2, 2))
    assert explainer.has_evidence(heatmap).tolist() == [seen]
    assert heatmap.any() == seen


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_evidence_that_is_not_finite_is_an_error_and_no_empty_map(value):
    evidence = np.ones((2, 4, 4))
    evidence[1, 2, 2] = value
    message = r"must be finite\. Received: NaN or infinity for 1 of 2 images"
    with pytest.raises(explainer.NotFiniteError, match=message):
        explainer.scale(evidence, (8, 8))
