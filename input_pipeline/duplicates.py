"""Finds photographs that show the same picture, by their thumbnails.

Re-encoded, reduced and re-exported copies differ in every byte and hardly in a
thumbnail of the retina. All pairs are compared, most of them without being looked at: a
mean of pixel differences with signs, or over blocks, is never above the mean of their
absolute values, so a few numbers of a photograph tell which others may be near.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from scipy import sparse, spatial
from scipy.sparse import csgraph

from input_pipeline import progress

# A copy shows the same vessels too. Distance alone finds pairs by chance among dark
# photographs, which differ by little: 58 among IDRiD's at half their brightness. The
# detail of copies of an eighth of the width at JPEG quality 60 agrees by 0.89 or more
# (0.76 at half the brightness), that of the 20 nearest other pairs by 0.57 or less.
MIN_AGREEMENT = 0.6

# Root mean square of the differences between neighbours, in grey levels. Rounding to
# whole levels alone makes 0.4, so below this two copies that were saved separately have
# nothing in common but noise. IDRiD's least is 1.9, and 0.6 at a quarter of the
# brightness. Black pictures are all near each other: compared, they would take hours.
MIN_DETAIL = 0.5

_BLOCKS = 4
_AXES = 12  # More of them cost more than they exclude.
_ROWS = 128  # Photographs searched at once: 12 million candidates at 90,000.
_CANDIDATES = 2**18  # compared by their blocks at once: 50 MB.
_COLUMNS = 2**12  # Photographs whose detail is compared at once: 32 MB.

# Where a thumbnail's fine detail is compared: inside the retina's circle, whose edge is
# the same in all.
_INSIDE = slice(10, 54)
_DETAIL_SIZE = 44 * 44

# Sums of float32 are not exact; what this lets through is compared exactly.
_ROUNDING = 0.01


class Pair(NamedTuple):
    """Two thumbnails of one picture.

    Attributes:
        first: Place of the earlier one.
        second: Place of the later one.
        distance: Their mean absolute difference in grey levels.
    """

    first: int
    second: int
    distance: float


def find(thumbnails: np.ndarray, threshold: float) -> list[Pair]:
    """Links all thumbnails that show the same picture.

    Two show the same picture if they are identical, or if their mean absolute
    difference is at most `threshold` and their fine detail correlates by
    `MIN_AGREEMENT` or more. None is missed. Of a thumbnail without any detail
    (`MIN_DETAIL`), black or blank, nothing is told but that another is identical.

    A group of copies is linked by its closest pairs, one fewer than it has members (a
    minimum spanning tree), so that the result stays small when one picture occurs a
    thousand times: two thumbnails are linked, directly or by others, just if a chain of
    such pairs leads from one to the other.

    Args:
        thumbnails: uint8 array of shape `(n, 64, 64, 3)`, RGB, 0-255, from
            `quality.thumbnail`.
        threshold: Greatest distance of two copies, in grey levels.

    Returns:
        The links, in order.
    """
    originals, links = _collapse(thumbnails)
    originals = np.array([one for one in originals if _tells(thumbnails[one])], int)
    distinct = _Distinct(thumbnails, originals)
    firsts, seconds, distances = (np.empty(0, kind) for kind in (int, int, float))
    for rows, near in distinct.candidates(threshold):
        pairs = distinct.compare(rows, near, threshold)
        if not pairs:
            continue
        found = np.array(pairs)
        # The least links of all so far, as those left out are never needed again.
        graph = sparse.coo_array(
            (
                np.concatenate([distances, found[:, 2]]),
                (
                    np.concatenate([firsts, found[:, 0]]).astype(int),
                    np.concatenate([seconds, found[:, 1]]).astype(int),
                ),
            ),
            shape=(len(originals), len(originals)),
        )
        tree = csgraph.minimum_spanning_tree(graph.tocsr()).tocoo()
        (firsts, seconds), distances = tree.coords, tree.data
    for i, j, distance in zip(firsts, seconds, distances, strict=True):
        links.append(Pair(int(originals[i]), int(originals[j]), float(distance)))
    return sorted(links)


def groups(count: int, pairs: Sequence[Pair]) -> list[list[int]]:
    """The thumbnails that pairs link, directly or by others.

    Args:
        count: How many thumbnails there are.
        pairs: What `find` returned for them.

    Returns:
        The places of each picture that occurs more than once, in order.
    """
    firsts, seconds = ([pair[end] for pair in pairs] for end in (0, 1))
    graph = sparse.coo_array((np.ones(len(pairs)), (firsts, seconds)), (count, count))
    _, labels = csgraph.connected_components(graph, directed=False)
    members: dict[int, list[int]] = {}
    for place in sorted({*firsts, *seconds}):
        members.setdefault(int(labels[place]), []).append(place)
    return list(members.values())


def _collapse(thumbnails: np.ndarray) -> tuple[np.ndarray, list[Pair]]:
    """Places of the distinct thumbnails; the others, each paired with its like."""
    first: dict[bytes, int] = {}
    links = []
    for place, one in enumerate(thumbnails):
        like = first.setdefault(hashlib.sha256(one.tobytes()).digest(), place)
        if like != place:
            links.append(Pair(like, place, 0.0))
    return np.array(list(first.values()), int), links


def _tells(thumbnail: np.ndarray) -> bool:
    """Whether a thumbnail shows any detail by which a copy could be known."""
    green = thumbnail[_INSIDE, _INSIDE, 1].astype(np.float32)
    difference = np.diff(green, axis=1).ravel()
    return bool(difference @ difference >= MIN_DETAIL**2 * len(difference))


class _Distinct:
    """Thumbnails no two of which are identical, and how to compare them."""

    def __init__(self, thumbnails: np.ndarray, places: np.ndarray):
        self._thumbnails, self._places = thumbnails, places
        self._blocks = np.array([_block_means(thumbnails[place]) for place in places])
        # What is never asked for is never filled in, and so takes no memory.
        self._details = np.empty((len(places), _DETAIL_SIZE), np.float32)
        self._known = np.zeros(len(places), bool)

    def candidates(self, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs that may be within the threshold, each once, the smaller first."""
        count = len(self._places)
        if count < 2:
            return
        axes = _project(self._blocks)
        tree = spatial.cKDTree(axes, balanced_tree=False)
        with progress.bar(total=count, desc="duplicates", unit="photo", delay=2) as bar:
            for start in range(0, count, _ROWS):
                rows = np.arange(start, min(start + _ROWS, count))
                near = tree.query_ball_point(
                    axes[rows],
                    threshold + _ROUNDING,
                    p=np.inf,
                    workers=-1,
                    return_sorted=False,
                )
                first = np.repeat(rows, [len(some) for some in near])
                second = np.fromiter(itertools.chain.from_iterable(near), int)
                later = first < second
                yield self._near_by_blocks(first[later], second[later], threshold)
                bar.update(len(rows))

    def _near_by_blocks(
        self, first: np.ndarray, second: np.ndarray, threshold: float
    ) -> tuple[np.ndarray, np.ndarray]:
        near = np.zeros(len(first), bool)
        for start in range(0, len(first), _CANDIDATES):
            some = slice(start, start + _CANDIDATES)
            difference = self._blocks[first[some]]
            difference -= self._blocks[second[some]]
            bound = np.abs(difference, out=difference).mean(axis=1)
            near[some] = bound <= threshold + _ROUNDING
        return first[near], second[near]

    def compare(
        self, first: np.ndarray, second: np.ndarray, threshold: float
    ) -> list[tuple[int, int, float]]:
        """Those of the pairs that show the same picture, with their distances."""
        # Detail first: it tells all but copies apart, and a matrix product has it.
        alike = self._agree(first, second)
        pairs = []
        for i, j in zip(first[alike].tolist(), second[alike].tolist(), strict=True):
            one = self._thumbnails[self._places[i]]
            other = self._thumbnails[self._places[j]]
            # A sum of whole numbers, so the distance is exact.
            distance = cv2.norm(one, other, cv2.NORM_L1) / one.size
            if distance <= threshold:
                pairs.append((i, j, distance))
        return pairs

    def _agree(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the fine detail of each pair agrees; bool."""
        rows, row = self._number(first)
        columns, column = self._number(second)
        details = self._details_of(rows)
        agree = np.zeros(len(first), bool)
        for start in range(0, len(columns), _COLUMNS):
            some = (start <= column) & (column < start + _COLUMNS)
            others = self._details_of(columns[start : start + _COLUMNS])
            agreement = others @ details.T
            agree[some] = agreement[column[some] - start, row[some]] >= MIN_AGREEMENT
        return agree

    def _number(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distinct numbers in order, and which of them each is."""
        present = np.zeros(len(self._places), bool)
        present[numbers] = True
        return np.flatnonzero(present), (np.cumsum(present) - 1)[numbers]

    def _details_of(self, numbers: np.ndarray) -> np.ndarray:
        for number in numbers[~self._known[numbers]]:
            self._details[number] = _detail(self._thumbnails[self._places[number]])
        self._known[numbers] = True
        return self._details[numbers]


def _block_means(thumbnail: np.ndarray) -> np.ndarray:
    """float32 of shape `(48,)`; area averaging by a whole number is a mean."""
    size = (_BLOCKS, _BLOCKS)
    image = np.float32(thumbnail)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).ravel()


def _project(blocks: np.ndarray) -> np.ndarray:
    """float64 of shape `(n, 12)`: no coordinate differs by more than the thumbnails do.

    Each is a mean of all blocks with signs, those of a direction in which photographs
    differ most, so that few coordinates tell most of them apart.
    """
    centred = blocks - blocks.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    signs = np.where(directions[:, ::-1][:, :_AXES] < 0, -1.0, 1.0)
    return centred @ signs / len(signs)


def _detail(thumbnail: np.ndarray) -> np.ndarray:
    """Vessels and lesions without shading: float32 of length 1, or 0 where all is flat.

    They are seen best in green.
    """
    green = np.float32(thumbnail[..., 1])
    detail = (green - cv2.GaussianBlur(green, (0, 0), 2))[_INSIDE, _INSIDE].ravel()
    return detail / max(np.linalg.norm(detail), 1e-6)
