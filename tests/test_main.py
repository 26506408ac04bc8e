import json
import os
import pathlib
import subprocess
import sys

import pytest
from absl import flags, logging
from absl.testing import flagsaver

import main
from evaluation import compare
from train import experiment, first_look

ROOT = pathlib.Path(__file__).parents[1]
SHIPPED = "synthetic_resnet_v2.gin"


def command(*arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def without_tensorflow(tmp_path):
    """A command that fails if TensorFlow, or anything that needs it, is imported."""
    for name in ("tensorflow", "keras", "numpy", "cv2"):
        folder = tmp_path / "stubs" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise SystemExit('imported ' + __name__)")
    return lambda *arguments: command(*arguments, PYTHONPATH=str(tmp_path / "stubs"))


@pytest.fixture
def run_main(tmp_path, monkeypatch, capsys):
    """Runs `main.main` in this process: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    handler = logging.get_absl_handler()
    formatter, filters = handler.python_handler.formatter, list(handler.filters)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()

    def run(*arguments, **values):
        status = 0
        with flagsaver.flagsaver(**values):
            try:
                main.main(["main.py", *arguments])
            except SystemExit as stop:
                status = stop.code
        return status, *capsys.readouterr()

    yield run
    handler.setFormatter(formatter)
    handler.filters[:] = filters


def test_help_says_how_to_start_and_imports_no_tensorflow(without_tensorflow):
    child = without_tensorflow("--help")
    assert child.returncode == 0
    assert child.stderr == ""
    assert child.stdout.startswith("Retinograd grades diabetic retinopathy from fundus")
    assert (
        "\npython main.py --gin_file=configs/synthetic_resnet_v2.gin "
        "--data_dir=data/synthetic\n"
    ) in child.stdout
    for name in ("gin_file", "gin_bindings", "mode", "run_dir", "dry_run"):
        assert f"{name}:" in child.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["--gin_fil=x"],
            2,
            "error: Unknown command line flag 'gin_fil'. Did you mean",
        ),
        (["--mode=trian"], 2, "error: flag --mode=trian: value should be one of <run|"),
        (
            ["--mode=verify", "--predictions=x.csv"],
            2,
            "error: --predictions needs --mode=evaluate, not verify.",
        ),
        (
            ["--mode=verify", "--random_labels=runs/x"],
            2,
            "error: --random_labels needs --mode=explain, not verify.",
        ),
        (
            [f"--gin_file={SHIPPED}", "--mode=evaluate", "--predictions=x.csv"],
            1,
            "error: --predictions: there is no file x.csv.",
        ),
        (
            ["--mode=explain", "--photographs=x"],
            2,
            "error: --photographs needs --mode=predict, not explain.",
        ),
        (["--mode=predict"], 1, "error: --mode=predict needs --photographs=<folder>."),
        (
            ["--mode=predict", "--photographs=no_such_folder"],
            1,
            "error: --photographs: there is no folder no_such_folder.",
        ),
        (["train"], 2, "error: unexpected train: flags begin with --."),
        ([], 1, "error: No experiment. Name one, --gin_file=configs/"),
        (["--gin_file=no.gin"], 1, "error: --gin_file: there is no gin file 'no.gin'."),
        (
            [f"--gin_file={SHIPPED}", "--gin_bindings=train.epochs"],
            1,
            "error: --gin_bindings='train.epochs': Couldn't parse statement",
        ),
        (
            [f"--gin_file={SHIPPED}", "--data_dir=no_such_folder"],
            1,
            "error: --data_dir: there is no folder no_such_folder.",
        ),
        (
            [f"--gin_file={SHIPPED}", "--data_dir=README.md"],
            1,
            "error: --data_dir: README.md is a file. Name the folder that it lies in.",
        ),
        (
            [f"--gin_file={SHIPPED}", "--mode=explain", "--run_dir=runs/no_such"],
            1,
            "error: --run_dir: there is no run runs/no_such. Name the folder of a tra",
        ),
        (
            ["--mode=verify", "--run_dir=runs/no_such"],
            1,
            "error: --run_dir: there is no run runs/no_such. Name the folder of a ru",
        ),
    ],
)
def test_a_mistake_that_needs_no_tensorflow_imports_none(
    without_tensorflow, arguments, status, message
):
    child = without_tensorflow(*arguments)
    assert (child.returncode, child.stdout) == (status, "")
    assert child.stderr.startswith(message)
    assert len(child.stderr.splitlines()) <= 2


def test_a_zip_as_data_folder_is_told_to_be_unpacked(without_tensorflow, tmp_path):
    (tmp_path / "idrid.zip").touch()
    child = without_tensorflow(
        f"--gin_file={SHIPPED}", f"--data_dir={tmp_path}/idrid.zip"
    )
    assert "idrid.zip is a file. Unpack it, and name the folder that comes of it." in (
        child.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "IDRiD lacks the folder "),
        (["--gin_bindings=prepare.datasets = [@aptos2019()]"], "lacks the file"),
        (
            [
                "--gin_file=datasets/csv_file.gin",
                "--gin_bindings=csv_file.file = 'mine.csv'",
            ],
            "mine.csv must have the columns ['path', 'grade']",
        ),
        (
            [
                "--gin_bindings=evaluate.on = [@there/csv_file()]",
                "--gin_bindings=there/csv_file.name = 'there'",
                "--gin_bindings=there/csv_file.file = 'mine.csv'",
            ],
            "mine.csv must have the columns ['path', 'grade']",
        ),
    ],
)
def test_what_is_wrong_with_a_data_folder_is_told_before_tensorflow_is_imported(
    without_tensorflow, tmp_path, arguments, message
):
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "mine.csv").write_text("path,severity\n")
    name = "there=" if "there" in str(arguments) else ""
    child = without_tensorflow(
        f"--gin_file={SHIPPED}", *arguments, f"--data_dir={name}{folder}"
    )
    assert (child.returncode, child.stdout) == (1, "")
    assert message in child.stderr and "\nExpected in " in child.stderr


def test_what_is_not_plain_in_a_config_is_left_to_its_loader(
    without_tensorflow, tmp_path
):
    for value in ("@clinic()", "%SETS", "'idrid'", "@csv_file"):
        child = without_tensorflow(
            f"--gin_file={SHIPPED}",
            f"--gin_bindings=prepare.datasets = [{value}]",
            f"--data_dir={tmp_path}",
        )
        assert "imported " in child.stderr  # TensorFlow or NumPy, in its place.


COMPARE = "--mode=compare"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: --mode=compare takes two or more runs, each with its own flag: "),
        (["--run_dir=no", "--run_dir=nor"], "error: --run_dir: there is no folder no."),
        (
            ["--gin_bindings=compare.split = 'train'"],
            "error: `compare.split` must not be 'train'",
        ),
        (
            ["--gin_bindings=compare.metric = 'auc'"],
            "error: --gin_bindings=\"compare.metric = 'auc'\": 'compare' has no param",
        ),
    ],
)
def test_compare_needs_no_tensorflow_to_refuse(tmp_path, arguments, message):
    for name in ("tensorflow", "keras"):
        (tmp_path / name).mkdir()
        stub = f"raise SystemExit('imported {name}')"
        (tmp_path / name / "__init__.py").write_text(stub)
    child = command(COMPARE, *arguments, PYTHONPATH=str(tmp_path))
    assert (child.returncode, child.stdout) == (1, "")
    assert child.stderr.startswith(message)


@pytest.mark.parametrize("mode", [one for one in main.MODES if one != "compare"])
def test_other_modes_take_one_run(run_main, mode):
    status, _, err = run_main(gin_file=[SHIPPED], mode=mode, run_dir=["a", "b"])
    assert status == 1
    assert err == (
        f"error: --mode={mode} takes one --run_dir; only compare takes several. "
        "Received: a, b.\n"
    )


def test_compare_with_a_gin_file_takes_its_settings_from_there(
    run_main, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        compare.Comparer, "run", lambda self, *given: f"{self.split} {given}"
    )
    (tmp_path / "mine.gin").write_text("compare.split = 'valid'\n")
    folders = (pathlib.Path("a"), pathlib.Path("b"))
    for files in (["mine.gin"], [SHIPPED, "mine.gin"]):
        out = run_main(gin_file=files, mode="compare", run_dir=["a", "b"])
        assert out == (0, f"valid {(folders, False)}\n", "")
    _, out, _ = run_main(mode="compare", run_dir=["a", "b"], dry_run=True)
    assert out == f"test {(list(folders), True)}\n"


def test_the_modes_are_those_of_the_experiment():
    assert tuple(experiment.MODES) == main.MODES


@pytest.mark.parametrize("mode", main.MODES)
def test_a_mistake_in_a_config_is_one_message_and_status_1(run_main, mode, tmp_path):
    status, out, err = run_main(
        gin_file=[SHIPPED], gin_bindings=["prepare.image_sise = 64"], mode=mode
    )
    assert (status, out) == (1, "")
    assert err == (
        "error: --gin_bindings='prepare.image_sise = 64': 'prepare' has no parameter "
        "'image_sise'. Did you mean 'image_size'?\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_value_out_of_range_is_one_message_and_status_1(run_main):
    status, out, err = run_main(gin_file=[SHIPPED], gin_bindings=["train.epochs = 0"])
    assert (status, out) == (1, "")
    assert err.startswith("error: `train.epochs` must be at least 1. Received: 0.")


def test_an_error_of_the_system_is_told_in_words(run_main, monkeypatch):
    def full(where):
        raise OSError(28, "No space left on device", "runs/x")

    monkeypatch.setitem(experiment.MODES, "prepare", (full, ("prepare",)))
    status, _, err = run_main(gin_file=[SHIPPED], mode="prepare")
    assert (status, err) == (1, "error: No space left on device: runs/x.\n")


def test_verbosity_1_shows_where_an_error_comes_from(run_main):
    before = logging.get_verbosity()
    logging.set_verbosity(logging.DEBUG)
    try:
        with pytest.raises(ValueError, match=r"`train\.epochs` must be at least 1"):
            run_main(gin_file=[SHIPPED], gin_bindings=["train.epochs = 0"])
    finally:
        logging.set_verbosity(before)


@pytest.mark.parametrize(
    "error", [TypeError("wrong"), KeyError("wrong"), NotImplementedError("wrong")]
)
def test_a_programming_error_keeps_its_traceback(run_main, monkeypatch, error):
    def wrong(where):
        raise error

    monkeypatch.setitem(experiment.MODES, "prepare", (wrong, ("prepare",)))
    with pytest.raises(type(error), match="wrong"):
        run_main(gin_file=[SHIPPED], mode="prepare")


@pytest.mark.parametrize(
    ("mode", "how"),
    [("prepare", "goes on from what is saved"), ("export", "begins anew")],
)
def test_control_c_is_answered_in_a_line(run_main, monkeypatch, mode, how):
    def stopped(where):
        raise KeyboardInterrupt

    entry_points = experiment.MODES[mode][1]
    monkeypatch.setitem(experiment.MODES, mode, (stopped, entry_points))
    status, _, err = run_main(gin_file=[SHIPPED], mode=mode)
    assert status == 130
    assert err == f"Stopped. The same command {how}.\n"


def test_flags_say_where(run_main, monkeypatch, tmp_path):
    def show(where):
        return f"{where.data_dirs} {where.prepared_dir} {where.run_dir} {where.dry_run}"

    monkeypatch.setitem(experiment.MODES, "prepare", (show, ("prepare",)))
    monkeypatch.setattr(first_look, "check", lambda *args: None)
    (tmp_path / "photographs").mkdir()
    result = run_main(gin_file=[SHIPPED], mode="prepare")
    assert result == (0, "{} prepared runs/synthetic_resnet_v2 False\n", "")
    result = run_main(
        gin_file=[SHIPPED],
        mode="prepare",
        data_dir=["photographs", "", "idrid=photographs"],
        prepared_dir="records",
        run_dir=["mine"],
        dry_run=True,
    )
    folders = {"": pathlib.Path("photographs"), "idrid": pathlib.Path("photographs")}
    assert result == (0, f"{folders} records mine True\n", "")


def test_a_run_on_random_labels_is_handed_to_explain(run_main, monkeypatch):
    monkeypatch.setitem(
        experiment.MODES, "explain", (lambda where: str(where.random_labels), ())
    )
    result = run_main(gin_file=[SHIPPED], mode="explain", random_labels="runs/random")
    assert result == (0, "runs/random\n", "")


def test_what_is_predicted_is_handed_to_predict(run_main, monkeypatch, tmp_path):
    def show(where):
        return f"{where.exported} {where.photographs} {where.output_dir}"

    monkeypatch.setitem(experiment.MODES, "predict", (show, ()))
    for name in ("model", "photographs"):
        (tmp_path / name).mkdir()
    where = {"exported": "model", "photographs": "photographs", "output_dir": "out"}
    result = run_main(gin_file=[SHIPPED], mode="predict", **where)
    assert result == (0, "model photographs out\n", "")


@pytest.mark.parametrize("flag", ["--exported=folder", "--run_dir=folder"])
def test_predict_needs_no_tensorflow_to_refuse(tmp_path, flag):
    for name in ("tensorflow", "keras"):
        (tmp_path / name).mkdir()
        stub = f"raise SystemExit('imported {name}')"
        (tmp_path / name / "__init__.py").write_text(stub)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.jpg").touch()
    arguments = "--mode=predict", flag, "--photographs=folder"
    child = command(*arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (child.returncode, child.stdout) == (1, "")
    assert "holds no exported model. Export one: python main.py" in child.stderr


def test_predictions_are_handed_to_the_evaluation(run_main, monkeypatch, tmp_path):
    monkeypatch.setitem(
        experiment.MODES, "evaluate", (lambda where: str(where.predictions), ())
    )
    (tmp_path / "theirs.csv").touch()
    result = run_main(gin_file=[SHIPPED], mode="evaluate", predictions="theirs.csv")
    assert result == (0, "theirs.csv\n", "")
    assert run_main(gin_file=[SHIPPED], mode="evaluate") == (0, "None\n", "")


def test_two_folders_of_one_dataset_are_refused(run_main, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    status, _, err = run_main(
        gin_file=[SHIPPED], mode="prepare", data_dir=["idrid=a", "idrid=b"]
    )
    assert status == 1
    assert err.startswith("error: --data_dir names a and b for the same dataset. Name")


def test_the_last_gin_file_names_the_run(run_main, monkeypatch, tmp_path):
    monkeypatch.setitem(
        experiment.MODES, "prepare", (lambda where: str(where.run_dir), ("prepare",))
    )
    (tmp_path / "mine.gin").write_text("train.seed = 3\n")
    status, out, _ = run_main(gin_file=[SHIPPED, "mine.gin"], mode="prepare")
    assert (status, out) == (0, "runs/mine\n")


def test_a_whole_run_shows_its_own_messages_and_nothing_else(
    idrid_like, prepared, prepared_dir, tmp_path
):
    """Without PYTHONWARNINGS or a log level of ours: as a user starts it."""
    arguments = [
        f"--gin_file={SHIPPED}",
        "--gin_bindings=idrid.name = 'drawn'",
        "--gin_bindings=prepare.image_size = 64",
        "--gin_bindings=train.epochs = 1",
        "--gin_bindings=evaluate.resamples = 100",
        f"--data_dir={idrid_like}",
        f"--prepared_dir={prepared_dir}",
    ]
    environment = os.environ.copy()
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    first = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("Task: referable diabetic retinopathy: grade >= 2\n")
    assert first.stdout.endswith("Everything is in runs/synthetic_resnet_v2.\n")
    lines = first.stderr.splitlines()
    shown = [line for line in lines if line and "img/s" not in line]
    reused, audit, page, *memory, devices = shown
    assert (
        reused == f"Reusing the prepared photographs in {prepared.folders[0].folder}."
    )
    assert audit.startswith("Audit: 0 pairs of copies, ")
    assert page.endswith("audit.html")
    assert len(memory) == 2 and all("kept in memory" in line for line in memory)
    assert devices == "Training on CPU:0."

    arguments = ["--run_dir=runs/synthetic_resnet_v2", f"--prepared_dir={prepared_dir}"]
    again = command(*arguments, cwd=tmp_path)
    assert again.returncode == 0
    finished = (
        "runs/synthetic_resnet_v2 is finished; no photograph is read. Its results:"
    )
    assert again.stderr == f"{finished}\n"
    assert again.stdout == first.stdout


def test_workers_that_share_nothing_are_refused_before_anything_is_read(
    run_main, monkeypatch
):
    task = {"type": "worker", "index": 0}
    two = {"cluster": {"worker": ["a:1", "b:2"]}, "task": task}
    monkeypatch.setenv("TF_CONFIG", json.dumps(two))
    status, out, err = run_main(mode="evaluate", gin_file=["nowhere.gin"])
    assert (status, out) == (1, "")
    assert err.startswith("error: --mode=evaluate is for one process, and TF_CONFIG")
