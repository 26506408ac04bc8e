"""Loads a config strictly: what gin itself passes over in silence is an error here.

Gin ignores a macro that nothing uses, a scope that nothing enters and a value of the
wrong type. Each would be an experiment that is not the one that was asked for.
"""

import dataclasses
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from configs import (
    configurables,
    own_code,
    statements,
    syntax,
    usage,
    value_types,
)


def load(
    gin_files: Sequence[str],
    gin_bindings: Sequence[str],
    entry_points: Sequence[str],
    other_entry_points: Sequence[str] = (),
    *,
    written: bool = False,
) -> list[statements.Binding]:
    """Parses gin files and bindings into gin's configuration, and locks it.

    Args:
        gin_files: Paths of gin files.
        gin_bindings: Lines of gin, which override the files.
        entry_points: The configurables that will be called; all that they need must
            be bound.
        other_entry_points: Those that may be called another time with this config.
        written: Whether lines that a person wrote in the files must have an effect.
            Without all entry points nobody can tell.

    Returns:
        The bindings that hold, each name in its one spelling.

    Raises:
        ConfigError: Something is misspelt, missing, unused or of the wrong type. Says
            where, and what was perhaps meant.
    """
    gin.clear_config()
    parsed = syntax.parse(gin_files, gin_bindings)
    imports = [one for one in parsed if isinstance(one, statements.Import)]
    for one in imports:
        _import(one)
    bindings = _holding(parsed)

    macros = {one.key: one for one in bindings if one.is_macro}
    _check_macros(bindings, macros)
    for one in bindings:
        if not one.is_macro:
            _check_parameter(one, macros)
    usage.check_required(bindings, entry_points, gin_files)
    every_entry_point = [*entry_points, *other_entry_points]
    usage.check_effect(bindings, every_entry_point)
    if written:
        stages = [
            _holding(syntax.parse(gin_files[: count + 1], ()))
            for count in range(len(gin_files))
        ]
        usage.check_files(bindings, stages, every_entry_point)

    # gin is given what was read, so that includes and errors have one reader.
    lines = [f"import {one.module}" for one in imports]
    lines += [f"{one.key} = {one.value!r}" for one in bindings]
    gin.parse_config("\n".join(lines))
    gin.finalize()
    return bindings


def _import(statement: statements.Import) -> None:
    if "" not in sys.path:  # Last: nothing there may hide a package of ours.
        sys.path.append("")
    try:
        importlib.import_module(statement.module)
    except Exception as error:
        frames, reason, way_out = own_code.frames(error), str(error), "Correct it."
        if frames and not isinstance(error, SyntaxError):  # Which names its own place.
            reason = f"{own_code.place(frames[-1])}: {own_code.in_words(error)}"
        elif isinstance(error, ImportError):
            way_out = "The module must lie in the current folder or be installed."
        elif not isinstance(error, SyntaxError | ValueError):  # A slip of ours.
            raise
        if frames and isinstance(error, ImportError):
            way_out = "Install what is missing, or correct the line."
        raise statements.ConfigError(
            f"{statement.where}: cannot import {statement.module}: "
            f"{reason.removesuffix('.')}. {way_out}"
        ) from error


def _holding(parsed: Sequence[statements.Statement]) -> list[statements.Binding]:
    """The bindings that hold, each name in its one spelling."""
    resolved = [_resolve(one) for one in parsed if isinstance(one, statements.Binding)]
    # A name has one spelling now, so that a later binding replaces an earlier one.
    return list({one.key: one for one in resolved}.values())


def _resolve(binding: statements.Binding) -> statements.Binding:
    """The same binding with each name in its one spelling."""

    def resolve(leaf: Any) -> Any:
        if not isinstance(leaf, statements.Reference):
            return leaf
        found = configurables.find(leaf.name, binding.where)
        return dataclasses.replace(leaf, name=found.name)

    name = binding.name
    if not binding.is_macro:
        name = configurables.find(name, binding.where).name
    value = statements.replace(binding.value, resolve)
    return dataclasses.replace(binding, name=name, value=value)


def _check_macros(
    bindings: Sequence[statements.Binding], macros: Mapping[str, statements.Binding]
) -> None:
    """Is each macro bound, used, and made of something else than itself?"""
    used = set()
    for binding in bindings:
        for one in statements.references(binding.value):
            if not isinstance(one, statements.Macro):
                continue
            used.add(one.name)
            if one.name not in macros:
                meant = statements.did_you_mean(one.name, macros)
                raise statements.ConfigError(
                    f"{binding.where}: there is no macro {one!r}."
                    + (meant or _bind(one.name, binding.where))
                )
    for name, binding in macros.items():
        if name not in used:
            meant = statements.did_you_mean(name, used - macros.keys())
            raise statements.ConfigError(
                f"{binding.where}: nothing uses the macro {name!r}.{meant} Use it as "
                f"%{name} or remove it. A parameter is bound as name.parameter = ..."
            )
        _expand(binding.value, macros)


def _bind(macro: str, where: str) -> str:
    """A sentence on what to do about a macro that an experiment leaves open."""
    file = where.rpartition(", line ")[0]  # None on the command line.
    hint = f" Comments in {file} may tell how it is found." if file else ""
    return f" Bind it: {macro} = ...{hint}"


def _expand(
    value: Any, macros: Mapping[str, statements.Binding], inside: tuple[str, ...] = ()
) -> Any:
    """A value with macros replaced by what they stand for."""

    def expand(leaf: Any) -> Any:
        if not isinstance(leaf, statements.Macro):
            return leaf
        if leaf.name in inside:
            raise statements.ConfigError(
                f"{macros[leaf.name].where}: the macro {leaf.name!r} stands for itself."
            )
        return _expand(macros[leaf.name].value, macros, (*inside, leaf.name))

    return statements.replace(value, expand)


def _check_parameter(
    binding: statements.Binding, macros: Mapping[str, statements.Binding]
) -> None:
    """Is there such a parameter, may gin set it, and is the value of its type?"""
    configurable = configurables.find(binding.name, binding.where)
    parameter = configurable.parameters.get(binding.parameter)
    if parameter is None and configurable.is_supplied(binding.parameter):
        raise statements.ConfigError(
            f"{binding.where}: {binding.key} cannot be bound: code supplies it."
        )
    if parameter is None:
        known = sorted(configurable.parameters)
        meant = statements.did_you_mean(binding.parameter, known)
        raise statements.ConfigError(
            f"{binding.where}: {binding.name!r} has no parameter "
            f"{binding.parameter!r}."
            + (meant or f" It has: {', '.join(known) or 'none'}.")
        )
    value = _expand(binding.value, macros)
    hint = configurable.hints.get(binding.parameter)
    if expected := value_types.mismatch(value, parameter, hint):
        received = repr(binding.value)
        if value != binding.value:
            received += f", which is {value!r}"
        if not isinstance(value, statements.Reference):
            received += f", of type {type(value).__name__}"
        raise statements.ConfigError(
            f"{binding.where}: {binding.key} must be {expected}. Received: {received}."
        )
