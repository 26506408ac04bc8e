import collections
import dataclasses
import json
import pathlib

import numpy as np
import pytest

from input_pipeline import leakage, photograph, splits


def make(name, **known):
    return photograph.Photograph(id=name, path=pathlib.Path(f"{name}.jpg"), **known)


def make_split(splitter, photographs, *copies):
    """The split of photographs of which some are copies of each other."""
    pairs = [leakage.Copy(*pair, "byte_identical", 0.0) for pair in copies]
    decisions = leakage.decide(photographs, pairs, KEEP_ALL)
    return splitter.make(photographs, decisions)


KEEP_ALL = leakage.Policy(copies="keep_all", conflicting_copies="keep_all")


@pytest.fixture
def graded():
    """200 training photographs, of skewed grades, and 40 test photographs."""
    rng = np.random.default_rng(0)
    grades = rng.permutation(np.repeat(range(5), (100, 10, 50, 25, 15)))
    train = [
        make(f"set/train/{number:03d}", grade=int(grade), split="train")
        for number, grade in enumerate(grades)
    ]
    test = [
        make(f"set/test/{number:03d}", grade=number % 5, split="test")
        for number in range(40)
    ]
    return [*train, *test]


def test_every_photograph_is_in_exactly_one_list(graded):
    split = make_split(splits.Splitter(folds=5), graded)
    every = [*split.train, *split.valid, *split.test, *split.left_out]
    assert sorted(every) == sorted(one.id for one in graded)


def test_fewer_photographs_are_drawn_from_the_same_fold(graded):
    def drawn(train, valid=None, seed=0):
        return make_split(
            splits.Splitter(
                train_photographs=train, valid_photographs=valid, seed=seed
            ),
            graded,
        )

    whole, some, few = drawn(None), drawn(60, 20), drawn(30, 20)
    assert (len(some.train), len(some.valid)) == (60, 20)
    assert set(few.train) < set(some.train) < set(whole.train)
    assert few.valid == some.valid
    assert set(some.valid) < set(whole.valid)
    assert some.test == whole.test
    assert list(some.train) == [one for one in whole.train if one in some.train]
    others = set(whole.train) - set(some.train), set(whole.valid) - set(some.valid)
    assert set(some.not_drawn) == others[0] | others[1]
    another = drawn(60, 20, seed=1)
    assert set(another.train) & set(whole.train) != set(some.train)


@pytest.mark.parametrize("count", [0, 161])
def test_more_photographs_than_there_are_is_an_error(graded, count):
    message = (
        r"`split\.train_photographs` must be between 1 and the 160 photographs of the "
        rf"split 'train', or None for all\. Received: {count}\."
    )
    with pytest.raises(ValueError, match=message):
        make_split(splits.Splitter(train_photographs=count), graded)


def test_a_draw_is_stored_under_a_name_of_its_own(audited):
    splitter = splits.Splitter(train_photographs=10)
    split = splitter.split(audited)
    assert len(split.train) == 10
    assert splitter.split(audited) == split
    assert len(splits.Splitter().split(audited).train) == 32
    split.check(audited)


def test_the_test_set_is_the_publishers(graded):
    published = tuple(one.id for one in graded if one.split == "test")
    for fold in range(5):
        splitter = splits.Splitter(folds=5, fold=fold, seed=fold)
        assert make_split(splitter, graded).test == published


def test_folds_have_the_grades_of_the_whole(graded):
    grades = {one.id: one.grade for one in graded}
    for fold in range(5):
        split = make_split(splits.Splitter(folds=5, fold=fold), graded)
        counts = collections.Counter(grades[one] for one in split.valid)
        assert counts == {0: 20, 1: 2, 2: 10, 3: 5, 4: 3}


def test_all_folds_together_validate_every_photograph_exactly_once(graded):
    validated = []
    for fold in range(4):
        split = make_split(splits.Splitter(folds=4, fold=fold), graded)
        assert not set(split.train) & set(split.valid)
        validated += split.valid
    outside_test = [one.id for one in graded if one.split != "test"]
    assert sorted(validated) == sorted(outside_test)


def test_a_grade_rarer_than_the_folds_is_split_without_a_warning():
    photographs = [make(f"{n}", grade=4 if n == 0 else 0) for n in range(20)]
    split = make_split(splits.Splitter(folds=5), photographs)
    assert len(split.valid) == 4


def test_photographs_of_one_patient_stay_on_one_side():
    rng = np.random.default_rng(0)
    photographs = [
        make(f"set/{patient}_{eye}", grade=int(rng.integers(5)), patient=str(patient))
        for patient in range(60)
        for eye in ("left", "right")
    ]
    patients = {one.id: one.patient for one in photographs}
    for fold in range(5):
        split = make_split(splits.Splitter(folds=5, fold=fold), photographs)
        train = {patients[one] for one in split.train}
        valid = {patients[one] for one in split.valid}
        assert train and valid and not train & valid


def test_copies_stay_on_one_side():
    photographs = [make(f"{number:02d}", grade=number % 2) for number in range(40)]
    pairs = [(f"{first:02d}", f"{first + 1:02d}") for first in range(0, 40, 2)]
    for fold in range(4):
        split = make_split(splits.Splitter(folds=4, fold=fold), photographs, *pairs)
        for pair in pairs:
            assert set(pair) <= set(split.train) or set(pair) <= set(split.valid)


def test_patients_that_share_a_picture_are_one_patient():
    photographs = [
        make(f"set/{patient}-{number}", grade=0, patient=patient)
        for patient in "abcdefghij"
        for number in range(2)
    ]
    # a-1 is b-0, b-1 is c-0, c-1 is d-0: a chain through four patients.
    links = ("a-1", "b-0"), ("b-1", "c-0"), ("c-1", "d-0")
    same = [(f"set/{one}", f"set/{other}") for one, other in links]
    chain = {f"set/{patient}-{number}" for patient in "abcd" for number in range(2)}
    for seed in range(10):
        split = make_split(splits.Splitter(folds=2, seed=seed), photographs, *same)
        assert chain <= set(split.train) or chain <= set(split.valid)


def test_what_was_left_out_is_in_no_list_and_told_with_its_reason(graded):
    split = make_split(splits.Splitter(), graded, ("set/train/007", "set/test/003"))
    assert split.left_out == {"set/train/007": "a copy of set/test/003 of the test set"}
    assert "set/train/007" not in {*split.train, *split.valid, *split.test}


def test_the_publishers_validation_set_is_kept(graded):
    valid = {f"set/train/{number:03d}" for number in range(20)}
    photographs = [
        dataclasses.replace(one, split="valid") if one.id in valid else one
        for one in graded
    ]
    split = make_split(splits.Splitter(fold=3), photographs)
    assert set(split.valid) == valid
    assert len(split.train) == 200 - 20


def test_photographs_without_grades_are_stratified_by_any_dr():
    photographs = [make(f"{number}", any_dr=number % 4 == 0) for number in range(80)]
    split = make_split(splits.Splitter(folds=4), photographs)
    diseased = sum(int(one) % 4 == 0 for one in split.valid)
    assert (len(split.valid), diseased) == (20, 5)


def test_a_split_is_decided_by_its_seed_alone(graded):
    def split(seed):
        return make_split(splits.Splitter(seed=seed), graded)

    assert split(0) == split(0)
    assert split(0).valid != split(1).valid


@pytest.mark.parametrize(("folds", "fold"), [(1, 0), (0, 0), (5, 5), (5, -1)])
def test_impossible_folds_are_an_error(folds, fold):
    with pytest.raises(
        ValueError, match=rf"between 0 and folds - 1\. Received: folds={folds}, fold="
    ):
        splits.Splitter(folds=folds, fold=fold)


def test_more_folds_than_patients_are_an_error():
    photographs = [make(f"set/{n}", grade=0, patient=str(n % 3)) for n in range(30)]
    with pytest.raises(ValueError, match="Received: 3 and 30 outside the test set"):
        make_split(splits.Splitter(folds=5), photographs)


def test_more_folds_than_photographs_of_any_grade_are_an_error():
    photographs = [make(f"{n}", grade=n % 5) for n in range(15)]
    with pytest.raises(ValueError, match=r"15 and 3 outside .* Lower `split\.folds`"):
        make_split(splits.Splitter(folds=4), photographs)


def test_a_patient_with_nearly_all_photographs_leaves_no_fold_empty():
    photographs = [
        make(f"set/{n}", grade=0, patient="a" if n < 30 else str(n)) for n in range(32)
    ]
    for fold in range(3):
        split = make_split(splits.Splitter(folds=3, fold=fold), photographs)
        assert split.train and split.valid


def test_a_split_is_stored_once_and_read_ever_after(audited, monkeypatch):
    split = splits.Splitter(folds=4, seed=11).split(audited)
    stored = audited.folder / "splits" / "0-of-4-seed-11.json"
    content = stored.read_bytes()
    assert json.loads(content)["valid"] == list(split.valid)

    def changed(self, photographs, decisions):
        raise AssertionError("A stored split may not be derived again.")

    # As if a later version of the code, or of scikit-learn, split differently.
    monkeypatch.setattr(splits.Splitter, "make", changed)
    assert splits.Splitter(folds=4, seed=11).split(audited) == split
    assert stored.read_bytes() == content


def test_each_fold_and_seed_has_a_file_of_its_own(audited):
    made = {
        (fold, seed): splits.Splitter(folds=3, fold=fold, seed=seed).split(audited)
        for fold in range(2)
        for seed in range(2)
    }
    for (fold, seed), split in made.items():
        assert splits.Splitter(folds=3, fold=fold, seed=seed).split(audited) == split
    assert len({split.valid for split in made.values()}) == 4


def test_a_saved_split_is_read_back_equal(graded, tmp_path):
    pairs = ("set/train/007", "set/test/003"), ("set/test/000", "set/test/001")
    split = make_split(splits.Splitter(), graded, *pairs)
    split = dataclasses.replace(split, disputed=("set/test/000",))
    assert split.left_out
    split.save(tmp_path / "split.json")
    assert splits.Split.load(tmp_path / "split.json") == split
    assert split["train"] == split.train
    assert split["valid"] == split.valid
    assert split["test"] == split.test


def test_a_split_that_the_audit_allows_passes(audited, split):
    split.check(audited)


def test_a_test_photograph_that_trains_is_refused(audited, split):
    leaking = dataclasses.replace(
        split, train=(*split.train, split.test[0]), test=split.test[1:]
    )
    message = rf"has {split.test[0]} in 'train'; the audit in .* allows 'test'"
    with pytest.raises(ValueError, match=message):
        leaking.check(audited)


def test_a_photograph_that_was_left_out_is_refused(audited, split):
    leaking = dataclasses.replace(split, valid=(*split.valid, "drawn/train/unknown"))
    message = r"has drawn/train/unknown in 'valid'; .* allows 'no split'\. Train in an"
    with pytest.raises(ValueError, match=message):
        leaking.check(audited)


def test_a_split_that_separates_a_group_is_refused(audited, split, monkeypatch):
    first, second = split.train[0], split.valid[0]
    groups = dict(audited.decisions.groups) | {second: audited.decisions.groups[first]}
    decisions = dataclasses.replace(audited.decisions, groups=groups)
    monkeypatch.setattr(audited, "decisions", decisions)
    message = rf"has {second} in 'valid' and {first} in 'train', but they are copies"
    with pytest.raises(ValueError, match=message):
        split.check(audited)


@pytest.mark.parametrize(
    "content", ['{"train": ["a"', "[]", '{"train": [], "valid": [], "left_out": {}}']
)
def test_a_damaged_split_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"split\.json is damaged: .* Restore it: no"):
        splits.Split.load(path)


def test_which_photographs_validate_is_said_in_words():
    splitter = splits.Splitter(folds=4, fold=2)
    assert splitter.validation({"a": "train", "b": "test"}) == "fold 2 of 4"
    official = splitter.validation({"a": "train", "b": "valid"})
    assert official == "the publisher's validation photographs"


def test_photographs_that_all_test_need_no_folds():
    photographs = [make(f"set/{n}", grade=0, split="test") for n in range(3)]
    split = make_split(splits.Splitter(folds=5), photographs)
    assert (split.train, split.valid) == ((), ())
    assert split.test == ("set/0", "set/1", "set/2")


def test_no_fold_stands_in_for_published_validation_that_leaks():
    photographs = [make(f"set/{n}", grade=n % 2, split="train") for n in range(40)]
    photographs += [
        make("set/v", grade=0, split="valid"),
        make("set/t", grade=0, split="test"),
    ]
    with pytest.raises(ValueError, match=r"publisher's 1 validation ph.*: set/v "):
        make_split(splits.Splitter(), photographs, ("set/v", "set/t"))
    assert make_split(splits.Splitter(), photographs).valid == ("set/v",)
