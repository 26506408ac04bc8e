"""The mode run: from photographs to a report; and train, which stops at the model."""

from collections.abc import Mapping
from typing import Any

import gin
from absl import logging

from evaluation import decision, evaluate
from input_pipeline import audit, prepare, records, splits
from train import commands, data, plan, results, run_dir, trainer
from train import recipe as recipes


def run_mode(where: commands.Where) -> str:
    """Prepares what is missing, trains, evaluates, reports; returns the tables."""
    return _run(where, evaluator=commands.configured(evaluate.Evaluator))


def train_mode(where: commands.Where) -> str:
    """Prepares what is missing and trains; returns where the model is."""
    return _run(where, evaluator=None)


def _run(where: commands.Where, evaluator: evaluate.Evaluator | None) -> str:
    run = run_dir.RunDir(where.run_dir)
    preparation = commands.configured(prepare.Preparation)
    auditor = commands.configured(audit.Auditor)
    splitter = commands.configured(splits.Splitter)
    recipe = commands.configured(recipes.Recipe)
    others = None
    if evaluator is not None:
        decision.check_method(evaluator.calibrate, recipe.output)
        others, where = results.other_datasets(evaluator, preparation, where)
    run.check_config(where.bindings)
    if run.evaluated and evaluator is not None:
        results.check_same(run, evaluator)
    if run.finished and evaluator is not None:
        logging.info("%s is finished; no photograph is read. Its results:", run.path)
        return results.tables(run, run.path)
    if run.model.exists() and evaluator is None:
        return f"Trained already: {run.model}"
    photographs = data.photographs(preparation, where)
    named = ("train", "valid", *(evaluator.splits if evaluator else ()))
    plan.check_labels(photographs, auditor, splitter, recipe, named)
    planned = others.check(recipe.task) if others else ""
    training = None
    if not run.model.exists():
        training = trainer.Trainer(recipe, preparation.image_size)
    if where.dry_run:
        split_of = auditor.decide(photographs).split
        lines = [
            "Nothing is wrong with the config. The plan:",
            data.plan(preparation, where),
            f"Validation: {splitter.validation(split_of)}.",
            f"Task: {recipe.task.rule}.",
            plan.training(training) if training else f"Trained: {run.model}.",
            planned,
            f"Results: {run.path}.",
        ]
        return "\n".join(filter(None, lines))

    with run.hold():
        if run.finished and evaluator is not None:  # By another process meanwhile.
            return results.tables(run, run.path)
        known = set(where.prepared_dir.glob(f"*/{records.MANIFEST}"))
        audited = data.audited(preparation, auditor, where)
        folders = audited.collection.folders
        if any(one.folder / records.MANIFEST not in known for one in folders):
            logging.info("%s", prepare.sizes(audited.collection))
        logging.info("%s", audited.summary())
        plan.check_copies(audited, recipe.task)
        run.check_photographs(audited)
        description = data.describe(recipe, preparation, audited)
        made = None
        if not run.split.exists():  # What is refused here has begun no run.
            made = splitter.split(audited).for_task(audited, recipe.task)
            plan.check_split(photographs, made, recipe, named)
        split = _begin(run, where, description, audited, made, training)
        scored = run.evaluated
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
            results.evaluate_model(
                run, "run", evaluator, recipe, audited, split, run.path, externals
            )
        return results.write_report(run, run.path, audited)


def _begin(
    run: run_dir.RunDir,
    where: commands.Where,
    description: Mapping[str, Any],
    audited: audit.Audit,
    made: splits.Split | None,
    training: trainer.Trainer | None,
) -> splits.Split:
    """Begins a run, or goes on with it; returns the split that it was begun with."""
    earlier, inherited = training and training.earlier, None
    if made and earlier:
        inherited = earlier.bequeath(made, audited, where.prepared_dir)
    devices = training.devices if training else ()
    run.begin(gin.config_str(), where.bindings, description, devices)
    if not run.evaluated:  # Those of a model that was lost are not the next one's.
        results.drop_figures(run.path)
    if made:
        run.store_split(made, audited, inherited)
    if earlier:
        run.check_earlier(earlier)
    return run.open_split(audited)
