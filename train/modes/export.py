"""The mode export: a trained run becomes files that other programs run."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation import decision, metrics, predictions
from input_pipeline import audit, images, prepare, records, tasks, whole_files
from serving import agreement, export
from serving import card as cards
from train import (
    checkpoints,
    commands,
    data,
    ensemble,
    environment,
    results,
    run_dir,
)
from train import recipe as recipes
from visualization import explain, grad_cam

_PAPERS = ("model_card.md", "leakage.json", "ledger.jsonl", "operative_config.gin")
"""What tells of a model wherever it goes; a run that read no test has no ledger."""

_FIGURES = ("sensitivity", "specificity", "auc", "balanced_accuracy", "quadratic_kappa")


def export_mode(where: commands.Where) -> str:
    """Exports a trained and evaluated run; returns how far the files agree with it."""
    exporter = commands.configured(export.Exporter)
    preparation = commands.configured(prepare.Preparation)
    auditor = commands.configured(audit.Auditor)
    recipe = commands.configured(recipes.Recipe)
    run = results.trained_run(where)
    decided = decision.load(run.path)
    folder = run.path / "export" / exporter.name
    if exporter.heatmaps and results.doubted(run):
        raise ValueError(
            f"{run.path / 'explanations'}: Grad-CAM failed a sanity check of this "
            "model, or none could be made, so that its maps are not to be shown to "
            "people. "
            "Export it without: --gin_bindings='export.heatmaps = False'."
        )
    if (folder / cards.FILE).exists():
        return _exported(exporter, run, folder)
    exporter.check_installed()
    if where.dry_run:
        names = ", ".join(one.name for one in exporter.every_format)
        return f"Would export {run.model} to {names}: {folder}."
    audited = data.audited(preparation, auditor, where)
    with run.hold():
        run.check_photographs(audited)
        description = data.describe(recipe, preparation, audited)
        run.check_task(description)
        split = run.open_split(audited)
        model = ensemble.load_model(run.model)
        collection = audited.collection
        ranges, validation, chances = split.train, split.valid, None
        if not split.train:  # An ensemble of folds: all that trains also validates.
            every = _some(split.valid, len(split.valid))
            ranges, validation = every[::2], every[1::2]
            chances = _out_of_fold(run, recipe.task)
        validation = _some(validation, exporter.photographs)
        labels = recipe.task.labels([collection.photograph(one) for one in validation])
        about = {
            "name": run.path.resolve().name,
            "task": description["task"],
            "output": description["output"],
            "decision": decided.description(),
            "preparation": description["preparation"],
            "trained_on_drawings": any(one.drawn for one in collection.folders),
            "photographs": {
                name: len(split[name]) for name in ("train", "valid", "test")
            },
            "datasets": description["datasets"],
            "figures": _figures(run),
            "fingerprints": {
                "data": description["data_fingerprint"],
                "config_sha256": records.file_sha256(run.path / "bindings.json"),
                "weights_sha256": checkpoints.digest(model.weights),
                "model_sha256": records.file_sha256(run.model),
            },
            "environment": _environment(),
            "lesion_agreement": _lesion_agreement(run) if exporter.heatmaps else None,
            "failed_methods": results.failed_methods(run),
        }
        exporter.export(
            model,
            recipe.output,
            about,
            _read(collection, _some(ranges, exporter.training_photographs)),
            _read(collection, validation),
            np.isin(labels, recipe.task.disease_classes),
            folder,
            chances,
            _papers(run),
        )
    return _exported(exporter, run, folder)


def _exported(
    exporter: export.Exporter, run: run_dir.RunDir, folder: pathlib.Path
) -> str:
    """What was exported; raises if it was another model, or by other settings."""
    card = cards.load(folder)
    if card.fingerprints["model_sha256"] != records.file_sha256(run.model):
        raise ValueError(
            f"{folder} is of another model than {run.model} now is. Remove the folder "
            "and export again, or keep both: --gin_bindings=\"export.name = 'other'\"."
        )
    if card.decision != decision.load(run.path).description():
        raise ValueError(
            f"{folder} decides otherwise than {run.path / decision.FILE} now says. "
            "Remove the folder and export again, or keep both: "
            "--gin_bindings=\"export.name = 'other'\"."
        )
    asked = exporter.description()
    if card.settings != asked:
        differences = "\n".join(
            f"  export.{name}: {card.settings.get(name)} there, {value} here"
            for name, value in asked.items()
            if card.settings.get(name) != value
        )
        raise ValueError(
            f"{folder} was exported with other settings:\n{differences}\nTake the "
            "difference back, or keep both: --gin_bindings=\"export.name = 'other'\"."
        )
    news = [
        path.name
        for path in _papers(run)
        if card.files.get(path.name) != cards.file_sha256(path)
    ]
    if card.heatmaps and card.lesion_agreement != _lesion_agreement(run):
        news.append("how far its heat maps agree with lesions")
    if list(card.failed_methods) != results.failed_methods(run):
        news.append("which methods of heat maps fail a check")
    changed = ""
    if news:
        changed = (
            f"\nSince then the run has something new ({', '.join(news)}): remove the "
            "folder and export again to have that with the model."
        )
    drawn = ""
    if card.trained_on_drawings:
        drawn = (
            "\nIt learnt from drawings: the predictor says nothing of photographs with "
            "it unless it is told to."
        )
    trained = ""
    if not card.photographs["train"]:
        trained = (
            "\nMost members have trained on these photographs: how far the files agree "
            "is what counts here. How good the ensemble is, its report tells."
        )
    return (
        f"Largest differences from Keras on {card.checked_on}:\n"
        f"{agreement.table(card.checked)}\n\n"
        f"Exported: {folder}; {card.serves} is served.{trained}{changed}{drawn}"
    )


def _papers(run: run_dir.RunDir) -> list[pathlib.Path]:
    return [run.path / name for name in _PAPERS if (run.path / name).exists()]


def _environment() -> dict[str, Any]:
    """Versions and devices; the command has paths that are nobody else's business."""
    described = environment.describe()
    del described["command"]
    return described


def _some(ids: Sequence[str], count: int) -> list[str]:
    """Some of the photographs, evenly; in an order without meaning."""
    chosen = np.random.default_rng(0).permutation(len(ids))[:count]
    return [ids[place] for place in chosen]


def _read(collection: records.Collection, ids: list[str]) -> np.ndarray:
    opened = images.open(collection, ids)
    return opened.take(np.arange(len(opened)))


def _out_of_fold(run: run_dir.RunDir, task: tasks.Task) -> np.ndarray | None:
    """What members said of what they had not seen; None where that was not asked."""
    said = predictions.read_csv(run.path / "predictions.csv", task.class_names)
    if "valid" not in said:
        return None
    probabilities = said["valid"].probabilities
    return metrics.disease_probability(probabilities, task.disease_classes)


def _lesion_agreement(run: run_dir.RunDir) -> dict[str, Any] | None:
    """How far the heat maps that are exported agree with lesions, if it is known."""
    path = run.path / "explanations" / explain.FILE
    return explain.lesion_agreement(path, grad_cam.GradCam.name)


def _figures(run: run_dir.RunDir) -> dict[str, dict]:
    """Metrics with intervals, of each split that the run was evaluated on."""
    content = whole_files.read_json(run.metrics)["results"]
    return {
        part: {
            name: scores["metrics"][name]
            for name in _FIGURES
            if name in scores["metrics"]
        }
        for part, scores in content.items()
    }
