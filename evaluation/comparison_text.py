"""A comparison as plain text, for the terminal."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation import table

_NAME = 28
"""Longest run name that stands in a column; a longer one has a line of its own."""

_COLUMN = 22
"""Width of "0.861 (0.774 to 0.918)"."""


def report(result: Mapping[str, Any]) -> str:
    """A comparison as text of at most 80 columns, where names allow it.

    Args:
        result: The content of `comparison.json`.

    Returns:
        Lines without a final line break.
    """
    settings, n = result["settings"], result["photographs"]
    count = f"{n:,} {'photograph' if n == 1 else 'photographs'}"
    blocks = [_wrap(f"{count} of {settings['split']!r}. {' '.join(result['notes'])}")]
    if result["left_out"]:
        blocks.append(_wrap(f"Left out: {left_out(result['left_out'])}."))
    for question in result["questions"]:
        blocks.append(_wrap(f"Task: {question['rule']}"))
        if len(question["tasks"]) > 1:
            blocks.append(_wrap(mixed(question)))
        blocks += _tables(question["runs"], settings["metrics"])
        blocks += [_pair(pair, question) for pair in question["pairs"]]
        if question["pairs"]:
            blocks.append(_wrap(noise(question)))
        if question["non_inferiority"]:
            blocks.append(_judgements(question))
    blocks += [_wrap(joint(one)) for one in result["joint"]]
    return "\n\n".join(blocks)


def left_out(entries: Iterable[Mapping[str, Any]]) -> str:
    """What was left out, run by run, and why.

    Args:
        entries: `left_out` of a comparison.

    Returns:
        Part of a sentence.
    """
    return "; ".join(
        f"{one['photographs']:,} of {one['run']}, which {one['reason']}"
        for one in entries
    )


def mixed(question: Mapping[str, Any]) -> str:
    """A sentence on runs of different tasks that answer the same question."""
    thresholds = ", ".join(
        f"{name} {one['threshold']:.3g}" for name, one in question["runs"].items()
    )
    return (
        f"Runs of different tasks ({', '.join(question['tasks'])}) answer it as two "
        "classes, disease or none; so are all figures. Diseased from a probability of: "
        f"{thresholds}."
    )


def noise(question: Mapping[str, Any]) -> str:
    """Sentences on which runs tell the noise of a seed, and how large it is."""
    if not question["repeats"]:
        return (
            "No two of these runs differ in nothing but train.seed, so how much a seed "
            "changes is not known. Train one of them with other seeds and name those "
            "runs too."
        )
    groups = "; ".join(", ".join(one) for one in question["repeats"])
    amounts = ", ".join(
        f"{table.label(name)} {floor['deviation']:.3f}"
        for name, floor in question["noise"].items()
        if floor is not None
    )
    text = f"Nothing but train.seed differs between {groups}."
    if not amounts:
        return text
    return (
        f"{text} Standard deviation of the difference between two such runs: {amounts}."
    )


def margin(question: Mapping[str, Any]) -> str:
    """Sentences on how runs are judged against the first by a margin."""
    first = question["non_inferiority"][0]
    confidence = question["confidence"]
    return (
        f"By a margin of {first['margin']:g}, to be chosen before comparing, a run is "
        f"not inferior to {first['reference']} where the {100 * confidence:g} % "
        f"interval of its difference from {first['reference']} lies above "
        f"-{first['margin']:g} (one-sided test at {50 * (1 - confidence):.3g} %). "
        "No correction is made: claiming it of every figure and run judged here needs "
        "none, picking those that pass would."
    )


def mcnemar(pair: Mapping[str, Any], question: Mapping[str, Any]) -> str:
    """A sentence on which photographs each of a pair is right about."""
    test, first, second = pair["mcnemar"], pair["first"], pair["second"]
    two = len(question["class_names"]) == 2
    text = (
        f"Right {'at its threshold' if two else 'about the class'}: both "
        f"{test['both_right']:,}, only {first} {test['only_first_right']:,}, only "
        f"{second} {test['only_second_right']:,}, neither {test['both_wrong']:,}: "
    )
    if test["p"] is None:
        return f"{text}without a test, since {test['reason']}."
    if pair["repeat"]:
        return f"{text}noise of the seed. McNemar, {p_values(test)}."
    chance = test["p_holm"] >= 1 - question["confidence"]
    kind = "not distinguishable from chance" if chance else "more than chance"
    return f"{text}{kind}. McNemar, {p_values(test)}."


def joint(entry: Mapping[str, Any]) -> str:
    """Sentences on how often two runs of different tasks are both right."""
    first, second = entry["first"], entry["second"]
    n = sum(entry[name] for name in ("both_right", "both_wrong"))
    n += entry["only_first_right"] + entry["only_second_right"]
    return (
        f"{first} ({entry['first_task']}) and {second} ({entry['second_task']}) both "
        f"right: {with_interval(entry)}, {entry['both_right']:,} of {n:,} photographs "
        f"({entry['method']}). Only {first} right: {entry['only_first_right']:,}, only "
        f"{second}: {entry['only_second_right']:,}, neither: {entry['both_wrong']:,}."
    )


def with_interval(entry: Mapping[str, Any], number: str = "{:.3f}") -> str:
    """A value with its interval, as far as there is one.

    Args:
        entry: `value`, and perhaps `low` and `high`.
        number: How to write a number.

    Returns:
        As in "0.861 (0.774 to 0.918)".
    """
    if entry["value"] is None:
        return "undefined"
    text = number.format(entry["value"])
    if entry.get("low") is None:
        return text
    low, high = (number.format(entry[name]) for name in ("low", "high"))
    return f"{text} ({low} to {high})"


def p_values(test: Mapping[str, Any]) -> str:
    """As in "p = 0.012, corrected for all comparisons = 0.024"."""
    text = f"p {_compared(test['p'])}"
    if test["p_holm"] not in (None, test["p"]):
        text += f", corrected for all comparisons {_compared(test['p_holm'])}"
    return text


def _compared(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _pair(pair: Mapping[str, Any], question: Mapping[str, Any]) -> str:
    """Each difference's verdict, with what it rests on."""
    texts = []
    for row in pair["differences"].values():
        text = row["verdict"]
        if row["p"] is not None:
            text += f" {row['method'][0].upper()}{row['method'][1:]}, {p_values(row)}."
        texts.append(text)
    texts.append(mcnemar(pair, question))
    lines = [_wrap(f"- {one}", "  ") for one in texts]
    return "\n".join([_wrap(f"{pair['first']} and {pair['second']}"), *lines])


def _judgements(question: Mapping[str, Any]) -> str:
    """How runs are judged against the first, and each answer."""
    texts = [one["verdict"] for one in question["non_inferiority"]]
    lines = [_wrap(f"- {one}", "  ") for one in texts]
    return "\n".join([_wrap(margin(question)), *lines])


def _tables(scores: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """A row a run; more metrics than fit side by side make another table."""
    width = min(max(map(len, [*scores, "run"])), _NAME)
    fitting = max(1, (table.WIDTH - width) // (_COLUMN + 2))
    return [
        _table(scores, names[start : start + fitting], width)
        for start in range(0, len(names), fitting)
    ]


def _table(
    scores: Mapping[str, Mapping[str, Any]], names: Sequence[str], width: int
) -> str:
    def line(first: str, cells: Iterable[str]) -> str:
        above = f"{first}\n" if len(first) > width else ""
        padded = "  ".join(f"{cell:{_COLUMN}}" for cell in cells)
        return f"{above}{'' if above else first:{width}}  {padded}".rstrip()

    rows = {
        run: [with_interval(one["metrics"][name]) for name in names]
        for run, one in scores.items()
    }
    notes = [
        _wrap(f"{run}, {table.label(name)}: {one['metrics'][name]['reason']}.")
        for run, one in scores.items()
        for name in names
        if "reason" in one["metrics"][name]
    ]
    confidence = next(iter(scores.values()))["confidence"]
    return "\n".join(
        [
            line("run", [table.label(name) for name in names]),
            "-" * (width + len(names) * (_COLUMN + 2)),
            *(line(run, cells) for run, cells in rows.items()),
            f"In brackets: {100 * confidence:g} % intervals.",
            *notes,
        ]
    )


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        table.WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
