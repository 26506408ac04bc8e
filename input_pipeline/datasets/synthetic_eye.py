"""Where the landmarks of a drawn eye lie in its photograph.

Everything in an eye is placed in eye coordinates: the optic disc is the origin, x runs
towards the fovea, y down, and one unit is the radius of the photographed circle.
"""

import dataclasses
import math

import cv2
import numpy as np

# IDRiD's camera: 4288 x 2848 pixels, the circle cut at top and bottom. Medians over its
# training set, as fractions of the width.
ASPECT = 2848 / 4288
CENTRE_X = 0.4615
RADIUS = 0.397

# The camera's notch at the upper right, in radii from the circle's centre.
_NOTCH = (
    (0.800, -0.560),
    (0.826, -0.572),
    (0.878, -0.553),
    (0.866, -0.506),
    (0.918, -0.492),
    (0.906, -0.442),
    (0.860, -0.440),
)


@dataclasses.dataclass(frozen=True)
class Eye:
    """Where an eye lies in its photograph.

    Attributes:
        shape: Height and width of the photograph in pixels.
        centre: Centre (x, y) of the photographed circle in pixels.
        radius: Radius of this circle in pixels, the unit of eye coordinates.
        temporal: 1 if the fovea lies right of the disc, -1 if left.
        disc: Centre (x, y) of the optic disc in pixels.
        disc_radii: The disc's half width and half height, eye coordinates.
        fovea: Its centre, eye coordinates.
        middle: Centre of the photographed circle, eye coordinates.
    """

    shape: tuple[int, int]
    centre: np.ndarray
    radius: float
    temporal: int
    disc: np.ndarray
    disc_radii: np.ndarray
    fovea: np.ndarray
    middle: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator, width: int) -> "Eye":
        """Draws where a camera of `width` pixels sees an eye."""
        height, radius = round(width * ASPECT), width * RADIUS
        temporal = int(rng.choice((-1, 1)))
        centre = np.array([width * (CENTRE_X + rng.normal(0, 0.001)), height / 2])
        # The camera looks between disc and fovea, which are 2.5 disc diameters apart.
        fovea = np.array([rng.uniform(0.74, 0.82), rng.uniform(0.0, 0.14)])
        middle = fovea - (rng.uniform(0.0, 0.28), rng.uniform(-0.08, 0.18))
        disc_radius, stretch = rng.uniform(0.142, 0.166), rng.uniform(1.0, 1.14)
        return cls(
            shape=(height, width),
            centre=centre,
            radius=radius,
            temporal=temporal,
            disc=centre - middle * radius * (temporal, 1),
            disc_radii=disc_radius * stretch ** np.array([-0.5, 0.5]),
            fovea=fovea,
            middle=middle,
        )

    @property
    def disc_diameter(self) -> float:
        """The mean of the disc's width and height, in eye coordinates."""
        return float(self.disc_radii.sum())

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Turns eye coordinates of shape `(..., 2)` into pixels."""
        return self.disc + np.multiply(points, self.radius) * (self.temporal, 1)

    def grid(self, shrink: int) -> tuple[np.ndarray, np.ndarray]:
        """Eye coordinates x and y of every pixel of a `shrink` times smaller image."""
        height, width = (-(-side // shrink) for side in self.shape)
        x = ((np.arange(width) + 0.5) * shrink - 0.5 - self.disc[0]) / self.radius
        y = ((np.arange(height) + 0.5) * shrink - 0.5 - self.disc[1]) / self.radius
        return np.meshgrid(np.float32(x * self.temporal), np.float32(y))

    def shows(self, point: np.ndarray, margin: float) -> bool:
        """Whether a point lies in the photograph, and `margin` from its rim."""
        x, y = point - self.middle
        half_height = self.shape[0] / 2 / self.radius
        return math.hypot(x, y) < 1 - margin and abs(y) < half_height - margin

    def aperture(self) -> np.ndarray:
        """The lit part: uint8 array of shape `(height, width)`, 0-255."""
        lit = np.zeros(self.shape, np.uint8)
        turn = np.linspace(0, 2 * np.pi, 720, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        for outline in (circle, np.array(_NOTCH)):
            fill(lit, self.centre + outline * self.radius, 255)
        return lit


def fill(canvas: np.ndarray, outline: np.ndarray, value: float) -> None:
    """Fills an outline given in pixels, to a sixteenth of a pixel."""
    points = np.rint(outline * 16).astype(np.int32)
    cv2.fillPoly(canvas, [points], min(int(value), 255), cv2.LINE_AA, 4)


def rotate(points: np.ndarray, angle: float | np.ndarray) -> np.ndarray:
    """Turns points of shape `(..., 2)` by angles of shape `(...)`, in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)


def fibre_direction(points: np.ndarray, bend: float | np.ndarray = 1.0) -> np.ndarray:
    """Where nerve fibres and arcades run: out of the disc, then around the macula.

    Args:
        points: Eye coordinates of shape `(..., 2)`.
        bend: How soon the direction away from the disc gives way to the temporal one.

    Returns:
        Angles of shape `(...)` in radians, 0 for temporal.
    """
    x, y = points[..., 0], points[..., 1]
    return np.arctan2(y, x) * np.maximum(1 - bend * (np.hypot(x, y) - 0.1), -0.35)
