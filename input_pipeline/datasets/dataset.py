"""What a dataset is: a name, its publisher's folder layout and a reader of it."""

import dataclasses
import pathlib
from collections.abc import Callable

import gin

from input_pipeline import photograph

DRAWN = "synthetic.json"
"""A file that marks a folder of drawn photographs, in whatever layout."""

_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A public dataset, in the layout in which its publisher gives it out.

    Attributes:
        name: Short name; the first part of every photograph's id.
        tree: The expected folders and files, drawn as text for a person.
        read: `(data_dir) -> list[Photograph]`. Raises ValueError or FileNotFoundError,
            with the expected tree and what was found, for anything else.
        own: Whether it is a set of one's own, which may grow and be corrected. What
            somebody published never changes.
        reader: What a gin file calls its reader, scope included; for messages.
    """

    name: str
    tree: str
    read: Callable[[pathlib.Path], list[photograph.Photograph]]
    own: bool = False
    reader: str = ""

    @property
    def renaming(self) -> str:
        """What gives another set a name of its own, as a person writes it."""
        if not self.reader:
            return "by its reader's `name`"
        return f"--gin_bindings=\"{self.reader}.name = '{self.name}2'\""


def gin_name(reader: str) -> str:
    """What the config calls the reader that is at work, its scope included."""
    scope = gin.current_scope_str()
    return f"{scope}/{reader}" if scope else reader


def naming_two(reader: str) -> str:
    """How a gin file names two sets of one reader, as a person writes it."""
    name = reader.rpartition("/")[2] or "my_reader"
    return (
        "Name each in a scope of its own:\n"
        f"  prepare.datasets = [@first/{name}(), @second/{name}()]\n"
        f"  first/{name}.name = 'first'\n"
        f"  second/{name}.name = 'second'"
    )


def describe_folder(folder: pathlib.Path, limit: int = 12) -> str:
    """Returns what lies in `folder`, two levels deep, a line an entry."""
    if not folder.exists():
        nearest = next(parent for parent in folder.parents if parent.exists())
        return f"{folder} does not exist; {nearest} does."
    if not folder.is_dir():
        return f"{folder} is a file, not a folder."
    lines = [f"{folder}/"]
    entries = sorted(folder.iterdir())
    for entry in entries[:limit]:
        if not entry.is_dir():
            lines.append(f"  {entry.name}")
            continue
        inside = sorted(child.name for child in entry.iterdir())
        shown = ", ".join(inside[:4]) + (", ..." if len(inside) > 4 else "")
        what = f"{len(inside)} entries: {shown}" if inside else "empty"
        lines.append(f"  {entry.name}/  ({what})")
    if len(entries) > limit:
        lines.append(f"  ... and {len(entries) - limit} more")
    if not entries:
        lines.append("  (empty)")
    return "\n".join(lines)


def layout_error(what: str, tree: str, data_dir: pathlib.Path) -> ValueError:
    """An error that shows the layout that was expected and the one that was found."""
    error = (
        f"{what}\nExpected in {data_dir}:\n{_indent(tree)}\n"
        f"Found:\n{_indent(describe_folder(data_dir))}"
    )
    packed = [one.name for one in _entries(data_dir) if one.suffix in _ARCHIVES]
    if packed:
        error += f"\nUnpack {', '.join(packed)} first."
    return ValueError(error)


def _entries(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip("\n").splitlines())
