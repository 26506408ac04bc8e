import keras
import numpy as np
import pytest

from models import resnet_v2


def test_the_published_network_layer_by_layer():
    """7x7/2 and 3x3/2 pool, three blocks of stride 2: sizes and parameters by hand."""
    model = resnet_v2.resnet_v2(image_size=256, num_outputs=2)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["stem_conv"] == (128, 128, 16)
    assert shapes["stem_pool"] == (64, 64, 16)
    assert shapes["stage1_block1_add"] == (32, 32, 16)
    assert shapes["stage2_block1_add"] == (16, 16, 32)
    assert shapes["stage3_block1_add"] == (8, 8, 64)
    assert shapes["feature_map"] == (8, 8, 64)

    def norm(channels):
        return 4 * channels

    def block(inputs, width):
        return (
            norm(inputs)
            + inputs * width  # 1x1 projection
            + 9 * inputs * width
            + norm(width)
            + 9 * width * width
        )

    by_hand = 49 * 3 * 16 + norm(16) + norm(64) + 64 * 2 + 2
    by_hand += block(16, 16) + block(16, 32) + block(32, 64)
    assert model.count_params() == by_hand


def test_raw_pixels_in_and_logits_out():
    model = resnet_v2.resnet_v2(image_size=64, num_outputs=5, widths=(4,), depths=(1,))
    logits = model(np.full((3, 64, 64, 3), 255.0, np.float32), training=False).numpy()
    assert logits.shape == (3, 5)
    assert logits.dtype == np.float32
    assert np.abs(logits.sum(axis=1) - 1).max() > 1e-3, "no softmax inside"
    scaled = keras.Model(model.input, model.layers[1].output)
    ends = scaled(np.array([0.0, 255.0] * 6144, np.float32).reshape(1, 64, 64, 3))
    assert (ends.numpy().min(), ends.numpy().max()) == (-1, 1)


def test_depth_adds_identity_blocks():
    model = resnet_v2.resnet_v2(
        image_size=64, num_outputs=2, widths=(4, 8), depths=(2, 3)
    )
    names = [layer.name for layer in model.layers]
    assert sum(name.endswith("_add") for name in names) == 5
    # A first block halves, so it projects; a further one passes its input on.
    assert [n for n in names if n.endswith("shortcut")] == [
        "stage1_block1_shortcut",
        "stage2_block1_shortcut",
    ]
    assert model.get_layer("feature_map").output.shape[1:] == (4, 4, 8)


def test_dropout_acts_in_training_only():
    model = resnet_v2.resnet_v2(image_size=64, num_outputs=2, dropout=0.5)
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3))
    calm = [model(image, training=False).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    drop = keras.Model(model.input, model.get_layer("dropout").output)
    dropped = drop(image, training=True).numpy()
    assert 0.2 < (dropped == 0).mean() < 0.8


def test_it_saves_and_loads(tmp_path):
    model = resnet_v2.resnet_v2(image_size=64, num_outputs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3))
    np.testing.assert_array_equal(model(image), loaded(image))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (16, 32), "depths": (1,)}, r"one positive number a stage"),
        ({"widths": (), "depths": ()}, r"one positive number a stage"),
        ({"widths": (0,), "depths": (1,)}, r"one positive number a stage"),
        ({"dropout": 1.0}, r"from 0 to below 1\. Received: 1\.0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        resnet_v2.resnet_v2(image_size=64, num_outputs=2, **settings)
