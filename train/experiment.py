"""An experiment: a config turned into objects, and what each mode does with them.

Everything that a config can get wrong is found when the experiment is made, before any
photograph is opened.
"""

import collections
import dataclasses
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence

import gin
import keras
from absl import logging

from configs import statements
from evaluation import (
    compare,
    decision,
    evaluate,
    external,
    facts,
    gallery,
    other_models,
    predictions,
    report,
    verify,
)
from input_pipeline import audit, doctor, photograph, prepare, records, splits
from models import outputs
from train import checkpoints, plan, run_dir, trainer
from train import recipe as recipes
from visualization import explain, explanation_table, report_maps


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
        predictions: A CSV of another model's predictions, to be evaluated in place of
            the run's own model; or None.
        random_labels: Directory of a run that was trained on random labels, to check
            explanations by; or None.
    """

    data_dirs: Mapping[str, pathlib.Path]
    prepared_dir: pathlib.Path
    run_dir: pathlib.Path
    bindings: Mapping[str, str]
    dry_run: bool = False
    compared: tuple[pathlib.Path, ...] = ()
    predictions: pathlib.Path | None = None
    random_labels: pathlib.Path | None = None


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
    """Prepares what is missing, trains, evaluates, reports; returns the tables."""
    return _run(where, evaluator=_configured(evaluate.Evaluator))


def evaluate_mode(where: Where) -> str:
    """Evaluates a trained run with other settings than its own; returns the tables."""
    if where.predictions is not None:
        return _evaluate_predictions(where.predictions, where)
    evaluator = _configured(evaluate.Evaluator)
    preparation = _configured(prepare.Preparation)
    auditor = _configured(audit.Auditor)
    recipe = _configured(recipes.Recipe)
    decision.check_method(evaluator.calibrate, recipe.output)
    others, where = _others(evaluator, preparation, where)
    run = run_dir.RunDir(where.run_dir)
    run.check_config(where.bindings)
    if not run.model.exists():
        raise FileNotFoundError(
            f"{run.model} does not exist: there is no trained model. Train it first: "
            "the same command with --mode=train."
        )
    folder = run.path / run_dir.EVALUATE / _evaluation_name(evaluator)
    scored = (folder / "metrics.json").exists()
    if scored:
        others.check_same(folder)
    if scored and (folder / report.PAGE).exists():
        return _report(run, folder)
    frozen = _frozen(run, evaluator) if evaluator.on else None
    planned = others.check(recipe.task)
    if where.dry_run:
        plain = (
            f"Would evaluate {run.model} on {', '.join(evaluator.splits)}: {folder}."
        )
        return f"{plain}\n{planned}".rstrip()
    audited = _audit(preparation, auditor, where)
    with run.hold():
        run.check_task(_description(recipe, preparation, audited))
        split = run.open_split(audited)
        if not scored:
            _drop_figures(folder)
            externals = others.read(recipe.task, audited, auditor, split)
            _evaluate(
                run,
                "evaluate",
                evaluator,
                recipe,
                audited,
                split,
                folder,
                externals,
                frozen,
            )
        if "test" in evaluator.splits and run.finished:
            _write_report(run, run.path, audited)  # Its ledger is longer now.
        return _write_report(run, folder, audited)


def compare_mode(where: Where) -> str:
    """Compares evaluated runs; returns tables and sentences."""
    return _configured(compare.Comparer).run(where.compared, where.dry_run)


def verify_mode(where: Where) -> str:
    """Computes again what a run states; returns what was compared."""
    recipe = _configured(recipes.Recipe)
    run = run_dir.RunDir(where.run_dir)
    run.check_config(where.bindings)
    if where.dry_run:
        return f"Would verify {run.path} and what is in {run.path / run_dir.EVALUATE}."
    return verify.verify(run.path, recipe.task, recipe.output)


def explain_mode(where: Where) -> str:
    """Explains a trained run; returns how far its heatmaps can be believed."""
    explanations = _configured(explain.Explanations)
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
    folder = run.path / "explanations" / explanations.name
    if (folder / explain.FILE).exists():
        return _explained(explanations, folder, where)
    if where.dry_run:
        return f"Would explain {run.model} by {len(explanations.methods)} methods."
    audited = _audit(preparation, auditor, where)
    with run.hold():
        run.check_task(_description(recipe, preparation, audited))
        split = run.open_split(audited)
        model = _load(run)
        if "test" in explanations.splits:
            weights = checkpoints.digest(model.weights)
            run.note_test_reading("explain", len(split.test), weights)
        decided = None
        if (run.path / decision.FILE).exists():
            decided = decision.load(run.path)
        explanations.explain(
            model,
            recipe.task,
            recipe.output,
            decided,
            audited,
            split,
            list(preparation.name_folders(where.data_dirs).values()),
            folder,
            run.path / "tensorboard" / "explanations",
            where.random_labels,
        )
        if run.finished and _doubted(run):  # Its report showed maps until now.
            _write_report(run, run.path, audited)
    return _explained(explanations, folder, where)


MODES: Mapping[str, tuple[Callable[[Where], str], tuple[str, ...]]] = {
    "run": (run_mode, ("prepare", "audit", "split", "train", "evaluate")),
    "prepare": (prepare_mode, ("prepare", "audit")),
    "train": (train_mode, ("prepare", "audit", "split", "train")),
    "evaluate": (evaluate_mode, ("prepare", "audit", "split", "train", "evaluate")),
    "explain": (explain_mode, ("prepare", "audit", "split", "train", "explain")),
    "compare": (compare_mode, ("compare",)),
    "doctor": (doctor_mode, ("prepare", "doctor")),
    "verify": (verify_mode, ("train",)),
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
    "train.require_gpu",
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
    others = None
    if evaluator is not None:
        decision.check_method(evaluator.calibrate, recipe.output)
        others, where = _others(evaluator, preparation, where)
    run.check_config(where.bindings)
    if run.evaluated and evaluator is not None:
        _check_evaluator(run, evaluator)
    if run.finished and evaluator is not None:
        logging.info("%s is finished; no photograph is read. Its results:", run.path)
        return _report(run, run.path)
    if run.model.exists() and evaluator is None:
        return f"Trained already: {run.model}"
    photographs = _photographs(preparation, where)
    named = ("train", "valid", *(evaluator.splits if evaluator else ()))
    plan.check_labels(photographs, auditor, splitter, recipe, named)
    planned = others.check(recipe.task) if others else ""
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
                *([planned] if planned else []),
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
        earlier = training and training.earlier
        made = inherited = None
        if not run.split.exists():  # What is refused here has begun no run.
            made = splitter.split(audited)
            if earlier:
                inherited = earlier.bequeath(made, audited, where.prepared_dir)
        devices = training.devices if training else ()
        run.begin(gin.config_str(), where.bindings, description, devices)
        scored = run.evaluated
        if not scored:  # Those of a model that was lost are not the next one's.
            _drop_figures(run.path)
        if made:
            run.store_split(made, audited, inherited)
        if earlier:
            run.check_earlier(earlier)
        split = run.open_split(audited)
        # Before training: what is wrong with them shows now, not after hours.
        externals = []
        if others and not scored:
            externals = others.read(recipe.task, audited, auditor, split)
        if training is not None and not run.model.exists():
            # Before and after: a killed run has it, and a finished one has all of it.
            run.note_operative_config(gin.operative_config_str())
            training.train(audited, split, run.path, gin.config_str())
            run.note_operative_config(gin.operative_config_str())
        if evaluator is None:
            return f"Trained: {run.model}"
        if not scored:
            _evaluate(
                run, "run", evaluator, recipe, audited, split, run.path, externals
            )
        return _write_report(run, run.path, audited)


def _evaluate_predictions(path: pathlib.Path, where: Where) -> str:
    """Evaluates a CSV of predictions; returns the tables.

    Its folder is a run directory without a model: it has a config, a split and a ledger
    of its own, so that no training is needed.
    """
    evaluator = _configured(evaluate.Evaluator)
    preparation = _configured(prepare.Preparation)
    auditor = _configured(audit.Auditor)
    splitter = _configured(splits.Splitter)
    recipe = _configured(recipes.Recipe)
    begun = run_dir.RunDir(where.run_dir)
    begun.check_config(where.bindings)
    name = f"predictions-{path.stem}-{_evaluation_name(evaluator)}"
    run = run_dir.RunDir(begun.path / run_dir.EVALUATE / name)
    run.check_config(where.bindings)
    table = other_models.read(path, recipe.task)
    other_models.check_source(table, run.path)
    if run.metrics.exists():
        return _report(run, run.path)
    other_models.check_known(table, _photographs(preparation, where))
    if where.dry_run:
        named = ", ".join(evaluator.splits)
        return (
            f"Would evaluate {len(table.names)} rows of {path} on {named}: {run.path}."
        )
    audited = _audit(preparation, auditor, where)
    # The split of the run that these predictions are compared with, if there is one.
    if begun.split.exists():
        split = begun.open_split(audited)
    else:
        split = splitter.split(audited)
    task = recipe.task
    said, decided = other_models.decide(table, evaluator, task, audited, split)
    with run.hold():
        description = _description(recipe, preparation, audited) | {"output": "given"}
        run.begin(gin.config_str(), where.bindings, description)
        run.store_split(split, audited)
        if "test" in evaluator.splits:
            checksum = table.source()["sha256"]
            run.note_test_reading(
                "evaluate", len(split.test), checksum, of="predictions"
            )
        other_models.write(table, evaluator, task, said, decided, run.path)
        return _write_report(run, run.path, audited)


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
    others: Sequence[external.External] = (),
    frozen: evaluate.Frozen | None = None,
) -> None:
    model = _load(run)
    for name in evaluator.splits:
        if not split[name]:
            raise ValueError(
                f"{run.split} has no photographs in {name!r}. Take it out of "
                "`evaluate.splits`."
            )
    evaluator.check_model(model)
    weights = checkpoints.digest(model.weights)
    read = {one.name: [*one.ids, *one.sample] for one in others}
    if "test" in evaluator.splits and not (frozen and "test" in frozen.said):
        read["test"] = split.test
    for name, ids in read.items():
        counts = collections.Counter(one.partition("/")[0] for one in ids)
        run.note_test_reading(mode, len(ids), weights, name, counts)
    evaluator.evaluate(
        model, recipe.task, recipe.output, audited, split, folder, others, frozen
    )


def _drop_figures(folder: pathlib.Path) -> None:
    for name in ("metrics.json", report.PAGE):
        (folder / name).unlink(missing_ok=True)


def _write_report(
    run: run_dir.RunDir, folder: pathlib.Path, audited: audit.Audit
) -> str:
    """Writes the report of an evaluation; returns the tables."""
    found = facts.read(folder, run.path, audited)
    report.write(found, folder, _heatmaps(run, found).get)
    return _report(run, folder)


def _heatmaps(run: run_dir.RunDir, found: facts.Facts) -> dict[str, gallery.HeatMap]:
    """Photograph id -> heat map of those that a report shows.

    Predictions of others have no model, and a method that failed the run's own sanity
    check explains nothing.
    """
    if not run.model.exists() or _doubted(run):
        return {}
    output = outputs.by_name(found.trained["output"], len(found.class_names))
    return report_maps.make(_load(run), output, found, report.shown(found))


def _doubted(run: run_dir.RunDir) -> bool:
    """Whether the run's explanations say that a report's heat maps mean nothing."""
    checked = run.path / "explanations" / explain.FILE
    return checked.exists() and not explain.offers(checked, report_maps.METHOD)


def _others(
    evaluator: evaluate.Evaluator, preparation: prepare.Preparation, where: Where
) -> tuple[external.Others, Where]:
    """The other datasets, and where the run's own photographs are."""
    others = external.Others(
        evaluator.on,
        evaluator.on_splits,
        evaluator.recalibrate,
        preparation,
        where.data_dirs,
        where.prepared_dir,
    )
    return others, dataclasses.replace(where, data_dirs=others.own_folders)


def _frozen(run: run_dir.RunDir, evaluator: evaluate.Evaluator) -> evaluate.Frozen:
    """What the run decided, and what it said of its own photographs.

    Raises:
        ValueError: The evaluation asks for another decision.
        FileNotFoundError: The run is not evaluated, so that nothing is decided.
    """
    if not run.metrics.exists():
        raise FileNotFoundError(
            f"{run.metrics} does not exist: the run has no threshold yet that could be "
            "used on other datasets. Evaluate it first: the same command without "
            "--mode and `evaluate.on`."
        )
    content = records.read_json(run.metrics)
    done = evaluate.Evaluator().description() | content["evaluation"]
    asked = evaluator.description()
    for name in ("operating_point", "calibrate", "test_time_augmentation"):
        if done[name] != asked[name]:
            raise ValueError(
                f"On other datasets the run's own decision is used, with `evaluate."
                f"{name}` as {done[name]}. Received: {asked[name]}. Take it back; "
                "`evaluate.recalibrate` chooses a threshold for another site."
            )
    said, passes = {}, asked["dropout_samples"]
    if done["dropout_samples"] == passes and (
        not passes or done["seed"] == asked["seed"]
    ):
        names = content["task"]["class_names"]
        said = predictions.read_csv(run.path / "predictions.csv", names)
    return evaluate.Frozen(decision.load(run.path), said)


def _load(run: run_dir.RunDir) -> keras.Model:
    try:
        return keras.models.load_model(run.model, compile=False)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{run.model} cannot be read: {error} Remove it: the same command then "
            "makes it again from the last checkpoint."
        ) from error


def _explained(
    explanations: explain.Explanations, folder: pathlib.Path, where: Where
) -> str:
    """What was found; raises if it was found with other settings."""
    content = records.read_json(folder / explain.FILE)
    settings = explanations.description(where.random_labels)
    if content["settings"] != settings:
        raise ValueError(
            f"{folder} was made with {content['settings']}. Received: {settings}. "
            "Keep both: "
            "--gin_bindings=\"explain.name = 'other'\"."
        )
    return f"{explanation_table.report(content)}\n\nPictures are in {folder}."


def _check_evaluator(run: run_dir.RunDir, evaluator: evaluate.Evaluator) -> None:
    """Raises if a finished run was evaluated with other settings than these."""
    # Runs of earlier versions have settings that were not there yet as by default.
    usual = evaluate.Evaluator().description()
    done = usual | records.read_json(run.metrics)["evaluation"]
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
        if field.name in ("on", "on_splits"):  # Names alone.
            value = "-".join(evaluator.description()[field.name]) or ()
        if field.name != "splits" and value != getattr(usual, field.name):
            text = re.sub(r"[^\w.]+", "-", str(value)).strip("-")
            parts.append(f"{field.name}-{text}")
    return "-".join(parts)


def _report(run: run_dir.RunDir, folder: pathlib.Path) -> str:
    results = records.read_json(folder / "metrics.json")
    readings = collections.Counter(one["split"] for one in run.readings)
    of_others = "".join(
        f", of {name} {count}" for name, count in readings.items() if name != "test"
    )
    return (
        f"{evaluate.report(results)}\n\n"
        f"Report: {folder / report.PAGE}\n"
        f"Readings of the test photographs in this run: {readings['test']}{of_others}. "
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
