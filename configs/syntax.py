"""Reads gin files without importing anything they name.

This is what makes a missing file or a slip of syntax an error within a second, before
TensorFlow is imported.
"""

import math
import pathlib
import re
import tokenize
from collections.abc import Callable, Sequence

from gin import config_parser

from configs import statements

CONFIGS = pathlib.Path(__file__).parent
"""Where a gin file is looked for last: `include 'models/resnet_v2.gin'`."""

COMMAND_LINE = "--gin_bindings"

COPY = "# A copy of a whole config.\n"
"""Begins what searches keep; what runs keep has the headings of `gin.config_str`."""

_COPY = re.compile(rf"\A{COPY}|^# Parameters for .*:\n# =+$", re.MULTILINE)
"""What `where` begins with in statements from the command line."""


def parse(
    gin_files: Sequence[str], gin_bindings: Sequence[str]
) -> list[statements.Statement]:
    """Reads gin files, what they include, and then single bindings.

    Args:
        gin_files: Paths of gin files.
        gin_bindings: Lines of gin, as from --gin_bindings.

    Returns:
        The statements in the order in which gin applies them.

    Raises:
        ConfigError: A file is missing, or a line is not gin.
    """
    parsed: list[statements.Statement] = []
    for name in gin_files:
        parsed += _parse_file(name, "--gin_file", ())
    for line in gin_bindings:
        where = f"{COMMAND_LINE}={line!r}"
        parsed += _Reader(line, lambda _, where=where: where, ()).read()
    return parsed


def _parse_file(
    name: str, named_by: str, stack: tuple[pathlib.Path, ...]
) -> list[statements.Statement]:
    """Reads one file; `stack` holds the files that are being read around it."""
    folders = [pathlib.Path(), CONFIGS]
    if stack:  # What is included lies beside the file that includes it, if anywhere.
        folders.insert(0, stack[-1].parent)
    path = next((one / name for one in folders if (one / name).is_file()), None)
    if path is None:
        looked = ", ".join(dict.fromkeys(str(one.resolve()) for one in folders))
        raise statements.ConfigError(
            f"{named_by}: there is no gin file {name!r}. Looked in {looked}."
            f"{statements.did_you_mean(name, _gin_files(name, folders))}"
        )
    if path.resolve() in stack:
        raise statements.ConfigError(
            f"{named_by}: {path} includes itself. Remove this line."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise statements.ConfigError(f"{path} is not a text file: {error}.") from error
    if "\0" in text:  # Python's tokenizer fails on it in ways of its own.
        raise statements.ConfigError(
            f"{path} is not a text file: it holds a null character."
        )
    stack = (*stack, path.resolve())
    return _Reader(text, lambda line: f"{path}, line {line}", stack).read()


def _gin_files(name: str, folders: Sequence[pathlib.Path]) -> set[str]:
    """Names of gin files beside a missing one, and of all experiments."""
    beside = pathlib.Path(name).parent
    near = {
        str(beside / one.name)
        for folder in folders
        for one in (folder / beside).glob("*.gin")
    }
    return near | {one.name for one in CONFIGS.glob("*.gin")}


class _Delegate(config_parser.ParserDelegate):
    """Makes gin's parser return references as they are written."""

    def configurable_reference(self, scoped_configurable_name, evaluate):
        scope, _, name = scoped_configurable_name.rpartition("/")
        return statements.Reference(scope, name, called=evaluate)

    def macro(self, macro_name):
        return statements.Macro(macro_name)


class _Reader:
    """The statements of one text, those of its includes in their place."""

    def __init__(
        self, text: str, where: Callable[[int], str], stack: tuple[pathlib.Path, ...]
    ):
        self._text = text
        self._where = where
        self._stack = stack
        self._bound: dict[str, str] = {}  # Binding key -> where it is bound.

    def read(self) -> list[statements.Statement]:
        parsed: list[statements.Statement] = []
        try:
            parser = config_parser.ConfigParser(self._text, _Delegate())
            for one in parser:
                parsed += self._statements(one, self._where(one.location.line_num))
        except SyntaxError as error:
            raise self._error(error.lineno or 1, _explain(error.msg)) from None
        except TypeError as error:  # What cannot be the key of a dictionary.
            line = parser.current_token.start[0]
            raise self._error(line, f"{error}.") from None
        except (tokenize.TokenError, StopIteration) as error:
            line = error.args[1][0] if error.args else len(self._text.splitlines())
            reason = "the text ends within a bracket or a string. Close it."
            raise self._error(line, reason) from None
        return parsed

    def _error(self, line: int, reason: str) -> statements.ConfigError:
        lines = self._text.splitlines()
        written = lines[line - 1].strip() if line <= len(lines) else ""
        if written and self._stack:
            reason += f" In: {written!r}."
        return statements.ConfigError(
            f"{self._where(line)}: {reason} Expected: name.parameter = value."
        )

    def _statements(self, statement, where: str) -> list[statements.Statement]:
        match statement:
            case config_parser.IncludeStatement(filename=filename):
                if self._bound:
                    raise statements.ConfigError(
                        f"{where}: an include must stand above the file's own "
                        "bindings, or it would override them. Move it to the top."
                    )
                return _parse_file(filename, where, self._stack)
            case config_parser.ImportStatement(module=module):
                return [statements.Import(module, where)]
            case config_parser.BindingStatement():
                return [self._bind(statement, where)]
        return []  # The head of a block: its bindings follow as such.

    def _bind(self, statement, where: str) -> statements.Binding:
        scope, parameter = statement.scope or "", statement.arg_name or ""
        origin = "included" if len(self._stack) > 1 else "written"
        binding = statements.Binding(
            scope,
            statement.selector,
            parameter,
            statement.value,
            where,
            origin="copied" if _COPY.search(self._text) else origin,
        )
        if binding.key in self._bound:
            raise statements.ConfigError(
                f"{where}: {binding.key} is bound already: {self._bound[binding.key]}. "
                "Remove one of them."
            )
        self._bound[binding.key] = where
        for one in statements.leaves(binding.value):
            if isinstance(one, float) and not math.isfinite(one):
                raise statements.ConfigError(
                    f"{where}: {binding.key} must be a finite number."
                )
        return binding


def _explain(message: str) -> str:
    """Gin's message on a slip of syntax, in words that help."""
    unreadable = re.search(r"Failed to parse token '(.*)'", message, re.DOTALL)
    if unreadable is None:
        return message if message.endswith(".") else f"{message}."
    token = unreadable[1]
    if not token.isidentifier():
        return f"{token} is not a value."
    meant = statements.did_you_mean(token, ("True", "False", "None"))
    return (
        f"{token} is not a value.{meant} Text is quoted, '{token}'; a function is "
        f"@{token}, a macro %{token}."
    )
