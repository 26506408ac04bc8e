"""Gin files as statements, read without importing anything they name.

This is what makes a missing file or a slip of syntax an error within a second, before
TensorFlow is imported. It also gives configs a plain form that can be compared.
"""

import dataclasses
import pathlib
import tokenize
from collections.abc import Iterator, Sequence
from typing import Any

from gin import config_parser

CONFIGS = pathlib.Path(__file__).parent
"""Where `include 'models/resnet_v2.gin'` is looked for after the current folder."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@scope/name` or, evaluated, `@scope/name()`."""

    scoped_name: str
    evaluate: bool

    @property
    def scope(self) -> str:
        return self.scoped_name.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.scoped_name.rpartition("/")[2]

    def __repr__(self):
        return f"@{self.scoped_name}{'()' if self.evaluate else ''}"


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%name`."""

    name: str

    def __repr__(self):
        return f"%{self.name}"


@dataclasses.dataclass(frozen=True)
class Binding:
    """`scope/name.parameter = value`, or `name = value` for a macro.

    Attributes:
        scope: The scope, or "".
        name: The configurable's name as written, or the macro's.
        parameter: The parameter, or "" for a macro.
        value: Python literals, `Reference`s and `Macro`s.
        where: File and line, for a person.
    """

    scope: str
    name: str
    parameter: str
    value: Any
    where: str

    @property
    def key(self) -> str:
        name = f"{self.scope}/{self.name}" if self.scope else self.name
        return f"{name}.{self.parameter}" if self.parameter else name


@dataclasses.dataclass(frozen=True)
class Import:
    """`import module`, by which a gin file brings a user's own code."""

    module: str
    where: str


class ConfigError(ValueError):
    """A mistake in a gin file or in --gin_bindings."""


class _Delegate(config_parser.ParserDelegate):
    def configurable_reference(self, scoped_configurable_name, evaluate):
        return Reference(scoped_configurable_name, evaluate)

    def macro(self, macro_name):
        return Macro(macro_name)


def parse(
    gin_files: Sequence[str], gin_bindings: Sequence[str]
) -> list[Binding | Import]:
    """Reads gin files, what they include, and then single bindings.

    Args:
        gin_files: Paths of gin files.
        gin_bindings: Lines of gin, as from --gin_bindings.

    Returns:
        The statements in the order in which gin applies them.

    Raises:
        ConfigError: A file is missing, or a line is not gin.
    """
    statements: list[Binding | Import] = []
    for name in gin_files:
        statements += _parse_file(name, "--gin_file", ())
    for line in gin_bindings:
        statements += parse_text(line, f"--gin_bindings={line!r}")
    return statements


def parse_text(text: str, source: str) -> list[Binding | Import]:
    """Reads statements from a text; `source` says in errors where it is from."""
    return list(_statements(text, source, source, ()))


def _parse_file(
    name: str, named_by: str, stack: tuple[pathlib.Path, ...]
) -> list[Binding | Import]:
    candidates = [pathlib.Path(name), CONFIGS / name]
    path = next((one for one in candidates if one.is_file()), None)
    if path is None:
        raise ConfigError(
            f"{named_by}: there is no gin file {name}. Looked in the current folder "
            f"({pathlib.Path.cwd()}) and in {CONFIGS}."
        )
    if path.resolve() in stack:
        raise ConfigError(f"{named_by}: {path} includes itself. Remove this line.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file: {error}.") from error
    return list(_statements(text, str(path), None, (*stack, path.resolve())))


def _statements(
    text: str, source: str, where: str | None, stack: tuple[pathlib.Path, ...]
) -> Iterator[Binding | Import]:
    try:
        parser = config_parser.ConfigParser(text, _Delegate())
        for statement in parser:
            here = where or f"{source}, line {statement.location.line_num}"
            if isinstance(statement, config_parser.IncludeStatement):
                yield from _parse_file(statement.filename, here, stack)
            elif isinstance(statement, config_parser.ImportStatement):
                yield Import(statement.module, here)
            elif isinstance(statement, config_parser.BindingStatement):
                yield Binding(
                    statement.scope or "",
                    statement.selector,
                    statement.arg_name or "",
                    statement.value,
                    here,
                )
    except SyntaxError as error:
        raise ConfigError(
            f"{where or f'{source}, line {error.lineno}'}: {error.msg} "
            f"In: {(error.text or '').strip()!r}. Expected: name.parameter = value."
        ) from None
    except tokenize.TokenError as error:
        message, (line, _) = error.args
        raise ConfigError(
            f"{where or f'{source}, line {line}'}: {message}. A bracket or a string "
            "is not closed."
        ) from None


def deciding(
    statements: Sequence[Binding | Import], entry_points: Sequence[str]
) -> dict[str, str]:
    """The bindings that decide what some entry points do.

    Args:
        statements: All statements; later ones override earlier ones.
        entry_points: Names of the configurables from which to start.

    Returns:
        Binding key -> value as gin text, for the entry points and for all that they
        refer to, in turn.
    """
    last = {one.key: one for one in statements if isinstance(one, Binding)}
    waiting, reached = list(entry_points), set()
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for binding in last.values():
            if binding.name.rpartition(".")[2] == name.rpartition(".")[2]:
                for used in references(binding.value):
                    waiting.append(used.name)
    short = {name.rpartition(".")[2] for name in reached}
    return {
        key: repr(binding.value)
        for key, binding in sorted(last.items())
        if binding.name.rpartition(".")[2] in short
    }


def references(value: Any) -> Iterator[Reference | Macro]:
    """The references and macros in a value, however deep."""
    if isinstance(value, Reference | Macro):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from references(pair)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from references(one)
