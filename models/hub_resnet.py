"""ResNet-18 and 34 from KerasHub, which keras.applications lacks.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1. ImageNet
weights are torchvision's first, which timm distributes and KerasHub converts.
"""

import json
import pathlib
from typing import Literal

import gin
import keras
from keras import layers

_MEAN = (123.675, 116.28, 103.53)
_DEVIATION = (58.395, 57.12, 57.375)
"""Of ImageNet's photographs, RGB 0-255: what the weights were trained with."""


@gin.register(denylist=["input_shape", "weights"])
def resnet18(
    *, input_shape: tuple[int, int, int], weights: Literal["imagenet"] | None
) -> keras.Model:
    """Builds ResNet-18, a backbone for `pretrained`.

    Args:
        input_shape: Height, width and 3.
        weights: "imagenet" downloads them; None leaves them random.

    Returns:
        A model from float32 RGB 0-255 of shape `(batch, *input_shape)` to the last
        feature map, float32 of shape `(batch, height / 32, width / 32, 512)`.

    Raises:
        ValueError: KerasHub is not installed.
        Exception: The weights could not be downloaded; `pretrained` says what to do.
    """
    return _build("resnet18", (2, 2, 2, 2), input_shape, weights)


@gin.register(denylist=["input_shape", "weights"])
def resnet34(
    *, input_shape: tuple[int, int, int], weights: Literal["imagenet"] | None
) -> keras.Model:
    """Builds ResNet-34; all else as for `resnet18`."""
    return _build("resnet34", (3, 4, 6, 3), input_shape, weights)


def _build(name: str, blocks: tuple[int, ...], input_shape, weights) -> keras.Model:
    try:
        import keras_hub  # An extra, and slow to import.
    except ImportError as error:
        raise ValueError(
            f"{name} needs KerasHub: pip install keras-hub safetensors (the extra "
            f"`hub`). {error}"
        ) from error
    if weights is None:
        backbone = keras_hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128, 256, 512],
            stackwise_num_blocks=list(blocks),
            stackwise_num_strides=[1, 2, 2, 2],
            block_type="basic_block",
            image_shape=input_shape,
        )
    else:
        backbone = keras_hub.models.ResNetBackbone.from_preset(
            str(_download(name)), image_shape=input_shape
        )
    inputs = keras.Input(input_shape, name="photograph")
    scale = [1 / one for one in _DEVIATION]
    offset = [-m * s for m, s in zip(_MEAN, scale, strict=True)]
    x = layers.Rescaling(scale, offset, name="scaling")(inputs)
    return keras.Model(inputs, backbone(x), name=name)


def _download(name: str) -> pathlib.Path:
    """A folder as KerasHub converts it: timm's weights, and what they are of."""
    # KerasHub's own download tries for half a minute where there is no network.
    weights = keras.utils.get_file(
        "model.safetensors",
        f"https://huggingface.co/timm/{name}.tv_in1k/resolve/main/model.safetensors",
        cache_subdir=f"models/{name}.tv_in1k",
    )
    folder = pathlib.Path(weights).parent
    (folder / "config.json").write_text(json.dumps({"architecture": name}))
    return folder
