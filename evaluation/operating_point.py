"""From which probability on a photograph is called diseased.

A rule looks at labelled photographs, validation or pooled out-of-fold predictions and
never the test split, and returns an `OperatingPoint` that is then kept as it is.

A rule that searches tries the middle between every two neighbouring scores: calling
every photograph diseased, or none, is no operating point. A photograph is called
diseased where its probability is at least the threshold.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gin
import numpy as np
from scipy import stats

from evaluation import metrics

FIXED = "fixed"
"""The rule of a threshold that looks at no photograph."""


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it does on the photographs at hand.

    Attributes:
        rule: How it was chosen, in words.
        threshold: Least probability of disease that is called diseased, 0-1.
        sensitivity: Share of the diseased that are called so; `None` without diseased.
        specificity: Share of the healthy that are not; `None` without healthy.
        n_diseased: How many diseased photographs were at hand: those that it was
            chosen on, unless it was fixed beforehand.
        n_healthy: How many healthy ones.
    """

    rule: str
    threshold: float
    sensitivity: float | None
    specificity: float | None
    n_diseased: int
    n_healthy: int

    def description(self) -> dict:
        """JSON-ready; `OperatingPoint(**description)` gives it back."""
        return dataclasses.asdict(self)


def in_words(point: Mapping[str, Any], chosen_on: str) -> str:
    """How a threshold came about.

    Args:
        point: What `OperatingPoint.description` gives.
        chosen_on: The photographs at hand, in words.

    Returns:
        "fixed beforehand", or as in "Youden's index, chosen on 81 photographs".
    """
    if point["rule"] == FIXED:
        return "fixed beforehand"
    return f"{point['rule']}, chosen on {chosen_on}"


Rule = Callable[[np.ndarray, np.ndarray], OperatingPoint]
"""`(diseased, disease_probability) -> OperatingPoint`; arrays of shape `(n,)`, bool and
float 0-1. ValueError where the photographs do not allow it."""


@gin.register("fixed_threshold")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Fixed:
    """A threshold that looks at no photograph.

    Attributes:
        threshold: Least probability of disease that is called diseased, 0-1.
    """

    threshold: float = 0.5

    def __post_init__(self):
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                "`fixed_threshold.threshold` must be from 0 to 1. Received: "
                f"{self.threshold}."
            )

    def __call__(
        self, diseased: np.ndarray, disease_probability: np.ndarray
    ) -> OperatingPoint:
        """States what the threshold does; one class may be absent."""
        diseased, scores = _checked(diseased, disease_probability)
        return _operating_point(FIXED, self.threshold, diseased, scores)


@gin.register("youden")
@dataclasses.dataclass(frozen=True)
class Youden:
    """The largest sum of sensitivity and specificity (Youden, 1950).

    Of equal sums the most sensitive.
    """

    def __call__(
        self, diseased: np.ndarray, disease_probability: np.ndarray
    ) -> OperatingPoint:
        """Chooses the threshold."""
        diseased, scores = _checked(diseased, disease_probability, both=True)
        thresholds, hits, rests = _candidates(diseased, scores)
        n_diseased, n_healthy = int(diseased.sum()), int((~diseased).sum())
        # Whole numbers, in which equal sums are equal: the sum less 1, times both.
        gains = hits * n_healthy + rests * n_diseased - n_diseased * n_healthy
        if not len(gains) or gains.max() <= 0:
            raise ValueError(
                "No threshold has a sensitivity and specificity that sum to more than "
                "1: the probabilities do not rise with the disease. Check that labels "
                "and predictions belong together, or use fixed_threshold."
            )
        # Candidates rise, so the first of equals is the most sensitive.
        chosen = thresholds[gains.argmax()]
        return _operating_point("Youden's index", chosen, diseased, scores)


@gin.register("sensitivity_at_least")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SensitivityAtLeast:
    """The best specificity among the thresholds that are sensitive enough.

    Of equal specificities the most sensitive. It holds on the photographs at hand; on
    others `sensitivity_assured` says more.

    Attributes:
        value: The least sensitivity, 0-1 exclusive.
    """

    value: float = 0.9

    def __post_init__(self):
        _check_share("sensitivity_at_least.value", self.value)

    def __call__(
        self, diseased: np.ndarray, disease_probability: np.ndarray
    ) -> OperatingPoint:
        """Chooses the threshold."""
        diseased, scores = _checked(diseased, disease_probability, both=True)
        rule = f"sensitivity at least {self.value:g}"
        thresholds, hits, rests = _candidates(diseased, scores)
        hits, rests = hits / diseased.sum(), rests / (~diseased).sum()
        useful = (hits >= self.value) & (rests > 0)
        if not useful.any():
            reached = hits[rests > 0].max(initial=0.0)
            raise ValueError(
                f"No threshold with a {rule} calls any healthy photograph healthy. "
                f"Reached: {reached:.3f}, at a specificity above 0. Ask for less."
            )
        best = np.flatnonzero(useful & (rests == rests[useful].max()))[0]
        return _operating_point(rule, thresholds[best], diseased, scores)


@gin.register("specificity_at_least")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecificityAtLeast:
    """The best sensitivity among the thresholds that are specific enough.

    Of equal sensitivities the most specific.

    Attributes:
        value: The least specificity, 0-1 exclusive.
    """

    value: float = 0.9

    def __post_init__(self):
        _check_share("specificity_at_least.value", self.value)

    def __call__(
        self, diseased: np.ndarray, disease_probability: np.ndarray
    ) -> OperatingPoint:
        """Chooses the threshold."""
        diseased, scores = _checked(diseased, disease_probability, both=True)
        rule = f"specificity at least {self.value:g}"
        thresholds, hits, rests = _candidates(diseased, scores)
        hits, rests = hits / diseased.sum(), rests / (~diseased).sum()
        useful = (rests >= self.value) & (hits > 0)
        if not useful.any():
            reached = rests[hits > 0].max(initial=0.0)
            raise ValueError(
                f"No threshold with a {rule} calls any diseased photograph diseased. "
                f"Reached: {reached:.3f}, at a sensitivity above 0. Ask for less."
            )
        best = np.flatnonzero(useful & (hits == hits[useful].max()))[-1]
        return _operating_point(rule, thresholds[best], diseased, scores)


@gin.register("sensitivity_assured")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SensitivityAssured:
    """The highest threshold that keeps a sensitivity at the site of the sample.

    For a site with other patients or cameras than the model was trained on: a sample
    from there, labelled, with photographs that stand for those to come and are of
    different patients. The threshold is the highest score among the diseased for which
    the sensitivity at the site is at least `value` with the stated confidence, whatever
    the distribution of the scores. It is the `k`-th smallest of `n` if the share of the
    site's diseased below that, which follows a beta distribution with parameters `k`
    and `n - k + 1` (an order statistic; Wilks, 1941), proves it. The bound is also that
    of Clopper and Pearson (1934) for `k - 1` missed of `n`.

    Attributes:
        value: The least sensitivity, 0-1 exclusive.
        confidence: Share of samples on which the promise holds, 0-1 exclusive.
    """

    value: float = 0.9
    confidence: float = 0.95

    def __post_init__(self):
        _check_share("sensitivity_assured.value", self.value)
        _check_share("sensitivity_assured.confidence", self.confidence)

    def needed(self) -> int:
        """How many diseased photographs a sample must have at least.

        All of them above the threshold then just prove the sensitivity:
        `value ** n <= 1 - confidence`.
        """
        n = math.log1p(-self.confidence) / math.log(self.value)
        # Rounding must not ask for one more where the two are equal.
        return math.ceil(n - 1e-9)

    def photographs(self, prevalence: float, chance: float = 0.95) -> int:
        """How many photographs to label, so that enough of them are diseased.

        Args:
            prevalence: Share of the diseased at the site, above 0, at most 1.
            chance: With which probability `needed()` are among them, 0-1 exclusive.

        Returns:
            The least such number (a quantile of the negative binomial distribution).
        """
        if not 0 < prevalence <= 1:
            raise ValueError(
                f"`prevalence` must be above 0, and at most 1. Received: {prevalence}."
            )
        _check_share("chance", chance)
        needed = self.needed()
        return needed + int(stats.nbinom.ppf(chance, needed, prevalence))

    def __call__(
        self,
        diseased: np.ndarray,
        disease_probability: np.ndarray,
        groups: Sequence[str | None] | None = None,
    ) -> OperatingPoint:
        """Chooses the threshold.

        Args:
            diseased: bool array of shape `(n,)`.
            disease_probability: float array of shape `(n,)`, 0-1.
            groups: The patient of each photograph, where known.

        Returns:
            The operating point; its figures are those of the sample.

        Raises:
            ValueError: If the sample has too few diseased photographs, or two of one
                patient.
        """
        diseased, scores = _checked(diseased, disease_probability)
        known = [group for group in groups or [] if group is not None]
        if len(set(known)) < len(known):
            raise ValueError(
                f"The sample must have one photograph a patient. Received: {len(known)}"
                f" of {len(set(known))} patients. Keep one of each patient, or combine "
                "a patient's photographs first."
            )
        n, needed = int(diseased.sum()), self.needed()
        if n < needed:
            raise ValueError(
                f"A sensitivity of at least {self.value:g} with a confidence of "
                f"{self.confidence:g} takes at least {needed} diseased photographs. "
                f"Received: {n}. Label {needed - n} more, or ask for less."
            )
        ranks = np.arange(1, n + 1)
        # A hair's breadth for the case in which `needed` is met exactly.
        proven = stats.beta.cdf(1 - self.value, ranks, n - ranks + 1)
        last = np.flatnonzero(proven >= self.confidence - 1e-12)[-1]
        rule = f"sensitivity at least {self.value:g}"
        rule += f" with a confidence of {self.confidence:g}"
        threshold = np.sort(scores[diseased])[last]
        return _operating_point(rule, threshold, diseased, scores)


def _candidates(
    diseased: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds between neighbouring scores, rising; their hits and true negatives."""
    levels, ranks = np.unique(scores, return_inverse=True)
    healthy_at, diseased_at = metrics.score_table(diseased, ranks, len(levels))
    middles = (levels[:-1] + levels[1:]) / 2
    # The middle of two adjacent floats can round to the lower one.
    thresholds = np.where(middles > levels[:-1], middles, levels[1:])
    hits = diseased_at.sum() - np.cumsum(diseased_at)[:-1]
    return thresholds, hits, np.cumsum(healthy_at)[:-1]


def _operating_point(
    rule: str, threshold: float, diseased: np.ndarray, scores: np.ndarray
) -> OperatingPoint:
    said = scores >= threshold
    n_diseased, n_healthy = int(diseased.sum()), int((~diseased).sum())
    return OperatingPoint(
        rule,
        float(threshold),
        float(said[diseased].mean()) if n_diseased else None,
        float((~said[~diseased]).mean()) if n_healthy else None,
        n_diseased,
        n_healthy,
    )


def _checked(
    diseased: np.ndarray, disease_probability: np.ndarray, *, both: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Refuses what is no labels and probabilities; bool and float64 arrays."""
    diseased = np.asarray(diseased)
    scores = np.asarray(disease_probability, np.float64)
    if diseased.ndim != 1 or diseased.shape != scores.shape:
        raise ValueError(
            "`diseased` and `disease_probability` must have the same shape `(n,)`. "
            f"Received: {diseased.shape} and {scores.shape}."
        )
    if not np.isin(diseased, (0, 1)).all():
        raise ValueError(
            "`diseased` must hold true and false only. Received: "
            f"{np.unique(diseased).tolist()}. Say first which classes mean disease."
        )
    inside = np.abs(scores - 0.5) <= 0.5 + metrics.SUM_TOLERANCE
    if not inside.all():
        number = np.flatnonzero(~inside)[0]
        raise ValueError(
            "`disease_probability` must be from 0 to 1. Received: "
            f"{scores[number]:g} in row {number}."
        )
    diseased, scores = diseased.astype(bool), np.clip(scores, 0, 1)
    if both and (diseased.all() or not diseased.any()):
        raise ValueError(
            "An operating point needs photographs with and without the disease. "
            f"Received: {diseased.sum()} with, {(~diseased).sum()} without."
        )
    return diseased, scores


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"`{name}` must be between 0 and 1. Received: {value}.")
