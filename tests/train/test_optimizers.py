import keras
import pytest
import tensorflow as tf

from train import optimizers, schedules


class Replica:
    """One of two, of which the other has a gradient that is not finite."""

    num_replicas_in_sync = 2

    def all_reduce(self, operation, gradients):
        assert operation == "SUM"
        return [one + float("inf") for one in gradients]


@pytest.mark.parametrize(
    ("policy", "finite"), [("float32", True), ("mixed_float16", False)]
)
def test_with_a_scaled_loss_all_replicas_see_what_one_of_them_cannot_use(
    monkeypatch, policy, finite
):
    variables = [keras.Variable([1.0])]
    built = optimizers.build(keras.optimizers.Adam, variables, policy, replicas=2)
    monkeypatch.setattr(tf.distribute, "get_replica_context", Replica)
    (gradient,) = optimizers.gather(built, [tf.constant([0.5])])
    assert bool(tf.math.is_finite(gradient)) == finite


def test_rate_and_steps_can_be_told_of_variables_on_several_devices():
    """Such variables are no numbers to Python, not even on a single device."""
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        variables = [keras.Variable([1.0])]
        plain = optimizers.build(
            lambda: keras.optimizers.Adam(0.25), variables, "float32", replicas=1
        )
        rate = schedules.Constant(learning_rate=0.5)
        scaled = optimizers.build(
            lambda: keras.optimizers.Adam(rate), variables, "mixed_float16", replicas=1
        )
    rate.set_epochs(1, 0, 0)
    rate.set_steps_per_epoch(2)
    assert optimizers.rate_in_words(plain) == "0.25"
    assert optimizers.learning_rate(plain) == 0.25
    assert optimizers.learning_rate(scaled) == 0.5
    assert optimizers.steps_done(plain) == optimizers.steps_done(scaled) == 0
