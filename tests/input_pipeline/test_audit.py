import collections
import csv
import json
import pathlib
import shutil

import cv2
import pytest

from input_pipeline import audit, audit_findings, photograph, prepare, splits, tasks
from input_pipeline.datasets import csv_file, dataset, idrid

TRAIN = "B. Disease Grading/1. Original Images/a. Training Set"
TEST = "B. Disease Grading/1. Original Images/b. Testing Set"
LABELS = (
    "B. Disease Grading/2. Groundtruths/a. IDRiD_Disease Grading_Training Labels.csv"
)


def reduced(path, width, quality):
    """The same photograph, smaller and compressed harder."""
    image = cv2.imread(str(path))
    size = (width, round(image.shape[0] * width / image.shape[1]))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def grades_of(folder):
    with open(folder / LABELS, newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {row[0]: int(row[1]) for row in rows if row[0]}


@pytest.fixture(scope="module")
def leaky(idrid_like, tmp_path_factory):
    """Drawn photographs with three planted copies, and what they are."""
    folder = shutil.copytree(idrid_like, tmp_path_factory.mktemp("leaky") / "idrid")
    by_grade = collections.defaultdict(list)
    for name, grade in grades_of(folder).items():
        by_grade[grade].append(name)
    # Byte-identical to a test photograph; a re-encoded copy with the same grade; and
    # one with another.
    leak = by_grade[4][0]
    shutil.copy2(folder / TEST / "IDRiD_003.jpg", folder / TRAIN / f"{leak}.jpg")
    first, second = by_grade[0][:2]
    copied = reduced(folder / TRAIN / f"{first}.jpg", 400, 75)
    (folder / TRAIN / f"{second}.jpg").write_bytes(copied)
    mild, severe = by_grade[1][0], by_grade[3][0]
    copied = reduced(folder / TRAIN / f"{mild}.jpg", 300, 90)
    (folder / TRAIN / f"{severe}.jpg").write_bytes(copied)
    ids = [f"drawn/train/{name}" for name in (leak, first, second, mild, severe)]
    return folder, ids


@pytest.fixture(scope="module")
def leaky_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared_leaky")


@pytest.fixture(scope="module")
def leaky_prepared(leaky, preparation, leaky_dir):
    return preparation.run({"drawn": leaky[0]}, leaky_dir)


@pytest.fixture(scope="module")
def leaky_audit(leaky_prepared, leaky_dir):
    return audit.Auditor().run(leaky_prepared, leaky_dir)


def test_planted_copies_are_found_and_nothing_else(leaky, leaky_audit):
    leak, first, second, mild, severe = leaky[1]
    found = {
        (one["kind"], frozenset((one["first"], one["second"])))
        for one in leaky_audit.findings["copies"]
    }
    assert found == {
        ("byte_identical", frozenset((leak, "drawn/test/IDRiD_003"))),
        ("near_identical", frozenset((first, second))),
        ("near_identical", frozenset((mild, severe))),
    }


def test_every_decision_is_listed_with_its_reason(leaky, leaky_audit):
    leak, first, second, mild, severe = leaky[1]
    left_out = leaky_audit.findings["left_out"]
    assert left_out.keys() == {leak, max(first, second), mild, severe}
    assert left_out[leak]["reason"] == "a copy of drawn/test/IDRiD_003 of the test set"
    assert left_out[mild]["kind"] == left_out[severe]["kind"] == "conflict"


def test_the_certificate_counts_what_was_compared_found_and_done(leaky_audit):
    certificate = json.loads((leaky_audit.folder / "leakage.json").read_text())
    assert certificate["compared"]["photographs"] == 52
    assert certificate["compared"]["pairs"] == 52 * 51 // 2
    assert certificate["found"] == {
        "byte_identical_pairs": 1,
        "near_identical_pairs": 2,
        "renamed_pairs": 0,
        "pairs_across_splits": 1,
        "contradictory_pairs": 1 + len(leaky_audit.findings["disputed"]),
        "patients_across_splits": 0,
    }
    assert certificate["left_out"] == {"leak": 1, "copy": 1, "conflict": 2}
    assert certificate["kept"] == {"train": 36, "test": 12}


def test_an_audit_is_made_once_and_found_again(leaky_prepared, leaky_dir, leaky_audit):
    before = {path: path.stat().st_mtime_ns for path in leaky_audit.folder.iterdir()}
    again = audit.Auditor().run(leaky_prepared, leaky_dir)
    after = {path: path.stat().st_mtime_ns for path in leaky_audit.folder.iterdir()}
    assert again.folder == leaky_audit.folder
    assert after == before


def test_another_policy_is_another_audit(leaky, leaky_prepared, leaky_dir, leaky_audit):
    keeping = audit.Auditor(copies="keep_all", conflicting_copies="keep_all")
    kept = keeping.run(leaky_prepared, leaky_dir)
    assert kept.folder != leaky_audit.folder
    assert set(kept.decisions.left_out) == {leaky[1][0]}
    # Copies that are kept still stay on one side.
    groups = kept.decisions.groups
    assert groups[leaky[1][1]] == groups[leaky[1][2]]


@pytest.fixture
def own_audit(leaky_audit, tmp_path):
    """An audit's folder of one test's own."""
    return shutil.copytree(leaky_audit.folder, tmp_path / leaky_audit.folder.name)


def test_an_audit_without_a_certificate_is_no_audit(own_audit, leaky_prepared):
    (own_audit / "leakage.json").unlink()
    with pytest.raises(ValueError, match=r"There is no certificate .*leakage\.json: "):
        audit.Audit(leaky_prepared, own_audit)


def test_a_certificate_of_other_photographs_is_refused(own_audit, prepared):
    with pytest.raises(ValueError, match=r"is not of these photographs: of 'drawn' it"):
        audit.Audit(prepared, own_audit)


@pytest.mark.parametrize(
    "content", ["null", "[]", "{}", '{"datasets": 3}', '{"datasets": []}', '{"half']
)
def test_a_damaged_certificate_is_an_error_that_names_it(
    own_audit, leaky_prepared, content
):
    (own_audit / "leakage.json").write_text(content)
    with pytest.raises(ValueError, match=r"leakage\.json is damaged: "):
        audit.Audit(leaky_prepared, own_audit)


def test_a_certificate_that_does_not_fit_is_made_anew_once_it_is_removed(
    own_audit, leaky_prepared, tmp_path
):
    path = own_audit / "leakage.json"
    certificate = json.loads(path.read_text())
    certificate["datasets"][0]["fingerprint"] = "0" * 16
    path.write_text(json.dumps(certificate))
    with pytest.raises(ValueError, match=r"Beside an audit, remove it: --mode=prepare"):
        audit.Auditor().run(leaky_prepared, tmp_path)
    path.unlink()
    assert audit.Auditor().run(leaky_prepared, tmp_path).folder == own_audit


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_findings_that_are_not_the_certified_ones_are_refused(
    own_audit, leaky_prepared, leaky, damage
):
    path = own_audit / "audit.json"
    if damage == "gone":
        path.unlink()
    else:
        findings = json.loads(path.read_text())
        del findings["left_out"][leaky[1][0]]  # Let a leak in.
        path.write_text(json.dumps(findings))
    with pytest.raises(
        ValueError, match=r"audit\.json is missing or not the file that"
    ):
        audit.Audit(leaky_prepared, own_audit)


def test_an_audit_that_was_killed_is_made_again(own_audit, leaky_prepared, tmp_path):
    certificate = (own_audit / "leakage.json").read_bytes()
    (own_audit / "leakage.json").unlink()
    (own_audit / "audit.json").write_text('{"half')
    again = audit.Auditor().run(leaky_prepared, tmp_path)
    assert again.folder == own_audit
    assert (own_audit / "leakage.json").read_bytes() == certificate


# Several datasets.


@pytest.fixture(scope="module")
def clinic(idrid_like, tmp_path_factory):
    """A set of one's own: four drawn photographs, one of them IDRiD's, re-encoded."""
    folder = tmp_path_factory.mktemp("clinic")
    rows = ["path,grade,patient"]
    for number, name in enumerate(("IDRiD_001", "IDRiD_002", "IDRiD_005")):
        path = idrid_like / TEST / f"{name}.jpg"
        (folder / f"{number}.jpg").write_bytes(reduced(path, 500, 85))
        rows.append(f"{number}.jpg,{number},p{number}")
    copied = reduced(idrid_like / TRAIN / "IDRiD_007.jpg", 450, 80)
    (folder / "3.jpg").write_bytes(copied)
    rows.append(f"3.jpg,{grades_of(idrid_like)['IDRiD_007']},p3")
    (folder / "photographs.csv").write_text("\n".join(rows))
    return folder


def test_copies_are_found_across_datasets_and_each_photograph_keeps_its_origin(
    idrid_like, clinic, tmp_path
):
    # Without its test set, so that the other dataset is the only one that tests.
    def read(data_dir):
        photographs = idrid.idrid(name="drawn").read(data_dir)
        return [one for one in photographs if one.split == "train"]

    training = dataset.Dataset(name="drawn", tree="", read=read)
    preparation = prepare.Preparation(
        datasets=[training, csv_file.csv_file(name="clinic")], image_size=64
    )
    collection = preparation.run({"drawn": idrid_like, "clinic": clinic}, tmp_path)
    assert collections.Counter(one.origin for one in collection.photographs) == {
        "drawn": 40,
        "clinic": 4,
    }
    audited = audit.Auditor(test_on=["clinic"]).run(collection, tmp_path)
    split = splits.Splitter().split(audited)
    assert split.test == tuple(f"clinic/{number}" for number in range(4))
    assert split.left_out == {
        "drawn/train/IDRiD_007": "a copy of clinic/3 of the test set"
    }
    names = {path.name.partition("-")[0] for path in tmp_path.iterdir()}
    assert names == {"drawn", "clinic", "audit"}


def test_a_dataset_is_prepared_once_for_all_experiments(
    idrid_like, clinic, tmp_path, preparation
):
    preparation.run({"drawn": idrid_like}, tmp_path)
    (folder,) = tmp_path.iterdir()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    both = prepare.Preparation(
        datasets=[*preparation.datasets, csv_file.csv_file(name="clinic")],
        image_size=64,
    )
    collection = both.run({"clinic": clinic}, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(collection.photographs) == 56


def test_patients_of_a_dataset_that_only_tests_are_on_one_side():
    photographs = [
        photograph.Photograph(
            id=f"{origin}/{split}",
            path=pathlib.Path("1.jpg"),
            grade=0,
            patient="p",
            split=split,
        )
        for origin in "ab"
        for split in ("train", "test")
    ]
    assert audit_findings._patients_across_splits(photographs, []) == ["a/p", "b/p"]
    assert audit_findings._patients_across_splits(photographs, ["b"]) == ["a/p"]


# The real photographs.


@pytest.fixture(scope="module")
def real_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared_real")


@pytest.fixture(scope="module")
def real(real_idrid, real_dir) -> audit.Audit:
    preparation = prepare.Preparation(
        datasets=[idrid.idrid(), idrid.idrid_segmentation()], image_size=64
    )
    folders = {"idrid": real_idrid, "idrid_segmentation": real_idrid}
    collection = preparation.run(folders, real_dir)
    return audit.Auditor().run(collection, real_dir)


KNOWN = {
    ("train/IDRiD_079", "train/IDRiD_279"): None,
    ("train/IDRiD_045", "train/IDRiD_333"): None,
    ("train/IDRiD_073", "train/IDRiD_375"): None,
    ("train/IDRiD_021", "train/IDRiD_391"): "grade 1 and 2",
    ("train/IDRiD_028", "train/IDRiD_327"): "grade 4 and 3",
    ("train/IDRiD_118", "test/IDRiD_064"): "grade 0 and 3",
}


def test_in_idrid_exactly_the_six_known_pairs_are_found(real):
    found = {
        (one["first"].removeprefix("idrid/"), one["second"].removeprefix("idrid/")): one
        for one in real.findings["copies"]
        if one["second"].startswith("idrid/")
    }
    assert {pair: one["conflict"] for pair, one in found.items()} == KNOWN
    assert {one["kind"] for one in found.values()} == {"byte_identical"}


def test_idrids_two_parts_share_exactly_the_known_45_photographs(real, real_idrid):
    with open(real_idrid / "segmentation_to_grading.csv", newline="") as file:
        twins = {
            (
                f"idrid/{row['grading_split']}/{row['grading_id']}",
                f"idrid_segmentation/train/{row['segmentation_id']}",
            )
            for row in csv.DictReader(file)
            if row["grading_id"]
        }
    found = {
        (one["first"], one["second"])
        for one in real.findings["copies"]
        if one["second"].startswith("idrid_segmentation/")
    }
    assert len(twins) == 45
    assert found == twins


def test_of_idrid_eight_training_photographs_are_left_out(real):
    kinds = collections.Counter(
        one["kind"]
        for key, one in real.findings["left_out"].items()
        if key.startswith("idrid/")
    )
    assert kinds == {"leak": 1, "copy": 3, "conflict": 4}
    assert real.certificate["kept"] == {"train": 405, "test": 103}
    for task in (tasks.referable(), tasks.icdr_grades(), tasks.any_dr()):
        assert real.disputed(task) == ["idrid/test/IDRiD_064"]
    assert real.findings["disputed"] == ["idrid/test/IDRiD_064"]


def test_idrids_folds_have_the_shares_of_its_grades(real):
    grades = {one.id: one.grade for one in real.collection.photographs}
    kept = [key for key, name in real.decisions.split.items() if name == "train"]
    counts = collections.Counter(grades[one] for one in kept)
    for fold in range(5):
        split = splits.Splitter(folds=5, fold=fold).split(real)
        found = collections.Counter(grades[one] for one in split.valid)
        for grade, count in counts.items():
            assert abs(found[grade] - count / 5) <= 2
        assert not set(split.valid) & set(split.train)
