import keras
import numpy as np
import pytest
import tensorflow as tf

from train import checkpoints, cluster


def build(dropout_seed=1):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3),
            keras.layers.Dropout(0.5, seed=dropout_seed),
        ]
    )
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def saved_in(folder, model, optimizer, progress, **more):
    totals = tf.Variable(tf.zeros(3, tf.float64))
    return checkpoints.Checkpoints(
        folder, model, [optimizer], totals, progress, keep=2, **more
    )


def test_everything_comes_back(tmp_path):
    stop = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    stop.on_train_begin()
    model, optimizer = build()
    stop.set_model(model)
    stop.on_epoch_end(0, {"val_loss": 0.5})
    model(np.ones((2, 4)), training=True)  # Moves the seed generator on.
    optimizer.apply_gradients(
        [(tf.ones_like(one), one) for one in model.trainable_variables]
    )
    progress = checkpoints.Progress([stop])
    progress.step, progress.epoch, progress.best = 7, 2, 0.25
    progress.history = [{"loss": 1.0}, {"loss": 0.1}]
    saved_in(tmp_path, model, optimizer, progress).save()

    other_model, other_optimizer = build(dropout_seed=2)
    other_stop = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    other_stop.on_train_begin()
    other = checkpoints.Progress([other_stop])
    assert saved_in(tmp_path, other_model, other_optimizer, other).restore("ckpt-7")
    for mine, theirs in zip(
        [*model.variables, *optimizer.variables],
        [*other_model.variables, *other_optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert (other.step, other.epoch, other.best) == (7, 2, 0.25)
    assert other.history == [{"loss": 1.0}, {"loss": 0.1}]
    assert (other_stop.best, other_stop.wait) == (0.5, 0)
    for mine, theirs in zip(stop.best_weights, other_stop.best_weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_nothing_to_restore_is_said(tmp_path):
    model, optimizer = build()
    progress = checkpoints.Progress([])
    assert not saved_in(tmp_path, model, optimizer, progress).restore(None)


def test_a_worker_goes_on_from_the_checkpoint_that_the_chief_names(
    tmp_path, monkeypatch
):
    """It may have seen an older or a newer one as the last."""
    monkeypatch.setattr(cluster, "SHARED_SECONDS", 0.0)
    model, optimizer = build()
    chief, other = checkpoints.Progress([]), checkpoints.Progress([])
    saved = saved_in(tmp_path, model, optimizer, chief)
    worker = saved_in(tmp_path, model, optimizer, other, writes=False)
    for chief.step in (3, 5):
        saved.save()
        assert worker.latest.endswith(f"ckpt-{chief.step}")
    for step in (3, 5):
        assert worker.restore(f"ckpt-{step}")
        assert other.step == step
    assert not worker.restore(None)
    message = r"ckpt-7 does not exist on this worker, but the chief goes.*all workers"
    with pytest.raises(FileNotFoundError, match=message):
        worker.restore("ckpt-7")


def test_a_callback_of_ones_own_remembers_tables_too():
    class Odd(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = 0
            self.per_class = {"a": 1}

    one, other = Odd(), Odd()
    one.seen, one.per_class = np.float32(5), {"a": [1, 2]}
    progress = checkpoints.Progress([one])
    again = checkpoints.Progress([other])
    again.deserialize(progress.serialize())
    assert (other.seen, other.per_class) == (5, {"a": [1, 2]})


def test_what_resuming_would_lose_is_refused():
    callback = keras.callbacks.Callback()
    callback.seen = {"a", "b"}
    with pytest.raises(ValueError, match=r"Received: Callback\.seen = \{"):
        checkpoints.Progress([callback]).serialize()


def test_the_best_weights_come_back(tmp_path):
    model, optimizer = build()
    saved = saved_in(tmp_path, model, optimizer, checkpoints.Progress([]))
    before = [one.numpy() for one in model.weights]
    saved.save_best()
    for one in model.weights:
        one.assign(one + 1)
    saved.load_best()
    for old, one in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, one.numpy())


def shifted(saved, model, progress, epoch: int) -> list[np.ndarray]:
    """Makes an epoch the best one, and gives its weights."""
    for one in model.weights:
        one.assign(one + 1)
    progress.best_epoch = epoch
    saved.save_best()
    return [one.numpy() for one in model.weights]


@pytest.mark.parametrize("later", [(), (8,), (7, 8)])
def test_best_weights_are_those_of_the_checkpoint_that_is_gone_back_to(later, tmp_path):
    model, optimizer = build()
    progress = checkpoints.Progress([])
    saved = saved_in(tmp_path, model, optimizer, progress)
    shifted(saved, model, progress, 2)
    progress.step = 3
    saved.save()
    before = shifted(saved, model, progress, 4)
    progress.step = 5
    saved.save()
    for epoch in later:  # And then it is killed.
        shifted(saved, model, progress, epoch)

    again = checkpoints.Progress([])
    resumed = saved_in(tmp_path, model, optimizer, again)
    assert resumed.restore("ckpt-5")
    assert again.best_epoch == 4
    resumed.load_best()
    for old, one in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, one.numpy())
    assert not (tmp_path / "best-before.weights.h5").exists()


def test_a_best_epoch_whose_weights_are_gone_is_the_best_no_more(tmp_path, caplog):
    model, optimizer = build()
    progress = checkpoints.Progress([])
    saved = saved_in(tmp_path, model, optimizer, progress)
    for epoch, progress.step in ((2, 3), (4, 5)):
        progress.best = epoch / 10
        shifted(saved, model, progress, epoch)
        saved.save()
    with caplog.at_level("WARNING", logger="absl"):
        assert saved.restore("ckpt-3")
    assert "The weights of epoch 2, the best so far, are not in" in caplog.text
    assert (progress.best, progress.best_epoch) == (None, None)
    with pytest.raises(ValueError, match="Without the weights of the best epoch"):
        saved.load_best()
    weights = shifted(saved, model, progress, 5)
    saved.load_best()
    np.testing.assert_array_equal(weights[0], model.weights[0].numpy())


def test_digests_tell_the_smallest_difference():
    model, _ = build()
    before = checkpoints.digest(model.weights)
    assert before == checkpoints.digest(model.weights)
    kernel = model.weights[0].numpy()
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(9))
    model.weights[0].assign(kernel)
    assert before != checkpoints.digest(model.weights)


@pytest.fixture(autouse=True)
def _clean_session():
    yield
    keras.backend.clear_session()
