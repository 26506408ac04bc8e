"""Training speed: the whole loop against the bare step on a fixed batch.

    python benchmarks/training.py --data_dir=<IDRiD>

- bare: the step alone, called again and again with one batch that is in memory.
- fixed: the graph loop, which takes many steps a call, on that same batch: the limit.
- whole: the graph loop on batches read, augmented and copied as in training.
- eager: the same without AutoGraph.

They run in turns, so that a machine that slows down does it to all of them.
"""

import functools
import pathlib
import statistics
import sys
import time

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import gin
import tensorflow as tf

from configs import loader, registry  # noqa: F401
from input_pipeline import audit, prepare, splits
from train import recipe as recipes
from train import trainer

GIN_FILE = flags.DEFINE_string("gin_file", "configs/idrid_resnet_v2.gin", "Experiment.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the photographs.")
PREPARED_DIR = flags.DEFINE_string("prepared_dir", "prepared", "Prepared photographs.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["4", "32"], "Batch sizes to measure.")
PHOTOGRAPHS = flags.DEFINE_integer("photographs", 800, "Photographs a measurement.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each kind.")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    print("photographs a second, medians; ratios within a round, medians")
    print("batch   bare  fixed  whole  whole/bare  whole/fixed  eager  whole/eager")
    for batch_size in map(int, BATCH_SIZES.value):
        rates = measure(batch_size)
        bare, fixed, whole, eager = (
            statistics.median(rates[name])
            for name in ("bare", "fixed", "whole", "eager")
        )
        print(
            f"{batch_size:5d} {bare:6.0f} {fixed:6.0f} {whole:6.0f} "
            f"{ratio(rates, 'bare'):11.2f} {ratio(rates, 'fixed'):12.2f} "
            f"{eager:6.0f} {whole / eager:12.1f}",
            flush=True,
        )


def ratio(rates: dict[str, list[float]], to: str) -> float:
    """Median over the rounds of the whole loop's rate in that of another."""
    pairs = zip(rates["whole"], rates[to], strict=True)
    return statistics.median(whole / other for whole, other in pairs)


def measure(batch_size: int) -> dict[str, list[float]]:
    """Photographs a second, for each kind and round."""
    gin.clear_config()
    bindings = [f"training_stream.batch_size = {batch_size}"]
    loader.load([GIN_FILE.value], bindings, ("prepare", "audit", "split", "train"))
    preparation = gin.get_configurable(prepare.Preparation)()
    recipe = gin.get_configurable(recipes.Recipe)()
    given = {"": pathlib.Path(DATA_DIR.value)} if DATA_DIR.value else {}
    prepared_dir = pathlib.Path(PREPARED_DIR.value)
    collection = preparation.run(preparation.name_folders(given), prepared_dir)
    split = splits.Splitter().split(audit.Auditor().run(collection, prepared_dir))
    labels = recipe.task.labels([collection.photograph(one) for one in split.train])
    training = trainer.Trainer(recipe, collection.image_size)
    stream = recipe.stream.open(collection, split.train, labels, recipe.seed)

    batch = [tf.constant(one) for one in stream.batch(0)]
    step = tf.function(lambda: training.strategy.run(training._replica_step, batch))
    fixed = iter(tf.data.Dataset.from_tensors(tuple(batch)).repeat())
    whole = iter(stream.dataset(0, 10**9))

    def take_bare(steps: int) -> None:
        for _ in range(steps):
            step()

    def take(batches, steps: int) -> None:
        training.train_steps(batches, tf.constant(steps, tf.int64))
        training.running()  # Waits for the device.

    kinds = {
        "bare": take_bare,
        "fixed": functools.partial(take, fixed),
        "whole": functools.partial(take, whole),
    }
    steps, few = PHOTOGRAPHS.value // batch_size, max(100 // batch_size, 2)
    for run in kinds.values():  # Traces the graphs and fills the buffers.
        rate(run, few, batch_size)
    rates = {name: [] for name in kinds}
    for _ in range(ROUNDS.value):
        for name, run in kinds.items():
            rates[name].append(rate(run, steps, batch_size))
    tf.config.run_functions_eagerly(True)
    rates["eager"] = [rate(kinds["whole"], few, batch_size)]
    tf.config.run_functions_eagerly(False)
    return rates


def rate(run, steps: int, batch_size: int) -> float:
    """Photographs a second over some steps."""
    start = time.perf_counter()
    run(steps)
    return steps * batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    app.run(main)
