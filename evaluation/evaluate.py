"""Evaluation of a trained model: predictions, a decision, figures with intervals."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import gin
import keras
import numpy as np

from evaluation import (
    assessment,
    decision,
    intervals,
    metrics,
    predict,
    predictions,
    table,
)
from evaluation import operating_point as operating_points
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
        operating_point: How the threshold is chosen, on the validation photographs.
        calibrate: How probabilities are calibrated, on the same, or None.
        test_time_augmentation: Views over which each prediction is averaged, those that
            choose the threshold too, or None.
        prevalence: Share of the diseased for which PPV and NPV are given besides those
            of the photographs at hand, 0-1 exclusive.
        resamples: Bootstrap resamples behind an interval.
        seed: Decides the resamples.
    """

    splits: Sequence[str] = ("valid", "test")
    operating_point: operating_points.Rule = dataclasses.field(
        default_factory=operating_points.Fixed
    )
    calibrate: decision.Method | None = "temperature"
    test_time_augmentation: predict.Symmetries | None = None
    prevalence: float | None = None
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
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ValueError(
                "`evaluate.prevalence` must be between 0 and 1, or None. "
                f"Received: {self.prevalence}."
            )
        intervals.check_settings(self.resamples, 0.95)

    def description(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        return {
            "splits": list(self.splits),
            "operating_point": repr(self.operating_point),
            "calibrate": self.calibrate,
            "test_time_augmentation": self._views(),
            "prevalence": self.prevalence,
            "resamples": self.resamples,
            "seed": self.seed,
        }

    def _views(self) -> dict[str, bool] | None:
        views = self.test_time_augmentation
        return views and dataclasses.asdict(views)

    def evaluate(
        self,
        model: keras.Model,
        task: tasks.Task,
        output: outputs.Output,
        audited: audit.Audit,
        split: stored_splits.Split,
        folder: pathlib.Path,
    ) -> dict[str, Any]:
        """Predicts, decides and scores.

        Writes `decision.json`, `predictions.csv`, `figures/` and last `metrics.json`.

        Args:
            model: A trained model.
            task: What it was trained for.
            output: How its logits become probabilities.
            audited: The photographs.
            split: Which photographs are in which split.
            folder: Where the results go.

        Returns:
            The content of `metrics.json`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        forward = predict.Forward(model, symmetries=self.test_time_augmentation)
        collection = audited.collection

        def logits_of(name: str) -> np.ndarray:
            return forward(images.open(collection, split[name]))

        def labels_of(name: str) -> np.ndarray:
            return np.array(
                task.labels([collection.photograph(one) for one in split[name]])
            )

        validation = logits_of("valid")
        decided = decision.choose(
            self.operating_point,
            self.calibrate,
            task,
            output,
            labels_of("valid"),
            validation,
            chosen_on=f"{len(split.valid)} validation photographs",
        )
        decided = dataclasses.replace(decided, test_time_augmentation=self._views())
        said = []
        for name in self.splits:
            logits = validation if name == "valid" else logits_of(name)
            one = predictions.Predictions(
                split=name,
                ids=split[name],
                labels=labels_of(name),
                probabilities=decided.probabilities(output, logits),
                uncalibrated=output.probabilities(logits),
                logits=logits,
                metadata=_from_metadata_alone(task, collection, split, name),
                known=describe(collection, split, split[name]),
            )
            said.append(one)
        decided.save(folder)
        predictions.write_csv(folder / "predictions.csv", said, task.class_names)
        return self.write(said, task, decided, folder)

    def write(
        self,
        said: Sequence[predictions.Predictions],
        task: tasks.Task,
        decided: decision.Decision,
        folder: pathlib.Path,
    ) -> dict[str, Any]:
        """Scores predictions; writes `figures/` and last `metrics.json`.

        Args:
            said: Those of each split.
            task: What they answer.
            decided: The threshold.
            folder: Where the results go.

        Returns:
            The content of `metrics.json`.
        """
        settings = assessment.Settings(
            disease_classes=task.disease_classes,
            threshold=decided.threshold,
            prevalence=self.prevalence,
            resamples=self.resamples,
            seed=self.seed,
        )
        content = {
            "task": task.description(),
            "evaluation": self.description(),
            "decision": decided.description(),
            "results": assessment.assess(said, settings),
        }
        for one in said:
            _draw(one, content["results"][one.split], task, folder / "figures")
        records.write_json(folder / "metrics.json", content)
        return content


def describe(
    collection: records.Collection, split: stored_splits.Split, ids: Sequence[str]
) -> dict[str, list[str]]:
    """What is known of photographs, as `predictions.KNOWN` lists it."""
    photographs = [collection.photograph(one) for one in ids]
    entries = [collection.entries[one] for one in ids]
    disputed = set(split.disputed)
    return {
        "dataset": [one.origin for one in photographs],
        "patient": [one.patient or "" for one in photographs],
        "eye": [one.eye or "" for one in photographs],
        "size": [f"{one['width']}x{one['height']}" for one in entries],
        "brightness": [f"{one['quality']['brightness']:.1f}" for one in entries],
        "sharpness": [f"{one['quality']['sharpness']:.4f}" for one in entries],
        "disputed": ["1" if one in disputed else "" for one in ids],
    }


def _from_metadata_alone(
    task: tasks.Task,
    collection: records.Collection,
    split: stored_splits.Split,
    name: str,
) -> np.ndarray:
    """What size, file type, camera and dataset tell of a split's photographs.

    Returns:
        float64 array of shape `(n, num_classes)`, 0-1.
    """
    train = [collection.photograph(one) for one in split.train]
    return shortcut.fit_predict(
        shortcut.columns(collection, split.train),
        np.array(task.labels(train)),
        shortcut.columns(collection, split[name]),
        num_classes=len(task.class_names),
    )


def _draw(
    said: predictions.Predictions,
    scores: dict[str, Any],
    task: tasks.Task,
    folder: pathlib.Path,
) -> None:
    title = f"{said.split}: {task.rule}"
    disease = metrics.disease_probability(said.probabilities, task.disease_classes)
    auc = scores["metrics"]["auc"]
    interval = (auc["low"], auc["high"]) if auc.get("low") is not None else None
    pictures = {
        "confusion_matrix": figures.confusion_matrix(
            np.array(scores["confusion_matrix"]), task.class_names, title
        ),
        "roc": figures.roc(
            np.isin(said.labels, task.disease_classes),
            disease,
            title,
            interval=interval,
        ),
        "scores": figures.score_distribution(
            said.labels,
            disease,
            task.class_names,
            title,
            disease_classes=task.disease_classes,
            threshold=scores["threshold"],
        ),
    }
    for name, figure in pictures.items():
        figures.save(figure, folder / f"{name}_{said.split}.png")


def report(content: dict[str, Any]) -> str:
    """The tables of `metrics.json`, for the terminal."""
    names = content["task"]["class_names"]
    point = content["decision"]["operating_point"]
    texts = [
        f"Task: {content['task']['rule']}",
        f"Threshold {point['threshold']:.3f} on the probability of disease: "
        f"{point['rule']}, chosen on {content['decision']['chosen_on']}.",
    ]
    for part, scores in content["results"].items():
        texts.append(f"{part}\n{table.render(scores, names)}")
        alone = scores["metadata_alone"]
        if alone is not None and alone["auc"] is not None:
            texts.append(
                f"Size, file type, camera and dataset alone: AUC {alone['auc']:.3f}, "
                f"balanced accuracy {alone['balanced_accuracy']:.3f}."
            )
    return "\n\n".join(texts)
