"""Evaluations on another site are changed in one place after another: each is found."""

import hashlib
import json
import re
import shutil

import pytest

from tests.evaluation import trained_runs
from tests.evaluation.trained_runs import edit_json

ON_SITE = ("evaluate.on = [@site/csv_file()]", "site/csv_file.name = 'site'")
SAMPLE = (
    "evaluate.recalibrate = @recalibration()",
    "recalibration.photographs = 6",
    "recalibration.rule = @sensitivity_assured()",
    "sensitivity_assured.value = 0.5",
    "sensitivity_assured.confidence = 0.7",
)
PASSES = "evaluate.dropout_samples = 3"
PLAIN = "evaluate/valid-test-operating_point-Youden-resamples-100-on-site"


@pytest.fixture(scope="module")
def start(tmp_path_factory, own_prepared_dir, idrid_like, drawn_site):
    """Does what a command does: `start("run", folder, "train.seed = 3", ...)`."""
    folder = tmp_path_factory.mktemp("gin")

    def run(mode, run_dir, *lines, include=""):
        youden = "evaluate.operating_point = @youden()"
        data_dirs = {"drawn": idrid_like, "site": drawn_site[0]}
        return trained_runs.start(
            mode,
            run_dir,
            *lines,
            gin_file=trained_runs.write_gin(folder, youden, include=include),
            data_dirs=data_dirs if ON_SITE[0] in lines else {"": idrid_like},
            prepared_dir=own_prepared_dir,
        )

    return run


@pytest.fixture(scope="module")
def evaluated_once(start, trained_run, tmp_path_factory):
    """A run that was evaluated on another site, and so again with all that there is."""
    folder = shutil.copytree(trained_run, tmp_path_factory.mktemp("runs") / "tiny")
    start("run", folder)
    start("evaluate", folder, *ON_SITE)
    start("evaluate", folder, *ON_SITE, *SAMPLE, PASSES)
    return folder


@pytest.fixture
def evaluated(evaluated_once, tmp_path):
    """The same, of one test's own."""
    return shutil.copytree(evaluated_once, tmp_path / "tiny")


@pytest.fixture
def full(evaluated):
    """The folder of the evaluation with passes and a threshold of the site's own."""
    (folder,) = (
        one for one in (evaluated / "evaluate").iterdir() if "recalibrate" in one.name
    )
    return folder


def edit_csv(folder, change, split="site"):
    """Changes the first row of a split; what follows from a checksum is not asked."""
    trained_runs.edit_csv(
        folder / "predictions.csv",
        lambda rows: change(next(row for row in rows if row["split"] == split), rows),
    )


def renew_checksums(folder):
    """As one would who changes a file and the checksums of it."""
    path = folder / "metrics.json"
    content = json.loads(path.read_text())
    for name, file in (
        ("predictions_sha256", "predictions.csv"),
        ("external_sha256", "external.json"),
    ):
        content[name] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    path.write_text(json.dumps(content))
    (folder / "report.html").unlink()


def test_an_untouched_evaluation_on_another_site_agrees(start, evaluated, full):
    said = start("verify", evaluated)
    name = full.relative_to(evaluated)
    for line in (
        f"{PLAIN}/external.json: 15 photographs of site, as metrics.json counts them.",
        f"{PLAIN}/decision.json: chosen again on 8 validation photographs.",
        f"{PLAIN}/decision.json: the run's own.",
        f"{name}/local/site/decision.json: chosen again on 6 labelled photographs of "
        "site.",
        f"{name}/metrics.json: every number follows from predictions.csv.",
        "ledger.jsonl: readings of the test photographs: 2, of site: 2.",
    ):
        assert f"{line}\n" in said
    assert "; the photographs of split.json and external.json, in order.\n" in said


def test_a_run_with_other_datasets_from_the_start_agrees(start, tmp_path):
    """With the outputs whose logits are not one a class."""
    for name in ("ordinal", "regression"):
        lines = f"include 'tasks/icdr_grades.gin'\ninclude 'outputs/{name}.gin'"
        start("run", tmp_path / name, *ON_SITE, *SAMPLE, PASSES, include=lines)
        said = start("verify", tmp_path / name, include=lines)
        for line in (
            "decision.json: chosen again on 8 validation photographs.",
            "local/site/decision.json: chosen again on 6 labelled photographs of site.",
            "metrics.json: every number follows from predictions.csv.",
            "ledger.jsonl: readings of the test photographs: 1, of site: 1.",
        ):
            assert f"\n{line}\n" in said
        edit_csv(tmp_path / name, lambda row, rows: row.update({"logit 0": "0.25"}))
        renew_checksums(tmp_path / name)
        key = r"predictions\.csv: 'probability none' of site/\S+ is 0\.\d+; the logits"
        with pytest.raises(ValueError, match=key):
            start("verify", tmp_path / name, include=lines)


def flip_label(row, rows):
    row["label"] = str(1 - int(row["label"]))


def change_probability(row, rows):
    row["probability referable"] = "0.25"


def order_by_correctness(row, rows):
    """One changed value may leave the others in their order, and so all figures."""
    for number, one in enumerate(rows):
        right = one["label"] == one["predicted"]
        one["disagreement spread"] = str(0.1 * right + 0.001 * number)


CHANGED_ROWS = {
    "a prediction": (
        change_probability,
        r"predictions\.csv: 'probability referable' of site/\S+ is 0\.25; the logits",
    ),
    "a label": (flip_label, r"metrics\.json: \S+\.site\.class_counts\[0\] is \d"),
    "disagreements": (
        order_by_correctness,
        r"metrics\.json: \S*results\.\w+\.referral_by\.spread\.\S+ is ",
    ),
    "a removed photograph": (
        lambda row, rows: rows.remove(row),
        r"csv: photograph 1 of 'site' is site/\S+; external\.json lists site/",
    ),
    "another order": (
        lambda row, rows: rows.append(rows.pop(rows.index(row))),
        r"csv: photograph 1 of 'site' is site/\S+; external\.json lists site/",
    ),
    "a dispute": (
        lambda row, rows: row.update(disputed="1"),
        r"csv: 'disputed' of site/\S+ is '1'; the list of disputed \S+ gives ''\.",
    ),
}


@pytest.mark.parametrize(("change", "key"), CHANGED_ROWS.values(), ids=CHANGED_ROWS)
def test_a_changed_row_of_the_site_is_found(start, evaluated, full, change, key):
    edit_csv(full, change)
    name = re.escape(str(full.relative_to(evaluated)))
    with pytest.raises(ValueError, match=rf"  {name}/predictions\.csv: its SHA-256 is"):
        start("verify", evaluated)
    renew_checksums(full)
    with pytest.raises(ValueError, match=key):
        start("verify", evaluated)


CHANGED_VALUES = {
    "a count": (("others", "site", "photographs"), 99, r"others\.site\.photographs"),
    "who is left out": (
        ("others", "site", "left_out", "unlabelled"),
        0,
        r"others\.site\.left_out\.unlabelled",
    ),
    "a referral curve": (
        ("results", "site", "referral_by", "mutual_information", "gain"),
        0.77,
        r"results\.site\.referral_by\.mutual_information\.gain",
    ),
    "a local figure": (
        ("recalibrated", "site", "results", "site", "metrics", "auc", "n"),
        99,
        r"recalibrated\.site\.results\.site\.metrics\.auc\.n",
    ),
    "a figure of the site": (
        ("results", "site", "metrics", "brier", "value"),
        0.77,
        r"results\.site\.metrics\.brier\.value",
    ),
}


@pytest.mark.parametrize(
    ("keys", "value", "key"), CHANGED_VALUES.values(), ids=CHANGED_VALUES
)
def test_a_changed_value_is_found(start, evaluated, full, keys, value, key):
    edit_json(full / "metrics.json", *keys, value=value)
    with pytest.raises(ValueError, match=rf"metrics\.json: {key} is {value}; \w"):
        start("verify", evaluated)


def test_a_local_threshold_that_was_changed_everywhere_is_found(start, evaluated, full):
    keys = "operating_point", "threshold"
    before = edit_json(full / "local" / "site" / "decision.json", *keys, value=0.123)
    key = r"local/site/decision\.json: operating_point\.threshold is 0\.123; metric"
    with pytest.raises(ValueError, match=key):
        start("verify", evaluated)
    local = "recalibrated", "site", "decision"
    edit_json(full / "metrics.json", *local, *keys, value=0.123)
    key = r"site\.decision\.operating_point\.threshold is 0\.123; predict\S+ gives "
    with pytest.raises(ValueError, match=key + str(before)[:8]):
        start("verify", evaluated)


def test_a_frozen_decision_other_than_the_runs_is_found(start, evaluated):
    path = evaluated / PLAIN
    for keys in (("decision.json",), ("metrics.json", "decision")):
        edit_json(path / keys[0], *keys[1:], "chosen_on", value="test photographs")
    key = rf"  {PLAIN}/decision\.json: chosen_on is test photographs; the run's own d"
    with pytest.raises(ValueError, match=key):
        start("verify", evaluated)


def test_a_changed_list_of_photographs_is_found(start, evaluated):
    folder = evaluated / PLAIN
    path = folder / "external.json"
    before = path.read_bytes()
    content = json.loads(before)
    content["site"]["parts"]["site"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"external\.json: its SHA-256 is \w{64}; "):
        start("verify", evaluated)
    renew_checksums(folder)
    with pytest.raises(ValueError, match=r"others\.site\.photographs is 15; externa"):
        start("verify", evaluated)
    path.unlink()
    with pytest.raises(ValueError, match=r"external\.json: the length of datasets i"):
        start("verify", evaluated)
    path.write_text('{"site": []}')
    with pytest.raises(ValueError, match=r"external\.json is damaged: TypeError"):
        start("verify", evaluated)


def test_readings_of_the_site_are_counted_apart_and_compared(start, evaluated):
    path = evaluated / "ledger.jsonl"
    lines = [json.loads(one) for one in path.read_text().splitlines()]
    assert [one["split"] for one in lines] == ["test", "site", "site", "test"]

    def write(some):
        path.write_text("".join(json.dumps(one) + "\n" for one in some))

    for name in ("weights_sha256", "config_sha256"):
        write([*lines[:1], lines[1] | {name: "0" * 64}, *lines[2:]])
        with pytest.raises(
            ValueError, match=rf"{name} in line 2 is 0{{64}}; \w+\.json"
        ):
            start("verify", evaluated)
    for left_out, message in (
        (0, "readings of test photographs is 1; the evaluations .* at least 2"),
        (1, "readings of site photographs is 1; the evaluations .* at least 2"),
    ):
        write(one for number, one in enumerate(lines) if number != left_out)
        with pytest.raises(ValueError, match=message):
            start("verify", evaluated)
