"""Plain-text table of a run's metrics, for the terminal."""

import textwrap
from collections.abc import Mapping, Sequence

from evaluation import by_grade
from input_pipeline import photograph

WIDTH = 80

# Class names up to here stand beside a metric without pushing its interval off.
_SHORT = 20

_COUNTS = ("photographs", "patients", "diseased", "threshold")

_LABELS = {
    "macro_f1": "macro F1",
    "ppv": "PPV",
    "npv": "NPV",
    "auc": "AUC",
    "pr_auc": "PR AUC",
    "brier": "Brier",
    "class_brier": "class Brier",
}


def render(scores: dict, class_names: Sequence[str]) -> str:
    """Lays out what `intervals.score_with_intervals` returns.

    Args:
        scores: That dict, or the same read back from `metrics.json`.
        class_names: A name for each class, in the order of the labels.

    Returns:
        Lines of at most 80 characters where the names allow it, without a final line
        break: the metrics with their intervals, then the confusion matrix.

    Raises:
        ValueError: If there is not one name for each class.
    """
    num_classes = len(scores["confusion_matrix"])
    if len(class_names) != num_classes:
        raise ValueError(
            f"`class_names` must hold {num_classes} names, one for each row of the "
            f"confusion matrix. Received: class_names={list(class_names)!r}."
        )
    lines = textwrap.wrap(_head(scores, class_names), WIDTH)
    labels = {name: _label(name, scores, class_names) for name in scores["metrics"]}
    lines += ["", *_metric_lines(scores["metrics"], labels, scores["confidence"])]
    counts = zip(class_names, scores["class_counts"], strict=True)
    absent = [name for name, count in counts if count == 0]
    if absent and scores["n"]:
        note = f"Balanced accuracy leaves out absent classes: {', '.join(absent)}."
        lines += ["", *textwrap.wrap(note, WIDTH)]
    lines += ["", "Photographs by true class (rows) and predicted class (columns)", ""]
    lines += _matrix_lines(scores["confusion_matrix"], class_names)
    if scores.get("by_grade"):
        head = f"Called {class_names[scores['disease_classes'][0]]}, by grade"
        if without := by_grade.without(scores):
            head += f"; {without:,} without a grade"
        lines += ["", head, ""]
        lines += _grade_lines(scores["by_grade"])
    return "\n".join(lines)


def side_by_side(columns: Mapping[str, dict], class_names: Sequence[str]) -> str:
    """Lays out the figures of several sets of photographs beside each other.

    Args:
        columns: Heading -> what `intervals.score_with_intervals` returns. What follows
            a comma in a heading stands below it.
        class_names: A name for each class, in the order of the labels.

    Returns:
        Lines without a final line break: a metric each, with its interval. Where not
        all columns fit into 80 characters, the first is repeated beside the others.
    """
    cells = {heading: _cells(one, class_names) for heading, one in columns.items()}
    heads = {heading: heading.partition(", ")[::2] for heading in columns}
    width = {
        heading: 2 + max(map(len, [*heads[heading], *one.values()]))
        for heading, one in cells.items()
    }
    # Some rows are not known of all columns; what is counted comes first.
    rows = [name for name in _COUNTS if any(name in one for one in cells.values())]
    rows += [name for one in cells.values() for name in one]
    rows = list(dict.fromkeys(rows))
    start = max(map(len, rows))
    first, *others = columns
    blocks = [[first]]
    for heading in others:
        taken = start + sum(width[one] for one in blocks[-1])
        if len(blocks[-1]) > 1 and taken + width[heading] > WIDTH:
            blocks.append([first])
        blocks[-1].append(heading)

    def lines(shown: Sequence[str]) -> list[str]:
        table = [("", [heads[one][0] for one in shown])]
        if any(heads[one][1] for one in shown):
            table.append(("", [heads[one][1] for one in shown]))
        table += [(name, [cells[one].get(name, "-") for one in shown]) for name in rows]
        found = []
        for name, values in table:
            padded = (
                f"  {value:{width[one] - 2}}"
                for one, value in zip(shown, values, strict=True)
            )
            found.append(f"{name:{start}}{''.join(padded)}".rstrip())
        rule = "-" * max(map(len, found))
        head = len(table) - len(rows)
        return [*found[:head], rule, *found[head:]]

    return "\n\n".join("\n".join(lines(shown)) for shown in blocks)


def _cells(scores: dict, class_names: Sequence[str]) -> dict[str, str]:
    """Name of a row -> its text for one set of photographs."""
    diseased = sum(scores["disease_matrix"][1])
    share = f" ({100 * diseased / scores['n']:.0f} %)" if scores["n"] else ""
    cells = {"photographs": f"{scores['n']:,}", "diseased": f"{diseased:,}{share}"}
    if scores.get("patients") is not None:
        cells["patients"] = f"{scores['patients']:,}"
    if scores.get("threshold") is not None:
        cells["threshold"] = f"{scores['threshold']:.4g}"
    for name, entry in scores["metrics"].items():
        text = "-" if entry["value"] is None else f"{entry['value']:.3f}"
        if entry.get("low") is not None:
            to = "-" if entry["low"] >= 0 else " to "  # A minus is no dash.
            text += f" ({entry['low']:.3f}{to}{entry['high']:.3f})"
        cells[_label(name, scores, class_names)] = text
    return cells


def label(name: str) -> str:
    """A metric's name as a reader knows it."""
    return _LABELS.get(name, name.replace("_", " "))


def _head(scores: dict, class_names: Sequence[str]) -> str:
    """How many photographs, and who is diseased and who is called so."""
    head = f"{scores['n']:,} {'photograph' if scores['n'] == 1 else 'photographs'}"
    if scores.get("patients") is not None:
        patients = scores["patients"]
        head += f" of {patients:,} {'patient' if patients == 1 else 'patients'}"
    head += f"; disease: {', '.join(class_names[c] for c in scores['disease_classes'])}"
    if scores.get("threshold") is not None:
        head += f", called from a probability of {scores['threshold']:.4g}"
    return head


def _label(name: str, scores: dict, class_names: Sequence[str]) -> str:
    """A metric's name, with what it depends on."""
    if name.startswith("recall_"):
        number = int(name.removeprefix("recall_"))
        short = len(class_names[number]) <= _SHORT
        return f"recall of {class_names[number] if short else f'class {number}'}"
    if name.endswith("_at_prevalence"):
        return f"{label(name[:3])} at prevalence {scores['prevalence']:g}"
    return label(name)


def _metric_lines(entries: dict, names: dict[str, str], confidence: float) -> list[str]:
    name_width = max(map(len, names.values()))
    count_width = max(len(f"{entry['n']:,}") for entry in entries.values())
    head = f"{'metric':{name_width}}  {'value':>6}  {'n':>{count_width}}  "
    lines = [f"{head}{100 * confidence:g} % interval"]
    lines.append("-" * (len(head) + len("0.000 to 0.000")))
    for name, entry in entries.items():
        if name == "sensitivity" and "off_by_one" in entries:
            lines.append("")  # above are the figures of grades, below of the disease
        value = "-" if entry["value"] is None else f"{entry['value']:.3f}"
        start = f"{names[name]:{name_width}}  {value:>6}  "
        start += f"{entry['n']:>{count_width},}  "
        lines += textwrap.wrap(
            _interval(entry),
            width=WIDTH,
            initial_indent=start,
            subsequent_indent=" " * len(start),
        )
    return lines


def _interval(entry: dict) -> str:
    if entry["value"] is None:
        return f"undefined: {entry['reason']}"
    if entry["low"] is None:
        return f"none: {entry['reason']}"
    return f"{entry['low']:.3f} to {entry['high']:.3f}"


def _matrix_lines(matrix: list[list[int]], class_names: Sequence[str]) -> list[str]:
    lines = _aligned(matrix, class_names, class_names)
    if max(map(len, lines)) <= WIDTH:
        return lines
    # Names too long to stand side by side: columns are numbered, rows say which is who.
    numbered = [f"{number} {name}" for number, name in enumerate(class_names)]
    return _aligned(matrix, numbered, [str(c) for c in range(len(class_names))])


def _aligned(
    matrix: list[list[int]], row_names: Sequence[str], column_names: Sequence[str]
) -> list[str]:
    """A header, a rule and a line for each row, with the recall at its end."""
    cells = [[f"{count:,}" for count in row] for row in matrix]
    cells = [[*row, _recall(matrix, c)] for c, row in enumerate(cells)]
    header = [*column_names, "recall"]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    name_width = max(map(len, row_names))

    def line(name, row):
        padded = (f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True))
        return f"{name:{name_width}}   {'   '.join(padded)}"

    top = line("", header)
    rows = [line(name, row) for name, row in zip(row_names, cells, strict=True)]
    return [top, "-" * len(top), *rows]


def _grade_lines(grades: Mapping[str, Mapping]) -> list[str]:
    """A header, a rule and a line for each grade."""
    rows = [("grade", "called", "share", "95 % interval")]
    for grade, one in grades.items():
        rows.append(
            (
                f"{grade} {photograph.GRADES[int(grade)]}",
                f"{one['called']:,} of {one['n']:,}",
                f"{one['share']:.3f}",
                f"{one['low']:.3f} to {one['high']:.3f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{name:{widths[0]}}   {count:>{widths[1]}}   {share:>{widths[2]}}  {ends}"
        for name, count, share, ends in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _recall(matrix: list[list[int]], number: int) -> str:
    total = sum(matrix[number])
    return f"{100 * matrix[number][number] / total:.0f} %" if total else "-"
