"""The methods that can explain a run, their time, and why the others cannot."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from evaluation import networks
from input_pipeline import progress
from models import ensemble, outputs
from visualization import explainer, random_labels, sanity, stability

_BATCH = 16  # Photographs in one call; fewer where a network is an average.


class BoundMethods:
    """The methods that can explain the networks of a run, each bound to each of them.

    A photograph is explained by its own network: `by` has one for each, as
    `networks.Answering` gives them.
    """

    def __init__(
        self,
        methods: Sequence[explainer.Explainer],
        model: keras.Model,
        output: outputs.Output,
    ):
        """Finds out which can.

        Args:
            methods: Those that are asked for.
            model: A network of the run, built as the others are.
            output: What the logits mean.

        Raises:
            ValueError: None of them can.
        """
        self._output = output
        self._methods: dict[str, explainer.Explainer] = {}
        self._bound: dict[tuple[str, keras.Model], explainer.Explanation] = {}
        self._refused: dict[str, str] = {}
        self._maps: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        for one in methods:
            try:
                self._bound[one.name, model] = one.bind(model, output)
                self._methods[one.name] = one
            except ValueError as error:
                self._refused[one.name] = str(error)
                logging.warning("%s is left out: %s", one.name, error)
        if not self._methods:
            reasons = " ".join(self._refused.values())
            raise ValueError(f"No method can explain {model.name!r}. {reasons}")

    def explain(
        self,
        pictures: np.ndarray,
        classes: np.ndarray,
        by: Sequence[keras.Model],
        what: str,
    ) -> dict[str, np.ndarray]:
        """Method -> heatmaps `(n, height, width)`."""
        steps = [
            (name, model, part)
            for name in self._methods
            for model, part in _batches(by)
        ]
        maps = {
            name: np.empty(pictures.shape[:3], np.float32) for name in self._methods
        }
        for name, model, part in progress.bar(
            steps, what, unit="batch", delay=5, leave=False
        ):
            bound = self._bind(name, model)
            start = time.perf_counter()
            maps[name][part] = bound(pictures[part], classes[part])
            spent = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0) + spent
            self._maps[name] = self._maps.get(name, 0) + len(part)
        return maps

    def check_sanity(
        self,
        pictures: np.ndarray,
        classes: np.ndarray,
        by: Sequence[keras.Model],
        seed: int,
    ) -> dict[str, Any]:
        """Method -> what `sanity.check` says of it."""
        models = list(dict.fromkeys(by))
        return {
            name: sanity.check(
                models, self._explaining(name, by), pictures, classes, seed=seed
            )
            for name in self._bar("sanity")
        }

    def check_stability(
        self, pictures: np.ndarray, classes: np.ndarray, by: Sequence[keras.Model]
    ) -> dict[str, Any]:
        """Method -> what `stability.check` says of it."""
        return {
            name: stability.check(self._explaining(name, by), pictures, classes)
            for name in self._bar("stability")
        }

    def check_random_labels(
        self,
        other: keras.Model,
        pictures: np.ndarray,
        classes: np.ndarray,
        by: Sequence[keras.Model],
    ) -> dict[str, Any]:
        """Method -> what `random_labels.compare` says of it.

        Args:
            other: The model that learnt random labels. A method that cannot explain it
                is left out.
            pictures: uint8 array of shape `(n, height, width, 3)`, RGB, 0-255.
            classes: int array of shape `(n,)`: what is explained of all networks.
            by: The network of each.
        """
        found = {}
        for name in self._bar("random labels"):
            try:
                random = self._methods[name].bind(other, self._output)
            except ValueError as error:
                logging.warning("%s cannot explain random labels: %s", name, error)
                continue
            learnt = self._explaining(name, by)(pictures, classes)
            found[name] = random_labels.compare(
                learnt, random(pictures, classes), pictures
            )
        return found

    def _bind(self, name: str, model: keras.Model) -> explainer.Explanation:
        if (name, model) not in self._bound:
            method = self._methods[name]
            self._bound[name, model] = method.bind(model, self._output)
        return self._bound[name, model]

    def _explaining(self, name: str, by: Sequence[keras.Model]):
        """`(images, classes) -> heatmaps` by one method, each by its own network."""

        def explain(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
            maps = np.empty(images.shape[:3], np.float32)
            for model, part in _batches(by):
                maps[part] = self._bind(name, model)(images[part], classes[part])
            return maps

        return explain

    def _bar(self, what: str):
        return progress.bar(self._methods, what, delay=5, leave=False)

    def description(self) -> dict[str, Any]:
        """Time and facts of each method, of several networks the largest."""
        used: dict[str, dict[str, Any]] = {name: {} for name in self._methods}
        for (name, _), bound in self._bound.items():
            for fact, value in bound.facts.items():
                known = used[name].get(fact, value)
                is_number = isinstance(value, int | float)
                used[name][fact] = max(known, value) if is_number else value
        for name, facts in used.items():
            facts["maps"] = self._maps.get(name, 0)
            facts["seconds"] = round(self._seconds.get(name, 0), 2)
        return used | {name: {"refused": why} for name, why in self._refused.items()}


def _batches(by: Sequence[keras.Model]) -> Iterator[tuple[keras.Model, np.ndarray]]:
    """A network, and the places of some of its photographs."""
    for model, places in networks.grouped(by):
        size = max(1, _BATCH // ensemble.count(model))
        for start in range(0, len(places), size):
            yield model, places[start : start + size]
