"""A threshold for another site, chosen on a labelled sample of its photographs.

Elsewhere cameras and patients are others, and the threshold of a run misses more of the
diseased, or sends more of the healthy, than it did at home. A sample tells which
threshold keeps the sensitivity there; what it does is told by the photographs that were
not drawn.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import numpy as np

from evaluation import assessment, decision, metrics, operating_point, predictions
from input_pipeline import photograph


@gin.register("recalibration")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recalibration:
    """How a sample is drawn, and a threshold chosen on it.

    Patients are drawn, each as likely as another, and one photograph of each; copies of
    a picture count as one patient. All photographs of those who were drawn are kept
    from the figures. Where patients are not known each photograph is one.

    Attributes:
        photographs: How many are drawn; None: one of every patient, so that none are
            left to tell what the threshold does.
        rule: How the threshold is chosen.
        split: The published split that they are drawn from; None: those that would be
            evaluated otherwise.
        seed: Decides who is drawn.
    """

    photographs: int | None
    rule: operating_point.Rule = dataclasses.field(
        default_factory=operating_point.SensitivityAssured
    )
    split: photograph.Split | None = None
    seed: int = 0

    def __post_init__(self):
        if self.photographs is not None and self.photographs < 1:
            raise ValueError(
                "`recalibration.photographs` must be at least 1, or None for one of "
                f"every patient. Received: {self.photographs}."
            )
        if self.seed < 0:
            raise ValueError(
                f"`recalibration.seed` must be at least 0. Received: {self.seed}."
            )

    def check(self, diseased: Sequence[bool], name: str) -> None:
        """Refuses a sample that cannot prove what the rule promises.

        Args:
            diseased: Whether each photograph of the sample shows the disease.
            name: The dataset's.

        Raises:
            ValueError: Says how many photographs it takes.
        """
        rule = self.rule
        if not isinstance(rule, operating_point.SensitivityAssured):
            return  # The others promise nothing about photographs to come.
        count, n = int(np.sum(diseased)), len(diseased)
        if count >= rule.needed():
            return
        text = (
            f"The sample of {n} photographs of {name!r} is too small. A sensitivity "
            f"of at least {rule.value:g} with a confidence of {rule.confidence:g} "
            f"takes at least {rule.needed()} diseased photographs. Received: {count}."
        )
        if count:
            share = count / n
            text += (
                f" Where {100 * share:.0f} % are diseased, {rule.photographs(share):,} "
                "photographs, each of another patient, hold as many with a probability "
                "of 0.95."
            )
        raise ValueError(
            f"{text} Raise `recalibration.photographs`, label more, or ask "
            "`recalibration.rule` for less."
        )

    def draw(
        self, pool: Sequence[str], groups: Mapping[str, str], name: str
    ) -> tuple[str, ...]:
        """Draws the sample.

        Args:
            pool: Ids of the photographs to draw from.
            groups: Id -> a name that photographs of one patient share.
            name: The dataset's.

        Returns:
            Ids, one a patient, in the order of `pool`.

        Raises:
            ValueError: There are too few patients.
        """
        members: dict[str, list[str]] = {}
        for one in pool:
            members.setdefault(groups[one], []).append(one)
        count = len(members) if self.photographs is None else self.photographs
        if not members or count > len(members):
            raise ValueError(
                f"`recalibration.photographs` asks for {count} photographs of "
                f"{name!r}, each of another patient. There are {len(members)} with a "
                "label that the run does not know already. Lower it."
            )
        rng = np.random.default_rng(self.seed)
        patients = list(members.values())
        chosen = rng.permutation(len(patients))[:count]
        drawn = {patients[i][rng.integers(len(patients[i]))] for i in chosen}
        return tuple(one for one in pool if one in drawn)

    def choose(
        self,
        sample: predictions.Predictions,
        disease_classes: Sequence[int],
        frozen: decision.Decision,
        name: str,
    ) -> decision.Decision:
        """Chooses the site's threshold.

        Args:
            sample: What the model says of the sample, calibrated as in the run.
            disease_classes: The classes that mean disease.
            frozen: The run's own decision, of which the calibration stays.
            name: The dataset's.

        Returns:
            The decision for this site.

        Raises:
            ValueError: The sample does not allow what the rule asks.
        """
        diseased = np.isin(sample.labels, disease_classes)
        self.check(diseased, name)
        disease = metrics.disease_probability(sample.probabilities, disease_classes)
        return dataclasses.replace(
            frozen,
            operating_point=self.rule(diseased, disease),
            chosen_on=f"{len(sample)} labelled photographs of {name}",
        )


def describe(
    decided: decision.Decision,
    rest: predictions.Predictions | None,
    settings: assessment.Settings,
) -> dict[str, Any]:
    """What a site's own threshold is, and what it does on the photographs not drawn.

    Args:
        decided: The decision for this site.
        rest: What the model says of the photographs that were not drawn, if any.
        settings: How figures are computed in the run.

    Returns:
        `decision`, and `results` as `assessment.assess` gives them, empty without
        photographs; JSON-ready.
    """
    own = dataclasses.replace(settings, threshold=decided.threshold)
    return {
        "decision": decided.description(),
        "results": {} if rest is None else assessment.assess([rest], own),
    }
