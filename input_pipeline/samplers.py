"""Samplers: which photographs an epoch takes, how often, and in which order.

Each is a pure function of the labels, the epoch and a generator that is seeded for that
epoch. An order is an exact shuffle of the whole epoch, however large the set is:
records are read by their places, so that no window is needed.
"""

import inspect
from collections.abc import Callable

import gin
import numpy as np

Sampler = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
"""`(labels, epoch, rng) -> positions`, as many in each epoch."""

_SUPPLIED = ["labels", "epoch", "rng"]


@gin.register(denylist=_SUPPLIED)
def every_photograph_once(
    labels: np.ndarray, epoch: int, rng: np.random.Generator
) -> np.ndarray:
    """No balancing: each photograph once an epoch, in random order.

    Args:
        labels: int array of shape `(n,)`, the photographs' classes.
        epoch: Number of the epoch, from 0.
        rng: Source of all randomness.

    Returns:
        int array of positions in `labels`.
    """
    return rng.permutation(len(labels))


@gin.register(denylist=_SUPPLIED)
def oversample(labels: np.ndarray, epoch: int, rng: np.random.Generator) -> np.ndarray:
    """Each class as often as the largest; within one, counts differ by at most one.

    Args:
        labels: int array of shape `(n,)`, the photographs' classes.
        epoch: Number of the epoch, from 0.
        rng: Source of all randomness.

    Returns:
        int array of positions in `labels`.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    return _draw(labels, classes, np.full(len(classes), sizes.max(initial=0)), rng)


@gin.register(denylist=_SUPPLIED)
def progressive(
    labels: np.ndarray,
    epoch: int,
    rng: np.random.Generator,
    *,
    decay: float = 0.975,
) -> np.ndarray:
    """Classes equally often at first, and more and more as often as they are.

    A class's share of an epoch is `decay**epoch` of an equal share, and the rest of its
    natural one. An epoch takes as many photographs as there are: of a large class, at
    first, some, drawn anew in each epoch.

    Antony and Brueggemann (team o_O, Kaggle Diabetic Retinopathy Detection, 2015)
    resampled so; the configurations that they published decay by 0.975 too, but end at
    twice the natural weight for all grades but 0.

    Args:
        labels: int array of shape `(n,)`, the photographs' classes.
        epoch: Number of the epoch, from 0.
        rng: Source of all randomness.
        decay: What is left of the balancing after each epoch, 0-1.

    Returns:
        int array of shape `(n,)`, positions in `labels`. Within a class, counts differ
        by at most one.

    Raises:
        ValueError: `decay` is out of its range.
    """
    if not 0 <= decay <= 1:
        raise ValueError(
            f"`progressive.decay` must be between 0 and 1. Received: {decay}."
        )
    classes, sizes = np.unique(labels, return_counts=True)
    if not len(classes):
        return np.empty(0, np.intp)
    balancing = decay**epoch
    equal = len(labels) / len(classes)
    wanted = balancing * equal + (1 - balancing) * sizes
    return _draw(labels, classes, _largest_remainder(wanted, len(labels)), rng)


def balances(sampler: Sampler) -> bool:
    """Whether a sampler is one of those here that balance classes."""
    return inspect.unwrap(sampler) in (oversample, progressive)  # gin wraps functions.


def _largest_remainder(wanted: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that sum to `total`, each next to what is wanted."""
    counts = np.floor(wanted).astype(int)
    most = np.argsort(counts - wanted, kind="stable")[: total - counts.sum()]
    counts[most] += 1
    return counts


def _draw(
    labels: np.ndarray,
    classes: np.ndarray,
    counts: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """So many of each class, evenly over its members, shuffled together."""
    chosen = [
        np.resize(rng.permutation(np.flatnonzero(labels == label)), count)
        for label, count in zip(classes, counts, strict=True)
    ]
    return rng.permutation(np.concatenate([np.empty(0, np.intp), *chosen]))
