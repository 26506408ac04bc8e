"""The stream of training batches: a pure function of (seed, epoch, step).

No iterator, buffer or generator holds state of its own, so a run that was killed goes
on with exactly the batches that it would have seen.
"""

import copy
import dataclasses
import functools
from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from input_pipeline import augment as augmentation
from input_pipeline import images as prepared_images
from input_pipeline import processors, records, samplers

# One stream of random numbers for each purpose, so that none depends on another.
_ORDER, _AUGMENT = 0, 1


@gin.register("training_stream")
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingStream:
    """How training photographs become batches.

    Attributes:
        batch_size: Photographs a step, over all replicas.
        sampler: The order of an epoch, and with it the balance of the classes; handed
            over uncalled.
        augment: Random changes, or None.
        class_weights: Whether each photograph weighs in inverse proportion to the size
            of its class, with a mean weight of 1; or the weight of each class, in the
            task's order. Not beside a sampler that balances.
        cache_gigabytes: Memory for decoded photographs, of training and validation
            together; by default half of what is available. Those of training, and then
            those of validation, are kept there if they fit; otherwise each batch
            decodes its own. The batches are the same.
    """

    batch_size: int = 32
    sampler: samplers.Sampler = samplers.every_photograph_once
    augment: augmentation.Augmentation | None = None
    class_weights: bool | Sequence[float] = False
    cache_gigabytes: float | None = None

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(
                "`training_stream.batch_size` must be at least 1. "
                f"Received: {self.batch_size}."
            )
        if self.cache_gigabytes is not None and not self.cache_gigabytes >= 0:
            raise ValueError(
                "`training_stream.cache_gigabytes` must be at least 0, or None for "
                f"half of the available memory. Received: {self.cache_gigabytes}."
            )
        if self.class_weights and samplers.balances(self.sampler):
            raise ValueError(
                "`training_stream.class_weights` must be False where the sampler "
                "balances: the classes would be balanced twice. Received: "
                f"class_weights={self.class_weights} with "
                f"sampler={self.sampler.__name__}. Remove one, or bind "
                "training_stream.sampler = @every_photograph_once."
            )
        if not isinstance(self.class_weights, bool) and not all(
            0 < one < np.inf for one in self.class_weights
        ):
            raise ValueError(
                "`training_stream.class_weights` must be above 0 and finite. Received: "
                f"{self.class_weights}."
            )

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Raises ValueError unless there is a weight for each class, or none."""
        given = self.class_weights
        if not isinstance(given, bool) and len(given) != len(class_names):
            raise ValueError(
                "`training_stream.class_weights` must be True, False or a weight for "
                f"each of {', '.join(class_names)}. Received: {given}."
            )

    def check_epoch(self, taken: int, photographs: int) -> None:
        """Refuses batches larger than an epoch.

        Args:
            taken: How many photographs the sampler takes in an epoch.
            photographs: How many there are.

        Raises:
            ValueError: They do not make a batch.
        """
        if taken >= self.batch_size:
            return
        drawn = ""
        if taken != photographs:
            drawn = f", which the sampler takes from {photographs}"
        raise ValueError(
            "`training_stream.batch_size` must not exceed the photographs of an epoch. "
            f"Received: batch_size={self.batch_size} with {taken} photographs{drawn}. "
            "Lower it."
        )

    @property
    def balances(self) -> bool:
        """Whether it makes up for classes of different sizes, as far as is known."""
        return bool(self.class_weights) or samplers.balances(self.sampler)

    def open(
        self,
        prepared: records.Prepared | records.Collection,
        ids: Sequence[str],
        labels: Sequence[int],
        seed: int,
    ) -> "OpenStream":
        """Binds the stream to its photographs.

        Args:
            prepared: Where the photographs are.
            ids: The training photographs.
            labels: Their labels, as the task has them.
            seed: Decides order and augmentation.

        Returns:
            The stream, from which batches of any step can be taken.

        Raises:
            ValueError: There are too few photographs for a batch, or a shard is
                damaged.
        """
        return OpenStream(self, prepared, tuple(ids), np.asarray(labels), seed)


class OpenStream:
    """Batches of known photographs.

    Attributes:
        images: The photographs, by position.
        error: What went wrong in reading ahead, which TensorFlow would only quote.
        memory_left: Gigabytes that these photographs leave to those of validation.
        steps_per_epoch: Full batches an epoch. A rest too small for a batch is left
            out; as the order differs from epoch to epoch, all photographs have their
            turn.
    """

    def __init__(
        self,
        settings: TrainingStream,
        prepared: records.Prepared | records.Collection,
        ids: tuple[str, ...],
        labels: np.ndarray,
        seed: int,
    ):
        self.error: Exception | None = None
        self._settings = settings
        self._prepared = prepared
        # The batches of an epoch share its order. A cache of the class instead of the
        # object would keep the photographs of finished runs in memory.
        self._order = functools.lru_cache(maxsize=4)(self._make_order)
        self._labels = labels.astype(np.int32)
        self._seed = seed
        self._weights = np.ones(len(ids), np.float32)
        if settings.class_weights is True:
            _, inverse, counts = np.unique(
                labels, return_inverse=True, return_counts=True
            )
            self._weights[:] = (len(labels) / (len(counts) * counts))[inverse]
        elif settings.class_weights:
            self._weights[:] = np.array(settings.class_weights)[labels]
        self._per_epoch = len(self._order(0)) if ids else 0
        self.steps_per_epoch = self._per_epoch // settings.batch_size
        settings.check_epoch(self._per_epoch, len(ids))
        budget = prepared_images.budget(settings.cache_gigabytes)
        self.images = prepared_images.open(prepared, ids, budget)
        self.memory_left = budget - self.images.cached_gigabytes
        self._features: np.ndarray | None = None
        self._beside: tuple[np.ndarray, ...] = ()

    def of_features(self, features: np.ndarray) -> "OpenStream":
        """The same batches with what is known of photographs in their place.

        Args:
            features: Array of shape `(count, ...)`, a row a photograph.

        Returns:
            Another stream, whose batches begin with features and open no photograph.

        Raises:
            ValueError: Photographs are augmented, so that they differ each time.
        """
        if self._settings.augment is not None:
            raise ValueError("Augmented photographs have no features of their own.")
        stream = copy.copy(self)
        stream._features = features
        return stream

    def beside(self, values: np.ndarray) -> "OpenStream":
        """The same batches with one more part.

        Args:
            values: Array of shape `(count, ...)`, a row a photograph.

        Returns:
            Another stream, whose batches end with the rows of their photographs.
        """
        stream = copy.copy(self)
        stream._beside = (*self._beside, values)
        return stream

    def batch(
        self, step: int, worker: int = 0, workers: int = 1
    ) -> tuple[np.ndarray, ...]:
        """The batch of one step, counted from the first epoch's first.

        Args:
            step: Number of the step, from 0.
            worker: Whose part of the batch is wanted, from 0.
            workers: How many share it; all parts, one after the other, are the batch.

        Returns:
            Images, uint8 of shape `(batch, size, size, 3)`, RGB, 0-255; labels, int32
            of shape `(batch,)`; weights, float32 of shape `(batch,)`; and what was put
            beside them.
        """
        epoch, step_of_epoch = divmod(int(step), self.steps_per_epoch)
        batch_size = self._settings.batch_size
        size = batch_size // workers
        first = step_of_epoch * batch_size + worker * size
        chosen = self._order(epoch)[first : first + size]
        rows = [one[chosen] for one in self._rows]
        if self._features is not None:
            return self._features[chosen], *rows
        images = self.images.take(chosen)
        if self._settings.augment is not None:
            rng = np.random.default_rng([self._seed, _AUGMENT, epoch, step_of_epoch])
            images = self._settings.augment(images, rng, worker * size, batch_size)
        return images, *rows

    def dataset(
        self, first_step: int, last_step: int, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Batches from `first_step` up to, not including, `last_step`, read ahead.

        Args:
            first_step: Number of the first step, from 0.
            last_step: Number of the step after the last.
            worker: Whose part of each batch is wanted, from 0.
            workers: How many share it; their number divides the batch size.
        """
        side, size = self._prepared.image_size, self._settings.batch_size // workers
        specs, rows = [tf.TensorSpec((size, side, side, 3), tf.uint8)], self._rows
        if self._features is not None:
            specs, rows = [], (self._features, *rows)
        specs += [tf.TensorSpec((size, *one.shape[1:]), one.dtype) for one in rows]

        def batch(step: np.ndarray):
            try:
                return self.batch(step, worker, workers)
            except Exception as error:
                self.error = error
                raise

        def load(step: tf.Tensor):
            types = [one.dtype for one in specs]
            parts = tf.numpy_function(batch, [step], types, stateful=False)
            return tuple(
                tf.ensure_shape(part, one.shape)
                for part, one in zip(parts, specs, strict=True)
            )

        steps = tf.data.Dataset.range(first_step, last_step)
        # Half of the processors read ahead, in threads of their own; the model has more
        # use for the others.
        parallel = max(1, processors.count() // 2)
        options = tf.data.Options()
        options.threading.private_threadpool_size = parallel
        options.autotune.enabled = False
        batches = steps.map(load, num_parallel_calls=parallel).prefetch(parallel + 1)
        return batches.with_options(options)

    @property
    def _rows(self) -> tuple[np.ndarray, ...]:
        """What a batch holds beside photographs, a row each."""
        return self._labels, self._weights, *self._beside

    def _make_order(self, epoch: int) -> np.ndarray:
        """Positions of the photographs in the order in which the epoch takes them."""
        rng = np.random.default_rng([self._seed, _ORDER, epoch])
        order = self._settings.sampler(self._labels, epoch, rng)
        if epoch > 0 and len(order) != self._per_epoch:
            raise ValueError(
                "`training_stream.sampler` must take as many photographs in each epoch."
                f" Received: {self._per_epoch} in the first, {len(order)} in epoch "
                f"{epoch + 1}."
            )
        return order
