import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import registry
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


@pytest.mark.parametrize("make", registry._KERAS["keras.optimizers"])
def test_all_that_a_registered_optimizer_remembers_is_in_its_state(make):
    """One that is given another's weights and state goes on like that one."""

    def built():
        variables = [keras.Variable([1.0, -2.0]), keras.Variable([[3.0]])]
        return variables, optimizers.build(make, variables, "float32", replicas=1)

    def step(variables, optimizer, scale):
        gradients = [tf.constant([scale, 1.0]), tf.constant([[-scale]])]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    weights, first = built()
    for scale in (0.5, 2.0, 1.0):
        step(weights, first, scale)
    others, second = built()
    given, taken = (optimizers.state(one)["variables"] for one in (first, second))
    for mine, theirs in zip([*weights, *given], [*others, *taken], strict=True):
        theirs.assign(mine)
    for scale in (3.0, -1.0):
        step(weights, first, scale)
        step(others, second, scale)
    for mine, theirs in zip(weights, others, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert np.abs(weights[0].numpy() - [1.0, -2.0]).max() > 1e-4


def refused(**settings):
    with pytest.raises(ValueError) as caught:
        make = functools.partial(keras.optimizers.Adam, **settings)
        functools.update_wrapper(make, keras.optimizers.Adam)  # As gin does.
        optimizers.build(make, [keras.Variable([1.0])], "float32", replicas=1)
    return str(caught.value)


@pytest.mark.parametrize("rate", [0.0, -1e-3])
def test_a_learning_rate_must_be_above_0(rate):
    assert refused(learning_rate=rate) == (
        f"`Adam.learning_rate` must be above 0. Received: {rate:g}."
    )


def test_what_keras_refuses_is_told_with_the_binding():
    assert refused(gradient_accumulation_steps=1).startswith(
        "`Adam.gradient_accumulation_steps` must be an integer >= 2"
    )
    assert refused(gradient_accumulation_steps=0).endswith("least 2. Received: 0.")
    message = refused(learning_rate=1)
    assert message.startswith("Argument `Adam.learning_rate` should be float, or an")
    assert message.endswith("Received instead: learning_rate=1. Write 1.0.")


def test_what_a_schedule_refuses_keeps_its_name():
    with pytest.raises(ValueError, match=r"^`constant\.learning_rate` must be above 0"):
        optimizers.build(
            lambda: keras.optimizers.Adam(schedules.Constant(learning_rate=-0.1)),
            [keras.Variable([1.0])],
            "float32",
            replicas=1,
        )


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


def test_an_accumulation_that_never_ends_is_refused():
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=4)
    optimizers.check_accumulation(optimizer, 4)
    message = r"`SGD\.gradient_accumulation_steps` must be at most the 3 batches"
    with pytest.raises(ValueError, match=message):
        optimizers.check_accumulation(optimizer, 3)
