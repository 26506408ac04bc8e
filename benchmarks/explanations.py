"""Speed of heatmaps: each method against a bare forward pass of the same model.

    python benchmarks/explanations.py

They run in turns, so that a machine that slows down does it to all of them. With
`--model` it is a trained one, otherwise the small ResNetV2 as it begins.
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

from models import outputs, resnet_v2
from visualization import (
    grad_cam,
    guided_backprop,
    integrated_gradients,
    layer_cam,
    occlusion,
)

MODEL = flags.DEFINE_string("model", None, "A trained model, <run_dir>/model.keras.")
SIZE = flags.DEFINE_integer("size", 256, "Side of the photographs without --model.")
BATCH = flags.DEFINE_integer("batch", 16, "Photographs a call.")
ROUNDS = flags.DEFINE_integer("rounds", 15, "Measurements of each fast method.")
MAPS = flags.DEFINE_integer("maps", 1000, "Grad-CAM maps to time as a whole.")

SLOW = ("integrated_gradients", "occlusion")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    model = build()
    size, batch = model.input_shape[1], BATCH.value
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
    classes = np.ones(batch, np.int32)
    forward = tf.function(lambda some: model(tf.cast(some, tf.float32), training=False))
    kinds = {"bare forward pass": lambda: forward(images).numpy()}
    for method in (
        grad_cam.GradCam(),
        layer_cam.LayerCam(),
        guided_backprop.GuidedBackprop(),
        guided_backprop.GuidedGradCam(),
        integrated_gradients.IntegratedGradients(),
        occlusion.Occlusion(),
    ):
        bound = method.bind(model, outputs.Softmax())
        kinds[method.name] = lambda bound=bound: bound(images, classes)
    times = {name: [] for name in kinds}
    for run in kinds.values():  # Traces the graphs.
        run()
    for number in range(ROUNDS.value):
        for name, run in kinds.items():
            if name in SLOW and number:
                continue
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)

    print(f"{model.name}, {size} px, {batch} photographs a call; medians")
    print(f"{'':22} ms a photograph  against the bare pass")
    bare = times["bare forward pass"]
    for name, some in times.items():
        # Within a round, as far as both have one.
        ratio = statistics.median(a / b for a, b in zip(some, bare, strict=False))
        print(f"{name:22} {1e3 * statistics.median(some) / batch:15.2f} {ratio:22.2f}")
    start = time.perf_counter()
    for _ in range(-(-MAPS.value // batch)):
        kinds["grad_cam"]()
    print(f"{MAPS.value} Grad-CAM maps: {time.perf_counter() - start:.1f} s")


def build() -> keras.Model:
    """The model that is measured."""
    if MODEL.value:
        return keras.models.load_model(MODEL.value, compile=False)
    return resnet_v2.resnet_v2(image_size=SIZE.value, num_outputs=2)


if __name__ == "__main__":
    app.run(main)
