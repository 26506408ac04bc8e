"""Turns the bytes of a fundus photograph into a square picture of the retina.

The same bytes give the same pixels in preparation, evaluation and serving. The retina
is found as a circle, whatever the camera: its sides may be cut off by the frame or by
black bars, and a notch, a label or a hazy surround does not move it.
"""

import dataclasses
import math

import cv2
import numpy as np

from input_pipeline import image_header

# Part of a preparation's fingerprint: raise it when the same bytes give other pixels.
VERSION = 1

# About twice the largest fundus camera; 450 MB decoded.
MAX_PIXELS = 150_000_000

_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# Where between the surround's level and the retina's the edge is looked for. Low finds
# the dark rim of a retina, high leaves out a haze around it.
_EDGE_FRACTIONS = (0.15, 0.3, 0.5)

# The share of a circle's visible edge that must be seen. A frame that cuts off 35 % of
# the height inside black bars leaves 0.45; the best circle on a rectangle reaches 0.3.
_MIN_SUPPORT = 0.4

_RAYS = np.linspace(0, 2 * np.pi, 72, endpoint=False)
_RAYS = np.stack([np.cos(_RAYS), np.sin(_RAYS)], axis=1)


class UnreadableImageError(ValueError):
    """The bytes are no image, are cut off, too large, or cannot be decoded."""


class NotAFundusPhotographError(ValueError):
    """The image shows no retina."""


@dataclasses.dataclass(frozen=True)
class Crop:
    """The square around the retina, in pixels of the upright full-size photograph.

    The square reaches beyond the photograph where the camera cut the retina off; there
    the prepared picture is black.

    Attributes:
        left: Column of the square's left edge, negative beyond the photograph.
        top: Row of the square's top edge, negative beyond the photograph.
        side: Width and height of the square.
        width: Columns of the photograph, after EXIF rotation.
        height: Rows of the photograph, after EXIF rotation.
    """

    left: int
    top: int
    side: int
    width: int
    height: int


def prepare(data: bytes, size: int) -> tuple[np.ndarray, Crop]:
    """Finds the retina in an encoded photograph, crops it square and resizes it.

    Args:
        data: A JPEG, PNG, WebP or TIFF file.
        size: Width and height of the result in pixels.

    Returns:
        A uint8 array of shape `(size, size, 3)`, RGB, 0-255, and the crop that `apply`
        repeats on other pictures of the same photograph.

    Raises:
        UnreadableImageError: If the bytes cannot be decoded.
        NotAFundusPhotographError: If no retina is seen.
    """
    header = _read_header(data)
    # 2: area averaging hides the decoder's own filter once two pixels make one.
    reduction = _reduction(header, min(header.width, header.height) / (2 * size))
    picture = _decode(data, reduction)
    crop = _find_retina(picture, header, reduction)
    # A retina that fills little of its frame deserves a finer decode.
    if reduction > 1 and crop.side / reduction < 1.5 * size:
        reduction = _reduction(header, crop.side / (1.5 * size))
        picture = _decode(data, reduction)
    return cv2.cvtColor(apply(picture, crop, size), cv2.COLOR_BGR2RGB), crop


def apply(
    image: np.ndarray, crop: Crop, size: int, interpolation: int | None = None
) -> np.ndarray:
    """Crops a picture that lies on the photograph, such as a lesion mask.

    Args:
        image: Array of shape `(height, width)` or `(height, width, channels)`, upright,
            as large as the photograph or reduced by 2, 4 or 8.
        crop: What `prepare` returned for the photograph.
        size: Width and height of the result in pixels.
        interpolation: An OpenCV constant, such as `cv2.INTER_NEAREST` for labels. By
            default area averaging, and linear interpolation where the crop is enlarged.

    Returns:
        An array of shape `(size, size)` or `(size, size, channels)` and of the image's
        dtype, 0 where the crop reaches beyond the photograph.

    Raises:
        ValueError: If the image's shape does not fit the crop's photograph.
    """
    height, width = image.shape[:2]
    scale = max(1, round(crop.width / width))
    expected = math.ceil(crop.height / scale), math.ceil(crop.width / scale)
    if (height, width) != expected:
        raise ValueError(
            f"`image` must have the photograph's {crop.height} rows and {crop.width} "
            f"columns. Received: image.shape={image.shape}. Take the mask of the same "
            "photograph, rotated as its EXIF orientation says."
        )
    left, top = round(crop.left / scale), round(crop.top / scale)
    side = max(1, round(crop.side / scale))
    right, bottom = left + side, top + side
    square = cv2.copyMakeBorder(
        image[max(top, 0) : bottom, max(left, 0) : right],
        max(-top, 0),
        max(bottom - height, 0),
        max(-left, 0),
        max(right - width, 0),
        cv2.BORDER_CONSTANT,
    )
    if interpolation is None:
        interpolation = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=interpolation)


def _read_header(data: bytes) -> image_header.ImageHeader:
    try:
        header = image_header.read(data)
    except ValueError as error:
        raise UnreadableImageError(str(error)) from None
    if not header.complete:
        raise UnreadableImageError(
            f"the {header.format} is cut off: its end is missing after {len(data)} "
            "bytes. Copy the file again from its source."
        )
    if header.width * header.height > MAX_PIXELS:
        raise UnreadableImageError(
            f"the image must have at most {MAX_PIXELS} pixels. Received: "
            f"{header.width}x{header.height} pixels. Reduce it first."
        )
    return header


def _reduction(header: image_header.ImageHeader, most: float) -> int:
    """The largest factor up to `most` by which the JPEG library itself can reduce."""
    if header.format != "JPEG":
        return 1
    return max((factor for factor in _REDUCED if factor <= most), default=1)


def _decode(data: bytes, reduction: int) -> np.ndarray:
    """Upright uint8 BGR; OpenCV follows the EXIF orientation, also when reducing."""
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[reduction])
    except cv2.error as error:
        raise UnreadableImageError(
            f"the image cannot be decoded: {error.err}. Save it anew."
        ) from error
    if picture is None:
        raise UnreadableImageError(
            "the image cannot be decoded, though its header is whole. Save it anew."
        )
    return picture


def _find_retina(
    picture: np.ndarray, header: image_header.ImageHeader, reduction: int
) -> Crop:
    """The crop, on whole pixels of every decode up to `reduction`."""
    small = picture
    while max(small.shape) > 384:  # Halving is the fast case of area averaging.
        rows, columns = small.shape[:2]
        half = ((columns + 1) // 2, (rows + 1) // 2)
        small = cv2.resize(small, half, interpolation=cv2.INTER_AREA)
    x, y, side = _locate(small)

    rows, columns = picture.shape[:2]
    side = round(side * columns / small.shape[1])
    left = round(x * columns / small.shape[1] - side / 2)
    top = round(y * rows / small.shape[0] - side / 2)
    width, height = header.width, header.height
    if (rows - columns) * (height - width) < 0:  # Rotated by its EXIF orientation.
        width, height = height, width
    return Crop(left * reduction, top * reduction, side * reduction, width, height)


def _locate(small: np.ndarray) -> tuple[float, float, float]:
    """Centre and side of the square around the retina, in pixels of `small`."""
    means, deviations = cv2.meanStdDev(small)
    if deviations.max() < 1.5:
        raise NotAFundusPhotographError(
            f"uniform picture, brightness {means.mean():.0f}. Expected a retina in "
            "colour."
        )
    red = cv2.extractChannel(small, 2)
    bright = cv2.mean(red, cv2.compare(red, means[2].item(), cv2.CMP_GE))[0]
    edge = max(2, max(red.shape) // 32)
    top, bottom = red[:edge], red[-edge:]
    corners = top[:, :edge], top[:, -edge:], bottom[:, :edge], bottom[:, -edge:]
    dark = min(cv2.mean(corner)[0] for corner in corners)

    support, circle, mask = 0.0, None, None
    for fraction in _EDGE_FRACTIONS:
        area = cv2.compare(red, dark + fraction * (bright - dark), cv2.CMP_GE)
        centre, radius, points = _fit_circle(_largest_outline(area), red.shape)
        # A pixel reaches the level once `fraction` of it lies on the retina.
        radius += fraction
        seen = _support(red, centre, radius, points, 0.05 * (bright - dark))
        if seen > support:
            support, circle, mask = seen, (*centre, 2 * radius), area
        if support > 0.9:
            break
    if support >= _MIN_SUPPORT:
        _check_colour(cv2.mean(small, mask), strict=False)
        _check_surround(cv2.mean(small, cv2.bitwise_not(mask)), bright)
        return circle
    return _fill_frame(small, cv2.compare(red, 0.1 * bright, cv2.CMP_GE), support)


def _fill_frame(
    small: np.ndarray, area: np.ndarray, support: float
) -> tuple[float, float, float]:
    """Centre and side for a retina without an edge: it fills the frame, or its bars."""
    outline = _largest_outline(area)
    left, top, width, height = cv2.boundingRect(outline)
    frame = small[top : top + height, left : left + width]
    rim = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
    _check_colour(cv2.mean(frame), strict=True)
    _check_colour(cv2.mean(rim[None]), strict=True)
    spans = width > 0.9 * small.shape[1] or height > 0.9 * small.shape[0]
    if not spans or cv2.contourArea(outline) < 0.9 * (width - 1) * (height - 1):
        raise NotAFundusPhotographError(
            "no round bright area on a dark surround: the best circle shows "
            f"{support:.0%} of its edge. Expected the whole retina in view."
        )
    return left + width / 2, top + height / 2, max(width, height)


def _largest_outline(area: np.ndarray) -> np.ndarray:
    """Outline of the mask's largest part, in order, of shape `(points, 2)`."""
    outlines, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(outlines, key=cv2.contourArea)[:, 0]


def _fit_circle(
    outline: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, float, np.ndarray]:
    """The centre and radius most of the outline agrees on, and the points that do."""
    frame = np.array(shape[::-1])
    # Along the frame's own border runs the cut, not the retina.
    points = outline[((outline > 1) & (outline < frame - 2)).all(axis=1)] + 0.5
    if len(points) < 24:
        return frame / 2, 0.0, points[:0]
    votes = points[:: math.ceil(len(points) / 160)]
    centres, radii = _circles_along(votes)
    # |d - r| < t as |d^2 - r^2| < 2rt, which is one matrix product.
    excess = (votes**2).sum(axis=1) - 2 * centres @ votes.T
    excess += ((centres**2).sum(axis=1) - radii**2)[:, None]
    near = np.abs(excess) < (2 * radii * np.maximum(0.75, 0.01 * radii))[:, None]
    plausible = ((centres > 0) & (centres < frame)).all(axis=1) & (radii < max(shape))
    winner = np.argmax(near.sum(axis=1) * plausible)
    if not plausible[winner]:
        return frame / 2, 0.0, points[:0]
    centre, radius = centres[winner], radii[winner]

    for _ in range(2):  # Least squares on the points near the circle (Kasa, 1976).
        distance = np.hypot(*(points - centre).T)
        near = points[np.abs(distance - radius) < max(1.0, 0.01 * radius)]
        system = np.column_stack([2 * near, np.ones(len(near))])
        x, y, rest = np.linalg.lstsq(system, (near**2).sum(axis=1))[0]
        centre, radius = np.array([x, y]), math.sqrt(max(rest + x * x + y * y, 0))
    return centre, radius, near


def _circles_along(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Circles through triplets of points: centres `(circles, 2)` and radii.

    The triplets follow the outline instead of chance, so the same picture always gives
    the same circle. Thirds of the outline suit a whole circle; an eighth and a half
    reach both arcs of one cut off at two opposite sides.
    """
    n = len(points)
    first = np.arange(0, n, 2)
    second = np.concatenate([first + n // 3, first + n // 8]) % n
    third = np.concatenate([first + 2 * n // 3, first + n // 2]) % n
    start = points[np.tile(first, 2)]
    (bx, by), (cx, cy) = (points[second] - start).T, (points[third] - start).T
    bb, cc, cross = bx * bx + by * by, cx * cx + cy * cy, 2 * (bx * cy - by * cx)
    cross[cross == 0] = 1e-6  # On one line: a circle too large to be a retina.
    offset = np.column_stack([cy * bb - by * cc, bx * cc - cx * bb]) / cross[:, None]
    return start + offset, np.sqrt((offset**2).sum(axis=1))


def _support(
    red: np.ndarray,
    centre: np.ndarray,
    radius: float,
    points: np.ndarray,
    least: float,
) -> float:
    """Share of the circle's visible edge, 0-1, that has a point and a step down."""
    margin = max(2, 0.025 * radius)
    inside = np.floor(centre + (radius - margin) * _RAYS).astype(int)
    outside = np.floor(centre + (radius + margin) * _RAYS).astype(int)
    frame = red.shape[::-1]
    visible = ((outside >= 0) & (outside < frame)).all(axis=1)
    visible &= ((inside >= 0) & (inside < frame)).all(axis=1)
    turn = np.arctan2(*(points - centre).T[::-1]) / (2 * np.pi)
    seen = np.zeros(len(_RAYS), bool)
    seen[np.round(turn * len(_RAYS)).astype(int) % len(_RAYS)] = True
    seen &= visible
    within, beyond = (red[at[seen, 1], at[seen, 0]] for at in (inside, outside))
    # A haze that fades out is no step: IDRiD's flares fall by less over this margin.
    steps = np.count_nonzero(within > 1.25 * beyond + least)
    # Less than an eighth of a circle is no evidence of one.
    return steps / visible.sum() if steps >= len(_RAYS) // 8 else 0.0


def _check_colour(bgr: tuple[float, ...], strict: bool) -> None:
    """Raises unless red leads, as blood leaves it; `strict` asks for a margin."""
    blue, green, red = bgr[:3]
    seen = f"red {red:.0f}, green {green:.0f}, blue {blue:.0f}"
    if max(bgr[:3]) - min(bgr[:3]) < 0.08 * max(bgr[:3]):
        complaint = "no colour: grey picture"
    elif blue >= red:
        complaint = "blue dominates over red"
    elif green * (1.2 if strict else 0.8) >= red:
        complaint = "green dominates over red"
    elif strict and blue > green:
        complaint = "blue dominates over green"
    else:
        return
    raise NotAFundusPhotographError(
        f"{complaint} ({seen}). Expected a retina in colour, red before green and blue."
    )


def _check_surround(bgr: tuple[float, ...], bright: float) -> None:
    """Raises where leaves or sky lie behind a round red thing."""
    blue, green, red = bgr[:3]
    if max(blue, green) - red > 0.1 * bright:
        raise NotAFundusPhotographError(
            f"coloured surround (red {red:.0f}, green {green:.0f}, blue {blue:.0f}). "
            "Expected a retina on a dark or grey surround."
        )
