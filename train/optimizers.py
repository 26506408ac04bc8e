"""What Keras' optimizers leave to whoever writes the loop.

Clipping, accumulation and moving averages are Keras' own, bound as in
`AdamW.global_clipnorm`, `.gradient_accumulation_steps`, `.use_ema`.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


def build(
    make: Callable[..., keras.optimizers.Optimizer],
    variables: Sequence[keras.Variable],
    dtype_policy: str,
    replicas: int,
) -> keras.optimizers.Optimizer:
    """Makes an optimizer, with all of its variables.

    Args:
        make: `() -> keras.optimizers.Optimizer`.
        variables: What it will train.
        dtype_policy: The model's. The small gradients of float16 need a scaled loss;
            bfloat16 has the range of float32.
        replicas: How many devices share a batch.

    Returns:
        The optimizer.

    Raises:
        ValueError: A setting is out of range, or does what several devices cannot.
    """
    optimizer = _make(make)
    if replicas > 1 and optimizer.gradient_accumulation_steps:
        raise ValueError(
            f"`{type(optimizer).__name__}.gradient_accumulation_steps` works on one "
            f"device. Received: {optimizer.gradient_accumulation_steps} on {replicas}. "
            "Raise `training_stream.batch_size` instead: the devices share a batch."
        )
    for name in _CLIPPING:  # See `gather`.
        if limit := getattr(optimizer, name):
            setattr(optimizer, name, limit / replicas)
    if dtype_policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def _make(
    make: Callable[..., keras.optimizers.Optimizer],
) -> keras.optimizers.Optimizer:
    """Makes an optimizer; an error names the binding, as Keras' own words do not."""
    try:
        optimizer = make()
    except ValueError as error:
        name = getattr(make, "__name__", "train.optimizer")
        text = re.sub(r"`(\w+)`", rf"`{name}.\1`", str(error))
        if whole := re.search(r"learning_rate=(-?\d+)(?=\n|$)", text):
            text = text.replace(whole[0], f"{whole[0]}. Write {whole[1]}.0.")
        raise ValueError(text) from error
    if optimizer.gradient_accumulation_steps == 0:  # Keras takes it for None.
        raise ValueError(
            f"`{type(optimizer).__name__}.gradient_accumulation_steps` must be None or "
            "at least 2. Received: 0."
        )
    if schedule(optimizer) is None and not (rate := learning_rate(optimizer)) > 0:
        raise ValueError(
            f"`{type(optimizer).__name__}.learning_rate` must be above 0. "
            f"Received: {rate:g}."
        )
    return optimizer


def check_accumulation(optimizer: keras.optimizers.Optimizer, steps: int) -> None:
    """Raises ValueError if an optimizer would make no update in so many steps."""
    batches = inner(optimizer).gradient_accumulation_steps or 1
    if batches > steps:
        raise ValueError(
            f"`{type(inner(optimizer)).__name__}.gradient_accumulation_steps` must be "
            f"at most the {steps} batches of its phase, or nothing is ever learnt. "
            f"Received: {batches}."
        )


def gather(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor]
) -> Sequence[tf.Tensor]:
    """Makes gradients ready to be clipped, and found finite, as by one device.

    Keras clips what a replica has before it sums over replicas. So each is given its
    share of the sum, and `build` gave it that share of the limit. Where the loss is
    scaled, all replicas thus also agree on which steps to leave out.

    Args:
        optimizer: What `build` made.
        gradients: Of this replica's part of the loss.

    Returns:
        Gradients whose sum over replicas is the same.
    """
    replica = tf.distribute.get_replica_context()
    count = replica.num_replicas_in_sync
    clips = any(getattr(inner(optimizer), name) for name in _CLIPPING)
    scaled = optimizer is not inner(optimizer)
    if count == 1 or not (clips or scaled):
        return gradients
    return [one / count for one in replica.all_reduce("SUM", gradients)]


def inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer itself, where another scales the loss for it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def schedule(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.schedules.LearningRateSchedule | None:
    """What sets the learning rate step by step, or None."""
    rate = inner(optimizer)._learning_rate
    return None if isinstance(rate, keras.Variable) else rate


def steps_done(optimizer: keras.optimizers.Optimizer) -> int:
    """How many batches an optimizer has seen, those that it accumulates too."""
    return int(inner(optimizer)._iterations.numpy())


def rate_in_words(optimizer: keras.optimizers.Optimizer) -> str:
    """Its learning rate, or the schedule that sets it."""
    follows = schedule(optimizer)
    return f"{learning_rate(optimizer):g}" if follows is None else repr(follows)


def learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the last step."""
    if (follows := schedule(optimizer)) is None:
        return float(optimizer.learning_rate.numpy())
    return float(follows(tf.constant(steps_done(optimizer) - 1, tf.int64)))


def describe(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """What an optimizer is and remembers, JSON-ready.

    Args:
        optimizer: What `build` made.

    Returns:
        Its name; its slots, what it remembers of each variable, such as momentum; how
        many parameters it trains.
    """
    variables = inner(optimizer)._trainable_variables
    # Keras names what it remembers of a variable by the variable.
    prefix = variables[0].path.replace("/", "_") + "_"
    names = [one.name for one in inner(optimizer).variables]
    return {
        "optimizer": type(inner(optimizer)).__name__,
        "loss_scale": optimizer is not inner(optimizer),
        "slots": [one.removeprefix(prefix) for one in names if one.startswith(prefix)],
        "trainable_parameters": sum(math.prod(one.shape) for one in variables),
    }


def state(optimizer: keras.optimizers.Optimizer) -> dict[str, list[tf.Variable]]:
    """All variables: slots, averages, accumulators, counters, the loss scale.

    The learning rate stands apart: a run that goes on from another's state has its own.
    """
    rate = inner(optimizer)._learning_rate
    every = [*optimizer.variables]
    return {
        "learning_rate": [one.value for one in every if one is rate],
        "variables": [one.value for one in every if one is not rate],
    }


@contextlib.contextmanager
def averaged(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> Iterator[None]:
    """Gives variables their moving averages for the length of a `with` block.

    Args:
        optimizer: Holds the averages; without any, nothing changes.
        variables: All that it trains.
    """
    if not inner(optimizer).use_ema:
        yield
        return
    own = [one.numpy() for one in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for one, value in zip(variables, own, strict=True):
            one.assign(value)
