import dataclasses
import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from input_pipeline import fundus, quality
from input_pipeline.datasets import synthetic

# A square photograph that the circle fills.
WHOLE = fundus.Crop(0, 0, 256, 256, 256, 256)

OFFSET = np.arange(256) + 0.5 - 128
DISTANCE = np.hypot(OFFSET[:, None], OFFSET)


def uniform(color=(100, 100, 100), size=256):
    return np.full((size, size, 3), color, np.uint8)


@pytest.fixture(scope="module")
def drawn():
    """A drawn photograph as a PNG file's content."""
    image = synthetic.draw(2, np.random.default_rng(3), width=1072).image
    return encode(Image.fromarray(image), "PNG")


def encode(picture, format_name, **options):
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def test_brightness_is_the_mean_grey_level():
    found = quality.measure(uniform((200, 100, 50)), WHOLE)
    # ITU-R BT.601.
    assert found.brightness == pytest.approx(
        0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=0.5
    )


def test_only_pixels_inside_the_circle_count():
    image = uniform()
    image[DISTANCE > 128] = 255
    found = quality.measure(image, WHOLE)
    assert found.brightness == 100
    assert found.overexposed == 0
    assert found.sharpness == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_only_pixels_on_the_photograph_count(side):
    # A quarter of the box lies beyond the photograph.
    image = uniform()
    first, last = (0, 64) if side in ("top", "left") else (192, 256)
    rows, columns = slice(first, last), slice(None)
    if side in ("left", "right"):
        rows, columns = columns, rows
    image[rows, columns] = 0
    crop = {
        "top": fundus.Crop(0, -250, 1000, 750, 1000, 750),
        "bottom": fundus.Crop(0, 0, 1000, 1000, 1000, 750),
        "left": fundus.Crop(-250, 0, 750, 1000, 750, 1000),
        "right": fundus.Crop(0, 0, 1000, 1000, 750, 1000),
    }[side]
    found = quality.measure(image, crop)
    assert found.brightness == 100
    assert found.underexposed == 0
    assert found.sharpness == pytest.approx(0, abs=1e-5)


def test_shares_of_too_bright_and_too_dark_pixels():
    image = uniform()
    image[:128, :128] = 255
    image[128:] = 3
    found = quality.measure(image, WHOLE)
    assert found.overexposed == pytest.approx(0.25, abs=1e-3)
    assert found.underexposed == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("color", "over", "under"),
    [
        ((255, 244, 200), 0, 0),  # Red alone is clipped.
        ((255, 245, 200), 1, 0),
        ((90, 12, 0), 0, 0),
        ((90, 11, 0), 0, 1),
    ],
)
def test_exposure_is_judged_in_green(color, over, under):
    found = quality.measure(uniform(color), WHOLE)
    assert (found.overexposed, found.underexposed) == (over, under)


@pytest.mark.parametrize(
    "crop",
    [
        fundus.Crop(200, 50, 1000, 850, 1200, 900),
        fundus.Crop(-60, -100, 940, 900, 880, 700),  # Cut off on all sides.
        fundus.Crop(100, 50, 900, 650, 1000, 700),  # Stretched.
    ],
)
def test_retina_share_is_the_circles_share_of_the_frame(crop):
    frame = Image.new("L", (crop.width, crop.height))
    box = (crop.left, crop.top, crop.right - 1, crop.bottom - 1)
    ImageDraw.Draw(frame).ellipse(box, fill=1)
    found = quality.measure(uniform(), crop)
    assert found.retina_share == pytest.approx(np.asarray(frame).mean(), rel=0.01)


def test_sharpness_is_fine_detail_over_brightness(drawn):
    image, crop = fundus.prepare(drawn, 256)
    green = image[..., 1].astype(float)
    detail = green - ndimage.gaussian_filter(green, 2, mode="mirror")
    # The drawn camera cuts the retina off at top and bottom.
    centres = crop.top + (np.arange(256) + 0.5) * (crop.bottom - crop.top) / 256
    margin = 8 * (crop.bottom - crop.top) / 256
    seen = (centres > margin) & (centres < crop.height - margin)
    inside = (DISTANCE <= 120) & seen[:, None]
    expected = np.sqrt((detail[inside] ** 2).mean()) / green[inside].mean()
    found = quality.measure(image, crop)
    assert found.sharpness == pytest.approx(expected, rel=0.02)


def test_sharpness_falls_with_every_blur(drawn):
    image, crop = fundus.prepare(drawn, 256)
    values = [quality.measure(image, crop).sharpness]
    for radius in (0.5, 1, 2, 4, 8):
        blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius))
        values.append(quality.measure(np.asarray(blurred), crop).sharpness)
    assert (np.diff(values) < 0).all(), values
    assert values[-1] < 0.3 * values[0]


def test_sharpness_does_not_depend_on_brightness(drawn):
    image, crop = fundus.prepare(drawn, 256)
    darker = np.uint8(np.round(image * 0.5))
    whole, half = (quality.measure(one, crop).sharpness for one in (image, darker))
    assert half == pytest.approx(whole, rel=0.02)


def test_nothing_depends_on_the_prepared_size(drawn):
    small, large = (
        dataclasses.asdict(quality.measure(*fundus.prepare(drawn, size)))
        for size in (256, 512)
    )
    assert small == pytest.approx(large, rel=0.03, abs=1e-3)


def test_a_black_square_is_measured():
    found = quality.measure(uniform((0, 0, 0)), WHOLE)
    assert (found.brightness, found.sharpness, found.underexposed) == (0, 0, 1)


def test_measurements_are_json_ready(drawn):
    found = quality.measure(*fundus.prepare(drawn, 64))
    restored = json.loads(json.dumps(dataclasses.asdict(found)))
    assert quality.Quality(**restored) == found


def test_a_thumbnail_is_the_area_average_that_pillow_computes(drawn):
    image, _ = fundus.prepare(drawn, 256)
    thumbnail = quality.thumbnail(image)
    assert thumbnail.shape == (64, 64, 3)
    assert thumbnail.dtype == np.uint8
    reference = Image.fromarray(image).reduce(4)
    assert np.abs(thumbnail.astype(int) - np.asarray(reference)).max() <= 1


def test_a_thumbnail_of_a_smaller_square_is_interpolated():
    ramp = np.repeat(np.arange(0, 128, 4, dtype=np.uint8), 3).reshape(1, 32, 3)
    thumbnail = quality.thumbnail(np.repeat(ramp, 32, axis=0))
    assert thumbnail.shape == (64, 64, 3)
    # Neighbours half a pixel apart: steps of 2, but for the two borders.
    np.testing.assert_array_equal(np.diff(thumbnail[5, 1:-1, 0].astype(int)), 2)


def test_copies_of_real_photographs_measure_alike(real_idrid):
    folder = real_idrid / "B. Disease Grading/1. Original Images/a. Training Set"
    for path in sorted(folder.glob("*.jpg"))[::100]:
        original = path.read_bytes()
        quarter = Image.open(path).reduce(4)
        measured, *others = (
            quality.measure(*fundus.prepare(data, 256))
            for data in (
                original,
                encode(quarter, "JPEG", quality=95),
                encode(quarter, "JPEG", quality=75),
            )
        )
        for other in others:
            assert other.sharpness == pytest.approx(measured.sharpness, rel=0.07)
            assert other.brightness == pytest.approx(measured.brightness, abs=1)
            assert other.overexposed == pytest.approx(measured.overexposed, abs=2e-3)
            assert other.underexposed == pytest.approx(measured.underexposed, abs=2e-3)
            assert other.retina_share == pytest.approx(measured.retina_share, rel=0.01)


def test_measuring_takes_no_tensorflow():
    code = "import sys; from input_pipeline import quality; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    modules = run.stdout.split()
    assert "input_pipeline.quality" in modules
    assert not {"tensorflow", "keras", "scipy", "sklearn"} & set(modules)


def test_one_thread_or_many_measure_the_same(drawn):
    image, crop = fundus.prepare(drawn, 256)
    many = quality.measure(image, crop)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        assert quality.measure(image, crop) == many
    finally:
        cv2.setNumThreads(threads)
