"""What is used of a config, in which scope, from its entry points on."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from configs import configurables, statements, syntax


class Use(NamedTuple):
    """A configurable, or a macro as "%name", that is used in some scope."""

    name: str
    scope: str
    called: bool  # By gin, as for `@f()`.
    where: str


def uses(
    bindings: Sequence[statements.Binding], entry_points: Sequence[str]
) -> Iterator[tuple[Use, dict[str, statements.Binding]]]:
    """All that entry points use, in turn, with what is bound for it in its scope."""
    waiting = [Use(name, "", False, "") for name in entry_points]
    done = set()
    while waiting:
        use = waiting.pop(0)
        if use[:3] in done:
            continue
        done.add(use[:3])
        bound = _bound(bindings, use)
        yield use, bound
        for binding in bound.values():
            waiting += _used_by(binding, use.scope)


def _used_by(binding: statements.Binding, scope: str) -> Iterator[Use]:
    for one in statements.references(binding.value):
        if isinstance(one, statements.Macro):
            # gin evaluates what a macro stands for in a scope of its name.
            yield Use(repr(one), one.name, True, binding.where)
            continue
        yield Use(one.name, one.scope or scope, one.called, binding.where)
        if scope and not (one.called or one.scope):  # Perhaps called after the scope.
            yield Use(one.name, "", False, binding.where)


def _bound(
    bindings: Sequence[statements.Binding], use: Use
) -> dict[str, statements.Binding]:
    """Parameter -> the binding that holds in the scope: the one of the inmost scope."""
    if use.name.startswith("%"):
        return {one.key: one for one in bindings if f"%{one.key}" == use.name}
    holding = [
        one
        for one in bindings
        if one.name == use.name
        and not one.is_macro
        and f"{use.scope}/".startswith(f"{one.scope}/" if one.scope else "")
    ]
    holding.sort(key=lambda one: len(one.scope))
    return {one.parameter: one for one in holding}


def check_required(
    bindings: Sequence[statements.Binding],
    entry_points: Sequence[str],
    files: Sequence[str],
) -> None:
    """Has everything that will be called all that it needs?

    Args:
        bindings: A config.
        entry_points: The configurables that will be called.
        files: The gin files, where they would be bound; for the error.

    Raises:
        ConfigError: A value is missing. Says which, and what needs it.
    """
    for use, bound in uses(bindings, entry_points):
        if use.name.startswith("%"):
            continue
        required = configurables.find(use.name, use.where).required(use.called)
        for parameter in sorted(required - bound.keys()):
            text = (
                f"{use.where or ', '.join(files)}: {use.name}.{parameter} has no "
                f"value. Bind it: {use.name}.{parameter} = ..."
            )
            if use.where and not use.called:
                text += " If code supplies it, name it in gin.register's `denylist`."
            if not use.where:
                text += _experiments(files)
            raise statements.ConfigError(text)


def _experiments(files: Sequence[str]) -> str:
    """What to name where all files are only parts of an experiment; or nothing."""
    for name in files:
        beside, shipped = pathlib.Path(name), syntax.CONFIGS / name
        path = (beside if beside.is_file() else shipped).resolve()
        if path.parent.parent != syntax.CONFIGS:
            return ""
    whole = sorted(one.name for one in syntax.CONFIGS.glob("*.gin"))
    return (
        f" By {'itself' if len(files) == 1 else 'themselves'} this is only a part of "
        f"an experiment. Name one before, --gin_file=configs/{whole[0]}; there are "
        f"{', '.join(whole)}."
    )


def check_effect(
    bindings: Sequence[statements.Binding], entry_points: Sequence[str]
) -> None:
    """Does what is bound in a scope, or on the command line, change anything?

    Args:
        bindings: A config.
        entry_points: All configurables that can be called with it.

    Raises:
        ConfigError: A binding has no effect. Says what was perhaps meant.
    """
    every = list(uses(bindings, entry_points))
    for one in _without_effect(bindings, every):
        # The copy of a search has the scopes of all its trials.
        scope = one.scope and one.origin != "copied"
        if scope or one.where.startswith(syntax.COMMAND_LINE):
            raise _no_effect(one, every)


def check_files(
    bindings: Sequence[statements.Binding],
    stages: Sequence[Sequence[statements.Binding]],
    entry_points: Sequence[str],
) -> None:
    """Does each line that a person wrote in a file of the command change anything?

    A file that is included may bind what only some experiments use. What only a later
    file, or the command line, makes useless is no mistake of the file either.

    Args:
        bindings: A config.
        stages: The config as each file leaves it, the first file's first.
        entry_points: All configurables that can be called with it.

    Raises:
        ConfigError: A line has no effect. Says what was perhaps meant.
    """
    useless = {
        (one.key, one.where)
        for one in _without_effect(bindings, list(uses(bindings, entry_points)))
    }
    before: Sequence[statements.Binding] = ()
    for stage in stages:
        every = list(uses(stage, entry_points))
        for one in _without_effect(stage, every):
            own = one.origin == "written" and one not in before
            if own and (one.key, one.where) in useless:
                raise _no_effect(one, every)
        before = stage


def _without_effect(
    bindings: Sequence[statements.Binding],
    every: Sequence[tuple[Use, dict[str, statements.Binding]]],
) -> Iterator[statements.Binding]:
    """The bindings, but for macros, that none of the uses has."""
    holding = {one.key for _, bound in every for one in bound.values()}
    for one in bindings:
        if one.key not in holding and not one.is_macro:
            yield one


def _no_effect(
    one: statements.Binding,
    every: Sequence[tuple[Use, dict[str, statements.Binding]]],
) -> statements.ConfigError:
    scopes, names = {use.scope for use, _ in every}, {use.name for use, _ in every}
    shadow = next(
        (
            other
            for use, bound in every
            for other in bound.values()
            if not one.scope
            and (use.name, other.parameter) == (one.name, one.parameter)
        ),
        None,
    )
    if shadow:
        reason, meant = f"{shadow.key} takes its place, {shadow.where}", ""
    elif one.scope and one.scope not in scopes:
        reason = f"nothing enters the scope {one.scope!r}"
        meant = statements.did_you_mean(one.scope, scopes - {""})
    else:
        scope = f" in the scope {one.scope!r}" if one.scope else ""
        reason = f"nothing uses {one.name!r}{scope}"
        meant = statements.did_you_mean(one.name, names - {one.name})
        meant = meant or f" Use it as @{one.name}, or remove the line."
    return statements.ConfigError(
        f"{one.where}: {reason}, so {one.key} would have no effect.{meant}"
    )
