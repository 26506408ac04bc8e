"""Evaluation of a finished run: predictions, figures with intervals, pictures."""

import dataclasses
import pathlib
from collections.abc import Sequence

import gin
import keras
import numpy as np

from evaluation import intervals, metrics, predict, table
from input_pipeline import records, tasks
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
        prepared: records.Prepared,
        split: stored_splits.Split,
        folder: pathlib.Path,
    ) -> dict:
        """Predicts and scores; writes `predictions.csv`, `metrics.json`, `figures/`.

        Args:
            model: A trained model.
            task: What it was trained for.
            output: How its logits become probabilities.
            prepared: The photographs.
            split: Which photographs are in which split.
            folder: Where the results go.

        Returns:
            Split name -> figures with intervals, as in `metrics.json`.
        """
        forward = predict.Forward(model)
        photographs = {one.id: one for one in prepared.photographs}
        predictions = []
        for name in self.splits:
            ids = split[name]
            labels = np.array(task.labels([photographs[one] for one in ids]))
            logits = forward(prepared.open(ids))
            probabilities = output.probabilities(logits)
            predictions.append(
                predict.Predictions(name, ids, labels, logits, probabilities)
            )
        results = {
            one.split: intervals.score_with_intervals(
                one.labels,
                one.probabilities,
                task.disease_classes,
                resamples=self.resamples,
                seed=self.seed,
            )
            for one in predictions
        }
        for one in predictions:
            _draw(one, results[one.split], task, folder / "figures")
        predict.write_csv(folder / "predictions.csv", predictions, task.class_names)
        content = {"task": task.description(), "evaluation": self.description()}
        records.write_json(folder / "metrics.json", content | results)
        return results


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
    for split, scores in results.items():
        if split not in ("task", "evaluation"):
            parts.append(f"{split}\n{table.render(scores, names)}")
    return "\n\n".join(parts)
