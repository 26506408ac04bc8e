"""Whether a run is worse than a reference by less than a margin: non-inferiority.

As a student, smaller and faster, beside its teacher. That a difference is not
distinguishable from chance shows no such thing: so are all on few photographs. The
test is that of ICH E9 (1998, section 3.3.2) and of the FDA's guidance on
non-inferiority trials (2016): a two-sided 95 % interval whose unfavourable end lies
within the margin, which tests one-sided at 2.5 %.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from evaluation import scoring, table


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a comparison shows of one run, one figure and a margin.

    Attributes:
        reference: Name of the run that is compared with.
        run: Name of the one that is judged.
        metric: Which figure, by its name in `metrics.json`.
        margin: By how much the run may be worse, 0-1 exclusive.
        advantage: The run's figure less the reference's, turned round where lower is
            better: above 0 the run is better. `None` where either is undefined.
        low: Lower end of its interval.
        high: Upper end.
        answer: "not inferior" where the interval lies above `-margin`, "inferior"
            where it lies below, "not shown" where `-margin` is within or at an end, and
            "not known" without an interval.
        verdict: The same as a sentence.
    """

    reference: str
    run: str
    metric: str
    margin: float
    advantage: float | None
    low: float | None
    high: float | None
    answer: str
    verdict: str


def judge(
    reference: str, run: str, metric: str, row: Mapping[str, Any], margin: float
) -> Judgement:
    """Judges a run by its difference from a reference.

    Args:
        reference: Name of the run that is compared with.
        run: Name of the one that is judged.
        metric: The figure's name.
        row: `verdicts.Difference` as a dict, the reference first.
        margin: By how much the run may be worse, above 0.

    Returns:
        The judgement. Of an interval without a width nothing is known: resamples of
        photographs that do not tell two runs apart do not show what others would.
    """
    advantage, low, high = row["difference"], row["low"], row["high"]
    turned = metric in scoring.LOWER_IS_BETTER
    if not turned:  # Not by a minus, which would write -0.000.
        advantage, low, high = (
            None if one is None else 0.0 - one for one in (advantage, high, low)
        )
    reason = row["reason"]
    if reason is None and low == high:
        reason = "no photograph tells the two apart, so the interval has no width"
    what = f"to {reference} in {table.label(metric)} by"
    if reason is not None:
        answer = "not known"
        text = f"It is not known whether {run} is inferior {what} a margin of"
    elif low > -margin:
        answer = "not inferior"
        text = f"{run} is not inferior {what} a margin of"
    elif high < -margin:
        answer = "inferior"
        text = f"{run} is inferior {what} more than the margin of"
    else:
        answer = "not shown"
        text = f"It is not shown that {run} is not inferior {what} a margin of"
    text += f" {margin:g}: "
    if reason is not None:
        text += f"{reason}."
    else:
        note = ", turned round since lower is better," if turned else ""
        text += f"difference{note} {advantage:.3f} ({low:.3f} to {high:.3f})."
    return Judgement(reference, run, metric, margin, advantage, low, high, answer, text)
