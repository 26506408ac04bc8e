"""How fast exported models run, against TensorFlow: 1,000 photographs at 224 px.

    python benchmarks/runtimes.py

ResNet-50 and MobileNetV2 with a head of two classes, as `--mode=export` writes them,
each class's heat map included; beside them Keras' own graph of the same, 16 at once.
int8 takes its ranges from the photographs, which are noise, and the weights are random:
neither changes any time. The run-times take turns, so that a machine that slows down
does it to all of them; the median of `--rounds` is told.

Aimed at were 4.2 s (bfloat16) and 2.7 s (int8) of ResNet-50, 1.5 s and 1.0 s of
MobileNetV2. bfloat16 is missing where the processor has none.
"""

import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import numpy as np

from models import outputs, pretrained
from serving import formats
from visualization import grad_cam

BACKBONES = flags.DEFINE_multi_string(
    "backbone", ["ResNet50", "MobileNetV2"], "Of keras.applications."
)
IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side in pixels.")
PHOTOGRAPHS = flags.DEFINE_integer("photographs", 1000, "Photographs a measurement.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Measurements of each kind.")


def main(argv: list[str]) -> None:
    """Prints a table for each backbone."""
    del argv
    side = IMAGE_SIZE.value
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (PHOTOGRAPHS.value, side, side, 3), np.uint8)
    for name in BACKBONES.value:
        with tempfile.TemporaryDirectory() as folder:
            runs = export(name, images, pathlib.Path(folder))
            seconds = measure(runs, images)
        print(f"{name}, {side} px, seconds of {len(images)} photographs")
        for run, times in seconds.items():
            pairs = zip(times, seconds["Keras"], strict=True)
            ratio = statistics.median(other / one for one, other in pairs)
            print(f"{run:20s} {statistics.median(times):8.2f} {ratio:8.2f} times Keras")


def export(
    backbone: str, images: np.ndarray, folder: pathlib.Path
) -> dict[str, formats.Run]:
    """Run-time -> how it runs the model of a backbone with random weights."""
    output = outputs.Softmax()
    model = pretrained.pretrained(
        image_size=IMAGE_SIZE.value,
        num_outputs=output.num_outputs(2),
        backbone=getattr(keras.applications, backbone),
        weights=None,
    )
    graph = grad_cam.with_heatmaps(model, output)
    runs = {"Keras": formats.of_keras(graph)}
    for one in (formats.OpenVino(), formats.Int8(photographs=32)):
        one.write(graph, folder, images)
        runs |= {opened.name: opened.run for opened in one.open(folder)}
    return runs


def measure(
    runs: Mapping[str, formats.Run], images: np.ndarray
) -> dict[str, list[float]]:
    """Seconds for all photographs, for each run-time and round."""
    for run in runs.values():  # By now it is compiled and has its memory.
        run(images[: 2 * formats.BATCH])
    seconds = {name: [] for name in runs}
    for _ in range(ROUNDS.value):
        for name, run in runs.items():
            start = time.perf_counter()
            run(images)
            seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    app.run(main)
