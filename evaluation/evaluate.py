"""Evaluation of a finished run: predictions, figures with intervals, pictures."""

import dataclasses
import pathlib
from collections.abc import Sequence

import gin
import keras
import numpy as np

from evaluation import intervals, metrics, predict, table
from input_pipeline import audit, images, records, shortcut, tasks
from input_pipeline import splits as stored_splits
from models import outputs
from visualization import figures


@gin.register("evaluate")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluator:
    """How a model is evaluated.

    Attributes:
        splits: Which splits, in this order.
        resamples: Bootstrap resamples behind an interval.
        seed: Decides the resamples.
    """

    splits: Sequence[str] = ("valid", "test")
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self):
        known = {"train", "valid", "test"}
        once = len(set(self.splits)) == len(self.splits)
        if not self.splits or not set(self.splits) <= known or not once:
            raise ValueError(
                "`evaluate.splits` must name some of 'train', 'valid', 'test', once. "
                f"Received: {self.splits!r}."
            )
        if self.seed < 0:
            raise ValueError(
                f"`evaluate.seed` must be at least 0. Received: {self.seed}."
            )
        if self.resamples < 100:
            raise ValueError(
                "`evaluate.resamples` must be at least 100 for its percentiles to mean "
                f"anything. Received: {self.resamples}."
            )

    def description(self) -> dict:
        """The settings, JSON-ready."""
        return dataclasses.asdict(self) | {"splits": list(self.splits)}

    def evaluate(
        self,
        model: keras.Model,
        task: tasks.Task,
        output: outputs.Output,
        audited: audit.Audit,
        split: stored_splits.Split,
        folder: pathlib.Path,
    ) -> dict:
        """Predicts and scores; writes `predictions.csv`, `metrics.json`, `figures/`.

        Args:
            model: A trained model.
            task: What it was trained for.
            output: How its logits become probabilities.
            audited: The photographs.
            split: Which photographs are in which split.
            folder: Where the results go.

        Returns:
            Name of a split, or of a part of it -> figures with intervals, as in
            `metrics.json`.
        """
        forward = predict.Forward(model)
        collection = audited.collection
        predictions, results = [], {}
        for name in self.splits:
            ids = split[name]
            labels = np.array(task.labels([collection.photograph(one) for one in ids]))
            logits = forward(images.open(collection, ids))
            one = predict.Predictions(
                name, ids, labels, logits, output.probabilities(logits)
            )
            predictions.append(one)
            metadata = _from_metadata_alone(task, collection, split, ids)
            for part, chosen in _parts(one, split).items():
                results[part] = self._score(one, chosen, task) | {
                    "metadata_alone": _score_metadata(
                        labels[chosen], metadata[chosen], task
                    )
                }
        for one in predictions:
            _draw(one, results[one.split], task, folder / "figures")
        predict.write_csv(folder / "predictions.csv", predictions, task.class_names)
        content = {"task": task.description(), "evaluation": self.description()}
        records.write_json(folder / "metrics.json", content | results)
        return results

    def _score(
        self, predictions: predict.Predictions, chosen: np.ndarray, task: tasks.Task
    ) -> dict:
        return intervals.score_with_intervals(
            predictions.labels[chosen],
            predictions.probabilities[chosen],
            task.disease_classes,
            resamples=self.resamples,
            seed=self.seed,
        )


def _parts(
    predictions: predict.Predictions, split: stored_splits.Split
) -> dict[str, np.ndarray]:
    """A split as a whole, and the parts of it that are scored for themselves.

    Returns:
        Name -> bool array, which of the photographs are in it.
    """
    name, ids = predictions.split, np.array(predictions.ids)
    parts = {name: np.ones(len(ids), bool)}
    disputed = np.isin(ids, split.disputed)
    if disputed.any() and not disputed.all():
        parts[f"{name} without conflicts"] = ~disputed
    origins = np.array([one.partition("/")[0] for one in predictions.ids])
    if len(set(origins)) > 1:
        parts |= {f"{name} of {one}": origins == one for one in np.unique(origins)}
    return parts


def _from_metadata_alone(
    task: tasks.Task,
    collection: records.Collection,
    split: stored_splits.Split,
    ids: Sequence[str],
) -> np.ndarray:
    """What size, file type, camera and dataset tell of a photograph's class.

    Returns:
        float64 array of shape `(len(ids), num_classes)`, 0-1.
    """
    train = [collection.photograph(one) for one in split.train]
    return shortcut.fit_predict(
        shortcut.columns(collection, split.train),
        np.array(task.labels(train)),
        shortcut.columns(collection, ids),
        num_classes=len(task.class_names),
    )


def _score_metadata(
    labels: np.ndarray, probabilities: np.ndarray, task: tasks.Task
) -> dict:
    scores = metrics.score(labels, probabilities, task.disease_classes)
    return {name: scores[name].value for name in ("auc", "balanced_accuracy")}


def _draw(
    predictions: predict.Predictions,
    scores: dict,
    task: tasks.Task,
    folder: pathlib.Path,
) -> None:
    title = f"{predictions.split}: {task.rule}"
    disease = metrics.disease_probability(
        predictions.probabilities, task.disease_classes
    )
    auc = scores["metrics"]["auc"]
    interval = (auc["low"], auc["high"]) if auc.get("low") is not None else None
    pictures = {
        "confusion_matrix": figures.confusion_matrix(
            np.array(scores["confusion_matrix"]), task.class_names, title
        ),
        "roc": figures.roc(
            np.isin(predictions.labels, task.disease_classes),
            disease,
            title,
            interval=interval,
        ),
        "scores": figures.score_distribution(
            predictions.labels,
            disease,
            task.class_names,
            title,
            disease_classes=task.disease_classes,
        ),
    }
    for name, figure in pictures.items():
        figures.save(figure, folder / f"{name}_{predictions.split}.png")


def report(results: dict) -> str:
    """The tables of `metrics.json`, for the terminal."""
    names = results["task"]["class_names"]
    parts = [f"Task: {results['task']['rule']}"]
    for part, scores in results.items():
        if part in ("task", "evaluation"):
            continue
        alone = scores["metadata_alone"]
        parts.append(f"{part}\n{table.render(scores, names)}")
        if alone["auc"] is not None:
            parts.append(
                f"Size, file type, camera and dataset alone: AUC {alone['auc']:.3f}, "
                f"balanced accuracy {alone['balanced_accuracy']:.3f}."
            )
    return "\n\n".join(parts)
