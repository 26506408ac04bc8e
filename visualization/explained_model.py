"""What a model says of photographs, and which class of it is explained."""

from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from evaluation import decision, predict
from input_pipeline import images, tasks
from models import outputs


class ExplainedModel:
    """A model, with its task, its output and its calibration.

    Attributes:
        task: What it was trained for.
        output: How its logits become probabilities.
        note: What a reader must know of how prediction and map belong together; or
            empty.
    """

    def __init__(
        self,
        model: keras.Model,
        task: tasks.Task,
        output: outputs.Output,
        decided: decision.Decision | None,
        explained: Literal["disease", "predicted"] = "disease",
    ):
        self.task, self.output = task, output
        self._decided, self._explained = decided, explained
        views = decided and decided.test_time_augmentation
        self._symmetries = views and predict.Symmetries(**views)
        self.note = ""
        if views:
            self.note = (
                "The prediction averages mirrored and turned views; the maps explain "
                "the photograph as it is."
            )
        self._forward = predict.Forward(model, symmetries=self._symmetries)
        self._whole = tf.function(
            lambda batch: model(batch, training=False), reduce_retracing=True
        )

    def probabilities(self, photographs: images.Images) -> np.ndarray:
        """float64 `(n, num_classes)` of opened photographs, calibrated."""
        return self._calibrated(self._forward(photographs))

    def of(self, pictures: np.ndarray) -> np.ndarray:
        """The same of uint8 images `(n, size, size, 3)`."""
        views = [tf.constant(pictures)]
        if self._symmetries:
            views = list(self._symmetries.views(views[0]))
        logits = [self._logits(view.numpy()) for view in views]
        return self._calibrated(np.mean(logits, axis=0))

    def predict(self, pictures: np.ndarray) -> np.ndarray:
        """Uncalibrated, of one view: for curves of photographs that changed."""
        return self.output.probabilities(self._logits(pictures))

    def explained(self, probabilities: np.ndarray) -> np.ndarray:
        """The class of each photograph that is explained, int `(n,)`."""
        if self._explained == "predicted":
            return probabilities.argmax(axis=1)
        disease = np.array(self.task.disease_classes)
        return disease[probabilities[:, disease].argmax(axis=1)]

    def said(self, row: np.ndarray, label: int | None) -> str:
        """Prediction, certainty and truth of a photograph, for a gallery."""
        names, predicted = self.task.class_names, int(row.argmax())
        text = f"{names[predicted]} {row[predicted]:.2f}"
        if label is None:
            return f"{text}, truth unknown"
        return f"{text}, {'right' if label == predicted else f'truth {names[label]}'}"

    def title(
        self, one: str, row: np.ndarray, explained: int, label: int | None
    ) -> str:
        """The same with what is explained, in two lines, for a picture of its own."""
        names, predicted = self.task.class_names, int(row.argmax())
        truth = "unknown" if label is None else f"“{names[label]}”"
        text = f"Heat maps: what speaks for “{names[explained]}”"
        if explained != predicted:
            text += f" ({row[explained]:.2f}), which is not predicted"
        return (
            f"{one}: predicted “{names[predicted]}” ({row[predicted]:.2f}); "
            f"truth: {truth}\n{text}"
        )

    def _logits(self, pictures: np.ndarray) -> np.ndarray:
        parts = [
            self._whole(tf.constant(pictures[start : start + 32], tf.float32)).numpy()
            for start in range(0, len(pictures), 32)
        ]
        return np.concatenate(parts)

    def _calibrated(self, logits: np.ndarray) -> np.ndarray:
        if self._decided is None:
            return self.output.probabilities(logits)
        return self._decided.probabilities(self.output, logits)
