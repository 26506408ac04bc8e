"""How much memory this process can still take."""

import pathlib
from collections.abc import Iterator

_ELSEWHERE = 8.0
"""Assumed where the system does not say as Linux does, in gigabytes."""


def available_gigabytes(root: pathlib.Path = pathlib.Path("/")) -> float:
    """Memory that can be taken without swapping, or being killed by a container.

    Args:
        root: Where `proc` and `sys` lie.

    Returns:
        What the machine has left, or the tightest control group above this process if
        that is less, in gigabytes; files that are only cached count as free.
    """
    try:
        text = (root / "proc/meminfo").read_text()
        machine = 1024 * _figures(text)["MemAvailable:"]
    except (OSError, KeyError):
        return _ELSEWHERE
    return max(0, min([machine, *_left_in_groups(root)])) / 1e9


def _left_in_groups(root: pathlib.Path) -> Iterator[int]:
    """Bytes left in each control group that limits this process's memory."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, names = "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            mount = "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # A container may see its own group as the root, and still read the whole path.
        relative = pathlib.PurePosixPath(path.lstrip("/"))
        for group in (relative, *relative.parents):
            folder = root / mount / group
            try:
                limit, used = ((folder / name).read_text() for name in names)
                cached = _figures((folder / "memory.stat").read_text())
                inactive = cached.get("total_inactive_file", cached["inactive_file"])
                yield int(limit) - int(used) + inactive
            except (OSError, KeyError, ValueError):
                continue  # It is not there, or its limit is the word "max".


def _figures(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
