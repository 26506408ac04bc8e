import hashlib
import json
import pathlib
import subprocess
import sys

import pytest

from train import environment, run_dir

ROOT = pathlib.Path(__file__).parents[2]
BINDINGS = {"train.epochs": "3", "train.model": "@resnet_v2"}
TASK = {"output": "softmax", "preparation": {"image_size": 64, "jpeg_quality": None}}


@pytest.fixture
def begun(tmp_path):
    run = run_dir.RunDir(tmp_path / "run")
    with run.hold():
        run.begin("train.epochs = 3\n", BINDINGS, TASK)
    return run


def content(run):
    return {path.name: path.read_bytes() for path in run.path.iterdir()}


def test_a_begun_run_holds_what_was_asked_and_where_it_runs(begun):
    assert (begun.path / "config.gin").read_text() == "train.epochs = 3\n"
    assert json.loads((begun.path / "task.json").read_text()) == TASK
    (start,) = json.loads((begun.path / "environment.json").read_text())
    assert start["command"] == sys.argv
    assert not begun.finished


def test_the_devices_that_train_are_noted(begun):
    begun.begin("train.epochs = 3\n", BINDINGS, TASK, ["GPU:0 H100"])
    starts = json.loads((begun.path / "environment.json").read_text())
    assert [one["training_devices"] for one in starts] == [[], ["GPU:0 H100"]]


def test_what_was_asked_last_is_kept_until_it_is_done_and_each_start_is_noted(begun):
    before = content(begun)
    asked = "train.epochs = 3\nevaluate.resamples = 500\n"
    begun.begin(asked, BINDINGS, TASK)
    after = content(begun)
    assert len(json.loads(after.pop("environment.json"))) == 2
    assert after.pop("config.gin").decode() == asked
    del before["environment.json"], before["config.gin"]
    assert after == before
    for path in (begun.model, begun.metrics):
        path.touch()
    begun.begin("train.epochs = 3\n", BINDINGS, TASK)
    assert content(begun)["config.gin"].decode() == asked


def test_another_config_is_refused_and_the_difference_shown(begun):
    before = content(begun)
    other = {"train.epochs": "4", "train.seed": "1"}
    message = (
        r"run was begun with something else:\n"
        r"  train\.epochs: 3 there, 4 here\n"
        r"  train\.model: @resnet_v2 there, not set here\n"
        r"  train\.seed: not set there, 1 here\n"
        r"Name another folder with --run_dir, or take back the difference\.$"
    )
    with pytest.raises(ValueError, match=message):
        begun.check_config(other)
    with pytest.raises(ValueError, match=message):
        begun.begin("train.epochs = 4\n", other, TASK)
    assert content(begun) == before


def test_other_photographs_or_another_preparation_are_refused(begun):
    before = content(begun)
    other = {"output": "softmax", "preparation": {"image_size": 32}}
    message = (
        r"something else:\n"
        r"  preparation\.image_size: 64 there, 32 here\n"
        r"  preparation\.jpeg_quality: None there, not set here\n"
    )
    with pytest.raises(ValueError, match=message):
        begun.check_task(other)
    with pytest.raises(ValueError, match=message):
        begun.begin("train.epochs = 3\n", BINDINGS, other)
    assert content(begun) == before


@pytest.mark.parametrize(
    "missing",
    [
        ("bindings.json",),
        ("bindings.json", "environment.json"),
        ("bindings.json", "environment.json", "task.json"),
        ("bindings.json", "environment.json", "task.json", "config.gin"),
    ],
)
def test_a_beginning_that_was_killed_counts_for_nothing(begun, missing):
    for name in missing:
        (begun.path / name).unlink()
    (begun.path / "task.json.partial").write_text('{"outp')
    other = BINDINGS | {"train.epochs": "4"}
    begun.check_config(other)
    begun.check_task({"output": "ordinal"})
    begun.begin("train.epochs = 4\n", other, {"output": "ordinal"})
    assert (begun.path / "config.gin").read_text() == "train.epochs = 4\n"
    assert json.loads((begun.path / "task.json").read_text()) == {"output": "ordinal"}
    assert len(json.loads((begun.path / "environment.json").read_text())) == 1


def test_a_folder_of_other_files_is_no_run(tmp_path):
    (tmp_path / "thesis.tex").touch()
    message = (
        r"holds files but no run: thesis\.tex\. Name another folder with --run_dir"
    )
    with pytest.raises(ValueError, match=message):
        run_dir.RunDir(tmp_path).check_config(BINDINGS)
    message = r"--run_dir must be a folder\. Received: .*thesis\.tex\."
    with pytest.raises(ValueError, match=message):
        run_dir.RunDir(tmp_path / "thesis.tex").check_config(BINDINGS)


def test_a_missing_or_empty_folder_can_become_a_run(tmp_path):
    run_dir.RunDir(tmp_path / "missing").check_config(BINDINGS)
    assert not (tmp_path / "missing").exists()
    run_dir.RunDir(tmp_path).check_config(BINDINGS)


def test_a_second_process_is_refused_at_once_until_the_first_ends(tmp_path):
    run = run_dir.RunDir(tmp_path / "run")
    program = (
        "import pathlib, sys\nfrom input_pipeline import folder_lock\n"
        "with folder_lock.hold(pathlib.Path(sys.argv[1]), wait=False):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(run.path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert first.stdout.readline() == b"held\n"
        message = r"Another process is at work in .*run\. Wait for it to end, or name"
        with pytest.raises(BlockingIOError, match=message), run.hold():
            pass
    finally:
        first.kill()
        first.communicate()
    with run.hold():  # A killed process holds nothing.
        pass


def test_the_ledger_has_a_line_for_each_reading(begun):
    assert begun.test_readings == 0
    begun.note_test_reading("run", 103, "ab" * 32)
    begun.note_test_reading("evaluate", 103, "cd" * 32)
    assert begun.test_readings == 2
    lines = (begun.path / "ledger.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [one["mode"] for one in entries] == ["run", "evaluate"]
    assert {(one["split"], one["photographs"]) for one in entries} == {("test", 103)}
    assert entries[1]["weights_sha256"] == "cd" * 32


def test_a_full_disk_leaves_no_half_of_a_file(begun, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    before = content(begun)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        begun.note_operative_config("train.epochs = 3\n")
    assert content(begun) == before


def test_the_environment_says_what_results_depend_on():
    found = environment.describe()
    versions = {"python", "tensorflow", "keras", "numpy", "opencv"}
    assert all(found[name][0].isdigit() for name in versions)
    assert found["devices"][0] == "CPU"
    assert found["processors"] >= 1
    assert found["processor"]
    assert found["time"].endswith("+00:00")
    json.dumps(found)


def test_the_environment_knows_no_commit_outside_of_a_checkout(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment.describe()["commit"] is None


def test_an_entry_says_what_was_read_with_which_config_and_weights(begun):
    begun.note_test_reading("run", 103, "ab" * 32, datasets={"idrid": 103})
    begun.note_test_reading("evaluate", 40, "ab" * 32, "site", {"site": 40})
    first, second = begun.readings
    assert (first["split"], second["split"]) == ("test", "site")
    assert (first["datasets"], second["datasets"]) == ({"idrid": 103}, {"site": 40})
    bindings = (begun.path / "bindings.json").read_bytes()
    digest = hashlib.sha256(bindings).hexdigest()
    assert first["config_sha256"] == second["config_sha256"] == digest
    assert begun.test_readings == 1


def test_entries_of_earlier_versions_still_count(begun):
    old = {"time": "2026-01-01", "mode": "run", "split": "test", "photographs": 103}
    (begun.path / "ledger.jsonl").write_text(json.dumps(old) + "\n")
    begun.note_test_reading("evaluate", 103, "ab" * 32)
    assert begun.test_readings == 2
    assert begun.readings[0] == old


def test_a_damaged_ledger_is_not_counted_in_silence(begun):
    begun.note_test_reading("run", 103, "ab" * 32)
    with open(begun.path / "ledger.jsonl", "a") as file:
        file.write('{"time": "2026')
    with pytest.raises(ValueError, match=r"ledger\.jsonl, line 2 is damaged: '{\"tim"):
        _ = begun.test_readings
    # What was cut short takes no other entry with it.
    begun.note_test_reading("run", 103, "cd" * 32)
    lines = (begun.path / "ledger.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["weights_sha256"] == "cd" * 32


NOTING = """
import pathlib, sys
from train import run_dir
run = run_dir.RunDir(pathlib.Path(sys.argv[1]))
print("noting", flush=True)
number = 0
while number < int(sys.argv[2]):
    run.note_test_reading(sys.argv[3], number, "ab" * 32)
    number += 1
"""


def noting(begun, count, name):
    child = subprocess.Popen(
        [sys.executable, "-c", NOTING, str(begun.path), str(count), name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"noting\n"
    return child


def test_two_processes_lose_no_entry_and_a_killed_one_leaves_no_half(begun):
    children = [noting(begun, 40, name) for name in ("first", "second")]
    killed = noting(begun, 10**9, "killed")
    for one in children:
        assert one.wait() == 0
    killed.kill()
    killed.wait()
    for child in (*children, killed):
        child.stdout.close()
    by_mode = {"first": [], "second": [], "killed": []}
    for one in begun.readings:
        by_mode[one["mode"]].append(one["photographs"])
    assert by_mode["first"] == by_mode["second"] == list(range(40))
    assert by_mode["killed"] == list(range(len(by_mode["killed"])))


def test_a_full_disk_leaves_the_ledger_as_it_was(begun, monkeypatch):
    begun.note_test_reading("run", 103, "ab" * 32)
    before = content(begun)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        begun.note_test_reading("run", 103, "ab" * 32)
    assert content(begun) == before
