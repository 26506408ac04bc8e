import numpy as np
import pytest
from scipy import stats

from evaluation import paired_tests
from input_pipeline import tasks
from tests.evaluation import drawn_runs
from train import averages, outcomes, winner

FOLDS = averages.Folds(3, of=5)

REPEATS = [
    {"split.fold": fold, "train.seed": seed}
    for fold in ("0", "1")
    for seed in ("0", "1")
]


def run_dirs(folder):
    return {number: folder / str(number) for number in range(4)}


def trial(number, *runs):
    return outcomes.Outcome(number, "done", value=float(np.mean(runs)), runs=runs)


def test_trials_of_several_seeds_are_compared_by_a_paired_t_test(tmp_path):
    best, other = [0.90, 0.92, 0.91, 0.95], [0.85, 0.90, 0.90, 0.88]
    (rival,) = winner.rivals(
        [trial(3, *best), trial(1, *other)], "auc", run_dirs(tmp_path)
    )
    test = stats.ttest_rel(other, best)
    assert (rival.number, rival.method) == (1, "Student's paired t, 4 seeds")
    assert rival.difference == pytest.approx(np.mean(other) - np.mean(best))
    assert rival.p == pytest.approx(test.pvalue)
    ends = test.confidence_interval(0.95)
    assert (rival.low, rival.high) == pytest.approx(ends)


def test_seeds_of_one_fold_are_no_folds_of_their_own(tmp_path):
    # Three folds of two seeds: what tells is three means, not six runs.
    best = [0.90, 0.92, 0.91, 0.95, 0.88, 0.90]
    other = [0.85, 0.90, 0.90, 0.88, 0.80, 0.86]
    (rival,) = winner.rivals(
        [trial(0, *best), trial(1, *other)], "auc", run_dirs(tmp_path), FOLDS
    )
    differences = [-0.035, -0.04, -0.06]
    mean = np.mean(differences)
    error = np.std(differences, ddof=1) * np.sqrt(1 / 3 + 1 / 4)
    assert rival.method == "Student's paired t, 3 folds"
    assert rival.p == pytest.approx(2 * stats.t.sf(-mean / error, 2))
    assert rival.high == pytest.approx(mean + error * stats.t.ppf(0.975, 2))


@pytest.mark.parametrize(
    ("folds", "text"),
    [
        (None, "more than chance between seeds; whether more than between other photo"),
        (FOLDS, "more than chance."),
    ],
)
def test_how_far_a_difference_over_runs_reaches(tmp_path, folds, text):
    ranked = [trial(0, 0.90, 0.92, 0.91), trial(1, 0.7, 0.71, 0.72)]
    found = winner.rivals(ranked, "auc", run_dirs(tmp_path), folds)
    doubtful, said = winner.verdict(ranked, found, "auc")
    assert not doubtful
    assert text in said


def test_p_values_are_corrected_for_all_rivals(tmp_path):
    best = trial(0, 0.90, 0.92, 0.91)
    found = winner.rivals(
        [best, trial(1, 0.89, 0.90, 0.90), trial(2, 0.7, 0.75, 0.74)],
        "auc",
        run_dirs(tmp_path),
    )
    assert [one.p_holm for one in found] == pytest.approx(
        paired_tests.holm([one.p for one in found])
    )


def write(folder, number, skill, seed):
    path = folder / str(number)
    drawn_runs.write_run(path, skill=skill, seed=seed, split="valid")
    names = tasks.referable().class_names
    return drawn_runs.predictions.read_csv(path / "predictions.csv", names)["valid"]


def test_trials_of_one_run_are_compared_on_the_same_photographs(tmp_path):
    said = [write(tmp_path, 0, 3.0, 0), write(tmp_path, 1, 0.5, 1)]
    diseased = said[0].labels == 1
    scores = [one.probabilities[:, 1] for one in said]
    difference, low, high, p = paired_tests.delong_test(diseased, *scores)
    ranked = [trial(0, 0.9), trial(1, 0.9 - difference)]
    (rival,) = winner.rivals(ranked, "auc", run_dirs(tmp_path))
    assert rival.method == "DeLong"
    assert (rival.low, rival.high, rival.p) == pytest.approx((-high, -low, p))
    assert rival.distinguishable
    doubtful, text = winner.verdict(ranked, [rival], "auc")
    assert not doubtful
    assert f"The next, trial 1, is {difference:.4f} AUC away" in text
    assert "more than chance on these photographs; whether more than between" in text


def test_a_winner_that_is_not_told_from_the_next_is_a_warning(tmp_path):
    for number in range(3):
        write(tmp_path, number, 1.5, number)
    ranked = [trial(0, 0.8), trial(1, 0.79), trial(2, 0.78)]
    found = winner.rivals(ranked, "auc", run_dirs(tmp_path))
    doubtful, text = winner.verdict(ranked, found, "auc")
    assert doubtful
    assert text.startswith(
        "Trial 0 has the best AUC, 0.8000. The next, trial 1, is 0.0"
    )
    assert "are not distinguishable. Nor is the best distinguishable from trial 2" in (
        text
    )


def test_a_trial_of_another_machine_cannot_be_compared(tmp_path):
    write(tmp_path, 0, 1.5, 0)
    ranked = [trial(0, 0.8), trial(1, 0.7)]
    (rival,) = winner.rivals(ranked, "auc", run_dirs(tmp_path))
    assert (rival.p, rival.distinguishable) == (None, None)
    doubtful, text = winner.verdict(ranked, [rival], "auc")
    assert doubtful
    assert text.endswith(
        "is 0.1000 AUC away: whether that is more than chance cannot be said, as trial "
        "1 is on another machine."
    )


def test_a_trial_alone_has_nobody_to_be_told_from():
    assert winner.verdict([trial(0, 0.8)], [], "auc") == (
        (False, "Trial 0 has the best AUC, 0.8000; no other is done.")
    )


def test_the_noise_is_that_of_seeds_within_a_trial_and_a_fold():
    every = [trial(0, 0.90, 0.92, 0.80, 0.83), trial(1, 0.7, 0.7, 0.6, 0.65)]
    pairs = [(0.90, 0.92), (0.80, 0.83), (0.7, 0.7), (0.6, 0.65)]
    found = winner.noise(every, REPEATS)
    assert found == paired_tests.noise_floor(pairs)
    # By hand: squares of half differences, twice, over four degrees of freedom.
    squares = sum((a - b) ** 2 / 2 for a, b in pairs)
    assert found.deviation == pytest.approx(np.sqrt(2 * squares / 4))
    text = winner.say_noise(found, "auc", REPEATS)
    assert f"{found.deviation:.4f} AUC (standard deviation, from 8 runs)" in text
    assert f"means of 4 runs by {found.deviation / 2:.4f}." in text


@pytest.mark.parametrize("repeats", [[{}], REPEATS[::2]])
def test_without_seeds_the_noise_is_not_known(repeats):
    found = winner.noise([trial(0, *[0.5] * len(repeats))], repeats)
    assert found is None
    assert winner.say_noise(found, "auc", repeats).startswith("Noise floor: not known")


def test_what_is_alike_and_what_is_not_known_are_told_apart():
    best = trial(0, 0.9)
    told = winner.Rival(1, -0.1, -0.15, -0.05, 0.001, "DeLong", p_holm=0.004)
    alike = winner.Rival(2, -0.2, -0.45, 0.05, 0.1, "DeLong", p_holm=0.2)
    unknown = winner.Rival(3, -0.3, reason="trial 3 is on another machine")
    ranked = [best, trial(1, 0.8), trial(2, 0.7), trial(3, 0.6)]
    doubtful, text = winner.verdict(ranked, [told, alike, unknown], "auc")
    assert doubtful
    assert "0.1000 AUC away (95 % interval 0.0500 to 0.1500, DeLong, p corr" in text
    assert text.endswith(
        "The best is not distinguishable from trial 2. Not compared: trial 3."
    )
    doubtful, text = winner.verdict(ranked[:2], [told], "auc")
    assert not doubtful


@pytest.mark.parametrize(
    ("objective", "rival"),
    [
        ("auc", winner.Rival(1, -0.1, -0.25, 0.5, 0.3, "bootstrap", p_holm=0.3)),
        ("brier", winner.Rival(1, 0.1, -0.5, 0.25, 0.3, "bootstrap", p_holm=0.3)),
    ],
)
def test_the_interval_is_that_of_the_winners_advantage(objective, rival):
    _, text = winner.verdict([trial(0, 0.5), trial(1, 0.4)], [rival], objective)
    assert "away (95 % interval -0.5000 to 0.2500, bootstrap" in text
