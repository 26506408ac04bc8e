import cv2
import numpy as np
import pytest

from input_pipeline.datasets import synthetic
from visualization import baselines


def disc(size=64, radius=28):
    y, x = np.ogrid[:size, :size]
    return (x - 31.5) ** 2 + (y - 31.5) ** 2 <= radius**2


def test_the_retina_is_what_is_lit_with_its_dark_lesions():
    image = np.zeros((64, 64, 3), np.uint8)
    image[disc()] = 180, 90, 40
    image[30:40, 20:30] = 5  # A large haemorrhage is retina too.
    found = baselines.retina(image)
    assert (found ^ disc()).sum() < 0.02 * disc().sum()


def test_the_retina_of_a_drawing_is_its_circle():
    drawing = synthetic.draw(3, np.random.default_rng(0), width=512)
    found = baselines.retina(drawing.image)
    expected = np.zeros(found.shape, np.uint8)
    x, y = (round(one) for one in drawing.centre)
    cv2.circle(expected, (x, y), round(drawing.radius), 1, -1)
    assert (found ^ (expected > 0)).mean() < 0.02


def test_a_dark_photograph_is_retina_everywhere():
    assert baselines.retina(np.zeros((8, 8, 3), np.uint8)).all()


def test_a_blur_keeps_colour_and_outline_and_takes_lesions_away():
    image = np.zeros((1, 64, 64, 3), np.float32)
    image[0, disc()] = 180, 90, 40
    plain = baselines.make(image, "blurred")[0]
    # A few dark pixels of the hull around the disc are averaged in.
    expected = np.broadcast_to([180, 90, 40], (disc().sum(), 3))
    np.testing.assert_allclose(plain[disc()], expected, rtol=0.07)
    assert not plain[~disc(radius=30)].any()
    image[0, 30:32, 30:32] = 255
    spotted = baselines.make(image, "blurred")[0]
    assert spotted.max() < 200


def test_black_is_black_and_anything_else_is_refused():
    image = np.full((1, 8, 8, 3), 7, np.float32)
    assert not baselines.make(image, "black").any()
    with pytest.raises(
        ValueError, match=r"must be 'blurred' or 'black'\. Received: 'no'"
    ):
        baselines.make(image, "no")
