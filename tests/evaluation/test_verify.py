"""A run of seconds is changed in one place after another, and each is found."""

import functools
import hashlib
import json
import re
import shutil
import zipfile

import keras
import pytest

from evaluation import seal, verify
from input_pipeline import tasks
from models import outputs
from tests.evaluation import trained_runs
from tests.evaluation.trained_runs import edit_csv, edit_json

GIVEN = "evaluate/predictions-theirs-valid-test-resamples-100"
OTHER = (
    "evaluate/test-operating_point-Fixed-threshold-0.3-calibrate-isotonic-resamples-100"
)


CHOSEN = (
    "its threshold was fixed beforehand, its calibration chosen again on 8 validation "
    "photographs."
)


@pytest.fixture(scope="module")
def start(tmp_path_factory, prepared, prepared_dir, idrid_like):
    """Does what a command does: `start("run", folder, "evaluate.seed = 3", ...)`."""
    return functools.partial(
        trained_runs.start,
        gin_file=trained_runs.write_gin(
            tmp_path_factory.mktemp("gin"), "evaluate.calibrate = 'isotonic'"
        ),
        data_dirs={"": idrid_like},
        prepared_dir=prepared_dir,
    )


@pytest.fixture(scope="module")
def evaluated_once(start, trained_run, audited, split, tmp_path_factory):
    """A trained run, evaluated twice, with another model's predictions and a report."""
    folder = shutil.copytree(trained_run, tmp_path_factory.mktemp("runs") / "tiny")
    start("run", folder)
    start(
        "evaluate",
        folder,
        "evaluate.splits = ('test',)",
        "evaluate.operating_point = @fixed_threshold()",
        "fixed_threshold.threshold = 0.3",
    )
    theirs = folder.parent / "theirs.csv"
    lines = ["id,prob"]
    for number, key in enumerate((*split.valid, *split.test)):
        ill = audited.collection.photograph(key).grade >= 2
        right = number % 4 > 0  # Too sure of itself, so that it is calibrated.
        lines.append(f"{key},{0.9 if ill == right else 0.1:g}{number}")
    theirs.write_text("\n".join(lines))
    line = "evaluate.calibrate = 'temperature'"
    start("evaluate", folder, line, predictions=theirs)
    page = "<html><head></head><p>AUC 0.861</p></html>"
    (folder / "report.html").write_text(seal.seal(page, folder))
    return folder


@pytest.fixture
def evaluated(evaluated_once, tmp_path):
    """The same, of one test's own."""
    return shutil.copytree(evaluated_once, tmp_path / "tiny")


@pytest.fixture
def check():
    """Verifies without the config, which the mode reads."""
    return lambda folder: verify.verify(folder, tasks.referable(), outputs.Softmax())


def without_checksum(folder):
    """As runs were before `metrics.json` had the checksum of the predictions."""
    path = folder / "metrics.json"
    content = json.loads(path.read_text())
    del content["predictions_sha256"]
    path.write_text(json.dumps(content))
    (folder / "report.html").unlink(missing_ok=True)


def test_an_untouched_run_agrees(start, evaluated, evaluated_once):
    said = start("verify", evaluated)
    for line in (
        "task.json: referable diabetic retinopathy: grade >= 2, as config.gin asks.",
        "checkpoints/best.weights.h5: the weights of the model.",
        "predictions.csv: its probabilities follow from the logits and decision.json.",
        f"decision.json: {CHOSEN}",
        "metrics.json: every number follows from predictions.csv.",
        "report.html: its text is as sealed, and shows these figures and predictions.",
        "ledger.jsonl: readings of the test photographs: 2.",
        f"{OTHER}/decision.json: {CHOSEN}",
        f"{OTHER}/report.html: its text is as sealed, and shows these figures and "
        "predictions.",
        f"{GIVEN}/metrics.json: every number follows from predictions.csv.",
        f"{GIVEN}/ledger.jsonl: readings of the test photographs: 1.",
    ):
        assert f"{line}\n" in said
    assert re.search(r"\nAll [\d,]+ numbers agree\.\nNot to be known from a run", said)
    assert "numbers differ" not in said
    for path in evaluated.rglob("*"):
        if path.is_file():
            before = evaluated_once / path.relative_to(evaluated)
            assert path.read_bytes() == before.read_bytes()


def test_a_decision_on_other_views_is_not_chosen_again_on_the_runs_own(
    start, evaluated
):
    views = "evaluate.test_time_augmentation = @symmetries()"
    start("evaluate", evaluated, "evaluate.splits = ('test',)", views)
    (folder,) = evaluated.glob("evaluate/test-calibrate-*Symmetries*")
    said = start("verify", evaluated)
    name = f"{folder.relative_to(evaluated)}/decision.json"
    text = "not chosen again: no CSV has the validation photographs."
    assert f"{name}: {text}\n" in said
    start("evaluate", evaluated, views)
    (folder,) = evaluated.glob("evaluate/valid-test-calibrate-*Symmetries*")
    name = f"{folder.relative_to(evaluated)}/decision.json"
    again = f"{name}: its threshold was fixed beforehand, its calibration chosen "
    again += "again on 8 validation photographs.\n"
    assert again in start("verify", evaluated)
    edit_json(folder / "decision.json", "test_time_augmentation", value=None)
    edit_json(folder / "metrics.json", "decision", "test_time_augmentation", value=None)
    key = r"test_time_augmentation is None; metrics\.json asks for \{'flips': True, "
    with pytest.raises(ValueError, match=key):
        start("verify", evaluated)


def test_a_run_is_verified_by_its_own_config_without_photographs(
    start, evaluated, tmp_path
):
    config = evaluated / "config.gin"
    assert "numbers agree" in start("verify", evaluated, gin_file=config)
    given = evaluated / GIVEN
    assert "numbers agree" in start("verify", given, gin_file=given / "config.gin")


def test_a_dry_run_verifies_nothing(start, evaluated):
    (evaluated / "metrics.json").write_text("damaged")
    said = start("verify", evaluated, dry_run=True)
    assert said == f"Would verify {evaluated} and what is in {evaluated / 'evaluate'}."


def test_another_config_is_refused(start, evaluated):
    with pytest.raises(ValueError, match=r"train\.seed: not set there, 3 here"):
        start("verify", evaluated, "train.seed = 3")


def test_a_run_that_is_not_evaluated_cannot_be_verified(check, evaluated):
    for path in evaluated.rglob("metrics.json"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"tiny has no metrics\.json: there"):
        check(evaluated)


def change_digit(place):
    """Another digit at a place behind the point of the first probability."""

    def change(rows):
        text = rows[0]["probability referable"]
        assert text.startswith("0.")
        digit = text[1 + place]
        rows[0]["probability referable"] = (
            text[: 1 + place] + str((int(digit) + 5) % 10) + text[2 + place :]
        )

    return change


def swap_ids(rows):
    rows[0]["id"], rows[1]["id"] = rows[1]["id"], rows[0]["id"]


def swap_rows(rows):
    rows[0], rows[1] = rows[1], rows[0]


def flip_label(rows):
    rows[0]["label"] = str(1 - int(rows[0]["label"]))


CHANGED_ROWS = {
    "a late digit": change_digit(14),
    "a label": flip_label,
    "a removed row": lambda rows: rows.pop(),
    "swapped ids": swap_ids,
    "swapped rows": swap_rows,
    "a logit": lambda rows: rows[3].update({"logit 0": "0.25"}),
    "what is known": lambda rows: rows[2].update({"brightness": "1.0"}),
}


@pytest.mark.parametrize("change", CHANGED_ROWS.values(), ids=CHANGED_ROWS)
@pytest.mark.parametrize("part", ["", OTHER, GIVEN], ids=["own", "other", "given"])
def test_a_changed_row_is_found(check, evaluated, change, part):
    if part == GIVEN and change is CHANGED_ROWS["a logit"]:
        pytest.skip("given predictions have no logits")
    edit_csv(evaluated / part / "predictions.csv", change)
    name = f"{part}/predictions.csv" if part else "predictions.csv"
    with pytest.raises(
        ValueError, match=rf"  {re.escape(name)}: its SHA-256 is \w+; m"
    ):
        check(evaluated)


KEYS_WITHOUT_CHECKSUM = {
    "a digit": (
        change_digit(7),
        r"csv: 'probability referable' of \S+ is 0\.\d+; (the logits|those given) and ",
    ),
    "a label": (flip_label, r"metrics\.json: results\.\w+\.class_counts\[0\] is \d"),
    "a label's spelling": (
        lambda rows: rows[0].update(label=f"{rows[0]['label']}.0"),
        r"csv: 'label' of \S+ is '\d\.0'; as a whole number it is '\d'\.",
    ),
    "a removed row": (
        lambda rows: rows.pop(),
        r"photograph 12 of 'test' is missing; split\.json lists drawn/test/IDRiD_012\.",
    ),
    "an added row": (
        lambda rows: rows.append(rows[-1] | {"id": "drawn/test/IDRiD_099"}),
        r"photograph 13 of 'test' is drawn/test/IDRiD_099; split\.json lists none\.",
    ),
    "swapped ids": (
        swap_ids,
        r"photograph 1 of '\w+' is \S+; split\.json lists drawn/",
    ),
    "a split": (
        lambda rows: [row.update(split="train") for row in rows],
        r"csv: splits\[0\] is train; metrics\.json asks for ",
    ),
    "a predicted class": (
        lambda rows: rows[0].update(predicted="7"),
        r"csv: 'predicted' of \S+ is '7'; the probabilities give '[01]'\.",
    ),
}


@pytest.mark.parametrize(
    ("change", "key"), KEYS_WITHOUT_CHECKSUM.values(), ids=KEYS_WITHOUT_CHECKSUM
)
@pytest.mark.parametrize("part", ["", GIVEN], ids=["own", "given"])
def test_without_the_checksum_a_changed_row_is_found_by_what_follows_from_it(
    check, evaluated, change, key, part
):
    without_checksum(evaluated / part)
    assert "metrics.json has no checksum of it" in check(evaluated)
    edit_csv(evaluated / part / "predictions.csv", change)
    with pytest.raises(ValueError, match=key):
        check(evaluated)


def test_a_repeated_row_and_a_number_that_is_none_are_readable_errors(check, evaluated):
    def repeat(rows):
        rows.append(rows[-1])

    copy = evaluated / "predictions.csv"
    before = copy.read_bytes()
    edit_csv(copy, repeat)
    with pytest.raises(ValueError, match=r"csv has a photograph of 'test' twice\."):
        check(evaluated)
    copy.write_bytes(before)
    edit_csv(copy, lambda rows: rows[4].update({"logit 1": "nan"}))
    message = r"csv, line 6: `logit 1` must be a finite number\. Received: 'nan'"
    with pytest.raises(ValueError, match=message):
        check(evaluated)


CHANGED_VALUES = {
    "a metric": ("results", "test", "metrics", "auc", "value"),
    "an interval": ("results", "valid", "metrics", "balanced_accuracy", "low"),
    "a reliability": ("results", "test", "at_even_odds", "sensitivity"),
    "the metadata's figure": ("results", "test", "metadata_alone", "balanced_accuracy"),
    "the threshold": ("decision", "operating_point", "threshold"),
    "what was chosen": ("decision", "operating_point", "n_diseased"),
    "the seed": ("evaluation", "seed"),
}


@pytest.mark.parametrize("keys", CHANGED_VALUES.values(), ids=CHANGED_VALUES)
@pytest.mark.parametrize("part", ["", GIVEN], ids=["own", "given"])
def test_a_changed_value_of_metrics_json_is_found(check, evaluated, keys, part):
    edit_json(
        evaluated / part / "metrics.json", *keys, value=7 if "seed" in keys else 0.4321
    )
    if keys[0] == "results":
        key = rf"metrics\.json: {'.'.join(keys)} is 0\.4321; predictions\.csv gives "
    elif keys[0] == "decision":
        key = rf"decision\.json: {'.'.join(keys[1:])} is \S+; metrics\.json has 0\.4321"
    else:
        key = r"metrics\.json: results\.valid\.metrics\.\w+\.low is "
    with pytest.raises(ValueError, match=key):
        check(evaluated)


def test_a_metric_that_was_taken_out_is_found(check, evaluated):
    path = evaluated / "metrics.json"
    content = json.loads(path.read_text())
    del content["results"]["test"]["metrics"]["specificity"]
    path.write_text(json.dumps(content))
    key = r"results\.test\.metrics\.specificity is missing; predictions\.csv gives \{"
    with pytest.raises(ValueError, match=key):
        check(evaluated)


def test_what_metrics_json_says_beside_its_figures_is_not_passed_over(check, evaluated):
    path = evaluated / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kappa": 0.99}))
    (evaluated / "report.html").unlink()
    assert "but for kappa, which were not computed again" in check(evaluated)


@pytest.mark.parametrize("part", ["", OTHER, GIVEN], ids=["own", "other", "given"])
def test_a_threshold_that_was_changed_everywhere_is_found(check, evaluated, part):
    folder = evaluated / part
    keys = "operating_point", "threshold"
    before = edit_json(folder / "decision.json", *keys, value=0.123)
    edit_json(folder / "metrics.json", "decision", *keys, value=0.123)
    key = rf"operating_point\.threshold is 0\.123; chosen again .* it is {before}"
    with pytest.raises(ValueError, match=key):
        check(evaluated)


def test_a_calibration_that_was_changed_everywhere_is_found(check, evaluated):
    folder = evaluated / GIVEN
    keys = "calibration", "temperature"
    before = edit_json(folder / "decision.json", *keys, value=1.25)
    edit_json(folder / "metrics.json", "decision", *keys, value=1.25)
    key = rf"calibration\.temperature is 1\.25; chosen .* it is {str(before)[:7]}"
    with pytest.raises(ValueError, match=key):
        check(evaluated)


def test_a_rule_that_is_not_ours_is_not_chosen_again_and_that_is_said(check, evaluated):
    edit_json(
        evaluated / "metrics.json", "evaluation", "operating_point", value="Mine(x=1)"
    )
    (evaluated / "report.html").unlink()
    text = "decision.json: not chosen again: Mine(x=1) is not a rule of ours."
    assert text in check(evaluated)


def test_changed_weights_are_found_in_the_model_file(check, evaluated):
    path = evaluated / "model.keras"
    model = keras.models.load_model(path, compile=False)
    last = model.weights[-1]
    last.assign(last + 1e-6)
    model.save(path)
    with pytest.raises(
        ValueError, match=r"model\.keras: the checksum of its weights is \w{64}"
    ):
        check(evaluated)


def test_another_network_with_the_same_weights_is_found(check, evaluated):
    path = evaluated / "model.keras"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert b'"momentum": 0.99' in files["config.json"]
    files["config.json"] = files["config.json"].replace(
        b'"momentum": 0.99', b'"momentum": 0.98'
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(
        ValueError, match=r"  model\.keras: its SHA-256 is \w{64}; history"
    ) as told:
        check(evaluated)
    assert "checksum of its weights" not in str(told.value)


def test_a_model_that_cannot_be_read_is_found(check, evaluated):
    path = evaluated / "model.keras"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"model\.keras: it cannot be read \("):
        check(evaluated)
    path.unlink()
    with pytest.raises(ValueError, match=r"model\.keras: it cannot be read \("):
        check(evaluated)


@pytest.mark.parametrize("name", ["best.weights.h5", "ckpt-*.data-*", "ckpt-*.index"])
def test_a_changed_checkpoint_is_found(check, evaluated, name):
    path = sorted((evaluated / "checkpoints").glob(name))[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    key = (
        rf"checkpoints/{re.escape(path.name)}: its SHA-256 is \w{{64}}; history\.json n"
    )
    with pytest.raises(ValueError, match=key):
        check(evaluated)


def test_checkpoints_that_were_removed_to_save_space_are_no_difference(
    check, evaluated
):
    shutil.rmtree(evaluated / "checkpoints")
    assert "checkpoints: 0 of 3 files are there, as training" in check(evaluated)


def test_best_weights_of_a_run_without_checksums_are_compared_with_the_model(
    check, evaluated
):
    path = evaluated / "history.json"
    content = json.loads(path.read_text())
    del content["checkpoints_sha256"], content["model_sha256"]
    path.write_text(json.dumps(content))
    assert "history.json has no checksums of it" in check(evaluated)
    model = keras.models.load_model(evaluated / "model.keras", compile=False)
    model.weights[0].assign(model.weights[0] * 1.001)
    model.save_weights(evaluated / "checkpoints" / "best.weights.h5")
    with pytest.raises(ValueError, match=r"best\.weights\.h5: the checksum of its w"):
        check(evaluated)


def test_a_changed_report_is_found(check, evaluated):
    path = evaluated / "report.html"
    path.write_text(path.read_text().replace("0.861", "0.961"))
    with pytest.raises(
        ValueError,
        match=r"report\.html: the SHA-256 of its text as it was written is \w",
    ):
        check(evaluated)


def test_a_report_of_other_figures_is_found(check, evaluated):
    other = seal.seal("<html><head></head></html>", evaluated / OTHER)
    (evaluated / "report.html").write_text(other)
    with pytest.raises(
        ValueError, match="the SHA-256 of the metrics that it shows is"
    ) as told:
        check(evaluated)
    assert "SHA-256 of the predictions that it shows" in str(told.value)
    (evaluated / "report.html").write_text("<html>AUC 0.9</html>")
    with pytest.raises(ValueError, match=r"of its text as it was written is missing; "):
        check(evaluated)


def moved(content, origin, target):
    content[target].append(content[origin].pop(0))


@pytest.mark.parametrize("part", ["", GIVEN], ids=["own", "given"])
@pytest.mark.parametrize(
    ("origin", "target", "key"),
    [
        ("valid", "train", r"photograph 1 of 'valid' is drawn/"),
        ("train", "valid", r"photograph 9 of 'valid' is missing"),
        ("test", "train", r"test photographs is 11; leakage\.json certifies 12"),
        ("train", "test", r"test photographs is 13; leakage\.json certifies 12"),
    ],
)
def test_a_photograph_that_changed_sides_is_found(
    check, evaluated, origin, target, key, part
):
    path = evaluated / part / "split.json"
    content = json.loads(path.read_text())
    moved(content, origin, target)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=key):
        check(evaluated)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (
            lambda one: one["train"].pop(),
            r"number of all photographs is 51; leakage\.json certifies 52",
        ),
        (
            lambda one: one["train"].append(one["train"][0]),
            r"number of its entries is 53; different ones are 52",
        ),
        (
            lambda one: one["disputed"].append(one["test"][0]),
            r"the length of disputed is 1; leakage\.json certifies 0",
        ),
        (
            lambda one: one["left_out"].update({one["train"][0]: "a copy"}),
            r"number of photographs left out is 1; leakage\.json certifies 0",
        ),
    ],
    ids=["removed", "repeated", "disputed", "left out"],
)
def test_a_split_that_the_certificate_does_not_certify_is_found(
    check, evaluated, change, key
):
    path = evaluated / "split.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"split\.json: .*{key}"):
        check(evaluated)


@pytest.mark.parametrize("part", ["", GIVEN], ids=["own", "given"])
def test_a_ledger_that_names_another_model_or_lacks_a_reading_is_found(
    check, evaluated, part
):
    path = evaluated / part / "ledger.jsonl"
    first, *others = path.read_text().splitlines()
    name = "predictions_sha256" if part else "weights_sha256"
    entry = json.loads(first) | {name: "0" * 64}
    path.write_text("\n".join([json.dumps(entry), *others, ""]))
    with pytest.raises(
        ValueError, match=rf"ledger\.jsonl: {name} in line 1 is 0{{64}}; "
    ):
        check(evaluated)
    path.write_text("".join(f"{one}\n" for one in others))
    with pytest.raises(
        ValueError,
        match=r"test photographs is \d; the evaluations that are there took at le",
    ):
        check(evaluated)
    path.unlink()
    with pytest.raises(
        ValueError,
        match=r"test photographs is \d; the evaluations that are there took at le",
    ):
        check(evaluated)


def test_a_task_other_than_the_configs_is_found(check, evaluated):
    edit_json(evaluated / "task.json", "task", "rule", value="grade >= 1")
    key = r"task\.json: task\.rule is grade >= 1; config\.gin asks for referable diab"
    with pytest.raises(ValueError, match=key):
        check(evaluated)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[]"),
        ("metrics.json", "{}"),
        ("history.json", "[]"),
        ("split.json", "{}"),
        ("predictions.csv", "id,split\n"),
    ],
)
def test_a_damaged_file_is_one_readable_error(check, evaluated, file, text):
    (evaluated / file).write_text(text)
    with pytest.raises(
        ValueError, match=rf"{re.escape(file)} (is damaged|must be a run)"
    ):
        check(evaluated)


UNSCORABLE = {
    "a label": (
        lambda rows: rows[0].update(label="5"),
        r"  predictions\.csv: 'label' of \S+ is 5; the task's classes are 0 to 1\.\n",
    ),
    "a probability": (
        lambda rows: rows[0].update({"probability referable": "1.0"}),
        r"csv: the sum of the probabilities of \S+ is 1\.\d+; it must be 1\.0\.\n",
    ),
}


@pytest.mark.parametrize(("change", "text"), UNSCORABLE.values(), ids=UNSCORABLE)
def test_what_leaves_no_figure_to_compute_is_named(check, evaluated, change, text):
    without_checksum(evaluated)
    edit_csv(evaluated / "predictions.csv", change)
    with pytest.raises(ValueError, match=text) as told:
        check(evaluated)
    no_figure = "metrics.json: no figure of it can be computed again before predictions"
    assert f"  {no_figure}.csv is right.\n" in str(told.value)


def test_the_file_that_is_there_and_the_noted_checksum_are_not_confused(
    check, evaluated
):
    noted = json.loads((evaluated / "metrics.json").read_text())["predictions_sha256"]
    edit_csv(evaluated / "predictions.csv", CHANGED_ROWS["what is known"])
    now = hashlib.sha256((evaluated / "predictions.csv").read_bytes()).hexdigest()
    text = rf"predictions\.csv: its SHA-256 is {now}; metrics\.json notes {noted}\.\n"
    with pytest.raises(ValueError, match=text):
        check(evaluated)


def test_a_threshold_that_was_fixed_is_not_said_to_be_chosen(check, evaluated):
    said = check(evaluated)
    text = "decision.json: its threshold was fixed beforehand"
    assert f"{text}, its calibration chosen again on 8 validation photographs." in said
    assert not re.search(r"decision\.json: chosen again", said)
