import keras
import numpy as np
import pytest
from keras import layers

from input_pipeline import augment, pipeline
from models import freezing, heads, pretrained
from tests.train.test_trainer import (
    check_resume,
    stop_at_step,
    tiny_model,
    tiny_recipe,
    train,
)
from train import frozen, phases, trainer


def frozen_model(**sizes):
    model = tiny_model(**sizes)
    freezing.freeze(model, "feature_map")
    return model


def of(**changes):
    """A recipe whose head alone trains; by default without augmentation."""
    settings = {
        "model": frozen_model,
        "stream": pipeline.TrainingStream(batch_size=4),
        "keep": "last",
    }
    return tiny_recipe(**settings | changes)


# Changes no pixel, but is augmentation: each step goes through the whole network.
UNCHANGED = pipeline.TrainingStream(batch_size=4, augment=augment.Augmentation())


def test_the_head_gives_the_models_logits():
    model = pretrained.pretrained(
        image_size=32,
        num_outputs=3,
        backbone=keras.applications.MobileNet,
        weights=None,
        hidden_units=8,
        dropout=0.5,
    )
    freezing.freeze(model, "feature_map")
    kept = frozen.find(model)
    photographs = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3))
    pooled = keras.Model(model.input, model.get_layer("pool").output)
    logits = kept.logits(pooled(photographs, training=False))
    np.testing.assert_allclose(logits, model(photographs, training=False), atol=1e-6)
    mine = [one.path for one in kept.head.trainable_variables]
    assert mine == [one.path for one in model.trainable_variables]


def classifier(body):
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, trainable=False)(inputs)
    return keras.Model(inputs, body(x))


@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        (lambda x: heads.classify(x, 2), True),
        (lambda x: heads.classify(layers.BatchNormalization()(x), 2), False),
        (lambda x: heads.classify(layers.Dropout(0.1)(x), 2), False),
        (lambda x: layers.Dense(2)(layers.Flatten()(x)), False),
    ],
    ids=["frozen", "trains more", "draws random numbers", "another head"],
)
def test_features_are_kept_where_they_never_change(body, is_found):
    assert (frozen.find(classifier(body)) is not None) == is_found


def test_augmented_photographs_have_no_features_of_their_own(audited, split):
    ids = split.train
    stream = UNCHANGED.open(audited.collection, ids, [0] * len(ids), 0)
    with pytest.raises(ValueError, match="Augmented photographs have no features"):
        stream.of_features(np.zeros((len(ids), 4)))


@pytest.mark.parametrize("first", [False, True], ids=["throughout", "at first"])
def test_training_on_features_is_training_on_photographs(
    first, audited, split, tmp_path
):
    changes = {"optimizer": lambda: keras.optimizers.SGD(0.1)}
    if first:
        changes["model"] = tiny_model
        changes["first_phases"] = [
            phases.Phase(epochs=2, optimizer=lambda: keras.optimizers.SGD(0.1))
        ]
    kept, mine = train(of(**changes), audited, split, tmp_path / "kept")
    whole, theirs = train(
        of(stream=UNCHANGED, **changes), audited, split, tmp_path / "whole"
    )
    built = trainer.Trainer(of(**changes), 64)
    assert built._frozen and not whole._frozen
    before = built.model.get_layer("logits").kernel.numpy()
    after = kept.model.get_layer("logits").kernel.numpy()
    assert np.abs(after - before).max() > 1e-3
    for one, other in zip(kept.model.weights, whole.model.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=2e-4)
    for name in ("loss", "val_loss", "val_auc"):
        np.testing.assert_allclose(
            [one[name] for one in mine["epochs"]],
            [one[name] for one in theirs["epochs"]],
            atol=2e-4,
        )


def test_a_run_on_features_that_was_stopped_goes_on_as_if_it_was_not(
    audited, split, tmp_path, monkeypatch
):
    def settings():
        return of(epochs=3, checkpoint_every_minutes=0.0)

    check_resume(settings, audited, split, tmp_path, monkeypatch)


def test_a_run_on_features_at_first_goes_on_before_and_after_they_are_left(
    audited, split, tmp_path, monkeypatch
):
    def settings():
        first = phases.Phase(epochs=2, optimizer=lambda: keras.optimizers.Adam(1e-2))
        return of(model=tiny_model, first_phases=[first], checkpoint_every_minutes=0.0)

    built = trainer.Trainer(settings(), 64)
    monkeypatch.setattr(trainer, "CALL_SECONDS", 0.0)  # One step a call.
    whole, undisturbed = train(settings(), audited, split, tmp_path / "undisturbed")
    assert built._frozen and not whole._frozen
    for step in (8 + 3, 2 * 8, 2 * 8 + 3):
        folder = tmp_path / f"stopped at {step}"
        stop_at_step(settings(), step, audited, split, folder)
        _, resumed = train(settings(), audited, split, folder)
        assert len(resumed["epochs"]) == 2 + 2
        assert resumed["weights_sha256"] == undisturbed["weights_sha256"]
