import cv2
import keras
import numpy as np
import pytest

from models import outputs
from serving import occlusion, predictor
from visualization import occlusion as of_keras


@pytest.mark.parametrize(
    ("output", "classes"),
    [
        (outputs.Softmax(), 2),
        (outputs.Softmax(), 5),
        (outputs.Ordinal(), 5),
        (outputs.Regression().for_classes(5), 5),
    ],
)
def test_what_explains_a_class_is_what_training_explains(output, classes):
    random = np.random.default_rng(0)
    shape = 20, output.num_outputs(classes)
    logits = random.normal(scale=5, size=shape).astype(np.float32)
    for number in range(classes):
        expected = output.explained(logits, np.full(20, number, np.int32))
        found = occlusion.speaks_for(output.name, logits, number)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_heat_map_is_that_of_the_trained_model(exported_run, drawing):
    folder, _ = exported_run
    model = predictor.Predictor(folder / "export" / "default", allow_drawings=True)
    image, _ = model.prepare(drawing)
    found = model.occlude(image, 1)
    trained = keras.models.load_model(folder / "model.keras")
    expected = of_keras.Occlusion()(trained, image[np.newaxis], np.array([1]))[0]
    # Each cell covers as many pixels, which have one value there.
    side = len(image) // occlusion.CELLS
    cells = expected.reshape(occlusion.CELLS, side, occlusion.CELLS, side)
    assert np.ptp(cells, axis=(1, 3)).max() < 1e-6
    # Exported pixels are whole numbers, also the blurred ones.
    np.testing.assert_allclose(found, cells.mean(axis=(1, 3)), atol=0.03)
    assert found.max() == 1


def test_only_what_matters_is_red():
    image = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8), (5, 5), 0
    )
    target = image.copy()

    def score(batch):
        # A model that looks at four pixels in the eleventh row, fifth column.
        inside = np.s_[:, 40:44, 16:20]
        return -np.abs(batch[inside].astype(float) - target[None][inside]).mean(
            (1, 2, 3)
        )

    found = occlusion.heatmap(score, image)
    assert np.unravel_index(found.argmax(), found.shape) == (10, 4)
    assert not found[:8].any() and not found[:, 8:].any()
    assert not occlusion.heatmap(lambda batch: np.zeros(len(batch)), image).any()


def test_it_ends_when_nobody_waits_any_longer():
    asked = []

    def score(batch):
        asked.append(len(batch))
        return np.zeros(len(batch))

    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with pytest.raises(occlusion.Unwanted):
        occlusion.heatmap(score, image, lambda: len(asked) < 3)
    assert len(asked) == 3


def test_where_there_is_nothing_to_take_away_the_model_is_not_asked():
    asked = []

    def score(batch):
        asked.extend(batch)
        return np.zeros(len(batch))

    image = np.zeros((512, 512, 3), np.uint8)
    assert not occlusion.heatmap(score, image).any()
    assert not asked
    image[256:] = np.random.default_rng(0).integers(0, 256, (256, 512, 3), np.uint8)
    occlusion.heatmap(score, image)
    # Itself, and of 17 rows the lower half and what blurs into the upper one.
    assert 9 * 17 < len(asked) < 13 * 17
