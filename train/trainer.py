"""The written training loop: an AutoGraph step, checkpoints, callbacks, TensorBoard.

Written out, and not `Model.fit`, because a run that was killed at any step must end
with the very weights of one that was not.
"""

import inspect
import os
import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from evaluation import metrics, predict
from input_pipeline import audit, images, pipeline, records, splits
from input_pipeline import progress as bars
from train import board, checkpoints
from train import recipe as recipes

CALL_SECONDS = 0.25
"""How long a call of the graph loop should take; between calls Python has its turn."""


class NonFiniteLossError(ValueError):
    """The loss, or a weight, is no longer a finite number."""


class Trainer:
    """A recipe with its model and optimizer built, ready to see photographs.

    Attributes:
        recipe: What the config decided.
        strategy: Where model and optimizer live.
        model: The model.
        optimizer: The optimizer, its variables built.
        train_steps: `(batches, count) -> None` takes steps in one graph. `batches` is
            an iterator of (images, labels, weights): uint8 of shape `(batch, size,
            size, 3)`, int32 and float32 of shape `(batch,)`; `count` an int64 tensor.
    """

    def __init__(self, recipe: recipes.Recipe, image_size: int):
        """Builds everything that a config can get wrong.

        Args:
            recipe: What the config decided.
            image_size: Side of the prepared photographs, in pixels.

        Raises:
            ValueError: The model breaks the contract that all parts rely on.
        """
        self.recipe = recipe
        keras.utils.set_random_seed(recipe.seed)
        num_outputs = recipe.output.num_outputs(len(recipe.task.class_names))
        _check_builder(recipe.model)
        self.strategy = recipe.strategy()
        with self.strategy.scope():
            self.model = recipe.model(image_size=image_size, num_outputs=num_outputs)
            _check_model(self.model, image_size, num_outputs)
            self.optimizer = recipe.optimizer()
            self.optimizer.build(self.model.trainable_variables)
        self._check_together()
        self.model.optimizer = self.optimizer  # Where Keras' callbacks look for it.
        # Of the epoch so far: sum of losses, number classified rightly, number.
        self._totals = tf.Variable(tf.zeros(3, tf.float64), trainable=False)
        self._finite_step = 0  # The last one at which all was known to be finite.
        self.train_steps = tf.function(self._train_steps)

    def train(
        self,
        audited: audit.Audit,
        split: splits.Split,
        run_dir: pathlib.Path,
        config: str = "",
    ) -> None:
        """Trains to the last epoch, from the last checkpoint if there is one.

        Args:
            audited: The photographs, with their leakage certificate.
            split: Which of them train and which validate.
            run_dir: Receives `checkpoints/`, `tensorboard/`, `history.json` and, last
                of all, `model.keras`.
            config: gin text, to be shown in TensorBoard.

        Raises:
            NonFiniteLossError: Training diverged; the last good checkpoint is kept.
            ValueError: A split that leaks, too few photographs, a damaged record or
                checkpoint.
            OSError: The disk is full; the last checkpoint is kept.
        """
        recipe = self.recipe
        class_names = recipe.task.class_names

        # Photographs.
        if not isinstance(audited, audit.Audit):
            raise ValueError(
                "Training takes photographs with a leakage certificate: an Audit, as "
                f"audit.Auditor().run(...) returns it. Received: {type(audited)}."
            )
        split.check(audited)
        collection = audited.collection
        labels = recipe.task.labels([collection.photograph(one) for one in split.train])
        stream = recipe.stream.open(collection, split.train, labels, recipe.seed)
        validation = _Validation(
            recipe, self.model, collection, split.valid, stream.memory_left
        )

        # What is remembered, and where to go on.
        progress = checkpoints.Progress(recipe.callbacks)
        saved = checkpoints.Checkpoints(
            run_dir / "checkpoints",
            self.model,
            self.optimizer,
            self._totals,
            progress,
            recipe.keep_checkpoints,
        )
        callbacks = keras.callbacks.CallbackList(
            list(recipe.callbacks), model=self.model, epochs=recipe.epochs
        )
        self.model.stop_training = False
        callbacks.on_train_begin()  # Resets callbacks, so restoring comes after it.
        progress.serialize()  # Fails now, if ever, and not at the first checkpoint.
        if saved.restore():
            logging.info(
                "Going on from %s, in epoch %d.", saved.latest, progress.epoch + 1
            )
        self._finite_step = progress.step

        # What a person sees.
        shown = board.Board(run_dir / "tensorboard")
        if progress.step == 0:
            shown.start(config, *_first_photographs(stream, class_names))
        batch_size, steps_per_epoch = recipe.stream.batch_size, stream.steps_per_epoch
        bar = bars.bar(
            total=recipe.epochs * steps_per_epoch * batch_size,
            initial=progress.step * batch_size,
            unit="img",
            smoothing=0.05,
        )

        # Epochs.
        dataset = stream.dataset(progress.step, recipe.epochs * steps_per_epoch)
        batches = iter(self.strategy.experimental_distribute_dataset(dataset))
        saved_at, steps_a_call = time.monotonic(), 1
        with bar, shown:
            while progress.epoch < recipe.epochs and not progress.stopped:
                if progress.step == progress.epoch * steps_per_epoch:
                    callbacks.on_epoch_begin(progress.epoch)  # Not again on resuming.
                first_step, start = progress.step, time.monotonic()
                while missing := (progress.epoch + 1) * steps_per_epoch - progress.step:
                    count = min(steps_a_call, missing)
                    called_at = time.monotonic()
                    try:
                        self.train_steps(batches, tf.constant(count, tf.int64))
                    except tf.errors.OpError as error:
                        if stream.error is not None:  # It says more than TensorFlow.
                            raise stream.error from error
                        raise RuntimeError(
                            f"Training failed in steps {progress.step + 1} to "
                            f"{progress.step + count}: {error.message}. The last "
                            f"checkpoint is kept: {saved.latest or 'none yet'}."
                        ) from error
                    progress.step += count
                    self._check_finite([self._totals], progress, saved)
                    self._show(bar, progress)
                    bar.update(count * batch_size)
                    now = time.monotonic()
                    steps_a_call = _pace(count, now - called_at)
                    due = now - saved_at > 60 * recipe.checkpoint_every_minutes
                    if due and count < missing:  # The end of an epoch has its own.
                        self._check_finite(self.model.variables, progress, saved)
                        saved.save()
                        saved_at = now

                # A finite loss may still have had gradients that broke the weights.
                self._check_finite(self.model.variables, progress, saved)
                logs = self.running()
                seconds = time.monotonic() - start
                count = (progress.step - first_step) * batch_size
                logs["images_per_second"] = count / seconds
                logs["learning_rate"] = float(
                    tf.convert_to_tensor(self.optimizer.learning_rate)
                )
                val_logs, confusion = validation.run()
                logs |= val_logs
                logs["epoch_seconds"] = time.monotonic() - start

                self._note_best(logs, progress, saved)
                callbacks.on_epoch_end(progress.epoch, dict(logs))
                progress.history.append(logs)
                progress.epoch += 1
                progress.stopped = bool(self.model.stop_training)
                self._show(bar, progress)
                shown.epoch(progress.epoch, logs, confusion, class_names)
                self._totals.assign(tf.zeros_like(self._totals))

                last = progress.stopped or progress.epoch == recipe.epochs
                if last or progress.epoch % recipe.checkpoint_every_epochs == 0:
                    shown.flush()
                    saved.save()
                    saved_at = time.monotonic()
        callbacks.on_train_end()
        self._finish(progress, saved, run_dir)

    def _check_together(self) -> None:
        """Raises if parts that are right by themselves do not go together."""
        replicas = self.strategy.num_replicas_in_sync
        batch_size = self.recipe.stream.batch_size
        if batch_size % replicas:
            raise ValueError(
                "`training_stream.batch_size` must be a multiple of the strategy's "
                f"{replicas} devices. Received: {batch_size}."
            )
        scheduled = not isinstance(self.optimizer._learning_rate, keras.Variable)
        for one in self.recipe.callbacks:
            if scheduled and isinstance(one, keras.callbacks.ReduceLROnPlateau):
                raise ValueError(
                    "ReduceLROnPlateau sets the learning rate, and so does "
                    f"{type(self.optimizer._learning_rate).__name__}. Remove one."
                )

    def running(self) -> dict[str, float]:
        """Loss and accuracy of the epoch so far, of training photographs."""
        loss, correct, count = self._totals.numpy()
        return {"loss": float(loss / count), "accuracy": float(correct / count)}

    def _train_steps(self, batches, count):
        for _ in tf.range(count):
            sums = self.strategy.run(self._replica_step, args=next(batches))
            self._totals.assign_add(self.strategy.reduce("SUM", sums, axis=None))

    def _replica_step(self, images, labels, weights):
        with tf.GradientTape() as tape:
            logits = self.model(tf.cast(images, tf.float32), training=True)
            loss = self.recipe.loss(labels, logits, sample_weight=weights)
            # Replicas' gradients are summed, so each gives its share of the mean. Keras
            # divides the loss itself by their number, but not the penalties.
            replicas = self.strategy.num_replicas_in_sync
            total = tf.add_n([loss, *(one / replicas for one in self.model.losses)])
        variables = self.model.trainable_variables
        gradients = tape.gradient(total, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        count = tf.cast(tf.shape(labels)[0], tf.float64)
        predicted = tf.cast(self.recipe.output.predicted(logits), labels.dtype)
        correct = tf.reduce_sum(tf.cast(predicted == labels, tf.float64))
        mean_loss = tf.cast(loss, tf.float64) * replicas
        return tf.stack([mean_loss * count, correct, count])

    def _show(self, bar, progress: checkpoints.Progress) -> None:
        figures = self.running()
        monitor = self.recipe.monitor
        if progress.history:
            figures[monitor] = progress.history[-1][monitor]
        epoch = min(progress.epoch + 1, self.recipe.epochs)
        bar.set_description(f"epoch {epoch}/{self.recipe.epochs}", refresh=False)
        bar.set_postfix(
            {name: f"{value:.3f}" for name, value in figures.items()}, refresh=False
        )

    def _check_finite(self, variables, progress, saved) -> None:
        if all(np.isfinite(one.numpy()).all() for one in variables):
            self._finite_step = progress.step
            return
        # A finite loss of the last step checked says nothing of that step's update.
        raise NonFiniteLossError(
            "The loss or a weight is no longer a finite number, since some step from "
            f"{max(self._finite_step, 1)} to {progress.step} (epoch "
            f"{progress.epoch + 1})."
            " The last good checkpoint is kept: "
            f"{saved.latest or 'there is none yet'}. Lower the learning rate and train "
            "in another --run_dir."
        )

    def _note_best(self, logs, progress, saved) -> None:
        name = self.recipe.monitor
        if name not in logs:
            raise ValueError(
                f"`train.monitor` is {name!r}, which the validation photographs do not "
                "define: they lack a class. Choose 'val_loss', or other folds."
            )
        sign = -1 if recipes.MONITORS[name] == "min" else 1
        if progress.best is None or sign * logs[name] > sign * progress.best:
            progress.best, progress.best_epoch = logs[name], progress.epoch + 1
            saved.save_best()

    def _finish(self, progress, saved, run_dir: pathlib.Path) -> None:
        """Gives the model its final weights and writes it down."""
        if self.recipe.keep == "best":
            saved.load_best()
        self.model.optimizer = None  # The file holds the model alone.
        partial = run_dir / "partial.keras"
        with records.as_os_error(partial):
            self.model.save(partial)
        history = {
            "epochs": progress.history,
            "monitor": self.recipe.monitor,
            "best_epoch": progress.best_epoch,
            "kept": self.recipe.keep,
            "weights_sha256": checkpoints.digest(self.model.weights),
            "model_sha256": records.file_sha256(partial),
            "checkpoints_sha256": saved.checksums(),
        }
        records.write_json(run_dir / "history.json", history)
        os.replace(partial, run_dir / "model.keras")


def _first_photographs(
    stream: pipeline.OpenStream, class_names: Sequence[str], count: int = 16
) -> tuple[np.ndarray, list[str]]:
    """The first augmented training photographs, with the names of their classes."""
    images, titles = [], []
    for step in range(stream.steps_per_epoch):
        some_images, some_labels, _ = stream.batch(step)
        images += list(some_images)
        titles += [class_names[label] for label in some_labels]
        if len(images) >= count:
            break
    return np.stack(images[:count]), titles[:count]


def _pace(steps: int, seconds: float) -> int:
    """How many steps the next call should take, at most twice as many as this one."""
    return max(1, min(2 * steps, round(steps * CALL_SECONDS / seconds)))


class _Validation:
    """The validation photographs, and what the model makes of them."""

    def __init__(
        self,
        recipe: recipes.Recipe,
        model: keras.Model,
        collection: records.Collection,
        ids: Sequence[str],
        cache_gigabytes: float = 0.0,
    ):
        photographs = [collection.photograph(one) for one in ids]
        self._recipe = recipe
        self._labels = np.array(recipe.task.labels(photographs))
        self._images = images.open(collection, ids, cache_gigabytes)
        self._forward = predict.Forward(model)

    def run(self) -> tuple[dict[str, float], np.ndarray]:
        """Figures by name, those that are defined, and the confusion matrix."""
        task = self._recipe.task
        logits = self._forward(self._images)
        probabilities = self._recipe.output.probabilities(logits)
        scores = metrics.score(self._labels, probabilities, task.disease_classes)
        logs = {"val_loss": float(self._recipe.loss(self._labels, logits))}
        logs |= {
            f"val_{name}": one.value
            for name, one in scores.items()
            if one.value is not None
        }
        predictions = probabilities.argmax(axis=1)
        confusion = metrics.confusion_matrix(
            self._labels, predictions, len(task.class_names)
        )
        return logs, confusion


def _check_builder(builder: Callable[..., keras.Model]) -> None:
    """Raises for a function that does not build a model of a given size."""
    try:
        inspect.signature(builder).bind_partial(image_size=None, num_outputs=None)
    except TypeError as error:
        raise ValueError(
            "`train.model` must take image_size and num_outputs. Received "
            f"{getattr(builder, '__name__', builder)}: {error}. A backbone gets its "
            "head from `pretrained`: train.model = @pretrained, pretrained.backbone = "
            "@<the backbone>."
        ) from None


def _check_model(model: keras.Model, image_size: int, num_outputs: int) -> None:
    """Raises unless the model takes photographs, gives logits and names its map."""
    expected = (None, image_size, image_size, 3), (None, num_outputs), "float32"
    outputs = model.outputs[0]
    received = model.input_shape, tuple(outputs.shape), outputs.dtype
    if received != expected:
        raise ValueError(
            "`train.model` must build a model with (input shape, output shape, output "
            f"dtype) {expected}. Received: {received}."
        )
    names = [layer.name for layer in model.layers]
    if "feature_map" not in names:
        raise ValueError(
            "`train.model` must build a model with a layer named 'feature_map', the "
            f"last one with height and width. Received the layers {names}."
        )
    try:
        keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(model)
        )
    except TypeError as error:
        raise ValueError(
            "`train.model` builds a model that could be saved but not be loaded again: "
            f"{str(error).splitlines()[0]} Decorate its own layers with "
            "@keras.saving.register_keras_serializable()."
        ) from error
