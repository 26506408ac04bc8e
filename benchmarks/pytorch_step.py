"""One training step of the small ResNetV2 against the same network in PyTorch.

    python -m venv torch_env
    torch_env/bin/pip install torch==2.13.0 numpy
    python benchmarks/pytorch_step.py --torch_python=torch_env/bin/python

Ours is the graph loop on one batch that is in memory: uint8 photographs to new weights,
by Adam. PyTorch runs in an environment, and a process, of its own: eagerly, in float32,
channels last, with as many threads, on a batch of the same shape. They run in turns, so
that a machine that slows down does it to both; who waits uses no processor. Where
others are at work too, --threads=1: threads wait for each other at each operation.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf

from input_pipeline import pipeline, tasks
from models import resnet_v2
from train import recipe as recipes
from train import trainer

PEER = pathlib.Path(__file__).with_name("pytorch_peer.py")
TORCH_PYTHON = flags.DEFINE_string(
    "torch_python", "torch_env/bin/python", "Interpreter of the environment of PyTorch."
)
SIZE = flags.DEFINE_integer("size", 256, "Side of the photographs, in pixels.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["4", "32"], "Batch sizes to measure.")
PHOTOGRAPHS = flags.DEFINE_integer("photographs", 512, "Photographs a measurement.")
THREADS = flags.DEFINE_integer("threads", None, "Threads of each [all processors].")
ROUNDS = flags.DEFINE_integer("rounds", 9, "Measurements of each.")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    if not pathlib.Path(TORCH_PYTHON.value).exists():
        sys.exit(
            f"There is no {TORCH_PYTHON.value}. PyTorch is no dependency; make an "
            "environment for it:\n  python -m venv torch_env\n"
            "  torch_env/bin/pip install torch==2.13.0 numpy"
        )
    if THREADS.value:
        tf.config.threading.set_intra_op_parallelism_threads(THREADS.value)
        tf.config.threading.set_inter_op_parallelism_threads(THREADS.value)
    print("photographs a second, medians; ratios within a round, median")
    print("batch   ours  PyTorch  ours/PyTorch")
    for batch_size in map(int, BATCH_SIZES.value):
        ours, theirs = measure(batch_size)
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        print(
            f"{batch_size:5d} {statistics.median(ours):6.0f} "
            f"{statistics.median(theirs):8.0f} {statistics.median(ratios):13.2f}",
            flush=True,
        )


def measure(batch_size: int) -> tuple[list[float], list[float]]:
    """Photographs a second in each round: ours, PyTorch's."""
    built = trainer.Trainer(
        recipes.Recipe(
            task=tasks.referable(),
            model=resnet_v2.resnet_v2,
            optimizer=keras.optimizers.Adam,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            stream=pipeline.TrainingStream(batch_size=batch_size),
            epochs=1,
        ),
        SIZE.value,
    )
    images = np.random.default_rng(0).integers(
        0, 256, (batch_size, SIZE.value, SIZE.value, 3), np.uint8
    )
    labels = np.arange(batch_size, dtype=np.int32) % 2
    batch = images, labels, np.ones(batch_size, np.float32)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    steps = max(PHOTOGRAPHS.value // batch_size, 1)

    def take(count: int) -> None:
        built.train_steps(batches, tf.constant(count, tf.int64))
        built.running()  # Waits for the device.

    trained = sum(int(np.prod(one.shape)) for one in built.model.trainable_variables)
    with Peer(batch_size, trained) as peer:
        take(2)  # Traces the graph.
        ours, theirs = [], []
        for _ in range(ROUNDS.value):
            start = time.perf_counter()
            take(steps)
            ours.append(steps * batch_size / (time.perf_counter() - start))
            theirs.append(steps * batch_size / peer.seconds(steps))
    return ours, theirs


class Peer:
    """The process that trains with PyTorch when it is told to."""

    def __init__(self, batch_size: int, parameters: int):
        """Starts it, and makes sure that it has as many parameters to train."""
        threads = THREADS.value or len(os.sched_getaffinity(0))
        self._process = subprocess.Popen(
            [TORCH_PYTHON.value, PEER, *map(str, (batch_size, SIZE.value, threads))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if (theirs := self._read()) != parameters:
            raise ValueError(f"The networks differ: {parameters} and {theirs} trained.")

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_) -> None:
        self._process.communicate()

    def seconds(self, steps: int) -> float:
        """How long so many steps take."""
        print(steps, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> float:
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"PyTorch's process ended with {self._process.wait()}.")
        return float(line)


if __name__ == "__main__":
    app.run(main)
