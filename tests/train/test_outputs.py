"""Every output with each of its losses, trained by the loop and through a config."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize
from sklearn import metrics

from configs import loader, registry, syntax  # noqa: F401
from evaluation import decision
from input_pipeline import pipeline, tasks
from models import losses, outputs, resnet_v2
from train import experiment, recipe, trainer

PAIRS = {
    "crossentropy": (
        outputs.Softmax(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ),
    "focal": (outputs.Softmax(), losses.Focal()),
    "smoothed": (outputs.Softmax(), losses.SmoothedCrossentropy()),
    "corn": (outputs.Ordinal(), losses.Corn()),
    "squared error": (outputs.Regression(), keras.losses.MeanSquaredError()),
    "smooth L1": (outputs.Regression(), keras.losses.Huber()),
}


def tiny_model(*, image_size, num_outputs):
    return resnet_v2.resnet_v2(
        image_size=image_size,
        num_outputs=num_outputs,
        widths=(8,),
        depths=(1,),
        stem_width=8,
    )


def linear_model(*, image_size, num_outputs):
    """Linear in 64 squares of the photograph, and the same in training or not."""
    inputs = keras.Input((image_size, image_size, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = keras.layers.AveragePooling2D(image_size // 8, name="feature_map")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(num_outputs, dtype="float32")(x))


def grades_recipe(pair, **changes) -> recipe.Recipe:
    output, loss = PAIRS[pair]
    settings = {
        "task": tasks.icdr_grades(),
        "model": tiny_model,
        "optimizer": lambda: keras.optimizers.Adam(0.01),
        "loss": loss,
        "output": output,
        "stream": pipeline.TrainingStream(batch_size=8),
        "epochs": 16,
        "keep": "last",
    }
    return recipe.Recipe(**settings | changes)


def train(a_recipe, audited, split, run_dir):
    training = trainer.Trainer(a_recipe, audited.collection.image_size)
    training.train(audited, split, run_dir)
    return training, json.loads((run_dir / "history.json").read_text())


def least_loss_without_looking(pair, labels):
    """That of the best logits which are the same for all photographs."""
    output, loss = PAIRS[pair]

    def loss_of(logits):
        alike = np.tile(logits, (len(labels), 1)).astype(np.float32)
        return float(loss(labels, alike))

    start = np.zeros(output.num_outputs(5))
    options = {"maxfev": 2000, "maxiter": 2000}
    return optimize.minimize(loss_of, start, method="Powell", options=options).fun


@pytest.mark.parametrize("pair", PAIRS)
def test_each_output_learns_with_each_of_its_losses(pair, audited, split, tmp_path):
    a_recipe = grades_recipe(pair)
    training, history = train(a_recipe, audited, split, tmp_path)
    grades = {one.id: one.grade for one in audited.collection.photographs}
    labels = np.array([grades[one] for one in split.train])
    last = history["epochs"][-1]
    assert last["loss"] < 0.9 * least_loss_without_looking(pair, labels)

    # What is logged of validation is what scikit-learn makes of the probabilities.
    validation = trainer._Validation(
        a_recipe, training.model, audited.collection, split.valid
    )
    labels = validation._labels
    logits = validation._forward(validation._images)
    probabilities = a_recipe.output.probabilities(logits)
    predicted = probabilities.argmax(axis=1)
    assert probabilities.shape == (len(split.valid), 5)
    expected = {
        "val_accuracy": metrics.accuracy_score(labels, predicted),
        "val_auc": metrics.roc_auc_score(labels >= 2, probabilities[:, 2:].sum(axis=1)),
        "val_quadratic_kappa": metrics.cohen_kappa_score(
            labels, predicted, labels=range(5), weights="quadratic"
        ),
        "val_loss": float(PAIRS[pair][1](labels, logits)),
    }
    for name, value in expected.items():
        assert last[name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("pair", ["crossentropy", "corn", "squared error"])
def test_training_accuracy_counts_the_most_probable_class(pair):
    """Not the largest logit, of which a regression has but one."""
    a_recipe = grades_recipe(pair, model=linear_model)
    training = trainer.Trainer(a_recipe, 64)
    generator = np.random.default_rng(0)
    dense = training.model.layers[-1]
    dense.kernel.assign(generator.normal(0, 1, dense.kernel.shape))
    dense.bias.assign(generator.normal(1, 1, dense.bias.shape))
    images = np.repeat(generator.integers(0, 256, (64, 8, 8, 3)), 8, axis=1)
    images = np.repeat(images, 8, axis=2).astype(np.uint8)
    logits = training.model(images.astype(np.float32), training=False).numpy()
    predicted = a_recipe.output.probabilities(logits).argmax(axis=1)
    assert len(set(predicted)) >= 3
    labels = predicted.astype(np.int32)
    labels[:16] = (labels[:16] + 1) % 5
    batches = tf.data.Dataset.from_tensors((images, labels, np.ones(64, np.float32)))
    training.train_steps(iter(batches), tf.constant(1, tf.int64))
    assert training.running()["accuracy"] == 0.75


def test_an_ordinal_run_stopped_within_an_epoch_ends_with_the_same_weights(
    audited, split, tmp_path, monkeypatch
):
    def settings():
        stream = pipeline.TrainingStream(batch_size=8, class_weights=True)
        return grades_recipe(
            "corn", stream=stream, epochs=3, checkpoint_every_minutes=0.0
        )

    monkeypatch.setattr(trainer, "CALL_SECONDS", 0.0)  # One step a call.
    _, undisturbed = train(settings(), audited, split, tmp_path / "undisturbed")

    stopped = trainer.Trainer(settings(), audited.collection.image_size)
    steps = stopped.train_steps

    def steps_until_power_fails(batches, count):
        if int(stopped.optimizer.iterations) == 4 + 2:
            raise SystemExit
        steps(batches, count)

    stopped.train_steps = steps_until_power_fails
    with pytest.raises(SystemExit):
        stopped.train(audited, split, tmp_path / "stopped")
    _, resumed = train(settings(), audited, split, tmp_path / "stopped")
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]
    losses_of = [
        [one["loss"] for one in run["epochs"]] for run in (resumed, undisturbed)
    ]
    assert losses_of[0] == losses_of[1]


GRADES = """
include 'synthetic_resnet_v2.gin'
include 'tasks/icdr_grades.gin'
{include}

idrid.name = 'drawn'
prepare.image_size = 64
resnet_v2.widths = (4,)
resnet_v2.depths = (1,)
resnet_v2.stem_width = 4
train.epochs = 2
evaluate.resamples = 100
"""


def run(mode, file, folder, data_dir, prepared_dir, *lines):
    run_mode, entry_points = experiment.MODES[mode]
    bindings = loader.load([str(file)], lines, entry_points, experiment.ENTRY_POINTS)
    return run_mode(
        experiment.Where(
            data_dirs={"": data_dir},
            prepared_dir=prepared_dir,
            run_dir=folder,
            bindings=experiment.deciding(bindings),
        )
    )


@pytest.mark.parametrize("name", ["softmax", "ordinal", "regression"])
def test_a_run_says_all_that_turns_its_logits_into_its_probabilities(
    name, idrid_like, prepared, prepared_dir, tmp_path
):
    file, folder = tmp_path / "grades.gin", tmp_path / "run"
    include = "" if name == "softmax" else f"include 'outputs/{name}.gin'"
    file.write_text(GRADES.format(include=include))
    said = run("run", file, folder, idrid_like, prepared_dir)
    assert "quadratic kappa" in said

    # Another program's way: task.json, decision.json and the CSV alone.
    task = json.loads((folder / "task.json").read_text())
    assert task["output"] == name
    class_names = task["task"]["class_names"]
    output = outputs.by_name(task["output"], len(class_names))
    decided = decision.load(folder)
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as csv_file:
        rows = list(csv.DictReader(csv_file))
    columns = [column for column in rows[0] if column.startswith("logit ")]
    assert len(columns) == output.num_outputs(5)
    logits = np.array([[row[one] for one in columns] for row in rows], np.float32)
    for block, expected in (
        ("probability", decided.probabilities(output, logits)),
        ("uncalibrated", output.probabilities(logits)),
    ):
        written = [[row[f"{block} {one}"] for one in class_names] for row in rows]
        np.testing.assert_array_equal(np.array(written, float), expected)
    predicted = decided.probabilities(output, logits).argmax(axis=1)
    assert [int(row["predicted"]) for row in rows] == predicted.tolist()


def test_a_run_of_another_output_is_refused_with_the_difference(
    idrid_like, prepared, prepared_dir, tmp_path
):
    file, folder = tmp_path / "grades.gin", tmp_path / "run"
    file.write_text(GRADES.format(include="include 'outputs/ordinal.gin'"))
    run("train", file, folder, idrid_like, prepared_dir)
    before = (folder / "model.keras").read_bytes()
    file.write_text(GRADES.format(include="include 'outputs/regression.gin'"))
    message = r"train\.output: @ordinal\(\) there, @regression\(\) here"
    for mode in ("run", "evaluate"):
        with pytest.raises(ValueError, match=message):
            run(mode, file, folder, idrid_like, prepared_dir)
    assert (folder / "model.keras").read_bytes() == before


def test_a_calibration_of_another_output_is_refused_before_anything_is_read(
    idrid_like, prepared_dir, tmp_path
):
    file = tmp_path / "grades.gin"
    file.write_text(GRADES.format(include="include 'outputs/regression.gin'"))
    line = "evaluate.calibrate = 'temperature'"
    for mode in ("run", "evaluate"):
        with pytest.raises(
            ValueError, match=r"Bind evaluate\.calibrate = 'cut_points'"
        ):
            run(mode, file, tmp_path / "run", idrid_like, prepared_dir, line)
    assert not (tmp_path / "run").exists()
