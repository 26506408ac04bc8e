"""Freezing: which layers a training leaves as they are."""

import difflib

import keras


def freeze(model: keras.Model, up_to: str | None) -> None:
    """Freezes a layer and all that it is computed from; all others are trained.

    Frozen batch normalization runs in inference mode: it uses its moving statistics
    and does not move them. What is frozen is saved with the model. An optimizer is
    built after this, on `model.trainable_variables`.

    Args:
        model: A flat model.
        up_to: Name of the last frozen layer: "feature_map" freezes all but the head.
            None freezes nothing, and thaws what was frozen.

    Raises:
        ValueError: There is no such layer.
    """
    names = [layer.name for layer in model.layers]
    if up_to is not None and up_to not in names:
        close = difflib.get_close_matches(up_to, names, cutoff=0.0)
        raise ValueError(
            "`pretrained.freeze_up_to` must name a layer of the model; 'feature_map' "
            f"freezes all but the head. Received: {up_to!r}. Perhaps one of {close}."
        )
    for layer in model.layers:
        layer.trainable = True
    if up_to is not None:
        for layer in keras.Model(model.inputs, model.get_layer(up_to).output).layers:
            layer.trainable = False


def freeze_normalization(model: keras.Model) -> None:
    """Freezes all batch normalization, and leaves the other layers as they are.

    Args:
        model: A flat model.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
