"""Reads an image's format and size from its first bytes, without decoding it.

A header costs microseconds, a decode costs milliseconds and memory: what is no image,
was cut off, or is too large is refused before any decoder sees it. The format follows
from the content; a file's name says nothing.
"""

import dataclasses
import struct

import numpy as np

# A progressive JPEG is decoded in passes over all of its pixels, some 10 as programs
# write it. A file of 25 MB may ask for 250,000 of them: hours.
_MOST_SCANS = 100
_MOST_SCANNED = 5_000_000_000  # Pixels of all passes: about four seconds.

# Memory is taken for a whole tile, and those of a small image may be as large as they
# say. A row of them may reach beyond its edge.
_MOST_TILE = 4096**2

# Width, height; strips and tiles, where they lie and how long they are.
_TIFF_TAGS = {256, 257, 273, 279, 322, 323, 324, 325}


@dataclasses.dataclass(frozen=True)
class ImageHeader:
    """What an encoded image says about itself.

    Attributes:
        format: "JPEG", "PNG", "WebP" or "TIFF".
        width: Stored columns in pixels, before any EXIF rotation.
        height: Stored rows in pixels, before any EXIF rotation.
        complete: Whether the bytes reach the image's end; False after a broken
            transfer.
    """

    format: str
    width: int
    height: int
    complete: bool


def read(data: bytes) -> ImageHeader:
    """Reads the header of an encoded image.

    Args:
        data: The whole file.

    Returns:
        The header, also for a file cut off after its size.

    Raises:
        ValueError: If the bytes are no JPEG, PNG, WebP or TIFF image, or end before
            the image's size.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _read_jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _read_png(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _read_webp(data)
        if data.startswith((b"II*\0", b"MM\0*")):
            return _read_tiff(data)
    except (struct.error, IndexError):
        raise ValueError(
            f"the image ends before its size is given, after {len(data)} bytes. "
            "Copy the file again from its source."
        ) from None
    raise ValueError(
        "the bytes must be a JPEG, PNG, WebP or TIFF image. "
        f"Received: {_describe(data)}. Convert or remove the file."
    )


def _describe(data: bytes) -> str:
    if not data:
        return "an empty file"
    if not data.strip(b"\0"):
        return f"{len(data)} zero bytes"
    first = data[:16]
    if data.startswith(b"%PDF"):
        kind = "a PDF document"
    elif data.startswith(b"BM"):
        kind = "a BMP image"
    elif data.startswith((b"GIF87a", b"GIF89a")):
        kind = "a GIF image"
    elif data.startswith(b"PK\3\4"):
        kind = "a ZIP archive"
    elif data[128:132] == b"DICM":
        kind = "a DICOM file"
    elif all(byte >= 32 or byte in b"\t\n\r" for byte in data[:512]):
        kind = "text"
    else:
        kind = "bytes of unknown kind"
    return f"{kind}, beginning {first!r}"


def _read_jpeg(data: bytes) -> ImageHeader:
    width = height = 0
    position = 2
    while True:
        while data[position + 1] == 0xFF:  # Fill bytes may precede a marker.
            position += 1
        start, marker, length = struct.unpack_from(">BBH", data, position)
        if start != 0xFF:
            raise ValueError(
                f"the JPEG must have a marker at byte {position}. Received: "
                f"{data[position : position + 4]!r}. Copy the file again."
            )
        if marker == 0xDA:  # SOS: entropy-coded data follow, where FF D9 means the end.
            if not width or not height:
                raise ValueError(
                    "the JPEG must give its size before its pixels. Save it anew."
                )
            scans = data.count(b"\xff\xda", position)
            if scans > _MOST_SCANS and scans * width * height > _MOST_SCANNED:
                raise ValueError(
                    f"the JPEG of {width}x{height} pixels must be decoded in at most "
                    f"{_MOST_SCANS} passes. Received: {scans}. Save it anew."
                )
            complete = data.rfind(b"\xff\xd9", position) >= 0
            return ImageHeader("JPEG", width, height, complete)
        # C4, C8 and CC lie among the frame headers (SOF) but are tables.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
        position += 2 + length


def _read_png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
    position, kind = 8, b""
    while position < len(data) and kind != b"IDAT":
        kind = data[position + 4 : position + 8]
        if kind == b"acTL":  # Decoding takes four times as much memory.
            raise ValueError("the PNG must not be animated. Save its first picture.")
        position += 12 + int.from_bytes(data[position : position + 4])
    return ImageHeader("PNG", width, height, b"IEND\xaeB`\x82" in data)


def _read_webp(data: bytes) -> ImageHeader:
    (length,) = struct.unpack_from("<I", data, 4)
    chunk = data[12:16]
    if chunk == b"VP8X":
        columns, rows = data[24:27], data[27:30]
        if len(rows) < 3:
            raise IndexError
        width = int.from_bytes(columns, "little") + 1
        height = int.from_bytes(rows, "little") + 1
    elif chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = struct.unpack_from("<HH", data, 26)
        width, height = width & 0x3FFF, height & 0x3FFF
    return ImageHeader("WebP", width, height, len(data) >= 8 + length)


def _read_tiff(data: bytes) -> ImageHeader:
    order = "<" if data.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, directory)
    tags: dict[int, np.ndarray] = {}
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        # Of two the decoder believes the first.
        if tag not in _TIFF_TAGS or tag in tags:
            continue
        if kind not in (3, 4):
            raise ValueError(
                f"the TIFF must give its tag {tag} as SHORT or LONG, 3 or 4. Received: "
                f"{kind}. Save it anew."
            )
        width, at = 2 * (kind - 2), entry + 8
        if count * width > 4:  # A long list lies elsewhere.
            (at,) = struct.unpack_from(order + "I", data, at)
        if not 0 < count * width <= len(data) - at:
            raise IndexError
        # Without a copy: all lists may be as long as the file.
        tags[tag] = np.frombuffer(data, f"{order}u{width}", count, at)
    if 256 not in tags or 257 not in tags:
        raise ValueError("the TIFF must give ImageWidth and ImageLength. Save it anew.")
    width, height = int(tags[256][0]), int(tags[257][0])
    if 322 in tags and 323 in tags:
        tile = int(tags[322][0]), int(tags[323][0])
        if tile[0] * tile[1] > width * height + _MOST_TILE:
            raise ValueError(
                f"the TIFF of {width}x{height} pixels must have tiles of that size at "
                f"most. Received: {tile[0]}x{tile[1]}. Save it anew."
            )
    nothing = np.zeros(1, np.int64)
    starts = tags.get(273, tags.get(324, nothing))  # Of strips, or else of tiles.
    lengths = tags.get(279, tags.get(325, nothing))
    count = min(len(starts), len(lengths))
    end = int((starts[:count].astype(np.int64) + lengths[:count]).max())
    return ImageHeader("TIFF", width, height, 0 < end <= len(data))
