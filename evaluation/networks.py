"""The networks of a run, and what they say together.

A photograph is answered by the networks that have not trained on it, nor on what may be
a copy of it. So each validation photograph of a cross-validation is answered out of
fold, and a photograph that none of them has seen, such as one that tests, by all.
"""

import dataclasses
from collections.abc import Collection, Sequence
from typing import NamedTuple

import keras
import numpy as np

from evaluation import members, predict
from input_pipeline import images, records


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network, and what it was trained on.

    Attributes:
        name: What it is called in its run.
        model: The network.
        train: Ids of the photographs that trained it.
        not_drawn: Ids of those that could have, had fewer not been asked for. Copies of
            them may have, so it does not answer them either.
    """

    name: str
    model: keras.Model
    train: Sequence[str]
    not_drawn: Sequence[str] = ()

    @property
    def known(self) -> frozenset[str]:
        """Ids of the photographs that it does not answer if others can."""
        return frozenset([*self.train, *self.not_drawn])


class Answers(NamedTuple):
    """What networks said of photographs.

    Attributes:
        logits: float32 array of shape `(n, num_outputs)`: the mean of those networks
            that a photograph is answered by.
        of_each: float32 array of shape `(num_networks, n, num_outputs)`, NaN where a
            network does not answer.
    """

    logits: np.ndarray
    of_each: np.ndarray


class Networks:
    """Networks of one task, asked together. It is their logits that are averaged."""

    def __init__(
        self,
        networks: Sequence[Network],
        symmetries: predict.Symmetries | None = None,
    ):
        """Takes the networks.

        Args:
            networks: At least one.
            symmetries: Views of a photograph over which each of them averages, if any.
        """
        self._networks = networks
        self._forwards = [
            predict.Forward(one.model, symmetries=symmetries) for one in networks
        ]

    def __call__(self, collection: records.Collection, ids: Sequence[str]) -> Answers:
        """Predicts.

        Args:
            collection: Where the photographs are.
            ids: Their ids, at least one.

        Returns:
            What was said.
        """
        asked = answering([one.known for one in self._networks], ids)
        of_each = None
        for number, forward in enumerate(self._forwards):
            places = np.flatnonzero(asked[number])
            if not len(places):
                continue
            logits = forward(images.open(collection, [ids[one] for one in places]))
            if of_each is None:
                shape = len(self._forwards), len(ids), logits.shape[1]
                of_each = np.full(shape, np.nan, np.float32)
            of_each[number, places] = logits
        return Answers(members.together(of_each), of_each)


def answering(known_to: Sequence[Collection[str]], ids: Sequence[str]) -> np.ndarray:
    """Which networks answer for which photographs.

    Args:
        known_to: `Network.known` of each.
        ids: Photograph ids.

    Returns:
        bool array of shape `(num_networks, n)`: those that do not know the photograph;
        all of them where each does.
    """
    unseen = np.array([[key not in known for key in ids] for known in known_to])
    return unseen | ~unseen.any(axis=0)
