import io
import struct

import pytest
from PIL import Image

from input_pipeline import image_header


def _encode(format_name, size=(37, 21), **options):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 90, 30)).save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WebP", {}),
        ("WebP", {"lossless": True}),
        ("WebP", {"exif": Image.Exif().tobytes()}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_format_and_size_are_those_written(name, options):
    header = image_header.read(_encode(name, **options))
    assert header == image_header.ImageHeader(name, 37, 21, complete=True)


def test_size_of_the_embedded_thumbnail_is_not_taken_for_the_image():
    # An APP1 segment that holds a whole small JPEG, as cameras write it.
    whole, thumbnail = _encode("JPEG"), _encode("JPEG", (8, 6))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    header = image_header.read(whole[:2] + segment + whole[2:])
    assert (header.width, header.height, header.complete) == (37, 21, True)


def test_thumbnail_does_not_hide_that_the_image_is_cut_off():
    whole, thumbnail = _encode("JPEG"), _encode("JPEG", (8, 6))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert not image_header.read(whole[:2] + segment + whole[2:-2]).complete


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_is_read_in_either_byte_order(order):
    mark = {"<": b"II", ">": b"MM"}[order]
    # A SHORT fills the first two of its four bytes in either order.
    short = struct.Struct(order + "HHIHH")
    entries = [
        short.pack(256, 3, 1, 300, 0),
        struct.pack(order + "HHII", 257, 4, 1, 200),
        struct.pack(order + "HHII", 273, 4, 1, 62),
        struct.pack(order + "HHII", 279, 4, 1, 10),
    ]
    data = mark + struct.pack(order + "HIH", 42, 8, len(entries)) + b"".join(entries)
    data += bytes(4 + 10)  # No next directory at byte 58; pixels from 62 to 72.
    assert len(data) == 72
    assert image_header.read(data) == image_header.ImageHeader("TIFF", 300, 200, True)
    assert not image_header.read(data[:-1]).complete


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP"])
def test_a_file_without_its_end_is_incomplete(name):
    data = _encode(name)
    header = image_header.read(data[:-12])
    assert (header.width, header.height, header.complete) == (37, 21, False)


def test_bytes_after_the_end_do_no_harm():
    assert image_header.read(_encode("JPEG") + bytes(100)).complete


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "TIFF"])
def test_a_file_cut_off_before_its_size_says_so(name):
    with pytest.raises(ValueError, match="ends before its size is given, after 14 b"):
        image_header.read(_encode(name)[:14])


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", r"an empty file\. Convert or remove the file\."),
        (bytes(50), "50 zero bytes"),
        (b"image_id,grade\nIDRiD_001,3\n", "text, beginning b'image_id,grade"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"GIF89a\1\0", "a GIF image"),
        (b"BM\xff\xff\0\0", "a BMP image"),
        (b"PK\3\4\0\0", "a ZIP archive"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\x00\x01\xfe\xdc", r"unknown kind, beginning b'\\x00\\x01\\xfe\\xdc'"),
    ],
)
def test_what_is_no_image_is_described(data, seen):
    message = rf"must be a JPEG, PNG, WebP or TIFF image\. Received: .*{seen}"
    with pytest.raises(ValueError, match=message):
        image_header.read(data)


def test_a_jpeg_with_damaged_segments_says_where():
    data = bytearray(_encode("JPEG"))
    data[20] = 0  # The marker after the JFIF segment's 18 bytes.
    with pytest.raises(ValueError, match=r"marker at byte 20\. Received"):
        image_header.read(bytes(data))
