import csv
import itertools

import cv2
import numpy as np
import pytest
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import distance

from input_pipeline import duplicates, fundus, quality

THRESHOLD = 2.5


def textured(count, rng, detail=25.0):
    """Unlike pictures with coarse shading and fine detail."""
    coarse = rng.normal(90, 30, (count, 4, 4, 3)).repeat(16, 1).repeat(16, 2)
    fine = detail * rng.standard_normal((count, 64, 64, 3))
    coarse = ndimage.gaussian_filter(coarse, (0, 8, 8, 0))
    return to_bytes(coarse + ndimage.gaussian_filter(fine, (0, 1, 1, 0)))


def to_bytes(pictures):
    return np.clip(np.round(pictures), 0, 255).astype(np.uint8)


def noisy(picture, rng, count, level=1.0):
    """Copies that differ by about 0.9 `level` grey levels in each pixel."""
    return to_bytes(picture + level * rng.standard_normal((count, *picture.shape)))


def brute_force(thumbnails, threshold):
    """All pairs by SciPy: a matrix of distances, infinite where no copy."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(float)
    away = distance.squareform(distance.pdist(flat, "cityblock")) / flat.shape[1]
    green = thumbnails[..., 1].astype(float)
    detail = green - ndimage.gaussian_filter(green, (0, 2, 2), mode="mirror")
    inside = detail[:, 10:54, 10:54].reshape(len(thumbnails), -1)
    cosine = 1 - distance.cdist(inside, inside, "cosine")
    with np.errstate(invalid="ignore"):
        same = (away == 0) | ((away <= threshold) & (cosine >= 0.6))
    return np.where(same, away, np.inf)


def expect_as_brute_force(thumbnails, threshold=THRESHOLD):
    links = duplicates.find(thumbnails, threshold)
    away = brute_force(thumbnails, threshold)
    for first, second, found in links:
        assert first < second
        assert found == pytest.approx(away[first, second], abs=1e-9)
    # The same groups, linked by as many pairs as are needed and no longer ones. Zero
    # is no link to SciPy, so a copy is a tiny step away.
    graph = sparse.csr_array(np.where(np.isfinite(away), away + 1e-9, 0))
    graph.setdiag(0)
    graph.eliminate_zeros()
    tree = csgraph.minimum_spanning_tree(graph)
    assert len(links) == tree.nnz
    assert sorted(link.distance for link in links) == pytest.approx(
        sorted(tree.data), abs=1e-6
    )
    _, labels = csgraph.connected_components(graph, directed=False)
    expected = [np.flatnonzero(labels == label).tolist() for label in set(labels)]
    expected = sorted(members for members in expected if len(members) > 1)
    assert duplicates.groups(len(thumbnails), links) == expected
    return links


def test_unlike_pictures_are_no_pairs():
    assert expect_as_brute_force(textured(300, np.random.default_rng(0))) == []


def test_planted_copies_are_found_and_nothing_else():
    rng = np.random.default_rng(1)
    originals = textured(300, rng)
    copies = [noisy(originals[place], rng, 1)[0] for place in range(0, 300, 30)]
    links = expect_as_brute_force(np.concatenate([originals, copies]))
    assert [(one.first, one.second) for one in links] == [
        (place, 300 + number) for number, place in enumerate(range(0, 300, 30))
    ]


def test_clusters_are_found_whole_however_they_are_chained():
    rng = np.random.default_rng(2)
    # Steps up to the threshold and above it, so that chains grow and break.
    clusters = [
        noisy(picture, rng, 12, level)
        for picture, level in zip(
            textured(20, rng), np.linspace(0.5, 4, 20), strict=True
        )
    ]
    thumbnails = rng.permutation(np.concatenate(clusters))
    links = expect_as_brute_force(thumbnails)
    assert 50 < len(links) < 220  # Neither nothing nor everything.


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.1, 1.2, 1.3, 4.0])
def test_every_threshold_is_exact(threshold):
    rng = np.random.default_rng(3)
    clusters = [noisy(picture, rng, 10, 1.0) for picture in textured(15, rng)]
    expect_as_brute_force(np.concatenate(clusters), threshold)


def test_a_pair_just_at_the_threshold_counts():
    picture = textured(1, np.random.default_rng(4))[0].clip(10, 240)
    other = picture.copy()
    other[:32] += 5
    assert duplicates.find(np.stack([picture, other]), 2.5) == [(0, 1, 2.5)]
    assert duplicates.find(np.stack([picture, other]), 2.4999) == []


def test_differences_that_cancel_out_in_every_block_are_no_copy():
    picture = textured(1, np.random.default_rng(5))[0].clip(10, 240)
    other = picture.copy()
    other[::2] += 4
    other[1::2] -= 4
    assert duplicates.find(np.stack([picture, other]), 2.5) == []


def test_identical_pictures_are_linked_once_each():
    rng = np.random.default_rng(6)
    same, other, alone = textured(3, rng)
    thumbnails = np.stack([alone, *[same, other] * 1500])
    links = duplicates.find(thumbnails, THRESHOLD)
    assert links == [(1, place, 0.0) for place in range(3, 3001, 2)] + [
        (2, place, 0.0) for place in range(4, 3001, 2)
    ]
    groups = duplicates.groups(3001, links)
    assert groups == [list(range(1, 3001, 2)), list(range(2, 3001, 2))]


def test_many_near_copies_are_linked_once_each():
    rng = np.random.default_rng(7)
    copies = noisy(textured(1, rng)[0], rng, 300)
    links = expect_as_brute_force(copies)
    assert len(links) == 299


def test_dark_photographs_are_no_copies_though_they_differ_by_little():
    thumbnails = textured(200, np.random.default_rng(8)) // 12
    flat = thumbnails.reshape(200, -1).astype(float)
    near = distance.pdist(flat, "cityblock") / flat.shape[1] <= THRESHOLD
    assert near.mean() > 0.4
    assert expect_as_brute_force(thumbnails) == []


def test_flat_pictures_are_copies_only_if_identical():
    levels = np.array([0, 1, 1, 2, 0], np.uint8)
    thumbnails = np.broadcast_to(levels[:, None, None, None], (5, 64, 64, 3))
    assert duplicates.find(thumbnails, THRESHOLD) == [(0, 4, 0.0), (1, 2, 0.0)]


def test_black_pictures_are_never_compared_however_many(monkeypatch):
    rng = np.random.default_rng(10)
    black = (rng.random((300, 64, 64, 3)) < 0.05).astype(np.uint8)
    black[7] = black[3]
    monkeypatch.setattr(duplicates._Distinct, "compare", None)
    assert duplicates.find(black, THRESHOLD) == [(3, 7, 0.0)]


def test_black_pictures_hide_no_copies_of_others():
    rng = np.random.default_rng(11)
    originals = textured(20, rng)
    black = (rng.random((40, 64, 64, 3)) < 0.05).astype(np.uint8)
    copies = np.concatenate([noisy(one, rng, 1) for one in originals[::5]])
    thumbnails = np.concatenate([black[:20], originals, black[20:], copies])
    links = duplicates.find(thumbnails, THRESHOLD)
    assert [(one.first, one.second) for one in links] == [
        (20 + place, 60 + number) for number, place in enumerate(range(0, 20, 5))
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare_are_no_error(count):
    thumbnails = textured(2, np.random.default_rng(9))[:count]
    assert duplicates.find(thumbnails, THRESHOLD) == []
    assert duplicates.groups(count, []) == []


def test_groups_follow_chains():
    pairs = [
        duplicates.Pair(5, 7, 1.0),
        duplicates.Pair(0, 3, 0.0),
        duplicates.Pair(3, 9, 2.0),
    ]
    assert duplicates.groups(10, pairs) == [[0, 3, 9], [5, 7]]


# --- IDRiD. ---


@pytest.fixture(scope="module")
def real_grading(real_idrid):
    """Names and thumbnails of the 516 grading photographs."""
    folder = real_idrid / "B. Disease Grading/1. Original Images"
    return thumbnails_of(sorted(folder.rglob("*.jpg")))


def thumbnails_of(paths):
    prepared = (fundus.prepare(path.read_bytes(), 256)[0] for path in paths)
    names = [
        ("test" if "Testing" in path.parts[-2] else "train", path.stem[6:])
        for path in paths
    ]
    return names, np.stack([quality.thumbnail(image) for image in prepared])


def test_real_photographs_have_exactly_the_six_known_pairs(real_grading):
    names, thumbnails = real_grading
    assert len(names) == 516
    links = expect_as_brute_force(thumbnails)
    assert {(names[one.first], names[one.second]) for one in links} == {
        (("train", "079"), ("train", "279")),
        (("train", "045"), ("train", "333")),
        (("train", "073"), ("train", "375")),
        (("train", "021"), ("train", "391")),
        (("train", "028"), ("train", "327")),
        (("train", "118"), ("test", "064")),
    }


def test_real_distinct_photographs_stay_clear_of_the_threshold(real_grading):
    flat = real_grading[1].reshape(516, -1).astype(float)
    away = np.sort(distance.pdist(flat, "cityblock") / flat.shape[1])
    assert away[5] == 0
    assert away[6] > 3.2


def test_real_photographs_are_no_copies_when_all_are_dark(real_grading):
    thumbnails = real_grading[1] // 2
    assert len(duplicates.find(thumbnails, THRESHOLD)) == 6


def test_the_real_segmentation_set_has_its_45_twins(real_grading, real_idrid):
    folder = real_idrid / "A. Segmentation/1. Original Images/a. Training Set"
    segmentation, thumbnails = thumbnails_of(sorted(folder.glob("*.jpg")))
    names = real_grading[0] + [("segmentation", number) for _, number in segmentation]
    links = duplicates.find(np.concatenate([real_grading[1], thumbnails]), THRESHOLD)
    twins = {(names[one.second], names[one.first]) for one in links if one.second > 515}
    with open(real_idrid / "segmentation_to_grading.csv", newline="") as file:
        listed = {
            (
                ("segmentation", row["segmentation_id"][6:]),
                (row["grading_split"], row["grading_id"][6:]),
            )
            for row in csv.DictReader(file)
            if row["grading_id"]
        }
    assert len(listed) == 45
    assert twins == listed
    assert len(links) == 6 + 45


def test_real_photographs_saved_small_are_still_linked(real_idrid, real_grading):
    folder = real_idrid / "B. Disease Grading/1. Original Images/a. Training Set"
    places = range(0, 413, 40)
    paths = sorted(folder.glob("*.jpg"))
    copies = []
    for place in places:
        image = cv2.imread(str(paths[place]), cv2.IMREAD_REDUCED_COLOR_4)
        small = cv2.resize(image, (536, 356), interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
        copies.append(quality.thumbnail(fundus.prepare(data, 256)[0]))
    links = duplicates.find(np.concatenate([real_grading[1], copies]), THRESHOLD)
    linked = {(one.first, one.second) for one in links if one.second >= 516}
    assert linked >= {
        (place, 516 + number)
        for place, number in zip(places, itertools.count(), strict=False)
    }
