"""NumPy's views against TensorFlow's."""

import numpy as np
import pytest

from evaluation import predict
from serving import views


@pytest.mark.parametrize(("flips", "turns"), [(1, 1), (1, 0), (0, 1)])
def test_they_are_those_of_an_evaluation_in_the_same_order(flips, turns):
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    symmetries = predict.Symmetries(flips=bool(flips), quarter_turns=bool(turns))
    expected = [one.numpy() for one in symmetries.views(images)]
    chosen = {"flips": bool(flips), "quarter_turns": bool(turns)}
    received = list(views.views(images, chosen))
    np.testing.assert_array_equal(received, expected)
    assert len(received) == (1 + flips) * (1 + 3 * turns)


def test_without_any_there_is_the_photograph_alone():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    (only,) = views.views(images, None)
    assert only is images
