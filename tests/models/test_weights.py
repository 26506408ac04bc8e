import pathlib

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from models import weights

REAL = pathlib.Path(__file__).parents[3] / "shared" / "data" / "weights"


def tiny(names=("a", "b", "c"), width=4) -> keras.Model:
    """Three layers with weights: two convolutions and a normalization."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(width, 3, name=names[0])(inputs)
    x = layers.BatchNormalization(name=names[1])(x)
    return keras.Model(inputs, layers.Conv2D(5, 1, name=names[2])(x), name="tiny")


def trunk(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.layers[-2].output)


def filled(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=one.shape) for one in model.weights])
    return model


def save(model: keras.Model, path: pathlib.Path, monkeypatch) -> pathlib.Path:
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        monkeypatch.setattr("absl.logging.warning", lambda *args: None)
        model.save(path)
    return path


FILES = ("model.weights.h5", "model.keras", "model.h5")


def assert_same(ours: keras.Model, theirs: keras.Model) -> None:
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_fits_is_loaded(name, tmp_path, monkeypatch):
    theirs, ours = filled(tiny()), tiny()
    left = weights.load(ours, save(theirs, tmp_path / name, monkeypatch))
    assert left == []
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", FILES)
def test_what_a_trunk_lacks_is_refused_or_listed(name, tmp_path, monkeypatch):
    theirs, ours = filled(tiny()), tiny()
    before = [one.numpy() for one in ours.weights]
    path = save(trunk(theirs), tmp_path / name, monkeypatch)
    message = r"does not fit tiny\.\nOnly in the model: c\.\nTo load what both have"
    with pytest.raises(ValueError, match=message):
        weights.load(ours, path)
    for one, value in zip(ours.weights, before, strict=True):
        np.testing.assert_array_equal(one, value)
    assert weights.load(ours, path, partial=True) == ["c"]
    for index, one in enumerate(ours.weights):
        expected = theirs.weights[index] if index < 6 else before[index]
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("name", FILES)
def test_what_only_the_file_has_is_refused_unless_it_may_be_there(
    name, tmp_path, monkeypatch
):
    theirs = filled(tiny())
    path = save(theirs, tmp_path / name, monkeypatch)
    ours = trunk(tiny())
    with pytest.raises(ValueError, match=r"\nOnly in the file: c\.\n"):
        weights.load(ours, path)
    assert weights.load(ours, path, ignore=["c"]) == []
    assert_same(ours, trunk(theirs))
    assert weights.load(ours, path, partial=True) == []


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_other_shapes_are_refused_and_both_are_shown(
    name, partial, tmp_path, monkeypatch
):
    path = save(filled(tiny(width=6)), tmp_path / name, monkeypatch)
    message = (
        r"Of another shape: a \(the model's \[\(3, 3, 3, 4\), \(4,\)\], the file's "
        r"\[\(3, 3, 3, 6\), \(6,\)\]\), b .*\nName the backbone, and its width, that"
    )
    with pytest.raises(ValueError, match=message):
        weights.load(tiny(), path, partial=partial)


def test_an_older_file_with_other_names_is_loaded_in_order(tmp_path, monkeypatch):
    theirs = filled(tiny(names=("conv1_old", "bn1_old", "head_old")))
    path = save(theirs, tmp_path / "old.h5", monkeypatch)
    ours = tiny()
    assert weights.load(ours, path) == []
    assert_same(ours, theirs)
    with pytest.raises(ValueError, match=r"Only in the file: conv1_old, bn1_old"):
        weights.load(tiny(), path, partial=True)


def test_a_file_of_todays_keras_with_other_names_is_refused(tmp_path, monkeypatch):
    theirs = tiny(names=("x", "y", "z"))
    path = save(theirs, tmp_path / "other.weights.h5", monkeypatch)
    with pytest.raises(ValueError, match=r"Only in the model: a, b, c\.\nOnly in the"):
        weights.load(tiny(), path)


def test_a_file_without_names_is_loaded_in_order(tmp_path, monkeypatch):
    """As Keras wrote them before 3.7."""
    theirs, ours = filled(tiny()), tiny()
    path = save(theirs, tmp_path / "nameless.weights.h5", monkeypatch)
    with h5py.File(path, "a") as file:
        for group in file["layers"].values():
            group["vars"].attrs.pop("name", None)
    assert weights.load(ours, path) == []
    assert_same(ours, theirs)


def test_layers_that_keras_numbered_are_told_by_their_number_in_the_model(tmp_path):
    def unnamed():
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(3, 3, padding="same")(inputs)
        return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x))

    theirs = filled(unnamed())
    keras.saving.save_weights(_with_stable_names(theirs), tmp_path / "m.weights.h5")
    ours = unnamed()  # Keras calls these conv2d_2 and conv2d_3, or higher.
    assert weights.load(ours, tmp_path / "m.weights.h5") == []
    assert_same(ours, theirs)


def _with_stable_names(model):
    from models import flatten

    return flatten.flatten(model)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.h5", b"not a file of Keras"),
        ("text.keras", b"not a file of Keras"),
        ("empty.weights.h5", b""),
    ],
)
def test_another_file_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read: .*Expected: a file"):
        weights.load(tiny(), tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"There is no file of weights /.*no\.h"
    ):
        weights.load(tiny(), tmp_path / "no.h5")


def test_a_file_without_weights_is_refused(tmp_path):
    h5py.File(tmp_path / "none.h5", "w").close()
    with pytest.raises(ValueError, match=r"it holds no layers with weights"):
        weights.load(tiny(), tmp_path / "none.h5")


def test_the_real_trunk_of_mobilenet_loads_as_keras_loads_it():
    path = REAL / "mobilenet_v1_1.0_trunk_to_conv_dw_13.weights.h5"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    settings = {"weights": None, "include_top": False, "input_shape": (64, 64, 3)}
    theirs = keras.applications.MobileNet(**settings)
    part = keras.Model(theirs.input, theirs.get_layer("conv_dw_13_relu").output)
    part.load_weights(path)
    ours = keras.applications.MobileNet(**settings)
    left = weights.load(ours, path, partial=True)
    assert left == ["conv_pw_13", "conv_pw_13_bn"]
    for layer in part.layers[1:]:
        for one, other in zip(
            layer.weights, ours.get_layer(layer.name).weights, strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_a_normalization_uses_the_statistics_that_a_file_gives_it(tmp_path):
    def build() -> keras.Model:
        inputs = keras.Input((4, 4, 3))
        return keras.Model(inputs, keras.layers.Normalization(name="norm")(inputs))

    theirs, ours = build(), build()
    image = np.random.default_rng(0).normal(9, 3, (5, 4, 4, 3)).astype(np.float32)
    theirs.get_layer("norm").adapt(image)
    theirs.save_weights(tmp_path / "model.weights.h5")
    weights.load(ours, tmp_path / "model.weights.h5")
    assert np.abs(ours(image)).max() < 5
    np.testing.assert_array_equal(ours(image), theirs(image))
