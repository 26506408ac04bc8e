"""A model's layers, looked into while it runs.

Nothing is rebuilt: a hook sees what a layer gives while the model is called, so that
nested models, models from disk and models of one's own classes are all alike.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

FEATURE_MAP = "feature_map"
"""The layer that a project's model names: the last with a height and a width."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        layer: Which layer.
        given: Its first argument, or None.
        result: What it returned.
    """

    layer: keras.Layer
    given: Any
    result: Any


def leaves(model: keras.Model) -> list[keras.Layer]:
    """The layers that hold no others, those of nested models too; each once."""
    found: dict[int, keras.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= {id(one): one for one in leaves(layer)}
        elif not isinstance(layer, keras.layers.InputLayer):
            found[id(layer)] = layer
    return list(found.values())


def functions(model: keras.Model) -> list[str]:
    """What functional models apply that is no layer, such as `keras.ops.relu`; names.

    No hook sees it.
    """
    found = []
    for one in getattr(model, "operations", model.layers):
        if isinstance(one, keras.Model):
            found += functions(one)
        elif not isinstance(one, keras.Layer):
            found.append(type(one).__name__.lower())
    return found


def find(model: keras.Model, name: str) -> keras.Layer:
    """The layer of a name, however deeply nested.

    Args:
        model: Where to look.
        name: The layer's name.

    Returns:
        The layer.

    Raises:
        ValueError: There is none, or there are several, or its output is no feature
            map.
    """
    known = leaves(model)
    named = [layer for layer in known if layer.name == name]
    if len(named) != 1:
        names = ", ".join(dict.fromkeys(layer.name for layer in known))
        raise ValueError(
            f"The model {model.name!r} must have one layer {name!r}. Received: "
            f"{len(named)} of them. Its layers are: {names}. Name the last one with a "
            f"height and a width {FEATURE_MAP!r} when the model is built, or name "
            "another layer where the method takes one."
        )
    return named[0]


@contextlib.contextmanager
def hooked(
    layers: Sequence[keras.Layer], hook: Callable[[keras.Layer, Any, Any], Any]
) -> Iterator[None]:
    """Has every call of some layers seen, and its result replaced.

    Args:
        layers: Which layers.
        hook: `(layer, first argument, result) -> result`.

    Yields:
        Nothing; calls are seen for the length of a `with` block.
    """
    with contextlib.ExitStack() as undo:
        for layer in layers:
            _hook(layer, hook)
            undo.callback(object.__delattr__, layer, "call")
        yield


def record(model: keras.Model) -> tuple[list[Call], Any]:
    """Calls a model once, on a black photograph, and notes all calls of its layers.

    Args:
        model: From photographs to logits.

    Returns:
        The calls in their order, and the logits.
    """
    calls = []

    def note(layer: keras.Layer, given: Any, result: Any) -> Any:
        calls.append(Call(layer, given, result))
        return result

    height, width = image_shape(model)
    with hooked(leaves(model), note):
        logits = model(np.zeros((1, height, width, 3), np.float32), training=False)
    return calls, logits


def image_shape(model: keras.Model) -> tuple[int, int]:
    """Height and width of the photographs that a model takes.

    Raises:
        ValueError: It does not take photographs of one size.
    """
    shape = getattr(model, "input_shape", None)
    fixed = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:]
    if not fixed or shape[3] != 3:
        raise ValueError(
            f"The model {model.name!r} must take one batch of photographs of a fixed "
            f"size, `(batch, height, width, 3)`. Received: input_shape={shape}."
        )
    return shape[1], shape[2]


def _hook(layer: keras.Layer, hook: Callable[[keras.Layer, Any, Any], Any]) -> None:
    call = layer.call

    def hooked_call(*args, **kwargs):
        return hook(layer, args[0] if args else None, call(*args, **kwargs))

    # Keras tracks what is set the usual way; this must leave no trace.
    object.__setattr__(layer, "call", hooked_call)
