"""Grows the retinal vessels of a drawn eye."""

import dataclasses
from collections.abc import Callable

import numpy as np

from input_pipeline.datasets import synthetic_eye

_STEPS = 48  # of a vessel, from its root to its tip

# The trunks of one half. Angle: degrees from the temporal axis. Bend: see
# `fibre_direction`; 0 runs straight. Width and length: eye coordinates; veins are a
# third wider than their arteries.
#   angle, width, length, bend, artery
_TRUNKS = (
    (78, 0.0260, 2.3, 1.45, 0),  # the arcade
    (52, 0.0190, 2.2, 1.35, 1),
    (118, 0.0160, 1.1, 0.50, 0),  # nasal
    (132, 0.0130, 1.0, 0.40, 1),
    (160, 0.0100, 0.8, 0.00, 0),
    (30, 0.0085, 0.6, 0.90, 1),  # towards the macula
)
_AVASCULAR = 0.13  # radius of the fovea's zone without vessels
_VEIN, _ARTERY = 160, 105  # density of blood, 0-255: arteries are thinner and brighter


@dataclasses.dataclass(frozen=True)
class Vessels:
    """Vessels of one order, in eye coordinates.

    Attributes:
        paths: float array of shape `(n, points, 2)`, from root to tip.
        widths: float array of shape `(n, points)`; 0 where a vessel has ended.
        artery: bool array of shape `(n,)`; the others are veins.
    """

    paths: np.ndarray
    widths: np.ndarray
    artery: np.ndarray


def grow(eye: synthetic_eye.Eye, rng: np.random.Generator) -> list[Vessels]:
    """Grows trunks out of the disc, their branches, and the branches' twigs."""
    angle, width, length, bend, artery = np.array(_TRUNKS * 2).T
    count = len(angle)
    angle = np.radians(angle + rng.normal(0, 6, count))
    angle *= np.repeat((-1, 1), count // 2)
    bend = bend * rng.normal(1, 0.1, count)
    starts = rng.normal((-0.03, 0), (0.012, 0.02), (count, 2))

    def steer(points: np.ndarray) -> np.ndarray:
        return synthetic_eye.fibre_direction(points, bend)

    paths = walk(rng, starts, angle, length, steer, wobble=0.24)
    width = width * rng.normal(1, 0.08, count) * rng.normal(1, 0.06)
    taper = np.linspace(1, 0.4, _STEPS + 1)
    trunks = Vessels(paths, width[:, None] * taper, artery > 0)
    branches = _branch(eye, rng, trunks, every=0.24, length=0.75)
    twigs = _branch(eye, rng, branches, every=0.17, length=0.24)
    return [trunks, branches, twigs]


def walk(
    rng: np.random.Generator,
    starts: np.ndarray,
    headings: np.ndarray,
    lengths: np.ndarray,
    steer: Callable[[np.ndarray], np.ndarray],
    wobble: float,
) -> np.ndarray:
    """Lets n lines grow, each turning to where `steer` says, and wobbling.

    Args:
        rng: Where the wobble is drawn from.
        starts: Eye coordinates of shape `(n, 2)`.
        headings: Angles of shape `(n,)` at the start, in radians.
        lengths: Shape `(n,)`, eye coordinates.
        steer: From points of shape `(n, 2)` to the headings wanted there, `(n,)`.
        wobble: Standard deviation of the wobble's amplitude, in radians.

    Returns:
        Paths of shape `(n, points, 2)`.
    """
    count, step = len(starts), (lengths / _STEPS)[:, None]
    reach = np.linspace(0, 1, _STEPS) * lengths[:, None]
    waves = sum(
        rng.normal(0, size, (count, 1))
        * np.sin(reach / wavelength + rng.uniform(0, 2 * np.pi, (count, 1)))
        for size, wavelength in ((wobble, 0.06), (0.6 * wobble, 0.03))
    )
    pull = np.minimum(6 * step[:, 0], 1)
    points = starts
    paths = [points]
    for wave in waves.T:
        headings = headings + pull * np.sin(steer(points) - headings)
        angle = headings + wave
        points = points + step * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        paths.append(points)
    return np.stack(paths, axis=1)


def _branch(
    eye: synthetic_eye.Eye,
    rng: np.random.Generator,
    parents: Vessels,
    every: float,
    length: float,
) -> Vessels:
    """Branches to alternating sides; those towards the macula end around the fovea."""
    spans = np.linalg.norm(np.diff(parents.paths, axis=1), axis=2).sum(axis=1)
    numbers = np.maximum(spans / every, 1).astype(int)
    parent = np.repeat(np.arange(len(numbers)), numbers)
    nth = np.concatenate([np.arange(number) for number in numbers])
    at = (nth + rng.uniform(0.4, 1.0, len(nth))) / numbers[parent] * _STEPS
    at = at.astype(int)
    side = (-1.0) ** (nth + rng.integers(2, size=len(numbers))[parent])

    starts = parents.paths[parent, at]
    along = _angle(parents.paths[parent, at + 1] - starts)
    headings = along + side * rng.uniform(0.6, 1.1, len(side))
    outward = along + side * rng.uniform(0.1, 0.6, len(side))
    goals = starts + 3 * np.stack([np.cos(outward), np.sin(outward)], axis=-1)
    to_fovea = eye.fovea - starts
    inward = np.cos(along + 0.85 * side - _angle(to_fovea)) > 0.2
    inward &= np.hypot(*to_fovea.T) < 0.9
    around_fovea = eye.fovea + rng.normal(0, 0.15, starts.shape)
    goals = np.where(inward[:, None], around_fovea, goals)

    def steer(points: np.ndarray) -> np.ndarray:
        return _angle(goals - points)

    lengths = length * rng.uniform(0.6, 1.3, len(side))
    paths = walk(rng, starts, headings, lengths, steer, wobble=0.4)
    widths = parents.widths[parent, at] * rng.uniform(0.35, 0.62, len(side))
    widths = np.where(widths > 0, np.maximum(widths, 0.003), 0)  # 0: the parent ended
    widths = widths[:, None] * np.linspace(1, 0.1, _STEPS + 1)
    at_fovea = np.linalg.norm(paths - eye.fovea, axis=2) < _AVASCULAR
    widths[np.logical_or.accumulate(at_fovea, axis=1)] = 0
    return Vessels(paths, widths, parents.artery[parent])


def _angle(vectors: np.ndarray) -> np.ndarray:
    return np.arctan2(vectors[..., 1], vectors[..., 0])


def paint(eye: synthetic_eye.Eye, orders: list[Vessels], beaded: bool) -> np.ndarray:
    """Paints vessels, large ones over small ones and arteries over veins.

    Args:
        eye: Where to paint.
        orders: What `grow` returns.
        beaded: Whether the large veins swell and narrow as beads do, a sign of severe
            retinopathy.

    Returns:
        The density of blood: uint8 array of shape `(height, width)`, 0-255.
    """
    blood = np.zeros(eye.shape, np.uint8)
    beads = 1 + 0.45 * np.sin(1.6 * np.arange(_STEPS + 1))
    for order, vessels in reversed(list(enumerate(orders))):
        for artery, density in ((False, _VEIN), (True, _ARTERY)):
            paths = vessels.paths[vessels.artery == artery]
            widths = vessels.widths[vessels.artery == artery]
            if beaded and order == 0 and not artery:
                widths = widths * beads
            paint_ribbons(eye, blood, paths, widths, density)
            if order == 0:  # a large vessel's round top reflects light
                paint_ribbons(eye, blood, paths, 0.3 * widths, 0.75 * density)
    return blood


def paint_ribbons(
    eye: synthetic_eye.Eye,
    canvas: np.ndarray,
    paths: np.ndarray,
    widths: np.ndarray,
    density: float,
) -> None:
    """Paints lines of changing width; the finer the line, the less its density.

    Args:
        eye: What turns eye coordinates into pixels.
        canvas: uint8 array of shape `(height, width)` to paint on.
        paths: Eye coordinates of shape `(n, points, 2)`.
        widths: Eye coordinates of shape `(n, points)`; a line ends where it is 0.
        density: 0-255, for a line as wide as a large vessel.
    """
    paths = eye.pixels(paths)
    along = np.gradient(paths, axis=1)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across *= (
        widths[..., None] * eye.radius / 2 / np.linalg.norm(across, axis=-1)[..., None]
    )
    for left, right, width in zip(paths + across, paths - across, widths, strict=True):
        points = np.count_nonzero(width)
        if points > 1:
            outline = np.concatenate([left[:points], right[points - 1 :: -1]])
            faint = min(1.0, width[0] / 0.018) ** 0.5
            synthetic_eye.fill(canvas, outline, density * faint)
