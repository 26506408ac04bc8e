"""Draws fundus photographs of diabetic retinopathy: data that comes with the code."""

import dataclasses

import cv2
import numpy as np

from input_pipeline.datasets import (
    synthetic_eye,
    synthetic_lesions,
    synthetic_vessels,
)

MIN_WIDTH = 256

# What full density of blood, or a solid exudate, does to the light of each channel:
# natural logarithm of the gain for red, green and blue.
_BLOOD = (-0.42, -1.05, -0.70)
_HARD_EXUDATE = (0.48, 1.02, 0.90)
_SOFT_EXUDATE = (0.22, 0.60, 0.75)

_OPAQUE = 96  # of 255: a mask holds what is at least so opaque


@dataclasses.dataclass(frozen=True)
class Drawing:
    """One fundus photograph and what was drawn in it.

    Attributes:
        image: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        masks: bool arrays of shape `(height, width)` by name: `microaneurysms`,
            `haemorrhages`, `hard_exudates`, `soft_exudates`, `optic_disc`.
        macular_edema: 0 without hard exudates, 2 with one within a disc diameter of
            the fovea's centre, else 1.
        signs: What has no mask of its own: `irma`, `neovascularisation`,
            `preretinal_haemorrhage` (masked among the haemorrhages), `venous_beading`.
        disc: Centre (x, y) of the optic disc in pixels.
        disc_diameter: Mean of the disc's width and height in pixels.
        fovea: Its centre (x, y) in pixels.
        centre: Centre (x, y) of the photographed circle in pixels.
        radius: Radius of this circle in pixels.
    """

    image: np.ndarray
    masks: dict[str, np.ndarray]
    macular_edema: int
    signs: tuple[str, ...]
    disc: tuple[float, float]
    disc_diameter: float
    fovea: tuple[float, float]
    centre: tuple[float, float]
    radius: float


def draw(grade: int, rng: np.random.Generator, width: int = 1072) -> Drawing:
    """Draws the photograph of an eye with the lesions of a grade.

    Generators in the same state give the same eye and the same camera for every grade:
    nothing but lesions tells one grade from another.

    Args:
        grade: ICDR grade 0-4.
        rng: Where everything that varies is drawn from.
        width: Pixels; the height follows in IDRiD's proportions.

    Returns:
        The photograph with its lesion masks and landmarks.

    Raises:
        ValueError: If `grade` is no ICDR grade, or `width` too small for lesions.
    """
    if grade not in range(5):
        raise ValueError(f"`grade` must be 0, 1, 2, 3 or 4. Received: grade={grade!r}.")
    if width < MIN_WIDTH:
        raise ValueError(
            f"`width` must be at least {MIN_WIDTH} pixels, for small lesions to show. "
            f"Received: width={width!r}."
        )
    eye_rng, lesion_rng = rng.spawn(2)
    eye = synthetic_eye.Eye.sample(eye_rng, width)
    vessels = synthetic_vessels.grow(eye, eye_rng)
    lesions = synthetic_lesions.Lesions(eye, grade, lesion_rng)
    blood = synthetic_vessels.paint(eye, vessels, lesions.beaded)
    aperture = eye.aperture()
    image = _expose(eye, aperture, blood, lesions, eye_rng)
    layers = {**lesions.layers, "optic_disc": _disc_layer(eye)}
    masks = {
        name: (layer >= _OPAQUE) & (aperture == 255) for name, layer in layers.items()
    }
    fovea = eye.pixels(eye.fovea)
    disc_diameter = eye.disc_diameter * eye.radius
    return Drawing(
        image=image,
        masks=masks,
        macular_edema=_macular_edema(masks["hard_exudates"], fovea, disc_diameter),
        signs=tuple(sorted(lesions.signs)),
        disc=tuple(eye.disc.tolist()),
        disc_diameter=disc_diameter,
        fovea=tuple(fovea.tolist()),
        centre=tuple(eye.centre.tolist()),
        radius=eye.radius,
    )


def _disc_layer(eye: synthetic_eye.Eye) -> np.ndarray:
    layer = np.zeros(eye.shape, np.uint8)
    turn = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    outline = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * eye.disc_radii
    synthetic_eye.fill(layer, eye.pixels(outline), 255)
    return layer


def _macular_edema(
    hard_exudates: np.ndarray, fovea: np.ndarray, disc_diameter: float
) -> int:
    """IDRiD's risk (Porwal et al., 2018), read off the mask."""
    y, x = np.nonzero(hard_exudates)
    if not len(x):
        return 0
    nearest = np.hypot(x - fovea[0], y - fovea[1]).min()
    return 2 if nearest <= disc_diameter else 1


def _expose(
    eye: synthetic_eye.Eye,
    aperture: np.ndarray,
    blood: np.ndarray,
    lesions: synthetic_lesions.Lesions,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sends light from the background through the layers into the camera."""
    height, width = eye.shape
    # Red, and the others' share of it, as spread over IDRiD's training set.
    red = np.clip(rng.normal(172, 22), 120, 220)
    blue = 0.02 + 0.36 * rng.beta(1.1, 2.2)
    green = 0.41 + 0.49 * blue + 0.001 * (red - 170) + rng.normal(0, 0.04)
    colour = red * np.array([1, green, blue])
    background = _background(eye, colour, rng)
    disc, corner = _optic_disc(eye, colour, rng)

    edge = 0.0016 * eye.radius
    spilt = cv2.GaussianBlur(lesions.layers["haemorrhages"], (0, 0), 2 * edge)
    spilt = cv2.max(spilt, lesions.layers["microaneurysms"])
    spilt = cv2.max(spilt, lesions.new_vessels)
    soft = lesions.layers["soft_exudates"]
    blood = cv2.addWeighted(blood, 1.0, soft, -0.5, 0)  # swollen fibres hide vessels
    blood = cv2.GaussianBlur(cv2.add(blood, spilt), (0, 0), edge)
    hard = cv2.GaussianBlur(lesions.layers["hard_exudates"], (0, 0), edge)
    layers = [(blood, _BLOOD), (hard, _HARD_EXUDATE), (soft, _SOFT_EXUDATE)]
    layers = [(layer, log_gain) for layer, log_gain in layers if layer.any()]

    grain = rng.standard_normal((-(-height // 2), -(-width // 2)), dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.0022 * eye.radius)
    grain = 1 + rng.uniform(0.02, 0.05) * cv2.resize(grain, (width, height))
    grain *= aperture / np.float32(255)
    focus = rng.uniform(0.0008, 0.003) * eye.radius
    noise = rng.random(eye.shape, dtype=np.float32) * np.float32(rng.uniform(2, 6))

    opacity = np.arange(256, dtype=np.float32) / 255
    planes = []
    for channel in range(3):
        plane = cv2.resize(background[channel], (width, height))
        plane[corner] *= disc[..., channel]
        plane *= grain
        for layer, log_gain in layers:
            plane *= cv2.LUT(layer, np.exp(opacity * log_gain[channel]))
        plane = cv2.GaussianBlur(plane, (0, 0), focus)
        plane += noise
        planes.append(cv2.add(plane, 0, dtype=cv2.CV_8U))  # rounds, clips to 0-255
    return cv2.merge(planes)


def _background(
    eye: synthetic_eye.Eye, colour: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """Light from retina and choroid but for disc and vessels, four times smaller.

    Returns:
        Float32 arrays for red, green and blue, about 0-255.
    """
    x, y = eye.grid(4)
    from_disc = np.hypot(x, y)
    from_fovea = np.hypot(x - eye.fovea[0], y - eye.fovea[1])
    from_middle = np.hypot(x - eye.middle[0], y - eye.middle[1])

    tilt = rng.normal(0, 0.09, 2)
    light = tilt[0] * x + tilt[1] * y - rng.uniform(0.15, 0.4) * from_middle**2
    for cells, size in ((3, 0.05), (9, 0.03), (25, 0.02), (60, 0.015)):
        mottle = rng.standard_normal((2 * cells, 3 * cells), dtype=np.float32)
        light += size * cv2.resize(mottle, x.shape[::-1], interpolation=cv2.INTER_CUBIC)
    light += rng.uniform(0.05, 0.25) * np.exp(-((from_disc / 0.3) ** 2))
    sheen = rng.uniform(0, 0.5) * np.exp(-((from_disc / 0.5) ** 2)) * abs(y)
    macula = rng.uniform(0.15, 0.38) * np.exp(-((from_fovea / 0.22) ** 2))
    pit = rng.uniform(0.1, 0.35) * np.exp(-((from_fovea / 0.07) ** 2))
    choroid = _choroid(eye, x.shape, rng) * np.clip(1.6 * from_fovea - 0.4, 0, 1)
    log_gains = (
        light - 0.6 * macula - 0.35 * pit + 0.8 * choroid,
        1.2 * light - macula - pit + 0.9 * choroid + sheen,
        light - 1.1 * macula - pit + 0.2 * choroid + sheen,
    )

    # Stray light, on one side of the rim.
    side = rng.uniform(0, 2 * np.pi)
    toward = np.cos(np.arctan2(y - eye.middle[1], x - eye.middle[0]) - side)
    haze = np.clip(toward, 0, 1) * np.clip((from_middle - 0.7) / 0.3, 0, 1) ** 2
    haze *= 0.5 * rng.beta(1, 3)
    return [
        (1 - haze) * np.float32(level) * np.exp(log_gain) + haze * stray
        for level, log_gain, stray in zip(
            colour, log_gains, (170, 150, 80), strict=True
        )
    ]


def _choroid(
    eye: synthetic_eye.Eye, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """The choroid's broad vessels, seen where the pigment over them is thin."""
    number = 110
    starts = eye.middle + rng.uniform(-1, 1, (number, 2))
    headings = np.arctan2(starts[:, 1], starts[:, 0]) + rng.normal(0, 0.35, number)
    lengths = np.full(number, 0.9)
    paths = synthetic_vessels.walk(
        rng, starts, headings, lengths, lambda points: headings, wobble=0.5
    )
    canvas = np.zeros(shape, np.uint8)
    paths = np.rint(eye.pixels(paths) * 4).astype(
        np.int32
    )  # in sixteenths, four times smaller
    widths = np.rint(rng.uniform(1.5, 4.5, number) * eye.radius / 425).astype(int)
    for path, width in zip(paths, np.maximum(widths, 1), strict=True):
        cv2.polylines(canvas, [path], False, 150, int(width), cv2.LINE_AA, 4)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 0.003 * eye.radius)
    return np.float32(rng.beta(1, 4)) * (canvas / np.float32(255) - np.float32(0.25))


def _optic_disc(
    eye: synthetic_eye.Eye, colour: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Disc and cup: what to multiply a part of the photograph by, and which part."""
    reach = int(1.5 * max(eye.disc_radii) * eye.radius)
    left, top = np.maximum(eye.disc.astype(int) - reach, 0)
    right, bottom = np.minimum(eye.disc.astype(int) + reach, eye.shape[::-1])
    x, y = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    # From the centre to the edge, 0-1.
    x = (x - eye.disc[0]) * eye.temporal / eye.radius / eye.disc_radii[0]
    y = (y - eye.disc[1]) / eye.radius / eye.disc_radii[1]
    disc = _ramp(np.hypot(x, y) - 1, rng.uniform(0.025, 0.05))
    cup_y, cup_radius = rng.uniform(-0.1, 0.1), rng.uniform(0.3, 0.55)
    cup = disc * _ramp(np.hypot(x - 0.18, y - cup_y) / cup_radius - 1, 0.14)
    # A crescent on the temporal side: of pigment, or without any.
    crescent = np.exp(-(((np.hypot(x + 0.1, y) - 1.1) / 0.09) ** 2)) * np.clip(x, 0, 1)
    gain = np.exp(crescent * rng.choice((0, 0, 0.3, -0.25)))[..., None]
    # Nerve tissue keeps some of the colour of what light there is, the cup the least.
    for cover, nerve, share in (
        (disc * (1 + 0.08 * x), (275, 178, 98), (0.85, 0.8, 0.6)),
        (cup, (290, 236, 145), (0.9, 0.9, 0.65)),
    ):
        own = (nerve / colour) ** (np.array(share) * rng.uniform(0.8, 1.05))
        gain = gain + cover[..., None] * (own - gain)
    return gain.astype(np.float32), (slice(top, bottom), slice(left, right))


def _ramp(distance: np.ndarray, softness: float) -> np.ndarray:
    """From 1 inside (negative distance) to 0 outside."""
    return 1 / (1 + np.exp(np.clip(distance / softness, -30, 30)))
