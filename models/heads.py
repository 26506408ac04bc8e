"""The head: what stands between the last feature map and the logits.

Behind `feature_map` come global average pooling and one or two small dense layers, and
nothing else. So the gradient of a logit with respect to the feature map is the same at
every position, and has a closed form in the head's weights. With the pooled features
`f`, `hidden` = `relu(f @ W1 + b1)` and `logits` = `hidden @ W2 + b2`, of logit `c`:

    d logits[c] / d feature_map[i, j] = W1 @ ((hidden > 0) * W2[:, c]) / area

with `area` = height * width, and without a hidden layer `W2[:, c] / area`.
Grad-CAM's weights (Selvaraju et al., ICCV 2017, equation 1) follow from one forward
pass, in an exported model too.
"""

import keras
from keras import layers

FEATURE_MAP = "feature_map"
BEHIND_POOLING = ("hidden", "dropout", "logits")
"""Names of the layers of a head that begin with random weights, or have none."""

NAMES = (FEATURE_MAP, "pool", *BEHIND_POOLING)
"""Names of the layers of a head, and of the feature map that it reads."""


def classify(
    x: keras.KerasTensor,
    num_outputs: int,
    *,
    hidden_units: int | None = None,
    dropout: float = 0.0,
) -> keras.KerasTensor:
    """Adds a head.

    Args:
        x: Feature map of shape `(batch, height, width, channels)`.
        num_outputs: How many logits.
        hidden_units: Width of a ReLU layer before the logits; None for none.
        dropout: Share of the features before the logits that is dropped in training,
            0 to below 1.

    Returns:
        float32 logits of shape `(batch, num_outputs)`. The layers are called
        `feature_map`, `pool`, `hidden`, `dropout` and `logits`.

    Raises:
        ValueError: A setting is out of range.
    """
    if hidden_units is not None and hidden_units < 1:
        raise ValueError(
            f"`hidden_units` must be None or at least 1. Received: {hidden_units}."
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be from 0 to below 1. Received: {dropout}.")
    x = layers.Identity(name=FEATURE_MAP)(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if hidden_units is not None:
        x = layers.Dense(hidden_units, activation="relu", name="hidden")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(num_outputs, dtype="float32", name="logits")(x)
