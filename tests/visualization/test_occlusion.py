import numpy as np
import pytest

from models import resnet_v2
from visualization import occlusion

Occlusion = occlusion.Occlusion


def test_it_is_the_mean_fall_of_the_score_over_the_patches_of_a_pixel(softmax):
    model = resnet_v2.resnet_v2(image_size=32, num_outputs=2, widths=(8,), depths=(1,))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    method = Occlusion(patch=0.5, stride=0.25, baseline="black")
    found = method.bind(model, softmax).evidence(images, np.array([0, 1]))

    whole = model.predict(images.astype(np.float32), verbose=0)
    total, times = np.zeros((2, 32, 32)), np.zeros((32, 32))
    for y in range(0, 33, 8):
        for x in range(0, 33, 8):
            box = slice(max(y - 8, 0), y + 8), slice(max(x - 8, 0), x + 8)
            hidden = images.astype(np.float32)
            hidden[:, *box] = 0
            fall = whole - model.predict(hidden, verbose=0)
            for place, number in enumerate((0, 1)):
                total[place][box] += fall[place, number] - fall[place, 1 - number]
            times[box] += 1
    np.testing.assert_allclose(found, total / times, atol=1e-5)


def test_what_decides_is_found(linear):
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[0, 2, 5] = 255, 0, 0
    method = Occlusion(patch=0.25, stride=0.125, baseline="black")
    heatmap = method(linear, images, np.array([0]))[0]
    rows, columns = np.nonzero(heatmap)
    assert heatmap[2, 5] == 1
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 3, 4, 6)


def test_every_pixel_is_covered():
    times = np.zeros((40, 30), int)
    for top, left, bottom, right in occlusion.boxes(40, 30, 0.2, 0.13):
        times[top:bottom, left:right] += 1
    assert times.min() >= 1


@pytest.mark.parametrize("sizes", [(0.1, 0.2), (0.1, 0.0), (1.5, 0.5)])
def test_patches_that_do_not_cover_the_photograph_are_refused(sizes):
    with pytest.raises(ValueError, match=r"`occlusion\.stride` must be above 0 and at"):
        Occlusion(patch=sizes[0], stride=sizes[1])
