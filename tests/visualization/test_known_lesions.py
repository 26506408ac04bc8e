"""A model trained on drawn lesions, explained: what a broken explainer fails."""

import cv2
import keras
import numpy as np
import pytest

from input_pipeline import lesion_masks
from input_pipeline.datasets import synthetic
from visualization import baselines, grad_cam, layer_cam, lesion_agreement

SIZE, TILE, HEALTHY, DRAWN, TRAINED = 256, 32, 16, 44, 32


def draw(number):
    """A prepared drawing and the share of its pixels that lesions cover."""
    grade = 0 if number < HEALTHY else 3
    drawing = synthetic.draw(grade, np.random.default_rng(number), width=386)
    lesions = np.any([drawing.masks[one] for one in lesion_masks.LESIONS], axis=0)
    height, width = lesions.shape
    left = (width - height) // 2

    def square(image):
        box = image[:, left : left + height]
        return cv2.resize(box, (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    return square(drawing.image), square(lesions.astype(np.float32))


def tiles(image):
    across = SIZE // TILE
    image = image.reshape(across, TILE, across, TILE, -1).swapaxes(1, 2)
    return image.reshape(across * across, TILE, TILE, -1)


def network(size):
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for number, width in enumerate((16, 32, 32)):
        x = keras.layers.Conv2D(width, 3, 2 if number < 2 else 1, "same")(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU(name="feature_map" if number == 2 else None)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


@pytest.fixture(scope="module")
def trained():
    """A model that tells tiles with lesions from others; and drawings it has not seen.

    Being convolutional throughout, it is then built anew for whole photographs.
    """
    keras.utils.set_random_seed(0)
    drawings = [draw(number) for number in range(DRAWN)]
    images = np.concatenate([tiles(image) for image, _ in drawings[:TRAINED]])
    masks = np.concatenate([tiles(mask) for _, mask in drawings[:TRAINED]])
    share, lit = masks.mean(axis=(1, 2, 3)), images.max(axis=(1, 2, 3)) > 30
    sick, healthy = np.flatnonzero(share > 0.03), np.flatnonzero((share == 0) & lit)
    healthy = np.random.default_rng(0).permutation(healthy)[: len(sick)]
    chosen = np.concatenate([sick, healthy])
    model = network(TILE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=False)
    labels = (share[chosen] > 0).astype(int)
    model.fit(images[chosen].astype(np.float32), labels, epochs=10, verbose=0)
    whole = network(SIZE)
    whole.set_weights(model.get_weights())
    return whole, drawings[TRAINED:]


@pytest.mark.parametrize("method", [grad_cam.GradCam(), layer_cam.LayerCam()])
def test_maps_lie_on_the_lesions_and_broken_ones_do_not(trained, method):
    model, drawings = trained
    images = np.stack([image for image, _ in drawings])
    heatmaps = method(model, images, np.ones(len(images), int))

    def agreement(change):
        scores = [
            lesion_agreement.Target(mask, baselines.retina(image), 0.02).score(
                change(heatmap)
            )
            for heatmap, (image, mask) in zip(heatmaps, drawings, strict=True)
        ]
        return lesion_agreement.summarize(scores, resamples=500, seed=0)

    found = agreement(lambda heatmap: heatmap)
    assert found["enrichment"]["low"] > 1.5  # Of chance, which is 1.
    assert found["pointing"]["low"] > found["pointing"]["chance"] + 0.2
    assert found["precision"]["low"] > 2 * found["precision"]["chance"]
    for broken in (np.fliplr, np.flipud, lambda heatmap: 1 - heatmap):
        assert agreement(broken)["enrichment"]["high"] < found["enrichment"]["low"]
