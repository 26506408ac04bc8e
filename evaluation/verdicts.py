"""What a difference between two models means, in a plain sentence."""

import dataclasses

from evaluation import paired_tests, scoring, table


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two sets of predictions differ in one metric.

    Attributes:
        first: The metric of the first.
        second: The metric of the second.
        difference: First less second; `None` where either is undefined.
        low: Lower end of the difference's interval.
        high: Upper end.
        p: Two-sided p-value of no difference.
        p_holm: The same, corrected for all the differences that are compared; `None`
            between repeats, which nobody doubts to differ by chance alone.
        method: What interval and p-value come from.
        reason: Why there is no difference, or no interval.
        noise: How much repeats differ; `None` where it is not known.
        meaningful: Whether it is more than chance and more than the noise of seeds;
            `None` where that cannot be said.
        verdict: The same as a sentence.
    """

    first: float | None
    second: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    method: str | None = None
    reason: str | None = None
    noise: paired_tests.Noise | None = None
    meaningful: bool | None = None
    verdict: str = ""


def judge(
    first: str,
    second: str,
    name: str,
    row: Difference,
    confidence: float,
    repeat: bool,
) -> tuple[bool | None, str]:
    """Says whether a difference means anything.

    Args:
        first: Name of the first model.
        second: Name of the second.
        name: The metric's name.
        row: The difference, all but its verdict.
        confidence: That of the interval, 0-1; a corrected p-value below its complement
            tells from chance.
        repeat: Whether the two differ in nothing but their seed.

    Returns:
        `meaningful` and `verdict` of the difference.
    """
    label = table.label(name)
    if row.difference is None:
        text = f"{first} and {second} cannot be compared by {label}: {row.reason}."
        return None, text
    text = _lead(first, second, name, row, confidence)
    seeds = "runs that differ in nothing but their seed"
    if repeat:
        return False, f"{text}: nothing but their seed differs, so this is noise."
    noise = f"; {seeds} differ by {row.noise.deviation:.3f}" if row.noise else ""
    if row.low is None:
        text += f": whether by chance cannot be said ({row.reason}){noise}."
        return None, text
    if row.p_holm >= 1 - confidence:
        many = row.p < 1 - confidence
        reason = "among so many comparisons, no more than chance"
        reason = reason if many else "not distinguishable from chance"
        return False, f"{text}: {reason}{noise}."
    text += ": more than chance on these photographs"
    if row.noise is None:
        text += "; whether more than between two seeds of one recipe is not known."
        return None, text
    source = (
        f"(standard deviation {row.noise.deviation:.3f} from {row.noise.runs} runs)"
    )
    if abs(row.difference) <= row.noise.reach:
        return False, f"{text}, but {seeds} can differ as much {source}."
    return True, f"{text}, and more than {seeds} {source}."


def _lead(
    first: str, second: str, name: str, row: Difference, confidence: float
) -> str:
    """Which of the two is better, by how much, with the interval of that advantage."""
    better, worse, low, high = first, second, row.low, row.high
    if (row.difference < 0) != (name in scoring.LOWER_IS_BETTER):
        better, worse = second, first
    if row.difference < 0 and row.low is not None:
        low, high = -row.high, -row.low
    label, amount = table.label(name), f"{abs(row.difference):.3f}"
    if amount == "0.000":
        amount = "less than 0.001"
    text = f"{better} is better than {worse} by {amount} {label}"
    if row.difference == 0:
        text = f"{first} and {second} do not differ in {label}"
    if low is None:
        return text
    return f"{text} ({100 * confidence:g} % interval {low:.3f} to {high:.3f})"
