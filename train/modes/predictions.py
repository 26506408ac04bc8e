"""The mode evaluate --predictions: what another model said."""

import pathlib

import gin

from evaluation import evaluate, other_models
from input_pipeline import audit, prepare, splits
from train import commands, data, results, run_dir
from train import recipe as recipes


def evaluate_predictions(path: pathlib.Path, where: commands.Where) -> str:
    """Evaluates a CSV of predictions; returns the tables.

    Its folder is a run directory without a model: it has a config, a split and a ledger
    of its own, so that no training is needed.
    """
    evaluator = commands.configured(evaluate.Evaluator)
    preparation = commands.configured(prepare.Preparation)
    auditor = commands.configured(audit.Auditor)
    splitter = commands.configured(splits.Splitter)
    recipe = commands.configured(recipes.Recipe)
    other_models.check_settings(evaluator)
    begun = run_dir.RunDir(where.run_dir)
    begun.check_config(where.bindings)
    name = f"predictions-{path.stem}-{results.name_of(evaluator)}"
    run = run_dir.RunDir(begun.path / run_dir.EVALUATE / name)
    run.check_config(where.bindings)
    table = other_models.read(path, recipe.task)
    other_models.check_source(table, run.path)
    scored = run.metrics.exists()
    if scored and run.report.exists():
        return results.tables(run, run.path)
    other_models.check_known(table, data.photographs(preparation, where))
    if where.dry_run:
        named = ", ".join(evaluator.splits)
        return (
            f"Would evaluate {len(table.names)} rows of {path} on {named}: {run.path}."
        )
    audited = data.audited(preparation, auditor, where)
    if scored:
        with run.hold():
            run.check_task(_describe(recipe, preparation, audited))
            return results.write_report(run, run.path, audited)
    # The split of the run that these predictions are compared with, if there is one.
    if begun.split.exists():
        split = begun.open_split(audited)
    else:
        split = splitter.split(audited).for_task(audited, recipe.task)
    task = recipe.task
    said, decided = other_models.decide(table, evaluator, task, audited, split)
    with run.hold():
        run.check_photographs(audited)
        description = _describe(recipe, preparation, audited)
        run.begin(gin.config_str(), where.bindings, description)
        run.store_split(split, audited)
        if "test" in evaluator.splits:
            checksum = table.source()["sha256"]
            run.note_test_reading(
                "evaluate", len(split.test), checksum, of="predictions"
            )
        other_models.write(table, evaluator, task, said, decided, run.path)
        return results.write_report(run, run.path, audited)


def _describe(
    recipe: recipes.Recipe, preparation: prepare.Preparation, audited: audit.Audit
) -> dict:
    """What a model is trained for; these probabilities come from no output of ours."""
    return data.describe(recipe, preparation, audited) | {"output": "given"}
