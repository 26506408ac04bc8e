"""Parses gin strictly: what gin itself passes over in silence is an error here.

Gin ignores a macro that nothing uses, a scope that nothing enters and a value of the
wrong type. Each would be an experiment that is not the one that was asked for.
"""

import collections
import difflib
import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import gin
import typeguard

from configs import syntax
from configs.syntax import ConfigError

# gin has no public way to ask what is registered.
_REGISTRY = gin.config._REGISTRY


def load(
    gin_files: Sequence[str],
    gin_bindings: Sequence[str],
    entry_points: Sequence[str],
) -> list[syntax.Binding | syntax.Import]:
    """Parses gin files and bindings into gin's configuration, and locks it.

    Args:
        gin_files: Paths of gin files.
        gin_bindings: Lines of gin, which override the files.
        entry_points: The configurables that the mode calls; all that they need must
            be bound.

    Returns:
        The statements, in the order in which they apply.

    Raises:
        ConfigError: Something is misspelt, missing, unused or of the wrong type. Says
            where, and what was perhaps meant.
    """
    statements = syntax.parse(gin_files, gin_bindings)
    for one in statements:
        if isinstance(one, syntax.Import):
            _import(one)
    bindings = {one.key: one for one in statements if isinstance(one, syntax.Binding)}
    check(list(bindings.values()), entry_points)
    # gin is given what was read, so that includes and errors have one reader.
    text = "\n".join(f"{key} = {one.value!r}" for key, one in bindings.items())
    try:
        gin.parse_config(text)
        gin.finalize()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return statements


def check(bindings: Sequence[syntax.Binding], entry_points: Sequence[str]) -> None:
    """Raises ConfigError for the first mistake in a set of bindings."""
    macros = {one.name for one in bindings if not one.parameter}
    for one in bindings:
        if one.parameter:
            _check_parameter(one)
        for used in syntax.references(one.value):
            if isinstance(used, syntax.Macro):
                _known(f"macro %{used.name}", used.name, macros, one.where)
            else:
                _registered(used.name, one.where)
    _check_use(bindings, macros)
    _check_required(bindings, entry_points)


def _import(statement: syntax.Import) -> None:
    try:
        importlib.import_module(statement.module)
    except ImportError as error:
        raise ConfigError(
            f"{statement.where}: cannot import {statement.module}: {error}. The module "
            "must lie in the current folder or be installed."
        ) from error


def _registered(name: str, where: str):
    """What is registered under a name, in full or in part."""
    matches = _REGISTRY.matching_selectors(name)
    if not matches:
        names = {selector.rpartition(".")[2] for selector, _ in _REGISTRY.items()}
        _known(f"name {name!r}", name, names, where)
    if len(matches) > 1:
        raise ConfigError(
            f"{where}: {name!r} is ambiguous. Write one of {sorted(matches)}."
        )
    return _REGISTRY[matches[0]]


def _known(what: str, name: str, known: Collection[str], where: str) -> None:
    if name not in known:
        raise ConfigError(f"{where}: there is no {what}.{_did_you_mean(name, known)}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" There are: {', '.join(sorted(known)) or 'none'}."


def _check_parameter(binding: syntax.Binding) -> None:
    """Is there such a parameter, may gin set it, and is the value of its type?"""
    configurable = _registered(binding.name, binding.where)
    settable = set(_parameters(configurable))
    _known(
        f"parameter {binding.parameter!r} of {binding.name!r} to set",
        binding.parameter,
        settable,
        binding.where,
    )
    hint = _hints(configurable.wrapped).get(binding.parameter)
    if hint is not None:
        _check_type(binding, binding.value, hint)


def _parameters(configurable) -> dict[str, inspect.Parameter]:
    """The parameters that gin may set."""
    denied = set(configurable.denylist or ())
    every = inspect.signature(configurable.wrapped).parameters
    return {name: one for name, one in every.items() if name not in denied}


def _hints(function: Callable) -> dict[str, Any]:
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(target)
    except NameError:  # A third party's hints may name what it does not import.
        return {}


def _check_type(binding: syntax.Binding, value: Any, hint: Any) -> None:
    if isinstance(value, syntax.Reference):
        _check_called(binding, value, hint)
        return
    if any(True for _ in syntax.references(value)):
        for element in typing.get_args(hint):
            if isinstance(value, list | tuple) and element is not Ellipsis:
                for one in value:
                    _check_type(binding, one, element)
        return  # What a macro stands for is checked by whom it is given to.
    try:
        typeguard.check_type(value, hint)
    except typeguard.TypeCheckError as error:
        expected = getattr(hint, "__name__", None) or str(hint)
        raise ConfigError(
            f"{binding.where}: {binding.key} must be of type {expected}: {error}. "
            f"Received: {value!r}."
        ) from None


def _check_called(binding: syntax.Binding, value: syntax.Reference, hint: Any) -> None:
    """A function is handed over uncalled, `@f`; an object is made first, `@f()`."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    wants_function = any(
        typing.get_origin(one) is collections.abc.Callable for one in options
    )
    if value.evaluate == wants_function:
        right = syntax.Reference(value.scoped_name, not value.evaluate)
        why = "it is called later" if wants_function else "it must be called"
        raise ConfigError(
            f"{binding.where}: {binding.key} must be {right!r}: {why}. "
            f"Received: {value!r}."
        )


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Union or (
        hasattr(hint, "__or__") and (type(hint).__name__ == "UnionType")
    )


def _check_use(bindings: Sequence[syntax.Binding], macros: Collection[str]) -> None:
    """Does anything use each macro and each scope?"""
    used = [one for binding in bindings for one in syntax.references(binding.value)]
    used_macros = {one.name for one in used if isinstance(one, syntax.Macro)}
    scopes = {one.scope for one in used if isinstance(one, syntax.Reference)}
    for one in bindings:
        if not one.parameter and one.name not in used_macros:
            raise ConfigError(
                f"{one.where}: nothing uses the macro {one.name!r}."
                f"{_did_you_mean(one.name, macros - {one.name} | used_macros)} "
                "Use it as %" + one.name + ", or remove it."
            )
        if one.scope and one.scope not in scopes:
            raise ConfigError(
                f"{one.where}: nothing enters the scope {one.scope!r}, so {one.key} "
                f"would have no effect.{_did_you_mean(one.scope, scopes - {''})}"
            )


def _check_required(
    bindings: Sequence[syntax.Binding], entry_points: Sequence[str]
) -> None:
    """Has everything that will be called all that it needs?"""
    waiting = [(name, "") for name in entry_points]
    done = set()
    while waiting:
        name, where = waiting.pop()
        configurable = _registered(name, where)
        if configurable.selector in done:
            continue
        done.add(configurable.selector)
        bound = set()
        for one in bindings:
            if one.parameter and _registered(one.name, "") is configurable:
                bound.add(one.parameter)
                waiting += [
                    (used.name, one.where)
                    for used in syntax.references(one.value)
                    if isinstance(used, syntax.Reference)
                ]
        for parameter, one in _parameters(configurable).items():
            required = one.default is one.empty and one.kind is one.KEYWORD_ONLY
            if required and parameter not in bound:
                raise ConfigError(
                    f"{where + ': ' if where else ''}{name}.{parameter} has no value. "
                    f"Bind it in a gin file: {name}.{parameter} = ..."
                )
