"""A model's logits for prepared photographs, each photograph exactly once."""

import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from input_pipeline import images, progress, records


class Forward:
    """A model's forward pass as one graph, for any number of photographs."""

    def __init__(self, model: keras.Model, batch_size: int = 64):
        self._batch_size = batch_size
        _, height, width, channels = model.input_shape
        shape = (None, height, width, channels)

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
        def forward(images):
            return model(tf.cast(images, tf.float32), training=False)

        self._forward = forward

    def __call__(self, photographs: images.Images) -> np.ndarray:
        """Predicts; the next photographs are read while the model runs.

        Args:
            photographs: The photographs.

        Returns:
            float32 array of logits, of shape `(len(photographs), num_outputs)`.
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
                logits.append(self._forward(batch).numpy())
            except tf.errors.OpError as error:
                raise RuntimeError(f"Predicting failed: {error.message}.") from error
        return np.concatenate(logits)


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model said of the photographs of one split.

    Attributes:
        split: Name of the split.
        ids: Photograph ids.
        labels: int array of shape `(n,)`.
        logits: float32 array of shape `(n, num_outputs)`.
        probabilities: float64 array of shape `(n, num_classes)`, 0-1.
    """

    split: str
    ids: Sequence[str]
    labels: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray


def write_csv(
    path: pathlib.Path, predictions: Sequence[Predictions], class_names: Sequence[str]
) -> None:
    """Writes a row a photograph: what it is, what the model said.

    Args:
        path: The CSV file; it appears whole or not at all.
        predictions: Those of each split.
        class_names: Names of the classes, for the header.
    """
    header = ["id", "split", "label", "predicted"]
    header += [f"probability {name}" for name in class_names]
    header += [f"logit {number}" for number in range(predictions[0].logits.shape[1])]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for one in predictions:
        columns = (one.ids, one.labels, one.probabilities, one.logits)
        for name, label, probability, logits in zip(*columns, strict=True):
            row = [name, one.split, int(label), int(probability.argmax())]
            # Nine digits give back a float32 exactly.
            row += [f"{value:.9g}" for value in (*probability, *logits)]
            writer.writerow(row)
    records.write_text(path, text.getvalue())
