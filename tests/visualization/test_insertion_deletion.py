import numpy as np

from visualization import insertion_deletion


def share_of_red(images):
    """A model whose probability is the share of the 16 pixels that are lit."""
    share = (images[..., 0] > 0).mean(axis=(1, 2))
    return np.stack([1 - share, share], axis=1)


def test_curves_follow_the_map_from_its_highest_value():
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[0, 0] = 200  # Four lit pixels, on a black baseline.
    good = np.zeros((1, 4, 4))
    good[0, 0] = 4, 3, 2, 1
    bad = 1 - good / 4
    for heatmap, insertion, deletion in (
        (good, [0, 4, 4, 4, 4], [4, 0, 0, 0, 0]),
        (bad, [0, 0, 0, 0, 4], [4, 4, 4, 4, 0]),
    ):
        curves = insertion_deletion.measure(
            share_of_red, image, heatmap, np.array([1]), steps=4, baseline="black"
        )
        np.testing.assert_array_equal(curves.insertion[0], np.array(insertion) / 16)
        np.testing.assert_array_equal(curves.deletion[0], np.array(deletion) / 16)
    # Trapezoids: (0 + 0)/2 + ... of the last curves.
    areas = [area[0] for area in curves.areas]
    assert areas == [4 / 16 / 2 / 4, (3 + 0.5) * 4 / 16 / 4]


def test_random_maps_are_patches_of_any_size_and_always_the_same():
    maps = insertion_deletion.random_maps((2, 40, 24), seed=1)
    assert maps.shape == (2, 40, 24) and maps.min() >= 0 and maps.max() <= 1
    assert len(np.unique(maps[0])) == 256
    np.testing.assert_array_equal(
        maps, insertion_deletion.random_maps((2, 40, 24), seed=1)
    )


def test_a_map_without_evidence_is_worth_what_chance_is():
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    chance = insertion_deletion.random_maps(images.shape[:3], seed=3)
    one, other = (
        insertion_deletion.measure(
            share_of_red, images, maps, np.array([1, 1]), baseline="black", seed=3
        )
        for maps in (np.zeros((2, 32, 32)), chance)
    )
    np.testing.assert_array_equal(one.insertion, other.insertion)
    np.testing.assert_array_equal(one.deletion, other.deletion)
