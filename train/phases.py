"""Phases: which layers train, for how many epochs, by which optimizer."""

import dataclasses
from collections.abc import Callable, Iterator

import gin
import keras

from train import optimizers

HEAD, ALL = "head", "all"


@gin.register("phase")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a training.

    Attributes:
        epochs: How many epochs it lasts.
        optimizer: `() -> keras.optimizers.Optimizer`; each phase begins with a new one.
        trains: "head": the layers behind `feature_map`; "all"; or the name of a layer,
            which trains with all that does not come before it. The others keep their
            weights, and their batch normalization its statistics.
    """

    epochs: int
    optimizer: Callable[..., keras.optimizers.Optimizer]
    trains: str = HEAD

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError(
                f"`phase.epochs` must be at least 1. Received: {self.epochs}."
            )


class Switch:
    """Sets which layers of a model train; what its builder froze stays frozen."""

    def __init__(self, model: keras.Model):
        self._model = model
        self._as_built = [(one, one.trainable) for one in layers(model)]

    def set(self, trains: str) -> None:
        """Freezes what a phase does not train, and nothing else.

        Args:
            trains: As `Phase.trains` has it.

        Raises:
            ValueError: There is no such layer, or nothing would be left to train.
        """
        for layer, trainable in self._as_built:
            layer.trainable = trainable
        for layer in self._before(trains):
            layer.trainable = False
        if not self._model.trainable_variables:
            raise ValueError(
                f"`phase.trains` is {trains!r}, which leaves {self._model.name!r} "
                "without anything to train: its builder froze the rest."
            )

    def _before(self, trains: str) -> list[keras.Layer]:
        if trains == ALL:
            return []
        names = [layer.name for layer in self._model.layers]
        name = "feature_map" if trains == HEAD else trains
        if name not in names:
            raise ValueError(
                f"`phase.trains` must be {HEAD!r}, {ALL!r} or the name of a layer: "
                f"{names}. Received: {trains!r}."
            )
        if trains == HEAD:
            return trunk(self._model)
        return [one for one in _up_to(self._model, name) if one.name != name]


def in_words(phase: Phase, optimizer: keras.optimizers.Optimizer) -> str:
    """What a phase trains, for how long and by what.

    Args:
        phase: The phase.
        optimizer: Its optimizer, as `optimizers.build` made it.
    """
    known = optimizers.describe(optimizer)
    return (
        f"{phase.trains!r} ({known['trainable_parameters']:,} parameters) for "
        f"{count(phase.epochs)}, {known['optimizer']} at "
        f"{optimizers.rate_in_words(optimizer)}"
    )


def count(epochs: int) -> str:
    """So many epochs, as in "1 epoch"."""
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def trunk(model: keras.Model) -> list[keras.Layer]:
    """The layers up to `feature_map`; the others are the head."""
    return _up_to(model, "feature_map")


def _up_to(model: keras.Model, name: str) -> list[keras.Layer]:
    """A layer, and all that it is computed from."""
    return keras.Model(model.inputs, model.get_layer(name).output).layers


def layers(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a model and of the models in it, the outer before the inner."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers(layer)
