"""The space of a search: which values of which bindings are tried."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from configs import configurables, loader, statements, syntax

RANGES = ("float", "log_float", "int")
"""Kinds of ranges; their ends belong to them."""

_LOCKED = {
    "evaluate.splits": "('valid',)",
    "evaluate.on": "()",
    "evaluate.on_splits": "()",
    "evaluate.recalibrate": "None",
}
LOCKS = tuple(f"{key} = {value}" for key, value in _LOCKED.items())
"""Bindings of every trial: no search sees a photograph that is to test its winner."""

_IN_CALL = "\n  In call to configurable "
"""Where gin adds to an error which objects were being made."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A binding that a search varies.

    Attributes:
        key: The left side of the binding, as in "Adam.learning_rate".
        kind: One of `RANGES`, or "choice".
        values: The choices, or the two ends of the range; literals, and references as
            gin has them.
    """

    key: str
    kind: str
    values: tuple

    @property
    def texts(self) -> tuple[str, ...]:
        """The choices, or the ends of the range, as gin text."""
        return tuple(map(repr, self.values))

    @property
    def spelled(self) -> str:
        """The parameter as `tune.space` has it."""
        values = ", ".join(self.texts)
        if self.kind == "choice":
            return f"{self.key!r}: [{values}]"
        return f"{self.key!r}: ({self.kind!r}, {values})"

    def suggest(self, trial: Any) -> str:
        """The value that an `optuna.Trial` takes, as gin text."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.key, self.texts)
        if self.kind == "int":
            return repr(trial.suggest_int(self.key, *self.values))
        log = self.kind == "log_float"
        return repr(trial.suggest_float(self.key, *self.values, log=log))

    def text(self, taken: Any) -> str:
        """What Optuna stores of a value, as gin text."""
        return taken if self.kind == "choice" else repr(taken)

    def shown(self, taken: Any) -> float | bool | str:
        """What Optuna stores of a value, as a person reads it: a number as a number.

        All choices are of one type; where they are not, they are texts.
        """
        if self.kind != "choice":
            return taken
        types = {type(value) for value in self.values}
        value = self.values[self.texts.index(taken)]
        if types <= {int, float}:
            return value if len(types) == 1 else float(value)
        return value if types in ({bool}, {str}) else taken


def parse(space: Mapping[str, Any]) -> list[Parameter]:
    """Reads `tune.space`.

    Args:
        space: Binding -> a list of choices, or `("categorical", choice, ...)`, or
            `("float", low, high)`, likewise "log_float" and "int".

    Returns:
        A parameter for each binding, in this order.

    Raises:
        ConfigError: A value is neither, or the binding is not for a search to vary.
    """
    if not isinstance(space, dict) or not space:
        raise statements.ConfigError(
            "`tune.space` must name at least one binding, as in tune.space = "
            f"{{'Adam.learning_rate': [1e-3, 1e-4]}}. Received: {space!r}."
        )
    parameters = [_parameter(key, value) for key, value in space.items()]
    keys = [one.key for one in parameters]
    if len(set(keys)) < len(keys):
        raise statements.ConfigError(
            "`tune.space` must name each binding once. Received: "
            f"{', '.join(space)}, of which two are the same."
        )
    return parameters


def grid(parameters: Sequence[Parameter]) -> list[dict[str, str]]:
    """All points of a space of choices: binding -> value as gin text, the last fastest.

    Args:
        parameters: All of the kind "choice".
    """
    keys = [one.key for one in parameters]
    every = itertools.product(*(one.texts for one in parameters))
    return [dict(zip(keys, point, strict=True)) for point in every]


def one_at_a_time(parameters: Sequence[Parameter]) -> list[dict[str, str]]:
    """The first choices, and beside them each other choice by itself.

    Args:
        parameters: All of the kind "choice".

    Returns:
        Points as `grid` has them, as many as there are choices, less the number of
        parameters, plus one.
    """
    start = first(parameters)
    changed = [{**start, one.key: text} for one in parameters for text in one.texts[1:]]
    return [start, *changed]


def first(parameters: Sequence[Parameter]) -> dict[str, str]:
    """A point of a space: of each binding the first choice, or a range's low end."""
    return {one.key: one.texts[0] for one in parameters}


def check(
    parameters: Sequence[Parameter],
    gin_file: str,
    entry_points: Sequence[str],
    build: Callable[[], Any],
    name: str = "tune.space",
) -> Any:
    """Tries the config once with each choice and each end of a range.

    Args:
        parameters: The space.
        gin_file: The experiment.
        entry_points: What a trial calls.
        build: Makes a trial's objects of what is loaded, and returns what decides by
            which labels of which photographs the trial is judged.
        name: What the config calls the space, for errors.

    Returns:
        What `build` returned, each time the same.

    Raises:
        ConfigError: A binding is misspelt, has no effect, or a value does not fit; or
            trials would not be judged alike.
    """
    start = first(parameters)
    judge = _built({}, start, gin_file, entry_points, build, name)
    for one in parameters:
        for text in one.texts:
            varied = {one.key: text}
            if _built(varied, start, gin_file, entry_points, build, name) != judge:
                raise statements.ConfigError(
                    f"`tune.space` cannot vary {one.key}: all trials are judged by the "
                    "same labels of the same validation photographs. Take it out; "
                    "`tune.folds` averages over folds."
                )
    return judge


def lines(point: Mapping[str, str]) -> list[str]:
    """The bindings of a trial, as lines of gin; the locks last, so that they hold."""
    return [*(f"{key} = {value}" for key, value in point.items()), *LOCKS]


def _built(
    varied: Mapping[str, str],
    start: Mapping[str, str],
    gin_file: str,
    entry_points: Sequence[str],
    build: Callable[[], Any],
    name: str,
) -> Any:
    """What is built at a point of the space; errors say what was varied."""
    try:
        loader.load([gin_file], lines({**start, **varied}), entry_points)
        return build()
    except ValueError as error:
        said = str(error).removeprefix("--gin_bindings=").partition(_IN_CALL)[0]
        if not isinstance(error, statements.ConfigError):
            shown = (varied or start).items()
            said = f"{', '.join(f'{key} = {text}' for key, text in shown)}: {said}"
        raise statements.ConfigError(f"`{name}`: {said}") from error


def _canonical(key: Any) -> str:
    """The one spelling of a binding; raises if no search may vary it."""
    if not isinstance(key, str):
        raise statements.ConfigError(
            f"`tune.space`: a binding is named by a text. Received: {key!r}."
        )
    parsed = syntax.parse([], [f"{key} = None"])
    if len(parsed) != 1 or not isinstance(parsed[0], statements.Binding):
        raise statements.ConfigError(
            f"`tune.space` must name bindings, as in 'Adam.learning_rate'. Received: "
            f"{key!r}."
        )
    (binding,) = parsed
    if binding.is_macro:
        return key
    name = configurables.find(binding.name, "`tune.space`").name
    binding = dataclasses.replace(binding, name=name)
    if name == "tune" or f"{name}.{binding.parameter}" in _LOCKED:
        raise statements.ConfigError(
            f"`tune.space` cannot vary {binding.key}: trials are evaluated on the "
            "validation photographs alone, and all by one search. Take it out."
        )
    return binding.key


def _parameter(key: Any, value: Any) -> Parameter:
    key = _canonical(key)
    kind, values = "choice", value
    if isinstance(value, tuple) and value and value[0] in (*RANGES, "categorical"):
        kind, values = value[0], value[1:]
        kind = "choice" if kind == "categorical" else kind
    elif not isinstance(value, list):
        raise statements.ConfigError(
            f"`tune.space`: {key} must have a list of values, or one of "
            "('float', low, high), ('log_float', low, high), ('int', low, high), "
            f"('categorical', value, ...). Received: {value!r}."
        )
    if kind == "choice":
        _check_choices(key, values)
    else:
        _check_range(key, kind, values)
        if kind != "int":
            values = tuple(map(float, values))
    return Parameter(key, kind, tuple(values))


def _check_choices(key: str, values: Sequence[Any]) -> None:
    texts = [repr(one) for one in values]
    if not texts or len(set(texts)) < len(texts):
        wrong = "each value once" if texts else "at least one value"
        raise statements.ConfigError(
            f"`tune.space`: {key} must have {wrong}. Received: {list(values)!r}."
        )


def _check_range(key: str, kind: str, ends: Sequence[Any]) -> None:
    of_type = int if kind == "int" else int | float
    fits = len(ends) == 2 and all(
        isinstance(one, of_type) and not isinstance(one, bool) for one in ends
    )
    if not fits or not ends[0] < ends[1] or (kind == "log_float" and ends[0] <= 0):
        positive = ", both above 0" if kind == "log_float" else ""
        whole = "whole numbers" if kind == "int" else "numbers"
        raise statements.ConfigError(
            f"`tune.space`: {key} must have two {whole}, the lower first{positive}, "
            f"as in ({kind!r}, {'1, 8' if kind == 'int' else '1e-5, 1e-2'}). "
            f"Received: {(kind, *ends)!r}."
        )
