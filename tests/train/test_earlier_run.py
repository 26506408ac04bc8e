import json
import shutil

import keras
import numpy as np
import pytest

from input_pipeline import fundus, tasks
from models import resnet_v2
from tests.train.test_trainer import check_resume, stop_at_step, tiny_model, tiny_recipe
from train import checkpoints, run_dir, schedules, trainer


def adam(learning_rate=1e-3, **settings):
    return lambda: keras.optimizers.Adam(learning_rate, **settings)


def train(a_recipe, audited, split, folder):
    """Trains in a run directory, as a command does but for the evaluation."""
    run = run_dir.RunDir(folder)
    training = trainer.Trainer(a_recipe, audited.collection.image_size)
    with run.hold():
        target = {
            "task": a_recipe.task.description(),
            "output": a_recipe.output.name,
            "preparation": {"fundus_version": fundus.VERSION},
        }
        run.begin("", {}, target, training.devices)
        if not run.split.exists():
            earlier = training.earlier_runs
            inherited = [one.bequeath(split, audited, folder) for one in earlier]
            run.store_split(split, audited, inherited)
        for one in training.earlier_runs:
            run.check_earlier(one)
        training.train(audited, split, folder)
    return training, json.loads((folder / "history.json").read_text())


@pytest.fixture(scope="module")
def earlier_once(audited, split, tmp_path_factory):
    """A finished run of two epochs, with dropout and averages; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "earlier"
    keras.utils.set_random_seed(0)
    train(tiny_recipe(optimizer=adam(use_ema=True)), audited, split, folder)
    return folder


@pytest.fixture
def earlier(earlier_once, tmp_path):
    return shutil.copytree(earlier_once, tmp_path / "earlier")


def weights_of(layers):
    return {one.name: one.get_weights() for one in layers if one.weights}


def test_a_new_run_begins_with_the_weights_that_the_earlier_one_kept(earlier):
    built = trainer.Trainer(tiny_recipe(init_from=str(earlier), seed=5), 64)
    kept = keras.models.load_model(earlier / "model.keras", compile=False)
    assert checkpoints.digest(built.model.weights) == checkpoints.digest(kept.weights)
    assert int(built.optimizer.iterations) == 0


def test_a_run_that_begins_with_another_and_was_stopped_goes_on_as_if_it_was_not(
    audited, split, earlier, tmp_path, monkeypatch
):
    """Not from the earlier run's weights again, nor with another new head."""

    def settings():
        return tiny_recipe(
            task=tasks.icdr_grades(),
            monitor="val_loss",
            epochs=3,
            keep="last",
            init_from=str(earlier),
            checkpoint_every_minutes=0.0,
        )

    check_resume(settings, audited, split, tmp_path, monkeypatch)


def test_another_task_has_a_head_of_its_own(earlier):
    of_grades = tiny_recipe(init_from=str(earlier), task=tasks.icdr_grades())
    built = trainer.Trainer(of_grades, 64)
    kept = keras.models.load_model(earlier / "model.keras", compile=False)
    mine, theirs = weights_of(built.model.layers), weights_of(kept.layers)
    assert mine.pop("logits")[0].shape == (4, 5)
    assert theirs.pop("logits")[0].shape == (4, 2)
    assert mine.keys() == theirs.keys()
    for name in mine:
        for one, other in zip(mine[name], theirs[name], strict=True):
            np.testing.assert_array_equal(one, other)


def test_convolutions_fit_photographs_of_another_size(earlier):
    built = trainer.Trainer(tiny_recipe(init_from=str(earlier)), 96)
    kept = keras.models.load_model(earlier / "model.keras", compile=False)
    assert checkpoints.digest(built.model.weights) == checkpoints.digest(kept.weights)


def wider(*, image_size, num_outputs):
    return resnet_v2.resnet_v2(
        image_size=image_size,
        num_outputs=num_outputs,
        widths=(6, 6),
        depths=(1, 1),
        stem_width=4,
    )


@pytest.mark.parametrize("parameter", ["init_from", "extend_from"])
def test_layers_that_do_not_fit_are_listed(earlier, parameter):
    message = (
        rf"`train\.{parameter}` is '.*earlier', whose layers do not fit those of "
        r"`train\.model`:\n(?s:.*)  stage1_block1_conv1: \[\(3, 3, 4, 4\)\] there, "
        r"\[\(3, 3, 4, 6\)\] here\n(?s:.*)  stage2_block1_1_norm: none there, "
        r"\[\(6,\), \(6,\), \(6,\), \(6,\)\] here"
    )
    of_another = {"model": wider, parameter: str(earlier), "epochs": 3}
    with pytest.raises(ValueError, match=message):
        trainer.Trainer(tiny_recipe(**of_another), 64)


def test_an_extended_run_ends_like_one_that_was_longer_from_the_start(
    audited, split, earlier, tmp_path
):
    def settings(**changes):
        return tiny_recipe(
            epochs=4, keep="last", optimizer=adam(use_ema=True), **changes
        )

    whole, _ = train(settings(), audited, split, tmp_path / "whole")
    extended, history = train(
        settings(extend_from=str(earlier)), audited, split, tmp_path / "extended"
    )
    for mine, theirs in zip(
        [*extended.model.variables, *extended.optimizer.variables],
        [*whole.model.variables, *whole.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert (history["first_epoch"], len(history["epochs"])) == (3, 2)
    assert history["best_epoch"] in (3, 4)


def test_an_extended_run_that_was_stopped_goes_on_as_if_it_was_not(
    audited, split, earlier, tmp_path, monkeypatch
):
    def settings():
        rate = schedules.Cosine(learning_rate=1e-2)
        return tiny_recipe(
            epochs=4,
            keep="last",
            optimizer=lambda: keras.optimizers.Adam(rate, use_ema=True),
            extend_from=str(earlier),
            checkpoint_every_minutes=0.0,
        )

    monkeypatch.setattr(trainer, "CALL_SECONDS", 0.0)  # One step a call.
    _, undisturbed = train(settings(), audited, split, tmp_path / "undisturbed")
    # Three steps of the third epoch: 2 * 8 + 3.
    stop_at_step(settings(), 3, audited, split, tmp_path / "stopped", named=2 * 8 + 3)
    resumed = trainer.Trainer(settings(), 64)
    resumed.train(audited, split, tmp_path / "stopped")
    history = json.loads((tmp_path / "stopped" / "history.json").read_text())
    assert history["weights_sha256"] == undisturbed["weights_sha256"]
    cosine = keras.optimizers.schedules.CosineDecay(1e-2, 4 * 8)
    rates = [one["learning_rate"] for one in history["epochs"]]
    expected = [float(cosine(step)) for step in (3 * 8 - 1, 4 * 8 - 1)]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_an_extended_run_has_a_learning_rate_of_its_own(earlier):
    a_recipe = tiny_recipe(
        epochs=3, optimizer=adam(1e-5, use_ema=True), extend_from=str(earlier)
    )
    built = trainer.Trainer(a_recipe, 64)
    assert float(built.optimizer.learning_rate) == pytest.approx(1e-5)
    assert int(built.optimizer.iterations) == 2 * 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 2}, r"`train\.epochs` must be above the 2 that .* Received: 2\."),
        (
            {"task": tasks.any_dr()},
            r"differs in its task: .*'referable'.* there, .*any",
        ),
        (
            {"optimizer": lambda: keras.optimizers.AdamW(use_ema=True)},
            r"differs in its optimizer: Adam there, AdamW here\. Take back the differe",
        ),
        (
            {"optimizer": adam()},
            r"its slots: \['average', 'momentum', 'velocity'\] there, \['momentum'",
        ),
        ({"dtype_policy": "mixed_float16"}, r"its loss scale: False there, True here"),
    ],
)
def test_a_run_that_is_not_the_same_is_not_extended(earlier, changes, message):
    usual = {"epochs": 3, "optimizer": adam(use_ema=True)}
    a_recipe = tiny_recipe(**usual | changes, extend_from=str(earlier))
    with pytest.raises(ValueError, match=message):
        trainer.Trainer(a_recipe, 64)


def test_a_run_of_another_image_size_is_not_extended(earlier):
    a_recipe = tiny_recipe(
        epochs=3, optimizer=adam(use_ema=True), extend_from=str(earlier)
    )
    with pytest.raises(ValueError, match=r"its image size: 64 there, 96 here"):
        trainer.Trainer(a_recipe, 96)


def test_without_its_checkpoint_a_run_is_not_extended(earlier):
    shutil.rmtree(earlier / "checkpoints")
    a_recipe = tiny_recipe(
        epochs=3, optimizer=adam(use_ema=True), extend_from=str(earlier)
    )
    message = r"holds no checkpoint, and so no state of the optimizer\. Bring it back"
    with pytest.raises(FileNotFoundError, match=message):
        trainer.Trainer(a_recipe, 64)


def test_the_file_of_a_model_is_no_run_but_its_folder_is(earlier):
    a_recipe = tiny_recipe(init_from=str(earlier / "model.keras"))
    with pytest.raises(FileNotFoundError, match=rf"folder of the run: '{earlier}'\."):
        trainer.Trainer(a_recipe, 64)


@pytest.mark.parametrize("missing", ["", "model.keras", "history.json", "seen.json"])
def test_a_run_that_is_not_finished_is_an_error(earlier, missing):
    if missing:
        (earlier / missing).unlink()
    else:
        shutil.rmtree(earlier)
    with pytest.raises(
        FileNotFoundError, match=rf"{missing or 'model.keras'} does not"
    ):
        trainer.Trainer(tiny_recipe(init_from=str(earlier)), 64)


def test_a_damaged_model_of_an_earlier_run_is_named(earlier):
    (earlier / "model.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"whose .*model\.keras cannot be read"):
        trainer.Trainer(tiny_recipe(init_from=str(earlier)), 64)


def test_the_certificate_carries_what_the_weights_have_seen(
    audited, split, earlier, tmp_path
):
    folder = tmp_path / "later"
    a_recipe = tiny_recipe(init_from=str(earlier), epochs=1)
    train(a_recipe, audited, split, folder)
    noted = json.loads((folder / "leakage.json").read_text())["earlier_run"]
    kept = json.loads((earlier / "history.json").read_text())["weights_sha256"]
    assert (noted["path"], noted["weights_sha256"]) == (str(earlier), kept)
    assert (noted["taken_by"], noted["trained_on"]) == ("train.init_from", 32)

    # That run is trained anew while this one is stopped.
    keras.utils.set_random_seed(9)
    (folder / "model.keras").unlink()
    tiny_model(image_size=64, num_outputs=2).save(earlier / "model.keras")
    with pytest.raises(
        ValueError, match=r"earlier has other weights than when .*later"
    ):
        train(a_recipe, audited, split, folder)
