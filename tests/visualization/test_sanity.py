import itertools

import keras
import numpy as np
import pytest
from scipy import stats

from models import outputs, resnet_v2
from visualization import explainer, grad_cam, sanity

IMAGES = np.random.default_rng(0).integers(60, 256, (4, 64, 64, 3), np.uint8)
CLASSES = np.array([0, 1, 0, 1])


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return resnet_v2.resnet_v2(image_size=64, num_outputs=2, widths=(8,), depths=(1,))


def test_a_method_that_ignores_the_model_fails(model):
    def brightness(images, classes):
        return images.max(axis=-1).astype(np.float32) / 255

    found = sanity.check([model], brightness, IMAGES, CLASSES)
    assert not found["passes"]
    assert all(one["correlation"] == pytest.approx(1) for one in found["stages"])
    assert all(one["ssim"] == pytest.approx(1) for one in found["stages"])


def test_a_method_whose_maps_are_others_passes_stage_by_stage(model):
    count = sum(bool(layer.weights) for layer in model.layers)
    rng = np.random.default_rng(1)
    found = sanity.check(
        [model], lambda images, _: rng.random(images.shape[:3]), IMAGES, CLASSES
    )
    assert found["passes"]
    assert [one["layers"] for one in found["stages"]][-1] == count
    assert len(found["stages"]) == 3
    assert all(abs(one["correlation"]) < 0.2 for one in found["stages"])


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_a_method_whose_maps_are_always_the_same_everywhere_passes_nothing(
    model, value
):
    found = sanity.check(
        [model],
        lambda images, _: np.full(images.shape[:3], value, np.float32),
        IMAGES,
        CLASSES,
    )
    assert not found["passes"]
    last = found["stages"][-1]
    assert last["correlation"] == (1 if value else None)
    assert last["photographs"] == (4 if value else 0)


def test_photographs_without_evidence_do_not_let_a_method_pass(model):
    def brightness_of_the_first(images, classes):
        maps = images.max(axis=-1).astype(np.float32) / 255
        maps[1:] = 0
        return maps

    found = sanity.check([model], brightness_of_the_first, IMAGES, CLASSES)
    assert not found["passes"]
    assert found["stages"][-1]["photographs"] == 1
    assert found["stages"][-1]["correlation"] == pytest.approx(1)


def test_evidence_that_vanishes_with_what_was_learnt_has_changed(model):
    calls = []

    def once(images, classes):
        calls.append(images)
        return images.max(axis=-1).astype(np.float32) / 255 * (len(calls) == 1)

    found = sanity.check([model], once, IMAGES, CLASSES)
    assert found["passes"]
    assert [one["correlation"] for one in found["stages"]] == [0, 0, 0]


def test_a_random_network_that_overflows_resembles_none(model):
    calls = []

    def overflows(images, classes):
        calls.append(images)
        evidence = images.max(axis=-1).astype(np.float32)
        evidence[0, 0, 0] = 1 if len(calls) == 1 else np.inf
        return explainer.scale(evidence, (64, 64))

    assert sanity.check([model], overflows, IMAGES, CLASSES)["passes"]


def test_the_model_is_randomised_meanwhile_and_then_as_it_was(model):
    before = model.get_weights()
    logits = []

    def note(images, classes):
        logits.append(model.predict(images.astype(np.float32), verbose=0))
        return np.ones(images.shape[:3])

    sanity.check([model], note, IMAGES, CLASSES, stages=2)
    assert len(logits) == 3
    for one, two in itertools.pairwise(logits):
        assert np.abs(one - two).max() > 1e-3
    for one, two in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)


def test_several_models_are_randomised_together_and_then_as_they_were(model):
    other = resnet_v2.resnet_v2(
        image_size=64, num_outputs=2, widths=(8, 8), depths=(1, 1)
    )
    models = [model, other]
    before = [one.get_weights() for one in models]
    noted = []

    def note(images, classes):
        noted.append([one.get_weights() for one in models])
        return np.ones(images.shape[:3])

    found = sanity.check(models, note, IMAGES, CLASSES)
    counts = [sum(bool(one.weights) for one in some.layers) for some in models]
    assert found["stages"][-1]["layers"] == max(counts)
    for place, weights in enumerate(before):
        kernels = [number for number, one in enumerate(weights) if one.ndim > 1]
        changed = [
            [(stage[place][k] != weights[k]).any() for k in kernels] for stage in noted
        ]
        assert not any(changed[0]) and any(changed[1]) and not all(changed[1])
        assert all(changed[-1])
        for one, two in zip(models[place].get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, two)


def test_grad_cam_changes_with_its_model(model):
    bound = grad_cam.GradCam().bind(model, outputs.Softmax())
    found = sanity.check([model], bound, IMAGES, CLASSES)
    assert found["stages"][-1]["correlation"] < 0.99


def test_the_correlation_is_spearmans_within_the_retina():
    first, second = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32)
    second += first
    retina = np.zeros((32, 32), bool)
    retina[4:28, 4:28] = True
    expected = stats.spearmanr(first[retina], second[retina]).statistic
    assert sanity.correlation(first, second, retina) == pytest.approx(expected)
    assert sanity.correlation(first, np.zeros((32, 32)), retina) == 0
    assert sanity.correlation(retina * 1.0, retina * 1.0, retina) == 1
    assert sanity.correlation(retina * 1.0, retina * 0.0, retina) == 0


def test_there_is_a_stage_at_least(model):
    with pytest.raises(ValueError, match=r"`stages` must be at least 1\. Received"):
        sanity.check(
            [model], lambda *_: np.ones((4, 64, 64)), IMAGES, CLASSES, stages=0
        )
