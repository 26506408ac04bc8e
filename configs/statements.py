"""What gin files say: bindings and imports, in a plain form that can be compared."""

import dataclasses
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Literal


class ConfigError(ValueError):
    """A mistake in a gin file or in --gin_bindings."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@scope/name` or, called, `@scope/name()`."""

    scope: str
    name: str
    called: bool

    def __repr__(self):
        scope = f"{self.scope}/" if self.scope else ""
        return f"@{scope}{self.name}{'()' if self.called else ''}"


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%name`; a scope is part of the name."""

    name: str

    def __repr__(self):
        return f"%{self.name}"


@dataclasses.dataclass(frozen=True)
class Binding:
    """`scope/name.parameter = value`, or `name = value` for a macro.

    Attributes:
        scope: The scope, or "".
        name: The configurable's name, or the macro's.
        parameter: The parameter, or "" for a macro.
        value: Python literals, `Reference`s and `Macro`s.
        where: File and line, for a person.
        origin: "written" in a file of the command, or on the command line; "included"
            by another file; or "copied": in what a run or a search keeps of a config.
    """

    scope: str
    name: str
    parameter: str
    value: Any
    where: str
    origin: Literal["written", "included", "copied"] = "written"

    @property
    def key(self) -> str:
        """The left side, as gin text."""
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.name}{'.' if self.parameter else ''}{self.parameter}"

    @property
    def is_macro(self) -> bool:
        """Whether `%key` stands for the value."""
        return not self.parameter


@dataclasses.dataclass(frozen=True)
class Import:
    """`import module`, by which a gin file brings a user's own code."""

    module: str
    where: str


Statement = Binding | Import


def deciding(
    bindings: Iterable[Binding],
    entry_points: Sequence[str],
    neutral: Collection[str] = (),
) -> dict[str, str]:
    """The bindings that decide what some entry points do.

    Args:
        bindings: As `loader.load` returns them, each name in its one spelling.
        entry_points: Names of the configurables from which to start.
        neutral: `name.parameter` of bindings that decide nothing.

    Returns:
        Binding key -> value as gin text, for the entry points and for all that they
        refer to, in turn, in the scopes in which they do.
    """
    by_name: dict[str, list[Binding]] = {}
    for one in bindings:
        if f"{one.name}.{one.parameter}" not in neutral:
            name = f"%{one.key}" if one.is_macro else one.name
            by_name.setdefault(name, []).append(one)
    waiting, reached = [(name, "") for name in entry_points], set()
    found = {}
    while waiting:
        name, scope = waiting.pop()
        if (name, scope) in reached:
            continue
        reached.add((name, scope))
        for binding in by_name.get(name, ()):
            # Such as another dataset's, read by the same reader in a scope of its own.
            inside = binding.is_macro or not binding.scope
            if inside or f"{scope}/".startswith(f"{binding.scope}/"):
                found[binding.key] = repr(binding.value)
                for used in references(binding.value):
                    if isinstance(used, Macro):
                        waiting.append((repr(used), used.name))
                        continue
                    waiting.append((used.name, used.scope or scope))
                    if not used.called and not used.scope:  # Perhaps called later.
                        waiting.append((used.name, ""))
    return dict(sorted(found.items()))


def leaves(value: Any) -> Iterator[Any]:
    """What a value consists of, however deep: all that is no container."""
    if isinstance(value, dict):
        for pair in value.items():
            yield from leaves(pair)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one)
    else:
        yield value


def references(value: Any) -> list[Reference | Macro]:
    """The references and macros in a value."""
    return [one for one in leaves(value) if isinstance(one, Reference | Macro)]


def replace(value: Any, function: Callable[[Any], Any]) -> Any:
    """The same value with each of its leaves replaced by `function(leaf)`."""
    if isinstance(value, dict):
        return {replace(k, function): replace(v, function) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replace(one, function) for one in value)
    return function(value)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names what was perhaps meant, or nothing; begins with a space."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
