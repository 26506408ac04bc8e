"""Passes with dropout on models whose every answer can be worked out."""

import keras
import numpy as np
import pytest

from evaluation import dropout, evaluate, networks
from input_pipeline import images, tasks
from models import outputs

RATE = 0.25


@pytest.fixture
def model():
    """Normalized photographs, their mean colours, some dropped, weighed."""
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.BatchNormalization(name="norm")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="means")(x)
    x = keras.layers.Dropout(RATE, name="dropout")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    norm = model.get_layer("norm")
    norm.moving_mean.assign([90.0, 50.0, 20.0])
    norm.moving_variance.assign([900.0, 400.0, 100.0])
    return model


@pytest.fixture
def photographs(prepared):
    return images.open(prepared, [one.id for one in prepared.photographs[:5]])


def test_each_pass_drops_whole_units_and_scales_the_others(model, photographs):
    passes = dropout.Passes(model, 30, seed=0)(photographs)
    assert passes.shape == (30, 5, 2)
    means = keras.Model(model.input, model.get_layer("means").output)
    features = np.asarray(means(photographs.take(range(5)).astype(np.float32)))
    kernel, bias = model.get_layer("logits").get_weights()
    kept = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    possible = (kept[:, None] * features / (1 - RATE)) @ kernel + bias
    distance = np.abs(passes[:, None] - possible[None]).max(axis=-1)
    assert (distance.min(axis=1) < 1e-3).all()
    which = distance.argmin(axis=1)
    assert len(np.unique(which)) >= 6
    share = kept[which].mean()
    assert share == pytest.approx(1 - RATE, abs=4 * (RATE * (1 - RATE) / 450) ** 0.5)


def test_passes_are_the_same_again_and_others_with_another_seed(model, photographs):
    asked = dropout.Passes(model, 4, seed=0)
    first = asked(photographs)
    np.testing.assert_array_equal(asked(photographs), first)
    np.testing.assert_array_equal(dropout.Passes(model, 4, seed=0)(photographs), first)
    assert (dropout.Passes(model, 4, seed=1)(photographs) != first).any()


def test_the_model_itself_stays_as_it_was(model, photographs):
    batch = photographs.take(range(5)).astype(np.float32)
    before = model.get_weights(), np.asarray(model(batch))
    dropout.Passes(model, 4, seed=0)(photographs)
    for old, new in zip(before[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(np.asarray(model(batch)), before[1])


def test_the_others_of_a_batch_change_no_answer(model, prepared):
    """As they would if batch normalization took the batch's own statistics."""
    ids = [one.id for one in prepared.photographs]
    first, second = (
        dropout.Passes(model, 4, seed=0)(images.open(prepared, [ids[0], *others]))
        for others in (ids[1:4], ids[4:7])
    )
    np.testing.assert_allclose(first[:, 0], second[:, 0], rtol=1e-5)


def test_dropout_within_an_inner_model_is_found(photographs):
    pooled = keras.Input((3,))
    head = keras.Model(pooled, keras.layers.Dropout(0.5)(pooled), name="head")
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, head(x))
    passes = dropout.Passes(model, 8, seed=0)(photographs)
    assert passes.std(axis=0).min() > 0


def test_a_model_without_dropout_is_refused():
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Dropout(0.0)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, x, name="plain")
    message = r"needs a model with dropout\. Received: plain, without a Dropout layer"
    with pytest.raises(ValueError, match=message):
        dropout.Passes(model, 4, seed=0)


def test_a_model_that_is_not_made_of_layers_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="needs a model made of Keras layers"):
        dropout.Passes(Own(), 4, seed=0)


def test_referral_by_disagreement_stands_beside_entropy(
    model, audited, split, tmp_path
):
    evaluator = evaluate.Evaluator(splits=("test",), dropout_samples=5, resamples=100)
    content = evaluator.evaluate(
        [networks.Network("it", model, split.train)],
        tasks.referable(),
        outputs.Softmax(),
        audited,
        split,
        tmp_path,
    )
    curves = content["results"]["test"]["referral_by"]
    assert list(curves) == ["spread", "mutual_information"]
    assert curves["spread"]["n"] == content["results"]["test"]["referral"]["n"]
    assert "by entropy" in evaluate.report(content)
    assert "by mutual information" in evaluate.report(content)
    header = (tmp_path / "predictions.csv").read_text().partition("\n")[0]
    assert "disagreement spread,disagreement mutual_information" in header


@pytest.mark.parametrize("count", [-1, 1])
def test_one_pass_has_nothing_to_disagree_with(count):
    message = rf"`evaluate\.dropout_samples` must be at least 2, or 0.*: {count}\."
    with pytest.raises(ValueError, match=message):
        evaluate.Evaluator(dropout_samples=count)
