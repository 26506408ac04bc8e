"""Random augmentation: one affine resampling and one change of brightness a photograph.

Rotation, shift, zoom, shear and flips are composed into a single matrix, so that a
photograph is interpolated once, whatever is asked for.
"""

import dataclasses
import math

import cv2
import gin
import numpy as np


@gin.register("augment")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Ranges of the random changes; each is drawn evenly. The default changes nothing.

    Attributes:
        rotation_degrees: Turn by up to this angle either way, 0-180.
        shift: Move by up to this share of the side, each axis.
        zoom: Enlarge or shrink by up to this share: a factor of 1 - zoom to 1 + zoom.
        shear_degrees: Slant by up to this angle either way.
        horizontal_flip: Mirror left and right, in half of the photographs.
        vertical_flip: Mirror top and bottom, in half of the photographs.
        brightness: Multiply by 1 - brightness to 1 + brightness.
    """

    rotation_degrees: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    shear_degrees: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    brightness: float = 0.0

    def __post_init__(self):
        limits = {
            "rotation_degrees": 180.0,
            "shift": 0.5,
            "zoom": 0.9,
            "shear_degrees": 60.0,
            "brightness": 1.0,
        }
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(
                    f"`augment.{name}` must be between 0 and {limit:g}. "
                    f"Received: {getattr(self, name)}."
                )

    def matrices(self, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draws the matrices that carry an augmented pixel to the pixel it comes from.

        Args:
            count: How many.
            size: Side of the photographs, in pixels.
            rng: Source of all randomness.

        Returns:
            float64 array of shape `(count, 2, 3)`, for coordinates `(x, y, 1)`.
        """

        def draw(limit: float) -> np.ndarray:
            return rng.uniform(-limit, limit, count)

        angle = draw(math.radians(self.rotation_degrees))
        shear = draw(math.radians(self.shear_degrees))
        scale = 1 / (1 + draw(self.zoom))
        shift = np.stack([draw(self.shift), draw(self.shift)], axis=1) * size
        flips = rng.integers(0, 2, (count, 2)) * [
            self.horizontal_flip,
            self.vertical_flip,
        ]
        sign = 1 - 2 * flips

        cos, sin = np.cos(angle), np.sin(angle)
        linear = np.empty((count, 2, 2))
        linear[:, 0, 0] = sign[:, 0] * scale * cos
        linear[:, 0, 1] = sign[:, 0] * scale * (cos * np.tan(shear) - sin)
        linear[:, 1, 0] = sign[:, 1] * scale * sin
        linear[:, 1, 1] = sign[:, 1] * scale * (sin * np.tan(shear) + cos)
        # The photograph's centre goes to the centre, but for the shift.
        center = np.full((count, 2), (size - 1) / 2)
        offset = center - np.einsum("nij,nj->ni", linear, center + shift)
        return np.concatenate([linear, offset[:, :, None]], axis=2)

    def __call__(
        self,
        images: np.ndarray,
        rng: np.random.Generator,
        first: int = 0,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Augments photographs in place.

        Args:
            images: uint8 array of shape `(count, size, size, 3)`, RGB, 0-255: a batch,
                or photographs that follow each other in one.
            rng: Source of all randomness: the same state gives the same photographs.
            first: The place of the first of them in the batch.
            batch_size: Photographs in the batch; by default, those that are given.

        Returns:
            The same array: a batch of new memory costs a third of the time here. What
            comes from outside is black, as the surround of a retina is.
        """
        count, size = images.shape[:2]
        drawn, chosen = batch_size or count, slice(first, first + count)
        matrices = self.matrices(drawn, size, rng)[chosen]
        factors = 1 + rng.uniform(-self.brightness, self.brightness, drawn)[chosen]
        warped = np.empty((size, size, 3), np.uint8)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        for image, matrix, factor in zip(images, matrices, factors, strict=True):
            cv2.warpAffine(image, matrix, (size, size), dst=warped, flags=flags)
            cv2.convertScaleAbs(warped, dst=image, alpha=factor)
        return images
