"""How often the intervals of metrics hold the true value.

    python benchmarks/coverage.py

Data sets are drawn from a population whose true figures are known: photographs that
are independent, or two of each patient whose scores and labels are alike, by a middling
and by a nearly faultless model. Beside the intervals of `evaluation.intervals` stands
the bootstrap that is stratified by class, as the reason why it is not used.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np

from evaluation import intervals, resampling, scoring

NAMES = (
    "accuracy",
    "sensitivity",
    "ppv",
    "balanced_accuracy",
    "ppv_at_prevalence",
    "auc",
    "pr_auc",
    "brier",
    "quadratic_kappa",
    "macro_f1",
    "log_loss",
)
SIZES = (30, 100, 500)  # Photographs.
DATA_SETS = 300
MODELS = {"middling": 2.0, "near 1": 4.0}
POPULATION = 400_000
SETTINGS = {"threshold": 0.5, "prevalence": 0.1}
RESAMPLES = 200


def main() -> None:
    """Prints a table for each model, with and without repeated patients."""
    print("Share of data sets whose 95 % interval is there and holds the truth")
    for model, skill in MODELS.items():
        for repeats, text in ((1, "one photograph"), (2, "two photographs")):
            print(f"\n{f'{model}, {text} a patient':40}", end="")
            print("".join(f"{n:>15} photographs" for n in SIZES))
            print(f"{'metric':26}{'truth':>14}", end="")
            print(f"{'ours':>13}{'stratified':>14}" * len(SIZES))
            print_rows(skill, repeats)


def print_rows(skill: float, repeats: int) -> None:
    """A line for each metric: coverage of both methods by number of photographs."""
    population = draw(np.random.default_rng(0), POPULATION, skill, repeats)
    scores = scoring.Scorer(*population[:2], (1,), **SETTINGS).score()
    truth = {name: scores[name].value for name in NAMES}
    columns = [coverage(truth, n, skill, repeats) for n in SIZES]
    for name in NAMES:
        cells = "".join(
            f"{ours[name]:13.2f}{theirs[name]:14.2f}" for ours, theirs in columns
        )
        print(f"{name:26}{truth[name]:14.3f}{cells}", flush=True)


def coverage(truth, n: int, skill: float, repeats: int) -> tuple[dict, dict]:
    """Share of data sets whose interval holds the truth, ours and the stratified's."""
    generator = np.random.default_rng(n)
    held = {name: [] for name in NAMES}, {name: [] for name in NAMES}
    for seed in range(DATA_SETS):
        labels, probabilities, units = draw(generator, n, skill, repeats)
        ours = intervals.score_with_intervals(
            labels,
            probabilities,
            (1,),
            groups=[str(one) for one in units],
            resamples=RESAMPLES,
            seed=seed,
            **SETTINGS,
        )["metrics"]
        theirs = stratified(labels, probabilities, units, seed)
        for name, true in truth.items():
            ends = ours[name].get("low"), ours[name].get("high")
            for held_by, (low, high) in zip(held, (ends, theirs[name]), strict=True):
                held_by[name].append(low is not None and low <= true <= high)
    return tuple({name: np.mean(some[name]) for name in NAMES} for some in held)


def stratified(labels, probabilities, units, seed: int) -> dict[str, tuple]:
    """Percentiles of a bootstrap that holds the number of each class."""
    scorer = scoring.Scorer(labels, probabilities, (1,), **SETTINGS)
    drawn = resampling.weights(labels, units, resamples=RESAMPLES, seed=seed)
    parts = [scorer.values(weights, NAMES) for weights in drawn]
    found = {}
    for name in NAMES:
        values = np.concatenate([part[name] for part in parts])
        ends, _ = intervals.percentiles(values, 0.95)
        found[name] = ends or (None, None)
    return found


def draw(generator, n: int, skill: float, repeats: int):
    """Labels, 40 % of them 1, probabilities, and the patient of each photograph."""
    units = np.arange(n) // repeats

    def alike(share: float) -> np.ndarray:
        """Normal numbers that correlate by `share` within a patient."""
        share = share if repeats > 1 else 0.0
        of_patient, own = generator.normal(size=n), generator.normal(size=n)
        return share**0.5 * of_patient[units] + (1 - share) ** 0.5 * own

    labels = (alike(0.7) > 0.2533).astype(int)
    logits = skill * (skill * (labels - 0.5) + alike(0.5))
    disease = 1 / (1 + np.exp(-logits))
    return labels, np.stack([1 - disease, disease], axis=1), units


if __name__ == "__main__":
    main()
