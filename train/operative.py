"""The parameters that a run has used, put together from all of its starts.

gin tells what this process has used. A start that only evaluates builds no model, and
one that evaluates otherwise leaves behind what an earlier one was asked for.
"""

import re

_ENTRY_POINTS = ("prepare", "audit", "split", "ensemble", "train", "evaluate")
_MACROS = "Macros"
_HEADING = re.compile(rf"^# (?:Parameters for (.+)|{_MACROS}):$", re.MULTILINE)


def merge(before: str, now: str) -> str:
    """Brings what was used before up to date.

    Args:
        before: `gin.operative_config_str()` of earlier starts, merged; or "".
        now: That of this one.

    Returns:
        gin text: the blocks of now, and those of before that something still refers to.
    """
    old_head, old = _blocks(before)
    head, new = _blocks(now)
    blocks = old | new
    reached: set[str] = set()
    waiting = [*_ENTRY_POINTS]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for heading, text in blocks.items():
            if _bare(heading) == name:
                waiting += map(_bare, re.findall(r"@([\w./]+)", text))
    kept = {
        heading: text
        for heading, text in blocks.items()
        if heading in new or heading == _MACROS or _bare(heading) in reached
    }
    imports = dict.fromkeys([*old_head.splitlines(), *head.splitlines()])
    lines = "\n".join(line for line in imports if line)
    return "\n\n".join([lines, *kept.values()]).strip() + "\n"


def _blocks(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the first block, and the blocks by what they are of."""
    found = list(_HEADING.finditer(text))
    if not found:
        return text.strip(), {}
    ends = [one.start() for one in found[1:]] + [len(text)]
    return text[: found[0].start()].strip(), {
        one[1] or _MACROS: text[one.start() : end].strip()
        for one, end in zip(found, ends, strict=True)
    }


def _bare(name: str) -> str:
    """A configurable's name without scope and module."""
    return re.split(r"[./]", name)[-1]
