"""What logits mean as probabilities, in NumPy alone: serving has no Keras.

`outputs` has the same functions as the `probabilities` of its classes.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

USUAL_SIGMA = 0.5
"""Spread of a regression before any is fitted, in grades. A value in the middle of a
grade then means it with a probability of 0.68."""

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits `(batch, num_classes)` -> float64 of the same shape, 0-1."""
    logits = np.asarray(logits, np.float64)
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def ordinal(logits: np.ndarray) -> np.ndarray:
    """CORN's logits `(batch, num_classes - 1)` -> float64 `(batch, num_classes)`, 0-1.

    By the chain rule of conditional probabilities (Shi, Cao and Raschka, 2021).
    """
    logits = np.asarray(logits, np.float64)
    one = np.ones_like(logits[:, :1])
    reached = np.cumprod(_sigmoid(logits), axis=-1)
    stays = _sigmoid(-logits)
    return np.concatenate([one, reached], -1) * np.concatenate([stays, one], -1)


def grades(values: np.ndarray, cut_points: np.ndarray, sigma: float) -> np.ndarray:
    """Probabilities of grades from one number (cumulative probit; McCullagh, 1980).

    Args:
        values: float array of shape `(batch, 1)`, on the scale of the grades.
        cut_points: float array of shape `(num_classes - 1,)`, rising: where the chance
            to exceed a grade is even.
        sigma: Spread of the grade at a value, above 0, in grades.

    Returns:
        float64 array of shape `(batch, num_classes)`, 0-1.
    """
    exceeds = (np.asarray(values, np.float64) - np.asarray(cut_points)) / sigma
    exceeds = np.pad(exceeds, ((0, 0), (1, 0)), constant_values=np.inf)
    exceeds = np.pad(exceeds, ((0, 0), (0, 1)), constant_values=-np.inf)
    high, low = exceeds[:, :-1], exceeds[:, 1:]
    # The difference of two numbers near 1 has no digits left; the other tail's has.
    return np.where(
        low > 0, _normal(-low) - _normal(-high), _normal(high) - _normal(low)
    )


def middles(num_classes: int) -> np.ndarray:
    """Cut points before any are fitted: halfway between the grades."""
    return np.arange(num_classes - 1) + 0.5


def by_output(name: str, num_classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function of an output, logits -> probabilities.

    Args:
        name: The output's name, as in a run's `task.json`.
        num_classes: How many classes the task has.

    Returns:
        `(float array (batch, num_outputs)) -> float64 (batch, num_classes)`.

    Raises:
        ValueError: There is none of this name.
    """
    known = {
        "softmax": softmax,
        "ordinal": ordinal,
        "regression": functools.partial(
            grades, cut_points=middles(num_classes), sigma=USUAL_SIGMA
        ),
    }
    if name not in known:
        raise ValueError(
            f"The output must be one of {', '.join(known)}. Received: {name!r}. Use "
            "the version that trained the model."
        )
    return known[name]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Of large numbers, too: exp() of what is not above 0 never overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)


def _normal(x: np.ndarray) -> np.ndarray:
    """The normal distribution function, exact in its lower tail."""
    return _erfc(-x / math.sqrt(2)) / 2
