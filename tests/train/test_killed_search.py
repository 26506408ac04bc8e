"""A whole search that is killed, search and trials, and begun again."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed")

ROOT = pathlib.Path(__file__).parents[2]
GIN = f"""
include '{ROOT}/tests/train/tiny.gin'
train.first_phases = ()
train.epochs = 15
train.callbacks = []
tune.space = {{'Adam.learning_rate': [1e-3, 1e-4]}}
"""


def session(leader):
    """Process ids of a session, in which zygotes have groups of their own."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # Behind the name, which may hold anything: state, parent, group, session.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_same_command_finishes_a_search_that_was_killed(
    tmp_path, idrid_like, prepared_dir, prepared
):
    (tmp_path / "search.gin").write_text(GIN)
    command = [
        sys.executable,
        str(ROOT / "main.py"),
        "--mode=tune",
        f"--gin_file={tmp_path / 'search.gin'}",
        f"--run_dir={tmp_path / 'run'}",
        f"--data_dir={idrid_like}",
        f"--prepared_dir={prepared_dir}",
    ]
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    trials = tmp_path / "run" / "trials"
    end = time.monotonic() + 300
    while not list(trials.glob("1/checkpoints/*.index")):
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    for process in session(child.pid):
        os.kill(process, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    finished = (trials / "0" / "history.json").stat().st_mtime_ns
    assert not (trials / "1" / "history.json").exists()

    # A minute of it is the dead worker's last heartbeat's.
    again = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert again.returncode == 0, again.stderr
    rows = [line.split() for line in again.stdout.split("\n\n")[0].splitlines()[1:]]
    assert sorted((row[0], row[-1]) for row in rows) == [("0", "done"), ("1", "done")]
    assert "Trial 1 goes on" in again.stderr
    assert "Trial 0" not in again.stderr
    assert (trials / "0" / "history.json").stat().st_mtime_ns == finished
    assert "Going on from" in (tmp_path / "run" / "logs" / "1.log").read_text()
    assert len(json.loads((trials / "1" / "history.json").read_text())["epochs"]) == 15
