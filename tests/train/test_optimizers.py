import keras
import pytest
import tensorflow as tf

from train import optimizers


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
