import json
import os
import pathlib
import re
import shutil
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
    return lambda *arguments, **environment: command(
        *arguments, PYTHONPATH=str(tmp_path / "stubs"), **environment
    )


@pytest.fixture
def run_main(tmp_path, monkeypatch, capsys):
    """Runs `main.main` in this process: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prepared" / "synthetic-0").mkdir(parents=True)  # Not looked into.
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
        (
            ["--mode=predict", "--photographs=README.md"],
            1,
            "error: --photographs: README.md is a file. Name the folder that it lies",
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([f"--gin_file={SHIPPED}"], "photographs of 'synthetic' that.*--data_dir=<f"),
        (
            [f"--gin_file={SHIPPED}", "--mode=prepare", "--dry_run"],
            "photographs of 'synthetic' that",
        ),
        (
            ["--gin_file=combined_resnet_icdr.gin", "--mode=train"],
            "photographs of 'aptos2019', 'idrid', 'messidor2' that.* "
            "--data_dir=aptos2019=<folder> --data_dir=idrid=<folder> --data_dir=mess",
        ),
    ],
)
def test_a_forgotten_data_folder_is_told_before_tensorflow_is_imported(
    without_tensorflow, tmp_path, arguments, message
):
    folders = f"--prepared_dir={tmp_path}/none", f"--run_dir={tmp_path}/run"
    child = without_tensorflow(*arguments, *folders)
    assert (child.returncode, child.stdout) == (1, "")
    assert re.search(rf"^error: {tmp_path}/none holds no {message}", child.stderr)
    assert "docs/data.md tells where to get a dataset" in child.stderr


def test_only_the_datasets_without_folder_or_records_are_missing(
    without_tensorflow, tmp_path, idrid_like
):
    (tmp_path / "aptos2019-0").mkdir()
    child = without_tensorflow(
        "--gin_file=combined_resnet_icdr.gin",
        f"--prepared_dir={tmp_path}",
        f"--data_dir=idrid={idrid_like}",
    )
    assert f"{tmp_path} holds no photographs of 'messidor2' that" in child.stderr


@pytest.mark.parametrize(
    ("task", "told"),
    [({"type": "worker", "index": 0}, True), ({"type": "worker", "index": 1}, False)],
)
def test_only_the_chief_needs_photographs(without_tensorflow, tmp_path, task, told):
    workers = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    child = without_tensorflow(
        f"--gin_file={SHIPPED}",
        f"--prepared_dir={tmp_path}/none",
        f"--run_dir={tmp_path}/run",
        TF_CONFIG=json.dumps({"cluster": workers, "task": task}),
    )
    assert ("holds no photographs" in child.stderr) == told
    assert ("imported " in child.stderr) != told


def begun(run_dir, *commands):
    """A run directory that was started by some commands."""
    run_dir.mkdir()
    starts = [{"command": list(one)} for one in commands]
    (run_dir / "environment.json").write_text(json.dumps(starts))
    config = (
        "prepare.datasets = [@datasets.idrid()]\ndatasets.idrid.name = 'synthetic'\n"
    )
    (run_dir / "config.gin").write_text(config)


def test_after_a_kill_the_command_that_had_photographs_is_quoted(
    without_tensorflow, tmp_path
):
    run_dir = tmp_path / "a run"
    begun(
        run_dir,
        ("main.py", "--data_dir=first"),
        ("main.py", "--prepared_dir", "second place"),
        ("main.py", "--mode=train"),
    )
    child = without_tensorflow(
        f"--run_dir={run_dir}", "--mode=train", f"--prepared_dir={tmp_path}/none"
    )
    assert child.stderr.endswith(
        f"\n{run_dir} was started with: main.py --prepared_dir 'second place'\n"
    )


def test_what_shows_later_is_reminded_of_the_command_too(run_main, tmp_path):
    run_dir = tmp_path / "run"
    begun(run_dir, ("main.py", "--data_dir=first"))
    # There are records, but of other settings: known only once all is imported.
    status, _, err = run_main(gin_file=[SHIPPED], run_dir=["run"], mode="train")
    assert status == 1
    assert "prepared holds no photographs of 'synthetic' that are prepared as" in err
    assert err.endswith("\nrun was started with: main.py --data_dir=first\n")


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
    assert [one.name for one in tmp_path.iterdir()] == ["prepared"]


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
    "flag", ["photographs", "exported", "output_dir", "run_dir", "prepared_dir"]
)
def test_a_flag_without_a_value_is_refused(run_main, flag):
    value = [""] if flag == "run_dir" else ""
    status, _, err = run_main(mode="predict", **{flag: value})
    assert status == 2
    assert err == f"error: --{flag} is empty. Name a path, or leave it out.\n"


def test_predict_asks_one_model(run_main, tmp_path):
    asked = {"photographs": str(ROOT), "exported": str(tmp_path)}
    status, _, err = run_main(mode="predict", run_dir=[str(tmp_path)], **asked)
    assert status == 1
    assert "error: --exported and --run_dir name two models. Name one of them." in err


@pytest.mark.parametrize(
    ("mode", "how"),
    [
        ("prepare", "goes on from what is saved"),
        ("predict", "goes on from what is saved"),
        ("explain", "goes on from what is saved"),
        ("export", "begins anew"),
    ],
)
def test_control_c_is_answered_in_a_line(run_main, monkeypatch, mode, how):
    def stopped(where):
        raise KeyboardInterrupt

    entry_points = experiment.MODES[mode][1]
    monkeypatch.setitem(experiment.MODES, mode, (stopped, entry_points))
    asked = {"photographs": str(ROOT)} if mode == "predict" else {}
    status, _, err = run_main(gin_file=[SHIPPED], mode=mode, **asked)
    assert status == 130
    assert err == f"Stopped. The same command {how}.\n"


def test_a_package_that_is_not_installed_is_one_message(
    run_main, monkeypatch, tmp_path
):
    def lacking(where):
        import no_such_package  # noqa: F401

    monkeypatch.setitem(experiment.MODES, "prepare", (lacking, ("prepare",)))
    status, _, err = run_main(gin_file=[SHIPPED], mode="prepare")
    assert status == 1
    assert err.startswith(f"error: {sys.executable} lacks no_such_package. `make demo`")

    def slip(where):
        import train.no_such_module  # noqa: F401

    monkeypatch.setitem(experiment.MODES, "prepare", (slip, ("prepare",)))
    with pytest.raises(ModuleNotFoundError):
        run_main(gin_file=[SHIPPED], mode="prepare")


def test_without_any_package_it_says_what_to_install():
    child = subprocess.run(
        [sys.executable, "-S", "main.py", "--help"],  # Without site-packages.
        cwd=ROOT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (child.returncode, child.stdout) == (1, "")
    assert child.stderr.startswith(f"error: {sys.executable} lacks absl. `make demo`")
    assert child.stderr.endswith("do: pip install --requirement requirements.txt\n")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target", ["demo", "serve"])
def test_make_checks_the_version_of_python_first(target, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "asked: $2"\nexit 1\n')
    python.chmod(0o755)
    child = subprocess.run(
        [
            "make",
            target,
            f"PYTHON={python}",
            f"VENV={tmp_path}/a",
            f"SERVING={tmp_path}/b",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 2
    # Below another make it says first where it is.
    assert "asked: import sys; v = sys.version_info[:2]" in child.stdout


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
