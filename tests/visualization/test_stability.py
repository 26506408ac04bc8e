import io

import numpy as np
import pytest
from PIL import Image

from visualization import grad_cam, stability

IMAGES = np.random.default_rng(0).integers(90, 256, (3, 64, 64, 3), np.uint8)
CLASSES = np.array([0, 1, 1])
NAMES = ["mirrored", "upside down", "turned left", "turned right", "saved as JPEG"]


def bump(row, column):
    rows, columns = np.mgrid[:64, :64]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 100)


def brightest(images, classes):
    """Follows the photograph: a smooth bump about its brightest place."""
    sums = images.astype(float).sum(axis=-1)
    places = [np.unravel_index(one.argmax(), one.shape) for one in sums]
    return np.stack([bump(*place) for place in places]).astype(np.float32)


def fixed(images, classes):
    """Ignores the photograph: always the same corner."""
    return np.stack([bump(12, 20)] * len(images)).astype(np.float32)


@pytest.fixture
def lit():
    """A retina of 64 pixels with a lamp at row 20, column 40."""
    image = np.zeros((64, 64, 3), np.float64)
    rows, columns = np.mgrid[:64, :64]
    image[(rows - 31.5) ** 2 + (columns - 31.5) ** 2 < 31**2] = 100
    lamp = np.exp(-((rows - 20) ** 2 + (columns - 40) ** 2) / 30)
    return (image + 150 * lamp[..., None]).astype(np.uint8)[None]


def test_a_map_that_follows_the_photograph_is_stable(lit):
    found = stability.check(brightest, lit, CLASSES[:1])
    assert list(found) == NAMES
    for name in ("mirrored", "upside down"):
        assert found[name]["correlation"] == pytest.approx(1)
        assert found[name]["ssim"] == pytest.approx(1)
        assert found[name]["peak_shift"] == 0
    for one in found.values():
        assert one["correlation"] > 0.95
        assert one["peak_shift"] < 2 / 64


def test_a_map_that_stays_where_it_was_has_moved_on_the_retina(lit):
    found = stability.check(fixed, lit, CLASSES[:1])
    # Mirrored, column 20 is where column 43 was; upside down, row 12 is 51.
    assert found["mirrored"]["peak_shift"] == pytest.approx(23 / 64)
    assert found["upside down"]["peak_shift"] == pytest.approx(39 / 64)
    assert found["upside down"]["correlation"] < 0
    # Turned by 5 degrees about the centre, 22.6 pixels away from it.
    arm = np.hypot(12 - 31.5, 20 - 31.5)
    for name in ("turned left", "turned right"):
        expected = 2 * arm * np.sin(np.deg2rad(2.5)) / 64
        assert found[name]["peak_shift"] == pytest.approx(expected, abs=0.012)
    assert found["saved as JPEG"]["peak_shift"] == 0


def test_the_photographs_are_changed_as_said(lit):
    seen = []

    def note(images, classes):
        seen.append(images)
        return np.ones(images.shape[:3], np.float32)

    stability.check(note, lit, CLASSES[:1])
    original, mirrored, upside_down, left, right, saved = (one[0] for one in seen)
    np.testing.assert_array_equal(original, lit[0])
    np.testing.assert_array_equal(mirrored, lit[0, :, ::-1])
    np.testing.assert_array_equal(upside_down, lit[0, ::-1])
    for turned, degrees in ((left, 5), (right, -5)):
        expected = Image.fromarray(lit[0]).rotate(degrees, Image.Resampling.BILINEAR)
        inside = np.s_[8:-8, 8:-8]
        difference = turned[inside].astype(int) - np.asarray(expected)[inside]
        assert np.abs(difference).mean() < 1
    file = io.BytesIO()
    Image.fromarray(lit[0]).save(file, "JPEG", quality=75)
    expected = np.asarray(Image.open(file)).astype(int)
    assert np.abs(saved - expected).mean() < 1
    assert (saved != lit[0]).any()


def test_where_neither_map_has_evidence_nothing_can_be_said(lit):
    empty = np.zeros((1, 64, 64), np.float32)
    found = stability.check(lambda images, _: empty, lit, CLASSES[:1])
    for one in found.values():
        assert set(one.values()) == {None}
    two = np.concatenate([lit, lit])

    def one_of_two(images, classes):
        return np.concatenate([brightest(images[:1], classes), empty])

    found = stability.check(one_of_two, two, CLASSES[:2])
    assert found["mirrored"]["correlation"] == pytest.approx(1)


def test_a_map_whose_evidence_vanishes_resembles_none(lit):
    calls = []

    def once(images, classes):
        calls.append(images)
        return brightest(images, classes) * (len(calls) == 1)

    for one in stability.check(once, lit, CLASSES[:1]).values():
        assert (one["correlation"], one["peak_shift"]) == (0, None)


def test_grad_cam_of_a_model_of_means_turns_with_the_photograph(linear):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)

    def explain(images, classes):
        return grad_cam.GradCam()(linear, images, classes)

    found = stability.check(explain, images, np.array([0, 1]))
    # It weighs each pixel alone, so that a mirror changes nothing.
    for name in ("mirrored", "upside down"):
        assert found[name]["correlation"] == pytest.approx(1)
        assert found[name]["peak_shift"] == 0


def test_where_a_maximum_has_many_pixels_their_middle_counts():
    first, second = np.zeros((2, 10, 20))
    first[2:4, 4:6] = 1
    second[6, 7] = 1
    # From (2.5, 4.5) to (6, 7).
    expected = np.hypot(3.5, 2.5) / 20
    assert stability.peak_shift(first, second) == pytest.approx(expected)
