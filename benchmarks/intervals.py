"""Speed of all metrics with their intervals, against a loop over scikit-learn.

    python benchmarks/intervals.py

The loop computes the same metrics on each resample by scikit-learn's functions, on a
few resamples, and its time is multiplied up to as many as the others have.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import sklearn.metrics

from evaluation import intervals

RESAMPLES = 2000
LOOP_RESAMPLES = 20
DISEASE = (2, 3, 4)


def main() -> None:
    """Prints a table."""
    head = f"{'photographs':>11} {'independent':>12} {'two a patient':>14}"
    print(f"{RESAMPLES} resamples, five grades, all metrics")
    print(f"{head} {'scikit-learn loop':>18}")
    for n in (500, 5_000, 50_000):
        labels, probabilities = predictions(n)
        independent = seconds(labels, probabilities, None)
        patients = seconds(labels, probabilities, [str(i // 2) for i in range(n)])
        loop = loop_seconds(labels, probabilities)
        print(f"{n:11,} {independent:10.2f} s {patients:12.2f} s {loop:16.0f} s")


def predictions(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that agree in part, no two scores equal."""
    generator = np.random.default_rng(0)
    labels = generator.choice(5, size=n, p=(0.6, 0.1, 0.2, 0.06, 0.04))
    distance = np.abs(np.arange(5) - labels[:, None])
    weights = np.exp(generator.normal(size=(n, 5)) - distance)
    return labels, weights / weights.sum(axis=1, keepdims=True)


def seconds(labels, probabilities, groups) -> float:
    """Wall time of every metric with its interval."""
    start = time.perf_counter()
    intervals.score_with_intervals(
        labels,
        probabilities,
        DISEASE,
        groups=groups,
        prevalence=0.1,
        resamples=RESAMPLES,
    )
    return time.perf_counter() - start


def loop_seconds(labels, probabilities) -> float:
    """Wall time of the loop, from a few resamples."""
    generator = np.random.default_rng(0)
    strata = [np.flatnonzero(labels == c) for c in range(5)]
    start = time.perf_counter()
    for _ in range(LOOP_RESAMPLES):
        picked = np.concatenate([generator.choice(one, len(one)) for one in strata])
        score_by_scikit_learn(labels[picked], probabilities[picked])
    return (time.perf_counter() - start) * RESAMPLES / LOOP_RESAMPLES


def score_by_scikit_learn(labels, probabilities) -> None:
    """Computes the metrics that scikit-learn has."""
    predicted = probabilities.argmax(axis=1)
    diseased, said = labels >= 2, predicted >= 2
    disease = np.clip(probabilities[:, 2:].sum(axis=1), 0, 1)
    sklearn.metrics.accuracy_score(labels, predicted)
    sklearn.metrics.balanced_accuracy_score(labels, predicted)
    sklearn.metrics.f1_score(labels, predicted, average="macro")
    sklearn.metrics.cohen_kappa_score(labels, predicted, weights="quadratic")
    sklearn.metrics.recall_score(labels, predicted, average=None)
    sklearn.metrics.log_loss(labels, probabilities)
    for positive in (True, False):
        sklearn.metrics.recall_score(diseased, said, pos_label=positive)
        sklearn.metrics.precision_score(diseased, said, pos_label=positive)
    sklearn.metrics.roc_auc_score(diseased, disease)
    sklearn.metrics.average_precision_score(diseased, disease)
    sklearn.metrics.brier_score_loss(diseased, disease)
    sklearn.metrics.log_loss(diseased, disease)


if __name__ == "__main__":
    main()
