import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from input_pipeline import fundus, lesion_masks
from input_pipeline.datasets import idrid_masks

CROP = fundus.Crop(left=-10, top=0, right=90, bottom=100, width=80, height=100)
LESION = np.zeros((100, 80), bool)
LESION[30:50, 40:60] = True


def write(path, mode):
    if mode == "P":
        file = Image.fromarray(LESION.astype(np.uint8), "L")
        file = Image.frombytes("P", (80, 100), file.tobytes())
        file.putpalette([0, 0, 0, 255, 0, 0])
    elif mode == "1":
        file = Image.fromarray(LESION)
    elif mode == "L":
        file = Image.fromarray(LESION * np.uint8(255))
    elif mode == "RGBA":
        pixels = np.zeros((100, 80, 4), np.uint8)
        pixels[LESION] = 255, 0, 0, 255
        pixels[~LESION] = 255, 0, 0, 0  # Red too, but not seen.
        file = Image.fromarray(pixels)
    else:
        pixels = np.zeros((100, 80, 3), np.uint8)
        pixels[LESION, 1] = 200
        file = Image.fromarray(pixels)
    file.save(path)
    with Image.open(path) as written:
        assert written.mode == mode
    return path


@pytest.mark.parametrize("mode", ["P", "1", "L", "RGB", "RGBA"])
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_every_kind_of_file_gives_the_same_mask(tmp_path, mode):
    path = write(tmp_path / ("mask.png" if mode != "P" else "mask.tif"), mode)
    shares = lesion_masks.read(path, CROP, 50)
    expected = np.zeros((50, 50), np.float32)
    expected[15:25, 25:35] = 1  # Ten columns of black stand on the left.
    np.testing.assert_array_equal(shares, expected)
    assert shares.dtype == np.float32


def test_a_pixel_is_covered_by_its_share(tmp_path):
    path = write(tmp_path / "mask.png", "L")
    shares = lesion_masks.read(path, CROP, 25)
    assert shares[7, 12:18].tolist() == pytest.approx(
        [0.25, 0.5, 0.5, 0.5, 0.5, 0.25], abs=0.01
    )


@pytest.mark.parametrize(("left", "top"), [(0, 20), (3, 0)])
def test_it_goes_the_way_of_its_photograph(tmp_path, left, top):
    """What is bright in a photograph lies where its mask lies."""
    crop = fundus.Crop(left, top, left + 60, top + 60, width=80, height=100)
    path = write(tmp_path / "mask.png", "L")
    picture = fundus.apply(LESION * np.uint8(255), crop, 30)
    np.testing.assert_array_equal(lesion_masks.read(path, crop, 30) * 255, picture)


def test_a_mask_of_another_size_is_refused(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.zeros((50, 40), np.uint8)).save(path)
    message = r"photograph's size, 80 x 100 pixels\. Received: 40 x 50\. Take the mask"
    with pytest.raises(ValueError, match=message):
        lesion_masks.read(path, CROP, 50)


def test_a_mask_with_shades_is_refused(tmp_path):
    path = tmp_path / "mask.jpg"
    Image.fromarray(LESION * np.uint8(255)).save(path, quality=30)
    with pytest.raises(
        ValueError, match=r"must have two values, lesion and background"
    ):
        lesion_masks.read(path, CROP, 50)


def test_what_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "mask.tif"
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"mask\.tif cannot be read: "):
        lesion_masks.read(path, CROP, 50)


def test_a_picture_that_is_cut_off_is_refused_and_named(tmp_path):
    path = write(tmp_path / "mask.png", "L")
    noise = np.random.default_rng(0).integers(0, 2, (100, 80), np.uint8) * 255
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"mask\.png cannot be read: .* Copy it again"):
        lesion_masks.read(path, CROP, 50)


def test_a_transparent_colour_of_a_palette_is_background(tmp_path):
    file = Image.fromarray(LESION.astype(np.uint8))
    file = Image.frombytes("P", (80, 100), file.tobytes())
    file.putpalette([255, 255, 255, 255, 0, 0])
    file.save(tmp_path / "mask.png", transparency=0)
    file.close()
    expected = lesion_masks.read(write(tmp_path / "grey.png", "L"), CROP, 50)
    found = lesion_masks.read(tmp_path / "mask.png", CROP, 50)
    np.testing.assert_array_equal(found, expected)


def test_a_lesion_smaller_than_a_pixel_keeps_one():
    shares = np.zeros((6, 6), np.float32)
    shares[1, 1:3] = 0.3, 0.2
    shares[4, 3:6] = 0.4, 0.9, 0.5
    found = lesion_masks.binary(shares)
    assert np.argwhere(found).tolist() == [[1, 1], [4, 4], [4, 5]]


def test_of_equally_covered_pixels_a_small_lesion_keeps_the_first():
    shares = np.zeros((4, 4), np.float32)
    shares[1, 1:3] = shares[2, 1] = 0.25
    assert np.argwhere(lesion_masks.binary(shares)).tolist() == [[1, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_every_lesion_keeps_its_most_covered_pixel(seed):
    rng = np.random.default_rng(seed)
    shares = (rng.random((40, 40)) * (rng.random((40, 40)) < 0.1)).astype(np.float32)
    parts, count = ndimage.label(shares > 0, np.ones((3, 3)))
    expected = shares >= 0.5
    for number in range(1, count + 1):
        inside = np.where(parts == number, shares, -1)
        expected[np.unravel_index(inside.argmax(), inside.shape)] = True
    np.testing.assert_array_equal(lesion_masks.binary(shares), expected)


def test_drawn_masks_are_read_with_their_photographs(idrid_like):
    found = idrid_masks.idrid_masks().read(idrid_like)
    assert len(found) == 26  # The diseased of the training drawings.
    assert all(one.path.exists() for one in found)
    assert set().union(*(one.masks for one in found)) == set(idrid_masks.FOLDERS)


def test_a_folder_without_part_a_has_no_masks(tmp_path):
    assert idrid_masks.idrid_masks().read(tmp_path) == []


def test_part_a_without_masks_is_an_error_that_shows_the_layout(tmp_path):
    photographs = tmp_path / "A. Segmentation/1. Original Images/a. Training Set"
    photographs.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"lacks the folder .*2\. All Segmenta"):
        idrid_masks.idrid_masks().read(tmp_path)


def test_a_real_mask_is_read_as_its_palette_says(real_idrid):
    found = idrid_masks.idrid_masks().read(real_idrid)
    counts = {
        lesion: sum(lesion in one.masks for one in found)
        for lesion in idrid_masks.FOLDERS
    }
    assert list(counts.values()) == [54, 53, 54, 26, 54]
    image, crop = fundus.prepare(found[0].path.read_bytes(), 256)
    shares = lesion_masks.read(found[0].masks["optic_disc"], crop, 256)
    assert 0.01 < shares.mean() < 0.04
    inside = image[shares > 0.99].astype(float).mean()
    around = cv2.dilate(shares, np.ones((25, 25))) - shares > 0.99
    assert (
        inside > 1.2 * image[around].mean()
    )  # A disc is brighter than what surrounds it.
