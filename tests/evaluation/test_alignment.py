import pytest

from evaluation import alignment, compared_runs
from input_pipeline import tasks
from tests.evaluation import drawn_runs


@pytest.fixture
def draw(tmp_path):
    """Reads runs that are drawn with these settings: `draw(a={...}, b={...})`."""

    def read(split="test", **settings):
        folders = [
            drawn_runs.write_run(tmp_path / name, split=split, **one)
            for name, one in settings.items()
        ]
        return compared_runs.read(folders, split)

    return read


def test_photographs_are_aligned_whatever_their_order(draw):
    names = drawn_runs.ids(20)
    first, second = draw(a={"names": names}, b={"names": names})
    shuffled = second.take(names[::-1])
    aligned, left_out = alignment.on_common_photographs([first, shuffled])
    assert aligned[0].predictions.ids == aligned[1].predictions.ids == names
    assert list(aligned[1].predictions.labels) == list(second.predictions.labels)
    assert left_out == []


def test_what_some_run_lacks_is_left_out_and_said(draw):
    names = drawn_runs.ids(40)
    runs = draw(a={"names": names}, b={"names": names[:30]})
    aligned, left_out = alignment.on_common_photographs(runs)
    assert [run.predictions.ids for run in aligned] == [names[:30]] * 2
    assert left_out == [{"run": "a", "photographs": 10, "reason": "b lacks"}]


def test_what_a_run_has_seen_in_training_is_left_out_and_said(draw):
    names = drawn_runs.ids(40)
    seen = {"names": names, "train": names[:5], "valid": names[5:8]}
    runs = draw(a={"names": names}, b=seen)
    aligned, left_out = alignment.on_common_photographs(runs)
    assert [run.predictions.ids for run in aligned] == [names[8:]] * 2
    reasons = {"b has trained on": 5, "b has chosen its epoch or threshold on": 3}
    for name in "ab":
        found = {e["reason"]: e["photographs"] for e in left_out if e["run"] == name}
        assert found == reasons


def test_what_all_have_validated_on_can_be_compared_as_such(draw):
    names = drawn_runs.ids(20, "valid")
    one = {"names": names, "valid": names}
    aligned, left_out = alignment.on_common_photographs(draw("valid", a=one, b=one))
    assert len(aligned[0].predictions) == 20 and left_out == []


def test_two_folds_have_nothing_in_common(draw):
    """Each has trained on the other's validation photographs."""
    names = drawn_runs.ids(20, "valid")
    runs = draw(
        "valid",
        a={"names": names[:10], "valid": names[:10], "train": names[10:]},
        b={"names": names[10:], "valid": names[10:], "train": names[:10]},
    )
    message = (
        r"no photograph of 'valid' in common .* Left out: 10 of a, which b has trained "
        r"on; 10 of b, which a has trained on\. Train the runs on the same split"
    )
    with pytest.raises(ValueError, match=message):
        alignment.on_common_photographs(runs)


def test_photographs_of_the_same_name_but_another_size_are_refused(draw):
    runs = draw(a={}, b={"size": "800x600"})
    with pytest.raises(ValueError, match="536x356 pixels in a and 800x600 in b: it is"):
        alignment.on_common_photographs(runs)


def test_runs_are_grouped_by_who_is_diseased(draw):
    runs = draw(
        a={},
        grades={"task": tasks.icdr_grades(), "label": int},
        b={},
        edema={"task": tasks.macular_edema(), "label": lambda grade: min(grade, 2)},
    )
    first, second = alignment.questions(runs)
    assert (first.rule, first.names) == ("grade >= 2", ["a", "grades", "b"])
    assert list(first.tasks) == ["referable", "icdr_grades"]
    assert {run.scorer.num_classes for run in first.runs} == {2}
    assert second.rule == "risk of macular edema 0-2; disease: risk >= 1"
    assert second.runs == [runs[3]]


def test_runs_of_five_grades_are_compared_as_such(draw):
    one = {"task": tasks.icdr_grades(), "label": int}
    (question,) = alignment.questions(draw(a=one, b=one))
    assert {run.scorer.num_classes for run in question.runs} == {5}
    assert question.rule == "ICDR grade 0-4; disease: grade >= 2"


def test_five_grades_join_those_who_ask_from_another_grade_on(draw):
    runs = draw(
        grades={"task": tasks.icdr_grades(), "label": int},
        any_dr={"task": tasks.any_dr(), "label": lambda grade: int(grade >= 1)},
    )
    own, other = alignment.questions(runs)
    assert (own.names, own.runs[0].scorer.num_classes) == (["grades"], 5)
    assert (other.rule, other.names) == ("grade >= 1", ["grades", "any_dr"])
    labels = [list(run.predictions.labels) for run in other.runs]
    assert labels[0] == labels[1] == [int(g >= 1) for g in drawn_runs.grades()]


def test_conflicting_labels_are_refused(draw):
    runs = draw(a={}, b={"label": lambda grade: int(grade >= 3)})
    expected = sum(grade == 2 for grade in drawn_runs.grades())
    message = (
        r"is labelled 'referable' in a and 'not referable' in b, .*"
        rf"labels differ: {expected} of 60\. Evaluate both"
    )
    with pytest.raises(ValueError, match=message):
        alignment.questions(runs)


def test_conflicting_labels_of_two_tasks_are_refused(draw):
    runs = draw(
        a={"label": lambda grade: int(grade >= 1)},
        grades={"task": tasks.icdr_grades(), "label": int},
    )
    with pytest.raises(ValueError, match="'disease' in a and 'no disease' in grades"):
        alignment.questions(runs)


def test_repeats_are_runs_of_one_recipe_with_other_seeds(draw):
    def seed(number, **others):
        return {"bindings": {"train.seed": number} | others}

    runs = draw(
        a=seed("0"),
        copy=seed("0"),
        b=seed("1"),
        long=seed("0", **{"train.epochs": "9"}),
        long_again=seed("3", **{"train.epochs": "9"}),
        fold=seed("2", **{"split.fold": "1"}),
    )
    assert alignment.repeats(runs) == [["a", "b"], ["long", "long_again"]]


def test_a_seed_that_is_not_bound_is_the_usual_one(draw):
    runs = draw(a={}, b={"bindings": {"train.seed": "0"}})
    assert alignment.repeats(runs) == []
