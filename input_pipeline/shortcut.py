"""The shortcut check: how well a photograph's metadata alone predicts its label.

Where sick eyes were photographed in another clinic than healthy ones, the size of the
files gives the diagnosis away, and a model may learn the clinic. What metadata score is
shown beside what the model scores.
"""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import threadpoolctl
from sklearn import ensemble, metrics, model_selection

if TYPE_CHECKING:  # Reading records takes TensorFlow.
    from input_pipeline import records

Columns = Mapping[str, Sequence[float | str | None]]
"""Name -> a value of each photograph: numbers or categories, None where not known."""

FOLDS = 5

_MOST_CATEGORIES = 200  # The boosted trees take up to 255.


@dataclasses.dataclass(frozen=True)
class Score:
    """How well metadata tell a binary label.

    Attributes:
        auc: Area under the ROC curve of out-of-fold predictions, 0-1; 0.5 is chance.
            None where there are too few labels for folds.
        low: Lower end of its 95 % interval (Hanley and McNeil, 1982), or None where
            nothing was estimated.
        high: Upper end.
        by_column: Name -> the area by that column alone, of those that vary.
        reason: Why nothing was estimated, a sentence, or None.
    """

    auc: float | None
    low: float | None
    high: float | None
    by_column: Mapping[str, float]
    reason: str | None


def columns(collection: "records.Collection", ids: Sequence[str]) -> Columns:
    """What is known of photographs beside their pixels.

    Args:
        collection: Prepared photographs.
        ids: Those to describe.

    Returns:
        Width and height in pixels, their ratio, file type, camera and dataset.
    """
    entries = [collection.entries[one] for one in ids]
    return {
        "width": [one["width"] for one in entries],
        "height": [one["height"] for one in entries],
        "aspect": [one["width"] / one["height"] for one in entries],
        "format": [one["format"] for one in entries],
        "camera": [one["camera"] for one in entries],
        "dataset": [collection.photograph(one).origin for one in ids],
    }


def score(known: Columns, labels: np.ndarray, groups: Sequence[str]) -> Score:
    """Scores metadata by cross-validation.

    Args:
        known: Metadata, a value of each photograph in each column.
        labels: Array of shape `(n,)`, 0 or 1.
        groups: Name of each photograph's group; photographs of one group, such as one
            patient's, are never on both sides of a fold.

    Returns:
        The score; 0.5 by definition where no column varies.
    """
    labels, groups = np.asarray(labels).astype(int), np.asarray(groups)
    folds = _folds(labels, groups)
    if not folds:
        reason = "Each label must be seen in at least two groups."
        return Score(None, None, None, {}, reason)
    known = _varying(known)
    if not known:
        reason = "All photographs have the same metadata."
        return Score(0.5, None, None, {}, reason)
    by_column = {
        name: _out_of_fold_auc({name: values}, labels, folds)
        for name, values in known.items()
    }
    auc = _out_of_fold_auc(known, labels, folds)
    half = 1.96 * _standard_error(auc, labels.sum(), len(labels) - labels.sum())
    return Score(auc, max(0.0, auc - half), min(1.0, auc + half), by_column, None)


def fit_predict(
    known: Columns, labels: np.ndarray, others: Columns, num_classes: int
) -> np.ndarray:
    """Learns labels from metadata and predicts those of other photographs.

    Args:
        known: Metadata of the photographs to learn from.
        labels: Their classes, array of shape `(n,)`, 0 to `num_classes - 1`.
        others: Metadata of those to predict, in the same columns.
        num_classes: How many classes there are.

    Returns:
        float64 array of shape `(n of others, num_classes)`, 0-1, each row of sum 1.
    """
    counts = np.bincount(labels, minlength=num_classes)
    count = len(next(iter(others.values())))
    probabilities = np.tile(counts / counts.sum(), (count, 1))
    known = _varying(known)
    if not known or counts.max() == len(labels):
        return probabilities  # The classes' shares: nothing tells them apart.
    categories = _categories(known)
    # Few and small trees: a shortcut worth the name needs no more.
    model = ensemble.HistGradientBoostingClassifier(
        max_iter=50,
        max_leaf_nodes=8,
        categorical_features=[name in categories for name in known],
        early_stopping=False,
        random_state=0,
    )
    features = _features({name: others[name] for name in known}, categories)
    # Threads that wait for each other cost more than such trees.
    with threadpoolctl.threadpool_limits(1, "openmp"):
        model.fit(_features(known, categories), labels)
        probabilities[:, model.classes_] = model.predict_proba(features)
    return probabilities


def _varying(known: Columns) -> Columns:
    return {name: values for name, values in known.items() if len(set(values)) > 1}


def _categories(known: Columns) -> dict[str, dict[str, int]]:
    """Column of text -> number of each of its values, the most frequent first."""
    numbers = {}
    for name, values in known.items():
        texts = [one for one in values if isinstance(one, str)]
        if texts:
            most = collections.Counter(texts).most_common(_MOST_CATEGORIES)
            numbers[name] = {text: number for number, (text, _) in enumerate(most)}
    return numbers


def _features(
    known: Columns, categories: Mapping[str, Mapping[str, int]]
) -> np.ndarray:
    """float64 of shape `(n, columns)`; NaN where a value or category is not known."""
    features = []
    for name, values in known.items():
        if name in categories:
            values = [categories[name].get(one) for one in values]
        # A text where none was learnt says nothing either.
        values = [None if isinstance(one, str) else one for one in values]
        features.append(np.array(values, np.float64))
    return np.stack(features, axis=1)


def _folds(
    labels: np.ndarray, groups: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and the rest, for each fold whose rest has both labels."""
    count = min(FOLDS, *(len(set(groups[labels == label])) for label in (0, 1)))
    if count < 2:
        return []
    splitter = model_selection.StratifiedGroupKFold(count, shuffle=True, random_state=0)
    folds = splitter.split(labels[:, None], labels, groups)
    return [fold for fold in folds if len(set(labels[fold[1]])) == 2]


def _out_of_fold_auc(
    known: Columns,
    labels: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
) -> float:
    """Mean of the folds' areas, by how many pairs of a sick and a healthy one each has.

    Pooled over folds, chance would score below 0.5: a fold with more sick ones leaves
    fewer to learn from, and its predictions are lower.
    """
    areas, pairs = [], []
    for learn, rest in folds:
        predicted = fit_predict(
            _rows(known, learn), labels[learn], _rows(known, rest), num_classes=2
        )
        areas.append(metrics.roc_auc_score(labels[rest], predicted[:, 1]))
        positive = labels[rest].sum()
        pairs.append(positive * (len(rest) - positive))
    return float(np.average(areas, weights=pairs))


def _rows(known: Columns, rows: np.ndarray) -> Columns:
    return {name: [values[row] for row in rows] for name, values in known.items()}


def _standard_error(auc: float, positive: int, negative: int) -> float:
    """Of an area under the curve, Hanley and McNeil (1982), equations 1 and 2."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc)
    variance += (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)
    return math.sqrt(max(variance, 0) / (positive * negative))
