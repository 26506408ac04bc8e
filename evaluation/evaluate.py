"""Evaluation of a finished run: predictions, figures with intervals, pictures."""

import dataclasses
import pathlib
from collections.abc import Sequence

import gin
import keras
import numpy as np

from evaluation import intervals, predict, table
from input_pipeline import photograph, records, tasks
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
        if not self.splits or not set(self.splits) <= {"train", "valid", "test"}:
            raise ValueError(
                "`evaluate.splits` must name some of 'train', 'valid' and 'test'. "
                f"Received: {self.splits!r}."
            )

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
        results = {}
        rows: list[tuple[photograph.Split, Sequence[str], np.ndarray, np.ndarray]] = []
        for name in self.splits:
            ids = split[name]
            labels = np.array(task.labels([photographs[one] for one in ids]))
            logits = forward(prepared.open(ids))
            rows.append((name, ids, labels, logits))
            results[name] = intervals.score_with_intervals(
                labels,
                output.probabilities(logits),
                task.disease_classes,
                resamples=self.resamples,
                seed=self.seed,
            )
        self._write(rows, results, task, output, folder)
        return results

    def _write(self, rows, results, task, output, folder: pathlib.Path) -> None:
        drawings = folder / "figures"
        for name, _, labels, logits in rows:
            probabilities = output.probabilities(logits)
            disease = probabilities[:, list(task.disease_classes)].sum(axis=1)
            auc = results[name]["metrics"]["auc"]
            interval = (auc["low"], auc["high"]) if auc.get("low") is not None else None
            matrix = np.array(results[name]["confusion_matrix"])
            pictures = {
                "confusion_matrix": figures.confusion_matrix(
                    matrix, task.class_names, f"{name}: {task.rule}"
                ),
                "roc": figures.roc(
                    np.isin(labels, task.disease_classes),
                    disease,
                    f"{name}: {task.rule}",
                    interval=interval,
                ),
                "scores": figures.score_distribution(
                    labels,
                    disease,
                    task.class_names,
                    f"{name}: {task.rule}",
                    disease_classes=task.disease_classes,
                ),
            }
            for kind, figure in pictures.items():
                figures.save(figure, drawings / f"{kind}_{name}.png")
        logits = np.concatenate([row[3] for row in rows])
        predict.write_csv(
            folder / "predictions.csv",
            ids=[one for row in rows for one in row[1]],
            splits=[row[0] for row in rows for _ in row[1]],
            labels=np.concatenate([row[2] for row in rows]),
            logits=logits,
            probabilities=output.probabilities(logits),
            class_names=task.class_names,
        )
        content = {"task": task.description(), **results}
        records.write_json(folder / "metrics.json", content)


def report(metrics: dict) -> str:
    """The tables of `metrics.json`, for the terminal."""
    names = metrics["task"]["class_names"]
    parts = [f"Task: {metrics['task']['rule']}"]
    for split, scores in metrics.items():
        if split != "task":
            parts.append(f"{split}\n{table.render(scores, names)}")
    return "\n\n".join(parts)
