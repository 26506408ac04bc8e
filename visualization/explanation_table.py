"""The scores of explanations as plain text, for the terminal."""

from collections.abc import Mapping
from typing import Any

_SHOWN = ("not trained on", "trained on", "of the test set")
_HEAD = (
    "photographs",
    "pointing",
    "chance",
    "enrichment (95 %)",
    "precision",
    "chance",
)


def report(content: Mapping[str, Any]) -> str:
    """Lays out `scores.json`.

    Args:
        content: What `Explanations.explain` returned.

    Returns:
        Tables of curves and of agreement with lesions, without a final line break.
    """
    names = content["task"]["class_names"]
    explained = content["settings"]["explained"]
    what = {
        "disease": "the most probable class that means disease",
        "predicted": "the predicted class",
    }[explained]
    texts = [f"Explained: {what}, of {', '.join(names)}."]
    for method, facts in content["methods"].items():
        if "refused" in facts:
            texts.append(f"{method} is left out: {facts['refused']}")
    texts += [_curves(split, some) for split, some in content["pictures"].items()]
    if content["sanity"]:
        texts.append(_sanity(content["sanity"]))
        if content["random_labels"]:
            texts.append(_random_labels(content))
        texts.append(f"Offered: {', '.join(content['offered']) or 'none'}.")
        texts.append(_stability(content["stability"]))
    texts += _lesions(content["lesions"])
    return "\n\n".join(texts)


def _curves(split: str, pictures: Mapping[str, Any]) -> str:
    rows = [("", "insertion", "deletion")]
    for method, areas in pictures["curves"].items():
        rows.append((method, f"{areas['insertion']:.3f}", f"{areas['deletion']:.3f}"))
    count = sum(one["pictured"] for name, one in pictures.items() if name != "curves")
    return (
        f"Areas under the curves of {count} photographs of {split!r}: insertion is to "
        f"be high, deletion low\n{_aligned(rows)}"
    )


def _sanity(checked: Mapping[str, Any]) -> str:
    last = {name: one["stages"][-1] | one for name, one in checked.items()}
    return (
        "Likeness of maps to those of a network with all weights in random order: is "
        f"to be low\n{_likeness(last)}"
    )


def _random_labels(content: Mapping[str, Any]) -> str:
    return (
        "Likeness of maps to those of a network that learnt random labels, "
        f"{content['settings']['random_labels']}: is to be low\n"
        f"{_likeness(content['random_labels'])}"
    )


def _likeness(checked: Mapping[str, Any]) -> str:
    rows = [("", "correlation", "SSIM", "")]
    for method, found in checked.items():
        verdict = "" if found["passes"] else "FAILS: do not believe its maps"
        cells = (f"{found['correlation']:.2f}", f"{found['ssim']:.2f}", verdict)
        rows.append((method, *cells))
    return _aligned(rows)


def _stability(checked: Mapping[str, Any]) -> str:
    changes = next(iter(checked.values()))
    rows = [("", *changes)]
    for method, found in checked.items():
        rows.append((method, *(_moved(one) for one in found.values())))
    return (
        "Likeness of maps to those of a photograph that was changed harmlessly, as "
        "correlation and shift of the maximum in sides: is to be high, and low\n"
        f"{_aligned(rows)}"
    )


def _moved(found: Mapping[str, Any]) -> str:
    shift = found["peak_shift"]
    return f"{found['correlation']:.2f} {'-' if shift is None else f'{shift:.2f}'}"


def _lesions(lesions: Mapping[str, Any] | None) -> list[str]:
    if lesions is None:
        return [
            "No lesion masks were found in the data folders: nothing to agree with."
        ]
    counts = lesions["photographs"]
    text = (
        f"Photographs with lesion masks: {counts['train']} trained on, "
        f"{counts['valid']} validated on, {counts['unseen']} never seen, "
        f"{counts['test']} of the test set"
    )
    texts = [text + (", left out." if lesions["left_out"] else ".")]
    for group in _SHOWN:
        if group not in lesions["scores"]:
            continue
        rows = [("", "", *_HEAD)]
        for method, by_lesion in lesions["scores"][group].items():
            for lesion, scores in by_lesion.items():
                rows.append((method, lesion, *_cells(scores)))
        texts.append(f"Agreement with lesions, photographs {group}\n{_aligned(rows)}")
    return texts


def _cells(scores: Mapping[str, Any]) -> list[str]:
    enrichment, pointing = scores["enrichment"], scores["pointing"]
    interval = "-"
    if enrichment["low"] is not None:
        interval = f"{enrichment['low']:.2f}-{enrichment['high']:.2f}"
    return [
        str(scores["photographs"]),
        f"{pointing['value']:.2f}",
        f"{pointing['chance']:.2f}",
        f"{enrichment['value']:.2f} ({interval})",
        f"{scores['precision']['value']:.3f}",
        f"{scores['precision']['chance']:.3f}",
    ]


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Columns of one width, text to the left and figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = 2 if rows[0][:2] == ("", "") else 1
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
