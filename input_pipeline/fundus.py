"""Turns the bytes of a fundus photograph into a square picture of the retina.

The same bytes give the same pixels in preparation, evaluation and serving. The retina
is found as a circle, whatever the camera: its sides may be cut off by the frame or by
black bars, and a notch, a label or a hazy surround does not move it. Where a photograph
was stretched, as in square re-exports of public datasets, the retina is found as an
ellipse, and the prepared picture shows it round again.
"""

import dataclasses
import math
from typing import NamedTuple

import cv2
import numpy as np

from input_pipeline import image_header

# Part of a preparation's fingerprint: raise it when the same bytes give other pixels.
VERSION = 2

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

# A circle that less of its outline follows is doubted; an ellipse must do better. In
# IDRiD's 516 photographs 0.87 and more follows the circle. Squeezed into a square, 0.55
# and less still does, an arc at one side, and 0.86 and more follows the ellipse.
_MIN_FOLLOWED = 0.8

# An ellipse explains more shapes than a circle does, so it must be seen nearly whole.
_MIN_ELLIPSE_SUPPORT = 0.9

# The share of the retina's box that must lie in the picture. IDRiD's show 0.83; of a
# strip of one pixel's height the box would not fit into any memory.
_MIN_WITHIN = 0.4

# What is less stretched passes for a circle. 3:2 into a square is 1.5.
_MIN_STRETCH, _MAX_STRETCH = 1.02, 1.6

_RAYS = np.linspace(0, 2 * np.pi, 72, endpoint=False)
_RAYS = np.stack([np.cos(_RAYS), np.sin(_RAYS)], axis=1)


# Centre x and y, width and height.
_Box = tuple[float, float, float, float]


class _Found(NamedTuple):
    support: float  # The share of its visible edge that is seen.
    followed: float  # The share of the outline that lies on it.
    box: _Box | None
    mask: np.ndarray | None  # Where the picture is as bright as the retina.


class UnreadableImageError(ValueError):
    """The bytes are no image, are cut off, too large, or cannot be decoded."""


class NotAFundusPhotographError(ValueError):
    """The image shows no retina."""


class NoColourError(NotAFundusPhotographError):
    """What is seen may be a retina, but without colour, as in red-free photographs."""


@dataclasses.dataclass(frozen=True)
class Crop:
    """The box around the retina, in pixels of the upright full-size photograph.

    It is a square, unless the photograph was stretched. It reaches beyond the
    photograph where the camera cut the retina off; there the prepared picture is black.

    Attributes:
        left: The box's first column, negative beyond the photograph.
        top: The box's first row, negative beyond the photograph.
        right: The column after the box's last.
        bottom: The row after the box's last.
        width: Columns of the photograph, after EXIF rotation.
        height: Rows of the photograph, after EXIF rotation.
    """

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int


def prepare(data: bytes, size: int) -> tuple[np.ndarray, Crop]:
    """Finds the retina in an encoded photograph, crops it and makes it square.

    Args:
        data: A JPEG, PNG, WebP or TIFF file.
        size: Width and height of the result in pixels.

    Returns:
        A uint8 array of shape `(size, size, 3)`, RGB, 0-255, and the crop that `apply`
        repeats on other pictures of the same photograph.

    Raises:
        UnreadableImageError: If the bytes cannot be decoded.
        NotAFundusPhotographError: If no retina is seen; `NoColourError` if what is seen
            has no colour.
    """
    header = _read_header(data)
    # 2: area averaging hides the decoder's own filter once two pixels make one.
    reduction = _reduction(header, min(header.width, header.height) / (2 * size))
    picture = _decode(data, reduction)
    crop = _find_retina(picture, header, reduction)
    # A retina that fills little of its frame deserves a finer decode.
    side = min(crop.right - crop.left, crop.bottom - crop.top)
    if reduction > 1 and side / reduction < 1.5 * size:
        reduction = _reduction(header, side / (1.5 * size))
        picture = _decode(data, reduction)
    return cv2.cvtColor(apply(picture, crop, size), cv2.COLOR_BGR2RGB), crop


def apply(
    image: np.ndarray, crop: Crop, size: int, interpolation: int | None = None
) -> np.ndarray:
    """Crops a picture that lies on the photograph, such as a lesion mask, to a square.

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
    columns = max(1, round((crop.right - crop.left) / scale))
    rows = max(1, round((crop.bottom - crop.top) / scale))
    right, bottom = left + columns, top + rows
    box = cv2.copyMakeBorder(
        image[max(top, 0) : bottom, max(left, 0) : right],
        max(-top, 0),
        max(bottom - height, 0),
        max(-left, 0),
        max(right - width, 0),
        cv2.BORDER_CONSTANT,
    )
    if interpolation is None:
        interpolation = (
            cv2.INTER_AREA if min(columns, rows) >= size else cv2.INTER_LINEAR
        )
    return cv2.resize(box, (size, size), interpolation=interpolation)


def view(data: bytes, longest: int) -> np.ndarray:
    """The whole photograph as a person sees it, upright, no larger than a screen needs.

    Args:
        data: A JPEG, PNG, WebP or TIFF file.
        longest: Pixels of the longer side at most.

    Returns:
        A uint8 array of shape `(height, width, 3)`, RGB, 0-255.

    Raises:
        UnreadableImageError: If the bytes cannot be decoded.
    """
    header = _read_header(data)
    side = max(header.width, header.height)
    picture = _decode(data, _reduction(header, side / longest))
    scale = longest / max(picture.shape)
    if scale < 1:
        rows, columns = (max(1, round(scale * one)) for one in picture.shape[:2])
        size = columns, rows
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


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
            f"the image must have at most {MAX_PIXELS / 1e6:g} megapixels. Received: "
            f"{header.width}x{header.height}. Reduce it first."
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
    x, y, across, down = _locate(small)

    rows, columns = picture.shape[:2]
    across = round(across * columns / small.shape[1])
    down = round(down * columns / small.shape[1])
    left = round(x * columns / small.shape[1] - across / 2)
    top = round(y * rows / small.shape[0] - down / 2)
    edges = left, top, left + across, top + down
    within = max(min(edges[2], columns) - max(left, 0), 0) / across
    within *= max(min(edges[3], rows) - max(top, 0), 0) / down
    if within < _MIN_WITHIN:
        raise NotAFundusPhotographError(
            f"{within:.0%} of the square around the best circle lie in the picture. "
            f"Expected at least {_MIN_WITHIN:.0%}, the whole retina in view."
        )
    width, height = header.width, header.height
    if (rows - columns) * (height - width) < 0:  # Rotated by its EXIF orientation.
        width, height = height, width
    return Crop(*(edge * reduction for edge in edges), width, height)


def _locate(small: np.ndarray) -> _Box:
    """The box around the retina, in pixels of `small`."""
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

    found = _search(red, dark, bright, stretched=False)
    if found.followed < _MIN_FOLLOWED:
        ellipse = _search(red, dark, bright, stretched=True)
        whole = ellipse.support > _MIN_ELLIPSE_SUPPORT
        if whole and ellipse.followed > _MIN_FOLLOWED:
            found = ellipse
    if found.support >= _MIN_SUPPORT:
        _check_colour(cv2.mean(small, found.mask), strict=False)
        _check_surround(cv2.mean(small, cv2.bitwise_not(found.mask)), bright)
        return found.box
    area = cv2.compare(red, 0.1 * bright, cv2.CMP_GE)
    return _fill_frame(small, area, found.support)


def _search(red: np.ndarray, dark: float, bright: float, stretched: bool) -> _Found:
    """The best seen circle, or ellipse, between the levels of surround and retina."""
    frame = np.array(red.shape[::-1])
    best = _Found(0.0, 0.0, None, None)
    for fraction in _EDGE_FRACTIONS:
        area = cv2.compare(red, dark + fraction * (bright - dark), cv2.CMP_GE)
        outline = _largest_outline(area)
        # Along the frame's own border runs the cut, not the retina.
        within = ((outline > 1) & (outline < frame - 2)).all(axis=1)
        points = outline[within] + 0.5
        stretch = _fit_stretch(points) if stretched else 1.0
        if stretch is None:
            continue
        scale = np.array([stretch, 1.0])  # So an ellipse becomes a circle.
        centre, radius, near = _fit_circle(points * scale, frame * scale)
        # A pixel reaches the level once `fraction` of it lies on the retina.
        radius += fraction
        support = _support(red, centre, radius, near, 0.05 * (bright - dark), scale)
        if support > best.support:
            box = (*(centre / scale), *(2 * radius / scale))
            best = _Found(support, len(near) / len(points), box, area)
        if support > 0.9:
            break
    return best


def _fill_frame(small: np.ndarray, area: np.ndarray, support: float) -> _Box:
    """The box for a retina without an edge: it fills the frame, or its bars."""
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
    side = max(width, height)
    return left + width / 2, top + height / 2, side, side


def _largest_outline(area: np.ndarray) -> np.ndarray:
    """Outline of the mask's largest part, in order, of shape `(points, 2)`."""
    outlines, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    nothing = np.empty((0, 1, 2), np.int32)
    return max(outlines, key=cv2.contourArea, default=nothing)[:, 0]


def _fit_circle(
    points: np.ndarray, frame: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """The centre and radius most of the outline agrees on, and the points that do."""
    if len(points) < 24:
        return frame / 2, 0.0, points[:0]
    votes = points[:: math.ceil(len(points) / 160)]
    centres, radii = _circles_along(votes)
    # |d - r| < t as |d^2 - r^2| < 2rt, which is one matrix product.
    excess = (votes**2).sum(axis=1) - 2 * centres @ votes.T
    excess += ((centres**2).sum(axis=1) - radii**2)[:, None]
    near = np.abs(excess) < (2 * radii * np.maximum(0.75, 0.01 * radii))[:, None]
    plausible = ((centres > 0) & (centres < frame)).all(axis=1) & (radii < max(frame))
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


def _fit_stretch(points: np.ndarray) -> float | None:
    """Height by width of the upright ellipse that most of the outline follows, if any.

    With `a` the square of the stretch, an ellipse is `a x^2 + b x + c y + d = -y^2`,
    which four points decide.
    """
    if len(points) < 24:
        return None
    x, y = (points - points.mean(axis=0)).T
    terms, values = np.column_stack([x * x, x, y, np.ones(len(x))]), -y * y
    every = math.ceil(len(points) / 160)
    conics = _ellipses_along(terms[::every], values[::every])
    near = _on_ellipse(conics, terms[::every], values[::every])
    if not near.any():
        return None
    conic = conics[:, [np.argmax(near.sum(axis=0))]]
    for _ in range(3):  # Least squares on the points near the ellipse.
        near = _on_ellipse(conic, terms, values)[:, 0]
        conic = np.linalg.lstsq(terms[near], values[near, None])[0]
        if not _MAX_STRETCH**-2 < conic[0, 0] < _MAX_STRETCH**2:
            return None
    stretch = math.sqrt(conic[0, 0])
    return stretch if max(stretch, 1 / stretch) > _MIN_STRETCH else None


def _ellipses_along(terms: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Ellipses through four points each, in order: `a, b, c, d` of `(4, ellipses)`.

    Quarters of the outline suit a whole ellipse; two near each other and the two
    opposite reach both arcs of one cut off at two opposite sides.
    """
    n = len(terms)
    first = np.arange(0, n, 2)
    steps = np.array([[0, n // 4, n // 2, 3 * n // 4], [0, n // 8, n // 2, 5 * n // 8]])
    corners = (first[:, None] + steps[:, None]).reshape(-1, 4) % n
    rows = np.column_stack([terms[:, :3], values])[corners]
    rows = rows[:, 1:] - rows[:, :1]  # Without d; the rest by Cramer's rule.
    whole = np.linalg.det(rows[..., :3])
    whole[whole == 0] = 1e-6  # They decide none: one that no point follows.
    a = np.linalg.det(rows[..., [3, 1, 2]]) / whole
    b = np.linalg.det(rows[..., [0, 3, 2]]) / whole
    c = np.linalg.det(rows[..., [0, 1, 3]]) / whole
    x2, x, y, _ = terms[corners[:, 0]].T
    d = values[corners[:, 0]] - a * x2 - b * x - c * y
    kept = (a > _MAX_STRETCH**-2) & (a < _MAX_STRETCH**2)
    return np.stack([a, b, c, d])[:, kept]


def _on_ellipse(
    conics: np.ndarray, terms: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Which points lie on which ellipse: bool of shape `(points, ellipses)`."""
    a, b, c, d = conics
    radius = np.sqrt(np.maximum(b * b / (4 * a) + c * c / 4 - d, 0))  # Half its height.
    excess = np.abs(terms @ conics - values[:, None])
    return excess < 2 * radius * np.maximum(1.0, 0.01 * radius)


def _support(
    red: np.ndarray,
    centre: np.ndarray,
    radius: float,
    points: np.ndarray,
    least: float,
    scale: np.ndarray,
) -> float:
    """Share of the circle's visible edge, 0-1, that has a point and a step down."""
    margin = max(2, 0.025 * radius)
    inside = np.floor((centre + (radius - margin) * _RAYS) / scale).astype(int)
    outside = np.floor((centre + (radius + margin) * _RAYS) / scale).astype(int)
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
    # Less than an eighth of a circle is no evidence of one, less than a third of an
    # ellipse not of its stretch.
    fewest = len(_RAYS) // (8 if scale[0] == 1 else 3)
    return steps / visible.sum() if steps >= fewest else 0.0


def _check_colour(bgr: tuple[float, ...], strict: bool) -> None:
    """Raises unless red leads, as blood leaves it; `strict` asks for a margin."""
    blue, green, red = bgr[:3]
    seen = f"red {red:.0f}, green {green:.0f}, blue {blue:.0f}"
    kind = NotAFundusPhotographError
    if max(bgr[:3]) - min(bgr[:3]) < 0.08 * max(bgr[:3]):
        complaint = "no colour: grey picture"
        # A page of text is grey too, but not round.
        kind = NotAFundusPhotographError if strict else NoColourError
    elif max(red, blue) < 0.2 * green:
        complaint, kind = "no colour: green light alone", NoColourError
    elif blue >= red:
        complaint = "blue dominates over red"
    elif green * (1.2 if strict else 0.8) >= red:
        complaint = "green dominates over red"
    elif strict and blue > green:
        complaint = "blue dominates over green"
    else:
        return
    raise kind(
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
