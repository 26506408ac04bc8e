"""The workers that train together: who they are, and how they agree.

Each is a process of its own, perhaps on another machine, started with the same command
and with `TF_CONFIG`, which says where all of them are and which one it is. The first is
the chief: it alone writes, and where they could differ the others do as it says.
"""

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from train import tf_config

SHARED_SECONDS = 30.0
"""How long another machine's files may take to be seen through a network."""

_LOSSES = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
)


class LostWorkerError(RuntimeError):
    """Another worker has ended before its work was done."""


class Cluster:
    """The processes of one training; most often there is just this one.

    TensorFlow's collective operations wait without a limit, and end with an error, here
    a LostWorkerError, some ten seconds after a worker was last heard of.

    Attributes:
        addresses: `host:port` of each worker, the chief first; empty for one process.
        index: Which of them this process is.
        count: How many there are.
        is_chief: Whether this one writes.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        """Takes part.

        Args:
            strategy: One of several workers knows them from `TF_CONFIG`.
        """
        self.addresses: list[str] = []
        self.index = 0
        # Only a strategy for several workers has a resolver.
        if strategy.cluster_resolver is not None:
            self.addresses, self.index = tf_config.workers()
        self.count = len(self.addresses) or 1
        self.is_chief = self.index == 0
        self._sum = tf.function(
            lambda values: strategy.reduce("SUM", values, axis=None),
            input_signature=[tf.TensorSpec([None], tf.int32)],
        )

    @property
    def name(self) -> str:
        """This worker, for a person."""
        return tf_config.name(self.addresses, self.index)

    def gather(self, content: Any) -> list[Any]:
        """What each worker has to say. All call this, and wait for one another.

        Args:
            content: JSON-ready.

        Returns:
            The workers' contents, in their order.

        Raises:
            LostWorkerError: One of them is gone.
        """
        if self.count == 1:
            return [content]
        text = np.frombuffer(json.dumps(content).encode(), np.uint8)
        # Each adds its part to the others' zeros.
        sizes = np.zeros(self.count, np.int32)
        sizes[self.index] = len(text)
        with self.noticing_losses(), _stoppable():
            sizes = self._sum(sizes).numpy()
            texts = np.zeros((self.count, sizes.max()), np.int32)
            texts[self.index, : len(text)] = text
            every = self._sum(texts.ravel()).numpy().reshape(texts.shape)
        return [
            json.loads(row[:size].astype(np.uint8).tobytes())
            for row, size in zip(every, sizes, strict=True)
        ]

    def tell(self, content: Any = None) -> Any:
        """Has all workers know what the chief knows.

        Args:
            content: The chief's, JSON-ready; that of the others does not count.

        Returns:
            The chief's content.

        Raises:
            LostWorkerError: A worker is gone.
        """
        return self.gather(content if self.is_chief else None)[0]

    @contextlib.contextmanager
    def noticing_losses(self) -> Iterator[None]:
        """Says within a `with` block in words that another worker is gone.

        Raises:
            LostWorkerError: It is.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if lost := self.lost(error):
                raise lost from error
            raise

    def lost(self, error: tf.errors.OpError) -> LostWorkerError | None:
        """What an error of TensorFlow says of other workers, or None.

        Args:
            error: What an operation ended with.
        """
        if self.count == 1:
            return None
        found = re.findall(r"/job:(chief|worker)/(?:replica:0/)?task:(\d+)", str(error))
        jobs = json.loads(os.environ["TF_CONFIG"])["cluster"]
        named = {self.addresses.index(jobs[job][int(task)]) for job, task in found}
        others = sorted(named - {self.index})
        aborted = "Collective ops is aborted" in error.message
        # What is stopped here, as Ctrl-C does, is cancelled too; it is a loss only
        # where it was cancelled by another worker.
        cancelled = isinstance(error, tf.errors.CancelledError) and others
        if not (aborted or cancelled or isinstance(error, _LOSSES)):
            return None
        names = [tf_config.name(self.addresses, one) for one in others]
        which = names[0] if len(names) == 1 else "another worker"
        return LostWorkerError(
            f"{self.name} has lost {which}, and stops; that one's own last message may "
            "say why it ended. Start the same command on all workers again: training "
            "goes on from the last checkpoint."
        )


def join(
    make_strategy: Callable[[], tf.distribute.Strategy], wanted: Mapping[str, str]
) -> tf.distribute.Strategy:
    """Waits for the workers of `TF_CONFIG`, and sees to it that all want the same.

    To be called before TensorFlow is used for anything else.

    Args:
        make_strategy: `() -> tf.distribute.Strategy`, one of several workers.
        wanted: Name -> value of whatever has to be the same on all of them: bindings
            that decide training, flags, versions.

    Returns:
        The strategy.

    Raises:
        ValueError: The strategy is not one of several workers, or they were started
            with different configs, flags or versions.
        RuntimeError: They do not come together.
        LostWorkerError: One of them is gone.
    """
    addresses, index = tf_config.workers()
    name = tf_config.name(addresses, index)
    logging.info("This is %s. Waiting for all to be there, an hour at most.", name)
    try:
        with _stoppable():
            strategy = make_strategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise RuntimeError(
            f"{name} cannot join the others: {error}. Its port must be free, and all "
            "must be started within an hour and reach each other at the addresses of "
            f"TF_CONFIG: {', '.join(addresses)}."
        ) from error
    cluster = Cluster(strategy)
    if cluster.count == 1:
        raise ValueError(
            f"TF_CONFIG names {len(addresses)} workers, but `train.strategy` is "
            f"{type(strategy).__name__}, by which each would train alone. Bind "
            "train.strategy = @tf.distribute.MultiWorkerMirroredStrategy, or unset "
            "TF_CONFIG."
        )
    every = cluster.gather(dict(wanted))
    names = sorted({one for some in every for one in some})
    lines = [
        f"  {one}: {', '.join(some.get(one, 'not set') for some in every)}"
        for one in names
        if len({some.get(one) for some in every}) > 1
    ]
    if lines:
        raise ValueError(
            "All workers must be started with the same experiment and the same flags, "
            "from the same code and versions. They differ, in the order of the "
            "workers, in:\n" + "\n".join(lines)
        )
    logging.info("All %d workers are there.", cluster.count)
    return strategy


def seen(is_there: Callable[[], bool]) -> bool:
    """Whether another worker's file comes to be seen here in time."""
    give_up = time.monotonic() + SHARED_SECONDS
    while not (found := is_there()) and time.monotonic() < give_up:
        time.sleep(1)
    return found


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Has Ctrl-C end the process, of which Python hears nothing while others wait."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
