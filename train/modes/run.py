"""The mode run: from photographs to a report; and train, which stops at the model."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import tensorflow as tf
from absl import logging

from evaluation import decision, evaluate
from input_pipeline import audit, prepare, records, splits
from train import (
    cluster,
    commands,
    data,
    ensemble,
    environment,
    leftovers,
    lineage,
    plan,
    results,
    run_dir,
    tf_config,
    trainer,
)
from train import recipe as recipes


def run_mode(where: commands.Where) -> str:
    """Prepares what is missing, trains, evaluates, reports; returns the tables."""
    return _run(where, evaluator=commands.configured(evaluate.Evaluator))


def train_mode(where: commands.Where) -> str:
    """Prepares what is missing and trains; returns where the model is."""
    return _run(where, evaluator=None)


def _run(
    where: commands.Where,
    evaluator: evaluate.Evaluator | None,
    strategy: tf.distribute.Strategy | None = None,
    audited: audit.Audit | None = None,
) -> str:
    """Does it all; a member with the strategy and photographs of its ensemble."""
    run = run_dir.RunDir(where.run_dir)
    preparation = commands.configured(prepare.Preparation)
    auditor = commands.configured(audit.Auditor)
    splitter = commands.configured(splits.Splitter)
    recipe = commands.configured(recipes.Recipe)
    if strategy is not None:
        recipe = dataclasses.replace(recipe, strategy=lambda: strategy)
    several = commands.configured(ensemble.Ensemble)
    members = several.members(splitter, recipe.seed)
    several.check(splitter, evaluator.splits if evaluator else ())
    if len(members) > 1:
        ensemble.check_bindings(where.bindings)
        ensemble.check_folder(where.run_dir)
    splitters = [dataclasses.replace(splitter, fold=one.fold) for one in members]
    others = None
    if evaluator is not None:
        decision.check_method(evaluator.calibrate, recipe.output)
        others, where = results.other_datasets(evaluator, preparation, where)
    run.check_config(where.bindings)
    if run.evaluated and evaluator is not None:
        results.check_same(run, evaluator)
    if run.finished and evaluator is not None:
        run.check_states(data.states(preparation, where))
        logging.info("%s is finished; no photograph is read. Its results:", run.path)
        return results.tables(run, run.path)
    if run.model.exists() and evaluator is None:
        return f"Trained already: {run.model}"
    addresses, index = tf_config.workers()
    if len(addresses) > 1:
        if len(members) > 1:
            raise ValueError(
                "The members of an ensemble are trained each by one process, and "
                f"TF_CONFIG names {len(addresses)}. Train each member by itself, with "
                "--mode=train, --run_dir=<run_dir>/members/<name>, split.fold, "
                "train.seed, ensemble.every_fold = False and ensemble.seeds = (), or "
                "unset TF_CONFIG."
            )
        if run.model.exists() and index > 0:
            return f"Trained already: {run.model}. The chief does the rest."
        if not run.model.exists():
            flags = {"--dry_run": str(where.dry_run)}
            wanted = {**where.bindings, **flags, **environment.software()}
            strategy = cluster.join(recipe.strategy, wanted)
            recipe = dataclasses.replace(recipe, strategy=lambda: strategy)
            if index > 0:
                return _work(recipe, preparation, where)
    photographs = data.photographs(preparation, where)
    named = ("train", "valid", *(evaluator.splits if evaluator else ()))
    split_of = auditor.decide(photographs).split
    validation = several.validation(splitter, split_of)
    for one in splitters:
        plan.check_labels(photographs, auditor, one, recipe, named)
    planned = others.check(recipe.task) if others else ""
    training = None
    if not run.model.exists():
        several.warn(recipe.keep, recipe.callbacks)
        training = trainer.Trainer(recipe, preparation.image_size)
    if where.dry_run:
        lines = [
            "Nothing is wrong with the config. The plan:",
            data.plan(preparation, where),
            f"Validation: {validation}.",
            f"Task: {recipe.task.rule}.",
            plan.training(training) if training else f"Trained: {run.model}.",
            plan.members(members),
            planned,
            f"Results: {run.path}.",
        ]
        return "\n".join(filter(None, lines))

    with run.hold():
        if run.finished and evaluator is not None:  # By another process meanwhile.
            return results.tables(run, run.path)
        if audited is None:
            known = set(where.prepared_dir.glob(f"*/{records.MANIFEST}"))
            audited = data.audited(preparation, auditor, where)
            folders = audited.collection.folders
            if any(one.folder / records.MANIFEST not in known for one in folders):
                logging.info("%s", prepare.sizes(audited.collection))
            logging.info("%s", audited.summary())
        plan.check_copies(audited, recipe.task)
        run.check_photographs(audited)
        description = data.describe(recipe, preparation, audited)
        made, parts = None, []
        if not run.split.exists():  # What is refused here has begun no run.
            parts = [one.split(audited) for one in splitters]
            for one in parts:
                plan.check_split(photographs, one, recipe, named)
            made = ensemble.pool(parts).for_task(audited, recipe.task)
        split = _begin(run, where, description, audited, made, parts, training)
        scored = run.evaluated
        # Before training: what is wrong with them shows now, not after hours.
        externals = []
        if others and not scored:
            externals = others.read(
                recipe.task, audited, auditor, split, lineage.Seen.load(run.path).files
            )
        if training is not None and not run.model.exists():
            # Before and after: a killed run has it, and a finished one has all of it.
            run.note_operative_config(gin.operative_config_str())
            if len(members) > 1:
                strategy = training.strategy
                training = None  # Its memory is the members'.
                _train_members(members, where, strategy, audited)
                several.bind(splitter, recipe.seed)
                # What was used last is what gin notes.
                for one in (ensemble.Ensemble, splits.Splitter, recipes.Recipe):
                    commands.configured(one)
                ensemble.assemble(run.path, members, split)
            else:
                told = data.names(audited, where) | {"start": run.start}
                training.cluster.tell(told)
                training.train(audited, split, run.path, gin.config_str())
                training = None
                leftovers.let_go()  # Its memory is the evaluation's.
            run.note_operative_config(gin.operative_config_str())
        if evaluator is None:
            return f"Trained: {run.model}"
        if not scored:
            results.evaluate_model(
                run, "run", evaluator, recipe, audited, split, run.path, externals
            )
            run.note_operative_config(gin.operative_config_str())
        return results.write_report(run, run.path, audited)


def _work(
    recipe: recipes.Recipe, preparation: prepare.Preparation, where: commands.Where
) -> str:
    """Trains as one of several workers that is not the chief, and writes nothing."""
    training = trainer.Trainer(recipe, preparation.image_size)
    if where.dry_run:
        return f"Nothing is wrong with the config.\n{plan.training(training)}"
    logging.info("Waiting for the chief to have the photographs prepared.")
    told = training.cluster.tell()
    run = run_dir.RunDir(where.run_dir)
    run.check_shared(told["start"])
    audited = data.opened(told, where)
    training.train(audited, run.open_split(audited), run.path)
    return f"Trained with the others; the chief writes {run.model}."


def _train_members(
    members: Sequence[ensemble.Member],
    where: commands.Where,
    strategy: tf.distribute.Strategy,
    audited: audit.Audit,
) -> None:
    """Trains those that are not trained yet, one after the other.

    All with one strategy: two would number the sums over their devices alike.
    """
    for one in members:  # Now, and not after the others' hours.
        alone = one.where(where)
        run = run_dir.RunDir(alone.run_dir)
        run.check_config(alone.bindings)
        if run.model.exists():
            ensemble.check_member(where.run_dir, one)
    for number, one in enumerate(members, start=1):
        logging.info("Member %d of %d: %s.", number, len(members), one.name)
        leftovers.let_go()  # So that each is as if it were alone.
        one.bind()
        _run(one.where(where), None, strategy, audited)
        ensemble.check_member(where.run_dir, one)


def _begin(
    run: run_dir.RunDir,
    where: commands.Where,
    description: Mapping[str, Any],
    audited: audit.Audit,
    made: splits.Split | None,
    parts: Sequence[splits.Split],
    training: trainer.Trainer | None,
) -> splits.Split:
    """Begins a run, or goes on with it; returns the split that it was begun with."""
    earlier, inherited = training.earlier_runs if training else [], []
    if made:
        folder = where.prepared_dir
        inherited = [one.bequeath(made, audited, folder) for one in earlier]
    devices = training.devices if training else ()
    run.begin(gin.config_str(), where.bindings, description, devices)
    if not run.evaluated:  # Those of a model that was lost are not the next one's.
        results.drop_figures(run.path)
    if made:
        run.store_split(made, audited, inherited, parts)
    for one in earlier:
        run.check_earlier(one)
    return run.open_split(audited)
