"""The mode explain: heatmaps of a trained run, and how far they can be believed."""

import pathlib

from absl import logging

from evaluation import decision, networks
from input_pipeline import audit, prepare, whole_files
from serving import card as cards
from serving import wording
from train import checkpoints, commands, data, ensemble, results, run_dir
from train import recipe as recipes
from visualization import explain, explanation_table


def explain_mode(where: commands.Where) -> str:
    """Explains a trained run; returns how far its heatmaps can be believed."""
    explanations = commands.configured(explain.Explanations)
    preparation = commands.configured(prepare.Preparation)
    auditor = commands.configured(audit.Auditor)
    recipe = commands.configured(recipes.Recipe)
    run = results.trained_run(where)
    folder = run.path / "explanations" / explanations.name
    if (folder / explain.FILE).exists():
        return _explained(explanations, folder, where)
    if where.dry_run:
        return f"Would explain {run.model} by {len(explanations.methods)} methods."
    audited = data.audited(preparation, auditor, where)
    with run.hold():
        run.check_photographs(audited)
        run.check_task(data.describe(recipe, preparation, audited))
        split = run.open_split(audited)
        model = ensemble.load_model(run.model)
        if "test" in explanations.splits:
            weights = checkpoints.digest(model.weights)
            run.note_test_reading("explain", len(split.test), weights)
        decided = None
        if (run.path / decision.FILE).exists():
            decided = decision.load(run.path)
        explanations.explain(
            networks.Answering(ensemble.open_networks(run.path, model, split), model),
            recipe.task,
            recipe.output,
            decided,
            audited,
            split,
            preparation.name_folders(where.data_dirs),
            folder,
            run.path / "tensorboard" / "explanations" / explanations.name,
            where.random_labels,
            where.prepared_dir / "lesion_masks",
        )
        if results.doubted(run):  # Its reports showed maps until now.
            results.rewrite_reports(run, audited)
        warn_of_exports(run)
    return _explained(explanations, folder, where)


def warn_of_exports(run: run_dir.RunDir) -> None:
    """Names the exported models that offer maps which failed a check since."""
    failed = results.failed_methods(run)
    for path in sorted((run.path / "export").glob(f"*/{cards.FILE}")):
        try:
            card = cards.load(path.parent)
        except ValueError as error:  # Such as one of an earlier version.
            logging.warning("%s", error)
            continue
        offered = set(wording.offered(card.description())) & set(failed)
        if offered:
            logging.warning(
                "%s offers maps that failed a check: %s. Remove it, and export "
                "again%s.",
                path.parent,
                ", ".join(sorted(offered)),
                " with export.heatmaps = False" if "grad_cam" in offered else "",
            )


def _explained(
    explanations: explain.Explanations, folder: pathlib.Path, where: commands.Where
) -> str:
    """What was found; raises if it was found with other settings."""
    content = whole_files.read_json(folder / explain.FILE)
    settings = explanations.description(where.random_labels)
    if content["settings"] != settings:
        raise ValueError(
            f"{folder} was made with {content['settings']}. Received: {settings}. "
            "Keep both: --gin_bindings=\"explain.name = 'other'\"."
        )
    return f"{explanation_table.report(content)}\n\nPictures are in {folder}."
