"""Other datasets beside a run's own photographs, as reports show them."""

from collections.abc import Mapping
from typing import Any

from evaluation import external, operating_point


def columns(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The figures that stand side by side.

    Args:
        content: What `metrics.json` holds, of an evaluation on other datasets.

    Returns:
        Heading -> figures: of the run's own photographs, and of each other dataset at
        the run's threshold and, where it has one, at its own. What follows a comma in
        a heading says more.
    """
    splits, results = content["evaluation"]["splits"], content["results"]
    home = "test" if "test" in splits else splits[-1]
    found = {f"{home}, in-domain": results[home]}
    for name in content["others"]:
        found[name] = results.get(name) or results[f"{name} sample"]
        local = content.get("recalibrated", {}).get(name, {"results": {}})
        if name in local["results"]:
            found[f"{name}, own threshold"] = local["results"][name]
    return found


def left_out(counts: Mapping[str, Any]) -> str:
    """Who is left out, as in "4 known to the run, 1 without a label for the task"."""
    kinds = counts["left_out"]
    texts = (
        f"{kinds[one]:,} {said}" for one, said in external.KINDS.items() if one in kinds
    )
    return ", ".join(texts) or "none"


def own_threshold(local: Mapping[str, Any]) -> str:
    """A site's own threshold in words that follow "own threshold "."""
    point = local["decision"]["operating_point"]
    how = operating_point.in_words(point, local["decision"]["chosen_on"])
    if point["rule"] != operating_point.FIXED:
        how += f", {point['n_diseased']} of them diseased"
    return f"{point['threshold']:.3f}: {how}."
