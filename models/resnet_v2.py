"""A small residual network with pre-activation, trained from scratch.

He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, figure 1(b), with
far fewer and narrower blocks: hundreds of photographs do not fill a ResNet-50.
"""

import gin
import keras
from keras import layers


@gin.register(denylist=["image_size", "num_outputs"])
def resnet_v2(
    *,
    image_size: int,
    num_outputs: int,
    widths: tuple[int, ...] = (16, 32, 64),
    depths: tuple[int, ...] = (1, 1, 1),
    stem_width: int = 16,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the network.

    Args:
        image_size: Side of the photographs, in pixels.
        num_outputs: How many logits.
        widths: Channels of each stage; each stage halves height and width.
        depths: Residual blocks of each stage.
        stem_width: Channels of the first convolution.
        dropout: Share of pooled features dropped in training, 0 to below 1.
        synchronized: Whether batch statistics are taken over all replicas. Only with
            TensorFlow; without it replicas drift apart.

    Returns:
        A model from float32 RGB 0-255 of shape `(batch, image_size, image_size, 3)` to
        float32 logits of shape `(batch, num_outputs)`; its layer `feature_map` gives
        the last feature map, of shape `(batch, height, width, widths[-1])`.

    Raises:
        ValueError: `widths` and `depths` do not match, or `dropout` is out of range.
    """
    if len(widths) != len(depths) or not widths or min(*widths, *depths) < 1:
        raise ValueError(
            "`resnet_v2.widths` and `resnet_v2.depths` need one positive number a "
            f"stage. Received: widths={widths}, depths={depths}."
        )
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`resnet_v2.dropout` must be from 0 to below 1. Received: {dropout}."
        )

    inputs = keras.Input((image_size, image_size, 3), name="photograph")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = _convolution(stem_width, 7, strides=2, name="stem_conv")(x)
    x = _normalize_relu(x, synchronized, name="stem")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for block in range(1, depth + 1):
            name = f"stage{stage}_block{block}"
            x = _residual_block(x, width, 2 if block == 1 else 1, synchronized, name)
    x = layers.BatchNormalization(synchronized=synchronized, name="last_norm")(x)
    x = layers.ReLU(name="feature_map")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="resnet_v2")


def _residual_block(x, width: int, strides: int, synchronized: bool, name: str):
    """Norm, ReLU, 3x3, norm, ReLU, 3x3, beside an identity or a 1x1 projection."""
    activated = _normalize_relu(x, synchronized, name=f"{name}_1")
    if strides == 1 and x.shape[-1] == width:
        shortcut = x
    else:
        shortcut = _convolution(width, 1, strides, f"{name}_shortcut")(activated)
    x = _convolution(width, 3, strides, f"{name}_conv1")(activated)
    x = _normalize_relu(x, synchronized, name=f"{name}_2")
    x = _convolution(width, 3, 1, f"{name}_conv2")(x)
    return layers.Add(name=f"{name}_add")([shortcut, x])


def _normalize_relu(x, synchronized: bool, name: str):
    x = layers.BatchNormalization(synchronized=synchronized, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolution(width: int, kernel: int, strides: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(
        width,
        kernel,
        strides,
        padding="same",
        use_bias=False,  # The normalization behind it has one.
        kernel_initializer="he_normal",
        name=name,
    )
