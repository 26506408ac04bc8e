"""A model's logits for prepared photographs, each photograph exactly once."""

import math

import keras
import numpy as np
import tensorflow as tf

from input_pipeline import images, progress


class Forward:
    """A model's forward pass as one graph, for any number of photographs."""

    def __init__(
        self, model: keras.Model, batch_size: int = 64, training: bool | None = False
    ):
        self._batch_size = batch_size
        _, height, width, channels = model.input_shape
        shape = (None, height, width, channels)

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
        def forward(images):
            return model(tf.cast(images, tf.float32), training=training)

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
