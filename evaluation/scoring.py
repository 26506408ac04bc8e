"""Every figure of a set of predictions, for any weighting of its photographs.

Weights of one give the figures themselves; how often each photograph was drawn gives
a bootstrap; zeros leave photographs out. All figures of all weightings come from one
sparse product and one pass over the sorted scores.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from evaluation import metrics

CALIBRATION_BINS = 15
"""Equal bins of the calibration error, `[0, 1/15)` to `[14/15, 1]` (Guo et al., 2017,
use as many)."""

LOWER_IS_BETTER = (
    "brier",
    "log_loss",
    "calibration_error",
    "off_by_one",
    "class_brier",
    "class_log_loss",
    "class_calibration_error",
)

_RANGES = {
    "quadratic_kappa": (-1.0, 1.0),
    "log_loss": (0.0, np.inf),
    "class_log_loss": (0.0, np.inf),
    "class_brier": (0.0, 2.0),
}


def possible(figure: str) -> tuple[float, float]:
    """The lowest and the highest value that a figure can have, by its name."""
    return _RANGES.get(figure, (0.0, 1.0))


@dataclasses.dataclass(frozen=True)
class Mean:
    """A figure as a mean over photographs, which a score interval needs.

    Attributes:
        values: float array of shape `(n,)`, 0-1: right or wrong, or a squared error.
        among: bool array of shape `(n,)`, the photographs that it is a mean of.
        scale: The figure is this many times the mean.
    """

    values: np.ndarray
    among: np.ndarray
    scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure, before it is computed.

    Attributes:
        function: From `Tables` to a float array of shape `(rows,)`.
        n: How many photographs it is counted on.
        mean: What it is a mean of, if it is one of values from 0 to 1.
    """

    function: Callable[["Tables"], np.ndarray]
    n: int
    mean: Mean | None = None


class Scorer:
    """Figures of one set of predictions.

    Of the figures about classes the predicted class is the most probable one, the
    lowest among equals. Of the figures about the disease, whose probability is the sum
    over the disease classes, a photograph is called diseased where that probability is
    at least the threshold; without a threshold, where its predicted class is a disease
    class. Of two classes a threshold decides the predicted class as well.

    Besides the metrics of `evaluation.metrics` there are, of the disease, `brier` (mean
    squared error of its probability, 0-1), `log_loss` (mean negative log-likelihood)
    and `calibration_error`: the photographs are put into `CALIBRATION_BINS` equal bins
    of that probability, and the distance between mean probability and share of the
    diseased is averaged, weighted by the photographs in a bin (Naeini et al., 2015).
    Three or more classes, which must have an order, add `off_by_one`, `recall_<class>`
    and the same three with `class_` before them: Brier's score summed over the classes
    (0-2), the log loss of the true class, and the calibration error of the predicted
    class' probability against the share of right predictions (Guo et al., 2017).

    Attributes:
        labels: int64 array of shape `(n,)`.
        diseased: bool array of shape `(n,)`.
        disease_probability: float64 array of shape `(n,)`, 0-1.
        predicted: int64 array of shape `(n,)`, the predicted classes.
        said_diseased: bool array of shape `(n,)`.
        figures: `Figure` by name, in the order in which a table shows them.
    """

    def __init__(
        self,
        labels: np.ndarray,
        probabilities: np.ndarray,
        disease_classes: Sequence[int],
        *,
        threshold: float | None = None,
        prevalence: float | None = None,
    ):
        """Checks the predictions and prepares their figures.

        Args:
            labels: int array of shape `(n,)`, 0 to `num_classes - 1`.
            probabilities: float array of shape `(n, num_classes)`, 0-1, rows summing
                to 1.
            disease_classes: The classes that mean disease.
            threshold: Least probability of disease that is called diseased, 0-1.
            prevalence: Share of the diseased for which PPV and NPV are given besides
                those of the photographs at hand, 0-1 exclusive.

        Raises:
            ValueError: If the arguments are out of range or do not fit together.
        """
        _check_share("threshold", threshold, inclusive=True)
        _check_share("prevalence", prevalence, inclusive=False)
        labels, probabilities = metrics.check_predictions(
            labels, probabilities, disease_classes
        )
        self.labels = labels
        self.num_classes = probabilities.shape[1]
        self.disease_classes = tuple(int(c) for c in disease_classes)
        self.threshold = threshold
        self.prevalence = prevalence
        self.diseased = np.isin(labels, disease_classes)
        disease = metrics.disease_probability(probabilities, disease_classes)
        self.disease_probability = disease
        self.predicted = probabilities.argmax(axis=1)
        self.said_diseased = np.isin(self.predicted, disease_classes)
        if threshold is not None:
            # Rounding of ordinal outputs can fall below 0.
            self.said_diseased = np.clip(disease, 0, 1) >= threshold
            if self.num_classes == 2:
                ill = self.disease_classes[0]
                self.predicted = np.where(self.said_diseased, ill, 1 - ill)
        self._order = np.argsort(disease, kind="stable")
        ordered = disease[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-1.0) > 0)
        terms = self._linear_terms(probabilities)
        # Nearly all of it is 0. A dense product would also be at the mercy of BLAS
        # threads, which wait for each other for seconds on a busy machine.
        self._terms = sparse.csr_array(np.concatenate(list(terms.values())))
        ends = np.cumsum([len(one) for one in terms.values()])
        self._slices = {
            name: slice(end - len(one), end)
            for (name, one), end in zip(terms.items(), ends, strict=True)
        }
        self.figures = self._figures()

    def score(self) -> dict[str, metrics.Metric]:
        """The figures of the predictions as they are, by name."""
        tables = Tables(self, np.ones((1, len(self.labels))))
        results = {}
        for name, figure in self.figures.items():
            try:
                value = float(figure.function(tables)[0])
            except metrics.UndefinedMetricError as error:
                results[name] = metrics.Metric(None, figure.n, str(error))
            else:
                results[name] = metrics.Metric(value, figure.n)
        return results

    def values(
        self, weights: np.ndarray, names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Figures of weighted photographs.

        Args:
            weights: float64 array of shape `(rows, n)`, how often each photograph
                counts in each row: whole numbers, at least 0.
            names: Which figures.

        Returns:
            float64 arrays of shape `(rows,)` by name, NaN where a row leaves a figure
            undefined.
        """
        tables = Tables(self, weights)
        results = {}
        for name in names:
            try:
                results[name] = self.figures[name].function(tables)
            except metrics.UndefinedMetricError:
                results[name] = np.full(len(weights), np.nan)
        return results

    def gap_deviations(self, name: str, units: np.ndarray) -> np.ndarray:
        """How far chance alone moves each bin's share of a calibration error.

        Args:
            name: "calibration_error" or "class_calibration_error".
            units: int array of shape `(n,)`, from 0; photographs of equal number depend
                on each other.

        Returns:
            float64 array of standard deviations, of shape `(CALIBRATION_BINS,)`.
        """
        gaps = self._terms[self._slices[name]]
        cells = np.ones(len(units)), (np.arange(len(units)), units)
        of_units = (gaps @ sparse.csr_array(cells)).power(2)
        return np.sqrt(of_units.sum(axis=1)) / len(units)

    def class_matrix(self) -> np.ndarray:
        """Confusion matrix of the classes, `(num_classes, num_classes)`, rows truth."""
        return metrics.confusion_matrix(self.labels, self.predicted, self.num_classes)

    def disease_matrix(self) -> np.ndarray:
        """Counts `(2, 2)`: healthy, diseased (rows) by called healthy, diseased."""
        return metrics.confusion_matrix(self.diseased, self.said_diseased, 2)

    def _linear_terms(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """What each photograph adds to sums, `(sums, n)` by name."""
        disease = np.clip(self.disease_probability, 0, 1)
        probabilities = np.clip(probabilities, 0, 1)
        classes = np.arange(self.num_classes)
        truth = (self.labels[:, None] == classes).astype(np.float64)
        cells = self.labels * self.num_classes + self.predicted
        disease_cells = 2 * self.diseased + self.said_diseased
        of_truth = probabilities[truth.astype(bool)]
        of_disease = np.where(self.diseased, disease, 1 - disease)
        of_predicted = np.take_along_axis(probabilities, self.predicted[:, None], 1)
        terms = {
            "classes": cells[:, None] == np.arange(self.num_classes**2),
            "disease": disease_cells[:, None] == np.arange(4),
            "brier": (disease - self.diseased) ** 2,
            "log_loss": _surprise(of_disease),
            "calibration_error": _gaps(disease, self.diseased),
            "class_brier": ((probabilities - truth) ** 2).sum(axis=1),
            "class_log_loss": _surprise(of_truth),
            "class_calibration_error": _gaps(
                of_predicted[:, 0], self.predicted == self.labels
            ),
        }
        return {
            name: np.atleast_2d(values.T.astype(np.float64))
            for name, values in terms.items()
        }

    def _figures(self) -> dict[str, Figure]:
        n = len(self.labels)
        everybody = np.ones(n, bool)
        right = self.predicted == self.labels
        rightly_said = self.said_diseased == self.diseased

        def share(function, values, among=everybody, scale=1.0) -> Figure:
            mean = Mean(np.asarray(values, np.float64), among, scale)
            return Figure(function, int(among.sum()), mean)

        of_classes = {
            "accuracy": share(lambda t: metrics.accuracy(t.classes), right),
            "balanced_accuracy": Figure(
                lambda t: metrics.balanced_accuracy(t.classes), n
            ),
            "macro_f1": Figure(lambda t: metrics.macro_f1(t.classes), n),
            "quadratic_kappa": Figure(lambda t: metrics.quadratic_kappa(t.classes), n),
        }
        if self.num_classes > 2:
            of_classes["off_by_one"] = share(
                lambda t: metrics.off_by_one(t.classes),
                np.abs(self.predicted - self.labels) == 1,
            )
            for c in range(self.num_classes):
                of_classes[f"recall_{c}"] = share(
                    lambda t, c=c: metrics.recall(t.classes, c), right, self.labels == c
                )
            of_classes["class_brier"] = share(
                lambda t: t.mean("class_brier"),
                self._per_photograph("class_brier") / 2,
                scale=2.0,
            )
            for name in ("class_log_loss", "class_calibration_error"):
                of_classes[name] = Figure(lambda t, name=name: t.mean(name), n)
        of_disease = {
            "sensitivity": share(
                lambda t: metrics.sensitivity(t.disease, (1,)),
                rightly_said,
                self.diseased,
            ),
            "specificity": share(
                lambda t: metrics.specificity(t.disease, (1,)),
                rightly_said,
                ~self.diseased,
            ),
            "ppv": share(_ppv, rightly_said, self.said_diseased),
            "npv": share(_npv, rightly_said, ~self.said_diseased),
        }
        if self.prevalence is not None:
            for function in (metrics.ppv_at_prevalence, metrics.npv_at_prevalence):
                of_disease[function.__name__] = Figure(
                    lambda t, function=function: function(
                        metrics.sensitivity(t.disease, (1,)),
                        metrics.specificity(t.disease, (1,)),
                        self.prevalence,
                    ),
                    n,
                )
        return (
            of_classes
            | of_disease
            | {
                "auc": Figure(lambda t: metrics.auc(t.ranks), n),
                "pr_auc": Figure(lambda t: metrics.average_precision(t.ranks), n),
                "brier": share(
                    lambda t: t.mean("brier"), self._per_photograph("brier")
                ),
                "log_loss": Figure(lambda t: t.mean("log_loss"), n),
                "calibration_error": Figure(lambda t: t.mean("calibration_error"), n),
            }
        )

    def _per_photograph(self, name: str) -> np.ndarray:
        """What each photograph adds to a sum of one term, `(n,)`."""
        return self._terms[self._slices[name]].toarray()[0]


class Tables:
    """Counts and sums of weighted photographs, each made when first asked for."""

    def __init__(self, scorer: Scorer, weights: np.ndarray):
        self._scorer, self._weights = scorer, weights

    @functools.cached_property
    def _sums(self) -> np.ndarray:
        return (self._scorer._terms @ self._weights.T).T

    def _of(self, name: str) -> np.ndarray:
        return self._sums[:, self._scorer._slices[name]]

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """Confusion matrices of the classes, `(rows, num_classes, num_classes)`."""
        shape = (-1, self._scorer.num_classes, self._scorer.num_classes)
        return self._of("classes").reshape(shape)

    @functools.cached_property
    def disease(self) -> np.ndarray:
        """Counts `(rows, 2, 2)`: healthy, diseased by called healthy, diseased."""
        return self._of("disease").reshape(-1, 2, 2)

    @functools.cached_property
    def ranks(self) -> np.ndarray:
        """Counts `(rows, 2, num_ranks)` of healthy and diseased by rising score."""
        scorer = self._scorer
        ordered = np.take(self._weights, scorer._order, axis=1)
        diseased = ordered * scorer.diseased[scorer._order]
        table = np.stack([ordered - diseased, diseased], axis=1)
        if len(scorer._starts) == len(scorer.labels):
            return table
        return np.add.reduceat(table, scorer._starts, axis=-1)

    def mean(self, name: str) -> np.ndarray:
        """Sums over the weights, `(rows,)`, absolute values of several terms added."""
        total = np.abs(self._of(name)).sum(axis=1)
        return metrics.share(total, self._weights.sum(axis=1), "no photograph")


def calibration_bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each probability, in the calibration error and its diagram.

    Args:
        confidence: float array of shape `(n,)`, 0-1.

    Returns:
        int64 array of shape `(n,)`, 0 to `CALIBRATION_BINS - 1`.
    """
    bins = np.floor(np.clip(confidence, 0, 1) * CALIBRATION_BINS).astype(np.int64)
    return np.minimum(bins, CALIBRATION_BINS - 1)


def _gaps(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Confidence less outcome, in the column of its bin: `(n, CALIBRATION_BINS)`."""
    in_bin = calibration_bins(confidence)[:, None] == np.arange(CALIBRATION_BINS)
    return in_bin * (confidence - right)[:, None]


def _surprise(probability: np.ndarray) -> np.ndarray:
    """Negative logarithm; of 0 that of the smallest step from 1, as scikit-learn's."""
    return -np.log(np.maximum(probability, np.finfo(np.float64).eps))


def _ppv(tables: Tables) -> np.ndarray:
    said = tables.disease[:, :, 1]
    return metrics.share(said[:, 1], said.sum(axis=1), "no photograph called diseased")


def _npv(tables: Tables) -> np.ndarray:
    said = tables.disease[:, :, 0]
    return metrics.share(said[:, 0], said.sum(axis=1), "no photograph called healthy")


def _check_share(name: str, value: float | None, *, inclusive: bool) -> None:
    if value is None:
        return
    inside = 0 <= value <= 1 if inclusive else 0 < value < 1
    if not inside:
        ends = "from 0 to 1" if inclusive else "between 0 and 1, exclusive"
        raise ValueError(f"`{name}` must be {ends}. Received: {name}={value!r}.")
