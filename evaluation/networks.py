"""The networks of a run, and what they say together.

A photograph is answered by the networks that have not trained on it, nor on what may be
a copy of it. So each validation photograph of a cross-validation is answered out of
fold, and a photograph that none of them has seen, such as one that tests, by all.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np

from evaluation import members, predict
from input_pipeline import images, records
from models import ensemble


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


class Answering:
    """Networks of one task, of which each photograph gets one that can be looked into.

    Attributes:
        networks: All of them.
        together: Their average, as one network.
    """

    def __init__(self, networks: Sequence[Network], together: keras.Model):
        """Takes the networks and, as it is there already, their average."""
        self.networks, self.together = networks, together
        self._known_to = [one.known for one in networks]
        self._averages = {(True,) * len(networks): together}

    @property
    def by_turns(self) -> bool:
        """Whether some photographs are answered by others of them than others are."""
        return len(set(self._known_to)) > 1

    def __call__(
        self, photographs: Sequence[str | Collection[str]]
    ) -> list[keras.Model]:
        """Chooses who answers.

        Args:
            photographs: As for `answering`.

        Returns:
            For each photograph the average of the networks that answer it; the same
            object where the same ones do.
        """
        asked = answering(self._known_to, photographs)
        return [self._average(tuple(one.tolist())) for one in asked.T]

    def names(self, photographs: Sequence[str | Collection[str]]) -> list[str]:
        """For each photograph the names of those that answer it, in one text."""
        asked = answering(self._known_to, photographs).T
        names = np.array([one.name for one in self.networks])
        return [" ".join(names[one]) for one in asked]

    def trained_on(self, photographs: Sequence[str | Collection[str]]) -> np.ndarray:
        """For which photographs one that answers has trained on it: bool `(n,)`."""
        asked = answering(self._known_to, photographs)
        strange = _strange([frozenset(one.train) for one in self.networks], photographs)
        return (asked & ~strange).any(axis=0)

    def _average(self, asked: tuple[bool, ...]) -> keras.Model:
        if asked not in self._averages:
            pairs = zip(self.networks, asked, strict=True)
            some = [one.model for one, answers in pairs if answers]
            one_network = some[0] if len(some) == 1 else ensemble.average(some)
            self._averages[asked] = one_network
        return self._averages[asked]


def grouped(by: Sequence[keras.Model]) -> Iterator[tuple[keras.Model, np.ndarray]]:
    """Each network once, with the places that are its own.

    Args:
        by: Of each photograph its network, as `Answering` gives it.

    Yields:
        A network, and where in `by` it stands, int array.
    """
    for model in dict.fromkeys(by):
        yield model, np.flatnonzero([one is model for one in by])


def answering(
    known_to: Sequence[Collection[str]], photographs: Sequence[str | Collection[str]]
) -> np.ndarray:
    """Which networks answer for which photographs.

    Args:
        known_to: `Network.known` of each.
        photographs: Ids; or of a photograph those of all its copies, if any.

    Returns:
        bool array of shape `(num_networks, n)`: those that do not know the photograph;
        all of them where each does.
    """
    unseen = _strange(known_to, photographs)
    return unseen | ~unseen.any(axis=0)


def _strange(
    known_to: Sequence[Collection[str]], photographs: Sequence[str | Collection[str]]
) -> np.ndarray:
    """Where no copy of a photograph is known: bool `(len(known_to), n)`."""
    copies = [(one,) if isinstance(one, str) else one for one in photographs]
    return np.array(
        [
            [not any(key in known for key in one) for one in copies]
            for known in known_to
        ],
        bool,
    )
