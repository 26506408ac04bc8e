import csv

import numpy as np
import pytest

from evaluation import predictions

NAMES = ("healthy, or nearly", "ill")


def make(split="valid", patient="", metadata=True, count=3, disagree=(), grade=""):
    rng = np.random.default_rng(len(split))
    probabilities = rng.dirichlet((1, 1), count)
    known = {name: [""] * count for name in predictions.KNOWN}
    known["dataset"] = ["idrid"] * count
    known["patient"] = [patient] * count
    known["grade"] = [grade] * count
    return predictions.Predictions(
        split=split,
        ids=[f"idrid/{split}/{number}" for number in range(count)],
        labels=np.arange(count) % 2,
        probabilities=probabilities,
        uncalibrated=rng.dirichlet((1, 1), count),
        logits=rng.normal(size=(count, 2)).astype(np.float32),
        metadata=rng.dirichlet((1, 1), count) if metadata else None,
        known=known,
        disagreement={name: rng.random(count) for name in disagree},
    )


@pytest.mark.parametrize("metadata", [True, False])
def test_predictions_are_read_back_to_the_last_bit(tmp_path, metadata):
    path = tmp_path / "predictions.csv"
    written = [make("valid", metadata=metadata), make("test", "p", metadata=metadata)]
    predictions.write_csv(path, written, NAMES)
    read = predictions.read_csv(path, NAMES)
    assert list(read) == ["valid", "test"]
    for one in written:
        found = read[one.split]
        assert list(found.ids) == one.ids
        assert found.known == one.known
        for name in ("labels", "probabilities", "uncalibrated", "logits", "metadata"):
            np.testing.assert_array_equal(getattr(found, name), getattr(one, name))
    assert list(tmp_path.iterdir()) == [path]


def test_what_several_answers_disagree_on_is_read_back_too(tmp_path):
    path = tmp_path / "predictions.csv"
    one = make(disagree=("spread", "mutual_information"))
    predictions.write_csv(path, [one], NAMES)
    found = predictions.read_csv(path, NAMES)["valid"].disagreement
    assert list(found) == ["spread", "mutual_information"]
    for name, values in one.disagreement.items():
        np.testing.assert_array_equal(found[name], values)
    some = one.take(np.array([False, True, True])).disagreement
    np.testing.assert_array_equal(some["spread"], one.disagreement["spread"][1:])


def test_a_row_says_in_named_columns_what_the_model_said(tmp_path):
    path = tmp_path / "predictions.csv"
    one = make()
    predictions.write_csv(path, [one], NAMES)
    with open(path, newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert (row["id"], row["split"], row["label"]) == ("idrid/valid/0", "valid", "0")
    assert float(row["probability ill"]) == one.probabilities[0, 1]
    assert float(row["logit 1"]) == one.logits[0, 1]
    assert row["predicted"] == str(one.probabilities[0].argmax())


def test_patients_of_different_datasets_share_no_name():
    assert make(patient="7").patients == ["idrid/7"] * 3
    assert make(patient="").patients is None


def test_some_photographs_are_taken_with_all_that_is_known_of_them():
    one = make(patient="p")
    some = one.take(np.array([True, False, True]))
    assert some.ids == ["idrid/valid/0", "idrid/valid/2"]
    np.testing.assert_array_equal(some.logits, one.logits[[0, 2]])
    assert some.known["patient"] == ["p", "p"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("probability ill", "probability sick", r"Missing columns: \['probability ill"),
        ("idrid/valid/1", "idrid/valid/0", r"has a photograph of 'valid' twice"),
        (
            "valid,1",
            "valid,x",
            r"line 3: `label` must be a finite number\. Received: 'x",
        ),
        ("idrid,3", "idrid,7", r"line 2: `grade` must be an ICDR grade, 0-4, .*'7'"),
    ],
)
def test_a_damaged_file_is_an_error_that_says_where(tmp_path, old, new, message):
    path = tmp_path / "predictions.csv"
    predictions.write_csv(path, [make(grade="3")], NAMES)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        predictions.read_csv(path, NAMES)


def test_a_file_of_before_has_no_grades(tmp_path):
    path = tmp_path / "predictions.csv"
    predictions.write_csv(path, [make(grade="3")], NAMES)
    assert predictions.read_csv(path, NAMES)["valid"].known["grade"] == ["3"] * 3
    path.write_text(
        path.read_text().replace(",grade,", ",").replace("idrid,3", "idrid")
    )
    assert predictions.read_csv(path, NAMES)["valid"].known["grade"] == [""] * 3


def test_no_file_is_an_error_with_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the run is not evaluated\. Evaluate"):
        predictions.read_csv(tmp_path / "predictions.csv", NAMES)
