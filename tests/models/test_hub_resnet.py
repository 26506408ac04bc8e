import json
import sys

import keras
import numpy as np
import pytest

from models import hub_resnet, pretrained

PARAMETERS = {"resnet18": 11_176_512, "resnet34": 21_284_672}
"""Of torchvision's, without the classifier; beside them moving statistics."""


def test_without_kerashub_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ValueError, match=r"needs KerasHub: pip install keras-hub saf"):
        hub_resnet.resnet18(input_shape=(64, 64, 3), weights=None)


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_is_the_published_network_behind_our_head(name):
    pytest.importorskip("keras_hub")
    model = pretrained.pretrained(
        image_size=65,
        num_outputs=2,
        backbone=getattr(hub_resnet, name),
        weights=None,
    )
    trained = sum(int(np.prod(one.shape)) for one in model.trainable_variables)
    assert trained == PARAMETERS[name] + 512 * 2 + 2
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert model.get_layer("feature_map").output.shape == (None, 3, 3, 512)
    scaled = keras.Model(model.input, model.get_layer("scaling").output)
    grey = scaled(np.full((1, 65, 65, 3), 255.0)).numpy()[0, 0, 0]
    expected = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(grey, expected, rtol=1e-4)


def test_imagenet_weights_are_those_of_timms_file(monkeypatch, tmp_path):
    pytest.importorskip("keras_hub")
    numpy_files = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    tensors = {"conv1.weight": rng.normal(size=(64, 3, 7, 7))} | normalization("bn1")
    widths = (64, 64, 128, 256, 512)
    for stage in range(1, 5):
        inputs, width = widths[stage - 1 : stage + 1]
        for block in range(2):
            name, source = f"layer{stage}.{block}", inputs if block == 0 else width
            tensors[f"{name}.conv1.weight"] = rng.normal(size=(width, source, 3, 3))
            tensors[f"{name}.conv2.weight"] = rng.normal(size=(width, width, 3, 3))
            tensors |= normalization(f"{name}.bn1", width)
            tensors |= normalization(f"{name}.bn2", width)
            if block == 0 and stage > 1:
                tensors[f"{name}.downsample.0.weight"] = rng.normal(
                    size=(width, source, 1, 1)
                )
                tensors |= normalization(f"{name}.downsample.1", width)
    tensors = {name: one.astype(np.float32) for name, one in tensors.items()}
    path = tmp_path / "model.safetensors"
    numpy_files.save_file(tensors, path)
    asked = []

    def get_file(name, origin, cache_subdir):
        asked.append(origin)
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    model = hub_resnet.resnet18(input_shape=(64, 64, 3), weights="imagenet")
    assert asked == [
        "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors"
    ]
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "architecture": "resnet18"
    }
    (kernel,) = model.layers[-1].get_layer("stack3_block0_0_conv").get_weights()
    np.testing.assert_array_equal(
        kernel[0, 0].T, tensors["layer4.0.downsample.0.weight"][:, :, 0, 0]
    )


def normalization(name: str, width: int = 64) -> dict[str, np.ndarray]:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": np.ones(width) for kind in kinds}
