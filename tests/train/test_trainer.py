import dataclasses
import itertools
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import augment, pipeline, samplers, splits, tasks
from models import freezing, resnet_v2
from train import (
    checkpoints,
    cluster,
    environment,
    optimizers,
    phases,
    recipe,
    schedules,
    trainer,
)

ROOT = pathlib.Path(__file__).parents[2]


def tiny_model(*, image_size, num_outputs):
    return resnet_v2.resnet_v2(
        image_size=image_size,
        num_outputs=num_outputs,
        widths=(4,),
        depths=(1,),
        stem_width=4,
        dropout=0.5,
    )


def tiny_recipe(**changes) -> recipe.Recipe:
    settings = {
        "task": tasks.referable(),
        "model": tiny_model,
        "optimizer": lambda: keras.optimizers.Adam(1e-3),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "stream": pipeline.TrainingStream(
            batch_size=4, augment=augment.Augmentation(rotation_degrees=180.0)
        ),
        "epochs": 2,
    }
    return recipe.Recipe(**settings | changes)


def train(a_recipe, audited, split, run_dir):
    training = trainer.Trainer(a_recipe, audited.collection.image_size)
    training.train(audited, split, run_dir)
    return training, json.loads((run_dir / "history.json").read_text())


def test_training_writes_what_a_run_directory_promises(audited, split, tmp_path):
    training, history = train(tiny_recipe(), audited, split, tmp_path)
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3))
    np.testing.assert_array_equal(
        loaded(images, training=False), training.model(images, training=False)
    )
    assert len(history["epochs"]) == 2
    assert {"loss", "accuracy", "val_loss", "val_auc", "learning_rate"} <= set(
        history["epochs"][0]
    )
    assert list((tmp_path / "tensorboard" / "valid").glob("events*"))


def test_photographs_without_a_leakage_certificate_are_refused(
    prepared, split, tmp_path
):
    training = trainer.Trainer(tiny_recipe(), 64)
    message = r"Training takes photographs with a leakage certificate: an Audit"
    with pytest.raises(ValueError, match=message):
        training.train(prepared, split, tmp_path)


def test_a_split_that_leaks_is_refused(audited, split, tmp_path):
    leaking = dataclasses.replace(split, train=(*split.train, split.test[0]))
    training = trainer.Trainer(tiny_recipe(), 64)
    with pytest.raises(ValueError, match=rf"has {split.test[0]} in 'train'; the audit"):
        training.train(audited, leaking, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_best_epoch_by_the_monitor_is_kept(audited, split, tmp_path):
    a_recipe = tiny_recipe(epochs=5, monitor="val_loss")
    training, history = train(a_recipe, audited, split, tmp_path)
    losses = [one["val_loss"] for one in history["epochs"]]
    assert history["best_epoch"] == int(np.argmin(losses)) + 1
    validation = trainer._Validation(
        a_recipe, training.model, audited.collection, split.valid
    )
    logs, _ = validation.run()
    assert logs["val_loss"] == pytest.approx(min(losses), rel=1e-6)


def test_the_last_epoch_is_kept_when_asked_for(audited, split, tmp_path):
    a_recipe = tiny_recipe(epochs=3, keep="last")
    training, history = train(a_recipe, audited, split, tmp_path)
    validation = trainer._Validation(
        a_recipe, training.model, audited.collection, split.valid
    )
    logs, _ = validation.run()
    assert logs["val_loss"] == pytest.approx(history["epochs"][-1]["val_loss"])


def test_the_step_is_the_mean_gradient_of_the_batch():
    """One SGD step against automatic differentiation written out by hand."""
    a_recipe = tiny_recipe(
        model=lambda **sizes: resnet_v2.resnet_v2(**sizes, widths=(4,), depths=(1,)),
        optimizer=lambda: keras.optimizers.SGD(0.1),
    )
    training = trainer.Trainer(a_recipe, 64)
    twin = trainer.Trainer(a_recipe, 64).model
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 64, 64, 3), np.uint8)
    labels = np.array([0, 1, 1, 0], np.int32)
    weights = np.array([2.0, 1.0, 0.5, 1.0], np.float32)
    with tf.GradientTape() as tape:
        logits = twin(images.astype(np.float32), training=True)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_sum(each * weights) / 4
    gradients = tape.gradient(loss, twin.trainable_variables)
    batches = iter(tf.data.Dataset.from_tensors((images, labels, weights)))
    training.train_steps(batches, tf.constant(1, tf.int64))
    for ours, before, gradient in zip(
        training.model.trainable_variables,
        twin.trainable_variables,
        gradients,
        strict=True,
    ):
        expected = before.numpy() - 0.1 * gradient.numpy()
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)
    assert training.running()["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_two_replicas_train_as_one(audited, split, tmp_path):
    """Mirrored over two logical processors, in a process of its own."""
    prepared = audited.collection.folders[0].folder
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import pathlib, tensorflow as tf, numpy as np
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
import test_trainer as t
from input_pipeline import audit, records, splits
from models import resnet_v2
from train import schedules
prepared = records.Prepared(pathlib.Path({str(prepared)!r}))
audited = audit.Audit(
    records.Collection([prepared]), pathlib.Path({str(audited.folder)!r}))
split = splits.Splitter().split(audited)
mirrored = lambda: tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
for name, strategy in (("one", tf.distribute.get_strategy), ("two", mirrored)):
    recipe = t.tiny_recipe(strategy=strategy, keep="last", epochs=2,
        optimizer=lambda: t.keras.optimizers.SGD(
            schedules.Cosine(learning_rate=0.01), momentum=0.9,
            global_clipnorm=0.05, use_ema=True),
        model=lambda **sizes: resnet_v2.resnet_v2(
            **sizes, widths=(4,), depths=(1,), synchronized=True))
    training, history = t.train(
        recipe, audited, split, pathlib.Path({str(tmp_path)!r}) / name)
    print(name, len(training.devices), training.strategy.num_replicas_in_sync,
          *[one["loss"] for one in history["epochs"]],
          *training.model.get_layer("logits").kernel.numpy().ravel())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (line.split() for line in done.stdout.splitlines())
    assert (one[1:3], two[1:3]) == (["1", "1"], ["2", "2"])
    np.testing.assert_allclose(
        np.array(one[3:], float), np.array(two[3:], float), rtol=1e-3
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([7, "0123"], r"those of the steps \[0, 7\]; here None.*folder that all"),
        ([0, "0123456789"], r"same weights.*checksums [0-9a-f]{8}, 01234567\. An"),
    ],
)
def test_workers_that_would_begin_with_something_else_are_refused(
    tmp_path, other, message
):
    training = trainer.Trainer(tiny_recipe(), 64)
    training.cluster.count = 2
    training.cluster.gather = lambda own: [own, other]
    progress = checkpoints.Progress([])
    saved = checkpoints.Checkpoints(
        tmp_path, training.model, [], tf.Variable(0.0), progress, keep=1
    )
    with pytest.raises(ValueError, match=message):
        training._check_begun_alike(progress, saved)


def of_two(training, monkeypatch, gather):
    """Has a training take itself for one of two, of which the other is gone."""
    two = {"cluster": {"worker": ["a:1", "b:2"]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(two))
    training.cluster.count, training.cluster.addresses = 2, ["a:1", "b:2"]
    training.cluster.gather = gather


@pytest.mark.parametrize(
    "moment",
    [
        (trainer._Validation, "run"),
        (checkpoints.Checkpoints, "restore"),
        (trainer.Trainer, "_batches"),
        (trainer.Trainer, "_check_finite"),
    ],
)
def test_a_lost_worker_is_noticed_whatever_waits_for_it(
    audited, split, tmp_path, monkeypatch, moment
):
    def lost(*_):
        raise tf.errors.UnavailableError(None, None, "gone: /job:worker/task:1")

    training = trainer.Trainer(tiny_recipe(epochs=1), 64)
    of_two(training, monkeypatch, lambda own: [own, own])
    monkeypatch.setattr(*moment, lost)
    message = r"the chief \(a:1\) has lost worker 1 \(b:2\), and stops"
    with pytest.raises(cluster.LostWorkerError, match=message):
        training.train(audited, split, tmp_path)


def test_all_workers_go_on_from_the_checkpoint_of_the_chief(
    audited, split, tmp_path, monkeypatch
):
    class EnoughError(Exception):
        pass

    def restore(self, name):
        raise EnoughError(name)

    monkeypatch.setattr(checkpoints.Checkpoints, "restore", restore)
    training = trainer.Trainer(tiny_recipe(epochs=1), 64)
    of_two(training, monkeypatch, lambda own: ["ckpt-8", own])
    training.cluster.is_chief = False
    with pytest.raises(EnoughError, match="ckpt-8"):
        training.train(audited, split, tmp_path)


def test_divergence_stops_with_the_steps_and_keeps_the_good_checkpoint(
    audited, split, tmp_path
):
    class Explode(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                kernel = self.model.get_layer("logits").kernel
                kernel.assign(kernel * np.inf)

    a_recipe = tiny_recipe(callbacks=[Explode()], epochs=3, checkpoint_every_epochs=1)
    steps = 32 // 4
    message = rf"some step from {steps} to \d+ \(epoch 2\).*ckpt-{steps}\."
    with pytest.raises(trainer.NonFiniteLossError, match=message):
        train(a_recipe, audited, split, tmp_path)
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / f"ckpt-{steps}"))
    for name, dtype in reader.get_variable_to_dtype_map().items():
        if dtype.is_floating:
            assert np.isfinite(reader.get_tensor(name)).all()
    assert not (tmp_path / "model.keras").exists()


def stop_at_step(a_recipe, step, audited, split, run_dir, named=None):
    """Trains until the power fails after so many steps; one step a call."""
    stopped = trainer.Trainer(a_recipe, audited.collection.image_size)
    enter, taken = stopped._enter, 0

    def wrap():
        steps = stopped.train_steps

        def steps_until_power_fails(batches, count):
            nonlocal taken
            if taken == step:
                raise SystemExit
            taken += int(count)
            steps(batches, count)

        stopped.train_steps = steps_until_power_fails

    def enter_and_wrap(number):
        enter(number)
        wrap()

    wrap()
    stopped._enter = enter_and_wrap
    with pytest.raises(SystemExit):
        stopped.train(audited, split, run_dir)
    latest = tf.train.latest_checkpoint(run_dir / "checkpoints")
    assert latest.endswith(f"ckpt-{named or step}")


def check_resume(settings, audited, split, tmp_path, monkeypatch):
    """A run that stops within its second epoch ends as one that was left alone."""
    monkeypatch.setattr(trainer, "CALL_SECONDS", 0.0)  # One step a call.
    _, undisturbed = train(settings(), audited, split, tmp_path / "undisturbed")
    stop_at_step(settings(), 8 + 3, audited, split, tmp_path / "stopped")
    _, resumed = train(settings(), audited, split, tmp_path / "stopped")
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]


def test_a_run_stopped_within_an_epoch_goes_on_as_if_it_was_not(
    audited, split, tmp_path, monkeypatch
):
    """With a scheduler, which must not have its epoch begun twice."""

    def settings():
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        return tiny_recipe(
            callbacks=[schedule], epochs=4, keep="last", checkpoint_every_minutes=0.0
        )

    monkeypatch.setattr(trainer, "CALL_SECONDS", 0.0)  # One step a call.
    _, undisturbed = train(settings(), audited, split, tmp_path / "undisturbed")
    stop_at_step(settings(), 8 + 3, audited, split, tmp_path / "stopped")
    _, resumed = train(settings(), audited, split, tmp_path / "stopped")

    rates = [one["learning_rate"] for one in resumed["epochs"]]
    assert rates == [one["learning_rate"] for one in undisturbed["epochs"]]
    assert rates == pytest.approx([1e-3 / 2**epoch for epoch in range(1, 5)])
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]


def adamw(learning_rate=1e-2, **settings):
    return lambda: keras.optimizers.AdamW(learning_rate, **settings)


RESUMABLE = {
    "averages, clipping, accumulation": lambda: {
        "optimizer": adamw(
            use_ema=True,
            ema_momentum=0.9,
            global_clipnorm=0.5,
            gradient_accumulation_steps=3,
        ),
    },
    "a product over all steps": lambda: {
        "optimizer": lambda: keras.optimizers.Nadam(1e-2),
    },
    "a scaled loss": lambda: {"dtype_policy": "mixed_float16"},
    "bfloat16, averages, a schedule": lambda: {
        "dtype_policy": "mixed_bfloat16",
        "optimizer": lambda: keras.optimizers.SGD(
            schedules.Cosine(learning_rate=0.1, warmup_epochs=1),
            momentum=0.9,
            use_ema=True,
        ),
    },
    "phases, of which early stopping ends the first": lambda: {
        "epochs": 1,
        "first_phases": [
            phases.Phase(epochs=5, optimizer=adamw(use_ema=True), trains="head"),
            phases.Phase(epochs=1, optimizer=adamw(), trains="last_norm"),
        ],
        "callbacks": [
            keras.callbacks.EarlyStopping(
                patience=1, min_delta=1e6, restore_best_weights=True
            )
        ],
    },
}


@pytest.mark.parametrize("name", RESUMABLE)
def test_all_that_an_optimizer_remembers_survives_a_stop(
    audited, split, tmp_path, monkeypatch, name
):
    def settings():
        usual = {"epochs": 3, "keep": "last", "checkpoint_every_minutes": 0.0}
        return tiny_recipe(**usual | RESUMABLE[name]())

    monkeypatch.setattr(trainer, "CALL_SECONDS", 0.0)  # One step a call.
    whole, undisturbed = train(settings(), audited, split, tmp_path / "undisturbed")
    for step in (3, 8 + 5, 2 * 8 + 7):
        run_dir = tmp_path / f"stopped at {step}"
        stop_at_step(settings(), step, audited, split, run_dir)
        resumed, history = train(settings(), audited, split, run_dir)
        assert history["weights_sha256"] == undisturbed["weights_sha256"]
        for mine, theirs in zip(
            resumed.optimizer.variables, whole.optimizer.variables, strict=True
        ):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_averaged_weights_validate_are_kept_and_end_in_the_model(
    audited, split, tmp_path
):
    """Against averages taken by hand, of one step an epoch."""
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            own = [one.numpy() for one in self.model.trainable_variables]
            seen.append({"own": own})

        def on_epoch_end(self, epoch, logs=None):
            shown = [one.numpy() for one in self.model.trainable_variables]
            seen[epoch]["shown"] = shown

    for keep in ("last", "best"):
        seen.clear()
        a_recipe = tiny_recipe(
            epochs=4,
            keep=keep,
            callbacks=[Watch()],
            stream=pipeline.TrainingStream(batch_size=32),
            optimizer=lambda: keras.optimizers.SGD(
                0.05, use_ema=True, ema_momentum=0.5
            ),
        )
        training, history = train(a_recipe, audited, split, tmp_path / keep)
        average = None
        for epoch in range(3):
            own = seen[epoch + 1]["own"]  # After the epoch's step.
            if average is None:
                average = own
            else:
                average = [(a + b) / 2 for a, b in zip(average, own, strict=True)]
            for mine, shown in zip(average, seen[epoch]["shown"], strict=True):
                np.testing.assert_allclose(mine, shown, rtol=1e-5, atol=1e-7)
        kept = 4 if keep == "last" else history["best_epoch"]
        for mine, shown in zip(
            training.model.trainable_variables, seen[kept - 1]["shown"], strict=True
        ):
            np.testing.assert_array_equal(mine.numpy(), shown)
        validation = trainer._Validation(
            a_recipe, training.model, audited.collection, split.valid
        )
        logs, _ = validation.run()
        expected = history["epochs"][kept - 1]["val_loss"]
        assert logs["val_loss"] == pytest.approx(expected, rel=1e-6)


def test_accumulated_batches_are_one_batch():
    """Two of 4, clipped, against one of 8; without batch normalization."""

    def model(*, image_size, num_outputs):
        inputs = keras.Input((image_size, image_size, 3))
        x = keras.layers.Rescaling(1 / 255, name="feature_map")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 64, 64, 3), np.uint8)
    labels, weights = np.array(8 * [1], np.int32), np.ones(8, np.float32)
    found = []
    for batch_size, accumulate in ((8, None), (4, 2)):
        a_recipe = tiny_recipe(
            model=model,
            optimizer=lambda accumulate=accumulate: keras.optimizers.SGD(
                1.0, global_clipnorm=0.01, gradient_accumulation_steps=accumulate
            ),
        )
        training = trainer.Trainer(a_recipe, 64)
        before = [one.numpy() for one in training.model.trainable_variables]
        dataset = tf.data.Dataset.from_tensor_slices((images, labels, weights))
        batches = iter(dataset.batch(batch_size))
        training.train_steps(batches, tf.constant(8 // batch_size, tf.int64))
        after = [one.numpy() for one in training.model.trainable_variables]
        moved = np.concatenate(
            [(b - a).ravel() for a, b in zip(before, after, strict=True)]
        )
        assert np.linalg.norm(moved) == pytest.approx(0.01, rel=1e-3)
        found.append(moved)
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_model_computes_in_the_precision_asked_for(policy):
    training = trainer.Trainer(tiny_recipe(dtype_policy=policy), 64)
    computed = policy.removeprefix("mixed_")
    assert training.model.get_layer("feature_map").compute_dtype == computed
    assert training.model.outputs[0].dtype == "float32"
    assert {one.dtype for one in training.model.weights} == {"float32"}
    scaled = isinstance(training.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    assert keras.config.dtype_policy().name == "float32", "as it was"


def test_the_learning_rate_of_an_epoch_is_that_of_its_last_step(
    audited, split, tmp_path
):
    """Of a schedule that falls with the second epoch, not at the end of the first."""
    a_recipe = tiny_recipe(
        optimizer=lambda: keras.optimizers.SGD(
            schedules.Step(learning_rate=0.5, at_epochs=(1,), factor=0.5)
        ),
        first_phases=[phases.Phase(epochs=1, optimizer=adamw(0.125))],
    )
    _, history = train(a_recipe, audited, split, tmp_path)
    rates = [one["learning_rate"] for one in history["epochs"]]
    assert rates == [0.125, 0.5, 0.25]


def test_a_phase_trains_what_it_says_and_leaves_the_rest_alone(
    audited, split, tmp_path
):
    weights = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights.append({one.path: one.numpy() for one in self.model.weights})

    a_recipe = tiny_recipe(
        epochs=1,
        callbacks=[Watch()],
        first_phases=[
            phases.Phase(epochs=2, optimizer=adamw()),
            phases.Phase(epochs=1, optimizer=adamw(), trains="last_norm"),
        ],
    )
    training = trainer.Trainer(a_recipe, 64)
    weights.append({one.path: one.numpy() for one in training.model.weights})
    training.train(audited, split, tmp_path)
    changed = [
        {path.split("/")[0] for path in after if (after[path] != before[path]).any()}
        for before, after in itertools.pairwise(weights)
    ]
    every = {path.split("/")[0] for path in weights[0]}
    assert changed == [{"logits"}, {"logits"}, {"last_norm", "logits"}, every]
    history = json.loads((tmp_path / "history.json").read_text())
    of_optimizer = {"loss_scale": False, "slots": ["momentum", "velocity"]}
    head, norm = 4 * 2 + 2, 2 * 4  # Kernel and bias; scale and offset.
    rest = training.model.count_params() - head - 4 * norm  # Less moving statistics.
    assert history["phases"] == [
        {"trains": trains, "first_epoch": first, "optimizer": name} | counted
        for trains, first, name, counted in (
            ("head", 1, "AdamW", of_optimizer | {"trainable_parameters": head}),
            ("last_norm", 3, "AdamW", of_optimizer | {"trainable_parameters": 18}),
            ("all", 4, "Adam", of_optimizer | {"trainable_parameters": head + rest}),
        )
    ]


def test_early_stopping_ends_a_phase_and_the_next_begins(
    audited, split, tmp_path, caplog
):
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e6)
    first = phases.Phase(epochs=9, optimizer=adamw())
    a_recipe = tiny_recipe(callbacks=[stop], epochs=9, first_phases=[first])
    with caplog.at_level("INFO", logger="absl"):
        _, history = train(a_recipe, audited, split, tmp_path)
    assert [one["first_epoch"] for one in history["phases"]] == [1, 3]
    assert len(history["epochs"]) == 4
    head, whole = [one.message for one in caplog.records if "Phase" in one.message]
    # Kernel and bias of 4 features.
    assert head.startswith("Phase 1 of 2, from epoch 1: 'head' (10 parameters) for 9 ")
    assert head.endswith(" epochs, AdamW at 0.01.")
    assert whole.startswith("Phase 2 of 2, from epoch 3: 'all' (")
    assert whole.endswith(" parameters) for 9 epochs, Adam at 0.001.")


def test_a_collapsed_model_is_a_warning_once_and_in_the_history(
    audited, split, tmp_path, caplog
):
    a_recipe = tiny_recipe(epochs=7, optimizer=lambda: keras.optimizers.SGD(1e-12))
    with caplog.at_level("WARNING", logger="absl"):
        _, history = train(a_recipe, audited, split, tmp_path)
    (said,) = [one.message for one in caplog.records if "collapsed" in one.message]
    (found,) = history["collapses"]
    assert (found["first_epoch"], found["last_epoch"]) == (1, 7)
    assert "in epochs 1 to 5" in said
    assert repr(found["predicted"]) in said
    assert found["overcome"] is False


def note_collapses(predicted, caplog, **changes):
    """What is logged where epochs predict that class alone, or None: several."""
    training = trainer.Trainer(tiny_recipe(**changes), 64)
    progress = checkpoints.Progress([])
    told = []
    for only in predicted:
        caplog.clear()
        progress.history.append({})
        progress.epoch += 1
        confusion = np.eye(2, dtype=int) if only is None else np.zeros((2, 2), int)
        if only is not None:
            confusion[:, only] = 3
        with caplog.at_level("INFO", logger="absl"):
            training._note_collapse(confusion, progress)
        told.append(" ".join(one.message for one in caplog.records))
    return told


def test_a_model_that_recovers_is_said_to_once(caplog):
    told = note_collapses([0] * 5 + [1] * 6 + [None] * 3 + [1] * 5, caplog)
    collapsed = [number for number, text in enumerate(told, 1) if "collapsed" in text]
    recovered = [number for number, text in enumerate(told, 1) if "recovered" in text]
    assert (collapsed, recovered) == ([5, 19], [12])
    assert "in epochs 15 to 19 it gives" in told[18]
    assert "in epoch 12 it tells classes apart" in told[11]


@pytest.mark.parametrize(
    ("settings", "advised"),
    [
        ({}, True),
        ({"sampler": samplers.oversample}, False),
        ({"class_weights": True}, False),
    ],
)
def test_balanced_classes_are_not_told_to_be_balanced(settings, advised, caplog):
    stream = pipeline.TrainingStream(batch_size=4, **settings)
    (*_, text) = note_collapses([0] * 5, caplog, stream=stream)
    assert ("balance the classes, or look" in text) == advised
    assert "lower the learning rate, " in text


def test_a_gpu_that_is_required_and_not_there_is_an_error(monkeypatch):
    message = (
        r"`train\.require_gpu` is True, but the model is on CPU:0; TensorFlow sees "
        r"/physical_device:CPU:0\. Install the extra `gpu`"
    )
    monkeypatch.setattr(environment, "devices_of", lambda variables: ["CPU:0"])
    cpu = tf.config.list_physical_devices("CPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda: cpu)
    with pytest.raises(ValueError, match=message):
        trainer.Trainer(tiny_recipe(require_gpu=True), 64)
    monkeypatch.setattr(environment, "devices_of", lambda variables: ["GPU:0 H100"])
    assert trainer.Trainer(tiny_recipe(require_gpu=True), 64).devices == ["GPU:0 H100"]


def test_accumulation_over_several_devices_is_refused():
    with pytest.raises(ValueError, match=r"`AdamW\.gradient_accumulation_steps` work"):
        optimizers.build(adamw(gradient_accumulation_steps=2), [], "float32", 2)


def test_what_fails_in_reading_ahead_is_said_in_its_own_words(
    audited, split, tmp_path, monkeypatch
):
    read = pipeline.OpenStream.batch

    def fail_at_step_3(stream, step):
        if step >= 3:
            raise ValueError("shard x: record 3 is damaged.")
        return read(stream, step)

    monkeypatch.setattr(pipeline.OpenStream, "batch", fail_at_step_3)
    with pytest.raises(ValueError, match=r"^shard x: record 3 is damaged\.$"):
        train(tiny_recipe(), audited, split, tmp_path)


def test_early_stopping_ends_the_run(audited, split, tmp_path):
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e6)
    a_recipe = tiny_recipe(callbacks=[stop], epochs=20)
    _, history = train(a_recipe, audited, split, tmp_path)
    assert len(history["epochs"]) == 2


def test_the_last_k_checkpoints_are_kept(audited, split, tmp_path):
    a_recipe = tiny_recipe(epochs=6, checkpoint_every_epochs=2, keep_checkpoints=2)
    train(a_recipe, audited, split, tmp_path)
    kept = {one.stem for one in (tmp_path / "checkpoints").glob("*.index")}
    assert kept == {f"ckpt-{4 * 8}", f"ckpt-{6 * 8}"}


def test_a_damaged_checkpoint_is_named(audited, split, tmp_path):
    train(tiny_recipe(), audited, split, tmp_path)
    (tmp_path / "model.keras").unlink()
    (data,) = (tmp_path / "checkpoints").glob("*.data*")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"checkpoint .*ckpt-16 cannot be read"):
        train(tiny_recipe(), audited, split, tmp_path)


def test_a_checkpoint_of_another_model_is_refused(audited, split, tmp_path):
    train(tiny_recipe(), audited, split, tmp_path)
    other = tiny_recipe(
        model=lambda **sizes: resnet_v2.resnet_v2(**sizes, widths=(6,), depths=(1,))
    )
    with pytest.raises(ValueError, match="cannot be read"):
        train(other, audited, split, tmp_path)


def test_a_monitor_that_validation_does_not_define_is_an_error(
    audited, split, tmp_path
):
    grades = {one.id: one.grade for one in audited.collection.photographs}
    healthy = tuple(one for one in split.valid if grades[one] < 2)
    poor = splits.Split(split.train, healthy, split.test, {})
    with pytest.raises(ValueError, match=r"`train.monitor` is 'val_auc'.*lack a class"):
        train(tiny_recipe(monitor="val_auc"), audited, poor, tmp_path)


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch):
    class Three:
        num_replicas_in_sync = 3

    built = trainer.Trainer(tiny_recipe(), 64)
    built.strategy = Three()
    with pytest.raises(ValueError, match=r"multiple of the strategy's 3 devices.*: 4"):
        built._check_together()


@pytest.mark.parametrize(
    ("synchronized", "trainable", "replicas", "warned"),
    [
        (False, True, 2, True),
        (True, True, 2, False),
        (False, False, 2, False),  # What is frozen keeps its statistics.
        (False, True, 1, False),
    ],
)
def test_batch_statistics_of_a_share_are_warned_about(
    caplog, synchronized, trainable, replicas, warned
):
    def model(**sizes):
        built = resnet_v2.resnet_v2(
            **sizes, widths=(4,), depths=(1,), synchronized=synchronized
        )
        for layer in built.layers[:-1]:
            layer.trainable = trainable
        return built

    built = trainer.Trainer(tiny_recipe(model=model), 64)
    built._switch.set(phases.ALL)
    built.strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
    with caplog.at_level("WARNING", logger="absl"):
        built._warn_of_unsynchronized()
    message = "Batch normalization is not synchronized (4 layers, such as stem_norm)"
    assert (message in caplog.text) == warned
    assert ("each of 2 devices" in caplog.text) == warned


def test_two_masters_of_the_learning_rate_are_refused():
    decay = keras.optimizers.schedules.CosineDecay(1e-3, 100)
    a_recipe = tiny_recipe(
        optimizer=lambda: keras.optimizers.Adam(decay),
        callbacks=[keras.callbacks.ReduceLROnPlateau()],
    )
    with pytest.raises(ValueError, match="and so does CosineDecay"):
        trainer.Trainer(a_recipe, 64)


def test_a_builder_that_returns_no_model_is_told():
    with pytest.raises(ValueError, match=r"return a keras\.Model\. Received: NoneTy"):
        trainer.Trainer(tiny_recipe(model=lambda image_size, num_outputs: None), 64)


class Unregistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    "layer", [Unregistered, lambda name: keras.layers.Lambda(lambda x: x, name=name)]
)
def test_a_model_that_could_not_be_loaded_again_is_refused(layer):
    def model(*, image_size, num_outputs):
        inputs = keras.Input((image_size, image_size, 3))
        x = layer(name="feature_map")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))

    with pytest.raises(ValueError, match="register_keras_serializable"):
        trainer.Trainer(tiny_recipe(model=model), 64)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPool2D()], "'feature_map'"),
        ([keras.layers.Conv2D(3, 3), keras.layers.GlobalMaxPool2D()], r"\(None, 3\)"),
        (
            [
                keras.layers.Normalization(name="own"),
                keras.layers.Conv2D(2, 3, name="feature_map"),
                keras.layers.GlobalMaxPool2D(),
            ],
            r"the layer 'own' has its mean .*Normalization\(mean=",
        ),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(layers, message):
    def model(*, image_size, num_outputs):
        return keras.Sequential([keras.Input((image_size, image_size, 3)), *layers])

    with pytest.raises(ValueError, match=message):
        trainer.Trainer(tiny_recipe(model=model), 64)


CHILD = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from absl import app
from train import trainer
trainer.CALL_SECONDS = 0.02  # Few steps a call, so that checkpoints fall within epochs.
import main
app.run(main.main, flags_parser=main._parse_flags)
"""


def start_child(idrid_like, prepared_dir, run_dir):
    command = [
        sys.executable,
        "-c",
        CHILD,
        "--mode=train",
        f"--gin_file={pathlib.Path(__file__).parent / 'tiny.gin'}",
        f"--data_dir={idrid_like}",
        f"--prepared_dir={prepared_dir}",
        f"--run_dir={run_dir}",
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_ends_bit_identical_to_an_undisturbed_one(
    prepared, idrid_like, prepared_dir, tmp_path
):
    """Real processes, killed with SIGKILL at random moments, dropout included."""
    undisturbed = start_child(idrid_like, prepared_dir, tmp_path / "undisturbed")
    _, errors = undisturbed.communicate(timeout=300)
    assert undisturbed.returncode == 0, errors[-3000:]

    run_dir = tmp_path / "killed"
    moments = random.Random(0)
    resumed_in = []
    for _ in range(3):
        child = start_child(idrid_like, prepared_dir, run_dir)
        before = set((run_dir / "checkpoints").glob("*.index"))
        deadline = time.monotonic() + 120
        while child.poll() is None and time.monotonic() < deadline:
            # Once it has gone beyond what there was, it may be killed at any time.
            if set((run_dir / "checkpoints").glob("*.index")) - before:
                break
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 1))
        child.send_signal(signal.SIGKILL)
        _, errors = child.communicate(timeout=60)
        assert child.returncode == -signal.SIGKILL, errors[-3000:]
        resumed_in += re.findall(r"Going on from .*ckpt-(\d+)", errors)
    last = start_child(idrid_like, prepared_dir, run_dir)
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors[-3000:]
    resumed_in += re.findall(r"Going on from .*ckpt-(\d+)", errors)
    assert len(resumed_in) == 3, "three kills are three resumptions"

    one, two = (
        json.loads((tmp_path / name / "history.json").read_text())
        for name in ("undisturbed", "killed")
    )
    assert one["weights_sha256"] == two["weights_sha256"]
    assert len(one["epochs"]) == len(two["epochs"])
    for first, second in zip(one["epochs"], two["epochs"], strict=True):
        for name in ("loss", "accuracy", "val_loss", "learning_rate"):
            assert first[name] == second[name]
    # Optimizer and seed generators too, as the last checkpoint has them.
    readers = [
        tf.train.load_checkpoint(tf.train.latest_checkpoint(tmp_path / name / where))
        for name, where in (("undisturbed", "checkpoints"), ("killed", "checkpoints"))
    ]
    shapes = readers[0].get_variable_to_shape_map()
    assert shapes == readers[1].get_variable_to_shape_map()
    for name in shapes:
        # Progress holds seconds and rates; checkpoints in time are counted.
        if not name.startswith(("progress", "save_counter")):
            np.testing.assert_array_equal(*(one.get_tensor(name) for one in readers))


def test_frozen_layers_and_their_statistics_do_not_move(audited, split, tmp_path):
    def frozen_model(**sizes):
        model = resnet_v2.resnet_v2(**sizes, widths=(4,), depths=(1,))
        freezing.freeze(model, "feature_map")
        return model

    a_recipe = tiny_recipe(model=frozen_model, epochs=1, keep="last")
    keras.utils.set_random_seed(a_recipe.seed)
    before = frozen_model(image_size=64, num_outputs=2)
    train(a_recipe, audited, split, tmp_path)
    after = keras.models.load_model(tmp_path / "model.keras", compile=False)
    for one, other in zip(before.layers, after.layers, strict=True):
        for old, new in zip(one.weights, other.weights, strict=True):
            equal = np.array_equal(old, new)
            assert equal == (one.name != "logits"), new.path
    assert [one.path for one in after.trainable_variables] == [
        "logits/kernel",
        "logits/bias",
    ]


def test_a_backbone_in_a_models_place_is_told_where_it_belongs():
    def backbone(*, input_shape, weights):
        raise AssertionError

    message = r"Received backbone: got an unexpected .* pretrained\.backbone = @<the b"
    with pytest.raises(ValueError, match=message):
        trainer.Trainer(tiny_recipe(model=backbone), 64)
