"""The mode `compare`, from folders to what it writes."""

import hashlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics

from evaluation import compare
from input_pipeline import tasks
from tests.evaluation import drawn_runs

QUICK = {"resamples": 200}


@pytest.fixture
def runs(tmp_path):
    """A folder that draws runs: `runs(name={...})` -> their folders."""

    def write(**settings):
        return [
            drawn_runs.write_run(tmp_path / "runs" / name, **one)
            for name, one in settings.items()
        ]

    return write


def run(folders, **settings):
    """Compares: (text, comparison.json, its folder)."""
    text = compare.Comparer(**QUICK | settings).run(folders)
    (path,) = folders[0].glob("compare/*/comparison.json")
    return text, json.loads(path.read_text()), path.parent


def state(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def areas(*folders):
    """AUC of each folder's predictions, by scikit-learn from the CSV."""
    found = []
    for folder in folders:
        lines = (folder / "predictions.csv").read_text().splitlines()
        names, *rows = (line.split(",") for line in lines)
        label, score = names.index("label"), names.index("probability referable")
        found.append(
            sklearn.metrics.roc_auc_score(
                [int(row[label]) for row in rows], [float(row[score]) for row in rows]
            )
        )
    return found


def test_two_runs_are_compared_on_what_they_said(runs):
    a, b = runs(a={"skill": 3.0}, b={"skill": 0.3, "seed": 1})
    text, result, folder = run([a, b])
    first, second = areas(a, b)
    (question,) = result["questions"]
    (pair,) = question["pairs"]
    row = pair["differences"]["auc"]
    assert (row["first"], row["second"]) == pytest.approx((first, second))
    assert row["difference"] == pytest.approx(first - second)
    assert row["method"] == "DeLong" and row["p_holm"] < 0.05
    assert row["meaningful"] is None  # No seeds are repeated.
    assert pair["differences"]["balanced_accuracy"]["method"] == (
        "paired stratified bootstrap"
    )
    flat = " ".join(text.split())
    assert f"a is better than b by {first - second:.3f} AUC (95 % interval" in flat
    assert "whether more than between two seeds of one recipe is not known." in flat
    assert "No two of these runs differ in nothing but train.seed" in flat
    assert flat.startswith("60 photographs of 'test'. These are test photographs: ")
    assert text.endswith(f"Everything is in {folder}.")
    assert all(len(line) <= 80 for line in text.splitlines()[:-1])
    assert {path.name for path in folder.iterdir()} == {
        "comparison.html",
        "comparison.json",
        "differences.png",
        "roc.png",
        "values.png",
    }


def test_a_comparison_changes_nothing_of_the_runs_and_is_the_same_again(runs):
    a, b = runs(a={}, b={"seed": 1})
    before = state(a.parent)
    run([a, b])
    after = state(a.parent)
    assert {path: after[path] for path in before} == before
    run([a, b])
    assert state(a.parent) == after


def test_two_seeds_of_one_recipe_are_noise_and_tell_it_for_others(runs):
    def seed(number):
        return {"bindings": {"train.seed": str(number)}, "seed": number, "skill": 3.0}

    other = {"bindings": {"train.epochs": "3"}, "seed": 9, "skill": 0.2}
    folders = runs(a=seed(0), b=seed(1), c=seed(2), other=other)
    text, result, _ = run(folders)
    (question,) = result["questions"]
    assert question["repeats"] == [["a", "b", "c"]]
    deviation = 2**0.5 * np.std(areas(*folders[:3]), ddof=1)
    assert question["noise"]["auc"]["deviation"] == pytest.approx(deviation)
    meaningful = {
        (pair["first"], pair["second"]): pair["differences"]["auc"]["meaningful"]
        for pair in question["pairs"]
    }
    assert meaningful["a", "b"] is meaningful["a", "c"] is False
    assert meaningful["a", "other"] is True
    flat = " ".join(text.split())
    assert "nothing but their seed differs, so this is noise." in flat
    assert "Nothing but train.seed differs between a, b, c." in flat


def test_folds_of_one_recipe_are_no_repeats(runs):
    def fold(number):
        ids = drawn_runs.ids(20, "train")
        valid = ids[10 * number : 10 * number + 10]
        train = [one for one in ids if one not in valid]
        return {"train": train, "valid": valid, "seed": number}

    _, result, _ = run(runs(a=fold(0), b=fold(1)))
    assert result["questions"][0]["repeats"] == []


def test_five_grades_are_compared_with_two_classes(runs):
    grades = {"task": tasks.icdr_grades(), "label": int, "seed": 1}
    text, result, _ = run(runs(a={}, grades=grades))
    (question,) = result["questions"]
    assert (question["rule"], question["tasks"]) == (
        "grade >= 2",
        ["referable", "icdr_grades"],
    )
    assert (
        question["runs"]["grades"]["confusion_matrix"]
        == (question["runs"]["grades"]["disease_matrix"])
    )
    assert "answer it as two classes, disease or none" in " ".join(text.split())
    assert result["joint"] == []


def test_runs_of_five_grades_are_compared_by_their_classes(runs):
    grades = {"task": tasks.icdr_grades(), "label": int}
    text, result, folder = run(
        runs(a=grades, b=grades | {"seed": 1}), metrics=("quadratic_kappa", "auc")
    )
    (pair,) = result["questions"][0]["pairs"]
    assert set(pair["differences"]) == {"quadratic_kappa", "auc"}
    assert "Right about the class: both" in " ".join(text.split())
    assert folder.name == "b-metrics-quadratic_kappa-auc-resamples-200"


def test_grade_and_edema_give_joint_figures(runs):
    edema = {"task": tasks.macular_edema(), "label": lambda grade: min(grade, 2)}
    grades = {"task": tasks.icdr_grades(), "label": int, "seed": 1}
    text, result, folder = run(runs(grades=grades, edema=edema))
    (joint,) = result["joint"]
    assert (joint["first"], joint["second"]) == ("grades", "edema")
    share = f"{joint['value']:.3f} ({joint['low']:.3f} to {joint['high']:.3f})"
    expected = f"grades (icdr_grades) and edema (macular_edema) both right: {share}, "
    assert expected in " ".join(text.split())
    assert [len(one["pairs"]) for one in result["questions"]] == [0, 0]
    assert {path.name for path in folder.glob("*.png")} == {"roc_1.png", "roc_2.png"}


def test_patients_with_several_photographs_are_drawn_whole(runs):
    patients = [f"p{number // 2}" for number in range(60)]
    known = {"patient": patients}
    text, result, _ = run(runs(a=known, b=known | {"seed": 1}))
    (pair,) = result["questions"][0]["pairs"]
    for row in pair["differences"].values():
        assert row["method"] == "paired patient-wise stratified bootstrap"
    assert pair["mcnemar"]["p"] is None
    assert "without a test, since photographs of one patient" in " ".join(text.split())


def test_with_a_margin_each_run_is_judged_against_the_first(runs):
    drawn = {"good": {"skill": 3.0}, "poor": {"skill": 0.3, "seed": 1}}
    good, poor = runs(**drawn)
    first, second = areas(good, poor)
    text, result, folder = run([good, poor], margin=0.05)
    assert folder.name == "poor-resamples-200-margin-0.05"
    assert result["settings"]["margin"] == 0.05
    (question,) = result["questions"]
    area, balanced = question["non_inferiority"]
    assert (area["reference"], area["run"]) == ("good", "poor")
    assert (area["metric"], balanced["metric"]) == ("auc", "balanced_accuracy")
    assert area["advantage"] == pytest.approx(second - first)
    row = question["pairs"][0]["differences"]["auc"]
    assert (area["low"], area["high"]) == (-row["high"], -row["low"])
    assert area["answer"] == "inferior"
    flat = " ".join(text.split())
    assert "poor is inferior to good in AUC by more than the margin of 0.05: " in flat
    assert "interval of its difference from good lies above -0.05 (one-sided" in flat
    assert "test at 2.5 %)" in flat

    _, result, _ = run([poor, good], margin=0.05, metrics=("auc",))
    (area,) = result["questions"][0]["non_inferiority"]
    assert (area["reference"], area["answer"]) == ("poor", "not inferior")


def test_of_three_runs_none_is_judged_but_against_the_first(runs):
    _, result, _ = run(runs(a={}, b={"seed": 1}, c={"seed": 2}), margin=0.1)
    judged = [
        (one["reference"], one["run"])
        for one in result["questions"][0]["non_inferiority"]
    ]
    assert judged == [("a", "b"), ("a", "b"), ("a", "c"), ("a", "c")]


def test_without_a_margin_nothing_is_judged(runs):
    text, result, _ = run(runs(a={}, b={"seed": 1}))
    assert result["questions"][0]["non_inferiority"] == []
    assert "inferior" not in text


def test_a_run_that_asks_something_else_is_not_judged(runs):
    edema = {"task": tasks.macular_edema(), "label": lambda grade: min(grade, 2)}
    folders = runs(a={}, b={"seed": 1}, edema=edema)
    message = r"against the first, a, but edema asks something else.* Leave it out"
    with pytest.raises(ValueError, match=message):
        run(folders, margin=0.05)
    assert not (folders[0] / "compare").exists()


def test_what_was_left_out_is_said(runs):
    names = drawn_runs.ids(60)
    text, result, _ = run(
        runs(a={"names": names}, b={"names": names, "train": names[:10]})
    )
    assert result["photographs"] == 50
    flat = " ".join(text.split())
    assert "Left out: 10 of a, which b has trained on; 10 of b, which b has" in flat


def test_one_class_alone_leaves_figures_undefined(runs):
    healthy = {"label": lambda grade: 0}
    text, result, _ = run(runs(a=healthy, b=healthy | {"seed": 1}))
    (pair,) = result["questions"][0]["pairs"]
    assert pair["differences"]["auc"]["difference"] is None
    flat = " ".join(text.split())
    assert "a and b cannot be compared by AUC: no photograph with the disease." in flat
    assert "a, AUC: no photograph with the disease." in flat


def test_equal_predictions_do_not_differ(runs):
    text, _, _ = run(runs(a={}, b={}))
    assert "a and b do not differ in AUC" in " ".join(text.split())


def test_a_comparison_on_validation_photographs_says_so(runs):
    names = drawn_runs.ids(60, "valid")
    one = {"split": "valid", "names": names, "valid": names}
    text, _, folder = run(runs(a=one, b=one | {"seed": 1}), split="valid")
    assert "the figures are kinder than on others." in " ".join(text.split())
    assert folder.name == "b-split-valid-resamples-200"


def test_a_run_that_does_not_say_what_it_has_seen_is_named(runs):
    a, b = runs(a={}, b={"seed": 1})
    (b / "split.json").unlink()
    text, _, _ = run([a, b])
    expected = "b does not say what it was trained on, so it may have seen these"
    assert expected in " ".join(text.split())


def test_a_dry_run_writes_nothing(runs):
    folders = runs(a={}, b={"seed": 1})
    before = state(folders[0].parent)
    said = compare.Comparer().run(folders, dry_run=True)
    expected = f"Would compare a, b on 60 photographs: {folders[0] / 'compare' / 'b'}."
    assert said == expected
    assert state(folders[0].parent) == before
    assert not (folders[0] / "compare").exists()


def test_an_unknown_metric_names_those_there_are(runs):
    folders = runs(a={}, b={"seed": 1})
    message = r"names 'kappa', which is no figure of a and b, .* quadratic_kappa, "
    with pytest.raises(ValueError, match=message):
        run(folders, metrics=("kappa",))
    assert not (folders[0] / "compare").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ()}, r"`compare\.metrics` must be a list of names"),
        ({"metrics": "auc"}, r"a list of names\. Received: 'auc'"),
        ({"metrics": ("auc", "auc")}, "each figure once"),
        ({"split": "train"}, r"must not be 'train'.*Compare on 'valid' or 'test'"),
        ({"resamples": 10}, "at least 100"),
        (
            {"margin": 0.0},
            r"`compare\.margin` must be above 0 and below 1.*: 0\.0\. To",
        ),
        ({"margin": 1}, "above 0 and below 1"),
        ({"margin": -0.05}, "above 0 and below 1"),
        ({"margin": float("nan")}, "above 0 and below 1"),
        ({"margin": True}, "above 0 and below 1"),
        ({"seed": -1}, r"`compare\.seed` must be at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        compare.Comparer(**settings)


def test_runs_from_elsewhere_and_many_make_a_name_that_a_file_can_have(runs, tmp_path):
    names = [f"a_run_with_a_rather_long_name_{number}" for number in range(6)]
    folders = runs(**{name: {} for name in names})
    far = drawn_runs.write_run(tmp_path / "far" / "away")
    said = compare.Comparer().run([*folders, far], dry_run=True)
    compared, _, name = said.partition(" on 60 photographs: ")
    assert compared.endswith("/a_run_with_a_rather_long_name_5, far/away")
    name = name.removeprefix(f"{folders[0] / 'compare'}/").removesuffix(".")
    assert len(name) <= 120 and re.fullmatch(r"[\w.-]+", name)


def test_comparing_imports_no_tensorflow():
    code = (
        "import sys; from configs import loader; from evaluation import compare; "
        "print([m for m in ('matplotlib.pyplot', 'tensorflow', 'keras') "
        "if m in sys.modules])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "[]"
