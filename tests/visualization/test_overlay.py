import tracemalloc

import numpy as np
import pytest
from matplotlib import colormaps

from input_pipeline import fundus
from visualization import overlay

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def test_without_evidence_the_photograph_is_as_it_was():
    np.testing.assert_array_equal(overlay.overlay(IMAGE, np.zeros((6, 5))), IMAGE)
    np.testing.assert_array_equal(overlay.overlay(IMAGE, np.ones((6, 5)), 0.0), IMAGE)


def test_opaque_evidence_has_the_colour_of_the_map():
    heatmap = np.zeros((6, 5))
    heatmap[2, 3] = 1
    found = overlay.overlay(IMAGE, heatmap, opacity=1.0)
    expected = np.round(np.array(colormaps[overlay.COLOR_MAP](255)[:3]) * 255)
    np.testing.assert_array_equal(found[2, 3], expected)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[3:], IMAGE[3:])


def test_every_level_has_matplotlibs_colour():
    heatmap = np.arange(1, 256).reshape(15, 17) / 255
    image = np.zeros((15, 17, 3), np.uint8)
    found = overlay.overlay(image, heatmap, opacity=1.0)
    colours = colormaps[overlay.COLOR_MAP](heatmap)[..., :3] * 255
    expected = colours * np.sqrt(heatmap)[..., np.newaxis]
    np.testing.assert_allclose(found, expected, atol=1.1)


def test_a_large_picture_is_in_memory_once():
    image = np.full((1500, 2000, 3), 200, np.uint8)
    heatmap = np.full((1500, 2000), 0.5, np.float32)
    tracemalloc.start()
    try:
        overlay.overlay(image, heatmap)
        # Once in float32, once as the result, and some planes of it.
        assert tracemalloc.get_traced_memory()[1] < 8 * image.nbytes
    finally:
        tracemalloc.stop()


def test_half_opaque_evidence_is_halfway():
    top = np.array(colormaps[overlay.COLOR_MAP](255)[:3]) * 255
    found = overlay.overlay(IMAGE, np.ones((6, 5)), opacity=0.5)
    np.testing.assert_allclose(found, (IMAGE + top) / 2, atol=1.1)


@pytest.mark.parametrize(
    ("image", "heatmap", "opacity", "message"),
    [
        (IMAGE / 255, np.zeros((6, 5)), 0.5, "`image` must be uint8 of shape"),
        (IMAGE, np.zeros((5, 6)), 0.5, r"must have the image's shape \(6, 5\)"),
        (IMAGE, np.full((6, 5), 2.0), 0.5, "from 0 to 1. Received: values from 2.0"),
        (IMAGE, np.full((6, 5), np.nan), 0.5, "Received: values from nan"),
        (IMAGE, np.zeros((6, 5)), 1.5, "`opacity` must be 0-1. Received: opacity=1.5"),
    ],
)
def test_what_does_not_fit_is_refused(image, heatmap, opacity, message):
    with pytest.raises(ValueError, match=message):
        overlay.overlay(image, heatmap, opacity)


@pytest.mark.parametrize(
    "crop",
    [
        fundus.Crop(left=40, top=-20, right=240, bottom=180, width=300, height=160),
        fundus.Crop(left=-10, top=10, right=110, bottom=130, width=100, height=150),
    ],
)
def test_a_map_goes_back_to_where_its_crop_came_from(crop):
    original = np.zeros((crop.height, crop.width), np.uint8)
    original[60:90, 70:95] = 255
    square = fundus.apply(original, crop, 128)
    back = overlay.on_original(square / 255, crop)
    assert back.shape == original.shape
    assert back.dtype == np.float32
    wrong = (back > 0.5) != (original > 0)
    assert wrong.sum() < 0.02 * (original > 0).sum() + 60  # A pixel along the edge.
    assert back[75, 80] == 1
    assert back[:50].max() == 0
