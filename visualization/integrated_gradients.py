"""Integrated Gradients: what each pixel adds on the way from nothing to the photograph.

Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, equation 1.
"""

import dataclasses
from typing import ClassVar

import gin
import keras
import numpy as np
import tensorflow as tf

from models import outputs
from visualization import baselines, explainer


@gin.register("integrated_gradients")
@dataclasses.dataclass(frozen=True, kw_only=True)
class IntegratedGradients(explainer.Explainer):
    """Gradients along the straight path from a baseline, times the difference.

    They add up to the difference of the two scores (completeness). Where they miss it
    by more than the tolerance, the number of steps is doubled, up to `most_steps`; what
    was reached is in `facts`.

    Attributes:
        baseline: Where the path begins; see `baselines.make`.
        steps: Points of the path at first, by Gauss-Legendre quadrature.
        tolerance: Of completeness, as a share of the difference of the two scores.
        most_steps: Points of the path at most.
    """

    name: ClassVar[str] = "integrated_gradients"

    baseline: baselines.Kind = "blurred"
    steps: int = 32
    tolerance: float = 0.05
    most_steps: int = 256

    def __post_init__(self):
        if not 1 <= self.steps <= self.most_steps or not self.tolerance > 0:
            raise ValueError(
                "`integrated_gradients.steps` must be from 1 to `most_steps`, and "
                f"`tolerance` above 0. Received: steps={self.steps}, "
                f"most_steps={self.most_steps}, tolerance={self.tolerance}."
            )

    def bind(self, model: keras.Model, output: outputs.Output) -> "Bound":
        """Binds the method to a model, as `Explainer.bind` says."""
        return Bound(model, output, self)


class Bound(explainer.Explanation):
    """Integrated Gradients of one model."""

    def __init__(self, model, output, settings: IntegratedGradients):
        super().__init__(model, output)
        self._settings = settings
        self.facts |= {
            "baseline": settings.baseline,
            "largest_completeness_gap": 0.0,
            "most_steps_taken": 0,
        }
        numbers = tf.TensorSpec((None,), tf.int32)

        @tf.function(
            input_signature=[
                self.signature,
                self.signature,
                numbers,
                numbers,
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((None,), tf.float32),
            ]
        )
        def gradients(images, base, classes, places, along, weights):
            start = tf.gather(base, places)
            along, weights = (one[:, None, None, None] for one in (along, weights))
            points = start + along * (tf.gather(images, places) - start)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(points)
                scores = self.score(points, tf.gather(classes, places))
            gradient = weights * tape.gradient(scores, points)
            return tf.math.unsorted_segment_sum(gradient, places, tf.shape(images)[0])

        self._gradients = gradients
        self._scores = tf.function(
            self.score, input_signature=[self.signature, numbers]
        )

    def integrate(
        self, images: np.ndarray, classes: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The attribution of every channel of every pixel.

        Args:
            images: As for `Explainer.__call__`.
            classes: As for `Explainer.__call__`.

        Returns:
            float32 attributions of shape `(batch, height, width, 3)`; and by how much
            their sum misses the difference of the scores, as a share of it, `(batch,)`.
        """
        images, classes = self.check(images, classes)
        return self._integrate(images, classes)

    def _integrate(self, images, classes):
        classes = self.choose(self.logits(images), classes)
        base = tf.constant(baselines.make(images.numpy(), self._settings.baseline))
        rise = self._scores(images, classes) - self._scores(base, classes)
        rise = rise.numpy()
        attributions = np.zeros(images.shape, np.float32)
        gaps = np.full(len(rise), np.inf)
        steps = self._settings.steps
        while True:
            open_ones = np.flatnonzero(gaps > self._settings.tolerance)
            some = tf.gather(images, open_ones), tf.gather(base, open_ones)
            found = self._sum(*some, classes[open_ones], steps) * (some[0] - some[1])
            attributions[open_ones] = found.numpy()
            missed = np.abs(
                attributions[open_ones].sum(axis=(1, 2, 3)) - rise[open_ones]
            )
            # Of a photograph that changes nothing, a hundredth of a logit is much.
            gaps[open_ones] = missed / np.maximum(np.abs(rise[open_ones]), 0.01)
            done = gaps.max() <= self._settings.tolerance
            if done or 2 * steps > self._settings.most_steps:
                break
            steps *= 2
        self._note(gaps, steps)
        return attributions, gaps

    def _sum(self, images, base, classes, steps: int):
        """Mean gradient along the path, a few points of it at a time."""
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        along = np.tile((nodes + 1) / 2, len(classes)).astype(np.float32)
        weights = np.tile(weights / 2, len(classes)).astype(np.float32)
        places = np.repeat(np.arange(len(classes), dtype=np.int32), steps)
        total = tf.zeros_like(images)
        for start in range(0, len(places), self.at_once):
            part = slice(start, start + self.at_once)
            total += self._gradients(
                images, base, classes, places[part], along[part], weights[part]
            )
        return total

    def _note(self, gaps: np.ndarray, steps: int) -> None:
        facts = self.facts
        worst = max(facts["largest_completeness_gap"], float(gaps.max()))
        facts["largest_completeness_gap"] = worst
        facts["most_steps_taken"] = max(facts["most_steps_taken"], steps)

    def _evidence(self, images, classes):
        return self._integrate(images, classes)[0].sum(axis=-1)
