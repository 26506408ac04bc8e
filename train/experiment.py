"""An experiment: a config turned into objects, and what each mode does with them.

Everything that a config can get wrong is found when the experiment is made, before any
photograph is opened.
"""

import collections
import dataclasses
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping

import gin
import keras
from absl import logging

from configs import statements
from evaluation import compare, evaluate
from input_pipeline import audit, doctor, photograph, prepare, records, splits
from train import checkpoints, plan, run_dir, trainer
from train import recipe as recipes


@dataclasses.dataclass(frozen=True)
class Where:
    """What the command line says: where things are.

    Attributes:
        data_dirs: Dataset's name -> its folder; "" names that of the only dataset.
        prepared_dir: Where prepared folders lie.
        run_dir: The experiment's own directory.
        bindings: The bindings that decide training, binding -> value.
        dry_run: Whether to stop before any photograph is opened or file written.
        compared: Directories of the runs that `compare` takes.
    """

    data_dirs: Mapping[str, pathlib.Path]
    prepared_dir: pathlib.Path
    run_dir: pathlib.Path
    bindings: Mapping[str, str]
    dry_run: bool = False
    compared: tuple[pathlib.Path, ...] = ()


def prepare_mode(where: Where) -> str:
    """Prepares and audits the photographs; returns what was made and found."""
    preparation = _configured(prepare.Preparation)
    auditor = _configured(audit.Auditor)
    if where.dry_run:
        photographs = _photographs(preparation, where)
        auditor.decide(photographs)
        return _plan_preparation(preparation, where)
    audited = _audit(preparation, auditor, where)
    return f"{prepare.sizes(audited.collection)}\n{audited.summary()}"


def doctor_mode(where: Where) -> str:
    """Examines photographs and records; returns the findings."""
    preparation = _configured(prepare.Preparation)
    data_dirs = preparation.name_folders(where.data_dirs)
    if where.dry_run:
        preparation.read(data_dirs)
        folders = ", ".join(str(one) for one in _folders(preparation, where))
        return f"Would examine {folders}."
    return _configured(doctor.doctor, preparation, data_dirs, where.prepared_dir)


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
    auditor = _configured(audit.Auditor)
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
    audited = _audit(preparation, auditor, where)
    with run.hold():
        run.check_task(_description(recipe, preparation, audited))
        split = run.open_split(audited)
        return _evaluate(run, "evaluate", evaluator, recipe, audited, split, folder)


def compare_mode(where: Where) -> str:
    """Compares evaluated runs; returns tables and sentences."""
    return _configured(compare.Comparer).run(where.compared, where.dry_run)


MODES: Mapping[str, tuple[Callable[[Where], str], tuple[str, ...]]] = {
    "run": (run_mode, ("prepare", "audit", "split", "train", "evaluate")),
    "prepare": (prepare_mode, ("prepare", "audit")),
    "train": (train_mode, ("prepare", "audit", "split", "train")),
    "evaluate": (evaluate_mode, ("prepare", "audit", "split", "train", "evaluate")),
    "compare": (compare_mode, ("compare",)),
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
    entry_points = ("prepare", "audit", "split", "train")
    return statements.deciding(bindings, entry_points, _NEUTRAL)


def _configured(what: Callable, *args):
    """Calls a registered function or class with what gin binds to it."""
    return gin.get_configurable(what)(*args)


def _run(where: Where, evaluator: evaluate.Evaluator | None) -> str:
    run = run_dir.RunDir(where.run_dir)
    preparation = _configured(prepare.Preparation)
    auditor = _configured(audit.Auditor)
    splitter = _configured(splits.Splitter)
    recipe = _configured(recipes.Recipe)
    run.check_config(where.bindings)
    if run.finished and evaluator is not None:
        _check_evaluator(run, evaluator)
        logging.info("%s is finished; no photograph is read. Its results:", run.path)
        return _report(run, run.path)
    if run.model.exists() and evaluator is None:
        return f"Trained already: {run.model}"
    photographs = _photographs(preparation, where)
    named = ("train", "valid", *(evaluator.splits if evaluator else ()))
    plan.check_labels(photographs, auditor, splitter, recipe, named)
    training = None
    if not run.model.exists():
        training = trainer.Trainer(recipe, preparation.image_size)
    if where.dry_run:
        split_of = auditor.decide(photographs).split
        return "\n".join(
            [
                "Nothing is wrong with the config. The plan:",
                _plan_preparation(preparation, where),
                f"Validation: {splitter.validation(split_of)}.",
                f"Task: {recipe.task.rule}.",
                plan.training(training) if training else f"Trained: {run.model}.",
                f"Results: {run.path}.",
            ]
        )

    with run.hold():
        if run.finished and evaluator is not None:  # By another process meanwhile.
            return _report(run, run.path)
        reused = all(_prepared(one) for one in _folders(preparation, where))
        audited = _audit(preparation, auditor, where)
        if not reused:
            logging.info("%s", prepare.sizes(audited.collection))
        logging.info("%s", audited.summary())
        plan.check_copies(audited, recipe.task)
        description = _description(recipe, preparation, audited)
        run.begin(gin.config_str(), where.bindings, description)
        if not run.split.exists():
            run.store_split(splitter.split(audited), audited)
        split = run.open_split(audited)
        if training is not None and not run.model.exists():
            # Before and after: a killed run has it, and a finished one has all of it.
            run.note_operative_config(gin.operative_config_str())
            training.train(audited, split, run.path, gin.config_str())
            run.note_operative_config(gin.operative_config_str())
        if evaluator is None:
            return f"Trained: {run.model}"
        return _evaluate(run, "run", evaluator, recipe, audited, split, run.path)


def _audit(
    preparation: prepare.Preparation, auditor: audit.Auditor, where: Where
) -> audit.Audit:
    """Prepares what is missing, and audits it unless that was done."""
    data_dirs = preparation.name_folders(where.data_dirs)
    collection = preparation.run(data_dirs, where.prepared_dir)
    return auditor.run(collection, where.prepared_dir)


def _photographs(
    preparation: prepare.Preparation, where: Where
) -> list[photograph.Photograph]:
    """All photographs with their labels, none of them opened."""
    data_dirs = preparation.name_folders(where.data_dirs)
    return plan.photographs(preparation, data_dirs, where.prepared_dir)


def _folders(preparation: prepare.Preparation, where: Where) -> list[pathlib.Path]:
    """The prepared folder of each dataset, there or not yet."""
    return [preparation.folder(one, where.prepared_dir) for one in preparation.datasets]


def _prepared(folder: pathlib.Path) -> bool:
    return (folder / records.MANIFEST).exists()


def _evaluate(
    run: run_dir.RunDir,
    mode: str,
    evaluator: evaluate.Evaluator,
    recipe: recipes.Recipe,
    audited: audit.Audit,
    split: splits.Split,
    folder: pathlib.Path,
) -> str:
    try:
        model = keras.models.load_model(run.model, compile=False)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{run.model} cannot be read: {error} Remove it: the same command then "
            "makes it again from the last checkpoint."
        ) from error
    for name in evaluator.splits:
        if not split[name]:
            raise ValueError(
                f"{run.split} has no photographs in {name!r}. Take it out of "
                "`evaluate.splits`."
            )
    if "test" in evaluator.splits:
        weights = checkpoints.digest(model.weights)
        run.note_test_reading(mode, len(split.test), weights)
    evaluator.evaluate(model, recipe.task, recipe.output, audited, split, folder)
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
    parts, usual = list(evaluator.splits), evaluate.Evaluator()
    for field in dataclasses.fields(evaluator):
        value = getattr(evaluator, field.name)
        if field.name != "splits" and value != getattr(usual, field.name):
            text = re.sub(r"[^\w.]+", "-", str(value)).strip("-")
            parts.append(f"{field.name}-{text}")
    return "-".join(parts)


def _report(run: run_dir.RunDir, folder: pathlib.Path) -> str:
    results = records.read_json(folder / "metrics.json")
    return (
        f"{evaluate.report(results)}\n\n"
        f"Readings of the test photographs in this run: {run.test_readings}. "
        f"Everything is in {folder}."
    )


def _description(
    recipe: recipes.Recipe, preparation: prepare.Preparation, audited: audit.Audit
) -> dict:
    """What travels with a model: what it was trained for, on which photographs."""
    return {
        "task": recipe.task.description(),
        "output": recipe.output.name,
        "datasets": [one.name for one in preparation.datasets],
        "preparation": preparation.settings,
        "data_fingerprint": audited.collection.fingerprint,
    }


def _plan_preparation(preparation: prepare.Preparation, where: Where) -> str:
    """A line a dataset; raises if its folder is not as published."""
    data_dirs = preparation.name_folders(where.data_dirs)
    counts = collections.Counter(one.origin for one in _photographs(preparation, where))
    lines = []
    for one, folder in zip(
        preparation.datasets, _folders(preparation, where), strict=True
    ):
        what = f"Photographs: {counts[one.name]} of {one.name}"
        if _prepared(folder):
            lines.append(f"{what}, prepared already in {folder}.")
        else:
            lines.append(f"{what}, {data_dirs[one.name]} -> {folder}.")
    return "\n".join(lines)
