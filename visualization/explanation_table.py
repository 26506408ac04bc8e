"""The scores of explanations as plain text, for the terminal: tables, and in words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from visualization import pictures

_SHOWN = ("not trained on", "trained on", "of the test set")
_HEAD = (
    "n",
    "pointing (95 %)",
    "chance",
    "energy",
    "precision",
    "chance",
    "IoU",
    "chance",
    "enrichment (95 %)",
)
_CONTROL = "optic_disc"
_CHANCE = "chance"
_MUCH_OUTSIDE = 0.1
_BY_HEART = 0.95
_OUTCOMES = {
    "hits": "hits",
    "misses_by_one": "misses by one class",
    "misses_by_more": "misses by more",
}


def report(content: Mapping[str, Any]) -> str:
    """Lays out `scores.json`.

    Args:
        content: What `Explanations.explain` returned.

    Returns:
        Tables of curves, checks and agreement with lesions, each followed by what it
        means, without a final line break.
    """
    texts = [_explained(content)]
    for method, facts in content["methods"].items():
        if "refused" in facts:
            texts.append(f"{method} is left out: {facts['refused']}")
    texts += [_pictures(split, some) for split, some in content["pictures"].items()]
    if content["sanity"]:
        texts.append(_sanity(content["sanity"]))
        if content["random_labels"]:
            texts.append(_random_labels(content))
        texts.append(f"Offered: {', '.join(content['offered']) or 'none'}.")
        texts.append(_stability(content["stability"]))
    texts += _lesions(content["lesions"], content["settings"]["tolerance"])
    return "\n\n".join(texts)


def _explained(content: Mapping[str, Any]) -> str:
    names = content["task"]["class_names"]
    disease = [names[number] for number in content["task"]["disease_classes"]]
    if content["settings"]["explained"] == "predicted":
        text = f"what speaks for the class that is predicted, of {_quoted(names)}"
    elif len(disease) == 1:
        text = f"what speaks for {_quoted(disease)}, also where it is not predicted"
    else:
        text = (
            f"what speaks for the most probable of {_quoted(disease)}, also where "
            "another class is predicted"
        )
    note = content["note"]
    return f"The heat maps show {text}." + (f" {note}" if note else "")


def _pictures(split: str, found: Mapping[str, Any]) -> str:
    counts = {name: found[name] for name in pictures.OUTCOMES}
    every = sum(one["photographs"] for one in counts.values())
    shown = sum(one["pictured"] for one in counts.values())
    parts = [
        f"{one['pictured']} of {one['photographs']} {_OUTCOMES[name]}"
        for name, one in counts.items()
        if one["photographs"]
    ]
    curves = found["curves"]
    rows = [("", "insertion", "deletion", "outside the retina")]
    rows += [
        (method, *(_number(one, ".3f") for one in areas.values()))
        for method, areas in curves.items()
    ]
    chance, methods = curves[_CHANCE], [name for name in curves if name != _CHANCE]
    useful = [
        name
        for name in methods
        if curves[name]["insertion"] > chance["insertion"]
        and curves[name]["deletion"] < chance["deletion"]
    ]
    less = [n for n in methods if curves[n]["insertion"] <= chance["insertion"]]
    outside = [
        f"{name} {curves[name]['outside_retina']:.0%}"
        for name in methods
        if (curves[name]["outside_retina"] or 0) > _MUCH_OUTSIDE
    ]
    means = f"Better than a random map in both: {_listed(useful)}."
    if less:
        means += (
            f" What {_listed(less)} {_verb(less, 'point', 'points')} at brings the "
            "class no sooner than random places do."
        )
    if outside:
        means += f" Much evidence outside the retina, so none: {', '.join(outside)}."
    return (
        f"Of the {every} photographs of {split!r}, {shown} are pictured and measured "
        f"here: {', '.join(parts)}; where not all, evenly spread over the split.\n"
        "Areas under the curves: insertion is to be high, deletion low; and the share "
        f"of the evidence outside the retina\n{_aligned(rows)}\n{means}"
    )


def _sanity(checked: Mapping[str, Any]) -> str:
    last = {name: one["stages"][-1] | one for name, one in checked.items()}
    return (
        "Likeness of maps to those of a network with all weights in random order: is "
        f"to be low\n{_likeness(last, 'what the model has learnt')}"
    )


def _random_labels(content: Mapping[str, Any]) -> str:
    learnt = content["random_labels_learnt"]
    text = (
        "Likeness of maps to those of a network that learnt random labels, "
        f"{content['settings']['random_labels']}: is to be low\n"
        f"{_likeness(content['random_labels'], 'what the labels mean')}"
    )
    if learnt is not None:
        text += f" That network knew {learnt:.0%} of its random labels by heart"
        text += "." if learnt >= _BY_HEART else ": train it longer, this proves little."
    return text


def _likeness(checked: Mapping[str, Any], what: str) -> str:
    rows = [("", "correlation", "SSIM", "")]
    for method, found in checked.items():
        verdict = "" if found["passes"] else "FAILS: do not believe its maps"
        if found["correlation"] is None:
            verdict = "unknown: no map has evidence"
        cells = (_number(found[one], ".2f") for one in ("correlation", "ssim"))
        rows.append((method, *cells, verdict))
    known = {n: one for n, one in checked.items() if one["correlation"] is not None}
    failed = [name for name, found in known.items() if not found["passes"]]
    if failed:
        means = f"Hardly {_verb(failed, 'depend', 'depends')} on {what}"
        means = f"{means}: {_listed(failed)}."
    elif known:
        which = "All maps" if len(known) == len(checked) else "All other maps"
        means = f"{which} depend on {what}."
    else:
        means = "Nothing can be said."
    return f"{_aligned(rows)}\n{means}"


def _stability(checked: Mapping[str, Any]) -> str:
    changes = next(iter(checked.values()))
    rows = [("", *changes)]
    for method, found in checked.items():
        rows.append((method, *(_moved(one) for one in found.values())))
    kept = {
        method: [
            one["correlation"] for one in found.values() if one["ssim"] is not None
        ]
        for method, found in checked.items()
    }
    least = {method: min(some) for method, some in kept.items() if some}
    shifts = [
        one["peak_shift"]
        for found in checked.values()
        for one in found.values()
        if one["peak_shift"] is not None
    ]
    means = "No map has evidence that could move."
    if least:
        best, worst = max(least, key=least.get), min(least, key=least.get)
        means = f"At worst a map of {best} keeps {least[best]:.2f}"
        if best != worst:
            means += f", the steadiest, and one of {worst} {least[worst]:.2f}"
        means += "."
    if shifts:
        means += (
            f" A maximum moves by up to {max(shifts):.2f} of the side on average: "
            "believe no place more closely than that."
        )
    return (
        "Likeness of maps to those of a photograph that was changed harmlessly, as "
        "correlation and shift of the maximum in sides: is to be high, and low\n"
        f"{_aligned(rows)}\n{means}"
    )


def _moved(found: Mapping[str, Any]) -> str:
    return " ".join(_number(found[one], ".2f") for one in ("correlation", "peak_shift"))


def _lesions(lesions: Mapping[str, Any] | None, tolerance: float) -> list[str]:
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
    if any(group in lesions["scores"] for group in _SHOWN):
        texts.append(
            "Pointing: how often a map's maximum is on a lesion, or within "
            f"{tolerance:.0%} of the side. Energy: share of the map on lesions, whose "
            "chance is that of\nprecision. Precision, IoU: of its highest pixels, as "
            "many as lesions have. Enrichment: energy over area; chance is 1."
        )
    for group in _SHOWN:
        if group not in lesions["scores"]:
            continue
        rows = [("", "", *_HEAD)]
        for method, by_lesion in lesions["scores"][group].items():
            for lesion, scores in by_lesion.items():
                rows.append((method, lesion, *_cells(scores)))
        texts.append(
            f"Agreement with lesions, photographs {group}\n{_aligned(rows)}\n"
            f"{_agreement(lesions['scores'][group])}"
        )
    return texts


def _agreement(scores: Mapping[str, Any]) -> str:
    """Which methods find which lesions, as far as the intervals allow to say so."""
    lesions = list(dict.fromkeys(one for some in scores.values() for one in some))

    def found(lesion: str, metric: str, is_so: Callable[[Mapping], bool]) -> list[str]:
        return [
            method
            for method, some in scores.items()
            if lesion in some
            and some[lesion][metric]["low"] is not None
            and is_so(some[lesion][metric])
        ]

    def above(one: Mapping[str, float]) -> bool:
        return one["low"] > one["chance"]

    def below(one: Mapping[str, float]) -> bool:
        return one["high"] < one["chance"]

    sentences = ["What whole intervals allow to say, against chance:"]
    for lesion in lesions:
        more, less = (found(lesion, "enrichment", one) for one in (above, below))
        words = f"  {lesion}: more evidence there by {_all(more, scores)}"
        if less:
            words += f"; less by {_all(less, scores)}"
        pointing = found(lesion, "pointing", above)
        words += f"; pointed at more often by {_all(pointing, scores)}."
        if lesion == _CONTROL and more:
            words += " It is no lesion."
        sentences.append(words)
    empty = {
        method: max(one["empty_maps"] for one in some.values())
        for method, some in scores.items()
    }
    if any(empty.values()):
        named = ", ".join(f"{one} {count}" for one, count in empty.items() if count)
        sentences.append(f"Maps without evidence, which miss everything: {named}.")
    return "\n".join(sentences)


def _cells(scores: Mapping[str, Any]) -> list[str]:
    precision, iou = scores["precision"], scores["iou"]
    return [
        str(scores["photographs"]),
        _interval(scores["pointing"]),
        f"{scores['pointing']['chance']:.2f}",
        f"{scores['energy']['value']:.3f}",
        f"{precision['value']:.3f}",
        f"{precision['chance']:.3f}",
        f"{iou['value']:.3f}",
        f"{iou['chance']:.3f}",
        _interval(scores["enrichment"]),
    ]


def _interval(one: Mapping[str, float | None]) -> str:
    if one["low"] is None:
        return f"{one['value']:.2f} (-)"
    return f"{one['value']:.2f} ({one['low']:.2f}-{one['high']:.2f})"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _quoted(names: Iterable[str]) -> str:
    return _listed([f"“{one}”" for one in names])


def _all(names: Sequence[str], every: Sequence[str] | Mapping[str, Any]) -> str:
    """A list in words; "all" where it is all of several."""
    return "all" if len(names) == len(every) > 1 else _listed(names)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _verb(names: Sequence[str], several: str, one: str) -> str:
    return several if len(names) > 1 else one


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
