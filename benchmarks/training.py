"""Training speed: the whole loop's steps against the bare step on a fixed batch.

    python benchmarks/training.py --data_dir=<IDRiD>

The photographs come from the stream, augmented; the bare step sees one batch again and
again. Both run in turns, so that a machine that slows down does it to both. The eager
loop is the same step without AutoGraph.
"""

import pathlib
import statistics
import sys
import time

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import gin
import tensorflow as tf

from configs import loader, registry  # noqa: F401
from input_pipeline import prepare, splits
from train import recipe as recipes
from train import trainer

GIN_FILE = flags.DEFINE_string("gin_file", "configs/idrid_resnet_v2.gin", "Experiment.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the photographs.")
PREPARED_DIR = flags.DEFINE_string("prepared_dir", "prepared", "Prepared photographs.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["4", "32"], "Batch sizes to measure.")
PHOTOGRAPHS = flags.DEFINE_integer("photographs", 1600, "Photographs a measurement.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each kind.")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    print(f"batch {'bare':>9} {'loop':>9} {'ratio':>6} {'eager':>9}  graph/eager")
    for batch_size in map(int, BATCH_SIZES.value):
        bare, loop, eager = measure(batch_size)
        print(
            f"{batch_size:5d} {bare:5.0f} /s  {loop:5.0f} /s  {loop / bare:6.2f} "
            f"{eager:5.0f} /s  {loop / eager:12.1f}"
        )


def measure(batch_size: int) -> tuple[float, float, float]:
    """Photographs a second: bare step, whole loop, eager loop; medians."""
    gin.clear_config()
    bindings = [f"training_stream.batch_size = {batch_size}"]
    loader.load([GIN_FILE.value], bindings, ("prepare", "split", "train"))
    preparation = gin.get_configurable(prepare.Preparation)()
    recipe = gin.get_configurable(recipes.Recipe)()
    data_dir = DATA_DIR.value and pathlib.Path(DATA_DIR.value)
    prepared = preparation.run(data_dir, pathlib.Path(PREPARED_DIR.value))
    split = splits.Splitter().split(prepared)
    photographs = {one.id: one for one in prepared.photographs}
    labels = recipe.task.labels([photographs[one] for one in split.train])
    training = trainer.Trainer(recipe, prepared.image_size)
    stream = recipe.stream.open(prepared, split.train, labels, recipe.seed)

    fixed = tf.data.Dataset.from_tensors(stream.batch(0)).repeat()
    kinds = {
        "bare": iter(fixed),
        "loop": iter(stream.dataset(0, 10**9)),
    }
    steps = tf.constant(PHOTOGRAPHS.value // batch_size, tf.int64)
    few = tf.constant(max(200 // batch_size, 2), tf.int64)
    rates = {"bare": [], "loop": []}
    for turn in range(ROUNDS.value + 1):
        for kind, batches in kinds.items():
            measured = rate(training, batches, few if turn == 0 else steps, batch_size)
            if turn > 0:  # The first traces the graph and fills the buffers.
                rates[kind].append(measured)
    tf.config.run_functions_eagerly(True)
    eager = rate(training, kinds["loop"], few, batch_size)
    tf.config.run_functions_eagerly(False)
    return statistics.median(rates["bare"]), statistics.median(rates["loop"]), eager


def rate(training, batches, steps: tf.Tensor, batch_size: int) -> float:
    """Photographs a second over some steps."""
    start = time.perf_counter()
    training.train_steps(batches, steps)
    training.running()  # Waits for the device.
    return int(steps) * batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    app.run(main)
