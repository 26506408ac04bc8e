import dataclasses
import math

import keras
import numpy as np
import pytest

from input_pipeline import (
    audit,
    photograph,
    pipeline,
    prepare,
    samplers,
    splits,
    tasks,
)
from input_pipeline.datasets import csv_file, idrid, synthetic
from tests.train import test_trainer
from train import phases, plan, recipe, trainer


def recipe_of(task, monitor="val_loss", callbacks=(), **stream):
    return recipe.Recipe(
        task=task,
        model=lambda **sizes: None,
        optimizer=keras.optimizers.Adam,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        stream=pipeline.TrainingStream(**stream),
        epochs=1,
        monitor=monitor,
        callbacks=callbacks,
    )


@pytest.fixture
def photographs(idrid_like):
    return idrid.idrid(name="drawn").read(idrid_like)


def check(photographs, task, splitter=None, names=("train", "valid", "test"), **stream):
    if splitter is None:
        splitter = splits.Splitter()
    plan.check_labels(
        photographs, audit.Auditor(), splitter, recipe_of(task, **stream), names
    )


def test_what_fits_its_photographs_passes(photographs):
    check(photographs, tasks.referable(), batch_size=32)


def test_a_task_that_the_dataset_does_not_answer_is_an_error(photographs):
    unknown = [dataclasses.replace(one, macular_edema=None) for one in photographs]
    message = r"The task 'macular_edema' .* needs labels that the source of 32 photog"
    with pytest.raises(ValueError, match=message):
        check(unknown, tasks.macular_edema(), batch_size=8)


def test_labels_of_a_split_that_is_not_used_may_be_unknown(photographs):
    some = [
        dataclasses.replace(one, macular_edema=None) if one.split == "test" else one
        for one in photographs
    ]
    check(some, tasks.macular_edema(), names=("train", "valid"), batch_size=8)
    with pytest.raises(ValueError, match="needs labels that the source of 12"):
        check(some, tasks.macular_edema(), batch_size=8)


def test_too_many_folds_are_an_error(photographs):
    with pytest.raises(ValueError, match=r"Lower `split\.folds`\."):
        check(photographs, tasks.referable(), splits.Splitter(folds=50), batch_size=8)


def test_a_split_without_photographs_is_an_error(photographs):
    training = [one for one in photographs if one.split == "train"]
    message = (
        r"There are no photographs in the split 'test'\. Check --data_dir, name a "
        r"dataset that tests in `audit\.test_on`, or take the split out of "
        r"`evaluate\.splits`\."
    )
    with pytest.raises(ValueError, match=message):
        check(training, tasks.referable(), batch_size=8)


@pytest.mark.parametrize("monitor", ["val_auc", "val_quadratic_kappa"])
def test_a_monitored_metric_that_validation_cannot_define_is_an_error(
    photographs, monitor
):
    healthy = [
        dataclasses.replace(one, grade=0, any_dr=None, split="valid")
        if number < 5
        else one
        for number, one in enumerate(photographs)
    ]
    check(healthy, tasks.referable(), batch_size=8)
    message = (
        rf"`train\.monitor` is '{monitor}', which the validation photographs do not "
        r"define: they lack a class\. Choose 'val_loss', or other folds\."
    )
    with pytest.raises(ValueError, match=message):
        check(healthy, tasks.referable(), monitor=monitor, batch_size=8)
    stops = keras.callbacks.EarlyStopping(monitor=monitor, mode="max")
    with pytest.raises(ValueError, match=rf"`EarlyStopping\.monitor` is '{monitor}'"):
        both = [stops, keras.callbacks.EarlyStopping(monitor="val_loss")]
        check(healthy, tasks.referable(), callbacks=both, batch_size=8)


def test_a_batch_larger_than_an_epoch_is_an_error(photographs):
    once = samplers.every_photograph_once
    check(photographs, tasks.referable(), batch_size=32, sampler=once)
    message = (
        r"`training_stream\.batch_size` must not exceed the photographs of an epoch\. "
        r"Received: batch_size=33 with 32 photographs\. Lower it\."
    )
    with pytest.raises(ValueError, match=message):
        check(photographs, tasks.referable(), batch_size=33, sampler=once)


def test_an_epoch_that_is_oversampled_is_explained(photographs):
    # 19 of the 32 that train are referable: twice as many as these.
    message = r"batch_size=99 with 38 photographs, which the sampler takes from 32\. L"
    with pytest.raises(ValueError, match=message):
        check(
            photographs, tasks.referable(), batch_size=99, sampler=samplers.oversample
        )


def test_a_plan_tells_what_each_phase_trains():
    usual = recipe_of(tasks.referable(), batch_size=4)
    usual = dataclasses.replace(usual, model=test_trainer.tiny_model)
    whole = trainer.Trainer(usual, 64)
    every = sum(math.prod(one.shape) for one in whole.model.trainable_variables)
    lines = plan.training(whole).splitlines()
    assert lines[0].endswith(f" parameters, {every:,} of them trained, 64 px.")
    assert lines[1].startswith("Training: 1 epoch, batches of 4, Adam, on 1 device(s):")

    head = phases.Phase(epochs=5, optimizer=lambda: keras.optimizers.SGD(0.5))
    first = dataclasses.replace(usual, first_phases=[head])
    lines = plan.training(trainer.Trainer(first, 64)).splitlines()
    assert lines[0].endswith(f" {whole.model.count_params():,} parameters, 64 px.")
    # Of 4 features 2 logits: kernel and bias.
    assert lines[1] == "Phase 1 of 2: 'head' (10 parameters) for 5 epochs, SGD at 0.5."
    assert lines[2] == (
        f"Phase 2 of 2: 'all' ({every:,} parameters) for 1 epoch, Adam at 0.001."
    )
    assert lines[3].startswith("Training: 6 epochs in all, batches of 4, on 1 device")
    assert len(lines) == 4


def test_photographs_are_listed_from_the_data_folder_or_the_records(
    preparation, prepared, prepared_dir, idrid_like
):
    read = plan.photographs(preparation, {"drawn": idrid_like}, prepared_dir)
    stored = plan.photographs(preparation, {}, prepared_dir)
    assert [one.id for one in read] == [one.id for one in stored]
    assert all(isinstance(one, photograph.Photograph) for one in stored)


def test_without_photographs_the_way_out_is_named(preparation, tmp_path):
    message = (
        r"holds no photographs of 'drawn' that are prepared as this config asks\. Name "
        r"the folder of the originals, --data_dir=<folder>, or with --prepared_dir the "
        r"one that holds them prepared\."
    )
    with pytest.raises(ValueError, match=message):
        plan.photographs(preparation, {}, tmp_path)


@pytest.fixture
def two_copies(tmp_path):
    """Audits a photograph and its copy, of one grade, with the given risks of edema."""

    def make(first, second, **policy):
        image = synthetic.draw(2, np.random.default_rng(0), width=400).image
        for name in "ab":
            keras.utils.save_img(tmp_path / f"{name}.png", image)
        (tmp_path / "photographs.csv").write_text(
            f"path,grade,macular_edema\na.png,2,{first}\nb.png,2,{second}\n"
        )
        preparation = prepare.Preparation(datasets=[csv_file.csv_file()], image_size=64)
        collection = preparation.run({"csv": tmp_path}, tmp_path / "prepared")
        return audit.Auditor(**policy).run(collection, tmp_path / "prepared")

    return make


def test_copies_that_contradict_each_other_in_the_task_alone_are_an_error(two_copies):
    audited = two_copies(0, 1)
    plan.check_copies(audited, tasks.referable())
    for seed in range(20):  # Which label a copy draws means nothing.
        drawn = tasks.random_labels(task=tasks.macular_edema(), seed=seed)
        plan.check_copies(audited, drawn)
    message = (
        r"csv/a and csv/b are copies .* 'macular_edema' .* `audit\.must_agree` must"
    )
    with pytest.raises(ValueError, match=message):
        plan.check_copies(audited, tasks.macular_edema())


@pytest.mark.parametrize("risks", [(1, 1), (1, "")])
def test_copies_that_agree_in_the_task_or_say_nothing_pass(two_copies, risks):
    plan.check_copies(two_copies(*risks), tasks.macular_edema())


def test_copies_whose_contradiction_the_audit_knows_pass(two_copies):
    audited = two_copies(0, 1, must_agree=("macular_edema",))
    assert len(audited.decisions.left_out) == 2
    plan.check_copies(audited, tasks.macular_edema())


def test_a_split_that_lost_a_class_of_the_monitored_metric_is_refused(photographs):
    made = splits.Splitter().make(photographs, audit.Auditor().decide(photographs))
    by_id = {one.id: one for one in photographs}
    healthy = tuple(one for one in made.valid if by_id[one].grade < 2)
    assert 0 < len(healthy) < len(made.valid)
    lost = dataclasses.replace(made, valid=healthy)
    wanted = recipe_of(tasks.referable(), "val_auc", batch_size=8)
    plan.check_split(photographs, made, wanted, ("train", "valid"))
    with pytest.raises(ValueError, match=r"`train\.monitor` is 'val_auc'"):
        plan.check_split(photographs, lost, wanted, ("train", "valid"))
