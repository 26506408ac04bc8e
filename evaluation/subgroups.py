"""The same figures for parts of the photographs: by camera, quality, eye or origin."""

from collections.abc import Sequence

import numpy as np

from evaluation import intervals


def score_subgroups(
    labels: np.ndarray,
    probabilities: np.ndarray,
    disease_classes: tuple[int, ...],
    membership: Sequence[str],
    *,
    groups: Sequence[str | None] | None = None,
    confidence: float = 0.95,
    **settings,
) -> dict[str, dict]:
    """Scores each subgroup by itself.

    Among many intervals some miss by chance alone. Here all of the subgroups' intervals
    of one metric hold together with the confidence that is asked for: each is made at
    `confidence ** (1 / subgroups)` (Sidak, 1967).

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        probabilities: float array of shape `(n, num_classes)`, 0-1, rows summing to 1.
        disease_classes: The classes that mean disease.
        membership: The subgroup of each photograph.
        groups: The patient of each photograph, `None` for one who is not known.
        confidence: Share of such sets of intervals that all hold, 0-1 exclusive.
        **settings: Others of `intervals.score_with_intervals`.

    Returns:
        By subgroup, in alphabetical order, what `intervals.score_with_intervals`
        returns; its `n` is the subgroup's and its `confidence` the corrected one.

    Raises:
        ValueError: If there is not one subgroup for each photograph, or as
            `intervals.score_with_intervals` raises it.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if len(membership) != len(labels):
        raise ValueError(
            f"`membership` must name the subgroup of each of the {len(labels)} "
            f"photographs. Received: {len(membership)} of them."
        )
    intervals.check_settings(settings.get("resamples", 2000), confidence)
    membership = np.array(membership, dtype=object)
    names = sorted(set(membership))
    return {
        name: intervals.score_with_intervals(
            labels[membership == name],
            probabilities[membership == name],
            disease_classes,
            groups=groups and [groups[i] for i in np.flatnonzero(membership == name)],
            confidence=confidence ** (1 / len(names)),
            **settings,
        )
        for name in names
    }
