import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from input_pipeline import augment, pipeline, tasks, whole_files
from models import losses, outputs
from tests.train.test_earlier_run import train
from tests.train.test_trainer import check_resume, tiny_recipe
from train import distillation, trainer
from train import teacher as teachers

PLAIN = pipeline.TrainingStream(batch_size=4)
TURNED = pipeline.TrainingStream(
    batch_size=4, augment=augment.Augmentation(rotation_degrees=180.0)
)


@pytest.fixture(scope="module")
def taught_by(audited, split, tmp_path_factory):
    """A finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    keras.utils.set_random_seed(0)
    train(tiny_recipe(epochs=1, stream=PLAIN), audited, split, folder)
    return folder


def distilled(teacher, stream=PLAIN, **changes):
    learns = distillation.Distillation(
        teacher=str(teacher), temperature=3.0, weight=0.7
    )
    return tiny_recipe(distillation=learns, stream=stream, **changes)


def by_hand(said, logits, labels, weights, temperature, weight):
    """The equations of Hinton et al., in NumPy and without logarithms of sums."""
    p = special.softmax(said / temperature, axis=1)
    q = special.softmax(logits / temperature, axis=1)
    divergence = temperature**2 * np.sum(p * np.log(p / q), axis=1)
    right = special.softmax(logits, axis=1)[np.arange(len(labels)), labels]
    each = (1 - weight) * -np.log(right) + weight * divergence
    return np.sum(each * weights) / len(labels)


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 1.0), (4.0, 0.9), (20, 0.3)])
def test_the_loss_is_that_of_the_paper(temperature, weight):
    rng = np.random.default_rng(0)
    said, logits = rng.normal(0, 3, (2, 6, 2)).astype(np.float32)
    labels, weights = np.array([0, 1, 1, 0, 1, 0]), rng.uniform(0.5, 2, 6)
    learns = distillation.Distillation(
        teacher="runs/x", temperature=temperature, weight=weight
    )
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    hard = crossentropy(labels, logits, sample_weight=weights)
    loss = learns.loss(hard, said, logits, weights)
    expected = by_hand(said, logits, labels, weights, temperature, weight)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_divergence_is_exact_where_the_teacher_is_sure():
    divergence = distillation.Divergence(1.0)
    said, logits = np.array([[200.0, 0.0]]), np.array([[0.0, 200.0]])
    assert float(divergence(said, logits)) == pytest.approx(200.0)
    assert float(divergence(said, said)) == 0.0


@pytest.mark.parametrize("stream", [PLAIN, TURNED], ids=["plain", "augmented"])
def test_a_step_learns_from_what_the_teacher_says(taught_by, stream, audited, split):
    """Loss of the first step, the teacher's logits cached or computed in the step."""
    sgd = {"optimizer": lambda: keras.optimizers.SGD(1e-9)}
    training = trainer.Trainer(distilled(taught_by, stream, **sgd), 64)
    labels = training.recipe.task.labels(
        [audited.collection.photograph(one) for one in split.train]
    )
    opened = stream.open(audited.collection, split.train, labels, 0)
    batch = opened.batch(3)
    theirs = keras.models.load_model(taught_by / "model.keras", compile=False)
    said = theirs(batch[0].astype(np.float32), training=False)
    # The dropout of the step, drawn from the state that it will have.
    state = training.model.get_layer("dropout").seed_generator.state
    before = state.numpy()
    logits = training.model(batch[0].astype(np.float32), training=True)
    state.assign(before)
    if stream.augment is None:
        batch = opened.beside(training.teacher.logits(opened.images)).batch(3)
        np.testing.assert_allclose(batch[3], said, atol=1e-5)
    batches = iter(tf.data.Dataset.from_tensors(batch))
    training.train_steps(batches, tf.constant(1, tf.int64))
    expected = by_hand(said, logits, batch[1], batch[2], 3.0, 0.7)
    assert training.running()["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("stream", "asked_for"),
    [(PLAIN, ["32 photographs"]), (TURNED, ["a step"])],
    ids=["plain", "augmented"],
)
def test_a_teacher_is_asked_once_about_photographs_that_stay_the_same(
    taught_by, stream, asked_for, audited, split, tmp_path, monkeypatch
):
    asked = []

    class Heard(teachers.Teacher):
        def __call__(self, photographs):
            asked.append("a step")
            return super().__call__(photographs)

        def logits(self, photographs):
            asked.append(f"{len(photographs)} photographs")
            return super().logits(photographs)

    monkeypatch.setattr(teachers, "Teacher", Heard)
    train(distilled(taught_by, stream, epochs=2), audited, split, tmp_path / "run")
    assert asked == asked_for  # The graph of a step is made once.


def test_a_teacher_is_not_trained_and_changes_no_first_weight(
    taught_by, audited, split, tmp_path
):
    alone = trainer.Trainer(tiny_recipe(), 64)
    training, _ = train(distilled(taught_by, TURNED), audited, split, tmp_path / "one")
    again = trainer.Trainer(distilled(taught_by), 64)
    for mine, theirs in zip(again.model.weights, alone.model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    theirs = keras.models.load_model(taught_by / "model.keras", compile=False)
    for mine, kept in zip(
        training.teacher.run.model.weights, theirs.weights, strict=True
    ):
        np.testing.assert_array_equal(mine, kept)


@pytest.mark.parametrize("stream", [PLAIN, TURNED], ids=["plain", "augmented"])
def test_a_distilled_run_that_was_stopped_goes_on_as_if_it_was_not(
    taught_by, stream, audited, split, tmp_path, monkeypatch
):
    def settings():
        changes = {"epochs": 3, "keep": "last", "checkpoint_every_minutes": 0.0}
        return distilled(taught_by, stream, **changes)

    check_resume(settings, audited, split, tmp_path, monkeypatch)


def test_the_certificate_names_the_teacher_and_what_it_has_seen(
    taught_by, audited, split, tmp_path
):
    teacher, folder = shutil.copytree(taught_by, tmp_path / "t"), tmp_path / "taught"
    seen = json.loads((teacher / "seen.json").read_text())
    seen["train"]["elsewhere/1"] = "ab" * 32
    whole_files.write_json(teacher / "seen.json", seen)
    train(distilled(teacher, epochs=1), audited, split, folder)
    noted = json.loads((folder / "leakage.json").read_text())["teacher"]
    kept = json.loads((teacher / "history.json").read_text())["weights_sha256"]
    assert (noted["path"], noted["weights_sha256"]) == (str(teacher), kept)
    assert (noted["taken_by"], noted["trained_on"]) == ("distillation.teacher", 33)
    assert "elsewhere/1" in json.loads((folder / "seen.json").read_text())["train"]

    # That run is trained anew while this one is stopped.
    (folder / "model.keras").unlink()
    other = trainer.Trainer(tiny_recipe(seed=9), 64).model
    other.optimizer = None
    other.save(teacher / "model.keras")
    with pytest.raises(ValueError, match=r"/t has other weights than when .*taught wa"):
        train(distilled(teacher, epochs=1), audited, split, folder)


def test_a_teacher_that_has_seen_test_photographs_is_refused(
    taught_by, audited, split, tmp_path
):
    teacher = shutil.copytree(taught_by, tmp_path / "teacher")
    seen = json.loads((teacher / "seen.json").read_text())
    seen["valid"][split.test[0]] = "ab" * 32
    whole_files.write_json(teacher / "seen.json", seen)
    with pytest.raises(ValueError, match=rf"seen 1 of 12 .*'test' .*{split.test[0]}"):
        train(distilled(teacher), audited, split, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        (
            {"task": tasks.any_dr()},
            64,
            r"its task: .*'referable'.* there, .*'any_dr'.* here\. A teacher answers",
        ),
        ({}, 96, r"its image size: 64 there, 96 here\."),
    ],
)
def test_a_teacher_of_something_else_is_refused(taught_by, changes, size, message):
    with pytest.raises(ValueError, match=r"`distillation\.teacher` is .*" + message):
        trainer.Trainer(distilled(taught_by, **changes), size)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("output", "ordinal", r"its output: ordinal there, softmax here\. A teacher"),
        ("preparation", {"fundus_version": 1}, r"its preparation of the retina: 1 the"),
    ],
)
def test_a_teacher_that_was_trained_otherwise_is_refused(
    taught_by, tmp_path, key, value, message
):
    teacher = shutil.copytree(taught_by, tmp_path / "teacher")
    target = json.loads((teacher / "task.json").read_text())
    whole_files.write_json(teacher / "task.json", target | {key: value})
    with pytest.raises(ValueError, match=message):
        trainer.Trainer(distilled(teacher), 64)


def test_a_teacher_that_is_not_finished_is_an_error(tmp_path):
    message = r"`distillation\.teacher` is .*that is no finished run\. Train it first"
    with pytest.raises(FileNotFoundError, match=message):
        trainer.Trainer(distilled(tmp_path / "nowhere"), 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"temperature": 0.0},
            r"temperature` must be above 0 and finite\. Received: 0",
        ),
        ({"temperature": float("inf")}, r"and finite\. Received: inf\."),
        ({"weight": 0.0}, r"at most 1: the teacher's share of the loss\. Received: 0"),
        ({"weight": 1.5}, r"Received: 1\.5\. Without a teacher: train\.distillation ="),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        distillation.Distillation(teacher="runs/x", **changes)


def test_only_a_softmax_is_softened():
    message = r"softens a softmax\. Received: the output 'ordinal'\. Bind train\.output"
    with pytest.raises(ValueError, match=message):
        distilled("runs/x", output=outputs.Ordinal(), loss=losses.Corn())
