"""How sure a model is of a photograph, and what referring the least sure ones gains."""

from collections.abc import Sequence

import numpy as np
from scipy import special

from evaluation import scoring

DISAGREEMENT = ("spread", "mutual_information")
"""What the members of an ensemble disagree on, by name."""


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Predictive entropy in nats: 0 for a sure prediction, `log(num_classes)` at most.

    Args:
        probabilities: float array of shape `(..., num_classes)`, 0-1.

    Returns:
        float64 array of shape `(...)`.
    """
    probabilities = np.clip(np.asarray(probabilities, np.float64), 0, 1)
    return special.entr(probabilities).sum(axis=-1)


def margin(probabilities: np.ndarray) -> np.ndarray:
    """How far the most probable class is ahead of the next: *high* for a sure one.

    Args:
        probabilities: float array of shape `(..., num_classes)`, 0-1.

    Returns:
        float64 array of shape `(...)`, 0-1. Its negative is an uncertainty.
    """
    ordered = np.sort(np.asarray(probabilities, np.float64), axis=-1)
    return ordered[..., -1] - ordered[..., -2]


def mutual_information(members: np.ndarray) -> np.ndarray:
    """What the members of an ensemble disagree on, in nats.

    The entropy of their mean less their mean entropy (Depeweg et al., 2018; Houlsby et
    al., 2011): high where each is sure of something else, 0 where all say the same,
    even if that is a guess.

    Args:
        members: float array of shape `(num_members, n, num_classes)`, 0-1: the
            probabilities of each network, or of each pass with dropout.

    Returns:
        float64 array of shape `(n,)`, at least 0.
    """
    members = _checked(members)
    disagreement = entropy(members.mean(axis=0)) - entropy(members).mean(axis=0)
    return np.maximum(disagreement, 0)  # rounding falls below


def spread(members: np.ndarray, disease_classes: Sequence[int]) -> np.ndarray:
    """Standard deviation of the members' probabilities of disease.

    Args:
        members: float array of shape `(num_members, n, num_classes)`, 0-1.
        disease_classes: The classes that mean disease.

    Returns:
        float64 array of shape `(n,)`, 0 to about 0.7.
    """
    disease = _checked(members)[..., list(disease_classes)].sum(axis=-1)
    return disease.std(axis=0, ddof=1)


def disagreement(
    members: np.ndarray, disease_classes: Sequence[int]
) -> dict[str, np.ndarray]:
    """All that the members of an ensemble disagree on, by name.

    Args:
        members: float array of shape `(num_members, n, num_classes)`, 0-1.
        disease_classes: The classes that mean disease.

    Returns:
        One of `DISAGREEMENT` -> float64 array of shape `(n,)`, high where they
        disagree.
    """
    values = spread(members, disease_classes), mutual_information(members)
    return dict(zip(DISAGREEMENT, values, strict=True))


def referral_curve(
    scorer: scoring.Scorer,
    uncertainty: np.ndarray,
    name: str,
    *,
    most: float = 0.5,
    steps: int = 50,
) -> dict:
    """A metric of the photographs that are left when the least certain are referred.

    Referred photographs go to a person and do not count. If uncertainty says nothing
    about mistakes, the curve stays where it starts.

    Args:
        scorer: The predictions.
        uncertainty: float array of shape `(n,)`, higher for the less certain. Among
            equals the earlier photograph stays longer.
        name: The metric, one of `scorer.figures`.
        most: The largest share to refer, 0-1 exclusive.
        steps: How many steps lead there.

    Returns:
        A dict that `json.dump` takes: `metric`; `referred`, the shares, from 0; `n`,
        how many photographs are left at each; `value`, the metric of those, `None`
        where it is undefined; `gain`, the mean of the curve above its start, over the
        shares at which it is defined (negative for a metric that falls), `None` where
        the start is undefined.

    Raises:
        ValueError: If the metric is unknown or the arguments do not fit together.
    """
    uncertainty = np.asarray(uncertainty, np.float64)
    n = len(scorer.labels)
    if uncertainty.shape != (n,) or not np.isfinite(uncertainty).all():
        raise ValueError(
            f"`uncertainty` must be a finite number for each of the {n} photographs. "
            f"Received: shape {uncertainty.shape}."
        )
    if name not in scorer.figures:
        raise ValueError(
            f"There is no metric {name!r}. Choose from {list(scorer.figures)}."
        )
    if not 0 < most < 1 or steps < 1:
        raise ValueError(
            "`most` must be between 0 and 1 and `steps` at least 1. Received: "
            f"most={most!r}, steps={steps!r}."
        )
    shares = np.linspace(0, most, steps + 1)
    left = n - np.round(shares * n).astype(int)
    certainty_rank = np.empty(n, np.int64)
    certainty_rank[np.argsort(uncertainty, kind="stable")] = np.arange(n)
    kept = (certainty_rank < left[:, None]).astype(np.float64)
    values = scorer.values(kept, [name])[name]
    defined = ~np.isnan(values)
    gain = None
    if defined[0] and defined.sum() > 1:
        above = values[defined] - values[0]
        width = shares[defined][-1]
        gain = float(np.trapezoid(above, shares[defined]) / width)
    return {
        "metric": name,
        "referred": shares.tolist(),
        "n": left.tolist(),
        "value": [None if np.isnan(one) else float(one) for one in values],
        "gain": gain,
    }


def _checked(members: np.ndarray) -> np.ndarray:
    members = np.asarray(members, np.float64)
    if members.ndim != 3 or len(members) < 2:
        raise ValueError(
            "`members` must have shape `(num_members, n, num_classes)` with at least "
            f"two members. Received: {members.shape}."
        )
    return members
