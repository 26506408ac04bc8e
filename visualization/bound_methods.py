"""The methods that can explain a run, their time, and why the others cannot."""

import hashlib
import inspect
import json
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from evaluation import networks
from input_pipeline import kept_arrays, progress
from models import outputs
from visualization import explainer, random_labels, sanity, stability

_WORTH_KEEPING = 1.0  # Seconds that a call took.
_KEPT = ("maps", "facts", "seconds")


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
        kept_in: pathlib.Path | None = None,
    ):
        """Finds out which can.

        Args:
            methods: Those that are asked for.
            model: A network of the run, built as the others are.
            output: What the logits mean.
            kept_in: Folder that keeps maps which take long: who is stopped, and begins
                again, takes them from there.

        Raises:
            ValueError: None of them can.
        """
        self._output, self._kept_in = output, kept_in
        self._methods: dict[str, explainer.Explainer] = {}
        self._bound: dict[tuple[str, keras.Model], explainer.Explanation] = {}
        self._refused: dict[str, str] = {}
        self._facts: dict[str, dict[str, Any]] = {}
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
            found, facts, seconds = self._made(
                name, model, pictures[part], classes[part]
            )
            maps[name][part] = found
            self._note(name, facts)
            self._seconds[name] = self._seconds.get(name, 0) + seconds
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
                self._bind(name, other)
            except ValueError as error:
                logging.warning("%s cannot explain random labels: %s", name, error)
                continue
            learnt, random = (
                self._explaining(name, some)(pictures, classes)
                for some in (by, [other] * len(pictures))
            )
            found[name] = random_labels.compare(learnt, random, pictures)
        return found

    def _bind(self, name: str, model: keras.Model) -> explainer.Explanation:
        if (name, model) not in self._bound:
            method = self._methods[name]
            self._bound[name, model] = method.bind(model, self._output)
        return self._bound[name, model]

    def _made(
        self, name: str, model: keras.Model, images: np.ndarray, classes: np.ndarray
    ) -> tuple[np.ndarray, dict[str, Any], float]:
        """Heatmaps, the facts of the method by then, and the seconds it took."""
        asked = name, model, images, classes
        kept = None
        if self._kept_in is not None and any(self._kept_in.glob(f"{name}-*.npz")):
            kept = kept_arrays.load(self._file(*asked), _KEPT)
        if kept is not None:
            facts = json.loads(str(kept["facts"]))
            return kept["maps"], facts, float(kept["seconds"])
        bound = self._bind(name, model)
        start = time.perf_counter()
        maps = bound(images, classes)
        seconds = time.perf_counter() - start
        if self._kept_in is not None and seconds > _WORTH_KEEPING:
            found = maps, np.array(json.dumps(bound.facts)), seconds
            kept_arrays.save(self._file(*asked), dict(zip(_KEPT, found, strict=True)))
        return maps, bound.facts, seconds

    def _file(
        self, name: str, model: keras.Model, images: np.ndarray, classes: np.ndarray
    ) -> pathlib.Path:
        """Where maps are kept, by all that they depend on; a method's own code, too."""
        method = self._methods[name]
        code = inspect.getsource(sys.modules[type(method).__module__])
        key = hashlib.sha256(repr((method, self._output, code)).encode())
        for array in (*model.get_weights(), images, classes):
            key.update(np.ascontiguousarray(array))
        return self._kept_in / f"{name}-{key.hexdigest()[:24]}.npz"

    def _note(self, name: str, facts: dict[str, Any]) -> None:
        """Adds what is known of a method; of a number the largest."""
        known = self._facts.setdefault(name, {})
        for fact, value in facts.items():
            number = isinstance(value, int | float)
            known[fact] = max(known.get(fact, value), value) if number else value

    def _explaining(self, name: str, by: Sequence[keras.Model]):
        """`(images, classes) -> heatmaps` by one method, each by its own network."""

        def explain(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
            maps = np.empty(images.shape[:3], np.float32)
            for model, part in _batches(by):
                maps[part], *_ = self._made(name, model, images[part], classes[part])
            return maps

        return explain

    def _bar(self, what: str):
        return progress.bar(self._methods, what, delay=5, leave=False)

    def description(self) -> dict[str, Any]:
        """Time and facts of each method, as `explain` has noted them."""
        used = {
            name: self._facts.get(name, {})
            | {"maps": self._maps.get(name, 0)}
            | {"seconds": round(self._seconds.get(name, 0), 2)}
            for name in self._methods
        }
        return used | {name: {"refused": why} for name, why in self._refused.items()}


def _batches(by: Sequence[keras.Model]) -> Iterator[tuple[keras.Model, np.ndarray]]:
    """A network, and the places of some of its photographs."""
    for model, places in networks.grouped(by):
        size = explainer.at_once(model)
        for start in range(0, len(places), size):
            yield model, places[start : start + size]
