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
from input_pipeline import audit, images, pipeline, records, splits, whole_files
from input_pipeline import progress as bars
from train import (
    board,
    checkpoints,
    cluster,
    collapse,
    earlier_run,
    environment,
    frozen,
    optimizers,
    phases,
    schedules,
    teacher,
)
from train import recipe as recipes

CALL_SECONDS = 0.25
"""How long a call of the graph loop should take; between calls Python has its turn."""


class NonFiniteLossError(ValueError):
    """The loss, or a weight, is no longer a finite number."""


class Trainer:
    """A recipe with its model and optimizers built, ready to see photographs.

    Attributes:
        recipe: What the config decided.
        strategy: Where model and optimizers live.
        model: The model.
        optimizer: That of the current phase, its variables built.
        phase_optimizers: Those of all phases.
        cluster: The workers that share this training.
        devices: Names of the devices that hold the model, on all workers.
        earlier: The run that this one begins with, or None.
        teacher: The one that this one learns from, or None.
        epochs_done: How many epochs that run has done, if this one extends it.
        train_steps: `(batches, count) -> None` takes steps in one graph. `batches` is
            an iterator of (images, labels, weights): uint8 of shape `(batch, size,
            size, 3)`, int32 and float32 of shape `(batch,)`, and perhaps the teacher's
            logits; `count` an int64 tensor. Features take the place of images where
            all but the head is frozen.
    """

    def __init__(self, recipe: recipes.Recipe, image_size: int):
        """Builds everything that a config can get wrong.

        Args:
            recipe: What the config decided.
            image_size: Side of the prepared photographs, in pixels.

        Raises:
            ValueError: The model breaks the contract that all parts rely on, or does
                not fit the run that it begins with.
            FileNotFoundError: There is no such run.
        """
        self.recipe = recipe
        self.strategy = recipe.strategy()  # First, as one of several workers has to be.
        self.cluster = cluster.Cluster(self.strategy)
        self.earlier = earlier_run.named(recipe)
        keras.utils.set_random_seed(recipe.seed)
        num_outputs = recipe.output.num_outputs(len(recipe.task.class_names))
        _check_builder(recipe.model)
        usual_policy = keras.config.dtype_policy()
        with self.strategy.scope(), self.cluster.noticing_losses():
            keras.config.set_dtype_policy(recipe.dtype_policy)
            try:
                self.model = recipe.model(
                    image_size=image_size, num_outputs=num_outputs
                )
            finally:
                keras.config.set_dtype_policy(usual_policy)
            _check_model(self.model, image_size, num_outputs)
            self._check_together()
            self.devices = environment.devices_of(self.model.variables)
            self._check_devices()
            self._warn_of_unsynchronized()
            self._switch = phases.Switch(self.model)
            self.phase_optimizers = [
                self._build_optimizer(one) for one in recipe.phases
            ]
            self._enter(0)
            self._begin()
            self.teacher = None  # Last, so that it changes none of the first weights.
            if recipe.distillation:
                self.teacher = teacher.Teacher(recipe, image_size)
        if self.cluster.count > 1:
            every = self.cluster.gather(self.devices)
            self.devices = [
                f"{address} {device}"
                for address, devices in zip(self.cluster.addresses, every, strict=True)
                for device in devices
            ]
        # Of the epoch so far: sum of losses, number classified rightly, number.
        self._totals = tf.Variable(tf.zeros(3, tf.float64), trainable=False)
        self._finite_step = 0  # The last one at which all was known to be finite.

    def train(
        self,
        audited: audit.Audit,
        split: splits.Split,
        run_dir: pathlib.Path,
        config: str = "",
    ) -> None:
        """Trains to the last epoch, from the last checkpoint if there is one.

        Of several workers all call this, and the chief writes.

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
            LostWorkerError: Another worker is gone; the last checkpoint is kept.
        """
        # Any operation may be the one that waits for the others.
        with self.cluster.noticing_losses():
            self._train(audited, split, run_dir, config)

    @property
    def beginning(self) -> str:
        """Which run it begins with, in a sentence; "" if with none."""
        recipe = self.recipe
        if recipe.init_from:
            head = (
                "head included" if self.earlier.answers(recipe) else "with a new head"
            )
            return f"It begins with the weights of {recipe.init_from}, {head}."
        if recipe.extend_from:
            last_epoch = self._phase_start + recipe.epochs
            return (
                f"It goes on from {recipe.extend_from} after "
                f"{phases.count(self.epochs_done)}, up to epoch {last_epoch}. Learning "
                f"rate: {optimizers.rate_in_words(self.optimizer)}."
            )
        return ""

    @property
    def earlier_runs(self) -> list[earlier_run.EarlierRun]:
        """The runs whose photographs this one's weights will have seen."""
        taught_by = self.teacher and self.teacher.run
        return [one for one in (self.earlier, taught_by) if one]

    def _train(
        self,
        audited: audit.Audit,
        split: splits.Split,
        run_dir: pathlib.Path,
        config: str,
    ) -> None:
        recipe, chief = self.recipe, self.cluster.is_chief
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
        if chief:
            validation = _Validation(
                recipe, self.model, collection, split.valid, stream.memory_left
            )

        if self.teacher and recipe.stream.augment is None:  # It says the same always.
            stream = stream.beside(self.teacher.logits(stream.images))

        # What is remembered, and where to go on.
        progress = checkpoints.Progress(recipe.callbacks)
        progress.epoch, progress.phase_starts = self.epochs_done, [self._phase_start]
        saved = checkpoints.Checkpoints(
            run_dir / "checkpoints",
            self.model,
            self.phase_optimizers,
            self._totals,
            progress,
            recipe.keep_checkpoints,
            writes=chief,
        )
        callbacks = keras.callbacks.CallbackList(
            list(recipe.callbacks), model=self.model, epochs=recipe.total_epochs
        )
        self.model.stop_training = False
        callbacks.on_train_begin()  # Resets callbacks, so restoring comes after it.
        for one in recipe.callbacks:
            # At the first epoch's end Keras turns `min_delta` round by the direction of
            # the metric; with another process it would be turned back.
            if getattr(one, "monitor_op", one) is None:
                one._set_monitor_op()
        progress.serialize()  # Fails now, if ever, and not at the first checkpoint.
        # The chief's choice: who looks at another moment may see another last one.
        latest = self.cluster.tell(saved.latest and os.path.basename(saved.latest))
        begun = saved.restore(latest)
        self._check_begun_alike(progress, saved)
        if begun:
            logging.info(
                "Going on from %s, in epoch %d.", saved.latest, progress.epoch + 1
            )
        else:
            progress.step = progress.epoch * stream.steps_per_epoch
            if self.beginning:
                logging.info("%s", self.beginning)
        self._finite_step = progress.step

        # What a person sees.
        logging.info("Training on %s.", ", ".join(self.devices))
        shown = board.Board(run_dir / "tensorboard" if chief else None)
        if chief and not begun:
            shown.start(config, *_first_photographs(stream, class_names))
        batch_size, steps_per_epoch = recipe.stream.batch_size, stream.steps_per_epoch
        self._epochs = progress.phase_starts[0] + recipe.total_epochs
        bar = bars.bar(
            total=self._epochs * steps_per_epoch * batch_size,
            initial=progress.step * batch_size,
            unit="img",
            smoothing=0.05,
        )

        # Epochs, phase by phase.
        for phase, one in zip(recipe.phases, self.phase_optimizers, strict=True):
            optimizers.check_accumulation(one, phase.epochs * steps_per_epoch)
            if isinstance(rate := optimizers.schedule(one), schedules.Schedule):
                rate.set_steps_per_epoch(steps_per_epoch)
        saved_at, steps_a_call = time.monotonic(), 1
        with bar, shown:
            for number, phase in enumerate(recipe.phases):
                if number < progress.phase:
                    continue
                if number > progress.phase:
                    progress.begin_phase()
                    self.model.stop_training = False
                    callbacks.on_train_begin()
                if number != self._phase:
                    self._enter(number)
                if recipe.first_phases:
                    with bars.aside():
                        logging.info(
                            "Phase %d of %d, from epoch %d: %s.",
                            number + 1,
                            len(recipe.phases),
                            progress.phase_starts[number] + 1,
                            phases.in_words(phase, self.optimizer),
                        )
                last_epoch = progress.phase_starts[number] + phase.epochs
                source = stream
                if self._frozen:
                    source = stream.of_features(self._frozen.features(stream.images))
                if chief:
                    validation.see(self._frozen)
                last_step = last_epoch * steps_per_epoch
                batches = self._batches(source, progress.step, last_step)
                while progress.epoch < last_epoch and not progress.stopped:
                    if progress.step == progress.epoch * steps_per_epoch:
                        callbacks.on_epoch_begin(progress.epoch)  # Not on resuming.
                    first_step, start = progress.step, time.monotonic()
                    next_epoch = (progress.epoch + 1) * steps_per_epoch
                    while missing := next_epoch - progress.step:
                        count = min(steps_a_call, missing)
                        called_at = time.monotonic()
                        self._take_steps(batches, count, source, progress, saved)
                        self._show(bar, progress)
                        bar.update(count * batch_size)
                        now = time.monotonic()
                        # Workers that take other numbers of steps at once would wait
                        # for each other forever, and no two have the same clock.
                        if self.cluster.count == 1:
                            steps_a_call = _pace(count, now - called_at)
                        due = now - saved_at > 60 * recipe.checkpoint_every_minutes
                        if due and count < missing:  # An epoch's end has its own.
                            self._check_finite(self.model.variables, progress, saved)
                            saved.save()
                            saved_at = now

                    # A finite loss may still have had gradients that broke the weights.
                    self._check_finite(self.model.variables, progress, saved)
                    logs = self.running()
                    seconds = time.monotonic() - start
                    count = (progress.step - first_step) * batch_size
                    logs["images_per_second"] = count / seconds
                    logs["learning_rate"] = optimizers.learning_rate(self.optimizer)
                    with self._averaged():  # Whose weights validate, may be the best.
                        confusion = None
                        if chief:
                            val_logs, confusion = validation.run()
                            logs |= val_logs
                            logs["epoch_seconds"] = time.monotonic() - start
                            confusion = confusion.tolist()
                        # What callbacks decide, all of them decide by the same figures.
                        logs, confusion = self.cluster.tell([logs, confusion])
                        confusion = np.array(confusion)
                        self._note_best(logs, progress, saved)
                        callbacks.on_epoch_end(progress.epoch, dict(logs))
                    progress.history.append(logs)
                    progress.epoch += 1
                    # One that stopped by its own clock would leave the others waiting.
                    stopped = bool(self.model.stop_training)
                    progress.stopped = self.cluster.tell(stopped)
                    self._note_collapse(confusion, progress)
                    self._show(bar, progress)
                    shown.epoch(progress.epoch, logs, confusion, class_names)
                    self._totals.assign(tf.zeros_like(self._totals))

                    last = progress.stopped or progress.epoch == last_epoch
                    if last or progress.epoch % recipe.checkpoint_every_epochs == 0:
                        shown.flush()
                        saved.save()
                        saved_at = time.monotonic()
                # Before the callbacks' last word: one may bring back better weights.
                self.optimizer.finalize_variable_values(self.model.trainable_variables)
                callbacks.on_train_end()
        if chief:
            self._finish(progress, saved, run_dir)

    def _build_optimizer(self, phase: phases.Phase) -> keras.optimizers.Optimizer:
        self._switch.set(phase.trains)
        optimizer = optimizers.build(
            phase.optimizer,
            self.model.trainable_variables,
            self.recipe.dtype_policy,
            self.strategy.num_replicas_in_sync,
        )
        rate = optimizers.schedule(optimizer)
        for one in self.recipe.callbacks:
            if rate and isinstance(one, keras.callbacks.ReduceLROnPlateau):
                raise ValueError(
                    "ReduceLROnPlateau sets the learning rate, and so does "
                    f"{type(rate).__name__}. Remove one."
                )
        return optimizer

    def _begin(self) -> None:
        """Begins with an earlier run, if there is one, and tells the schedules."""
        self.epochs_done, self._phase_start, steps = 0, 0, 0
        if self.recipe.init_from:
            self.earlier.initialize(self.model, self.recipe)
        if self.recipe.extend_from:
            self.epochs_done, self._phase_start = self.earlier.extend(
                self.model, self.optimizer, self.recipe
            )
            steps = optimizers.steps_done(self.optimizer)
        for phase, optimizer in zip(
            self.recipe.phases, self.phase_optimizers, strict=True
        ):
            rate = optimizers.schedule(optimizer)
            if isinstance(rate, schedules.Schedule):
                done = self.epochs_done - self._phase_start
                rate.set_epochs(phase.epochs, done, steps)

    def _enter(self, number: int) -> None:
        """Makes the model and the step those of a phase."""
        self._phase = number
        self._switch.set(self.recipe.phases[number].trains)
        self._frozen = None
        if self.recipe.stream.augment is None:
            self._frozen = frozen.find(self.model)
        self._learner = self._frozen.head if self._frozen else self.model
        self.optimizer = self.phase_optimizers[number]
        self.model.optimizer = self.optimizer  # Where Keras' callbacks look for it.
        self.train_steps = tf.function(self._train_steps)  # Of these layers alone.

    def _batches(self, stream: pipeline.OpenStream, first_step: int, last_step: int):
        """An iterator of batches; each worker makes only what it will see."""
        replicas = self.strategy.num_replicas_in_sync

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            worker, workers = context.input_pipeline_id, context.num_input_pipelines
            dataset = stream.dataset(first_step, last_step, worker, workers)
            if replicas == workers:
                return dataset
            return dataset.rebatch(self.recipe.stream.batch_size // replicas)

        return iter(self.strategy.distribute_datasets_from_function(of_worker))

    def _averaged(self):
        return optimizers.averaged(self.optimizer, self.model.trainable_variables)

    def _take_steps(self, batches, count: int, stream, progress, saved) -> None:
        """Takes steps in one graph; raises what a person can understand."""
        try:
            self.train_steps(batches, tf.constant(count, tf.int64))
        except tf.errors.OpError as error:
            if stream.error is not None:  # It says more than TensorFlow.
                raise stream.error from error
            if lost := self.cluster.lost(error):
                raise lost from error
            raise RuntimeError(
                f"Training failed in steps {progress.step + 1} to "
                f"{progress.step + count}: {error.message}. The last checkpoint is "
                f"kept: {saved.latest or 'none yet'}."
            ) from error
        progress.step += count
        self._check_finite([self._totals], progress, saved)

    def _check_together(self) -> None:
        """Raises if parts that are right by themselves do not go together."""
        replicas = self.strategy.num_replicas_in_sync
        batch_size = self.recipe.stream.batch_size
        if batch_size % replicas:
            raise ValueError(
                "`training_stream.batch_size` must be a multiple of the strategy's "
                f"{replicas} devices. Received: {batch_size}."
            )

    def _check_begun_alike(self, progress, saved) -> None:
        """Raises unless all workers go on from the same checkpoint and weights."""
        if self.cluster.count == 1:
            return
        known = [*self.model.variables]
        if self.teacher:
            known += self.teacher.run.model.variables
        every = self.cluster.gather([progress.step, checkpoints.digest(known)])
        steps, digests = zip(*every, strict=True)
        if len(set(steps)) > 1:
            raise ValueError(
                "All workers must go on from the same checkpoint. They found, in "
                f"their order, those of the steps {list(steps)}; here {saved.latest}. "
                "--run_dir must be a folder that all of them share."
            )
        if len(set(digests)) > 1:
            raise ValueError(
                "All workers must begin with the same weights, and have the same "
                "teacher. They have, in their order, those of the checksums "
                f"{', '.join(one[:8] for one in digests)}. An earlier run that the "
                "config names must lie in a folder that all of them share."
            )

    def _warn_of_unsynchronized(self) -> None:
        """Warns of batch statistics that each device takes of its own share."""
        replicas = self.strategy.num_replicas_in_sync
        found = [
            one.name
            for one in phases.layers(self.model)
            if isinstance(one, keras.layers.BatchNormalization)
            and one.trainable
            and not one.synchronized
        ]
        if replicas > 1 and found:
            logging.warning(
                "Batch normalization is not synchronized (%d layers, such as %s): each "
                "of %d devices takes the statistics of its own %d photographs, and the "
                "model is another than one device would train. Bind "
                "resnet_v2.synchronized = True, or pretrained.synchronized = True.",
                len(found),
                found[0],
                replicas,
                self.recipe.stream.batch_size // replicas,
            )

    def _check_devices(self) -> None:
        """Raises on a CPU where a GPU is wanted."""
        if self.recipe.require_gpu and not any("GPU" in one for one in self.devices):
            seen = ", ".join(one.name for one in tf.config.list_physical_devices())
            raise ValueError(
                "`train.require_gpu` is True, but the model is on "
                f"{', '.join(self.devices)}; TensorFlow sees {seen}. Install the "
                "extra `gpu` and NVIDIA's driver, name a strategy that uses the GPU, "
                "or bind train.require_gpu = False."
            )

    def running(self) -> dict[str, float]:
        """Loss and accuracy of the epoch so far, of training photographs."""
        loss, correct, count = self._totals.numpy()
        return {"loss": float(loss / count), "accuracy": float(correct / count)}

    def _train_steps(self, batches, count):
        for _ in tf.range(count):
            sums = self.strategy.run(self._replica_step, args=next(batches))
            self._totals.assign_add(self.strategy.reduce("SUM", sums, axis=None))

    def _replica_step(self, images, labels, weights, said=None):
        if self.teacher and said is None:
            said = self.teacher(images)
        with tf.GradientTape() as tape:
            logits = self._learner(tf.cast(images, tf.float32), training=True)
            loss = self.recipe.loss(labels, logits, sample_weight=weights)
            if self.teacher:
                loss = self.recipe.distillation.loss(loss, said, logits, weights)
            # Replicas' gradients are summed, so each gives its share of the mean. Keras
            # divides the loss itself by their number, but not the penalties.
            replicas = self.strategy.num_replicas_in_sync
            total = tf.add_n([loss, *(one / replicas for one in self._learner.losses)])
            total = self.optimizer.scale_loss(total)
        variables = self.model.trainable_variables
        gradients = tape.gradient(total, variables)
        gradients = optimizers.gather(self.optimizer, gradients)
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
        epoch = min(progress.epoch + 1, self._epochs)
        bar.set_description(f"epoch {epoch}/{self._epochs}", refresh=False)
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

    def _note_collapse(
        self, confusion: np.ndarray, progress: checkpoints.Progress
    ) -> None:
        """Remembers an epoch's predictions; tells when a collapse begins and ends."""
        before = collapse.lasts(progress.only_class)
        progress.only_class.append(metrics.only_class(confusion))
        now = collapse.lasts(progress.only_class)
        if now and not before:
            first_epoch = progress.epoch - len(progress.history) + 1
            balance = "" if self.recipe.stream.balances else "balance the classes, "
            with bars.aside():
                logging.warning(
                    "The model has collapsed: in epochs %d to %d it gives every "
                    "validation photograph the same class, %r. One that is trained "
                    "from scratch may yet recover. If it does not, lower the learning "
                    "rate, %sor look at the augmented photographs in TensorBoard.",
                    first_epoch + now.first,
                    first_epoch + now.last,
                    self.recipe.task.class_names[now.predicted],
                    balance,
                )
        if before and not now:
            with bars.aside():
                logging.info(
                    "The model has recovered: in epoch %d it tells classes apart.",
                    progress.epoch,
                )

    def _finish(self, progress, saved, run_dir: pathlib.Path) -> None:
        """Gives the model its final weights and writes it down."""
        if self.recipe.keep == "best":
            saved.load_best()
        self.model.optimizer = None  # The file holds the model alone.
        partial = run_dir / "partial.keras"
        with records.as_os_error(partial):
            self.model.save(partial)
        first_epoch = progress.epoch - len(progress.history) + 1
        history = {
            "epochs": progress.history,
            "monitor": self.recipe.monitor,
            "best_epoch": progress.best_epoch,
            "kept": self.recipe.keep,
            "first_epoch": first_epoch,
            "phases": [
                {
                    "trains": self.recipe.phases[number].trains,
                    "first_epoch": start + 1,
                    **optimizers.describe(self.phase_optimizers[number]),
                }
                for number, start in enumerate(progress.phase_starts)
            ],
            "collapses": [
                {
                    "predicted": self.recipe.task.class_names[one.predicted],
                    "first_epoch": first_epoch + one.first,
                    "last_epoch": first_epoch + one.last,
                    "overcome": collapse.overcome(one, progress.only_class),
                }
                for one in collapse.find(progress.only_class)
            ],
            "weights_sha256": checkpoints.digest(self.model.weights),
            "model_sha256": records.file_sha256(partial),
            "checkpoints_sha256": saved.checksums(),
        }
        whole_files.write_json(run_dir / "history.json", history)
        os.replace(partial, run_dir / "model.keras")


def _first_photographs(
    stream: pipeline.OpenStream, class_names: Sequence[str], count: int = 16
) -> tuple[np.ndarray, list[str]]:
    """The first augmented training photographs, with the names of their classes."""
    images, titles = [], []
    for step in range(stream.steps_per_epoch):
        some_images, some_labels, *_ = stream.batch(step)
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
        self.see(None)

    def see(self, kept: frozen.Frozen | None) -> None:
        """From now on lets the head see features, if the rest is frozen."""
        self._frozen = kept
        self._features = kept and kept.features(self._images)

    def run(self) -> tuple[dict[str, float], np.ndarray]:
        """Figures by name, those that are defined, and the confusion matrix."""
        task = self._recipe.task
        if self._frozen:
            logits = self._frozen.logits(self._features)
        else:
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
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`train.model` must return a keras.Model. Received: "
            f"{type(model).__name__}. End the function with return keras.Model(inputs, "
            "logits)."
        )
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
    for one in phases.layers(model):
        if isinstance(one, keras.layers.Normalization) and one.input_mean is None:
            raise ValueError(
                f"`train.model`: the layer {one.name!r} has its mean and variance as "
                "weights, which Keras does not use in a copy of the model, as of an "
                "ensemble or an export. Give them as numbers, "
                "layers.Normalization(mean=..., variance=...), or take a Rescaling."
            )
    try:
        keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(model)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`train.model` builds a model that could be saved but not be loaded again: "
            f"{str(error).splitlines()[0]} Decorate its own layers with "
            "@keras.saving.register_keras_serializable(), and make a layer like them "
            "of what a Lambda does."
        ) from error
