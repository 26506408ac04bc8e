"""What a run's networks say of photographs, and which class of it is explained."""

from collections.abc import Callable, Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from evaluation import decision, metrics, networks, predict
from input_pipeline import records, tasks
from models import outputs


class ExplainedModel:
    """The networks of a run, with their task, their output and their calibration.

    Attributes:
        answering: Chooses the network of each photograph, which predicts and explains
            it: one that has not trained on it, if there is any.
        task: What they were trained for.
        output: How their logits become probabilities.
        note: What a reader must know of how prediction and map belong together; or
            empty.
    """

    def __init__(
        self,
        answering: networks.Answering,
        task: tasks.Task,
        output: outputs.Output,
        decided: decision.Decision | None,
        explained: Literal["disease", "predicted"] = "disease",
    ):
        self.answering, self.task, self.output = answering, task, output
        self._decided, self._explained = decided, explained
        views = decided and decided.test_time_augmentation
        self._symmetries = views and predict.Symmetries(**views)
        self.note = ""
        if views:
            self.note = (
                "The prediction averages mirrored and turned views; the maps explain "
                "the photograph as it is."
            )
        self._graphs: dict[keras.Model, Callable] = {}

    def probabilities(
        self, collection: records.Collection, ids: Sequence[str]
    ) -> np.ndarray:
        """float64 `(n, num_classes)` of photographs with grades, calibrated."""
        asked = networks.Networks(self.answering.networks, self._symmetries)
        return self._calibrated(asked(collection, ids).logits)

    def of(self, pictures: np.ndarray, by: Sequence[keras.Model]) -> np.ndarray:
        """The same of uint8 images `(n, size, size, 3)`, each by its own network."""
        views = [tf.constant(pictures)]
        if self._symmetries:
            views = list(self._symmetries.views(views[0]))
        logits = [self._logits(view.numpy(), by) for view in views]
        return self._calibrated(np.mean(logits, axis=0))

    def predict(self, pictures: np.ndarray, by: Sequence[keras.Model]) -> np.ndarray:
        """Uncalibrated, of one view: for curves of photographs that changed."""
        return self.output.probabilities(self._logits(pictures, by))

    def explained(self, probabilities: np.ndarray) -> np.ndarray:
        """The class of each photograph that is explained, int `(n,)`."""
        if self._explained == "predicted":
            return self.predicted(probabilities)
        disease = np.array(self.task.disease_classes)
        return disease[probabilities[:, disease].argmax(axis=1)]

    def predicted(self, probabilities: np.ndarray) -> np.ndarray:
        """The class of each photograph as the run's report has it, int `(n,)`.

        Of two classes the run's threshold decides, of more the most probable one is it.
        """
        if self._decided is None or probabilities.shape[1] > 2:
            return probabilities.argmax(axis=1)
        (ill,) = self.task.disease_classes
        disease = metrics.disease_probability(probabilities, (ill,))
        return np.where(disease >= self._decided.threshold, ill, 1 - ill)

    def said(self, row: np.ndarray, label: int | None) -> str:
        """Prediction, certainty and truth of a photograph, for a gallery."""
        names, predicted = self.task.class_names, self._predicted_one(row)
        text = f"{names[predicted]} {row[predicted]:.2f}"
        if label is None:
            return f"{text}, truth unknown"
        return f"{text}, {'right' if label == predicted else f'truth {names[label]}'}"

    def title(
        self, one: str, row: np.ndarray, explained: int, label: int | None
    ) -> str:
        """The same with what is explained, in two lines, for a picture of its own."""
        names, predicted = self.task.class_names, self._predicted_one(row)
        truth = "unknown" if label is None else f"“{names[label]}”"
        text = f"Heat maps: what speaks for “{names[explained]}”"
        if explained != predicted:
            text += f" ({row[explained]:.2f}), which is not predicted"
        return (
            f"{one}: predicted “{names[predicted]}” ({row[predicted]:.2f}); "
            f"truth: {truth}\n{text}"
        )

    def _predicted_one(self, row: np.ndarray) -> int:
        return int(self.predicted(row[np.newaxis])[0])

    def _logits(self, pictures: np.ndarray, by: Sequence[keras.Model]) -> np.ndarray:
        num_outputs = self.answering.together.output_shape[-1]
        logits = np.empty((len(pictures), num_outputs), np.float32)
        for model, places in networks.grouped(by):
            graph = self._graph(model)
            for start in range(0, len(places), 32):
                part = places[start : start + 32]
                logits[part] = graph(tf.constant(pictures[part], tf.float32)).numpy()
        return logits

    def _graph(self, model: keras.Model) -> Callable:
        if model not in self._graphs:
            self._graphs[model] = tf.function(
                lambda batch: model(batch, training=False), reduce_retracing=True
            )
        return self._graphs[model]

    def _calibrated(self, logits: np.ndarray) -> np.ndarray:
        if self._decided is None:
            return self.output.probabilities(logits)
        return self._decided.probabilities(self.output, logits)
