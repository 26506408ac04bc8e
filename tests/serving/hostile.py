"""Files that are no good photographs: damaged, hostile, odd; the same ones each time.

`files(drawing)` names more than two thousand. Those made by hand do what no encoder
does; the others are photographs of every kind that were cut, flipped and patched.
"""

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
import PIL.Image

CUTS, FLIPS, HEADS, HOLES = 40, 60, 50, 20
"""How many damaged copies there are of each encoding: cut off, bytes changed anywhere,
bytes changed near the start, bytes taken out or put in."""


def files(drawing: bytes) -> dict[str, bytes]:
    """Name -> file.

    Args:
        drawing: A drawn photograph, as a JPEG file.
    """
    image = PIL.Image.open(io.BytesIO(drawing))
    image = image.resize((image.width // 2, image.height // 2))
    whole = encodings(image)
    found = whole | foreign(image) | bombs() | polyglots(whole)
    random = np.random.default_rng(0)
    for name, data in whole.items():
        for number, damaged in enumerate(damage(data, random)):
            found[f"{name}, damaged {number}"] = damaged
    return found


def saved(image: PIL.Image.Image, kind: str, **options) -> bytes:
    """An image in a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encodings(image: PIL.Image.Image) -> dict[str, bytes]:
    """A photograph in every way that cameras and programs write it."""
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    more = {"save_all": True, "append_images": [image.rotate(9), image.rotate(99)]}
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    return {
        "JPEG": saved(image, "JPEG"),
        "progressive JPEG": saved(image, "JPEG", progressive=True),
        "turned JPEG": saved(image, "JPEG", exif=turned),
        "CMYK": saved(image.convert("CMYK"), "JPEG"),
        "grey JPEG": saved(image.convert("L"), "JPEG"),
        "PNG": saved(image, "PNG"),
        "PNG with a palette": saved(image.convert("P"), "PNG"),
        "PNG of 16 bits": saved(PIL.Image.fromarray(deep), "PNG"),
        "animated PNG": saved(image, "PNG", **more),
        "TIFF": saved(image, "TIFF", compression="tiff_lzw"),
        "TIFF with JPEG": saved(image, "TIFF", compression="jpeg"),
        "TIFF of several pages": saved(image, "TIFF", **more),
        "TIFF of 16 bits": saved(PIL.Image.fromarray(deep), "TIFF"),
        "WebP": saved(image, "WEBP"),
        "WebP without loss": saved(image.convert("RGBA"), "WEBP", lossless=True),
        "animated WebP": saved(image, "WEBP", **more),
    }


def damage(data: bytes, random: np.random.Generator):
    """Copies of a file of which something is missing or changed."""
    for _ in range(CUTS):
        yield data[: random.integers(1, len(data))]
    for reach, count in ((len(data), FLIPS), (min(200, len(data)), HEADS)):
        for number in range(count):
            copy = bytearray(data)
            for place in random.integers(0, reach, 1 + number % 30):
                copy[place] = random.integers(256)
            yield bytes(copy)
    for number in range(HOLES):
        start, length = random.integers(0, len(data)), random.integers(1, 2000)
        between = b"" if number % 2 else random.bytes(length)
        yield data[:start] + between + data[start + length * (number % 2) :]


def foreign(image: PIL.Image.Image) -> dict[str, bytes]:
    """Files of other kinds."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("../../photograph.jpg", saved(image, "JPEG"))
    entity = b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>'
    return {
        "nothing": b"",
        "one byte": b"\xff",
        "zeros": bytes(100_000),
        "text": b"photograph",
        "svg": entity,
        "html": b"<script>alert(1)</script>",
        "zip": zipped.getvalue(),
        "gzip": gzip.compress(saved(image, "JPEG"), mtime=0),
        "program": b"\x7fELF" + bytes(1000),
        "pdf": saved(image, "PDF"),
        "noise": np.random.default_rng(1).bytes(100_000),
    } | {
        kind.lower(): saved(image, kind)
        for kind in ("GIF", "BMP", "PPM", "ICO", "TGA", "JPEG2000")
    }


def polyglots(whole: dict[str, bytes]) -> dict[str, bytes]:
    """Files that two programs take for two things."""
    found = {}
    for first in whole:
        for second in ("JPEG", "PNG", "TIFF", "WebP"):
            half = whole[first][: len(whole[first]) // 2]
            found[f"half a {first} before {second}"] = half + whole[second]
        found[f"{first} before a script"] = whole[first] + b"<script>alert(1)</script>"
        found[f"script before {first}"] = b"#!/bin/sh\nexit 1\n" + whole[first]
    return found


def png(
    width: int, height: int, depth: int = 8, colour: int = 2, *more: bytes
) -> bytes:
    """A PNG whose header announces what its pixels do not keep."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [b"IHDR" + header, *more]
    chunks += [b"IDAT" + zlib.compress(bytes(1_000_000)), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one))
        for one in chunks
    )


def jpeg(width: int, height: int) -> bytes:
    """A JPEG of which the header alone is large."""
    data = bytearray(saved(PIL.Image.new("RGB", (8, 8)), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def webp(width: int, height: int) -> bytes:
    """A WebP whose canvas is larger than its picture."""
    inner = saved(PIL.Image.new("RGB", (8, 8)), "WEBP")[12:]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


def passes(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG that is decoded in many passes: hours for a few megabytes."""
    whole = saved(PIL.Image.new("RGB", (width, height)), "JPEG", progressive=True)
    start, end = whole.rfind(b"\xff\xda"), whole.rfind(b"\xff\xd9")
    return whole[:end] + whole[start:end] * count + whole[end:]


def strip(width: int, height: int) -> bytes:
    """A JPEG in a retina's colours, whose square about it would take gigabytes."""
    row = np.linspace(120, 180, width).astype(np.uint8)
    rows = [np.tile(np.uint8(share * row), (height, 1)) for share in (1, 0.5, 0.2)]
    return saved(PIL.Image.fromarray(np.dstack(rows)), "JPEG")


def tiff(
    width: int, height: int, entries: int = 9, next_page: int = 0, more=()
) -> bytes:
    """A TIFF whose directory announces what is not there."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 2), (273, 8)]
    tags += [(277, 3), (278, height), (279, 2**32 - 1), *more]
    entries = max(entries, len(tags))
    fields = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    directory = struct.pack("<H", entries) + b"".join(fields)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", next_page)


def bombs() -> dict[str, bytes]:
    """Small files that would fill the memory, or never end."""
    text = b"zTXta\0\0" + zlib.compress(bytes(200_000_000), 9)
    profile = b"iCCPa\0\0" + zlib.compress(bytes(200_000_000), 9)
    largest = 2**31 - 1
    return {
        "bomb": png(20_000, 20_000),
        "largest bomb": png(largest, largest),
        "no pixels": png(0, 0),
        "bomb within the limits": png(7000, 7000),
        "wide": png(49_000_000, 1),
        "high": png(1, 49_000_000),
        "bomb of 16 bits": png(7000, 7000, 16, 6),
        "bomb of text": png(100, 100, 8, 2, text),
        "bomb of a profile": png(100, 100, 8, 2, profile),
        "JPEG bomb": jpeg(65_500, 65_500),
        "JPEG bomb within the limits": jpeg(7000, 7000),
        "JPEG without pixels": jpeg(0, 0),
        "WebP bomb": webp(16_384, 16_384),
        "WebP bomb within the limits": webp(7000, 7000),
        "largest WebP": webp(2**24, 2**24),
        "TIFF bomb": tiff(2**32 - 1, 2**32 - 1),
        "TIFF bomb within the limits": tiff(7000, 7000),
        "TIFF without pixels": tiff(0, 0),
        "TIFF of endless pages": tiff(700, 700, next_page=8),
        "TIFF of endless tags": tiff(700, 700, entries=65_535),
        "TIFF of two sizes": tiff(20_000, 20_000, more=[(256, 9), (257, 9)]),
        "TIFF of huge tiles": tiff(500, 500, more=[(322, 16_000), (323, 16_000)]),
        "JPEG of endless passes": passes(7000, 7000, 10_000),
        "JPEG of a strip": strip(30_000, 1000),
    }


NAMES = (
    "../../../../tmp/hostile.jpg",
    "/etc/passwd",
    "..\\..\\hostile.jpg",
    "C:\\hostile.jpg",
    "CON",
    "a\0b.jpg",
    "a.jpg\0.exe",
    "x" * 4000,
    'a"b.jpg',
    "a\\",
    "%2e%2e%2fhostile",
    "$(touch hostile).jpg",
    "; rm -rf hostile",
    "<script>alert(1)</script>.jpg",
    "=cmd|'/c calc'!A1",
    "фото.jpg",
    "眼底.jpg",
    "\u202egpj.exe",
    "",
    " ",
    ".",
)
"""What uploads may be called."""
