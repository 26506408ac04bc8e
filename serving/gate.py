"""Which photographs are good enough for a decision, measured before the model is asked.

The default limits come from IDRiD's 413 training photographs, which were all fit to be
graded by a person, and from what a small model trained on them says of its 81
validation photographs when these are made worse (docs/serving.md has the table). Each
lets all of IDRiD's photographs pass; beyond it that model's decisions are no longer its
own. Another model has limits of its own, which `benchmarks/quality_limits.py` measures.
"""

import dataclasses
from typing import Literal

from input_pipeline import fundus, image_header, quality

Reason = Literal[
    "unreadable",
    "too_many_pixels",
    "not_a_fundus_photograph",
    "no_colour",
    "too_small",
    "too_dark",
    "too_bright",
    "too_blurred",
    "trained_on_drawings",
]
"""Why there is no decision; the last is about the model, all others the photograph."""

REASONS: dict[Reason, str] = {
    "unreadable": "The file is no JPEG, PNG, TIFF or WebP image, or it is damaged.",
    "too_many_pixels": "The image has more pixels than can be read here.",
    "not_a_fundus_photograph": "No retina is seen in the image.",
    "no_colour": (
        "The photograph has no colour, as a red-free one: the model learnt from colour "
        "photographs, and would misjudge it."
    ),
    "too_small": "The retina has too few pixels for what the model looks for.",
    "too_dark": "The photograph is underexposed.",
    "too_bright": "The photograph is overexposed.",
    "too_blurred": "The photograph is out of focus, or behind a haze.",
    "trained_on_drawings": "The model learnt from drawings, to try the software out.",
}
"""The same in words, for a person."""

MEASURED_AT = 256
"""Side in pixels of the prepared squares that are measured, at least."""


class Unfit(Exception):  # noqa: N818, this is an answer, not a fault
    """A photograph that is not good enough.

    Attributes:
        reason: Why, as a code.
        message: Why, in words: what was found, what was expected.
    """

    def __init__(self, reason: Reason, message: str):
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What a photograph must have.

    Attributes:
        most_megapixels: Decoding takes up to 12 bytes of memory a pixel, of 50 million
            0.6 GB. IDRiD's have 12 million.
        least_scale: Pixels across the retina per pixel of the model's input. A retina
            of 3/4 costs the model 6 % of its decisions, of 1/2 11 %.
        least_brightness: Mean grey level. IDRiD's darkest has 36.
        most_underexposed: Share of the retina with too little green for a vessel to
            show. IDRiD has at most 0.005; photographs at half their brightness 0.59.
        most_overexposed: Share of the retina whose green is clipped. IDRiD has at most
            0.03; photographs at twice their brightness 0.38.
        least_sharpness: Of `quality.Quality`. IDRiD's softest photograph has 0.011;
            half of those blurred by 3 pixels of 256 have less than 0.009.
        most_sharpness: IDRiD has at most 0.10; what was cut out of photographs of
            anything else has more.
    """

    most_megapixels: float = 50.0
    least_scale: float = 0.75
    least_brightness: float = 25.0
    most_underexposed: float = 0.25
    most_overexposed: float = 0.25
    least_sharpness: float = 0.009
    most_sharpness: float = 0.15

    def check_file(self, data: bytes) -> image_header.ImageHeader:
        """Looks at a file's header alone, so that no bomb is ever decoded.

        Args:
            data: The whole file.

        Returns:
            The header.

        Raises:
            Unfit: It is no image that can be read, or too large.
        """
        try:
            header = image_header.read(data)
        except ValueError as error:
            raise Unfit("unreadable", str(error)) from None
        pixels = header.width * header.height
        most = min(self.most_megapixels, fundus.MAX_PIXELS / 1e6)
        if pixels > most * 1e6:
            raise Unfit(
                "too_many_pixels",
                f"the image must have at most {most:g} megapixels. "
                f"Received: {header.width}x{header.height}. Reduce it first.",
            )
        return header

    def check_size(self, crop: fundus.Crop, image_size: int) -> None:
        """Compares the retina's size with the model's input.

        Args:
            crop: Where the retina lies in its photograph.
            image_size: Side of the model's input in pixels.

        Raises:
            Unfit: It is too small.
        """
        side = min(crop.right - crop.left, crop.bottom - crop.top)
        if side < self.least_scale * image_size:
            raise Unfit(
                "too_small",
                f"the retina must be at least {self.least_scale * image_size:.0f} "
                f"pixels wide. Received: {side} in an image of {crop.width}x"
                f"{crop.height}. Take the original photograph.",
            )

    def check_quality(self, measured: quality.Quality) -> None:
        """Compares measurements with the limits.

        Args:
            measured: Of a photograph.

        Raises:
            Unfit: It is too dark, too bright, too blurred, or shows something else.
        """
        if measured.brightness < self.least_brightness:
            raise Unfit(
                "too_dark",
                f"the mean brightness must be at least {self.least_brightness:g} of "
                f"255. Received: {measured.brightness:.0f}. Take it again.",
            )
        for reason, share, most in (
            ("too_dark", measured.underexposed, self.most_underexposed),
            ("too_bright", measured.overexposed, self.most_overexposed),
        ):
            if share > most:
                what = reason.replace("_", " ")
                raise Unfit(
                    reason,
                    f"at most {most:.0%} of the retina may be {what} for a vessel to "
                    f"show. Received: {share:.0%}. Take it again.",
                )
        if measured.sharpness < self.least_sharpness:
            raise Unfit(
                "too_blurred",
                f"the sharpness must be at least {self.least_sharpness:g}. Received: "
                f"{measured.sharpness:.4f}. Focus and take it again.",
            )
        if measured.sharpness > self.most_sharpness:
            raise Unfit(
                "not_a_fundus_photograph",
                "there is more fine detail than a retina has: sharpness "
                f"{measured.sharpness:.2f}, expected at most {self.most_sharpness:g}.",
            )
