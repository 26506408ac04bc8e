"""What it costs to train the head of a frozen ResNet-50, in forward passes.

    python benchmarks/frozen.py

- forward: the frozen trunk alone, on one batch that is in memory.
- step: a training step of the head on augmented photographs, which go through the trunk
  each time; no gradient of the trunk is kept.
- everything: a training step of the whole network, for comparison.
- features: a training step of the head where nothing is augmented, on features that
  were computed once.

They run in turns, so that a machine that slows down does it to all of them. Weights are
random: they change no time.
"""

import pathlib
import statistics
import sys
import time

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf

from input_pipeline import augment, pipeline, tasks
from models import freezing, pretrained
from train import recipe as recipes
from train import trainer

IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side in pixels.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Photographs a step.")
STEPS = flags.DEFINE_integer("steps", 3, "Steps a measurement.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Measurements of each kind.")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    seconds = measure()
    print(f"ResNet-50, {IMAGE_SIZE.value} px, batch {BATCH_SIZE.value}, medians")
    print("               ms a batch   in forward passes")
    for name, times in seconds.items():
        pairs = zip(times, seconds["forward"], strict=True)
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"{name:13s} {1000 * statistics.median(times):11.1f} {ratio:19.3f}")


def measure() -> dict[str, list[float]]:
    """Seconds a batch, for each kind and round."""
    rng = np.random.default_rng(0)
    count, side = BATCH_SIZE.value, IMAGE_SIZE.value
    images = rng.integers(0, 256, (count, side, side, 3), np.uint8)
    labels, weights = np.zeros(count, np.int32), np.ones(count, np.float32)
    head = training(augment.Augmentation(), "feature_map")
    whole = training(augment.Augmentation(), None)
    kept = training(None, "feature_map")
    trunk = keras.Model(head.model.input, head.model.get_layer("pool").output)
    batch = tf.constant(images)

    @tf.function
    def forward(count):
        total = 0.0
        for _ in tf.range(count):
            pooled = trunk(tf.cast(batch, tf.float32), training=False)
            total += tf.reduce_sum(pooled)
        return total

    features = forward_features(trunk, images)
    kinds = {
        "forward": lambda steps: forward(tf.constant(steps)).numpy(),
        "step": stepper(head, images, labels, weights),
        "everything": stepper(whole, images, labels, weights),
        "features": stepper(kept, features, labels, weights),
    }
    for run in kinds.values():  # Traces the graphs.
        run(1)
    seconds = {name: [] for name in kinds}
    for _ in range(ROUNDS.value):
        for name, run in kinds.items():
            start = time.perf_counter()
            run(STEPS.value)
            seconds[name].append((time.perf_counter() - start) / STEPS.value)
    return seconds


def training(augmentation, freeze_up_to: str | None) -> trainer.Trainer:
    """A trainer of ResNet-50 with a layer of 128 ReLUs."""

    def model(*, image_size: int, num_outputs: int) -> keras.Model:
        built = pretrained.pretrained(
            image_size=image_size,
            num_outputs=num_outputs,
            backbone=keras.applications.ResNet50,
            weights=None,
            hidden_units=128,
            dropout=0.3,
        )
        freezing.freeze(built, freeze_up_to)
        return built

    recipe = recipes.Recipe(
        task=tasks.any_dr(),
        model=model,
        optimizer=keras.optimizers.Adam,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        stream=pipeline.TrainingStream(
            batch_size=BATCH_SIZE.value, augment=augmentation
        ),
        epochs=1,
    )
    return trainer.Trainer(recipe, IMAGE_SIZE.value)


def forward_features(trunk: keras.Model, images: np.ndarray) -> np.ndarray:
    """What the head sees in place of photographs."""
    return trunk(images.astype(np.float32), training=False).numpy()


def stepper(built: trainer.Trainer, *batch: np.ndarray):
    """`(steps) -> None` takes steps on one batch, and waits for them."""
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())

    def run(steps: int) -> None:
        built.train_steps(batches, tf.constant(steps, tf.int64))
        built.running()

    return run


if __name__ == "__main__":
    app.run(main)
