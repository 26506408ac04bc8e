import hashlib
import json
import pathlib
import shutil

import pytest

from configs import statements, syntax
from evaluation import decision, facts, predict, report, seal
from input_pipeline import prepare, records
from train import run_dir, trainer
from visualization import sanity


@pytest.fixture(scope="module")
def finished_once(start, tmp_path_factory):
    """A finished run and what it said, not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, start("run", folder)


@pytest.fixture
def finished(finished_once, tmp_path):
    """A finished run of one test's own."""
    return shutil.copytree(finished_once[0], tmp_path / "runs" / "tiny")


def state(folder):
    """All that can change of the files in a folder."""
    return {
        path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def weights(folder):
    return json.loads((folder / "history.json").read_text())["weights_sha256"]


def readings(folder):
    return len((folder / "ledger.jsonl").read_text().splitlines())


def test_a_run_leaves_what_the_design_promises(finished_once, prepared):
    folder, said = finished_once
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "bindings.json",
        "checkpoints",
        "config.gin",
        "decision.json",
        "environment.json",
        "figures",
        "history.json",
        "leakage.json",
        "ledger.jsonl",
        "metrics.json",
        "model.keras",
        "model_card.md",
        "operative_config.gin",
        "predictions.csv",
        "report.html",
        "seen.json",
        "split.json",
        "task.json",
        "tensorboard",
    }
    assert said.startswith(
        "Task: referable diabetic retinopathy: grade >= 2\n\nThreshold 0.500 on the "
    )
    assert f"\nReport: {folder / 'report.html'}\n" in said
    assert f"in this run: 1. Everything is in {folder}." in said
    task = json.loads((folder / "task.json").read_text())
    assert task["task"]["class_names"] == ["not referable", "referable"]
    assert task["datasets"] == ["drawn"]
    assert task["preparation"]["image_size"] == 64
    assert task["data_fingerprint"] == prepared.fingerprint


def test_the_ledger_tells_who_read_the_test_photographs_with_which_weights(finished):
    (line,) = (finished / "ledger.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["mode"], entry["split"], entry["photographs"]) == ("run", "test", 12)
    assert entry["weights_sha256"] == weights(finished)


def test_the_operative_config_has_the_defaults_that_were_used(finished_once):
    text = (finished_once[0] / "operative_config.gin").read_text()
    for line in ("split.folds = 5", "train.seed = 0", "Adam.beta_1 = 0.9"):
        assert f"\n{line}\n" in text


@pytest.mark.parametrize("mode", ["run", "train"])
def test_the_same_command_on_a_finished_run_changes_no_file(
    start, finished, finished_once, mode
):
    before = state(finished.parent)
    said = start(mode, finished)
    if mode == "run":
        assert said == finished_once[1].replace(str(finished_once[0]), str(finished))
    else:
        assert said == f"Trained already: {finished / 'model.keras'}"
    assert state(finished.parent) == before


def test_a_run_is_known_by_its_directory_alone(start, finished, finished_once):
    before = state(finished.parent)
    said = start("run", finished, gin_file=finished / "config.gin", data_dirs={})
    assert said == finished_once[1].replace(str(finished_once[0]), str(finished))
    assert state(finished.parent) == before


def test_order_comments_spelling_and_evaluation_make_no_other_config(
    start, tiny, finished, tmp_path, finished_once
):
    lines = [line for line in tiny.read_text().splitlines() if " = " in line]
    file = tmp_path / "other_words.gin"
    file.write_text(
        "include 'datasets/synthetic.gin'\ninclude 'tasks/referable.gin'\n"
        "include 'training/adam.gin'\ninclude 'models/resnet_v2.gin'\n# A comment.\n"
        "training_stream.batch_size = 8\n"
        "train.optimizer = @optimizers.Adam\n"
        "keras.optimizers.Adam.learning_rate = 0.001\n"
        "train.keep_checkpoints = 7\n" + "\n".join(reversed(lines)) + "\n"
    )
    assert start("run", finished, gin_file=file).startswith("Task: referable")


@pytest.mark.parametrize("mode", ["run", "train", "evaluate"])
def test_a_run_of_another_config_is_refused(start, finished, mode):
    before = state(finished.parent)
    message = (
        r"tiny was begun with something else:\n  train\.seed: not set there, 3 here"
    )
    with pytest.raises(ValueError, match=message):
        start(mode, finished, "train.seed = 3")
    assert state(finished.parent) == before


def test_a_second_process_in_the_same_run_is_refused(start, finished):
    remove(finished, *RESULTS)
    with run_dir.RunDir(finished).hold():
        before = state(finished.parent)
        with pytest.raises(BlockingIOError, match="Another process is at work in"):
            start("run", finished)
        assert state(finished.parent) == before


def test_changed_photographs_are_refused(start, finished, idrid_like, tmp_path):
    data_dir = shutil.copytree(idrid_like, tmp_path / "idrid")
    labels = next(data_dir.rglob("b. IDRiD_Disease Grading_Testing Labels.csv"))
    text = labels.read_text()
    assert "IDRiD_001,0," in text
    labels.write_text(text.replace("IDRiD_001,0,", "IDRiD_001,1,"))
    (finished / "metrics.json").unlink()
    before = state(finished.parent)
    folder = tmp_path / "prepared"
    with pytest.raises(
        ValueError, match=r"tiny was begun with other photographs: of 'drawn' it knows "
    ):
        start("run", finished, data_dirs={"": data_dir}, prepared_dir=folder)
    assert state(finished.parent) == before


def remove(folder, *names):
    for name in names:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


RESULTS = ("metrics.json", "predictions.csv", "figures")
TRAINED = (*RESULTS, "ledger.jsonl", "model.keras", "history.json")


@pytest.mark.parametrize(
    "missing",
    [
        (*TRAINED, "operative_config.gin", "checkpoints", "tensorboard", "split.json"),
        (*TRAINED, "checkpoints"),
        TRAINED,
    ],
    ids=["before split.json", "before a checkpoint", "before model.keras"],
)
def test_a_killed_run_goes_on_to_the_same_weights(start, finished, missing):
    expected = weights(finished)
    config = (finished / "config.gin").read_bytes()
    split = (finished / "split.json").read_bytes()
    remove(finished, *missing)
    start("run", finished, gin_file=finished / "config.gin")
    assert weights(finished) == expected
    assert readings(finished) == 1
    assert (finished / "config.gin").read_bytes() == config
    assert (finished / "split.json").read_bytes() == split
    assert len(json.loads((finished / "environment.json").read_text())) == 2


def test_a_run_killed_before_metrics_json_evaluates_without_training(
    start, finished, monkeypatch
):
    monkeypatch.setattr(trainer.Trainer, "train", None)
    operative = (finished / "operative_config.gin").read_bytes()
    metrics = (finished / "metrics.json").read_bytes()
    remove(finished, *RESULTS)
    start("run", finished)
    assert (finished / "metrics.json").read_bytes() == metrics
    assert (finished / "operative_config.gin").read_bytes() == operative
    assert readings(finished) == 2


def test_a_reading_counts_even_if_the_evaluation_dies(start, finished, monkeypatch):
    predicted, alive = [], predict.Forward.__call__

    def die_at_the_second(*arguments):
        predicted.append(arguments)
        if len(predicted) > 1:  # The first were those that validate.
            raise KeyboardInterrupt
        return alive(*arguments)

    remove(finished, *RESULTS)
    monkeypatch.setattr(predict.Forward, "__call__", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        start("run", finished)
    assert readings(finished) == 2
    assert not (finished / "metrics.json").exists()


@pytest.fixture
def count_image_readings(monkeypatch):
    """The ids of prepared photographs that were read; none may be predicted."""
    read, read_image = [], records.Prepared.read_image

    def note(self, photograph_id):
        read.append(photograph_id)
        return read_image(self, photograph_id)

    def refuse(*arguments, **options):
        raise AssertionError("photographs were predicted")

    monkeypatch.setattr(records.Prepared, "read_image", note)
    monkeypatch.setattr(predict.Forward, "__call__", refuse)
    return read


@pytest.mark.parametrize("mode", ["run", "evaluate"])
def test_a_report_that_is_missing_is_written_from_the_figures(
    start, finished, mode, count_image_readings
):
    lines, folder = (), finished
    if mode == "evaluate":
        lines = ("evaluate.seed = 3",)
        folder = finished / "evaluate" / "valid-test-resamples-100-seed-3"
        shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("*.jsonl"))
    figures = (folder / "metrics.json").read_bytes()
    page = (folder / "report.html").read_text()
    remove(folder, "report.html", "model_card.md")
    said = start(mode, finished, *lines)
    assert f"\nReport: {folder / 'report.html'}\n" in said
    assert (folder / "metrics.json").read_bytes() == figures
    assert (
        seal.read((folder / "report.html").read_text())["metrics"]
        == (seal.read(page)["metrics"])
    )
    assert (folder / "model_card.md").exists()
    assert readings(finished) == 1
    shown = facts.read(folder, finished)
    assert set(count_image_readings) == set(report.shown(shown))


def test_a_missing_report_is_of_the_runs_own_evaluation(start, finished):
    remove(finished, "report.html")
    before = state(finished.parent)
    with pytest.raises(ValueError, match=r"evaluate it again: --mode=evaluate"):
        start("run", finished, "evaluate.seed = 5")
    assert state(finished.parent) == before


def test_a_report_shows_readings_that_came_after_it(start, finished):
    start("evaluate", finished, "evaluate.splits = ('test',)", "evaluate.seed = 3")
    other = finished / "evaluate" / "test-resamples-100-seed-3"
    for folder in (finished, other):
        text = (folder / "report.html").read_text()
        assert "<strong>2 times</strong>" in text
        own = seal.read(text)["metrics"]
        assert own == records.file_sha256(folder / "metrics.json")
    before = (finished / "report.html").stat().st_mtime_ns
    start("evaluate", finished, "evaluate.splits = ('valid',)", "evaluate.seed = 3")
    assert (finished / "report.html").stat().st_mtime_ns == before


def test_old_figures_are_not_those_of_a_model_that_is_trained_anew(
    start, finished, monkeypatch
):
    def die(*arguments):
        raise KeyboardInterrupt

    remove(finished, "model.keras", "history.json", "checkpoints")
    with monkeypatch.context() as patch:
        patch.setattr(predict.Forward, "__call__", die)
        with pytest.raises(KeyboardInterrupt):
            start("run", finished)
    for name in ("metrics.json", "report.html"):
        assert not (finished / name).exists()
    start("run", finished)
    assert readings(finished) == 2
    assert (finished / "report.html").exists()


def test_training_alone_reads_no_test_photographs(start, tmp_path):
    folder = tmp_path / "trained"
    assert start("train", folder) == f"Trained: {folder / 'model.keras'}"
    assert not (folder / "ledger.jsonl").exists()
    said = start("evaluate", folder, "evaluate.splits = ('train', 'valid')")
    assert "in this run: 0." in said
    assert not (folder / "ledger.jsonl").exists()


def test_other_evaluations_lie_beside_the_runs_own(start, finished):
    own = (finished / "metrics.json").read_bytes()
    start("evaluate", finished, "evaluate.splits = ('test',)", "evaluate.seed = 3")
    folder = finished / "evaluate" / "test-resamples-100-seed-3"
    assert (folder / "metrics.json").exists()
    assert readings(finished) == 2
    before = state(finished.parent)
    said = start(
        "evaluate", finished, "evaluate.splits = ('test',)", "evaluate.seed = 3"
    )
    assert said.endswith(f"in this run: 2. Everything is in {folder}.")
    assert state(finished.parent) == before
    assert (finished / "metrics.json").read_bytes() == own


def test_test_time_augmentation_is_part_of_the_decision(start, finished):
    own = json.loads((finished / "decision.json").read_text())
    assert own["test_time_augmentation"] is None
    start(
        "evaluate",
        finished,
        "evaluate.splits = ('valid',)",
        "evaluate.test_time_augmentation = @symmetries()",
        "symmetries.quarter_turns = False",
    )
    (folder,) = (finished / "evaluate").iterdir()
    assert "flips-True-quarter_turns-False" in folder.name
    views = {"flips": True, "quarter_turns": False}
    decided = decision.load(folder)
    assert decided.test_time_augmentation == views
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["evaluation"]["test_time_augmentation"] == views
    lines = [(folder / "predictions.csv").read_text() for folder in (folder, finished)]
    assert lines[0].splitlines()[1] not in lines[1]


def test_other_evaluation_settings_of_a_finished_run_are_refused(start, finished):
    before = state(finished.parent)
    with pytest.raises(ValueError, match=r"evaluate it again: --mode=evaluate"):
        start("run", finished, "evaluate.seed = 5")
    assert state(finished.parent) == before


def test_a_split_without_photographs_is_not_read(start, finished):
    split = json.loads((finished / "split.json").read_text())
    (finished / "split.json").write_text(json.dumps(split | {"test": []}))
    with pytest.raises(ValueError, match=r"split\.json has no photographs in 'test'\."):
        start("evaluate", finished, "evaluate.splits = ('test',)")
    assert readings(finished) == 1


def test_evaluation_needs_a_trained_model(start, tmp_path):
    message = r"model\.keras does not exist: there is no trained model\. Train it first"
    with pytest.raises(FileNotFoundError, match=message):
        start("evaluate", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_named_with_the_way_out(start, finished):
    (finished / "model.keras").write_bytes(b"PK damaged")
    remove(finished, *RESULTS)
    message = (
        r"model\.keras cannot be read: .* Remove it: the same command then makes it"
    )
    with pytest.raises(ValueError, match=message):
        start("run", finished)
    assert readings(finished) == 1
    remove(finished, "model.keras")
    expected = weights(finished)
    start("run", finished)
    assert weights(finished) == expected


def test_a_preparation_that_fails_begins_no_run(start, tmp_path, monkeypatch):
    """Or the way out that it names, another binding, would be another config."""

    def fail(*arguments):
        raise ValueError("1 of 52 photographs cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(prepare.Preparation, "run", fail)
        with pytest.raises(ValueError, match="cannot be read"):
            start("run", tmp_path / "tiny")
    start("train", tmp_path / "tiny", "prepare.skip_unreadable = True")


def test_a_run_whose_split_another_has_seen_is_refused_and_not_begun(
    start, finished, tmp_path
):
    folder = tmp_path / "second"
    line = f"train.init_from = '{finished}'"
    message = r"tiny have seen \d of 8 photographs of this run's 'valid' split, such as"
    with pytest.raises(ValueError, match=message):
        start("train", folder, line, "split.fold = 1")
    start("train", folder, line)  # The way out.
    certificate = json.loads((folder / "leakage.json").read_text())
    assert certificate["earlier_run"]["path"] == str(finished)
    (begun,) = json.loads((folder / "environment.json").read_text())
    assert begun["training_devices"] == ["CPU:0"]
    seen = json.loads((folder / "seen.json").read_text())
    assert (len(seen["train"]), len(seen["valid"])) == (32, 8)


def test_a_run_that_is_extended_says_so(start, finished, tmp_path, caplog):
    lines = (f"train.extend_from = '{finished}'", "train.epochs = 3")
    said = start("run", tmp_path / "longer", *lines, dry_run=True)
    beginning = (
        f"It goes on from {finished} after 2 epochs, up to epoch 3. Learning rate: "
    )
    assert beginning in said
    with caplog.at_level("INFO", logger="absl"):
        start("train", tmp_path / "longer", *lines)
    messages = [one.message for one in caplog.records]
    assert sum(one.startswith(beginning) for one in messages) == 1


MISTAKES = {
    "train.epochs = 0": r"`train\.epochs` must be at least 1",
    "train.monitor = 'accuracy'": r"`train\.monitor` must be one of",
    "split.fold = 5": r"`split\.fold` between 0 and folds",
    "split.folds = 50": r"Lower `split\.folds`",
    "prepare.image_size = 8": r"`prepare\.image_size` must be 16-4096",
    "prepare.jpeg_quality = 101": r"`prepare\.jpeg_quality` must be 1-100",
    "evaluate.splits = ('tset',)": r"`evaluate\.splits` must name some of",
    "resnet_v2.dropout = 1.0": r"`resnet_v2\.dropout` must be from 0 to below 1",
    "resnet_v2.widths = (4, 4)": r"`resnet_v2\.widths` and `resnet_v2\.depths`",
    "augment.zoom = 2": r"`augment\.zoom` must be between 0 and 0\.9",
    "training_stream.batch_size = 0": r"`training_stream\.batch_size` must be at least",
    "training_stream.batch_size = 99": r"`training_stream\.batch_size` must not exceed",
    "SparseCategoricalCrossentropy.from_logits = False": "models emit logits",
    "train.init_from = 'nowhere'": r"nowhere/model\.keras does not exist: that is no",
    "Adam.learning_rate = @cosine()\ncosine.learning_rate = 1\n"
    "cosine.warmup_epochs = 2": r"`cosine\.warmup_epochs` must be below the 2 epochs",
    "train.first_phases = [@phase()]\nphase.epochs = 1\nphase.optimizer = @Adam\n"
    "phase.trains = 'stem'": r"`phase\.trains` must be 'head', 'all' or the name of",
    "train.strategy = @augment": "must be of type Callable",
}


@pytest.fixture
def empty_photographs(idrid_like, tmp_path):
    """IDRiD's layout with its labels; to open a photograph would be an error."""
    folder = shutil.copytree(
        idrid_like,
        tmp_path / "empty",
        copy_function=lambda source, target: (
            pathlib.Path(target).touch()
            if source.endswith(".jpg")
            else shutil.copy2(source, target)
        ),
    )
    return {"data_dirs": {"": folder}, "prepared_dir": tmp_path / "prepared"}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_in_a_config_is_found_before_any_photograph_is_opened(
    start, empty_photographs, tmp_path, line
):
    before = state(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=MISTAKES[line]):
        start("run", tmp_path / "run", *line.splitlines(), **empty_photographs)
    assert state(tmp_path) == before
    assert not (tmp_path / "run").exists()


def test_photographs_that_cannot_be_read_are_found_only_then(
    start, empty_photographs, tmp_path
):
    with pytest.raises(ValueError, match=r"52 of 52 photographs in .* cannot be read"):
        start("run", tmp_path / "run", **empty_photographs)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


@pytest.mark.parametrize("mode", ["run", "prepare", "train", "doctor"])
def test_a_dry_run_writes_nothing_and_opens_no_photograph(
    start, empty_photographs, tmp_path, monkeypatch, mode
):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*")), state(tmp_path)
    said = start(mode, tmp_path / "run", dry_run=True, **empty_photographs)
    assert (set(tmp_path.rglob("*")), state(tmp_path)) == before
    if mode in ("run", "train"):
        folder = empty_photographs["prepared_dir"]
        assert said.startswith("Nothing is wrong with the config. The plan:\n")
        data_dir = empty_photographs["data_dirs"][""]
        assert f"Photographs: 52 of drawn, {data_dir} -> {folder}" in said
        assert "Training: 2 epochs, batches of 8, Adam, on 1 device(s): CPU:0." in said
        assert "Learning rate: 0.001." in said
        assert "Validation: fold 0 of 5." in said


def test_a_dry_run_of_a_finished_run_says_that_nothing_is_left(start, finished):
    before = state(finished.parent)
    remaining = start("evaluate", finished, "evaluate.seed = 4", dry_run=True)
    assert remaining.startswith(
        f"Would evaluate {finished / 'model.keras'} on valid, t"
    )
    assert start("run", finished, dry_run=True).startswith("Task: referable")
    assert state(finished.parent) == before


@pytest.mark.parametrize("mode", ["run", "prepare", "train", "doctor"])
def test_a_dry_run_checks_the_layout_of_the_data_folder(start, tmp_path, mode):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ValueError, match=r"Expected in .*:\n  B\. Disease Grading/"):
        start(mode, tmp_path / "run", dry_run=True, data_dirs={"": tmp_path})


def test_a_mode_needs_only_what_it_uses(tmp_path, start, prepared):
    file = tmp_path / "only_photographs.gin"
    file.write_text(
        "prepare.datasets = [@idrid()]\nidrid.name = 'drawn'\nprepare.image_size = 64\n"
    )
    assert "52 photographs" in start("prepare", tmp_path / "run", gin_file=file)
    with pytest.raises(statements.ConfigError, match=r"train\.\w+ has no value\. Bind"):
        start("train", tmp_path / "run", gin_file=file)
    assert not (tmp_path / "run").exists()


def test_two_runs_of_one_recipe_are_compared_and_their_seeds_told(start, tmp_path):
    """From training to comparison, without a reading of the test photographs."""
    folders = [tmp_path / name for name in ("seed_0", "seed_1")]
    for number, folder in enumerate(folders):
        line = f"train.seed = {number}"
        start("train", folder, line)
        start("evaluate", folder, line, "evaluate.splits = ('valid',)")
    evaluated = [next(folder.glob("evaluate/*")) for folder in folders]
    before = {one: state(one) for one in folders}
    said = start(
        "compare",
        evaluated[0],
        "compare.split = 'valid'",
        "compare.resamples = 200",
        compared=tuple(evaluated),
    )
    assert said.startswith("8 photographs of 'valid'. These are validation photographs")
    flat = " ".join(said.split())
    assert "Nothing but train.seed differs between seed_0, seed_1." in flat
    assert "seed differs, so this is noise" in flat or "cannot be compared" in flat
    for folder, files in before.items():
        after = state(folder)
        assert {path: after[path] for path in files} == files
    assert not list(tmp_path.glob("*/ledger.jsonl"))


@pytest.fixture
def theirs(audited, split, tmp_path):
    """Another model's predictions of the validation and the test photographs."""
    path = tmp_path / "theirs.csv"
    rows = [
        f"{key},{0.2 + 0.6 * (audited.collection.photograph(key).grade >= 2):g}"
        for key in (*split.valid, *split.test)
    ]
    path.write_text("\n".join(["id,prob", *rows]))
    return path


def test_predictions_are_evaluated_without_a_run_which_may_begin_later(
    start, tmp_path, theirs
):
    folder = tmp_path / "runs" / "tiny"
    said = start("evaluate", folder, predictions=theirs)
    results = folder / "evaluate" / "predictions-theirs-valid-test-resamples-100"
    assert said.startswith("Task: referable diabetic retinopathy: grade >= 2\n")
    assert said.endswith(f"in this run: 1. Everything is in {results}.")
    assert [path.name for path in folder.iterdir()] == ["evaluate"]
    (line,) = (results / "ledger.jsonl").read_text().splitlines()
    checksum = hashlib.sha256(theirs.read_bytes()).hexdigest()
    assert json.loads(line)["predictions_sha256"] == checksum

    before = state(folder)
    assert start("evaluate", folder, predictions=theirs) == said
    assert state(folder) == before
    start("run", folder)
    assert readings(folder) == 1
    assert readings(results) == 1


def test_a_missing_report_of_predictions_is_written_from_the_figures(
    start, tmp_path, theirs
):
    folder = tmp_path / "tiny"
    said = start("evaluate", folder, predictions=theirs)
    (results,) = (folder / "evaluate").iterdir()
    page = (results / "report.html").read_text()
    (results / "report.html").unlink()
    assert start("evaluate", folder, predictions=theirs) == said
    assert (results / "report.html").read_text() == page
    assert readings(results) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evaluate.dropout_samples = 3", r"dropout_samples` needs a model .* 3\. Take"),
        (
            "evaluate.test_time_augmentation = @symmetries()",
            r"`evaluate\.test_time_augmentation` needs a model",
        ),
        ("evaluate.on = [@csv_file()]", r"`evaluate\.on` needs a model that can be"),
    ],
)
def test_what_needs_the_model_cannot_be_asked_of_predictions(
    start, tmp_path, theirs, line, message
):
    with pytest.raises(ValueError, match=message):
        start("evaluate", tmp_path / "run", line, predictions=theirs)
    assert not (tmp_path / "run").exists()


def test_predictions_go_by_the_split_of_the_run(start, finished, theirs):
    start("evaluate", finished, predictions=theirs)
    (results,) = (finished / "evaluate").iterdir()
    assert (results / "split.json").read_bytes() == (
        finished / "split.json"
    ).read_bytes()
    assert readings(finished) == 1


def test_other_predictions_in_a_file_of_the_same_name_are_refused(
    start, tmp_path, theirs
):
    folder = tmp_path / "run"
    start("evaluate", folder, predictions=theirs)
    theirs.write_text(theirs.read_text().replace("0.2", "0.3"))
    before = state(folder)
    with pytest.raises(ValueError, match=r"results of theirs\.csv with the checksum"):
        start("evaluate", folder, predictions=theirs)
    assert state(folder) == before


def test_predictions_that_cannot_be_evaluated_begin_nothing(start, tmp_path, theirs):
    folder, lines = tmp_path / "run", theirs.read_text().splitlines()
    mistakes = {
        "x,0.5": r"theirs\.csv, line 22: `id` must name a photograph",
        "drawn/train/IDRiD_001,0.5": r"line 22: .* there are 1 such rows|was in line",
        lines[-1]: r"line 22: \S+ was in line 21 already",
    }
    for line, message in mistakes.items():
        theirs.write_text("\n".join([*lines, line]))
        with pytest.raises(ValueError, match=message):
            start("evaluate", folder, predictions=theirs)
    theirs.write_text("\n".join(lines[:-1]))
    with pytest.raises(ValueError, match=r"must have all 12 photographs of 'test'"):
        start("evaluate", folder, predictions=theirs)
    test_alone = [line for line in lines if "/train/" not in line]
    theirs.write_text("\n".join(test_alone))
    lines = "evaluate.splits = ('test',)", "evaluate.operating_point = @youden()"
    with pytest.raises(ValueError, match=r"The threshold is chosen on validation phot"):
        start("evaluate", folder, *lines, predictions=theirs)
    assert not folder.exists()


def test_a_dry_run_of_an_evaluation_of_predictions_checks_the_names_alone(
    start, empty_photographs, tmp_path, theirs
):
    folder = tmp_path / "run"
    where = {"dry_run": True, "predictions": theirs} | empty_photographs
    said = start("evaluate", folder, **where)
    assert said.startswith(f"Would evaluate 20 rows of {theirs} on valid, test: ")
    theirs.write_text(theirs.read_text().replace("IDRiD_002", "IDRiD_202"))
    with pytest.raises(ValueError, match=r"Did you mean 'drawn/t"):
        start("evaluate", folder, **where)
    assert not folder.exists()


def test_predictions_of_a_dataset_that_only_tests_need_no_training_photographs(
    start, audited, tmp_path
):
    theirs, folder = tmp_path / "theirs.csv", tmp_path / "run"
    rows = [
        f"{one.id},{0.2 + 0.6 * (one.grade >= 2):g}"
        for one in audited.collection.photographs
    ]
    theirs.write_text("\n".join(["id,prob", *rows]))
    lines = "audit.test_on = ('drawn',)", "evaluate.splits = ('test',)"
    start("evaluate", folder, *lines, predictions=theirs)
    (results,) = (folder / "evaluate").iterdir()
    scores = json.loads((results / "metrics.json").read_text())["results"]["test"]
    assert (scores["n"], scores["metrics"]["auc"]["value"]) == (52, 1.0)
    assert scores["metadata_alone"] is None
    assert "numbers agree" in start("verify", results, *lines)
    with pytest.raises(ValueError, match=r"no photographs in the split 'train'"):
        start("run", tmp_path / "other", *lines)


EXPLAIN = ("explain.methods = [@grad_cam()]", "explain.photographs = 1")


def test_explain_writes_beside_the_results_and_changes_none(start, finished):
    before = state(finished)
    said = start("explain", finished, *EXPLAIN)
    after = state(finished)
    assert "Agreement with lesions, photographs not trained on" in said
    assert said.endswith(f"Pictures are in {finished / 'explanations'}.")
    assert {path: after[path] for path in before} == before
    assert readings(finished) == 1
    assert start("explain", finished, *EXPLAIN) == said
    assert state(finished) == after


def test_the_report_shows_heat_maps_unless_explain_finds_that_they_mean_nothing(
    start, finished, monkeypatch
):
    page = (finished / "report.html").read_text()
    shown = report.shown(facts.read(finished, finished))
    assert page.count('alt="Heat map of ') >= len(shown) > 0
    assert "Grad-CAM: what speaks for" in page
    monkeypatch.setattr(sanity, "MOST_ALIKE", -1.0)  # No method passes.
    assert "Offered: none." in start("explain", finished, *EXPLAIN)
    page = (finished / "report.html").read_text()
    assert page.count('alt="Photograph ') >= len(shown)
    assert "Heat map of" not in page and "Grad-CAM" not in page
    assert "numbers agree" in start("verify", finished)
    remove(finished, "report.html")
    start("run", finished)
    assert "Heat map of" not in (finished / "report.html").read_text()


RANDOM = str(syntax.CONFIGS / "training/random_labels.gin")


def test_a_twin_that_learnt_random_labels_is_one_command_and_checks_the_methods(
    start, finished, tiny
):
    twin = finished.parent / "twin"
    task = "random_labels.task = @referable()"
    start("train", twin, task, "train.epochs = 3", gin_file=(tiny, RANDOM))
    history = json.loads((twin / "history.json").read_text())
    assert history["kept"] == "last"
    assert (twin / "model.keras").exists()
    said = start("explain", finished, *EXPLAIN, random_labels=twin)
    assert f"that learnt random labels, {twin}: is to be low\n" in said
    scores = json.loads((finished / "explanations/scores.json").read_text())
    learnt = history["epochs"][-1]["accuracy"]
    assert scores["random_labels_learnt"] == learnt < 0.95
    assert f"knew {learnt:.0%} of its random labels by heart: train it longer" in said
    with pytest.raises(ValueError, match=r"must have learnt labels that mean nothing"):
        other = shutil.copytree(finished, finished.parent / "other")
        start(
            "explain",
            finished,
            *EXPLAIN,
            "explain.name = 'other'",
            random_labels=other,
        )


def test_reports_of_other_evaluations_lose_their_maps_too(start, finished, monkeypatch):
    start("evaluate", finished, "evaluate.splits = ('valid',)")
    (page,) = finished.glob("evaluate/valid*/report.html")
    assert "Heat map of" in page.read_text()
    monkeypatch.setattr(sanity, "MOST_ALIKE", -1.0)  # No method passes.
    start("explain", finished, *EXPLAIN, "explain.name = 'later'")
    for one in (page, finished / "report.html"):
        assert "Photograph " in one.read_text() and "Heat map" not in one.read_text()
    assert "numbers agree" in start("verify", finished)


def test_maps_that_failed_a_check_are_not_exported(start, finished, monkeypatch):
    monkeypatch.setattr(sanity, "MOST_ALIKE", -1.0)  # No method passes.
    start("explain", finished, *EXPLAIN)
    with pytest.raises(ValueError, match=r"Grad-CAM failed a sanity check of this mod"):
        start("export", finished)
    assert not (finished / "export").exists()


def test_explain_with_other_settings_needs_another_name(start, finished):
    start("explain", finished, *EXPLAIN)
    other = (*EXPLAIN, "explain.splits = ('test',)")
    with pytest.raises(
        ValueError, match=r"was made with .* Keep both: --gin_bindings="
    ):
        start("explain", finished, *other)
    start("explain", finished, *other, "explain.name = 'test'")
    assert (finished / "explanations/test/scores.json").exists()
    assert readings(finished) == 2


def test_explain_needs_a_model(start, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no trained model\. Tr"):
        start("explain", tmp_path / "none", *EXPLAIN)


def test_a_threshold_that_cannot_be_chosen_reads_no_test_photograph(
    start, tmp_path, monkeypatch
):
    folder = tmp_path / "it"
    rule = "evaluate.operating_point = @sensitivity_at_least()"
    with monkeypatch.context() as patch:
        patch.setattr(decision, "choose", _refuse)
        with pytest.raises(ValueError, match="Ask for less"):
            start("run", folder, rule, "sensitivity_at_least.value = 0.8")
    assert not (folder / "ledger.jsonl").exists()
    assert "value = 0.8" in (folder / "config.gin").read_text()

    start("run", folder, rule, "sensitivity_at_least.value = 0.2")
    assert readings(folder) == 1
    for name in ("config.gin", "operative_config.gin"):
        text = (folder / name).read_text()
        assert "sensitivity_at_least.value = 0.2" in text
        assert "0.8\n" not in text
    assert "resnet_v2.widths" in (folder / "operative_config.gin").read_text()


def _refuse(*args, **kwargs):
    raise ValueError("No threshold calls any healthy photograph healthy. Ask for less.")
