"""What an evaluation leaves in a run: predictions, figures, tables, a report."""

import collections
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Sequence

from evaluation import (
    decision,
    evaluate,
    external,
    facts,
    gallery,
    networks,
    predictions,
    report,
)
from input_pipeline import audit, prepare, splits, whole_files
from models import outputs
from train import checkpoints, commands, ensemble, run_dir
from train import recipe as recipes
from visualization import explain, report_maps

_LONGEST_NAME = 80


def trained_run(where: commands.Where) -> run_dir.RunDir:
    """The run of a command, with its trained model.

    Raises:
        ValueError: The run was begun with another config.
        FileNotFoundError: It has no model.
    """
    run = run_dir.RunDir(where.run_dir)
    run.check_config(where.bindings)
    if not run.model.exists():
        raise FileNotFoundError(
            f"{run.model} does not exist: there is no trained model. Train it first: "
            "the same command with --mode=train."
        )
    return run


def evaluate_model(
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
    """Evaluates the trained model; notes first that test photographs are read.

    Args:
        run: The run that has the model, and the ledger.
        mode: What evaluates, for the ledger.
        evaluator: How.
        recipe: What the model was trained by.
        audited: The run's own photographs.
        split: Which of them are in which split.
        folder: Where the results go.
        others: The photographs of other datasets.
        frozen: What the run decided and said before; None: it decides now.

    Raises:
        ValueError: A split is empty, the model cannot be read or has no dropout, or
            photographs do not allow what a rule asks.
    """
    model = ensemble.load_model(run.model)
    asked = ensemble.open_networks(run.path, model, split)
    for name in evaluator.splits:
        if not split[name]:
            raise ValueError(
                f"{run.split} has no photographs in {name!r}. Take it out of "
                "`evaluate.splits`."
            )
    evaluator.check_networks(asked)
    weights = checkpoints.digest(model.weights)
    read = {one.name: [*one.ids, *one.sample] for one in others}
    if "test" in evaluator.splits and not (frozen and "test" in frozen.said):
        read["test"] = split.test

    def note_readings() -> None:
        for name, ids in read.items():
            counts = collections.Counter(one.partition("/")[0] for one in ids)
            run.note_test_reading(mode, len(ids), weights, name, counts)

    evaluator.evaluate(
        asked,
        recipe.task,
        recipe.output,
        audited,
        split,
        folder,
        others,
        frozen,
        note_readings,
    )


def write_report(
    run: run_dir.RunDir, folder: pathlib.Path, audited: audit.Audit
) -> str:
    """Writes the report of an evaluation; returns the tables."""
    found = facts.read(folder, run.path, audited)
    report.write(found, folder, _heatmaps(run, found).get)
    return tables(run, folder)


def failed_methods(run: run_dir.RunDir) -> list[str]:
    """The methods whose maps mean nothing, as any of the run's explanations found."""
    checked = (run.path / "explanations").rglob(explain.FILE)
    return sorted(set().union(*map(explain.failed, checked)))


def doubted(run: run_dir.RunDir) -> bool:
    """Whether the maps of a report are among them."""
    return report_maps.METHOD in failed_methods(run)


def rewrite_reports(run: run_dir.RunDir, audited: audit.Audit) -> None:
    """Writes anew the reports of the run's own model, all that there are."""
    folders = [run.path, *sorted((run.path / run_dir.EVALUATE).glob("*"))]
    for folder in folders:
        # Other people's predictions are runs of their own, without a model or a map.
        others = folder != run.path and (folder / "config.gin").exists()
        if (folder / report.PAGE).exists() and not others:
            write_report(run, folder, audited)


def _heatmaps(run: run_dir.RunDir, found: facts.Facts) -> dict[str, gallery.HeatMap]:
    """Photograph id -> heat map of those that a report shows."""
    if not run.model.exists() or doubted(run):  # Predictions of others have no model.
        return {}
    output = outputs.by_name(found.trained["output"], len(found.class_names))
    model, ids = ensemble.load_model(run.model), report.shown(found)
    maps: dict[str, gallery.HeatMap] = {}
    opened = ensemble.open_networks(run.path, model, found.split)
    by = networks.Answering(opened, model)(ids)
    for network, places in networks.grouped(by):
        some = [ids[place] for place in places]
        maps |= report_maps.make(network, output, found, some)
    return maps


def tables(run: run_dir.RunDir, folder: pathlib.Path) -> str:
    """The tables of an evaluation, and where all the rest is."""
    results = whole_files.read_json(folder / "metrics.json")
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


def drop_figures(folder: pathlib.Path) -> None:
    """Removes the figures of an evaluation that is about to be made anew."""
    for name in ("metrics.json", report.PAGE):
        (folder / name).unlink(missing_ok=True)


def check_same(run: run_dir.RunDir, evaluator: evaluate.Evaluator) -> None:
    """Raises if a finished run was evaluated with other settings than these."""
    done = evaluate.settings_of(whole_files.read_json(run.metrics))
    if done != evaluator.description():
        raise ValueError(
            f"{run.path} is finished and was evaluated with {done}. Received: "
            f"{evaluator.description()}. To evaluate it again: --mode=evaluate."
        )


def name_of(evaluator: evaluate.Evaluator) -> str:
    """A folder for each setting, as in "valid-test" or "test-resamples-500".

    What would be too long to read ends in a checksum instead; `metrics.json` has it.
    """
    parts, usual = list(evaluator.splits), evaluate.Evaluator()
    for field in dataclasses.fields(evaluator):
        value = getattr(evaluator, field.name)
        if field.name in ("on", "on_splits"):  # Names alone.
            value = "-".join(evaluator.description()[field.name]) or ()
        if field.name != "splits" and value != getattr(usual, field.name):
            text = re.sub(r"[^\w.]+", "-", str(value)).strip("-")
            parts.append(f"{field.name}-{text}")
    name = "-".join(parts)
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9].rstrip('-.')}-{digest}"


def other_datasets(
    evaluator: evaluate.Evaluator,
    preparation: prepare.Preparation,
    where: commands.Where,
) -> tuple[external.Others, commands.Where]:
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


def freeze(run: run_dir.RunDir, evaluator: evaluate.Evaluator) -> evaluate.Frozen:
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
    content = whole_files.read_json(run.metrics)
    done = evaluate.settings_of(content)
    asked = evaluator.description()
    for name in ("operating_point", "calibrate", "test_time_augmentation"):
        if done[name] != asked[name]:
            raise ValueError(
                f"On other datasets the run's own decision is used, with `evaluate."
                f"{name}` as {done[name]}. Received: {asked[name]}. Take it back; "
                "`evaluate.recalibrate` chooses a threshold for another site."
            )
    said = {}
    if evaluate.says_the_same(done, asked):
        names = content["task"]["class_names"]
        said = predictions.read_csv(run.path / "predictions.csv", names)
    return evaluate.Frozen(decision.load(run.path), said)
