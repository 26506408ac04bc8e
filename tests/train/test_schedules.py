import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from train import schedules


def rates(schedule, epochs, steps_per_epoch, first_epoch=0, first_step=0):
    """The rates of all steps, as an optimizer asks for them."""
    schedule.set_epochs(epochs, first_epoch, first_step)
    schedule.set_steps_per_epoch(steps_per_epoch)
    steps = (epochs - first_epoch) * steps_per_epoch
    return [
        float(schedule(tf.constant(first_step + k, tf.int64))) for k in range(steps)
    ]


def test_a_cosine_is_keras_own_of_as_many_steps():
    theirs = keras.optimizers.schedules.CosineDecay(2e-3, 4 * 5, alpha=0.1)
    ours = schedules.Cosine(learning_rate=2e-3, final_factor=0.1)
    expected = [float(theirs(step)) for step in range(20)]
    np.testing.assert_allclose(rates(ours, 4, 5), expected, rtol=1e-5)


def test_a_warm_up_rises_in_equal_steps_and_ends_at_the_whole_rate():
    found = rates(schedules.Cosine(learning_rate=1.0, warmup_epochs=2), 4, 3)
    np.testing.assert_allclose(found[:6], np.arange(1, 7) / 6, rtol=1e-6)
    after = [0.5 * (1 + math.cos(math.pi * k / 6)) for k in range(6)]
    np.testing.assert_allclose(found[6:], after, rtol=1e-6)


def test_a_constant_rate_stays_where_the_warm_up_left_it():
    found = rates(schedules.Constant(learning_rate=0.3, warmup_epochs=0.5), 2, 4)
    np.testing.assert_allclose(found, [0.15] + 7 * [0.3], rtol=1e-6)


@pytest.mark.parametrize("steps_per_epoch", [3, 7, 101])
def test_steps_fall_with_the_first_batch_of_an_epoch(steps_per_epoch):
    schedule = schedules.Step(learning_rate=1.0, at_epochs=(2, 3), factor=0.5)
    expected = np.repeat([1, 1, 0.5, 0.25], steps_per_epoch)
    np.testing.assert_allclose(rates(schedule, 4, steps_per_epoch), expected)


@pytest.mark.parametrize("steps_per_epoch", [4, 9])
def test_a_longer_run_takes_a_schedule_up_where_its_epoch_is(steps_per_epoch):
    """Whatever the optimizer counted for the epochs before."""
    whole = rates(schedules.Cosine(learning_rate=1.0), 5, steps_per_epoch)
    rest = rates(
        schedules.Cosine(learning_rate=1.0),
        5,
        steps_per_epoch,
        first_epoch=3,
        first_step=1000,
    )
    np.testing.assert_allclose(rest, whole[3 * steps_per_epoch :], rtol=1e-6)


def test_an_optimizer_follows_a_schedule_in_a_graph():
    schedule = schedules.Step(learning_rate=1.0, at_epochs=(1,), factor=0.25)
    schedule.set_epochs(2, 0, 0)
    schedule.set_steps_per_epoch(2)
    optimizer = keras.optimizers.SGD(schedule)
    variable = keras.Variable(0.0)
    optimizer.build([variable])

    @tf.function
    def steps(count):
        for _ in tf.range(count):
            optimizer.apply_gradients([(tf.constant(-1.0), variable)])

    steps(tf.constant(3))
    assert float(variable) == 1 + 1 + 0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.Constant(learning_rate=0.0), r"`constant\.learning_rate`"),
        (
            lambda: schedules.Cosine(learning_rate=1.0, warmup_epochs=-1),
            r"`cosine\.warmup_epochs` must be at least 0\. Received: -1",
        ),
        (
            lambda: schedules.Cosine(learning_rate=1.0, final_factor=1.0),
            r"`cosine\.final_factor` must be from 0 to below 1\. Received: 1\.0",
        ),
        (
            lambda: schedules.Step(learning_rate=1.0, at_epochs=(3, 2)),
            r"`step\.at_epochs` must be epochs after the warm-up, in order\. Received",
        ),
        (
            lambda: schedules.Step(learning_rate=1.0, at_epochs=(3,), factor=1.0),
            r"`step\.factor` must be between 0 and 1",
        ),
        (
            lambda: rates(schedules.Cosine(learning_rate=1.0, warmup_epochs=3), 3, 1),
            r"`cosine\.warmup_epochs` must be below the 3 epochs that it is for\. Rec",
        ),
        (
            lambda: rates(schedules.Step(learning_rate=1.0, at_epochs=(3,)), 3, 1),
            r"`step\.at_epochs` must be below the 3 epochs that they are for\. Recei",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_schedule_says_what_it_is():
    schedule = schedules.Cosine(learning_rate=1e-3, warmup_epochs=5)
    assert repr(schedule) == (
        "cosine(learning_rate=0.001, warmup_epochs=5, final_factor=0.0)"
    )
