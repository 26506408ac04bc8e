"""How far heatmaps agree with the lesions that an expert outlined.

Each score stands beside what chance gives: a map that is spread evenly over the retina
has an enrichment of 1. A map without evidence has missed every lesion.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from evaluation import proportions, resampling
from input_pipeline import lesion_masks

METRICS = ("pointing", "energy", "enrichment", "precision", "iou")
"""What `summarize` reports."""

_ENDS = (0.025, 0.975)


class Target:
    """The lesions of one kind in a photograph, ready to score any number of maps.

    Attributes:
        chance: What chance gives: `area` for `energy`, and `pointing_chance`,
            `precision_chance` and `iou_chance` for the others.
    """

    def __init__(self, shares: np.ndarray, retina: np.ndarray, tolerance: float):
        """Measures the lesions.

        Args:
            shares: float array of shape `(size, size)`, 0-1: how much of each pixel the
                lesions cover; not 0 everywhere.
            retina: bool array of shape `(size, size)`: where the photograph shows any.
            tolerance: Of the pointing game, as a share of the side.

        Raises:
            ValueError: The shapes differ, or there is no lesion.
        """
        if shares.shape != retina.shape:
            raise ValueError(
                "`shares` and `retina` must have one shape. Received: "
                f"{shares.shape} and {retina.shape}."
            )
        self._shares, self._mask = shares, lesion_masks.binary(shares)
        if not self._mask.any():
            raise ValueError("`shares` must cover something. Received: an empty mask.")
        seen = retina | self._mask
        self._pixels, whole = int(self._mask.sum()), int(seen.sum())
        distance = ndimage.distance_transform_edt(~self._mask)
        self._near = distance <= tolerance * max(self._mask.shape)
        area = self._pixels / whole
        self.chance = {
            "area": float(shares.sum() / whole),
            "pointing_chance": float((self._near & seen).sum() / whole),
            "precision_chance": area,
            "iou_chance": area / (2 - area),
        }

    def score(self, heatmap: np.ndarray) -> dict[str, float]:
        """Scores one heatmap.

        Args:
            heatmap: float array of shape `(size, size)`, 0-1.

        Returns:
            `pointing`: 1 if the map's maximum is within the tolerance of a lesion, else
            0 (Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2018);
            `energy`: share of the map's sum that lies on lesions; `precision` and `iou`
            of the map's highest values, as many as there are lesion pixels; and
            `chance`.

        Raises:
            ValueError: The map has another shape.
        """
        if heatmap.shape != self._mask.shape:
            raise ValueError(
                f"`heatmap` must have the lesions' shape {self._mask.shape}. Received: "
                f"{heatmap.shape}."
            )
        if not heatmap.max() > 0:
            missed = dict.fromkeys(("pointing", "energy", "precision", "iou"), 0.0)
            return missed | self.chance
        total = float(heatmap.sum(dtype=np.float64))
        inside = float((heatmap * self._shares).sum(dtype=np.float64))
        precision = _precision_of_highest(heatmap, self._mask, self._pixels)
        return {
            # Where several pixels share the maximum, the share of them that hits.
            "pointing": float(self._near[heatmap == heatmap.max()].mean()),
            "energy": inside / total,
            "precision": precision,
            "iou": precision / (2 - precision),
        } | self.chance


def summarize(
    scores: Sequence[Mapping[str, float]],
    *,
    resamples: int,
    seed: int,
    patients: Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """Means over photographs, with 95 % intervals and the level of chance.

    Pointing, a share of photographs, has Wilson's score interval for as many
    independent ones as the patients are worth; the others have the bootstrap's.

    Args:
        scores: What `Target.score` returned for each photograph.
        resamples: Bootstrap resamples of patients behind an interval.
        seed: Decides the resamples.
        patients: Whose photograph each is; one with None is a patient of its own.

    Returns:
        `photographs`, and for each of `METRICS` its `value`, `low`, `high` and
        `chance`. Enrichment is the mean energy as a multiple of the mean area. With
        fewer than two patients there is no interval.

    Raises:
        ValueError: There is no photograph.
    """
    if not scores:
        raise ValueError("`scores` must hold a photograph. Received: none.")
    columns = {name: np.array([one[name] for one in scores]) for name in scores[0]}
    count = len(scores)
    units = resampling.number_units(patients, count)
    draws = resampling.weights(
        np.zeros(count, np.int64), units, resamples=resamples, seed=seed
    )
    drawn = np.concatenate(list(draws)) if units.max() > 0 else None
    summary: dict[str, Any] = {"photographs": count}
    ratios = {  # Numerator, denominator or None, chance or None for 1.
        "pointing": ("pointing", None, "pointing_chance"),
        "energy": ("energy", None, "area"),
        "enrichment": ("energy", "area", None),
        "precision": ("precision", None, "precision_chance"),
        "iou": ("iou", None, "iou_chance"),
    }
    for name, (upper, lower, chance) in ratios.items():
        above = columns[upper]
        below = np.ones(count) if lower is None else columns[lower]
        entry = {"value": float(above.sum() / below.sum()), "low": None, "high": None}
        if drawn is not None:
            ends = np.quantile((drawn @ above) / (drawn @ below), _ENDS)
            if name == "pointing":  # All hits are no certainty, as resamples have it.
                size = proportions.effective_size(above, units)
                ends = proportions.wilson(entry["value"], size)
            entry |= {"low": float(ends[0]), "high": float(ends[1])}
        entry["chance"] = float(columns[chance].mean()) if chance else 1.0
        summary[name] = entry
    return summary


def _precision_of_highest(heatmap: np.ndarray, mask: np.ndarray, count: int) -> float:
    """Share of lesion among the `count` highest values; ties count in proportion."""
    values = heatmap.ravel()
    least = np.partition(values, -count)[-count]
    above, ties = values > least, values == least
    inside = mask.ravel()
    rest = count - above.sum()
    return float((inside[above].sum() + rest * inside[ties].mean()) / count)
