import dataclasses
import json

import numpy as np
import pytest

from evaluation import compared_runs
from input_pipeline import tasks
from tests.evaluation import drawn_runs


@pytest.fixture
def two(tmp_path):
    """Two runs."""
    return [
        drawn_runs.write_run(tmp_path / "runs" / name, seed=seed)
        for seed, name in enumerate("ab")
    ]


def test_a_run_is_read_as_it_was_written(tmp_path):
    a = drawn_runs.write_run(
        tmp_path / "a",
        threshold=0.3,
        train=["x", "y"],
        valid=["z"],
        bindings={"train.seed": "7"},
    )
    b = drawn_runs.write_run(tmp_path / "b")
    run, _ = compared_runs.read([a, b], "test")
    assert (run.name, run.folder, run.home) == ("a", a, a)
    assert (run.threshold, run.seed) == (0.3, "7")
    assert run.seen == {"train": {"x", "y"}, "valid": {"z"}}
    assert run.task == tasks.referable().description()
    assert run.predictions.ids == drawn_runs.ids(60)
    assert list(run.predictions.labels) == [int(g >= 2) for g in drawn_runs.grades()]


def test_an_evaluation_is_its_runs_and_named_so(two, tmp_path):
    evaluations = []
    for folder in two:
        one = folder / "evaluate" / "valid"
        said = drawn_runs.predicted([0, 1], ["i", "j"], 2, split="valid")
        drawn_runs.write_evaluation(one, tasks.referable(), [said])
        evaluations.append(one)
    runs = compared_runs.read(evaluations, "valid")
    assert [run.name for run in runs] == ["a", "b"]
    assert [run.home for run in runs] == two
    said = drawn_runs.predicted([0, 1], ["i", "j"], 2)
    drawn_runs.write_evaluation(evaluations[0], tasks.referable(), [said])
    runs = compared_runs.read([two[0], evaluations[0]], "test")
    assert [run.name for run in runs] == ["a", "a/evaluate/valid"]


def test_names_lose_what_all_paths_begin_and_end_with(tmp_path):
    folders = [drawn_runs.write_run(tmp_path / x / "best") for x in ("old", "new")]
    assert [run.name for run in compared_runs.read(folders, "test")] == ["old", "new"]


def test_other_peoples_models_have_seen_what_nobody_knows(two):
    """Their predictions lie in a run's folder, but are not of its model."""
    folder = two[0] / "evaluate" / "theirs"
    said = drawn_runs.predicted([0, 1, 1], "ijk", 2)
    said = dataclasses.replace(said, logits=np.zeros((3, 0), np.float32))
    drawn_runs.write_evaluation(folder, tasks.referable(), [said])
    run, _ = compared_runs.read([folder, two[1]], "test")
    assert (run.home, run.seen, run.recipe) == (None, None, None)
    assert run.name == "a/evaluate/theirs"


@pytest.mark.parametrize(
    ("changed", "equal"),
    [
        ({}, True),
        ({"bindings": {"train.seed": "1"}}, True),
        ({"bindings": {"train.epochs": "3"}}, False),
        ({"bindings": {"split.fold": "1"}}, False),
        ({"train": ["p"], "valid": ["q"]}, False),  # Another fold, however it was made.
        ({"task": tasks.any_dr()}, False),
    ],
)
def test_a_recipe_is_all_but_the_seed(tmp_path, changed, equal):
    usual = {"train": ["q"], "valid": ["p"]}
    a = drawn_runs.write_run(tmp_path / "a", **usual)
    b = drawn_runs.write_run(tmp_path / "b", **usual | changed)
    first, second = compared_runs.read([a, b], "test")
    assert (first.recipe == second.recipe) is equal


def test_other_evaluation_settings_make_no_repeat(two):
    path = two[1] / "metrics.json"
    content = json.loads(path.read_text())
    content["evaluation"]["operating_point"] = "Youden()"
    path.write_text(json.dumps(content))
    first, second = compared_runs.read(two, "test")
    assert first.recipe != second.recipe


def test_five_grades_answer_who_is_diseased_from_any_grade_on(tmp_path):
    a = drawn_runs.write_run(
        tmp_path / "a", task=tasks.icdr_grades(), label=int, threshold=0.3
    )
    b = drawn_runs.write_run(tmp_path / "b")
    run, binary = compared_runs.read([a, b], "test")
    assert run.question == binary.question == "grade >= 2"
    assert run.answers("grade >= 3") and not binary.answers("grade >= 3")
    assert not run.answers("risk >= 1")
    said = run.predictions.probabilities
    own, other = run.as_two_classes("grade >= 2"), run.as_two_classes("grade >= 4")
    np.testing.assert_allclose(own.predictions.probabilities[:, 1], said[:, 2:].sum(1))
    np.testing.assert_allclose(other.predictions.probabilities[:, 1], said[:, 4])
    assert list(other.predictions.labels) == list(run.predictions.labels == 4)
    assert (own.threshold, other.threshold) == (0.3, 0.5)
    assert own.scorer.num_classes == 2


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_runs_are_no_comparison(two, count):
    with pytest.raises(ValueError, match=r"two or more runs, .* Received: (none|/.*a)"):
        compared_runs.read(two[:count], "test")


def test_the_same_folder_twice_is_refused(two, tmp_path):
    (tmp_path / "link").symlink_to(two[0])
    with pytest.raises(ValueError, match=r"different runs.*which are the same folder"):
        compared_runs.read([two[0], two[1], tmp_path / "link"], "test")


def test_a_missing_folder_is_named(two, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nothing\."):
        compared_runs.read([two[0], tmp_path / "nothing"], "test")


def test_a_run_that_is_not_evaluated_says_how_to(two):
    (two[0] / "metrics.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"not evaluated.* --mode=evaluate\."):
        compared_runs.read(two, "test")
    said = drawn_runs.predicted([0, 1], "ij", 2)
    drawn_runs.write_evaluation(two[0] / "evaluate" / "x", tasks.referable(), [said])
    with pytest.raises(FileNotFoundError, match=r"evaluations: --run_dir=.*evaluate/x"):
        compared_runs.read(two, "test")


def test_a_folder_of_something_else_is_no_run(two, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no evaluated run"):
        compared_runs.read([two[0], tmp_path / "other"], "test")


def test_a_split_that_was_not_evaluated_names_those_that_were(two):
    message = r"predictions of 'test', none of 'valid'\. .*\('valid',\)"
    with pytest.raises(ValueError, match=message):
        compared_runs.read(two, "valid")


DAMAGES = {
    "cut off": (lambda text: text[: len(text) // 2], r"line \d+: .* finite number"),
    "no number": (lambda text: text.replace(",1.", ",x."), "must be a finite number"),
    "no rows": (lambda text: text.splitlines()[0] + "\n", "rows: 0"),
    "another's": (lambda text: text.replace("referable", "DR"), "Missing columns"),
    "twice": (
        lambda text: text.replace("test/001", "test/000"),
        "a photograph .* twic",
    ),
    "probability": (
        lambda text: text.replace(",0.", ",1."),
        "must be from 0 to 1 .* Evaluate the run",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_csv_is_named(two, damage):
    change, message = DAMAGES[damage]
    path = two[1] / "predictions.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=rf"b/predictions\.csv.*{message}"):
        compared_runs.read(two, "test")


def test_a_csv_that_is_no_text_is_named(two):
    (two[1] / "predictions.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"b/predictions\.csv is damaged: .*Evaluate"):
        compared_runs.read(two, "test")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.json", "{", r"metrics\.json is damaged"),
        ("metrics.json", "[]", r"metrics\.json is damaged: it must hold names"),
        ("metrics.json", '{"task": 3}', r"metrics\.json is no run's"),
        ("split.json", "{}", r"split\.json is damaged: KeyError.*Restore it"),
        ("bindings.json", "[1]", r"bindings\.json is damaged"),
    ],
)
def test_damaged_json_is_named(two, name, text, message):
    (two[1] / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        compared_runs.read(two, "test")


def test_what_earlier_runs_saw_counts_and_what_other_members_did_does_not(tmp_path):
    a = drawn_runs.write_run(tmp_path / "a", train=[], valid=["x", "y"])
    b = drawn_runs.write_run(tmp_path / "b")
    seen = {"train": {"x": "", "before": ""}, "valid": {"y": "", "chosen": ""}}
    (a / "seen.json").write_text(json.dumps(seen))
    run, _ = compared_runs.read([a, b], "test")
    assert run.seen == {"train": {"before"}, "valid": {"x", "y", "chosen"}}
