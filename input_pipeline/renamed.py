"""Finds photographs that were published again, by their files' names.

A re-export may be cropped, filtered or turned, so that no comparison of pictures knows
it again; its name often does.
"""

import collections
import re
from collections.abc import Sequence

from input_pipeline import photograph


def pairs(
    photographs: Sequence[photograph.Photograph],
) -> list[tuple[str, str]]:
    """Photographs of one picture, by their names.

    Args:
        photographs: All that are compared, of any dataset.

    Returns:
        Ids of two photographs each: re-exports with their sources, and photographs of
        APTOS 2019 in several datasets.
    """
    originals, exports = collections.defaultdict(list), collections.defaultdict(list)
    for one in photographs:
        if source := roboflow_source(one.path.name):
            exports[source].append(one)
        else:
            originals[one.path.stem].append(one)
    found = []
    for name in dict.fromkeys([*exports, *originals]):
        named, exported = originals.get(name, []), exports.get(name, [])
        if is_aptos_code(name):
            # No two photographs share a code: it is the same picture in every set.
            sets = [_alone_in_their_set(named) + exported]
        else:
            # Numbered names, as IDRiD_001, are of several sets: only a name that one
            # photograph has says of which one an export was made.
            source = named if len(named) == 1 else []
            sets = [source + some for some in _by_set(exported)]
        for first, *others in filter(None, sets):
            found += [(first.id, one.id) for one in others]
    return found


def _by_set(
    photographs: Sequence[photograph.Photograph],
) -> list[list[photograph.Photograph]]:
    """The photographs of each dataset."""
    sets = collections.defaultdict(list)
    for one in photographs:
        sets[one.origin].append(one)
    return list(sets.values())


def _alone_in_their_set(
    photographs: Sequence[photograph.Photograph],
) -> list[photograph.Photograph]:
    """Those that share their name with no other photograph of their dataset."""
    return [some[0] for some in _by_set(photographs) if len(some) == 1]


def roboflow_source(name: str) -> str | None:
    """The name that a photograph had before Roboflow exported it.

    Args:
        name: A file's name, such as `000c1434d8d7_png.rf.<32 hex digits>.jpg`.

    Returns:
        The original's name without its extension, `000c1434d8d7`, or None if the name
        is no such export's.
    """
    match = re.fullmatch(r"(.+)_(?:png|jpe?g)\.rf\.[0-9a-f]{32}\.jpg", name, re.I)
    return match[1] if match else None


def is_aptos_code(name: str) -> bool:
    """Whether a file's name without its extension is a code of APTOS 2019.

    Re-exports of that set keep these names. Of twelve random hexadecimal digits one in
    three hundred has no letter; such a name may as well be a number or a date.
    """
    return re.fullmatch(r"(?=.*[a-f])[0-9a-f]{12}", name) is not None
