import keras
import numpy as np
import pytest

from models import outputs
from visualization import explainer


@pytest.fixture(scope="session")
def softmax() -> outputs.Output:
    return outputs.Softmax()


@pytest.fixture
def linear() -> keras.Model:
    """8 x 8 pixels; each is its own cell of a feature map of red, green and blue.

    The logits are the means of red and of green less blue.
    """
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 1, use_bias=False, name="feature_map")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    model.get_layer("feature_map").set_weights([np.eye(3)[None, None]])
    head = np.array([[1.0, 0], [0, 1], [0, -1]])
    model.get_layer("logits").set_weights([head, np.zeros(2)])
    return model


@pytest.fixture
def bare(softmax):
    """Makes an explanation that is given its evidence."""

    class Given(explainer.Explanation):
        def _evidence(self, images, classes):
            return np.zeros((len(images), 2, 2), np.float32)

    return lambda model: Given(model, softmax)
