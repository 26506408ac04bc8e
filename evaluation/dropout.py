"""Monte Carlo dropout: many passes of one network, each with other units dropped.

Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016: the passes are
draws from an approximate posterior, and what they disagree on is what the network does
not know.
"""

import keras
import numpy as np

from evaluation import predict
from input_pipeline import images


class Passes:
    """A network's forward pass with its dropout left on, and nothing else of training.

    Batch normalization uses its moving statistics, so that what is said of a photograph
    does not depend on the others of its batch.
    """

    def __init__(self, model: keras.Model, count: int, seed: int):
        """Copies the network.

        Args:
            model: A trained model made of layers, such as a functional one.
            count: How many passes, at least 2.
            seed: Decides what is dropped, at least 0.

        Raises:
            ValueError: The model has no dropout, or is not made of layers.
        """
        self._count = count
        self._dropouts: list[keras.layers.Dropout] = []
        copy = self._copy(model)
        if not self._dropouts:
            raise ValueError(
                "`evaluate.dropout_samples` needs a model with dropout. Received: "
                f"{model.name}, without a Dropout layer of a rate above 0. Train one "
                "that has it, or take `evaluate.dropout_samples` back."
            )
        copy.set_weights(model.get_weights())
        # `training` stays open: False would turn off the dropout that the copy has on.
        self._forward = predict.Forward(copy, training=None)
        self._seeds = np.random.SeedSequence(seed).generate_state(len(self._dropouts))

    def __call__(self, photographs: images.Images) -> np.ndarray:
        """Predicts; the same photographs get the same answers, whatever came before.

        Args:
            photographs: The photographs.

        Returns:
            float32 array of logits, of shape `(count, len(photographs), num_outputs)`.
        """
        for layer, seed in zip(self._dropouts, self._seeds, strict=True):
            layer.seed_generator.state.assign([seed, 0])
        return self._forward(photographs, passes=self._count)

    def _copy(self, model: keras.Model) -> keras.Model:
        def call(layer, *args, **kwargs):
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                if layer not in self._dropouts:
                    self._dropouts.append(layer)
                kwargs["training"] = True
            return layer(*args, **kwargs)

        try:
            return keras.models.clone_model(model, call_function=call, recursive=True)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ValueError(
                "`evaluate.dropout_samples` needs a model made of Keras layers. "
                f"Received: {model.name}, of which Keras says: {error}"
            ) from error
