"""Opens models within a model, so that every layer can be reached by a name."""

import collections
import re
from collections.abc import Iterator

import keras
import numpy as np


def flatten(model: keras.Model, *, synchronized: bool = False) -> keras.Model:
    """Builds a functional model again, with models inside it replaced by their layers.

    Args:
        model: Functional; models inside it are functional or sequential.
        synchronized: Whether batch statistics are taken over all replicas.

    Returns:
        A model of the same function, with the same weights; its layers are named as by
        `stable_names`. A `Normalization` is a rescaling in it: an export to ONNX loses
        its numbers, and new weights do not reach those that it uses.
    """
    while any(isinstance(one, keras.Model) for one in model.operations):
        model = keras.models.clone_model(
            model, clone_function=lambda one: one, call_function=_open
        )
    # The layers were now called more than once, and such a layer's `output` is that of
    # its first call. Copies are called once.
    names = stable_names(model)
    copies = []

    def copy(operation: keras.Operation) -> keras.Operation:
        name = names[id(operation)]
        if isinstance(operation, keras.layers.Normalization):
            return _rescaling(operation, name)
        config = operation.get_config() | {"name": name}
        if synchronized and isinstance(operation, keras.layers.BatchNormalization):
            config["synchronized"] = True
        twin = type(operation).from_config(config)
        copies.append((operation, twin))
        return twin

    flat = keras.models.clone_model(model, clone_function=copy)
    for original, twin in copies:
        if isinstance(original, keras.Layer) and original.weights:
            twin.set_weights(original.get_weights())
    return flat


def _rescaling(
    normalization: keras.layers.Normalization, name: str
) -> keras.layers.Rescaling:
    """Does what a `Normalization` does, whether its numbers were given or adapted."""
    mean, variance = (
        # Without the batch's axis, whose length is 1.
        keras.ops.convert_to_numpy(one)[0].astype(np.float64)
        for one in (normalization.mean, normalization.variance)
    )
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    scale, offset = 1 / deviation, -mean / deviation
    if normalization.invert:
        scale, offset = deviation, mean
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name=name)


def _open(operation: keras.Operation, *args, **kwargs):
    """Calls a layer; of a model it calls the layers, one by one."""
    if isinstance(operation, keras.Model):
        return operation.call(*args, **kwargs)
    return operation(*args, **kwargs)


def leaves(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a model, and of models within it, that hold no others."""
    for one in model.layers:
        if isinstance(one, keras.Model):
            yield from leaves(one)
        else:
            yield one


def stable_names(model: keras.Model) -> dict[int, str]:
    """Names that depend on the model alone.

    A layer without a name of its own is numbered by Keras over all models that a
    process ever built: `re_lu_57`. Here it is numbered within the model: `re_lu_3`.

    Args:
        model: Functional, perhaps with models inside it.

    Returns:
        id() of each operation, those of inner models included -> name.
    """
    names: dict[int, str] = {}
    counts: collections.Counter[str] = collections.Counter()

    def visit(operation: keras.Operation) -> None:
        if isinstance(operation, keras.Model):
            inner = getattr(operation, "operations", operation.layers)
            for one in inner:
                visit(one)
        elif id(operation) not in names:
            kind = re.sub(r"_\d+$", "", operation.name)
            # Keras names a ReLU re_lu.
            if kind.replace("_", "") != type(operation).__name__.lower():
                names[id(operation)] = operation.name
                return
            number = counts[kind]
            counts[kind] += 1
            names[id(operation)] = f"{kind}_{number}" if number else kind

    visit(model)
    return names
