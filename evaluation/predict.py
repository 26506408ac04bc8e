"""A model's logits for prepared photographs, each photograph exactly once."""

import dataclasses
import math
from collections.abc import Iterator

import gin
import keras
import numpy as np
import tensorflow as tf

from input_pipeline import images, progress


@gin.register("symmetries")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Symmetries:
    """The views of a photograph over which a prediction is averaged.

    Neither a mirror nor a quarter turn changes a grade, and none of them needs a pixel
    to be interpolated.

    Attributes:
        flips: Whether mirror images count: twice as many views.
        quarter_turns: Whether turns by 90, 180 and 270 degrees count: four times as
            many. Both together are all eight symmetries of a square.
    """

    flips: bool = True
    quarter_turns: bool = True

    def __post_init__(self):
        if not (self.flips or self.quarter_turns):
            raise ValueError(
                "`symmetries` must have flips or quarter_turns. Received: neither. "
                "Bind evaluate.test_time_augmentation = None instead."
            )

    def views(self, images: tf.Tensor) -> Iterator[tf.Tensor]:
        """Every view of photographs, the photographs themselves first.

        Args:
            images: uint8 tensor of shape `(batch, size, size, 3)`.

        Yields:
            Tensors of the same shape.
        """
        for turns in range(4 if self.quarter_turns else 1):
            turned = tf.image.rot90(images, turns)
            yield turned
            if self.flips:
                yield tf.image.flip_left_right(turned)


class Forward:
    """A model's forward pass as one graph, for any number of photographs."""

    def __init__(
        self,
        model: keras.Model,
        batch_size: int = 64,
        training: bool | None = False,
        symmetries: Symmetries | None = None,
    ):
        """Wraps a model.

        Args:
            model: A trained model.
            batch_size: Photographs predicted at once.
            training: What the model's layers are told; None leaves it to them.
            symmetries: Views to average over, if any. It is the logits that are
                averaged: calibration, threshold and every kind of output work on
                logits, and so on these as on those of one view.
        """
        self._batch_size = batch_size
        _, height, width, channels = model.input_shape
        shape = (None, height, width, channels)

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
        def forward(images):
            views = symmetries.views(images) if symmetries else [images]
            # One view after another: no more memory than for one.
            logits = [
                model(tf.cast(view, tf.float32), training=training) for view in views
            ]
            return tf.add_n(logits) / len(logits)

        self._forward = forward

    def __call__(
        self, photographs: images.Images, passes: int | None = None
    ) -> np.ndarray:
        """Predicts; the next photographs are read while the model runs.

        Args:
            photographs: The photographs.
            passes: How often each is predicted, by a model that says something else
                each time; None: once, without the axis of passes.

        Returns:
            float32 array of logits, of shape `(len(photographs), num_outputs)`, or
            `(passes, len(photographs), num_outputs)`.
        """
        logits = []
        for batch in progress.bar(
            photographs.batches(self._batch_size),
            "predict",
            math.ceil(len(photographs) / self._batch_size),
            unit="batch",
            delay=5,
            leave=False,
        ):
            try:
                again = [self._forward(batch).numpy() for _ in range(passes or 1)]
            except tf.errors.OpError as error:
                raise RuntimeError(f"Predicting failed: {error.message}.") from error
            logits.append(np.stack(again))
        every = np.concatenate(logits, axis=1)
        return every[0] if passes is None else every
