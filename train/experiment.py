"""An experiment: a config turned into objects, and what each mode does with them.

Everything that a config can get wrong is found when the experiment is made, before any
photograph is opened.
"""

import dataclasses
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Mapping

import gin
import keras
from absl import logging

from configs import statements
from evaluation import evaluate
from input_pipeline import doctor, prepare, records, splits
from train import checkpoints, plan, run_dir, trainer
from train import recipe as recipes


@dataclasses.dataclass(frozen=True)
class Where:
    """What the command line says: where things are.

    Attributes:
        data_dir: The dataset's folder, or None.
        prepared_dir: Where prepared folders lie.
        run_dir: The experiment's own directory.
        bindings: The bindings that decide training, binding -> value.
        dry_run: Whether to stop before any photograph is opened or file written.
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
        if where.data_dir is not None:
            plan.photographs(preparation, where.data_dir, where.prepared_dir)
        return f"Would examine {preparation.folder(where.prepared_dir)}."
    return _configured(doctor.doctor, preparation, where.data_dir, where.prepared_dir)


def train_mode(where: Where) -> str:
    """Prepares what is missing and trains; returns where the model is."""
    return _run(where, evaluator=None)


def run_mode(where: Where) -> str:
    """Prepares what is missing, trains and evaluates; returns the tables."""
    return _run(where, evaluator=_configured(evaluate.Evaluator))


def evaluate_mode(where: Where) -> str:
    """Evaluates a trained run with other settings than its own; returns the tables."""
    evaluator = _configured(evaluate.Evaluator)
    preparation = _configured(prepare.Preparation)
    recipe = _configured(recipes.Recipe)
    run = run_dir.RunDir(where.run_dir)
    run.check_config(where.bindings)
    if not run.model.exists():
        raise FileNotFoundError(
            f"{run.model} does not exist: there is no trained model. Train it first: "
            "the same command with --mode=train."
        )
    folder = run.path / "evaluate" / _evaluation_name(evaluator)
    if (folder / "metrics.json").exists():
        return _report(run, folder)
    if where.dry_run:
        return f"Would evaluate {run.model} on {', '.join(evaluator.splits)}: {folder}."
    prepared = preparation.run(where.data_dir, where.prepared_dir)
    with run.hold():
        run.check_task(_description(recipe, preparation, prepared))
        return _evaluate(run, "evaluate", evaluator, recipe, prepared, folder)


MODES: Mapping[str, tuple[Callable[[Where], str], tuple[str, ...]]] = {
    "run": (run_mode, ("prepare", "split", "train", "evaluate")),
    "prepare": (prepare_mode, ("prepare",)),
    "train": (train_mode, ("prepare", "split", "train")),
    "evaluate": (evaluate_mode, ("prepare", "split", "train", "evaluate")),
    "doctor": (doctor_mode, ("prepare", "doctor")),
}
"""Mode -> (function, the configurables that it needs)."""

ENTRY_POINTS = tuple(
    dict.fromkeys(name for _, needed in MODES.values() for name in needed)
)
"""The configurables that some mode needs."""

_NEUTRAL = (
    "prepare.skip_unreadable",  # The data's fingerprint tells what was left out.
    "train.checkpoint_every_epochs",
    "train.checkpoint_every_minutes",
    "train.keep_checkpoints",
    "training_stream.cache_gigabytes",
)
"""Parameters that change the way to the weights, but not the weights."""


def deciding(bindings: Iterable[statements.Binding]) -> dict[str, str]:
    """The bindings that decide which weights a training ends with.

    Args:
        bindings: As `loader.load` returns them.

    Returns:
        Binding -> value, both as gin text.
    """
    return statements.deciding(bindings, ("prepare", "split", "train"), _NEUTRAL)


def _configured(what: Callable, *args):
    """Calls a registered function or class with what gin binds to it."""
    return gin.get_configurable(what)(*args)


def _run(where: Where, evaluator: evaluate.Evaluator | None) -> str:
    run = run_dir.RunDir(where.run_dir)
    preparation = _configured(prepare.Preparation)
    splitter = _configured(splits.Splitter)
    recipe = _configured(recipes.Recipe)
    run.check_config(where.bindings)
    if run.finished and evaluator is not None:
        _check_evaluator(run, evaluator)
        logging.info("%s is finished; no photograph is read. Its results:", run.path)
        return _report(run, run.path)
    if run.model.exists() and evaluator is None:
        return f"Trained already: {run.model}"
    photographs = plan.photographs(preparation, where.data_dir, where.prepared_dir)
    named = ("train", "valid", *(evaluator.splits if evaluator else ()))
    plan.check_labels(photographs, splitter, recipe, named)
    training = None
    if not run.model.exists():
        training = trainer.Trainer(recipe, preparation.image_size)
    if where.dry_run:
        return "\n".join(
            [
                "Nothing is wrong with the config. The plan:",
                _plan_preparation(preparation, where),
                f"Validation: fold {splitter.fold} of {splitter.folds}.",
                f"Task: {recipe.task.rule}.",
                plan.training(training) if training else f"Trained: {run.model}.",
                f"Results: {run.path}.",
            ]
        )

    with run.hold():
        if run.finished and evaluator is not None:  # By another process meanwhile.
            return _report(run, run.path)
        folder = preparation.folder(where.prepared_dir)
        reused = (folder / records.MANIFEST).exists()
        prepared = preparation.run(where.data_dir, where.prepared_dir)
        if not reused:
            logging.info("%s", prepare.sizes(prepared))
        description = _description(recipe, preparation, prepared)
        run.begin(gin.config_str(), where.bindings, description)
        if not run.split.exists():
            splitter.split(prepared).save(run.split)
        if training is not None and not run.model.exists():
            # Before and after: a killed run has it, and a finished one has all of it.
            run.note_operative_config(gin.operative_config_str())
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
    try:
        model = keras.models.load_model(run.model, compile=False)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{run.model} cannot be read: {error} Remove it: the same command then "
            "makes it again from the last checkpoint."
        ) from error
    split = splits.Split.load(run.split)
    for name in evaluator.splits:
        if not split[name]:
            raise ValueError(
                f"{run.split} has no photographs in {name!r}. Take it out of "
                "`evaluate.splits`."
            )
    if "test" in evaluator.splits:
        weights = checkpoints.digest(model.weights)
        run.note_test_reading(mode, len(split.test), weights)
    evaluator.evaluate(model, recipe.task, recipe.output, prepared, split, folder)
    return _report(run, folder)


def _check_evaluator(run: run_dir.RunDir, evaluator: evaluate.Evaluator) -> None:
    """Raises if a finished run was evaluated with other settings than these."""
    done = records.read_json(run.metrics)["evaluation"]
    if done != evaluator.description():
        raise ValueError(
            f"{run.path} is finished and was evaluated with {done}. Received: "
            f"{evaluator.description()}. To evaluate it again: --mode=evaluate."
        )


def _evaluation_name(evaluator: evaluate.Evaluator) -> str:
    """A folder for each setting, as in "valid-test" or "test-resamples-500"."""
    parts = list(evaluator.splits)
    for field in dataclasses.fields(evaluator):
        value = getattr(evaluator, field.name)
        if field.name != "splits" and value != field.default:
            parts.append(f"{field.name}-{value}")
    return "-".join(parts)


def _report(run: run_dir.RunDir, folder: pathlib.Path) -> str:
    results = records.read_json(folder / "metrics.json")
    return (
        f"{evaluate.report(results)}\n\n"
        f"Readings of the test photographs in this run: {run.test_readings}. "
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
    """A line on the photographs; raises if their folder is not as published."""
    photographs = plan.photographs(preparation, where.data_dir, where.prepared_dir)
    folder = preparation.folder(where.prepared_dir)
    if (folder / records.MANIFEST).exists():
        return f"Photographs: {len(photographs)}, prepared already in {folder}."
    return f"Photographs: {len(photographs)}, {where.data_dir} -> {folder}."
