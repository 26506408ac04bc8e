"""What a decision of yes or no makes of each grade: is it the grave ones it misses?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluation import predictions as stored
from evaluation import proportions, resampling, scoring

CONFIDENCE = 0.95


def called(
    predictions: stored.Predictions, scorer: scoring.Scorer
) -> dict[str, dict[str, Any]]:
    """How many photographs of each grade are called diseased.

    Args:
        predictions: Of one split or a part of one.
        scorer: Theirs, at the run's threshold.

    Returns:
        Grade, "0" to "4", where photographs have it -> `n`, `called`, `share` and the
        ends of its Wilson interval, `low` and `high`; nothing where the task has more
        than two classes, or no grade is known.
    """
    if scorer.num_classes != 2:
        return {}
    grades = np.array(predictions.known["grade"], object)
    units = resampling.number_units(predictions.patients, len(grades))
    found = {}
    for grade in sorted(set(grades) - {""}):
        chosen = grades == grade
        said = scorer.said_diseased[chosen].astype(np.float64)
        size = proportions.effective_size(said, units[chosen])
        share = float(said.mean())
        low, high = proportions.wilson(share, size, CONFIDENCE)
        found[grade] = {
            "n": len(said),
            "called": int(said.sum()),
            "share": share,
            "low": low,
            "high": high,
        }
    return found


def without(scores: Mapping[str, Any]) -> int:
    """How many photographs of a split or a part of one have no grade.

    Args:
        scores: Its entry in `metrics.json`.
    """
    graded = sum(one["n"] for one in scores.get("by_grade", {}).values())
    return scores["n"] - graded
