"""An experiment: a config turned into objects, and what each mode does with them.

Everything that a config can get wrong is found when the experiment is made, before any
photograph is opened.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping

import gin
import keras

from evaluation import evaluate
from input_pipeline import doctor, prepare, records, splits
from train import checkpoints, run_dir, trainer
from train import recipe as recipes


@dataclasses.dataclass(frozen=True)
class Where:
    """What the command line says: where things are.

    Attributes:
        data_dir: The dataset's folder, or None.
        prepared_dir: Where prepared folders lie.
        run_dir: The experiment's own directory.
        bindings: The bindings that decide training, binding -> value.
        dry_run: Whether to stop before anything is read or written.
    """

    data_dir: pathlib.Path | None
    prepared_dir: pathlib.Path
    run_dir: pathlib.Path
    bindings: Mapping[str, str]
    dry_run: bool = False


def prepare_mode(where: Where) -> str:
    """Prepares the photographs; returns what was made of how much."""
    preparation = _configured(prepare.Preparation)
    if where.dry_run:
        return _plan_preparation(preparation, where)
    return prepare.sizes(preparation.run(where.data_dir, where.prepared_dir))


def doctor_mode(where: Where) -> str:
    """Examines photographs and records; returns the findings."""
    preparation = _configured(prepare.Preparation)
    if where.dry_run:
        return f"Would examine {preparation.folder(where.prepared_dir)}."
    return _configured(doctor.doctor, preparation, where.data_dir, where.prepared_dir)


def train_mode(where: Where) -> str:
    """Prepares what is missing and trains; returns where the model is."""
    return _run(where, evaluator=None)


def run_mode(where: Where) -> str:
    """Prepares what is missing, trains and evaluates; returns the tables."""
    return _run(where, evaluator=_configured(evaluate.Evaluator))


def evaluate_mode(where: Where) -> str:
    """Evaluates a trained run again, with its own settings; returns the tables."""
    evaluator = _configured(evaluate.Evaluator)
    preparation = _configured(prepare.Preparation)
    recipe = _configured(recipes.Recipe)
    run = run_dir.RunDir(where.run_dir)
    if not run.model.exists():
        raise FileNotFoundError(
            f"{run.model} does not exist: there is no trained model. Train it first: "
            "the same command with --mode=train."
        )
    run.check_bindings(where.bindings)
    if where.dry_run:
        return f"Would evaluate {run.model} on {', '.join(evaluator.splits)}."
    prepared = preparation.run(where.data_dir, where.prepared_dir)
    with run.hold():
        run.check_task(_description(recipe, preparation, prepared))
        folder = run.path / "evaluate" / "-".join(evaluator.splits)
        return _evaluate(run, "evaluate", evaluator, recipe, prepared, folder)


MODES: Mapping[str, tuple[Callable[[Where], str], tuple[str, ...]]] = {
    "run": (run_mode, ("prepare", "split", "train", "evaluate")),
    "prepare": (prepare_mode, ("prepare",)),
    "train": (train_mode, ("prepare", "split", "train")),
    "evaluate": (evaluate_mode, ("prepare", "split", "train", "evaluate")),
    "doctor": (doctor_mode, ("prepare", "doctor")),
}
"""Mode -> (function, the configurables that it needs)."""

DECIDING = ("prepare", "split", "train")
"""The configurables that decide which weights a training ends with."""


def _configured(what: Callable, *args):
    """Calls a registered function or class with what gin binds to it."""
    return gin.get_configurable(what)(*args)


def _run(where: Where, evaluator: evaluate.Evaluator | None) -> str:
    run = run_dir.RunDir(where.run_dir)
    preparation = _configured(prepare.Preparation)
    splitter = _configured(splits.Splitter)
    recipe = _configured(recipes.Recipe)
    run.check_bindings(where.bindings)
    if evaluator is not None and run.metrics.exists():
        return _report(run, run.path)
    training = None
    if not run.model.exists():
        training = trainer.Trainer(recipe, preparation.image_size)
    if where.dry_run:
        return _plan(where, run, preparation, splitter, recipe, training)

    with run.hold():
        run.begin(gin.config_str(), where.bindings)
        prepared = preparation.run(where.data_dir, where.prepared_dir)
        run.check_task(_description(recipe, preparation, prepared))
        if not run.split.exists():
            splitter.split(prepared).save(run.split)
        if training is not None:
            split = splits.Split.load(run.split)
            training.train(prepared, split, run.path, gin.config_str())
        run.note_operative_config(gin.operative_config_str())
        if evaluator is None:
            return f"Trained: {run.model}"
        return _evaluate(run, "run", evaluator, recipe, prepared, run.path)


def _evaluate(
    run: run_dir.RunDir,
    mode: str,
    evaluator: evaluate.Evaluator,
    recipe: recipes.Recipe,
    prepared: records.Prepared,
    folder: pathlib.Path,
) -> str:
    model = keras.models.load_model(run.model, compile=False)
    split = splits.Split.load(run.split)
    if "test" in evaluator.splits:
        weights = checkpoints.digest(model.weights)
        run.note_test_reading(mode, len(split.test), weights)
    evaluator.evaluate(model, recipe.task, recipe.output, prepared, split, folder)
    return _report(run, folder)


def _report(run: run_dir.RunDir, folder: pathlib.Path) -> str:
    text = (folder / "metrics.json").read_text(encoding="utf-8")
    return (
        f"{evaluate.report(json.loads(text))}\n\n"
        f"Test photographs were read {run.test_readings} times in this run. "
        f"Everything is in {folder}."
    )


def _description(
    recipe: recipes.Recipe, preparation: prepare.Preparation, prepared: records.Prepared
) -> dict:
    """What travels with a model: what it was trained for, on which photographs."""
    return {
        "task": recipe.task.description(),
        "output": recipe.output.name,
        "dataset": preparation.dataset.name,
        "preparation": preparation.settings,
        "data_fingerprint": prepared.fingerprint,
    }


def _plan_preparation(preparation: prepare.Preparation, where: Where) -> str:
    folder = preparation.folder(where.prepared_dir)
    if (folder / records.MANIFEST).exists():
        return f"Photographs: prepared already, in {folder}."
    return f"Photographs: {where.data_dir or '--data_dir is missing'} -> {folder}."


def _plan(where, run, preparation, splitter, recipe, training) -> str:
    lines = [
        "Nothing is wrong with the config. The plan:",
        _plan_preparation(preparation, where),
        f"Validation: fold {splitter.fold} of {splitter.folds}.",
        f"Task: {recipe.task.rule}.",
    ]
    if training is None:
        lines.append(f"Training: finished, {run.model}.")
    else:
        model, size = training.model, preparation.image_size
        lines += [
            f"Model: {model.name}, {model.count_params():,} parameters, {size} px.",
            f"Training: {recipe.epochs} epochs, batches of {recipe.stream.batch_size}, "
            f"{training.optimizer.name}, on {training.strategy.num_replicas_in_sync} "
            "device(s).",
        ]
    lines.append(f"Results: {run.path}.")
    return "\n".join(lines)
