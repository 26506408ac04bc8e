"""The mode evaluate: a trained run with other settings, or on other datasets."""

from evaluation import decision, evaluate, report
from input_pipeline import audit, prepare
from train import commands, data, lineage, results, run_dir
from train import recipe as recipes
from train.modes import predictions


def evaluate_mode(where: commands.Where) -> str:
    """Evaluates a trained run with other settings than its own; returns the tables."""
    if where.predictions is not None:
        return predictions.evaluate_predictions(where.predictions, where)
    evaluator = commands.configured(evaluate.Evaluator)
    preparation = commands.configured(prepare.Preparation)
    auditor = commands.configured(audit.Auditor)
    recipe = commands.configured(recipes.Recipe)
    decision.check_method(evaluator.calibrate, recipe.output)
    others, where = results.other_datasets(evaluator, preparation, where)
    run = results.trained_run(where)
    folder = run.path / run_dir.EVALUATE / results.name_of(evaluator)
    scored = (folder / "metrics.json").exists()
    if scored:
        others.check_same(folder)
    if scored and (folder / report.PAGE).exists():
        return results.tables(run, folder)
    frozen = results.freeze(run, evaluator) if evaluator.on else None
    planned = others.check(recipe.task)
    if where.dry_run:
        plain = (
            f"Would evaluate {run.model} on {', '.join(evaluator.splits)}: {folder}."
        )
        return f"{plain}\n{planned}".rstrip()
    audited = data.audited(preparation, auditor, where)
    with run.hold():
        run.check_photographs(audited)
        run.check_task(data.describe(recipe, preparation, audited))
        split = run.open_split(audited)
        if not scored:
            results.drop_figures(folder)
            externals = others.read(
                recipe.task, audited, auditor, split, lineage.Seen.load(run.path).files
            )
            results.evaluate_model(
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
            results.write_report(run, run.path, audited)  # Its ledger is longer now.
        return results.write_report(run, folder, audited)
