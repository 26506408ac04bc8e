"""Checksums in a report: of what it shows, and of itself."""

import hashlib
import pathlib
import re

from input_pipeline import records

SHOWN = {"metrics": "metrics.json", "predictions": "predictions.csv"}
"""What a report shows -> the file that it is in."""

_TAG = '<meta name="retinograd-{}-sha256" content="{}">'
_ZEROS = "0" * 64


def seal(page: str, folder: pathlib.Path) -> str:
    """Writes into a report which figures it shows, and a checksum of all its text.

    Args:
        page: The HTML of the report, complete.
        folder: Where the `metrics.json` and the `predictions.csv` lie that it shows.

    Returns:
        The same page with three more tags in its head.

    Raises:
        ValueError: The page has no `<head>`.
    """
    if "<head>" not in page:
        raise ValueError("`page` must have a `<head>`, in which the checksums go.")
    tags = [
        _TAG.format(name, records.file_sha256(folder / file))
        for name, file in SHOWN.items()
    ]
    own = _TAG.format("report", _ZEROS)
    page = page.replace("<head>", "\n".join(["<head>", *tags, own]), 1)
    return page.replace(own, _TAG.format("report", _sha256(page)), 1)


def read(page: str) -> dict[str, str]:
    """The checksums in a report.

    Args:
        page: Its HTML.

    Returns:
        "metrics", "predictions" and "report" -> checksum, hexadecimal; without those
        that are missing.
    """
    pattern = _TAG.format(r"(\w+)", "([0-9a-f]{64})")
    return dict(re.findall(pattern, page))


def text_sha256(page: str) -> str:
    """Checksum of a sealed report's text, but for the checksum itself.

    Args:
        page: Its HTML.

    Returns:
        What `read` should give as "report".
    """
    pattern = _TAG.format("report", "[0-9a-f]{64}")
    return _sha256(re.sub(pattern, _TAG.format("report", _ZEROS), page, count=1))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
