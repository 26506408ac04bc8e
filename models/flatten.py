"""Opens models within a model, so that every layer can be reached by a name."""

import collections
import re
from collections.abc import Sequence

import keras


def flatten(model: keras.Model, *, synchronized: bool = False) -> keras.Model:
    """Builds a functional model again, with models inside it replaced by their layers.

    Args:
        model: Functional; models inside it are functional or sequential.
        synchronized: Whether batch statistics are taken over all replicas.

    Returns:
        A model of the same function, with the same weights and the same names of
        layers, save those that Keras numbered by itself: `stable_names` says which.
    """
    names = stable_names(model)
    copies: list[tuple[keras.Operation, keras.Operation]] = []

    def copy(operation: keras.Operation) -> keras.Operation:
        if isinstance(operation, keras.Model):
            return operation  # Opened when it is called.
        config = operation.get_config() | {"name": names[id(operation)]}
        if synchronized and isinstance(operation, keras.layers.BatchNormalization):
            config["synchronized"] = True
        copies.append((operation, type(operation).from_config(config)))
        return copies[-1][1]

    def call(operation: keras.Operation, *args, **kwargs):
        if isinstance(operation, keras.Sequential):
            (x,) = args
            for layer in operation.layers:
                x = call(copy(layer), x)
            return x
        if isinstance(operation, keras.Model):
            return clone(operation, *args).output
        return operation(*args, **kwargs)

    def clone(nested: keras.Model, inputs=None) -> keras.Model:
        return keras.models.clone_model(
            nested, input_tensors=inputs, clone_function=copy, call_function=call
        )

    flat = clone(model)
    for original, twin in copies:
        if isinstance(original, keras.Layer) and original.weights:
            twin.set_weights(original.get_weights())
    return flat


def stable_names(model: keras.Model) -> dict[int, str]:
    """Names that depend on the model alone.

    A layer without a name of its own is numbered by Keras over all models that a
    process ever built: `re_lu_57`. Here it is numbered within the model: `re_lu_3`.

    Args:
        model: Functional, perhaps with models inside it.

    Returns:
        id() of each operation, those of inner models included -> name, unique.
    """
    names: dict[int, str] = {}
    counts: collections.Counter[str] = collections.Counter()

    def visit(operations: Sequence[keras.Operation]) -> None:
        for one in operations:
            if isinstance(one, keras.Sequential):
                visit(one.layers)
            elif isinstance(one, keras.Model):
                visit(one.operations)
            elif id(one) not in names:
                kind = re.sub(r"_\d+$", "", one.name)
                # Keras makes the name of ReLU re_lu.
                own = kind.replace("_", "") != type(one).__name__.lower()
                number = 0 if own else counts[kind]
                names[id(one)] = one.name if own else kind
                if number:
                    names[id(one)] = f"{kind}_{number}"
                counts[kind] += 1

    visit([model])
    return names
