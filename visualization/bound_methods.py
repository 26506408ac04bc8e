"""The methods that can explain a model, their time, and why the others cannot."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from input_pipeline import progress
from models import outputs
from visualization import explainer, random_labels, sanity, stability

_BATCH = 16


class BoundMethods:
    """The methods that can explain a model.

    Raises:
        ValueError: None of them can.
    """

    def __init__(
        self,
        methods: Sequence[explainer.Explainer],
        model: keras.Model,
        output: outputs.Output,
    ):
        self._bound: dict[str, explainer.Explanation] = {}
        self._refused: dict[str, str] = {}
        self._maps: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        for one in methods:
            try:
                self._bound[one.name] = one.bind(model, output)
            except ValueError as error:
                self._refused[one.name] = str(error)
                logging.warning("%s is left out: %s", one.name, error)
        if not self._bound:
            reasons = " ".join(self._refused.values())
            raise ValueError(f"No method can explain {model.name!r}. {reasons}")

    def explain(
        self, pictures: np.ndarray, classes: np.ndarray, what: str
    ) -> dict[str, np.ndarray]:
        """Method -> heatmaps `(n, height, width)`."""
        steps = [
            (name, slice(start, start + _BATCH))
            for name in self._bound
            for start in range(0, len(pictures), _BATCH)
        ]
        maps: dict[str, list[np.ndarray]] = {name: [] for name in self._bound}
        for name, part in progress.bar(steps, what, unit="batch", delay=5, leave=False):
            start = time.perf_counter()
            maps[name].append(self._bound[name](pictures[part], classes[part]))
            spent = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0) + spent
            self._maps[name] = self._maps.get(name, 0) + len(maps[name][-1])
        return {name: np.concatenate(parts) for name, parts in maps.items()}

    def check_sanity(
        self, pictures: np.ndarray, classes: np.ndarray, seed: int
    ) -> dict[str, Any]:
        """Method -> what `sanity.check` says of it."""
        return {
            name: sanity.check(bound.model, bound, pictures, classes, seed=seed)
            for name, bound in self._bar("sanity")
        }

    def check_stability(
        self, pictures: np.ndarray, classes: np.ndarray
    ) -> dict[str, Any]:
        """Method -> what `stability.check` says of it."""
        return {
            name: stability.check(bound, pictures, classes)
            for name, bound in self._bar("stability")
        }

    def check_random_labels(
        self, other: "BoundMethods", pictures: np.ndarray, classes: np.ndarray
    ) -> dict[str, Any]:
        """Method -> what `random_labels.compare` says of it.

        Args:
            other: The same methods, bound to the model that learnt random labels.
            pictures: uint8 array of shape `(n, height, width, 3)`, RGB, 0-255.
            classes: int array of shape `(n,)`: what is explained of both models.
        """
        return {
            name: random_labels.compare(
                bound(pictures, classes),
                other._bound[name](pictures, classes),
                pictures,
            )
            for name, bound in self._bar("random labels")
            if name in other._bound
        }

    def _bar(self, what: str):
        return progress.bar(self._bound.items(), what, delay=5, leave=False)

    def description(self) -> dict[str, Any]:
        """Facts and time of each method, JSON-ready."""
        used = {
            name: bound.facts
            | {
                "maps": self._maps.get(name, 0),
                "seconds": round(self._seconds.get(name, 0), 2),
            }
            for name, bound in self._bound.items()
        }
        return used | {name: {"refused": why} for name, why in self._refused.items()}
