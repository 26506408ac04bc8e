"""What is registered with gin: looked up by name, with its parameters and types."""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import gin

from configs import statements

# gin has no public way to ask what is registered.
_REGISTRY = gin.config._REGISTRY

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def find(name: str, where: str) -> "Configurable":
    """Looks up a configurable by its name, which may be shortened at the front.

    Args:
        name: As in `Adam` or `keras.optimizers.Adam`.
        where: File and line that name it, for the error.

    Returns:
        The configurable.

    Raises:
        ConfigError: There is none of this name, or there are several.
    """
    matches = _REGISTRY.matching_selectors(name)
    if len(matches) == 1:
        return Configurable(matches[0])
    if matches:
        short = sorted(_REGISTRY.minimal_selector(one) for one in matches)
        raise statements.ConfigError(
            f"{where}: {name!r} is ambiguous. Write one of {', '.join(short)}."
        )
    every = [key for key, _ in _REGISTRY.items() if not key.startswith("gin.")]
    endings = {
        one.split(".", i)[-1] for one in every for i in range(one.count(".") + 1)
    }
    meant = statements.did_you_mean(name, endings)
    known = ", ".join(sorted({one.rpartition(".")[2] for one in every}))
    raise statements.ConfigError(
        f"{where}: there is no function or class {name!r}."
        + (
            meant
            or " A gin file's `import` brings more: your own module, or Optuna's "
            f"samplers and pruners, `import train.samplers`. There are: {known}."
        )
    )


def type_hints(function: Callable) -> dict[str, Any]:
    """Types of a function's parameters and of its "return", where they are known."""
    try:
        return typing.get_type_hints(function)
    except (NameError, AttributeError):  # Names that only type checkers import.
        return {}


class Configurable:
    """A function or class that is registered.

    Attributes:
        name: The one spelling by which it is known here: as short as it can be.
        parameters: What a gin file may set, by name.
    """

    def __init__(self, selector: str):
        registered = _REGISTRY[selector]
        self.name: str = _REGISTRY.minimal_selector(selector)
        self._wrapped: Callable = registered.wrapped
        self._target = self._wrapped
        if inspect.isclass(self._wrapped):  # Some metaclasses hide the signature.
            self._target = self._wrapped.__init__
        every = inspect.signature(self._target).parameters
        self._supplied = set(registered.denylist or ())
        if registered.allowlist:
            self._supplied = every.keys() - set(registered.allowlist)
        if inspect.isclass(self._wrapped):
            self._supplied.add(next(iter(every), "self"))
        self.parameters: dict[str, inspect.Parameter] = {
            name: one
            for name, one in every.items()
            if name not in self._supplied and one.kind not in _VARIADIC
        }

    def is_supplied(self, parameter: str) -> bool:
        """Whether there is such a parameter but code, not a gin file, gives it."""
        return parameter in self._supplied

    def required(self, called: bool) -> set[str]:
        """Parameters without a default.

        Args:
            called: Whether gin calls it, as for `@f()`. Otherwise code does, which may
                give what it likes by position; all else must be bound.

        Returns:
            Their names.
        """
        return {
            name
            for name, one in self.parameters.items()
            if one.default is one.empty and (called or one.kind is one.KEYWORD_ONLY)
        }

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """Types of the parameters and of what is returned, where they are known."""
        return type_hints(self._target)

    @property
    def returns(self) -> Any:
        """The type of what a call gives; `Any` where that is not said."""
        if inspect.isclass(self._wrapped):
            return self._wrapped
        hint = self.hints.get("return", Any)
        return Any if hint is types.NoneType else hint
