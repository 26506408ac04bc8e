"""The written training loop: an AutoGraph step, checkpoints, callbacks, TensorBoard.

Written out, because `Model.fit` of Keras 3 fails under multi-worker strategies, and
because a run that was killed must end with the very weights of one that was not.
"""

import os
import pathlib
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from evaluation import metrics, predict
from input_pipeline import pipeline, records, splits
from input_pipeline import progress as bars
from train import board, checkpoints
from train import recipe as recipes


class NonFiniteLossError(ValueError):
    """The loss, or a weight, is no longer a finite number."""


class Trainer:
    """A recipe with its model and optimizer built, ready to see photographs.

    Attributes:
        recipe: What the config decided.
        model: The model.
        optimizer: The optimizer, its variables built.
        strategy: Where both live.
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
        self.strategy = recipe.strategy()
        with self.strategy.scope():
            self.model = recipe.model(image_size=image_size, num_outputs=num_outputs)
            _check_model(self.model, image_size, num_outputs)
            self.optimizer = recipe.optimizer()
            self.optimizer.build(self.model.trainable_variables)
        self.model.optimizer = self.optimizer  # Where Keras' callbacks look for it.
        self._totals = tf.Variable(tf.zeros(3, tf.float64), trainable=False)
        self.train_step = tf.function(self._train_step)

    def train(
        self,
        prepared: records.Prepared,
        split: splits.Split,
        run_dir: pathlib.Path,
        config: str = "",
    ) -> None:
        """Trains to the last epoch, from the last checkpoint if there is one.

        Args:
            prepared: The photographs.
            split: Which of them train and which validate.
            run_dir: Receives `checkpoints/`, `tensorboard/`, `history.json` and, last
                of all, `model.keras`.
            config: gin text, to be shown in TensorBoard.

        Raises:
            NonFiniteLossError: Training diverged; the last good checkpoint is kept.
            ValueError: Too few photographs, a damaged record or checkpoint.
            OSError: The disk is full; the last checkpoint is kept.
        """
        recipe = self.recipe
        photographs = {one.id: one for one in prepared.photographs}
        labels = recipe.task.labels([photographs[one] for one in split.train])
        stream = recipe.stream.open(prepared, split.train, labels, recipe.seed)
        validation = _Validation(recipe, self.model, prepared, split.valid)

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
        if saved.restore():
            logging.info(
                "Going on from %s: epoch %d of %d, step %d.",
                saved.latest,
                progress.epoch + 1,
                recipe.epochs,
                progress.step,
            )
        shown = board.Board(run_dir / "tensorboard")
        if progress.step == 0:
            images, batch_labels, _ = stream.batch(0)
            names = [recipe.task.class_names[label] for label in batch_labels[:16]]
            shown.start(config, images[:16], names)

        with _progress_bar(stream, recipe, progress) as bar:
            loop = _Loop(self, stream, progress, saved, callbacks, bar)
            while progress.epoch < recipe.epochs and not progress.stopped:
                logs = loop.run_epoch()
                val_logs, confusion = validation.run()
                logs |= val_logs
                self._note_best(logs, progress, saved)
                callbacks.on_epoch_end(progress.epoch, dict(logs))
                progress.history.append(logs)
                progress.epoch += 1
                progress.stopped = bool(self.model.stop_training)
                shown.epoch(progress.epoch, logs, confusion, recipe.task.class_names)
                self._totals.assign(tf.zeros_like(self._totals))
                last = progress.stopped or progress.epoch == recipe.epochs
                if last or progress.epoch % recipe.checkpoint_every_epochs == 0:
                    shown.flush()
                    loop.save()
        shown.close()
        callbacks.on_train_end()
        self._finish(progress, saved, run_dir)

    def _train_step(self, images, labels, weights):
        sums = self.strategy.run(self._replica_step, args=(images, labels, weights))
        self._totals.assign_add(self.strategy.reduce("SUM", sums, axis=None))

    def _replica_step(self, images, labels, weights):
        replicas = self.strategy.num_replicas_in_sync
        with tf.GradientTape() as tape:
            logits = self.model(tf.cast(images, tf.float32), training=True)
            loss = self.recipe.loss(labels, logits, sample_weight=weights)
            # The replicas' gradients are summed: each gives its share of the mean.
            total = (loss + sum(self.model.losses)) / replicas
        variables = self.model.trainable_variables
        gradients = tape.gradient(total, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        count = tf.cast(tf.shape(labels)[0], tf.float64)
        predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
        correct = tf.reduce_sum(tf.cast(predicted == labels, tf.float64))
        return tf.stack([tf.cast(loss, tf.float64) * count, correct, count])

    @property
    def totals(self) -> np.ndarray:
        """Of the epoch so far: sum of losses, number rightly classified, number."""
        return self._totals.numpy()

    def running(self) -> dict[str, float]:
        """Loss and accuracy of the epoch so far."""
        loss, correct, count = self.totals
        return {"loss": float(loss / count), "accuracy": float(correct / count)}

    def _note_best(self, logs, progress, saved) -> None:
        name = self.recipe.monitor
        if name not in logs:
            raise ValueError(
                f"`train.monitor` is {name!r}, which the validation photographs do not "
                "define: they lack a class. Choose 'val_loss', or other folds."
            )
        value = logs[name]
        sign = -1 if recipes.MONITORS[name] == "min" else 1
        if progress.best is None or sign * value > sign * progress.best:
            progress.best, progress.best_epoch = value, progress.epoch + 1
            saved.save_best()

    def _finish(self, progress, saved, run_dir: pathlib.Path) -> None:
        """Gives the model its final weights and writes it down."""
        if self.recipe.keep == "best":
            self.model.load_weights(saved.best_weights)
        self.model.optimizer = (
            None  # The model is not compiled; it carries weights only.
        )
        records.write_json(
            run_dir / "history.json",
            {
                "epochs": progress.history,
                "best_epoch": progress.best_epoch,
                "monitor": self.recipe.monitor,
                "kept": self.recipe.keep,
                "weights_sha256": checkpoints.digest(self.model.weights),
            },
        )
        partial = run_dir / "partial.keras"
        self.model.save(partial)
        os.replace(partial, run_dir / "model.keras")


class _Loop:
    """The steps of one epoch after another."""

    def __init__(self, trainer, stream, progress, saved, callbacks, bar):
        self._trainer = trainer
        self._stream: pipeline.OpenStream = stream
        self._progress: checkpoints.Progress = progress
        self._saved: checkpoints.Checkpoints = saved
        self._callbacks: keras.callbacks.CallbackList = callbacks
        self._bar: tqdm.tqdm = bar
        self._checked_step = progress.step
        self._saved_at = time.monotonic()
        last_step = trainer.recipe.epochs * stream.steps_per_epoch
        dataset = stream.dataset(progress.step, last_step)
        self._batches = iter(trainer.strategy.experimental_distribute_dataset(dataset))

    def run_epoch(self) -> dict[str, float]:
        """Takes the steps that the current epoch still lacks; returns its figures."""
        progress, recipe = self._progress, self._trainer.recipe
        first, start = progress.step, time.monotonic()
        shown_at = start
        self._callbacks.on_epoch_begin(progress.epoch)
        while progress.step < (progress.epoch + 1) * self._stream.steps_per_epoch:
            step_of_epoch = progress.step % self._stream.steps_per_epoch
            self._callbacks.on_train_batch_begin(step_of_epoch)
            self._trainer.train_step(*next(self._batches))
            progress.step += 1
            self._callbacks.on_train_batch_end(step_of_epoch)
            self._bar.update(recipe.stream.batch_size)
            now = time.monotonic()
            if now - shown_at > 0.5:
                self._show()
                shown_at = now
            if now - self._saved_at > 60 * recipe.checkpoint_every_minutes:
                self.save()
        logs = self._show()
        seconds = time.monotonic() - start
        count = (progress.step - first) * recipe.stream.batch_size
        logs["learning_rate"] = float(self._trainer.optimizer.learning_rate)
        logs["images_per_second"] = count / seconds
        return logs

    def save(self) -> None:
        """Writes a checkpoint, unless the training has gone wrong."""
        variables = self._trainer.model.trainable_variables
        # A finite loss may still have had gradients that broke the weights.
        self._check_finite(*(one.numpy() for one in variables), self._trainer.totals)
        self._saved.save()
        self._saved_at = time.monotonic()

    def _show(self) -> dict[str, float]:
        logs = self._trainer.running()
        self._check_finite(self._trainer.totals)
        shown = {name: f"{value:.4f}" for name, value in logs.items()}
        last = self._progress.history[-1] if self._progress.history else {}
        monitor = self._trainer.recipe.monitor
        if monitor in last:
            shown[monitor] = f"{last[monitor]:.4f}"
        epoch = f"epoch {self._progress.epoch + 1}/{self._trainer.recipe.epochs}"
        self._bar.set_description(epoch, refresh=False)
        self._bar.set_postfix(shown, refresh=False)
        return logs

    def _check_finite(self, *values: np.ndarray) -> None:
        if not all(np.isfinite(value).all() for value in values):
            raise NonFiniteLossError(
                "The loss is no longer a finite number since some step between "
                f"{self._checked_step + 1} and {self._progress.step} (epoch "
                f"{self._progress.epoch + 1}). The last good checkpoint is kept: "
                f"{self._saved.latest or 'none yet'}. Lower the learning rate and "
                "train in another --run_dir."
            )
        self._checked_step = self._progress.step


class _Validation:
    """The validation photographs, and what the model makes of them."""

    def __init__(
        self,
        recipe: recipes.Recipe,
        model: keras.Model,
        prepared: records.Prepared,
        ids: Sequence[str],
    ):
        photographs = {one.id: one for one in prepared.photographs}
        self._recipe = recipe
        self._labels = np.array(recipe.task.labels([photographs[one] for one in ids]))
        self._images = prepared.open(ids, recipe.stream.cache_gigabytes)
        self._forward = predict.Forward(model)

    def run(self) -> tuple[dict[str, float], np.ndarray]:
        """Figures by name, those that are defined, and the confusion matrix."""
        task = self._recipe.task
        logits = self._forward(self._images)
        probabilities = self._recipe.output.probabilities(logits)
        loss = self._recipe.loss(self._labels, logits)
        logs = {"val_loss": float(loss)}
        if not np.isfinite(logs["val_loss"]):
            return logs, np.zeros([len(task.class_names)] * 2, int)
        scores = metrics.score(self._labels, probabilities, task.disease_classes)
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


def _check_model(model: keras.Model, image_size: int, num_outputs: int) -> None:
    """Raises unless the model takes photographs, gives logits and names its map."""
    expected = (None, image_size, image_size, 3), (None, num_outputs), "float32"
    received = model.input_shape, model.output_shape, model.output.dtype
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


def _progress_bar(stream, recipe, progress) -> tqdm.tqdm:
    size = recipe.stream.batch_size
    return bars.bar(
        total=recipe.epochs * stream.steps_per_epoch * size,
        initial=progress.step * size,
        unit="img",
        smoothing=0.05,
    )
