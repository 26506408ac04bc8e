import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from input_pipeline import fundus, ingest


@pytest.fixture
def path(few):
    return few / "a.jpg"


def test_a_photograph_is_prepared_encoded_and_summed(path):
    content = path.read_bytes()
    found = ingest.ingest(path, 64, None)
    image, crop = fundus.prepare(content, 64)
    assert found.crop == crop
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    np.testing.assert_array_equal(Image.open(io.BytesIO(found.encoded)), image)


def test_without_a_quality_encoding_loses_nothing():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    decoded = Image.open(io.BytesIO(ingest.encode(image, None)))
    assert (decoded.format, decoded.mode) == ("PNG", "RGB")
    np.testing.assert_array_equal(decoded, image)


def test_a_higher_jpeg_quality_loses_less(path):
    image, _ = fundus.prepare(path.read_bytes(), 64)
    losses = []
    for quality in (30, 95):
        decoded = Image.open(io.BytesIO(ingest.encode(image, quality)))
        assert decoded.format == "JPEG"
        losses.append(np.abs(np.asarray(decoded, int) - image).mean())
    assert losses[1] < losses[0] < 20


def test_a_missing_file_is_unreadable_and_has_no_checksum(tmp_path):
    found = ingest.ingest(tmp_path / "none.jpg", 64, None)
    assert found == ingest.Unreadable(
        "the file cannot be read: No such file or directory.", "file", None
    )


def test_a_file_that_is_no_image_is_unreadable_and_has_a_checksum(path):
    path.write_text("no image")
    found = ingest.ingest(path, 64, None)
    assert isinstance(found, ingest.Unreadable)
    assert "text" in found.reason
    assert found.sha256 == hashlib.sha256(b"no image").hexdigest()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory to decode it."),
        (ZeroDivisionError("by zero"), "reading it failed, ZeroDivisionError: by zero"),
    ],
)
def test_whatever_one_photograph_does_to_the_decoder_is_its_reason(
    path, monkeypatch, error, reason
):
    def fail(data, size):
        raise error

    monkeypatch.setattr(fundus, "prepare", fail)
    assert ingest.ingest(path, 64, None).reason == reason
