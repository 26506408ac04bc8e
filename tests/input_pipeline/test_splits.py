import collections
import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import pytest

from input_pipeline import photograph, splits
from input_pipeline.datasets import idrid


def make(name, **known):
    return photograph.Photograph(id=name, path=pathlib.Path(f"{name}.jpg"), **known)


def own_files(photographs):
    """A checksum for each photograph, as of files that all differ."""
    return {one.id: f"sha256 of {one.id}" for one in photographs}


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
    split = splits.Splitter(folds=5).make(graded, own_files(graded))
    every = [*split.train, *split.valid, *split.test, *split.left_out]
    assert sorted(every) == sorted(one.id for one in graded)


def test_the_test_set_is_the_publishers(graded):
    published = tuple(one.id for one in graded if one.split == "test")
    for fold in range(5):
        splitter = splits.Splitter(folds=5, fold=fold, seed=fold)
        assert splitter.make(graded, own_files(graded)).test == published


def test_folds_have_the_grades_of_the_whole(graded):
    grades = {one.id: one.grade for one in graded}
    for fold in range(5):
        split = splits.Splitter(folds=5, fold=fold).make(graded, own_files(graded))
        counts = collections.Counter(grades[one] for one in split.valid)
        assert counts == {0: 20, 1: 2, 2: 10, 3: 5, 4: 3}


def test_all_folds_together_validate_every_photograph_exactly_once(graded):
    validated = []
    for fold in range(4):
        split = splits.Splitter(folds=4, fold=fold).make(graded, own_files(graded))
        assert not set(split.train) & set(split.valid)
        validated += split.valid
    outside_test = [one.id for one in graded if one.split != "test"]
    assert sorted(validated) == sorted(outside_test)


def test_a_grade_rarer_than_the_folds_is_split_without_a_warning():
    photographs = [make(f"{n}", grade=4 if n == 0 else 0) for n in range(20)]
    split = splits.Splitter(folds=5).make(photographs, own_files(photographs))
    assert len(split.valid) == 4


def test_photographs_of_one_patient_stay_on_one_side():
    rng = np.random.default_rng(0)
    photographs = [
        make(f"{patient}_{eye}", grade=int(rng.integers(5)), patient=str(patient))
        for patient in range(60)
        for eye in ("left", "right")
    ]
    patients = {one.id: one.patient for one in photographs}
    for fold in range(5):
        split = splits.Splitter(folds=5, fold=fold).make(
            photographs, own_files(photographs)
        )
        train = {patients[one] for one in split.train}
        valid = {patients[one] for one in split.valid}
        assert train and valid and not train & valid


def test_byte_identical_photographs_stay_on_one_side():
    photographs = [make(f"{number:02d}", grade=number % 2) for number in range(40)]
    sha256 = {one.id: f"file {int(one.id) // 2}" for one in photographs}
    for fold in range(4):
        split = splits.Splitter(folds=4, fold=fold).make(photographs, sha256)
        for first in range(0, 40, 2):
            twins = {f"{first:02d}", f"{first + 1:02d}"}
            assert twins <= set(split.train) or twins <= set(split.valid)


def test_patients_that_share_a_file_are_one_patient():
    photographs = [
        make(f"{patient}-{number}", grade=0, patient=patient)
        for patient in "abcdefghij"
        for number in range(2)
    ]
    # a-1 is b-0, b-1 is c-0, c-1 is d-0: a chain through four patients.
    same = {"b-0": "a-1", "c-0": "b-1", "d-0": "c-1"}
    sha256 = {one.id: same.get(one.id, one.id) for one in photographs}
    chain = {f"{patient}-{number}" for patient in "abcd" for number in range(2)}
    for seed in range(10):
        split = splits.Splitter(folds=2, seed=seed).make(photographs, sha256)
        assert chain <= set(split.train) or chain <= set(split.valid)


def test_copies_of_test_photographs_are_left_out_with_the_reason(graded):
    sha256 = own_files(graded)
    sha256["set/train/007"] = sha256["set/test/003"]
    split = splits.Splitter().make(graded, sha256)
    assert split.left_out == {
        "set/train/007": "byte-identical to set/test/003 of the test set"
    }
    assert "set/train/007" not in {*split.train, *split.valid, *split.test}


def test_other_photographs_of_test_patients_are_left_out_with_the_reason(graded):
    changed = {"set/train/007": "p", "set/train/008": "q", "set/test/003": "p"}
    photographs = [
        dataclasses.replace(one, patient=changed.get(one.id)) for one in graded
    ]
    split = splits.Splitter().make(photographs, own_files(photographs))
    assert split.left_out == {
        "set/train/007": "of the same patient as set/test/003 of the test set"
    }


def test_a_patient_known_only_through_a_copy_is_left_out_too(graded):
    changed = {"set/train/008": "p", "set/test/003": "p"}
    photographs = [
        dataclasses.replace(one, patient=changed.get(one.id)) for one in graded
    ]
    sha256 = own_files(photographs)
    sha256["set/train/007"] = sha256["set/train/008"]  # 007 names no patient.
    split = splits.Splitter().make(photographs, sha256)
    assert set(split.left_out) == {"set/train/007", "set/train/008"}


def test_the_publishers_validation_set_is_kept_and_kept_apart(graded):
    valid = {f"set/train/{number:03d}" for number in range(20)}
    photographs = [
        dataclasses.replace(one, split="valid") if one.id in valid else one
        for one in graded
    ]
    sha256 = own_files(photographs)
    sha256["set/train/100"] = sha256["set/train/005"]
    sha256["set/train/006"] = sha256["set/test/000"]
    split = splits.Splitter(fold=3).make(photographs, sha256)
    assert set(split.valid) == valid - {"set/train/006"}
    assert split.left_out == {
        "set/train/006": "byte-identical to set/test/000 of the test set",
        "set/train/100": "byte-identical to set/train/005 of the valid set",
    }
    assert len(split.train) == 200 - 20 - 1


def test_photographs_without_grades_are_stratified_by_any_dr():
    photographs = [make(f"{number}", any_dr=number % 4 == 0) for number in range(80)]
    split = splits.Splitter(folds=4).make(photographs, own_files(photographs))
    diseased = sum(int(one) % 4 == 0 for one in split.valid)
    assert (len(split.valid), diseased) == (20, 5)


def test_a_split_is_decided_by_its_seed_alone(graded):
    def split(seed):
        return splits.Splitter(seed=seed).make(graded, own_files(graded))

    assert split(0) == split(0)
    assert split(0).valid != split(1).valid


@pytest.mark.parametrize(("folds", "fold"), [(1, 0), (0, 0), (5, 5), (5, -1)])
def test_impossible_folds_are_an_error(folds, fold):
    with pytest.raises(
        ValueError, match=rf"between 0 and folds - 1\. Received: folds={folds}, fold="
    ):
        splits.Splitter(folds=folds, fold=fold)


def test_more_folds_than_patients_are_an_error():
    photographs = [make(f"{n}", grade=0, patient=str(n % 3)) for n in range(30)]
    with pytest.raises(ValueError, match="Received: 3 and 30 outside the test set"):
        splits.Splitter(folds=5).make(photographs, own_files(photographs))


def test_more_folds_than_photographs_of_any_grade_are_an_error():
    photographs = [make(f"{n}", grade=n % 5) for n in range(15)]
    with pytest.raises(ValueError, match=r"15 and 3 outside .* Lower `split\.folds`"):
        splits.Splitter(folds=4).make(photographs, own_files(photographs))


def test_a_patient_with_nearly_all_photographs_leaves_no_fold_empty():
    photographs = [
        make(f"{n}", grade=0, patient="a" if n < 30 else str(n)) for n in range(32)
    ]
    for fold in range(3):
        split = splits.Splitter(folds=3, fold=fold).make(
            photographs, own_files(photographs)
        )
        assert split.train and split.valid


def test_a_split_is_stored_once_and_read_ever_after(prepared, tmp_path, monkeypatch):
    split = splits.Splitter(folds=4, seed=11).split(prepared)
    (stored,) = (prepared.folder / "splits").glob("*-0-of-4-seed-11.json")
    content = stored.read_bytes()
    assert json.loads(content)["valid"] == list(split.valid)

    def changed(self, photographs, sha256):
        raise AssertionError("A stored split may not be derived again.")

    # As if a later version of the code, or of scikit-learn, split differently.
    monkeypatch.setattr(splits.Splitter, "make", changed)
    assert splits.Splitter(folds=4, seed=11).split(prepared) == split
    assert stored.read_bytes() == content


def test_each_fold_and_seed_has_a_file_of_its_own(prepared):
    made = {
        (fold, seed): splits.Splitter(folds=3, fold=fold, seed=seed).split(prepared)
        for fold in range(2)
        for seed in range(2)
    }
    for (fold, seed), split in made.items():
        assert splits.Splitter(folds=3, fold=fold, seed=seed).split(prepared) == split
    assert len({split.valid for split in made.values()}) == 4


def test_a_saved_split_is_read_back_equal(graded, tmp_path):
    sha256 = own_files(graded)
    sha256["set/train/007"] = sha256["set/test/003"]
    split = splits.Splitter().make(graded, sha256)
    split.save(tmp_path / "split.json")
    assert splits.Split.load(tmp_path / "split.json") == split
    assert split["train"] == split.train
    assert split["valid"] == split.valid
    assert split["test"] == split.test


@pytest.mark.parametrize(
    "content", ['{"train": ["a"', "[]", '{"train": [], "valid": [], "left_out": {}}']
)
def test_a_damaged_split_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"split\.json is damaged: .* Restore it: no"):
        splits.Split.load(path)


@pytest.fixture(scope="module")
def real(real_idrid):
    photographs = idrid.idrid().read(real_idrid)
    sha256 = {
        one.id: hashlib.sha256(one.path.read_bytes()).hexdigest() for one in photographs
    }
    return photographs, sha256


def test_of_idrid_the_one_copy_of_a_test_photograph_is_left_out(real):
    split = splits.Splitter().make(*real)
    assert split.left_out == {
        "idrid/train/IDRiD_118": "byte-identical to idrid/test/IDRiD_064 of the test "
        "set"
    }
    assert len(split.train) + len(split.valid) == 412
    assert len(split.test) == 103


def test_idrids_identical_pairs_are_never_separated(real):
    pairs = [("079", "279"), ("045", "333"), ("073", "375"), ("021", "391")]
    pairs.append(("028", "327"))
    for fold in range(5):
        split = splits.Splitter(folds=5, fold=fold).make(*real)
        valid = {one.removeprefix("idrid/train/IDRiD_") for one in split.valid}
        for first, second in pairs:
            assert (first in valid) == (second in valid)


def test_idrids_folds_have_the_shares_of_its_grades(real):
    photographs, sha256 = real
    grades = {one.id: one.grade for one in photographs}
    shares = np.array([134 - 1, 20, 136, 74, 49]) / 412  # 118, left out, has grade 0.
    for fold in range(5):
        split = splits.Splitter(folds=5, fold=fold).make(photographs, sha256)
        counts = np.bincount([grades[one] for one in split.valid], minlength=5)
        assert np.abs(counts - shares * len(split.valid)).max() <= 2
        assert len(split.valid) in range(80, 86)
