import dataclasses
import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from input_pipeline import fundus


@pytest.fixture(scope="module")
def photographs(real_idrid):
    """The paths of IDRiD's 516 photographs."""
    return sorted(real_idrid.glob("B. Disease Grading/1. Original Images/*/*.jpg"))


def _draw(width=1200, height=900, x=600.0, y=450.0, diameter=800.0):
    """A retina on black: darker towards its rim, with optic disc, macula, vessels."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y) / (diameter / 2)
    picture = (1 - 0.4 * distance**2)[..., None] * np.array([180.0, 90.0, 35.0])

    def at(dx, dy):
        return round(x + dx * diameter), round(y + dy * diameter)

    for bend in (-0.3, -0.15, 0.15, 0.3):
        points = np.array([at(0.25, 0), at(0, bend), at(-0.4, bend)])
        cv2.polylines(picture, [points], False, (110, 35, 15), round(diameter / 90))
    cv2.circle(picture, at(0.25, 0), round(diameter / 14), (250, 210, 110), -1)
    cv2.circle(picture, at(-0.05, 0.02), round(diameter / 18), (70, 25, 10), -1)
    rim = np.clip((1 - distance) * diameter / 2 + 0.5, 0, 1)[..., None]
    return np.uint8(np.clip(picture, 0, 255) * rim + 0.5)


def _encode(picture, format_name="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format_name, **options)
    return buffer.getvalue()


def _box(crop):
    """Centre x and y, width and height."""
    across, down = crop.right - crop.left, crop.bottom - crop.top
    return crop.left + across / 2, crop.top + down / 2, across, down


def _expect(picture, x, y, diameter):
    _, crop = fundus.prepare(_encode(picture), 128)
    assert (crop.height, crop.width) == picture.shape[:2]
    found = _box(crop)
    assert found[2] == found[3], "a round retina gives a square"
    error = np.abs(np.subtract(found[:3], (x, y, diameter))) / diameter
    assert error.max() < 0.005, f"found {found}, drawn {(x, y, diameter)}"


def _resize(picture, width, height):
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _thumbnail(prepared):
    return _resize(prepared, 64, 64).astype(np.float64)


# --- The retina is found: centre and diameter against the drawing. ---


def test_a_whole_retina():
    _expect(_draw(), 600, 450, 800)


def test_a_whole_retina_in_a_portrait_frame():
    _expect(_draw(700, 1300, 350, 600, 560), 350, 600, 560)


def test_a_small_off_centre_retina():
    _expect(_draw(1600, 1200, 1300, 260, 300), 1300, 260, 300)


@pytest.mark.parametrize("gain", [0.12, 0.06])
def test_a_very_dark_photograph(gain):
    _expect(np.uint8(_draw() * gain), 600, 450, 800)


@pytest.mark.parametrize("haze", [30, 50])
def test_an_overexposed_photograph_with_a_hazy_surround(haze):
    bright = np.clip(_draw() * 1.5 + haze, 0, 255).astype(np.uint8)
    _expect(bright, 600, 450, 800)


def test_a_surround_that_is_hazy_on_one_side():
    haze = np.linspace(0, 60, 1200)[None, :, None]
    _expect(np.uint8(np.clip(_draw() + haze, 0, 255)), 600, 450, 800)


def test_a_hazy_surround_within_black_bars():
    picture = np.zeros((1100, 1200, 3), np.uint8)
    picture[200:900] = np.clip(_draw(1200, 700, 600, 350, 850) + 45.0, 0, 255)
    _expect(picture, 600, 550, 850)


def test_a_retina_cut_off_at_top_and_bottom_by_the_frame():
    _expect(_draw(1200, 700, 560, 340, 850), 560, 340, 850)


def test_a_retina_cut_off_at_the_left_by_the_frame():
    _expect(_draw(1000, 900, 300, 450, 800), 300, 450, 800)


def test_a_retina_cut_off_on_all_four_sides_by_the_frame():
    _expect(_draw(900, 840, 460, 410, 1000), 460, 410, 1000)


@pytest.mark.parametrize("share", [0.85, 0.66])
def test_a_retina_cut_off_at_top_and_bottom_inside_black_bars(share):
    picture = _draw()
    half = round(share * 400)
    picture[: 450 - half] = picture[450 + half :] = 0
    _expect(picture, 600, 450, 800)


def test_a_notch_and_a_label_do_not_move_the_circle():
    picture = _draw()
    cv2.fillPoly(
        picture, [np.array([[880, 150], [930, 190], [870, 250]])], (170, 80, 30)
    )
    white = (255, 255, 255)
    cv2.rectangle(picture, (1020, 20), (1190, 110), white, -1)
    cv2.putText(picture, "OD 45", (15, 60), cv2.FONT_HERSHEY_SIMPLEX, 2, white, 4)
    _expect(picture, 600, 450, 800)


def test_noise_and_strong_compression_do_not_move_the_circle():
    noise = np.random.default_rng(1).normal(0, 20, (900, 1200, 3))
    picture = np.clip(_draw() + noise, 0, 255).astype(np.uint8)
    _, crop = fundus.prepare(_encode(picture, "JPEG", quality=30), 128)
    assert crop.right - crop.left == pytest.approx(800, rel=0.015)
    assert crop.left == pytest.approx(200, abs=12)
    assert crop.top == pytest.approx(50, abs=12)


def test_a_retina_that_fills_its_frame_is_taken_whole():
    frame = _draw(2000, 2000, 1000, 1000, 2000)[600:1300, 500:1500]
    _, crop = fundus.prepare(_encode(frame), 128)
    assert crop == fundus.Crop(0, -150, 1000, 850, 1000, 700)


def test_a_strip_is_no_retina_whose_rest_would_fill_the_memory():
    strip = np.zeros((300, 6000, 3), np.uint8)
    strip[..., 0] = np.linspace(120, 180, 6000)
    strip[..., 1] = strip[..., 0] // 2
    strip[..., 2] = strip[..., 0] // 5
    with pytest.raises(fundus.NotAFundusPhotographError, match="5% of the square"):
        fundus.prepare(_encode(strip), 128)
    # A third of its height is too little, half of it is enough.
    for height, seen in ((2000, False), (3000, True)):
        part = np.repeat(strip, 10, axis=0)[:height]
        if seen:
            assert fundus.prepare(_encode(part), 128)[1].bottom == 4500
            continue
        with pytest.raises(fundus.NotAFundusPhotographError, match="at least 40%"):
            fundus.prepare(_encode(part), 128)


# --- A stretched retina is found, and shown round. ---


@pytest.mark.parametrize(
    "stretch", [0.63, 0.75, 0.9, 0.95, 1.05, 1.15, 1.33, 1.5, 1.58]
)
def test_a_stretched_retina_is_found_as_the_ellipse_that_it_is(stretch):
    height = round(900 * stretch)
    picture = _resize(_draw(), 1200, height)
    _, crop = fundus.prepare(_encode(picture), 128)
    scale = height / 900
    drawn = np.array([600, 450 * scale, 800, 800 * scale])
    error = np.abs(_box(crop) - drawn) / min(drawn[2:])
    assert error.max() < 0.01, f"found {_box(crop)}, drawn {drawn}"


@pytest.mark.parametrize("side", [160, 224, 512, 640])
@pytest.mark.parametrize(
    "frame",
    [
        (1200, 900, 600, 450, 800),  # Whole.
        (1800, 1200, 850, 600, 1400),  # Cut off at top and bottom, as IDRiD's are.
        (1500, 1130, 750, 560, 1480),  # Cut off there, and touching both sides.
        (1330, 1000, 600, 480, 1280),  # Cut off there, and at the left.
        (900, 1200, 440, 610, 1000),  # Upright, cut off at both sides.
    ],
)
def test_a_photograph_squeezed_into_a_square_is_prepared_as_the_original_is(
    frame, side
):
    original = _draw(*frame)
    expected, square = fundus.prepare(_encode(original), 128)
    squeezed = _encode(_resize(original, side, side), "JPEG", quality=90)
    prepared, crop = fundus.prepare(squeezed, 128)
    scale = side / frame[0], side / frame[1]
    error = np.abs(np.array(_box(crop)) / (scale * 2) - _box(square)) / frame[4]
    assert error.max() < 0.015, f"found {crop}, original {square}"
    difference = np.abs(_thumbnail(prepared) - _thumbnail(expected))
    assert difference.mean() < (1.5 if side > 200 else 2.5)


def test_a_mask_is_unstretched_with_its_photograph():
    lesion = np.zeros((900, 1200), np.uint8)
    cv2.circle(lesion, (450, 400), 60, 255, -1)
    picture = _draw()
    expected = fundus.apply(lesion, fundus.prepare(_encode(picture), 256)[1], 256)
    _, crop = fundus.prepare(_encode(_resize(picture, 640, 640)), 256)
    assert crop.bottom - crop.top == pytest.approx(
        1.33 * (crop.right - crop.left), 0.02
    )
    mask = fundus.apply(_resize(lesion, 640, 640), crop, 256)
    both, either = (mask > 127) & (expected > 127), (mask > 127) | (expected > 127)
    assert both.sum() > 0.93 * either.sum()


def test_a_barely_stretched_retina_passes_for_a_round_one():
    _, crop = fundus.prepare(_encode(_resize(_draw(), 1200, 909)), 128)
    assert crop.right - crop.left == crop.bottom - crop.top


# --- The pixels. ---


def test_beyond_the_frame_and_around_the_retina_is_black():
    # 850 pixels of which 700 lie in the frame, so 75 above and below are missing.
    prepared, crop = fundus.prepare(_encode(_draw(1200, 700, 600, 350, 850)), 170)
    assert prepared.shape == (170, 170, 3)
    assert prepared.dtype == np.uint8
    assert crop.top == pytest.approx(-75, abs=8)
    assert prepared[:12].max() == 0
    assert prepared[-12:].max() == 0
    assert prepared[17:, 85].min() == 0
    assert prepared[20, 85].max() > 50
    assert prepared[85, :3].max() < prepared[85, 10].max()


def test_channels_are_red_green_blue():
    prepared, _ = fundus.prepare(_encode(_draw()), 64)
    red, green, blue = prepared.reshape(-1, 3).mean(axis=0)
    assert red > 1.8 * green > 3 * blue


def test_pixels_are_the_area_average_that_pillow_computes():
    picture = _draw()
    prepared, crop = fundus.prepare(_encode(picture), 100)
    box = (crop.left, crop.top, crop.right, crop.bottom)
    square = Image.fromarray(picture).crop(box)
    reference = square.resize((100, 100), Image.Resampling.BOX)
    # Pillow gives a pixel on a box's border to one box, OpenCV shares it out.
    difference = np.abs(prepared.astype(int) - np.asarray(reference))
    assert difference.mean() < 1.0


def test_the_same_bytes_give_the_same_pixels():
    data = _encode(_draw(), "JPEG")
    first, crop = fundus.prepare(data, 96)
    for _ in range(3):
        again, same_crop = fundus.prepare(data, 96)
        np.testing.assert_array_equal(first, again)
        assert crop == same_crop


@pytest.mark.parametrize("size", [256, 1024])
@pytest.mark.parametrize("height", [900, 640])
def test_a_prepared_picture_goes_through_nearly_unchanged(size, height):
    picture = _draw(1200, height, 600, height / 2, 800)
    prepared, _ = fundus.prepare(_encode(picture), size)
    again, crop = fundus.prepare(_encode(prepared), size)
    assert _box(crop) == pytest.approx((size / 2, size / 2, size, size), rel=0.02)
    assert abs(crop.left) <= 0.01 * size
    assert abs(crop.top) <= 0.01 * size
    assert np.abs(again.astype(int) - prepared).mean() < 3


def test_crop_does_not_depend_on_the_resolution():
    crops = {}
    for size in (256, 1024):
        scale = size / 1200
        picture = _draw(size, round(900 * scale), 610 * scale, 440 * scale, 800 * scale)
        crop = fundus.prepare(_encode(picture), 256)[1]
        crops[size] = np.array(_box(crop)) / crop.width
    np.testing.assert_allclose(crops[256], crops[1024], atol=0.01 * 800 / 1200)


# --- Formats. ---


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_followed(orientation, name):
    # Off-centre, so that every orientation gives another crop. The JPEG is large
    # enough to be decoded at 1/4.
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _encode(_draw(1201, 803, 500, 380, 660), name, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    prepared, crop = fundus.prepare(data, 90)
    assert (crop.width, crop.height) == upright.size
    same = fundus.apply(np.asarray(upright), crop, 90)
    # A mirrored reduced decode lies up to 3 of the 1201 columns off; a wrong turn
    # differs by more than 10.
    assert np.abs(prepared.astype(int) - same).mean() < 3


def test_sixteen_bit_files_give_the_pixels_of_eight_bit_ones():
    picture = _draw()
    eight, _ = fundus.prepare(_encode(picture), 128)
    wide = picture[..., ::-1].astype(np.uint16) * 257
    for extension in (".png", ".tiff"):
        data = cv2.imencode(extension, wide)[1].tobytes()
        sixteen, _ = fundus.prepare(data, 128)
        assert np.abs(sixteen.astype(int) - eight).max() <= 1


def test_alpha_and_palette_files_give_the_pixels_of_plain_ones():
    picture = _draw()
    plain, _ = fundus.prepare(_encode(picture), 128)
    alpha = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(fundus.prepare(_encode(alpha), 128)[0], plain)

    buffer = io.BytesIO()
    few = Image.fromarray(picture).quantize(64)
    few.save(buffer, "PNG")
    palette, _ = fundus.prepare(buffer.getvalue(), 128)
    reference, _ = fundus.prepare(_encode(np.asarray(few.convert("RGB"))), 128)
    np.testing.assert_array_equal(palette, reference)


def test_a_small_retina_in_a_large_jpeg_is_decoded_finely():
    # 400 of 2400 pixels: at 1/4, chosen for the frame, 100 pixels would be enlarged.
    picture = _draw(3200, 2400, 1500, 1100, 400)
    prepared, crop = fundus.prepare(_encode(picture, "JPEG", quality=98), 256)
    full = fundus.apply(picture, crop, 256)
    assert crop.right - crop.left == pytest.approx(400, rel=0.03)
    assert np.abs(prepared.astype(int) - full).mean() < 1


# --- The crop on other pictures of the same photograph. ---


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_a_view_is_the_upright_photograph_as_pillow_reduces_it(name):
    exif = Image.Exif()
    exif[0x0112] = 6  # A quarter turn.
    data = _encode(_draw(), name, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert fundus.view(data, 1200).shape == (1200, 900, 3)
    np.testing.assert_array_equal(fundus.view(data, 5000).shape, (1200, 900, 3))
    for longest in (600, 401, 100):
        shown = fundus.view(data, longest)
        assert shown.shape == (longest, round(longest * 3 / 4), 3)
        reduced = upright.resize(shown.shape[1::-1], Image.Resampling.BOX)
        assert np.abs(shown - np.float64(reduced)).mean() < 1
    with pytest.raises(fundus.UnreadableImageError, match="is cut off"):
        fundus.view(data[: len(data) // 2], 100)


def test_apply_puts_a_lesion_mask_where_the_prepared_picture_has_it():
    picture = _draw(1200, 700, 600, 350, 850)
    lesion = np.zeros((700, 1200), np.uint8)
    cv2.circle(lesion, (450, 300), 40, 255, -1)
    picture[lesion > 0] = (20, 220, 20)
    prepared, crop = fundus.prepare(_encode(picture), 256)
    mask = fundus.apply(lesion, crop, 256, cv2.INTER_NEAREST)
    assert mask.shape == (256, 256)
    assert set(np.unique(mask)) == {0, 255}
    painted = (prepared[..., 1] > 150) & (prepared[..., 0] < 60)
    overlap = (painted & (mask > 0)).sum() / (painted | (mask > 0)).sum()
    assert overlap > 0.9


def test_apply_pads_and_cuts_as_counted_by_hand():
    image = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    crop = fundus.Crop(left=-1, top=1, right=3, bottom=5, width=4, height=3)
    expected = [[0, 5, 6, 7], [0, 9, 10, 11], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(fundus.apply(image, crop, 4), expected)
    # Area averages of two by two: (0+5+0+9)/4 = 3.5 and (6+7+10+11)/4 = 8.5.
    averages = fundus.apply(image.astype(np.float32), crop, 2)
    np.testing.assert_allclose(averages, [[3.5, 8.5], [0, 0]])
    nearest = fundus.apply(image, crop, 8, cv2.INTER_NEAREST)
    np.testing.assert_array_equal(nearest, np.kron(expected, np.ones((2, 2))))


def test_apply_undoes_a_stretch_as_counted_by_hand():
    image = np.float32([[1, 3, 5, 7, 9, 11], [2, 4, 6, 8, 10, 12]])
    crop = fundus.Crop(left=0, top=0, right=6, bottom=3, width=6, height=2)
    # (1+3)/2 of the first row; the third row lies beyond the photograph.
    expected = [[2, 6, 10], [3, 7, 11], [0, 0, 0]]
    np.testing.assert_allclose(fundus.apply(image, crop, 3), expected)


def test_apply_refuses_the_mask_of_another_photograph():
    crop = fundus.Crop(0, 0, right=80, bottom=80, width=100, height=80)
    message = r"80 rows and 100 columns\. Received: image\.shape=\(80, 90\)"
    with pytest.raises(ValueError, match=message):
        fundus.apply(np.zeros((80, 90), np.uint8), crop, 16)


def test_crop_cannot_be_changed():
    crop = fundus.Crop(0, 0, 10, 10, 10, 10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        crop.left = 3


# --- What cannot be read. ---


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Received: an empty file"),
        (b"image,grade\nIDRiD_001,2\n", "Received: text, beginning b'image,grade"),
        (_encode(_draw(), "JPEG")[:-2000], "the JPEG is cut off: its end is missing"),
        (_encode(_draw(), "PNG")[:-2000], "the PNG is cut off: its end is missing"),
        (_encode(_draw(), "WEBP")[:-2000], "the WebP is cut off: its end is missing"),
        (_encode(_draw(), "JPEG")[:100], "ends before its size is given"),
    ],
)
def test_unreadable_bytes_are_named(data, message):
    with pytest.raises(fundus.UnreadableImageError, match=message):
        fundus.prepare(data, 64)


def test_a_picture_of_400_million_pixels_is_refused_from_its_header():
    data = bytearray(_encode(_draw(), "PNG"))
    data[16:24] = (20000).to_bytes(4, "big") * 2
    message = "at most 150 megapixels. Received: 20000x20000"
    with pytest.raises(fundus.UnreadableImageError, match=message):
        fundus.prepare(bytes(data), 64)


def test_a_whole_file_with_damaged_pixels_is_unreadable():
    data = bytearray(_encode(_draw(), "PNG"))
    data[60:2000] = bytes(1940)
    with pytest.raises(fundus.UnreadableImageError, match="cannot be decoded"):
        fundus.prepare(bytes(data), 64)


# --- What shows no retina. ---


def _text_page():
    page = np.full((600, 800, 3), 255, np.uint8)
    for line in range(12):
        where = (20, 40 + 45 * line)
        cv2.putText(page, "Patient report", where, cv2.FONT_HERSHEY_SIMPLEX, 1.5, 0, 2)
    return page


def _landscape():
    scene = np.zeros((600, 800, 3), np.uint8)
    scene[:330] = np.linspace((90, 140, 230), (170, 200, 240), 330)[:, None]
    scene[330:] = (70, 120, 50)
    cv2.circle(scene, (600, 120), 60, (255, 240, 180), -1)
    return scene


def _sand():
    return np.linspace((150, 130, 100), (220, 195, 150), 400)[:, None].repeat(500, 1)


def _disc(colour, surround=(0, 0, 0)):
    picture = np.full((600, 800, 3), surround, np.uint8)
    cv2.circle(picture, (400, 300), 220, colour, -1)
    return picture


_ORANGE = (180, 90, 30)


def _rectangle():
    picture = np.zeros((600, 800, 3), np.uint8)
    cv2.rectangle(picture, (200, 120), (600, 480), _ORANGE, -1)
    return picture


def _oval(colour, surround=(0, 0, 0), axes=(270, 190), tilt=0, centre=(400, 300)):
    picture = np.full((600, 800, 3), surround, np.uint8)
    cv2.ellipse(picture, centre, axes, tilt, 0, 360, colour, -1)
    return picture


def _outlined(x, y):
    picture = np.zeros((600, 800, 3), np.uint8)
    points = np.column_stack([400 + 260 * x, 300 + 190 * y])
    cv2.fillPoly(picture, [np.int32(np.round(points))], _ORANGE)
    return picture


_TURN = np.linspace(0, 2 * np.pi, 400, endpoint=False)
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)


def _egg():
    return _outlined(_COS, _SIN * (1 + 0.1 * _COS))


def _rugby_ball():
    # Two arcs of circles that meet at its tips.
    return _outlined(_COS, np.sign(_SIN) * (np.sqrt(1.5**2 - _COS**2) - 1.25**0.5))


def _rounded_rectangle():
    return _outlined(np.cbrt(_COS), np.cbrt(_SIN))


def _portrait():
    """A face of skin colour, an oval above a neck, on black."""
    picture = np.zeros((600, 800, 3), np.uint8)
    cv2.ellipse(picture, (400, 280), (150, 200), 0, 0, 360, (215, 150, 120), -1)
    cv2.rectangle(picture, (330, 400), (470, 600), (190, 130, 100), -1)
    return picture


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((600, 800, 3), np.uint8), "uniform picture, brightness 0"),
        (np.full((600, 800, 3), 255, np.uint8), "uniform picture, brightness 255"),
        (np.full((60, 80, 3), (200, 100, 30), np.uint8), "picture, brightness 110"),
        (_text_page(), r"no colour: grey picture \(red 2\d\d, green 2\d\d, blue 2"),
        (
            np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8),
            r"no colour: grey picture \(red 12\d, green 12\d, blue 12\d\)",
        ),
        (_disc((150, 150, 150)), "no colour: grey picture"),
        (_disc((40, 60, 200)), r"blue dominates over red \(red \d+, green \d+, blue"),
        (_disc((60, 200, 40)), "green dominates over red"),
        (_disc((220, 130, 60), (5, 60, 50)), r"coloured surround \(red 5, green 6"),
        (np.uint8(_sand()), "green dominates over red"),
        (_landscape(), "blue dominates over red"),
        (_rectangle(), r"no round bright area on a dark surround: .* \d\d% of its"),
        (_resize(_rectangle(), 600, 600), "no round bright area on a dark surround"),
        (_egg(), "no round bright area on a dark surround"),
        (_rugby_ball(), "no round bright area on a dark surround"),
        (_rounded_rectangle(), "no round bright area on a dark surround"),
        (_portrait(), "no round bright area on a dark surround"),
        (_resize(_portrait(), 700, 600), "no round bright area on a dark surround"),
        (_oval(_ORANGE, tilt=20), "no round bright area on a dark surround"),
        (_oval(_ORANGE, axes=(340, 170)), "no round bright area on a dark surround"),
        (_oval(_ORANGE, axes=(500, 350), centre=(0, 0)), "no round bright area on a"),
        (_oval((150, 150, 150)), "no colour: grey picture"),
        (_oval((40, 60, 200)), "blue dominates over red"),
        (_oval((60, 200, 40)), "green dominates over red"),
        (_oval((220, 130, 60), (5, 60, 50)), "coloured surround"),
    ],
)
def test_what_was_seen_instead_of_a_retina_is_said(picture, message):
    with pytest.raises(fundus.NotAFundusPhotographError, match=message):
        fundus.prepare(_encode(picture), 64)


@pytest.mark.parametrize(
    ("channels", "message"),
    [((1, 1, 1), "grey picture"), ((0, 1, 0), "green light alone")],
)
def test_a_red_free_photograph_lacks_colour_rather_than_a_retina(channels, message):
    picture = _draw()[..., 1:2] * np.uint8(channels)
    with pytest.raises(fundus.NoColourError, match=f"no colour: {message}"):
        fundus.prepare(_encode(picture), 64)


def test_a_page_of_text_is_no_retina_without_colour():
    with pytest.raises(fundus.NotAFundusPhotographError) as found:
        fundus.prepare(_encode(_text_page()), 64)
    assert not isinstance(found.value, fundus.NoColourError)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5), (1, 900), (900, 2)])
def test_tiny_pictures_are_refused_like_any_other(shape):
    picture = np.full((*shape, 3), (30, 90, 180), np.uint8)
    picture[0, 0] = 0
    with pytest.raises(fundus.NotAFundusPhotographError):
        fundus.prepare(_encode(picture), 64)


def test_a_picture_without_a_dark_corner_is_refused_like_any_other():
    # By rounding, the mean of its corners is above its brightest pixel.
    picture = np.full((356, 9, 3), (180, 200, 30), np.uint8)
    picture[177:179] = 0
    with pytest.raises(fundus.NotAFundusPhotographError, match="green dominates"):
        fundus.prepare(_encode(picture), 64)


# --- Real photographs. ---


def test_idrid_photographs_give_the_circle_of_their_camera(photographs):
    for path in photographs[::40]:
        _, crop = fundus.prepare(path.read_bytes(), 256)
        assert (crop.width, crop.height) == (4288, 2848)
        x, y, across, down = _box(crop)
        assert across == down == pytest.approx(3412, rel=0.01), path.name
        assert y == pytest.approx(1418, abs=20), path.name
        assert x == pytest.approx(1982, abs=25), path.name


def test_a_reduced_decode_gives_the_pixels_of_the_full_one(photographs):
    for path in photographs[:200:50]:
        data = path.read_bytes()
        prepared, crop = fundus.prepare(data, 256)
        with Image.open(io.BytesIO(data)) as image:
            full = fundus.apply(np.asarray(image), crop, 256)
        assert np.abs(prepared.astype(int) - full).mean() < 0.2, path.name


@pytest.mark.parametrize("gain", [0.12, 0.5])
def test_darkened_idrid_photographs_give_the_same_crop(photographs, gain):
    for path in photographs[:500:250]:
        picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)[..., ::-1]
        _, light = fundus.prepare(_encode(np.ascontiguousarray(picture)), 256)
        _, dark = fundus.prepare(_encode(np.uint8(picture * gain)), 256)
        side = light.right - light.left
        assert _box(dark) == pytest.approx(_box(light), abs=0.005 * side), path.name


@pytest.mark.parametrize(
    ("columns", "side", "quality", "most"),
    [
        (slice(None), 640, 90, 1.2),
        (slice(None), 224, 75, 2.6),
        (slice(264, 4023), 512, 90, 1.2),  # The 1.32:1 of a camera with a 4:3 chip.
        (slice(300, 3660), 224, 90, 2.6),  # Touches both sides.
    ],
)
def test_squeezed_idrid_photographs_are_prepared_as_their_originals_are(
    photographs, columns, side, quality, most
):
    for path in photographs[::26]:
        expected, _ = fundus.prepare(path.read_bytes(), 256)
        picture = cv2.imread(str(path))[:, columns, ::-1]
        squeezed = _resize(np.ascontiguousarray(picture), side, side)
        prepared, _ = fundus.prepare(_encode(squeezed, "JPEG", quality=quality), 256)
        difference = np.abs(_thumbnail(prepared) - _thumbnail(expected))
        assert difference.mean() < most, path.name
