"""Reads an image's format and size from its first bytes, without decoding it.

A header costs microseconds, a decode costs milliseconds and memory: what is no image,
was cut off, or is too large is refused before any decoder sees it. The format follows
from the content; a file's name says nothing.
"""

import dataclasses
import struct


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
            complete = data.rfind(b"\xff\xd9", position) >= 0
            return ImageHeader("JPEG", width, height, complete)
        # C4, C8 and CC lie among the frame headers (SOF) but are tables.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
        position += 2 + length


def _read_png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
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
    tags = {}
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        if kind in (3, 4):  # SHORT and LONG: sizes, and where the pixels lie.
            letter, width = (("H", 2), ("I", 4))[kind - 3]
            at = entry + 8
            if count * width > 4:  # A long list lies elsewhere.
                (at,) = struct.unpack_from(order + "I", data, at)
            tags[tag] = struct.unpack_from(f"{order}{count}{letter}", data, at)
    if 256 not in tags or 257 not in tags:
        raise ValueError("the TIFF must give ImageWidth and ImageLength. Save it anew.")
    offsets = tags.get(273) or tags.get(324) or ()  # Strips, or else tiles.
    lengths = tags.get(279) or tags.get(325) or ()
    end = max(
        (at + length for at, length in zip(offsets, lengths, strict=False)), default=0
    )
    return ImageHeader("TIFF", tags[256][0], tags[257][0], 0 < end <= len(data))
