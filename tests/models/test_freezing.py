import keras
import numpy as np
import pytest

from models import freezing, resnet_v2


@pytest.fixture
def model():
    return resnet_v2.resnet_v2(
        image_size=32, num_outputs=2, widths=(4, 8), depths=(1, 1)
    )


def trained(model) -> set[str]:
    return {layer.name for layer in model.layers if layer.trainable_weights}


def test_the_feature_map_freezes_all_but_the_head(model):
    freezing.freeze(model, "feature_map")
    assert trained(model) == {"logits"}


def test_all_that_a_layer_is_computed_from_is_frozen_and_nothing_beside(model):
    freezing.freeze(model, "stage2_block1_conv1")
    assert trained(model) == {
        "stage2_block1_shortcut",  # Beside it, behind the same normalization.
        "stage2_block1_2_norm",
        "stage2_block1_conv2",
        "last_norm",
        "logits",
    }


def test_none_thaws(model):
    everything = trained(model)
    freezing.freeze(model, "feature_map")
    freezing.freeze(model, None)
    assert trained(model) == everything


def test_what_is_frozen_is_saved(model, tmp_path):
    freezing.freeze(model, "stem_pool")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert trained(loaded) == trained(model)
    assert "stem_conv" not in trained(loaded)


def test_frozen_batch_normalization_infers_in_a_training_step(model):
    freezing.freeze(model, "feature_map")
    image = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3))
    before = [one.numpy() for one in model.non_trainable_variables]
    np.testing.assert_array_equal(
        model(image, training=True), model(image, training=False)
    )
    for one, value in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(one, value)


def test_an_unknown_layer_is_refused_and_its_like_are_named(model):
    with pytest.raises(
        ValueError, match=r"`pretrained.freeze_up_to` .*'stem_con'\. .*'stem_conv'"
    ):
        freezing.freeze(model, "stem_con")
