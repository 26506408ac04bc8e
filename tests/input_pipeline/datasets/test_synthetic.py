import cv2
import numpy as np
import pytest

from input_pipeline.datasets import synthetic

WIDTH = 512


def drawn(grade, seed, width=WIDTH):
    return synthetic.draw(grade, np.random.default_rng(seed), width)


def centroids(mask):
    """Of the connected components: float array of shape (n, 2), x and y."""
    return cv2.connectedComponentsWithStats(mask.astype(np.uint8))[3][1:]


def quadrant_counts(drawing):
    """Haemorrhages in each of the four quadrants about the fovea."""
    right, below = (centroids(drawing.masks["haemorrhages"]) > drawing.fovea).T
    return [np.sum((right == i) & (below == j)) for i in (0, 1) for j in (0, 1)]


def lesions(drawing):
    return {name for name, mask in drawing.masks.items() if mask.any()} - {"optic_disc"}


def test_same_generator_draws_same_photograph():
    first, second, other = drawn(4, 7), drawn(4, 7), drawn(4, 8)
    np.testing.assert_array_equal(first.image, second.image)
    for name, mask in first.masks.items():
        np.testing.assert_array_equal(mask, second.masks[name])
    assert (first.image != other.image).any()


@pytest.mark.parametrize("width", [256, 640, 1072])
def test_photograph_has_proportions_of_idrid(width):
    drawing = drawn(2, 0, width)
    assert drawing.image.dtype == np.uint8
    assert drawing.image.shape == (round(width * 2848 / 4288), width, 3)
    # IDRiD's circle is 3400 of 4288 pixels wide; top and bottom are cut off.
    lit = np.flatnonzero(drawing.image[drawing.image.shape[0] // 2].max(axis=1) > 25)
    assert lit[-1] - lit[0] == pytest.approx(3400 / 4288 * width, rel=0.01)
    for row in (1, -2):
        assert 0.4 < (drawing.image[row].max(axis=1) > 25).mean() < 0.5


@pytest.mark.parametrize("grade", range(5))
def test_masks_are_bool_and_lie_in_the_photographed_circle(grade):
    drawing = drawn(grade, 1)
    y, x = np.indices(drawing.image.shape[:2])
    from_centre = np.hypot(x - drawing.centre[0], y - drawing.centre[1])
    for mask in drawing.masks.values():
        assert mask.dtype == bool
        assert mask.shape == drawing.image.shape[:2]
        assert not mask[from_centre > drawing.radius].any()


def test_grade_0_has_no_lesion():
    for seed in range(5):
        drawing = drawn(0, seed)
        assert lesions(drawing) == set()
        assert (drawing.macular_edema, drawing.signs) == (0, ())


def test_grade_1_has_microaneurysms_only():
    for seed in range(5):
        drawing = drawn(1, seed)
        assert lesions(drawing) == {"microaneurysms"}
        assert (drawing.macular_edema, drawing.signs) == (0, ())


def test_grade_2_has_more_than_microaneurysms_and_less_than_severe():
    for seed in range(10):
        drawing = drawn(2, seed)
        assert {"microaneurysms", "haemorrhages"} <= lesions(drawing)
        assert min(quadrant_counts(drawing)) <= 20
        assert drawing.signs == ()


@pytest.mark.parametrize("width", [256, 1072])
def test_grade_3_has_more_than_20_haemorrhages_in_each_quadrant(width):
    for seed in range(4):
        drawing = drawn(3, seed, width)
        assert min(quadrant_counts(drawing)) > 20
        assert set(drawing.signs) <= {"venous_beading", "irma"}


def test_grade_4_has_new_vessels_or_preretinal_blood():
    signs = [set(drawn(4, seed).signs) for seed in range(12)]
    proliferative = {"neovascularisation", "preretinal_haemorrhage"}
    assert all(one & proliferative for one in signs)
    assert set.union(*signs) >= proliferative


@pytest.mark.parametrize("grade", [1, 2])
def test_grades_differ_in_their_lesions_alone(grade):
    healthy, diseased = drawn(0, 3), drawn(grade, 3)
    differs = (healthy.image != diseased.image).any(axis=2)
    masks = np.any([diseased.masks[name] for name in lesions(diseased)], axis=0)
    reach = round(0.06 * diseased.radius)  # a lesion's soft edge, and the blur
    near = cv2.dilate(masks.astype(np.uint8), np.ones((2 * reach + 1,) * 2)) > 0
    assert differs.any()
    assert not (differs & ~near).any()
    assert (diseased.fovea, diseased.disc) == (healthy.fovea, healthy.disc)


def test_red_lesions_are_darker_and_exudates_brighter_than_the_same_eye_without():
    healthy, diseased = drawn(0, 5).image, drawn(3, 5)
    green = diseased.image[..., 1].astype(float) - healthy[..., 1]
    red_lesions = diseased.masks["microaneurysms"] | diseased.masks["haemorrhages"]
    exudates = diseased.masks["hard_exudates"] & ~red_lesions
    assert green[red_lesions & ~diseased.masks["hard_exudates"]].mean() < -10
    assert green[exudates].mean() > 20


def test_macular_edema_follows_from_hard_exudates_and_their_distance():
    seen = set()
    for seed in range(16):
        drawing = drawn(2 + seed % 3, seed)
        y, x = np.nonzero(drawing.masks["hard_exudates"])
        away = np.hypot(x - drawing.fovea[0], y - drawing.fovea[1])
        expected = 0 if not len(x) else 1 if away.min() > drawing.disc_diameter else 2
        assert drawing.macular_edema == expected
        seen.add(expected)
    assert seen == {0, 1, 2}


def test_disc_is_where_it_is_said_to_be():
    drawing = drawn(0, 2)
    (centre,) = centroids(drawing.masks["optic_disc"])
    np.testing.assert_allclose(centre, drawing.disc, atol=0.5)
    diameter = 2 * np.sqrt(drawing.masks["optic_disc"].sum() / np.pi)
    assert diameter == pytest.approx(drawing.disc_diameter, rel=0.03)
    green = drawing.image[..., 1]
    assert green[drawing.masks["optic_disc"]].mean() > 1.3 * green[green > 25].mean()
    x, y = np.rint(drawing.fovea).astype(int)
    assert green[y - 5 : y + 5, x - 5 : x + 5].mean() < green[green > 25].mean()


def test_left_and_right_eyes_are_drawn():
    drawings = [drawn(0, seed, 256) for seed in range(8)]
    sides = {drawing.fovea[0] > drawing.disc[0] for drawing in drawings}
    assert sides == {True, False}


def test_unknown_grade_is_refused():
    with pytest.raises(ValueError, match=r"0, 1, 2, 3 or 4\. Received: grade=5\."):
        drawn(5, 0)


def test_small_width_is_refused():
    message = r"at least 256 pixels, for small lesions to show\. Received: width=200\."
    with pytest.raises(ValueError, match=message):
        drawn(1, 0, width=200)
