"""Speed of heatmaps: each method against a bare forward pass, and against others' code.

    python benchmarks/explanations.py

prints two tables and a time. The first: all methods, for the small ResNetV2 at 256
pixels, or a trained model (`--model=<run_dir>/model.keras`). The second: Grad-CAM of
MobileNetV2 at 224 pixels beside tf-keras-vis, where that is installed, and beside a
`GradientTape` without a graph, as guides show it. The last: a thousand maps, scaled and
enlarged to the photograph's size.

What is compared runs in turns, so that a machine that slows down does it to all of
them, and ratios are medians of the ratios within a turn. Times are only worth something
on idle cores. tf-keras-vis (0.8.7) is no dependency of this project. It works with
Keras 3, in an environment of its own:

    python -m venv peer && peer/bin/pip install -r requirements.txt tf-keras-vis
    peer/bin/python benchmarks/explanations.py
"""

import pathlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping

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
ROUNDS = flags.DEFINE_integer("rounds", 15, "Turns of each fast method.")
SLOW_ROUNDS = flags.DEFINE_integer("slow_rounds", 3, "Turns of each slow method.")
MAPS = flags.DEFINE_integer("maps", 1000, "Grad-CAM maps to time as a whole.")

BARE = "bare forward pass"
SLOW = ("integrated_gradients", "occlusion", "tf-keras-vis", "GradientTape, eager")
MOBILE_NET_SIZE = 224
MOBILE_NET_LAYER = "out_relu"  # Its feature map: 7 x 7 cells of 1,280 channels.


def main(argv: list[str]) -> None:
    """Prints the tables."""
    del argv
    tf.get_logger().setLevel("ERROR")  # Each method has graphs of its own, on purpose.
    model = build()
    images = photographs(model)
    kinds = ours(
        model,
        images,
        grad_cam.GradCam(),
        layer_cam.LayerCam(),
        guided_backprop.GuidedBackprop(),
        guided_backprop.GuidedGradCam(),
        integrated_gradients.IntegratedGradients(),
        occlusion.Occlusion(),
    )
    show(model, measure(kinds))

    start = time.perf_counter()
    for _ in range(-(-MAPS.value // BATCH.value)):
        kinds["grad_cam"]()
    spent = time.perf_counter() - start

    other = keras.applications.MobileNetV2(
        weights=None,
        classifier_activation=None,
        input_shape=(MOBILE_NET_SIZE, MOBILE_NET_SIZE, 3),
    )
    images = photographs(other)
    kinds = ours(other, images, grad_cam.GradCam(layer=MOBILE_NET_LAYER))
    show(other, measure(kinds | peers(other, images)))
    print(f"{MAPS.value} Grad-CAM maps of {model.name}: {spent:.1f} s")


def build() -> keras.Model:
    """The model whose methods are all measured."""
    if MODEL.value:
        return keras.models.load_model(MODEL.value, compile=False)
    return resnet_v2.resnet_v2(image_size=SIZE.value, num_outputs=2)


def photographs(model: keras.Model) -> np.ndarray:
    """Noise in the shape of a batch of photographs: what it shows costs nothing."""
    shape = (BATCH.value, *model.input_shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def ours(model: keras.Model, images: np.ndarray, *methods) -> dict[str, Callable]:
    """The bare forward pass, and this project's methods."""
    classes = np.ones(len(images), np.int32)
    forward = tf.function(lambda some: model(tf.cast(some, tf.float32), training=False))
    kinds = {BARE: lambda: forward(images).numpy()}
    for method in methods:
        bound = method.bind(model, outputs.Softmax())
        kinds[method.name] = lambda bound=bound: bound(images, classes)
    return kinds


def peers(model: keras.Model, images: np.ndarray) -> dict[str, Callable]:
    """Grad-CAM of the same class by other people's code, and by hand."""
    inputs = images.astype(np.float32)
    feature_map = model.get_layer(MOBILE_NET_LAYER).output
    both = keras.Model(model.input, [feature_map, model.output])

    def taped():
        with tf.GradientTape() as tape:
            features, logits = both(inputs, training=False)
            scores = logits[:, 1]
        weights = tf.reduce_mean(tape.gradient(scores, features), axis=(1, 2))
        maps = tf.nn.relu(tf.einsum("nijc,nc->nij", features, weights))
        return tf.image.resize(maps[..., None], images.shape[1:3]).numpy()

    kinds = {"GradientTape, eager": taped}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It imports what SciPy has renamed.
            from tf_keras_vis import gradcam
            from tf_keras_vis.utils import scores
    except ImportError as error:
        print(f"tf-keras-vis is left out ({error}): see the head of this file.\n")
        return kinds
    score = scores.CategoricalScore([1] * len(images))
    theirs = gradcam.Gradcam(model)
    kinds["tf-keras-vis"] = lambda: theirs(
        score, inputs, penultimate_layer=MOBILE_NET_LAYER
    )
    return kinds


def measure(kinds: Mapping[str, Callable]) -> dict[str, list[float]]:
    """Seconds of each turn; slow kinds have fewer turns."""
    for run in kinds.values():  # Traces the graphs.
        run()
    times = {name: [] for name in kinds}
    for number in range(ROUNDS.value):
        for name, run in kinds.items():
            if name in SLOW and number >= SLOW_ROUNDS.value:
                continue
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def show(model: keras.Model, times: Mapping[str, list[float]]) -> None:
    """Prints a table."""

    def ratio(name: str, other: str) -> float:
        # Within a turn, as far as both have it.
        pairs = zip(times[name], times[other], strict=False)
        return statistics.median(a / b for a, b in pairs)

    size = model.input_shape[1]
    print(f"{model.name}, {size} px, {BATCH.value} photographs a call; medians")
    print(f"{'':22} ms a photograph  times the bare pass  times our Grad-CAM")
    for name, some in times.items():
        spent = 1e3 * statistics.median(some) / BATCH.value
        print(
            f"{name:22} {spent:15.2f} {ratio(name, BARE):20.2f} "
            f"{ratio(name, 'grad_cam'):19.2f}"
        )
    print()


if __name__ == "__main__":
    app.run(main)
