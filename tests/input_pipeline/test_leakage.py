import dataclasses
import pathlib

import pytest

from input_pipeline import leakage, photograph, tasks


def make(name, **known):
    return photograph.Photograph(id=name, path=pathlib.Path(f"{name}.jpg"), **known)


def copy(first, second, kind="near_identical"):
    return leakage.Copy(first, second, kind, 0.5)


def decide(photographs, *copies, **policy):
    return leakage.decide(photographs, copies, leakage.Policy(**policy))


def reasons(decisions):
    return {key: (why.kind, why.reason) for key, why in decisions.left_out.items()}


@pytest.fixture
def graded():
    """Four training photographs, two that validate, two that test; grades 0 and 2."""
    return [
        make(f"set/{split}/{number}", grade=2 * (number % 2), split=split)
        for split, count in (("train", 4), ("valid", 2), ("test", 2))
        for number in range(count)
    ]


def test_without_copies_everything_stays_where_its_publisher_put_it(graded):
    decisions = decide(graded)
    assert decisions.split == {one.id: one.split for one in graded}
    assert not decisions.left_out
    assert decisions.groups == {one.id: one.id for one in graded}


def test_a_photograph_without_a_published_split_trains():
    assert decide([make("a/1", grade=0)]).split == {"a/1": "train"}


def test_copies_of_test_photographs_leave_training_and_validation(graded):
    decisions = decide(
        graded,
        copy("set/train/1", "set/test/1"),
        copy("set/valid/0", "set/test/0"),
    )
    assert reasons(decisions) == {
        "set/train/1": ("leak", "a copy of set/test/1 of the test set"),
        "set/valid/0": ("leak", "a copy of set/test/0 of the test set"),
    }
    assert decisions.split["set/test/0"] == decisions.split["set/test/1"] == "test"


def test_copies_of_validation_photographs_leave_training(graded):
    decisions = decide(graded, copy("set/train/1", "set/valid/1"))
    assert reasons(decisions) == {
        "set/train/1": ("leak", "a copy of set/valid/1 of the validation set")
    }


def test_of_copies_with_one_grade_the_first_is_kept(graded):
    decisions = decide(graded, copy("set/train/0", "set/train/2"))
    assert reasons(decisions) == {
        "set/train/2": ("copy", "a copy of set/train/0, which is kept")
    }
    everything = decide(graded, copy("set/train/0", "set/train/2"), copies="keep_all")
    assert not everything.left_out
    assert everything.groups["set/train/2"] == "set/train/0"


def test_copies_with_conflicting_grades_all_leave_training(graded):
    pair = copy("set/train/0", "set/train/1")
    why = ("conflict", "copies contradict each other: set/train/0 and set/train/1, "
           "grade 0 and 2")  # fmt: skip
    assert reasons(decide(graded, pair)) == {"set/train/0": why, "set/train/1": why}
    assert not decide(graded, pair, conflicting_copies="keep_all").left_out


def test_a_conflict_anywhere_in_a_chain_of_copies_takes_all_of_them(graded):
    chain = copy("set/train/0", "set/train/2"), copy("set/train/2", "set/train/3")
    left_out = decide(graded, *chain).left_out
    assert set(left_out) == {"set/train/0", "set/train/2", "set/train/3"}
    assert {why.kind for why in left_out.values()} == {"conflict"}


def test_labels_that_the_task_does_not_ask_for_may_differ():
    photographs = [
        make("a/1", grade=0, macular_edema=0),
        make("a/2", grade=0, macular_edema=1),
    ]
    assert set(decide(photographs, copy("a/1", "a/2")).left_out) == {"a/2"}


def test_unknown_labels_that_must_agree_are_an_error():
    with pytest.raises(ValueError, match=r"must name some of .*Received: \('edema',\)"):
        leakage.Policy(must_agree=("edema",))


def test_other_labels_than_the_grade_can_contradict_too():
    photographs = [
        make("a/1", grade=0, macular_edema=0),
        make("a/2", grade=0, macular_edema=1),
        make("a/3", any_dr=True),
    ]
    pair = copy("a/1", "a/2")
    left_out = decide(photographs, pair, must_agree=["macular_edema"]).left_out
    assert left_out["a/1"].reason.endswith("a/1 and a/2, macular edema 0 and 1")
    left_out = decide(photographs, copy("a/1", "a/3")).left_out
    assert left_out["a/3"].reason.endswith("a/1 and a/3, any DR False and True")


def test_what_only_one_of_two_copies_tells_is_no_contradiction():
    photographs = [make("a/1", grade=2), make("a/2", any_dr=True)]
    assert reasons(decide(photographs, copy("a/1", "a/2"))) == {
        "a/2": ("copy", "a copy of a/1, which is kept")
    }


def disputed(photographs, *copies, label=lambda one: one.grade):
    split = decide(photographs, *copies).split
    return leakage.disputed(photographs, copies, split, label)


def test_test_photographs_with_a_contradicting_copy_are_disputed_and_stay(graded):
    copies = [
        copy("set/train/0", "set/test/1"),  # grades 0 and 2
        copy("set/train/2", "set/test/0"),  # grades 0 and 0
    ]
    assert disputed(graded, *copies) == ["set/test/1"]
    assert decide(graded, *copies).split["set/test/1"] == "test"


def test_two_test_photographs_that_contradict_each_other_are_both_disputed(graded):
    pair = copy("set/test/0", "set/test/1")
    assert disputed(graded, pair) == ["set/test/0", "set/test/1"]
    assert not decide(graded, pair).left_out


def test_what_is_disputed_depends_on_what_is_asked():
    photographs = [
        make("a/1", grade=2, macular_edema=0, split="train"),
        make("a/2", grade=3, macular_edema=0, split="test"),
        make("a/3", grade=3, macular_edema=1, split="test"),
        make("a/4", any_dr=True, split="test"),
    ]
    copies = [copy("a/1", "a/2"), copy("a/2", "a/4")]
    assert disputed(photographs, *copies) == ["a/2"]  # a/4 has no grade to dispute.
    assert disputed(photographs, *copies, label=tasks.referable().label) == []
    assert disputed(photographs, *copies, label=tasks.any_dr().label) == []
    assert disputed(photographs, *copies, label=tasks.macular_edema().label) == []
    copies = [copy("a/1", "a/3"), copy("a/3", "a/2")]  # a/1 and a/2 by way of a/3
    risks = disputed(photographs, *copies, label=tasks.macular_edema().label)
    assert risks == ["a/2", "a/3"]


def test_graded_photographs_called_ungradable_test_and_validate_but_do_not_train():
    photographs = [
        make(f"a/{split}/{gradable}", grade=1, gradable=gradable, split=split)
        for split in ("train", "valid", "test", None)
        for gradable in (True, False, None)
    ]
    why = ("ungradable", "ungradable, as its publisher says")
    left_out = reasons(decide(photographs))
    assert left_out == {"a/train/False": why, "a/None/False": why}
    assert not decide(photographs, ungradable="keep_all").left_out


def test_an_ungradable_copy_leaves_before_copies_are_compared():
    photographs = [make("a/1", grade=2, gradable=False), make("a/2", grade=1)]
    decisions = decide(photographs, copy("a/1", "a/2"))
    assert {key: why.kind for key, why in decisions.left_out.items()} == {
        "a/1": "ungradable"
    }


def test_photographs_of_a_test_patient_are_left_out(graded):
    changed = {"set/train/1": "p", "set/train/2": "q", "set/test/1": "p"}
    photographs = [
        dataclasses.replace(one, patient=changed.get(one.id)) for one in graded
    ]
    assert reasons(decide(photographs)) == {
        "set/train/1": ("leak", "of the same patient as set/test/1 of the test set")
    }


def test_patients_of_different_datasets_share_no_name():
    photographs = [
        make("a/1", grade=0, patient="10", split="train"),
        make("b/1", grade=0, patient="10", split="test"),
    ]
    decisions = decide(photographs)
    assert not decisions.left_out
    assert decisions.groups["a/1"] != decisions.groups["b/1"]


def test_a_patient_known_only_through_a_copy_is_left_out_too(graded):
    changed = {"set/train/2": "p", "set/test/0": "p"}
    photographs = [
        dataclasses.replace(one, patient=changed.get(one.id)) for one in graded
    ]
    decisions = decide(photographs, copy("set/train/0", "set/train/2"))
    assert reasons(decisions) == {
        "set/train/0": (
            "leak",
            "linked by copies and patients to set/test/0 of the test set",
        ),
        "set/train/2": ("leak", "of the same patient as set/test/0 of the test set"),
    }


def test_copies_and_patients_are_one_group(graded):
    changed = {"set/train/1": "p", "set/train/2": "p"}
    photographs = [
        dataclasses.replace(one, patient=changed.get(one.id)) for one in graded
    ]
    pair = copy("set/train/2", "set/train/0")
    groups = decide(photographs, pair).groups
    assert {groups[f"set/train/{n}"] for n in range(3)} == {"set/train/0"}
    assert groups["set/train/3"] == "set/train/3"


def test_a_dataset_can_be_kept_for_testing():
    photographs = [
        make("a/1", grade=0),
        make("a/2", grade=2, split="test"),
        make("b/1", grade=0, split="train"),
        make("b/2", grade=2, split="valid"),
    ]
    decisions = decide(photographs, copy("a/1", "b/1"), test_on=["b"])
    assert decisions.split == {"a/2": "test", "b/1": "test", "b/2": "test"}
    assert set(decisions.left_out) == {"a/1"}


def test_a_dataset_to_test_on_must_be_there():
    with pytest.raises(
        ValueError, match=r"`audit\.test_on` must name .*\['a'\]\. Received: 'c'"
    ):
        decide([make("a/1", grade=0)], test_on=["c"])


def test_photographs_without_a_label_are_left_out_but_still_link():
    photographs = [
        make("a/1", grade=0),
        make("a/2", grade=2),
        make("b/1"),
        make("b/2", gradable=False),
    ]
    decisions = decide(photographs, copy("a/1", "b/1"), copy("a/2", "b/1"))
    assert reasons(decisions)["b/1"] == ("unlabelled", "without any label")
    assert reasons(decisions)["b/2"] == (
        "unlabelled",
        "ungradable, as its publisher says",
    )
    # Two pictures that are both b/1 are one picture, so their grades contradict.
    assert {why.kind for why in decisions.left_out.values()} == {
        "unlabelled",
        "conflict",
    }


def test_thousands_of_copies_of_one_picture_are_decided_at_once():
    photographs = [make(f"a/{n}", grade=0) for n in range(20_000)]
    copies = [copy("a/0", f"a/{n}") for n in range(1, 20_000)]
    decisions = decide(photographs, *copies)
    assert decisions.split == {"a/0": "train"}
    assert len(decisions.left_out) == 19_999


def test_what_a_model_knows_is_every_copy_and_every_patient_it_was_given():
    photographs = [
        make("own/a", patient="1"),
        make("own/b", patient="2"),
        make("own/c", patient="1"),
        make("site/a", patient="x"),
        make("site/b", patient="x"),
        make("site/c", patient="1"),  # Somebody else's patient 1.
        make("site/d"),
        make("site/e"),
    ]
    copies = [
        copy("own/a", "site/a"),
        copy("own/b", "site/d"),
        copy("site/a", "site/e"),
    ]
    assert leakage.known_to_model(photographs, copies, {"own/a"}) == {
        "own/c": "of the same patient as own/a",
        "site/a": "a copy of own/a",
        "site/b": "linked by copies and patients to own/a",
        "site/e": "a copy of own/a",
    }
    assert leakage.known_to_model(photographs, copies, set()) == {}
