"""Which interval belongs to which figure, in sentences for a reader."""

from collections.abc import Callable, Mapping
from typing import Any

from evaluation import intervals

_TEXTS = {
    intervals.WILSON: "Wilson's score interval, which holds for few photographs and "
    "near 0 and 1",
    intervals.COMBINED: "put together from the Wilson intervals of the shares that it "
    "follows from",
    intervals.WILSON_OF_DISEASED: "Wilson's score interval as of a share of the "
    "diseased, rather too wide than too narrow",
    intervals.DELONG: "DeLong's interval on the logit scale",
    intervals.OBUCHOWSKI: "Obuchowski's interval on the logit scale, which is DeLong's "
    "with patients for photographs",
    intervals.NEWCOMBE: "Newcombe's interval, since a faultless ranking has no "
    "variance of its own",
    intervals.BOOTSTRAP: "percentiles of {resamples:,} bootstrap resamples",
    intervals.REFLECTED: "percentiles of {resamples:,} bootstrap resamples, reflected "
    "about the value, since noise alone makes it larger",
}


def sentences(scores: Mapping[str, Any], label: Callable[[str], str]) -> list[str]:
    """Says what the intervals of some photographs are, a kind a sentence.

    Args:
        scores: What `intervals.score_with_intervals` returns.
        label: A metric's name -> the same for a reader.

    Returns:
        Sentences that begin with the figures they are about; the last tells how
        patients count, where they have several photographs.
    """
    kinds: dict[str, list[str]] = {}
    by_patient = False
    for name, entry in scores["metrics"].items():
        if entry.get("low") is None:
            continue
        method = entry["method"].removesuffix(intervals.BY_PATIENT)
        by_patient = by_patient or method != entry["method"]
        shown = "recall" if name.startswith("recall_") else label(name)
        if shown not in kinds.setdefault(method, []):
            kinds[method].append(shown)
    texts = [
        f"{_listed(kinds[method])}: {text.format(resamples=scores['resamples'])}."
        for method, text in _TEXTS.items()
        if method in kinds
    ]
    if by_patient:
        texts.append(
            "Photographs of one patient are alike, so all of these count for as many "
            "photographs as they are worth, or draw whole patients."
        )
    return texts


def _listed(names: list[str]) -> str:
    *others, last = names
    text = f"{', '.join(others)} and {last}" if others else last
    return text[0].upper() + text[1:]
