import math

import cv2
import numpy as np
import pytest
from scipy import ndimage

from input_pipeline import augment

SIDE = 64


class Highest:
    """A generator whose every draw is the upper end of its range."""

    def uniform(self, low, high, count):
        return np.full(count, high)

    def integers(self, low, high, shape):
        return np.full(shape, high - 1)


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def smooth():
    rng = np.random.default_rng(0)
    blurred = ndimage.gaussian_filter(rng.uniform(0, 255, (SIDE, SIDE, 3)), (4, 4, 0))
    blurred = (blurred - blurred.min()) / (blurred.max() - blurred.min())
    return np.rint(255 * blurred).astype(np.uint8)


ALL = augment.Augmentation(
    rotation_degrees=180,
    shift=0.05,
    zoom=0.1,
    shear_degrees=5,
    horizontal_flip=True,
    vertical_flip=True,
    brightness=0.2,
)


def test_the_default_changes_no_pixel(noise):
    augmented = augment.Augmentation()(noise.copy(), np.random.default_rng(0))
    np.testing.assert_array_equal(augmented, noise)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rotation_degrees": 90.0}, lambda image: np.rot90(image)),
        ({"rotation_degrees": 180.0}, lambda image: image[::-1, ::-1]),
        ({"horizontal_flip": True}, lambda image: image[:, ::-1]),
        ({"vertical_flip": True}, lambda image: image[::-1]),
        (
            {"shift": 0.25},
            lambda image: np.pad(image[:-16, :-16], ((16, 0), (16, 0), (0, 0))),
        ),
        (
            {"brightness": 0.5},
            lambda image: np.clip(np.rint(1.5 * image), 0, 255).astype(np.uint8),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_single_change_equals_numpys(noise, settings, expected):
    augmented = augment.Augmentation(**settings)(noise.copy(), Highest())
    np.testing.assert_array_equal(augmented, [expected(image) for image in noise])


def test_zoom_enlarges_about_the_centre():
    (matrix,) = augment.Augmentation(zoom=0.5).matrices(1, SIDE, Highest())
    # Enlarged 1.5 times: three pixels right of the centre comes from two right of it.
    np.testing.assert_allclose(matrix @ [31.5 + 3, 31.5, 1], [31.5 + 2, 31.5])
    np.testing.assert_allclose(matrix @ [31.5, 31.5, 1], [31.5, 31.5])


def test_shear_slants_rows_about_the_centre():
    (matrix,) = augment.Augmentation(shear_degrees=45).matrices(1, SIDE, Highest())
    np.testing.assert_allclose(matrix @ [31.5, 31.5 + 10, 1], [31.5 + 10, 31.5 + 10])
    np.testing.assert_allclose(matrix @ [31.5 + 7, 31.5, 1], [31.5 + 7, 31.5])


def test_any_drawn_matrix_resamples_as_scipy_does(smooth):
    count = 8
    settings = augment.Augmentation(
        rotation_degrees=180, shift=0.1, zoom=0.2, shear_degrees=10
    )
    matrices = settings.matrices(count, SIDE, np.random.default_rng(1))
    augmented = settings(np.stack([smooth] * count), np.random.default_rng(1))
    for image, matrix in zip(augmented, matrices, strict=True):
        rows_first = matrix[::-1, [1, 0, 2]]  # SciPy's coordinates are (row, column).
        expected = [
            ndimage.affine_transform(
                smooth[..., channel].astype(float),
                rows_first[:, :2],
                rows_first[:, 2],
                order=1,
                mode="grid-constant",
            )
            for channel in range(3)
        ]
        difference = np.abs(image - np.stack(expected, axis=-1))
        # OpenCV rounds positions to 1/32 of a pixel.
        assert difference.max() < 5
        assert difference.mean() < 0.5


def test_all_geometric_changes_are_the_product_of_the_single_ones():
    def matrix(**settings):
        (drawn,) = augment.Augmentation(**settings).matrices(1, SIDE, Highest())
        return np.vstack([drawn, [0, 0, 1]])

    single = {
        "horizontal_flip": True,
        "vertical_flip": True,
        "zoom": 0.3,
        "rotation_degrees": 25.0,
        "shear_degrees": 12.0,
        "shift": 0.1,
    }
    product = np.linalg.multi_dot(
        [matrix(**{name: value}) for name, value in single.items()]
    )
    np.testing.assert_allclose(matrix(**single), product, atol=1e-12)


def test_a_photograph_is_resampled_once_whatever_is_asked_for(noise, monkeypatch):
    calls = []
    warp = cv2.warpAffine
    monkeypatch.setattr(
        cv2, "warpAffine", lambda *args, **kw: calls.append(1) or warp(*args, **kw)
    )
    ALL(noise.copy(), np.random.default_rng(0))
    assert len(calls) == len(noise)


def test_the_same_generator_state_gives_the_same_pixels_and_another_state_others(noise):
    first = ALL(noise.copy(), np.random.default_rng(7))
    np.testing.assert_array_equal(ALL(noise.copy(), np.random.default_rng(7)), first)
    assert (
        (ALL(noise.copy(), np.random.default_rng(8)) != first).any(axis=(1, 2, 3)).all()
    )


def test_photographs_are_changed_independently_and_in_place(noise):
    copies = np.stack([noise[0]] * 4)
    augmented = ALL(copies, np.random.default_rng(0))
    assert len({image.tobytes() for image in augmented}) == 4
    assert augmented is copies


def test_one_range_does_not_change_what_is_drawn_for_another():
    only = augment.Augmentation(rotation_degrees=180)
    both = augment.Augmentation(rotation_degrees=180, vertical_flip=True, shift=0.1)

    def angles(settings):
        matrices = settings.matrices(50, SIDE, np.random.default_rng(3))
        return np.arctan(matrices[:, 0, 1] / matrices[:, 0, 0])

    np.testing.assert_allclose(angles(only), angles(both))


DRAWS = 4000


def drawn(**settings):
    return augment.Augmentation(**settings).matrices(
        DRAWS, SIDE, np.random.default_rng(0)
    )


def assert_fills(values, low, high):
    assert values.min() >= low - 1e-9
    assert values.max() <= high + 1e-9
    # Evenly: each tenth of the range has its tenth of the draws, within 5 deviations.
    counts, _ = np.histogram(values, bins=10, range=(low, high))
    assert np.abs(counts - DRAWS / 10).max() < 5 * math.sqrt(DRAWS / 10)


def test_angles_fill_their_range_evenly():
    matrices = drawn(rotation_degrees=30)
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert_fills(angles, -30, 30)


def test_zoom_factors_fill_their_range_evenly():
    assert_fills(1 / drawn(zoom=0.2)[:, 0, 0], 0.8, 1.2)


def test_shear_angles_fill_their_range_evenly():
    assert_fills(np.degrees(np.arctan(drawn(shear_degrees=20)[:, 0, 1])), -20, 20)


def test_shifts_fill_their_range_evenly_and_independently():
    shifts = drawn(shift=0.25)[:, :, 2] / SIDE
    assert_fills(shifts[:, 0], -0.25, 0.25)
    assert_fills(shifts[:, 1], -0.25, 0.25)
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 5 / math.sqrt(DRAWS)


def test_brightness_factors_fill_their_range_evenly():
    grey = np.full((DRAWS, 1, 1, 3), 100, np.uint8)
    settings = augment.Augmentation(brightness=0.5)
    augmented = settings(grey, np.random.default_rng(0))
    values = augmented[:, 0, 0, 0].astype(float)
    assert (values.min(), values.max()) == (50, 150)
    assert abs(values.mean() - 100) < 5 * 100 / math.sqrt(12 * DRAWS)


def test_half_of_the_photographs_are_flipped_each_way_independently():
    matrices = drawn(horizontal_flip=True, vertical_flip=True)
    flips = matrices[:, [0, 1], [0, 1]] < 0
    counts = np.bincount(flips @ [1, 2], minlength=4)
    assert np.abs(counts - DRAWS / 4).max() < 5 * math.sqrt(DRAWS * 3 / 16)


def test_what_comes_from_outside_is_black():
    white = np.full((1, SIDE, SIDE, 3), 255, np.uint8)
    (turned,) = augment.Augmentation(rotation_degrees=45)(white.copy(), Highest())
    corners = turned[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_array_equal(corners, np.zeros((4, 3)))
    np.testing.assert_array_equal(turned[SIDE // 2, SIDE // 2], [255, 255, 255])
    (half,) = augment.Augmentation(shift=0.5)(white.copy(), Highest())
    assert half[: SIDE // 2].max() == 0
    assert half[SIDE // 2 :, SIDE // 2 :].min() == 255


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("rotation_degrees", 181, "180"),
        ("rotation_degrees", -1, "180"),
        ("shift", 0.6, "0.5"),
        ("zoom", 1.0, "0.9"),
        ("shear_degrees", 90, "60"),
        ("brightness", 1.5, "1"),
        ("brightness", math.nan, "1"),
    ],
)
def test_a_range_outside_its_limits_is_an_error(name, value, limit):
    with pytest.raises(
        ValueError, match=f"`augment.{name}` must be between 0 and {limit}. Received: "
    ):
        augment.Augmentation(**{name: value})


def test_a_part_of_a_batch_is_augmented_as_it_is_in_the_whole():
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    changes = augment.Augmentation(
        rotation_degrees=90.0, shift=0.1, horizontal_flip=True, brightness=0.3
    )
    whole = changes(images.copy(), np.random.default_rng(1))
    parts = [
        changes(images[first : first + 2].copy(), np.random.default_rng(1), first, 6)
        for first in (0, 2, 4)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(whole, images)
