import keras
import pytest

from models import resnet_v2
from train import phases


@pytest.fixture
def model():
    return resnet_v2.resnet_v2(
        image_size=32, num_outputs=2, widths=(2, 2), depths=(1, 1), stem_width=2
    )


def training(model):
    return {one.path.split("/")[0] for one in model.trainable_variables}


def test_the_head_is_what_lies_behind_the_feature_map(model):
    phases.Switch(model).set("head")
    assert training(model) == {"logits"}


def test_a_named_layer_trains_with_all_that_does_not_come_before_it(model):
    phases.Switch(model).set("stage2_block1_conv1")
    assert training(model) == {
        "stage2_block1_conv1",
        "stage2_block1_2_norm",
        "stage2_block1_conv2",
        "stage2_block1_shortcut",  # Beside it, not before it.
        "last_norm",
        "logits",
    }


def test_all_is_what_the_builder_left_to_train(model):
    model.get_layer("stem_conv").trainable = False
    expected = training(model)
    switch = phases.Switch(model)
    switch.set("head")
    switch.set("all")
    assert training(model) == expected
    assert "stem_conv" not in expected


def test_a_part_frozen_within_a_model_of_models_stays_frozen():
    trunk = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(2, 1, name="first"),
            keras.layers.Conv2D(2, 1, name="second"),
        ],
        name="feature_map",
    )
    trunk.get_layer("first").trainable = False
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.GlobalAveragePooling2D()(trunk(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    switch = phases.Switch(model)
    for trains, expected in (("head", {"logits"}), ("all", {"second", "logits"})):
        switch.set(trains)
        assert {
            one.path.split("/")[-2] for one in model.trainable_variables
        } == expected


def test_a_frozen_normalization_keeps_its_statistics(model):
    phases.Switch(model).set("head")
    norm = model.get_layer("last_norm")
    before = norm.moving_mean.numpy()
    photographs = keras.random.uniform((4, 32, 32, 3), 0, 255)
    model(photographs, training=True)
    assert (norm.moving_mean.numpy() == before).all()
    phases.Switch(model).set("all")
    # What a switch was made of is what it goes back to, so this one keeps them too.
    model(photographs, training=True)
    assert (norm.moving_mean.numpy() == before).all()


def test_a_layer_that_is_not_there_is_an_error(model):
    with pytest.raises(
        ValueError, match=r"'head', 'all' or the name of a layer: .*'x'"
    ):
        phases.Switch(model).set("x")


def test_a_phase_without_anything_to_train_is_an_error(model):
    model.get_layer("logits").trainable = False
    with pytest.raises(ValueError, match=r"'head', which leaves 'resnet_v2' without"):
        phases.Switch(model).set("head")


def test_a_phase_lasts_an_epoch_at_least():
    with pytest.raises(ValueError, match=r"`phase\.epochs` must be at least 1\. Recei"):
        phases.Phase(epochs=0, optimizer=keras.optimizers.Adam)
