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

    steps = PHOTOGRAPHS.value // batch_size
    fixed = [tf.constant(one) for one in stream.batch(0)]
    batches = iter(stream.dataset(0, 10**9))

    def step_fixed() -> None:
        training.train_step(*fixed)

    def step_stream() -> None:
        training.train_step(*next(batches))

    for step in (step_fixed, step_stream):
        rate(step, 20, batch_size)
    bare, loop = [], []
    for _ in range(ROUNDS.value):
        bare.append(rate(step_fixed, steps, batch_size))
        loop.append(rate(step_stream, steps, batch_size))
    tf.config.run_functions_eagerly(True)
    eager = rate(step_stream, max(steps // 8, 5), batch_size)
    tf.config.run_functions_eagerly(False)
    return statistics.median(bare), statistics.median(loop), eager


def rate(step, steps: int, batch_size: int) -> float:
    """Photographs a second over some steps."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    app.run(main)
