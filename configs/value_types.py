"""Does a gin value fit the type of the parameter that it is bound to?"""

import collections.abc
import dataclasses
import inspect
import re
import types
import typing
from typing import Any

from configs import configurables, statements


def mismatch(value: Any, parameter: inspect.Parameter, hint: Any) -> str:
    """Says what a parameter expects, if that is not what it gets.

    Args:
        value: Literals and `Reference`s; macros are replaced by what they stand for.
        parameter: The parameter, whose default speaks for it if it has no type.
        hint: Its type, or None.

    Returns:
        What is expected, in words, or "" if the value fits.
    """
    if hint is None:
        return _differs_from_default(value, parameter.default)
    if fits(value, hint):
        return ""
    for called, why in ((True, "called, with ()"), (False, "uncalled, without ()")):
        other = _with_references(value, called)
        if other != value and fits(other, hint):
            return f"{other!r}, {why}"
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(repr, typing.get_args(hint)))}"
    # Which module a class is defined in is no help to a reader.
    name = re.sub(r"\b(\w+\.)+(?=\w)", "", inspect.formatannotation(hint))
    if fits((value,), hint):
        return f"of type {name}, as in {(value,)!r}, with a comma"
    return f"of type {name}"


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type.

    Args:
        value: Literals and `Reference`s, however nested.
        hint: A type as annotations have it. What this function does not understand is
            left to the constructor that receives the value.

    Returns:
        False for what is certainly wrong.
    """
    if hint is Any or isinstance(hint, typing.TypeVar):
        return True
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is typing.Annotated:
        return fits(value, arguments[0])
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in arguments)
    if isinstance(value, statements.Reference):
        return _reference_fits(value, origin, arguments)
    if not inspect.isclass(origin) or _defies_isinstance(origin):
        return True
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) and arguments:  # Never meant as a sequence of letters.
        return False
    return isinstance(value, origin) and _elements_fit(value, origin, arguments)


def _defies_isinstance(cls: type) -> bool:
    return getattr(cls, "_is_protocol", False) or typing.is_typeddict(cls)


def _elements_fit(value: Any, origin: type, arguments: tuple) -> bool:
    if isinstance(value, dict) and len(arguments) == 2:
        keys, values = arguments
        return all(fits(k, keys) and fits(v, values) for k, v in value.items())
    if origin is tuple and arguments and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    if isinstance(value, list | tuple) and arguments:
        return all(fits(one, arguments[0]) for one in value)
    return True


def _reference_fits(value: statements.Reference, origin: Any, arguments: tuple) -> bool:
    """Whether a function, or what it makes if it is called, is of a type."""
    made = configurables.find(value.name, "").returns
    if origin is not collections.abc.Callable:
        return _is_a(made, origin) if value.called else origin in (object, type)
    wanted = arguments[-1] if arguments else Any
    if not value.called:
        return _is_a(made, wanted)
    # A function that makes a function says so. Of objects that can be called, as a
    # Keras model can, those are meant that are not themselves what is to be made.
    if typing.get_origin(made) is collections.abc.Callable:
        return True
    if not inspect.isclass(made) or made is Any or not _has_call(made):
        return False
    returned = configurables.type_hints(made.__call__).get("return", Any)
    return _is_a(returned, wanted) and not _is_a(made, wanted)


def _has_call(cls: type) -> bool:
    return any("__call__" in vars(one) for one in cls.__mro__)


def _is_a(made: Any, hint: Any) -> bool:
    """Whether what is annotated as `made` can be a `hint`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_is_a(made, one) for one in typing.get_args(hint))
    made, hint = typing.get_origin(made) or made, typing.get_origin(hint) or hint
    if Any in (made, hint) or not (inspect.isclass(made) and inspect.isclass(hint)):
        return True
    return issubclass(made, hint) or (made is int and hint is float)


def _differs_from_default(value: Any, default: Any) -> str:
    """`mismatch` where there is no type: a number's place is taken by a number."""
    kinds = {bool: "True or False", int: "a number", float: "a number", str: "a text"}
    hints = {bool: bool, int: float, float: float, str: str | None}
    kind = type(default)
    if kind not in kinds:
        return ""
    if isinstance(value, statements.Reference):
        # Such as a schedule in place of a learning rate.
        return "" if value.called else f"{_with_references(value, True)!r}, called"
    if fits(value, hints[kind]):
        return ""
    return f"{kinds[kind]}, like its default {default!r}"


def _with_references(value: Any, called: bool) -> Any:
    """The same value with all its references called, or with none."""

    def change(leaf: Any) -> Any:
        if isinstance(leaf, statements.Reference):
            return dataclasses.replace(leaf, called=called)
        return leaf

    return statements.replace(value, change)
