import keras
import numpy as np
import pytest

from models import ensemble, pretrained, resnet_v2


def small(**settings):
    return resnet_v2.resnet_v2(
        image_size=32,
        num_outputs=3,
        widths=(4, 8),
        depths=(1, 1),
        stem_width=4,
        **settings,
    )


def with_a_hidden_layer():
    return pretrained.pretrained(
        image_size=32,
        num_outputs=3,
        backbone=keras.applications.MobileNetV2,
        weights=None,
        hidden_units=5,
        dropout=0.3,
    )


def with_a_head_of_its_own():
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, strides=4)(inputs)
    x = keras.layers.Identity(name="feature_map")(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def three(build):
    models = [build() for _ in range(3)]
    for seed, model in enumerate(models):  # Statistics too are not those of others.
        rng = np.random.default_rng(seed)
        for one in model.weights:
            one.assign(rng.uniform(0.1, 1, one.shape) * 0.2)
    return models


@pytest.mark.parametrize("build", [small, with_a_hidden_layer, with_a_head_of_its_own])
def test_the_average_says_what_its_members_say_on_average(build, tmp_path):
    members = three(build)
    average = ensemble.average(members)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    expected = np.mean([one.predict(pictures, verbose=0) for one in members], axis=0)
    np.testing.assert_allclose(average.predict(pictures, verbose=0), expected, 1e-4)
    average.save(tmp_path / "average.keras")
    loaded = keras.models.load_model(tmp_path / "average.keras")
    np.testing.assert_allclose(loaded.predict(pictures, verbose=0), expected, 1e-4)


@pytest.mark.parametrize("build", [small, with_a_head_of_its_own])
def test_its_feature_map_has_the_channels_of_all_members(build):
    members = three(build)
    average = ensemble.average(members)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    maps = [
        keras.Model(one.input, one.get_layer("feature_map").output).predict(
            pictures, verbose=0
        )
        for one in (*members, average)
    ]
    np.testing.assert_allclose(maps[-1], np.concatenate(maps[:-1], axis=-1), 1e-4)


def test_an_average_tells_whose_layers_it_has():
    members = three(small)
    average = ensemble.average(members)
    assert [ensemble.count(one) for one in (average, members[0])] == [3, 1]
    found = [ensemble.member_of(one.name) for one in average.layers if one.weights]
    own = {one.name for one in members[0].layers if one.weights} - {"logits"}
    for number in range(3):
        assert {name for of, name in found if of == f"member_{number}_"} == own
    assert ensemble.member_of("member_0") == ("", "member_0")


def test_our_head_stays_our_head():
    names = [one.name for one in ensemble.average(three(small)).layers]
    assert names[-3:] == ["feature_map", "pool", "logits"]


def test_members_of_other_shapes_are_refused():
    other = resnet_v2.resnet_v2(
        image_size=32, num_outputs=2, widths=(4,), depths=(1,), stem_width=4
    )
    with pytest.raises(ValueError, match="must have one shape of input"):
        ensemble.average([small(), other])
    with pytest.raises(ValueError, match="no network"):
        ensemble.average([])
