"""Cut points by likelihood against those searched for the best kappa, on new values.

    python benchmarks/cut_points.py

Values of a regression that squeezes the grades as networks do, of photographs with
IDRiD's shares of grades: cut points are chosen on as many as a fold or all folds have,
and scored on 20,000 others.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import sklearn.metrics
from scipy import optimize

from evaluation import cut_points
from models import outputs

SHARES = np.array([134, 20, 136, 74, 49]) / 413
MEANS = np.array([0.3, 0.9, 1.8, 2.6, 3.1])
SPREADS = np.array([0.5, 0.5, 0.55, 0.6, 0.6])
REPEATS = 20


def main() -> None:
    """Prints a table."""
    generator = np.random.default_rng(0)
    usual = outputs.Regression(5)
    others, values = drawn(generator, 20_000)
    rows = {"halfway": [usual.probabilities(values).argmax(axis=1)]}
    for n in (81, 405):
        for _ in range(REPEATS):
            chosen_on = drawn(generator, n)
            fitted = cut_points.fit(*chosen_on, usual.probabilities)
            cuts = np.array(fitted.cut_points)
            searched = search(*chosen_on, cuts)
            for name, predicted in {
                "likelihood, most probable": fitted.apply(values).argmax(axis=1),
                "likelihood, between cuts": np.searchsorted(cuts, values[:, 0]),
                "searched for kappa": np.searchsorted(searched, values[:, 0]),
            }.items():
                rows.setdefault(f"{name}, {n}", []).append(predicted)
    print(f"{'means of ' + str(REPEATS):32} {'kappa':>6} {'(sd)':>7} {'accuracy':>9}")
    for name, predictions in rows.items():
        kappas = [kappa(others, one) for one in predictions]
        accuracy = np.mean([np.mean(others == one) for one in predictions])
        spread = f"({np.std(kappas):.3f})"
        print(f"{name:32} {np.mean(kappas):6.3f} {spread} {accuracy:9.3f}")


def drawn(generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Grades and values of shape `(n, 1)`."""
    grades = generator.choice(5, n, p=SHARES)
    values = MEANS[grades] + SPREADS[grades] * generator.normal(size=n)
    return grades, values[:, np.newaxis]


def search(grades: np.ndarray, values: np.ndarray, start) -> np.ndarray:
    """Cut points with the best kappa on these values that a simplex finds."""

    def loss(cuts):
        return -kappa(grades, np.searchsorted(np.sort(cuts), values[:, 0]))

    return np.sort(optimize.minimize(loss, start, method="Nelder-Mead").x)


def kappa(grades: np.ndarray, predicted: np.ndarray) -> float:
    """Cohen's kappa with quadratic weights."""
    return sklearn.metrics.cohen_kappa_score(grades, predicted, weights="quadratic")


if __name__ == "__main__":
    main()
