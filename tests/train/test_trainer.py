import dataclasses
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import augment, pipeline, splits, tasks
from models import freezing, resnet_v2
from train import recipe, trainer

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
from models import freezing, resnet_v2
prepared = records.Prepared(pathlib.Path({str(prepared)!r}))
audited = audit.Audit(
    records.Collection([prepared]), pathlib.Path({str(audited.folder)!r}))
split = splits.Splitter().split(audited)
mirrored = lambda: tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
for name, strategy in (("one", tf.distribute.get_strategy), ("two", mirrored)):
    recipe = t.tiny_recipe(strategy=strategy, keep="last", epochs=2,
        optimizer=lambda: t.keras.optimizers.SGD(0.01),
        model=lambda **sizes: resnet_v2.resnet_v2(
            **sizes, widths=(4,), depths=(1,), synchronized=True))
    training, history = t.train(
        recipe, audited, split, pathlib.Path({str(tmp_path)!r}) / name)
    print(name, training.strategy.num_replicas_in_sync,
          *[one["loss"] for one in history["epochs"]])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (line.split() for line in done.stdout.splitlines())
    assert (one[1], two[1]) == ("1", "2")
    np.testing.assert_allclose(
        np.array(one[2:], float), np.array(two[2:], float), rtol=1e-3
    )


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

    stopped = trainer.Trainer(settings(), audited.collection.image_size)
    steps = stopped.train_steps

    def steps_until_power_fails(batches, count):
        if int(stopped.optimizer.iterations) == 8 + 3:
            raise SystemExit
        steps(batches, count)

    stopped.train_steps = steps_until_power_fails
    with pytest.raises(SystemExit):
        stopped.train(audited, split, tmp_path / "stopped")
    latest = tf.train.latest_checkpoint(tmp_path / "stopped" / "checkpoints")
    assert latest.endswith("ckpt-11"), "in the middle of the second epoch"
    _, resumed = train(settings(), audited, split, tmp_path / "stopped")

    rates = [one["learning_rate"] for one in resumed["epochs"]]
    assert rates == [one["learning_rate"] for one in undisturbed["epochs"]]
    assert rates == pytest.approx([1e-3 / 2**epoch for epoch in range(1, 5)])
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]


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


def test_two_masters_of_the_learning_rate_are_refused():
    decay = keras.optimizers.schedules.CosineDecay(1e-3, 100)
    a_recipe = tiny_recipe(
        optimizer=lambda: keras.optimizers.Adam(decay),
        callbacks=[keras.callbacks.ReduceLROnPlateau()],
    )
    with pytest.raises(ValueError, match="and so does CosineDecay"):
        trainer.Trainer(a_recipe, 64)


def test_a_model_that_could_not_be_loaded_again_is_refused():
    class Own(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    def model(*, image_size, num_outputs):
        inputs = keras.Input((image_size, image_size, 3))
        x = Own(name="feature_map")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))

    with pytest.raises(ValueError, match="register_keras_serializable"):
        trainer.Trainer(tiny_recipe(model=model), 64)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPool2D()], "'feature_map'"),
        ([keras.layers.Conv2D(3, 3), keras.layers.GlobalMaxPool2D()], r"\(None, 3\)"),
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
