import io
import struct
import tracemalloc

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


def tiff(*tags, tail=b""):
    entries = b"".join(struct.pack("<HHII", *one) for one in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + tail


def test_long_lists_of_a_tiff_take_no_memory():
    # Each of 400 tags claims nearly the whole file as its list.
    lists = [(30_000 + one, 4, 250_000, 8) for one in range(400)]
    ours = [(tag, 4, 250_000, 8) for tag in (273, 279, 324, 325)]
    data = tiff((256, 4, 1, 30), (257, 4, 1, 20), *ours, *lists, tail=bytes(1_000_000))
    tracemalloc.start()
    try:
        header = image_header.read(data)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    finally:
        tracemalloc.stop()
    assert (header.width, header.height) == (30, 20)


def test_of_two_sizes_the_decoder_and_we_believe_the_first():
    data = tiff((256, 4, 1, 9000), (256, 4, 1, 10), (257, 4, 1, 8000), (257, 4, 1, 10))
    header = image_header.read(data)
    assert (header.width, header.height) == (9000, 8000)


def test_a_size_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"its tag 256 as SHORT or LONG.*Received: 9"):
        image_header.read(tiff((256, 9, 1, 9000), (256, 4, 1, 10), (257, 4, 1, 10)))


def test_tiles_are_hardly_larger_than_their_image():
    size, tiles = ((256, 4, 1, 500), (257, 4, 1, 500)), ((322, 4, 1), (323, 4, 1))
    huge = tiff(*size, *((*one, 16_000) for one in tiles))
    with pytest.raises(ValueError, match=r"tiles of that size.*Received: 16000x16000"):
        image_header.read(huge)
    image_header.read(tiff(*size, *((*one, 1024) for one in tiles)))


def test_a_jpeg_of_endless_passes_is_refused():
    whole = _encode("JPEG", (8000, 6000), progressive=True)
    start, end = whole.rfind(b"\xff\xda"), whole.rfind(b"\xff\xd9")
    assert image_header.read(whole).width == 8000
    longer = whole[:end] + whole[start:end] * 110 + whole[end:]
    with pytest.raises(ValueError, match=r"at most 100 passes\. Received: 12"):
        image_header.read(longer)
    # What follows a photograph, such as a phone's film, may look like passes.
    small = _encode("JPEG", progressive=True) + b"\xff\xda" * 200
    assert image_header.read(small).complete


def test_an_animated_png_is_refused():
    frames = {"save_all": True, "append_images": [Image.new("RGB", (37, 21))]}
    with pytest.raises(ValueError, match="must not be animated"):
        image_header.read(_encode("PNG", **frames))
