"""The teacher of a distillation: a finished run's model, asked about photographs."""

import numpy as np
import tensorflow as tf

from evaluation import predict
from input_pipeline import fundus, images
from train import earlier_run
from train import recipe as recipes

_PARAMETER = "distillation.teacher"


class Teacher:
    """A finished run whose model says what it thinks of training photographs.

    Attributes:
        run: The run.
    """

    def __init__(self, recipe: recipes.Recipe, image_size: int):
        """Loads the model, in the current strategy's scope.

        Args:
            recipe: What is learnt, with a distillation.
            image_size: Side of the photographs, in pixels.

        Raises:
            FileNotFoundError: There is no such run, or it is not finished.
            ValueError: It learnt another task, or saw other pixels. Photographs made to
                fit would make another teacher of it.
        """
        path = recipe.distillation.teacher
        self.run = earlier_run.EarlierRun(path, _PARAMETER, role="teacher")
        target = self.run.target
        version = target.get("preparation", {}).get("fundus_version")
        for name, here, there in (
            ("task", recipe.task.description(), target["task"]),
            ("output", recipe.output.name, target["output"]),
            ("image size", image_size, self.run.model.input_shape[1]),
            ("preparation of the retina", fundus.VERSION, version),
        ):
            if here != there:
                raise ValueError(
                    f"`{_PARAMETER}` is {path!r}, which differs in its {name}: {there} "
                    f"there, {here} here. A teacher answers the same question about "
                    "the same pixels. Take back the difference, or train a teacher "
                    "like that."
                )

    def __call__(self, photographs: tf.Tensor) -> tf.Tensor:
        """Its logits within a graph, to be called outside of any gradient tape.

        Args:
            photographs: uint8 tensor of shape `(batch, size, size, 3)`, RGB, 0-255.

        Returns:
            float32 tensor of shape `(batch, num_classes)`.
        """
        return self.run.model(tf.cast(photographs, tf.float32), training=False)

    def logits(self, photographs: images.Images) -> np.ndarray:
        """Its logits for all photographs, float32 of shape `(count, num_classes)`."""
        return predict.Forward(self.run.model)(photographs)
