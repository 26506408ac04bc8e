"""Classification metrics, each one a number or undefined for a stated reason.

Every metric is read from one of two tables of counts: the confusion matrix, or the
score table (how many healthy and how many diseased photographs have each score). Both
take leading axes, so a bootstrap computes all of its resamples in one call; of such a
stack, those tables that leave a metric undefined give NaN.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

# Rounding of float32 softmax stays below 1e-6; logits and percentages are far off.
SUM_TOLERANCE = 1e-4


class UndefinedMetricError(ValueError):
    """The photographs at hand leave a metric undefined; the text is the reason.

    Of a stack of tables it is raised where none of them defines the metric.
    """


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure, or the reason why there is none.

    Attributes:
        value: The figure; `None` where it is undefined.
        n: How many photographs it is counted on.
        reason: Why `value` is `None`.
    """

    value: float | None
    n: int
    reason: str | None = None


def score(
    labels: np.ndarray, probabilities: np.ndarray, disease_classes: tuple[int, ...]
) -> dict[str, Metric]:
    """Scores predictions by the metrics that training follows, in milliseconds.

    `scoring.Scorer` has the full list.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        probabilities: float array of shape `(n, num_classes)`, 0-1, rows summing to 1.
            The predicted class is the most probable one, the lowest among equals.
        disease_classes: The classes that mean disease: `(1,)` for a binary task,
            `(2, 3, 4)` for referable disease from five grades.

    Returns:
        Metrics by name, in the order in which a table shows them.

    Raises:
        ValueError: If the arguments do not fit together.
    """
    labels, probabilities = check_predictions(labels, probabilities, disease_classes)
    num_classes = probabilities.shape[1]
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), num_classes)
    diseased = np.isin(labels, disease_classes)
    levels, ranks = np.unique(
        disease_probability(probabilities, disease_classes), return_inverse=True
    )
    table = score_table(diseased, ranks, len(levels))

    n, n_diseased = len(labels), int(diseased.sum())
    return {
        "accuracy": _measure(n, accuracy, matrix),
        "balanced_accuracy": _measure(n, balanced_accuracy, matrix),
        "sensitivity": _measure(n_diseased, sensitivity, matrix, disease_classes),
        "specificity": _measure(n - n_diseased, specificity, matrix, disease_classes),
        "auc": _measure(n, auc, table),
        "quadratic_kappa": _measure(n, quadratic_kappa, matrix),
    }


def check_predictions(
    labels: np.ndarray, probabilities: np.ndarray, disease_classes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Refuses labels and probabilities that cannot be scored together.

    Args:
        labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
        probabilities: float array of shape `(n, num_classes)`, 0-1, rows summing to 1.
        disease_classes: The classes that mean disease.

    Returns:
        The same labels as int64 and the same probabilities as float64.

    Raises:
        ValueError: If a shape, a type or a value is not as described.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(
            "`probabilities` must have shape `(n, num_classes)` with at least two "
            f"classes. Received: shape={probabilities.shape}. For one probability `p` "
            "of disease pass the two columns `1 - p` and `p`."
        )
    if labels.shape != probabilities.shape[:1]:
        raise ValueError(
            "`labels` must have shape `(n,)`, one label for each row of "
            f"`probabilities`. Received: labels of shape {labels.shape}, probabilities "
            f"of shape {probabilities.shape}. Pass class numbers, not one-hot rows."
        )
    num_classes = probabilities.shape[1]
    if labels.size and labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be integers. Received: dtype={labels.dtype}. Photographs "
            "without a label cannot be scored; leave them out."
        )
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        raise ValueError(
            f"`labels` must be from 0 to {num_classes - 1}, one for each column of "
            f"`probabilities`. Received: label {labels[outside[0]]} in row "
            f"{outside[0]} ({outside.size} such rows). Score with the task that the "
            "model was trained on, and leave unlabelled photographs out."
        )
    probabilities = probabilities.astype(np.float64)
    _check_distributions(probabilities)
    _check_disease_classes(disease_classes, num_classes)
    return labels.astype(np.int64), probabilities


def disease_probability(
    probabilities: np.ndarray, disease_classes: tuple[int, ...]
) -> np.ndarray:
    """Sums the probabilities of the disease classes.

    Args:
        probabilities: float array of shape `(n, num_classes)`, 0-1.
        disease_classes: The classes that mean disease.

    Returns:
        Float array of shape `(n,)`, 0-1.
    """
    return probabilities[:, list(disease_classes)].sum(axis=1)


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> np.ndarray:
    """Counts photographs by true and predicted class.

    Args:
        labels: int array of shape `(..., n)`, 0 to `num_classes - 1`.
        predictions: int array of a shape that broadcasts with `labels`, same range.
        num_classes: The number of classes.

    Returns:
        int64 array of shape `(..., num_classes, num_classes)`; rows are the truth,
        columns the predictions.

    Raises:
        ValueError: If a label or a prediction is out of range.
    """
    return _cross_table(labels, predictions, num_classes, num_classes)


def only_class(matrix: np.ndarray) -> int | None:
    """The class of all predictions, if there is one although there are several labels.

    Args:
        matrix: int array of shape `(num_classes, num_classes)`, as `confusion_matrix`
            returns it.

    Returns:
        The class, or None.
    """
    (predicted,) = np.nonzero(matrix.sum(axis=0))
    several = np.count_nonzero(matrix.sum(axis=1)) > 1
    return int(predicted[0]) if several and len(predicted) == 1 else None


def score_table(diseased: np.ndarray, ranks: np.ndarray, num_ranks: int) -> np.ndarray:
    """Counts healthy and diseased photographs by the rank of their score.

    Args:
        diseased: bool array of shape `(..., n)`.
        ranks: int array of a shape that broadcasts with `diseased`, 0 to
            `num_ranks - 1`, rising with the score and equal for equal scores:
            `np.unique(scores, return_inverse=True)[1]`.
        num_ranks: The number of different scores.

    Returns:
        int64 array of shape `(..., 2, num_ranks)`; first row healthy, second diseased.

    Raises:
        ValueError: If a rank is out of range.
    """
    return _cross_table(diseased, ranks, 2, num_ranks)


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """Share of photographs whose predicted class is the true one.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If there is no photograph.
    """
    total = matrix.sum(axis=(-2, -1))
    return share(_diagonal(matrix).sum(axis=-1), total, "no photograph")


def balanced_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that are present.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If there is no photograph.
    """
    support = matrix.sum(axis=-1)
    present = (support > 0).sum(axis=-1)
    recalls = _diagonal(matrix) / np.maximum(support, 1)
    return share(recalls.sum(axis=-1), present, "no photograph")


def recall(matrix: np.ndarray, number: int) -> np.ndarray:
    """Share of the photographs of one class that are predicted as it.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it.
        number: The class.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If no photograph is of that class.
    """
    row = matrix[..., number, :]
    return share(row[..., number], row.sum(axis=-1), "no photograph of this class")


def macro_f1(matrix: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that are present or predicted.

    A class that is present but never rightly predicted counts as 0.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If there is no photograph.
    """
    either = matrix.sum(axis=-1) + matrix.sum(axis=-2)
    counted = (either > 0).sum(axis=-1)
    scores = 2 * _diagonal(matrix) / np.maximum(either, 1)
    return share(scores.sum(axis=-1), counted, "no photograph")


def off_by_one(matrix: np.ndarray) -> np.ndarray:
    """Share of photographs whose predicted class is exactly one step from the true one.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it, of classes that have an order.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If there is no photograph.
    """
    beside = _diagonal(matrix, 1).sum(axis=-1) + _diagonal(matrix, -1).sum(axis=-1)
    return share(beside, matrix.sum(axis=(-2, -1)), "no photograph")


def sensitivity(matrix: np.ndarray, disease_classes: tuple[int, ...]) -> np.ndarray:
    """Share of the diseased photographs that are predicted as a disease class.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it.
        disease_classes: The classes that mean disease.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If no photograph is of a disease class.
    """
    return _share_kept(matrix, disease_classes, "no photograph with the disease")


def specificity(matrix: np.ndarray, disease_classes: tuple[int, ...]) -> np.ndarray:
    """Share of the healthy photographs that are predicted as a healthy class.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it.
        disease_classes: The classes that mean disease.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If every photograph is of a disease class.
    """
    healthy = tuple(c for c in range(matrix.shape[-1]) if c not in disease_classes)
    return _share_kept(matrix, healthy, "no photograph without the disease")


def auc(table: np.ndarray) -> np.ndarray:
    """Area under the ROC curve.

    It is the share of (healthy, diseased) pairs in which the diseased photograph has
    the higher score, ties counting half: the Mann-Whitney U statistic of averaged ranks
    over the number of pairs (Hanley and McNeil, 1982).

    Args:
        table: int array of shape `(..., 2, num_ranks)`, as `score_table` returns it.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If there is no healthy or no diseased photograph.
    """
    healthy, diseased = table[..., 0, :], table[..., 1, :]
    n_healthy, n_diseased = healthy.sum(axis=-1), diseased.sum(axis=-1)
    _require(n_diseased > 0, "no photograph with the disease")
    _require(n_healthy > 0, "no photograph without the disease")
    half_wins = diseased * (2 * np.cumsum(healthy, axis=-1) - healthy)
    pairs = n_healthy * n_diseased
    return share(half_wins.sum(axis=-1), 2 * pairs, "no photograph of either kind")


def average_precision(table: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve, as average precision.

    The mean, over the diseased photographs, of the PPV at the threshold that just
    takes them in: a sum of steps, since joining the points by straight lines is too
    hopeful (Davis and Goadrich, 2006). A chance predictor scores the share of diseased
    photographs, so it compares only where that share is the same.

    Args:
        table: int array of shape `(..., 2, num_ranks)`, as `score_table` returns it.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If there is no healthy or no diseased photograph.
    """
    n_healthy, n_diseased = np.moveaxis(table.sum(axis=-1), -1, 0)
    _require(n_diseased > 0, "no photograph with the disease")
    _require(n_healthy > 0, "no photograph without the disease")
    # Thresholds fall from the highest score, so counts add up from the end.
    diseased = table[..., 1, ::-1]
    healthy_so_far = np.cumsum(table[..., 0, ::-1], axis=-1)
    diseased_so_far = np.cumsum(diseased, axis=-1)
    said_diseased = np.maximum(healthy_so_far + diseased_so_far, 1)
    total = (diseased * diseased_so_far / said_diseased).sum(axis=-1)
    defined = n_diseased * (n_healthy > 0)
    return share(total, defined, "no photograph of either kind")


def quadratic_kappa(matrix: np.ndarray) -> np.ndarray:
    """Agreement beyond chance, a miss costing its distance squared.

    Weighted kappa (Cohen, 1968) with the weights `(i - j) ** 2`; for two classes it is
    Cohen's plain kappa. With one true class it is 0 whatever is predicted, which says
    nothing about the predictions, so there it counts as undefined.

    Args:
        matrix: int array of shape `(..., num_classes, num_classes)`, as
            `confusion_matrix` returns it.

    Returns:
        float64 array of shape `(...)`, -1 to 1.

    Raises:
        UndefinedMetricError: If the photographs are of fewer than two classes.
    """
    truth, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    present = (truth > 0).sum(axis=-1)
    _require(present > 0, "no photograph")
    _require(present > 1, "photographs of one class only")
    classes = np.arange(matrix.shape[-1])
    weights = (classes[:, None] - classes) ** 2
    observed = (weights * matrix).sum(axis=(-2, -1))
    expected = ((truth @ weights) * predicted).sum(axis=-1)
    observed *= truth.sum(axis=-1)
    defined = expected * (present > 1)
    return 1 - share(observed, defined, "photographs of one class only")


def ppv_at_prevalence(
    sensitivity: np.ndarray, specificity: np.ndarray, prevalence: float
) -> np.ndarray:
    """Share of the diseased among those called diseased, by Bayes' rule.

    Args:
        sensitivity: float array of shape `(...)`, 0-1.
        specificity: float array of shape `(...)`, 0-1.
        prevalence: Share of the diseased among those examined, 0-1 exclusive.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If nobody is called diseased.
    """
    hits, alarms = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
    return share(hits, hits + alarms, "no photograph called diseased")


def npv_at_prevalence(
    sensitivity: np.ndarray, specificity: np.ndarray, prevalence: float
) -> np.ndarray:
    """Share of the healthy among those called healthy, by Bayes' rule.

    Args:
        sensitivity: float array of shape `(...)`, 0-1.
        specificity: float array of shape `(...)`, 0-1.
        prevalence: Share of the diseased among those examined, 0-1 exclusive.

    Returns:
        float64 array of shape `(...)`, 0-1.

    Raises:
        UndefinedMetricError: If nobody is called healthy.
    """
    rests, misses = (1 - prevalence) * specificity, prevalence * (1 - sensitivity)
    return share(rests, rests + misses, "no photograph called healthy")


def share(part: np.ndarray, whole: np.ndarray, reason: str) -> np.ndarray:
    """Divides, NaN where the whole is 0.

    Args:
        part: float or int array of shape `(...)`.
        whole: float or int array of the same shape, at least 0.
        reason: What to say if the whole is 0 everywhere.

    Returns:
        float64 array of shape `(...)`.

    Raises:
        UndefinedMetricError: If the whole is 0 everywhere.
    """
    whole = np.asarray(whole)
    _require(whole > 0, reason)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _measure(n: int, function: Callable[..., np.ndarray], *args) -> Metric:
    try:
        return Metric(float(function(*args)), n)
    except UndefinedMetricError as error:
        return Metric(None, n, str(error))


def _require(condition: np.ndarray, reason: str) -> None:
    if not np.any(condition):
        raise UndefinedMetricError(reason)


def _cross_table(
    rows: np.ndarray, columns: np.ndarray, num_rows: int, num_columns: int
) -> np.ndarray:
    """Counts (row, column) pairs over the last axis by one `bincount`."""
    cells = _numbers(rows, num_rows) * num_columns + _numbers(columns, num_columns)
    tables, size = cells.shape[:-1], num_rows * num_columns
    num_tables = int(np.prod(tables))
    cells = cells + (np.arange(num_tables) * size).reshape(*tables, 1)
    counts = np.bincount(cells.ravel(), minlength=num_tables * size)
    return counts.reshape(*tables, num_rows, num_columns)


def _numbers(values: np.ndarray, end: int) -> np.ndarray:
    """Checks 0 <= values < end; int64, since small types overflow when multiplied."""
    values = np.asarray(values)
    if values.size and values.dtype.kind not in "biu":
        raise ValueError(
            f"Class numbers and ranks must be integers. Received: dtype={values.dtype}."
        )
    if values.size and not 0 <= values.min() <= values.max() < end:
        raise ValueError(
            f"Class numbers and ranks must be from 0 to {end - 1}. Received: "
            f"{values.min()} to {values.max()}."
        )
    return values.astype(np.int64, copy=False)


def _share_kept(
    matrix: np.ndarray, classes: tuple[int, ...], reason: str
) -> np.ndarray:
    """Share of the photographs of `classes` that are predicted as one of them."""
    rows = matrix[..., list(classes), :]
    kept = rows[..., list(classes)].sum(axis=(-2, -1))
    return share(kept, rows.sum(axis=(-2, -1)), reason)


def _diagonal(matrix: np.ndarray, offset: int = 0) -> np.ndarray:
    return np.diagonal(matrix, offset, axis1=-2, axis2=-1)


def _check_distributions(probabilities: np.ndarray) -> None:
    """Refuses rows that are not finite, leave 0-1 or do not sum to 1."""
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        number = np.flatnonzero(~finite)[0]
        raise ValueError(
            "`probabilities` must be finite. Received: "
            f"{probabilities[number].tolist()} in row {number} ({(~finite).sum()} such "
            "rows). The training that made them has diverged, or the file that holds "
            "them is damaged."
        )
    sums = probabilities.sum(axis=1)
    # Ordinal outputs take differences, so rounding can leave 0-1 on either side.
    inside = np.abs(probabilities - 0.5).max(axis=1) <= 0.5 + SUM_TOLERANCE
    right = inside & (np.abs(sums - 1) <= SUM_TOLERANCE)
    if not right.all():
        number = np.flatnonzero(~right)[0]
        raise ValueError(
            "`probabilities` must be from 0 to 1 and each row must sum to 1 within "
            f"{SUM_TOLERANCE}. Received: {probabilities[number].tolist()} in row "
            f"{number}, sum {sums[number]:.6g} ({(~right).sum()} such rows). Logits "
            "must go through the output first."
        )


def _check_disease_classes(disease_classes: tuple[int, ...], num_classes: int) -> None:
    known = set(range(num_classes))
    chosen = set(disease_classes)
    if not chosen or not chosen < known or len(chosen) < len(disease_classes):
        raise ValueError(
            "`disease_classes` must name some but not all of the classes 0 to "
            f"{num_classes - 1}, each once. Received: "
            f"disease_classes={disease_classes!r}."
        )
