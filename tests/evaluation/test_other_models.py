import json
import pathlib

import numpy as np
import pytest
from sklearn import metrics

from evaluation import calibration, evaluate, operating_point, other_models
from input_pipeline import photograph, splits, tasks

FIXED = operating_point.Fixed()


@pytest.fixture
def write(tmp_path):
    """Writes a file, lines or bytes, and returns its path."""

    def file(*lines, name="theirs.csv"):
        path = tmp_path / name
        if isinstance(lines[0], bytes):
            path.write_bytes(lines[0])
        else:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return file


def read(path, task=None):
    return other_models.read(path, task or tasks.referable())


def given_for(audited, split, names, seed=0):
    """Id -> probability of disease, two decimals, of whole splits."""
    rng = np.random.default_rng(seed)
    ids = [key for name in names for key in split[name]]
    ill = {key: audited.collection.photograph(key).grade >= 2 for key in ids}
    return {
        key: f"{rng.uniform(0.2 * ill[key], 0.8 + 0.2 * ill[key]):.2f}" for key in ids
    }


def lines_of(given):
    return ["id,prob", *(f"{key},{value}" for key, value in given.items())]


def test_the_probability_of_disease_is_completed(write):
    table = read(write("id,prob", "a,0.3", "b,1", "c,0"))
    assert table.names == ["a", "b", "c"]
    assert table.lines == [2, 3, 4]
    assert table.probabilities.tolist() == [[1 - 0.3, 0.3], [0, 1], [1, 0]]


def test_a_column_a_class_is_read_in_any_order_beside_others(write):
    task = tasks.icdr_grades()
    table = read(
        write(
            "prob_4,note,prob_0,prob_1,id,prob_3,prob_2",
            '0.1,"a, b",0.5,0.2,x,0.1,0.1',
        ),
        task,
    )
    assert table.probabilities.tolist() == [[0.5, 0.2, 0.1, 0.1, 0.1]]
    both = read(write("id,prob_0,prob_1", "x,0.25,0.75"))
    assert both.probabilities.tolist() == [[0.25, 0.75]]


def test_a_byte_order_mark_and_a_spreadsheets_line_ends_are_read(write):
    path = write("id,prob\r\nä,0.5\r\n\r\n".encode("utf-8-sig"))
    assert read(path).names == ["ä"]


NOT_AS_DESCRIBED = {
    "semicolons": (
        ["id;prob", "a;0.5"],
        "line 1: .*Received: id;prob. Save it with commas: semicolons or tabs stand",
    ),
    "tabs": (["id\tprob", "a\t0.5"], "line 1: .*Received: id\tprob"),
    "no id": (["name,prob", "a,0.5"], "line 1: .*Received: name, prob"),
    "id twice": (["id,id,prob", "a,a,0.5"], "line 1: .*Received: id, id, prob"),
    "no probability": (["id,p", "a,0.5"], "columns id, prob_0, prob_1 or id, prob"),
    "one class": (["id,prob_0", "a,1"], "line 1: .*Received: id, prob_0"),
    "a class too many": (
        ["id,prob_0,prob_1,prob_2", "a,0.2,0.3,0.5"],
        "or choose the task that the model answers",
    ),
    "both kinds": (["id,prob,prob_0,prob_1", "a,1,0,1"], "line 1: "),
    "no header": (["a,0.5", "b,0.5"], "line 1: .*Received: a, 0.5"),
    "an empty line first": (["", "id,prob", "a,0.5"], "line 1: .*Received: nothing"),
    "no rows": (["id,prob"], "has a header and no rows"),
    "nothing": ([""], "line 1: .*Received: nothing"),
    "a cell too few": (
        ["id,prob", "a"],
        "line 2: the row must have a cell .*Received: a.",
    ),
    "a cell too many": (
        ["id,prob", "a,0,5"],
        "line 2: the row must .*Received: a, 0, 5.",
    ),
    "repeated": (
        ["id,prob", "a,0.5", "b,0.5", "a,0.5"],
        "line 4: a was in line 2 already",
    ),
    "NaN": (
        ["id,prob", "a,nan"],
        "line 2: `prob` must be a probability.*Received: 'nan'",
    ),
    "infinite": (["id,prob", "a,inf"], "line 2: .*Received: 'inf'"),
    "negative": (["id,prob", "a,-0.1"], "line 2: .*Received: '-0.1'"),
    "a percentage": (["id,prob", "a,73"], "neither logits nor percentages"),
    "empty": (["id,prob", "a,"], "line 2: .*Received: ''"),
    "a decimal comma": (["id,prob", 'a,"0,5"'], "line 2: .*Received: '0,5'"),
    "a wrong sum": (
        ["id,prob_0,prob_1", "a,0.3,0.6999", "b,0.3,0.6998"],
        "line 3: the probabilities must sum to 1, to 0.0001. Received: 0.9998",
    ),
    "an open quote": (["id,prob", 'a,"0.5', "b,0.5"], "not a CSV file in UTF-8: "),
}


@pytest.mark.parametrize(
    ("lines", "message"), NOT_AS_DESCRIBED.values(), ids=NOT_AS_DESCRIBED
)
def test_a_file_that_is_not_as_described_is_an_error_with_its_line(
    write, lines, message
):
    with pytest.raises(ValueError, match=rf"theirs\.csv.*{message}"):
        read(write(*lines))


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\x00\x00\xff",
        "id,prob\na,0.5\n".encode("utf-16"),
        b"PK\x03\x04\xff",
    ],
    ids=["a picture", "UTF-16", "a spreadsheet"],
)
def test_what_is_no_text_is_refused(write, content):
    with pytest.raises(ValueError, match=r"line 1: not a CSV file in UTF-8: .*Save it"):
        read(write(content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"Name a CSV with the columns id, pro"
        ):
            read(path)


SOME = [
    photograph.Photograph(id=f"set/{key}", path=pathlib.Path(f"x/{key}.jpg"))
    for key in (
        "train/a",
        "train/b",
        "train/c",
        "valid/a",
        "valid/v",
        "test/a",
        "test/t",
    )
]
SPLIT = splits.Split(
    train=("set/train/a", "set/train/b"),
    valid=("set/valid/a", "set/valid/v"),
    test=("set/test/a", "set/test/t"),
    left_out={"set/train/c": "a copy of set/train/b, which is kept"},
)


def identify(path, *evaluated):
    return other_models.identify(read(path), SOME, SPLIT, evaluated)


def test_photographs_are_put_in_the_order_of_their_split(write):
    path = write(
        "id,prob",
        "set/test/t,0.1",
        "set/valid/v,0.2",
        "set/valid/a,0.3",
        "set/test/a,0.4",
    )
    found = identify(path, "test", "valid")
    assert list(found) == ["test", "valid"]
    assert found["test"][:, 1].tolist() == [0.4, 0.1]
    assert found["valid"][:, 1].tolist() == [0.3, 0.2]


def test_a_file_name_is_enough_where_one_evaluated_photograph_has_it(write):
    found = identify(write("id,prob", "t,0.1", "a,0.4"), "test")
    assert found["test"][:, 1].tolist() == [0.4, 0.1]
    path = write("id,prob", "t,0.1", "set/test/a,0.4", "v,0.5", "set/valid/a,0.6")
    assert identify(path, "valid", "test")["valid"][:, 1].tolist() == [0.6, 0.5]


def test_the_ending_of_an_image_file_is_no_part_of_a_name(write):
    path = write("id,prob", "t.jpg,0.1", "set/test/a.PNG,0.4")
    other_models.check_known(read(path), SOME)
    assert identify(path, "test")["test"][:, 1].tolist() == [0.4, 0.1]
    twice = write("id,prob", "t.jpg,0.1", "set/test/a,0.4", "a.tif,0.4")
    with pytest.raises(ValueError, match=r"line 4: set/test/a was in line 3 already"):
        identify(twice, "test")
    with pytest.raises(ValueError, match=r"Received: 't\.csv'"):
        other_models.check_known(read(write("id,prob", "t.csv,0.1")), SOME)


def test_validation_photographs_may_be_there_though_they_are_not_evaluated(write):
    path = write("id,prob", "a,0.1", "t,0.2", "set/valid/a,0.3", "set/valid/v,0.4")
    assert list(identify(path, "test")) == ["test", "valid"]


WRONG_PHOTOGRAPHS = {
    "ambiguous": (
        ["a,0.1"],
        ["valid", "test"],
        "line 2: 'a' may be set/valid/a or set/test/a. Write the id",
    ),
    "missing": (
        ["set/test/a,0.1"],
        ["test"],
        "must have all 2 photographs of 'test'. Missing: 1, the first set/test/t",
    ),
    "one by two names": (
        ["a,0.1", "set/test/a,0.1"],
        ["test"],
        "line 3: set/test/a was in line 2 already",
    ),
    "a part of validation": (
        ["a,0.1", "t,0.1", "set/valid/a,0.1"],
        ["test"],
        "photographs of 'valid'. Missing: 1",
    ),
    "of another split": (
        ["a,0.1", "set/train/b,0.1", "set/train/a,0.1"],
        ["test"],
        "line 3: .*Received: 'set/train/b', which is in 'train'; there are 2 such rows",
    ),
    "of another split by name": (
        ["a,0.1", "v,0.1"],
        ["test"],
        "line 3: .*Received: 'v', which is in none of them",
    ),
    "left out": (
        ["set/train/c,0.1"],
        ["train"],
        "which is left out: a copy of set/train/b",
    ),
}


@pytest.mark.parametrize(
    ("rows", "evaluated", "message"), WRONG_PHOTOGRAPHS.values(), ids=WRONG_PHOTOGRAPHS
)
def test_other_photographs_than_those_evaluated_are_refused(
    write, rows, evaluated, message
):
    with pytest.raises(ValueError, match=message):
        identify(write("id,prob", *rows), *evaluated)


def test_a_split_without_photographs_cannot_be_evaluated(write):
    table = read(write("id,prob", "t,0.1", "set/test/a,0.1"))
    empty = splits.Split(train=(), valid=(), test=SPLIT.test, left_out={})
    with pytest.raises(ValueError, match=r"no photographs in 'train'\. Take it out of"):
        other_models.identify(table, SOME, empty, ["test", "train"])


def test_a_name_of_nothing_is_refused_with_what_comes_near(write):
    other_models.check_known(read(write("id,prob", "set/train/a,0.1", "t,0.1")), SOME)
    message = (
        r"line 3: `id` must name .*, as in 'set/train/a', .*"
        r"Received: 'set/tset/t'\. Did you mean 'set/test/t'"
    )
    with pytest.raises(ValueError, match=message):
        other_models.check_known(
            read(write("id,prob", "t,0.1", "set/tset/t,0.1")), SOME
        )
    with pytest.raises(ValueError, match=r"Received: 'IDRiD_001'\.$"):
        other_models.check_known(read(write("id,prob", "IDRiD_001,0.1")), SOME)


def evaluated(table, audited, split, folder, *, task=None, **settings):
    evaluator = evaluate.Evaluator(**{"resamples": 100} | settings)
    task = task or tasks.referable()
    said, decided = other_models.decide(table, evaluator, task, audited, split)
    other_models.write(table, evaluator, task, said, decided, folder)
    return json.loads((folder / "metrics.json").read_text())


def test_the_figures_are_scikit_learns_on_the_given_file(
    write, audited, split, tmp_path
):
    given = given_for(audited, split, ["test"])
    table = read(write(*lines_of(given)))
    content = evaluated(table, audited, split, tmp_path, splits=("test",))
    ill = [audited.collection.photograph(key).grade >= 2 for key in given]
    disease = np.array([float(one) for one in given.values()])
    called = disease >= 0.5
    scores = content["results"]["test"]["metrics"]
    expected = {
        "auc": metrics.roc_auc_score(ill, disease),
        "accuracy": metrics.accuracy_score(ill, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(ill, called),
        "sensitivity": metrics.recall_score(ill, called),
        "brier": metrics.brier_score_loss(ill, disease),
        "log_loss": metrics.log_loss(ill, disease),
    }
    for name, value in expected.items():
        assert scores[name]["value"] == pytest.approx(value, abs=1e-12), name


def test_five_classes_are_decided_by_the_most_probable(write, audited, split, tmp_path):
    rng = np.random.default_rng(1)
    given = rng.dirichlet(np.ones(5), len(split.test)).round(6)
    rows = [
        f"{key},{','.join(map(str, row))}"
        for key, row in zip(split.test, given, strict=True)
    ]
    task = tasks.icdr_grades()
    table = read(write("id,prob_0,prob_1,prob_2,prob_3,prob_4", *rows), task)
    content = evaluated(table, audited, split, tmp_path, task=task, splits=("test",))
    grades = [audited.collection.photograph(key).grade for key in split.test]
    scores = content["results"]["test"]["metrics"]
    kappa = metrics.cohen_kappa_score(grades, given.argmax(axis=1), weights="quadratic")
    assert scores["quadratic_kappa"]["value"] == pytest.approx(kappa, abs=1e-12)
    recall = metrics.recall_score(
        np.array(grades) >= 2, given[:, 2:].sum(axis=1) >= 0.5
    )
    assert scores["sensitivity"]["value"] == pytest.approx(recall, abs=1e-12)


def test_without_validation_nothing_is_chosen_and_that_is_said(
    write, audited, split, tmp_path
):
    table = read(write(*lines_of(given_for(audited, split, ["test"]))))
    content = evaluated(table, audited, split, tmp_path, splits=("test",))
    decided = content["decision"]
    assert decided["calibration"] is None
    assert decided["operating_point"]["threshold"] == 0.5
    text = evaluate.report(content)
    assert "Threshold 0.500 on the probability of disease: fixed beforehand." in text
    assert (
        "uncalibrated. No temperature calibration: no validation photograph is" in text
    )
    assert json.loads((tmp_path / "source.json").read_text()) == table.source()


def test_a_rule_that_needs_validation_photographs_is_not_replaced_in_silence():
    with pytest.raises(
        ValueError, match=r"Received: Youden\(\)\. Add them to the file, or"
    ):
        other_models.choose(operating_point.Youden(), None, tasks.referable(), None)


VALIDATED = (
    np.array([0, 0, 0, 0, 1, 1, 1, 1]),
    np.array([[1 - p, p] for p in (0.05, 0.1, 0.3, 0.95, 0.02, 0.6, 0.9, 0.97)]),
)


def test_a_threshold_is_chosen_on_the_files_own_validation_predictions():
    rule = operating_point.SensitivityAtLeast(value=0.7)
    decided = other_models.choose(rule, None, tasks.referable(), VALIDATED)
    # 3 of 4 diseased from 0.6 on, and 3 of 4 healthy below: between 0.3 and 0.6.
    assert decided.threshold == pytest.approx(0.45)
    assert decided.chosen_on == "8 validation photographs"
    assert decided.note is None
    point = decided.operating_point
    assert (point.sensitivity, point.specificity) == (0.75, 0.75)


def test_the_temperature_is_that_of_the_logits_behind_the_probabilities():
    labels, given = VALIDATED
    decided = other_models.choose(FIXED, "temperature", tasks.referable(), VALIDATED)
    logits = np.stack([np.zeros(8), np.log(given[:, 1] / given[:, 0])], axis=1) + 3
    expected = calibration.fit_temperature(labels, logits)
    assert decided.calibration.temperature == pytest.approx(
        expected.temperature, rel=1e-6
    )
    reported = other_models.reported(decided, given)
    np.testing.assert_allclose(reported, expected.apply(logits), atol=1e-7)


def test_without_a_calibration_probabilities_stay_to_the_last_bit():
    """Or 0.3 would fall below a threshold of 0.3."""
    decided = other_models.choose(
        operating_point.Fixed(threshold=0.3), None, tasks.referable(), VALIDATED
    )
    given = VALIDATED[1]
    assert other_models.reported(decided, given) is given
    # 0.3 is called diseased, beside 0.95; of the diseased all but 0.02.
    point = decided.operating_point
    assert (point.sensitivity, point.specificity) == (0.75, 0.5)


def test_certain_probabilities_can_be_calibrated():
    labels, given = VALIDATED[0], VALIDATED[1].round()
    decided = other_models.choose(
        FIXED, "temperature", tasks.referable(), (labels, given)
    )
    reported = other_models.reported(decided, given)
    # Of 8 certain calls 2 are wrong: the likeliest certainty is 6 in 8.
    np.testing.assert_allclose(reported.max(axis=1), 0.75, atol=1e-4)


def test_one_class_alone_leaves_figures_undefined_and_says_why(
    write, audited, split, tmp_path
):
    healthy = tuple(
        key for key in split.test if audited.collection.photograph(key).grade < 2
    )
    few = splits.Split(split.train, split.valid, healthy, split.left_out)
    table = read(write("id,prob", *(f"{key},0.2" for key in healthy)))
    content = evaluated(table, audited, few, tmp_path, splits=("test",))
    scores = content["results"]["test"]["metrics"]
    assert scores["auc"]["value"] is None and "disease" in scores["auc"]["reason"]
    assert scores["specificity"]["value"] == 1.0


def test_a_folder_with_the_results_of_another_file_is_refused(
    write, audited, split, tmp_path
):
    given = given_for(audited, split, ["test"])
    table = read(write(*lines_of(given)))
    other_models.check_source(table, tmp_path)
    evaluated(table, audited, split, tmp_path, splits=("test",))
    other_models.check_source(table, tmp_path)
    changed = read(write(*lines_of(given), ""))
    with pytest.raises(
        ValueError, match=r"has the results of theirs\.csv with the check"
    ):
        other_models.check_source(changed, tmp_path)
