"""Several networks as one: their logits averaged, their feature maps side by side."""

import re
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from models import flatten, heads


def average(members: Sequence[keras.Model]) -> keras.Model:
    """Builds the network that answers with the mean of several networks' logits.

    Where all members have the head of `heads.classify`, so has their average: its dense
    layers hold theirs side by side. What is read off such a head in closed form, such
    as Grad-CAM, is then read off the average too.

    Args:
        members: Networks of one input and output shape that follow the contract of
            models: functional, with a layer `feature_map`.

    Returns:
        A network of the same shapes. The channels of its `feature_map` are those of the
        members, one member after the other.

    Raises:
        ValueError: There are no members, or their shapes differ.
    """
    shapes = {
        (one.input_shape, one.output_shape, _feature_map(one).shape) for one in members
    }
    if len(shapes) != 1:
        raise ValueError(
            "Networks that are averaged must have one shape of input, of output and of "
            f"feature map. Received: {sorted(map(str, shapes)) or 'no network'}."
        )
    photograph = keras.Input(members[0].input_shape[1:], name="photograph")
    own = [_renamed(one, number) for number, one in enumerate(members)]
    maps = [
        keras.Model(one.input, _feature_map(one, number))(photograph)
        for number, one in enumerate(own)
    ]
    side_by_side = layers.Concatenate(name="members")(maps)
    feature_map = layers.Identity(name=heads.FEATURE_MAP)(side_by_side)
    if all(_has_own_head(one) for one in members):
        logits, weights = _joint_head(feature_map, members)
    else:
        logits, weights = _separate_heads(feature_map, own), {}
    name = f"ensemble_of_{len(members)}"
    model = flatten.flatten(keras.Model(photograph, logits, name=name))
    for layer, values in weights.items():
        model.get_layer(layer).set_weights(values)
    return model


def member_of(layer: str) -> tuple[str, str]:
    """Which member of an average a layer comes from, and its name in that member.

    Args:
        layer: Name of a layer of any network.

    Returns:
        A prefix, empty where it is a member's of no average, and the rest of the name.
    """
    prefix = re.match(r"(member_\d+_)?", layer)[0]
    return prefix, layer.removeprefix(prefix)


def count(model: keras.Model) -> int:
    """Of how many networks it is the average; 1 where it is none."""
    return max(1, len({member_of(one.name)[0] for one in model.layers} - {""}))


def _feature_map(model: keras.Model, member: int | None = None) -> keras.KerasTensor:
    return model.get_layer(_named(heads.FEATURE_MAP, member)).output


def _named(name: str, member: int | None) -> str:
    return name if member is None else f"member_{member}_{name}"


def _renamed(model: keras.Model, member: int) -> keras.Model:
    """A copy whose layers have names that no other member's layers have."""

    def copy(operation: keras.Operation) -> keras.Operation:
        config = operation.get_config() | {"name": _named(operation.name, member)}
        return type(operation).from_config(config)

    twin = keras.models.clone_model(model, clone_function=copy)
    twin.set_weights(model.get_weights())
    return twin


def _has_own_head(model: keras.Model) -> bool:
    """Whether nothing but the head of `heads.classify` is behind the feature map."""
    names = [one.name for one in model.layers]
    return set(names[names.index(heads.FEATURE_MAP) :]) <= set(heads.NAMES)


def _joint_head(
    feature_map: keras.KerasTensor, members: Sequence[keras.Model]
) -> tuple[keras.KerasTensor, dict[str, list[np.ndarray]]]:
    """The members' heads as one head; and its weights, layer by layer."""
    kernels, biases = zip(
        *(one.get_layer("logits").get_weights() for one in members), strict=True
    )
    weights = {"logits": [np.concatenate(kernels) / len(members), np.mean(biases, 0)]}
    hidden_units = None
    if any(one.name == "hidden" for one in members[0].layers):
        kernels, biases = zip(
            *(one.get_layer("hidden").get_weights() for one in members), strict=True
        )
        weights["hidden"] = [_block_diagonal(kernels), np.concatenate(biases)]
        hidden_units = weights["hidden"][1].size
    x = layers.GlobalAveragePooling2D(name="pool")(feature_map)
    if hidden_units:
        x = layers.Dense(hidden_units, activation="relu", name="hidden")(x)
    num_outputs = members[0].output_shape[-1]
    return layers.Dense(num_outputs, dtype="float32", name="logits")(x), weights


def _block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    rows, columns = zip(*(one.shape for one in blocks), strict=True)
    matrix = np.zeros((sum(rows), sum(columns)), blocks[0].dtype)
    for number, block in enumerate(blocks):
        row, column = sum(rows[:number]), sum(columns[:number])
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
    return matrix


def _separate_heads(
    feature_map: keras.KerasTensor, members: Sequence[keras.Model]
) -> keras.KerasTensor:
    """Whatever is behind the members' feature maps, each on its own channels."""
    shares = ops.split(feature_map, len(members), axis=-1)
    logits = [
        keras.Model(_feature_map(one, number), one.output)(share)
        for number, (one, share) in enumerate(zip(members, shares, strict=True))
    ]
    return layers.Average(name="logits")(logits) if len(logits) > 1 else logits[0]
