"""Searches that share a real PostgreSQL server, started here on the loopback.

Without the server's programs, or psycopg, they are skipped, unless the environment
variable RETINOGRAD_NEEDS_POSTGRESQL is set, as CI does: then they fail.

Their trials only sleep: what is tested is who takes which trial, and how often.
`test_killed_search` has trials that train.
"""

import collections
import contextlib
import getpass
import importlib.util
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

if not os.environ.get("RETINOGRAD_NEEDS_POSTGRESQL"):
    pytest.importorskip("optuna", reason="Optuna is not installed")

from tests.train import drawn_study
from train import database

ROOT = pathlib.Path(__file__).parents[2]
TRIALS = 12


def program(name):
    """A program of the server, which Debian keeps out of the PATH."""
    debian = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(debian[-1]) if debian else shutil.which(name)


def missing() -> str | None:
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: pip install 'psycopg[binary]'"
    if program("initdb") is None or program("postgres") is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    return None


@pytest.fixture(scope="module")
def server():
    """The URL of a server of its own, with an empty database."""
    if reason := missing():
        if os.environ.get("RETINOGRAD_NEEDS_POSTGRESQL"):
            pytest.fail(reason)
        pytest.skip(reason)
    import psycopg

    # The server refuses to be root; Debian's package has made a user for it.
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    as_user = {"user": user} if os.geteuid() == 0 else {}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="retinograd-postgresql-"))
    try:
        if as_user:
            shutil.chown(folder, user)
        data = str(folder / "data")
        command = [program("initdb"), "-D", data, "-U", "grader", "-A", "trust", "-N"]
        subprocess.run(command, check=True, cwd=folder, capture_output=True, **as_user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [program("postgres"), "-D", data, *settings],
                cwd=folder,
                stdout=log,
                stderr=log,
                **as_user,
            )
        url = f"postgresql://grader:secret@127.0.0.1:{port}/postgres"
        try:
            wait_for(lambda: answers(psycopg, url), 60)
            yield url
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def answers(psycopg, url):
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def start(url, folder, *more):
    command = [sys.executable, "-m", "tests.train.search_worker", url, str(folder)]
    return subprocess.Popen([*command, str(TRIALS), *more], cwd=ROOT)


def test_four_workers_of_which_one_is_killed_do_each_trial_once(server, tmp_path):
    # Each has a folder of its own, like four machines; all start on an empty database.
    logs = [tmp_path / f"{number}.log" for number in range(4)]
    doomed = start(server, tmp_path / "0", "endless")
    others = [start(server, tmp_path / str(number)) for number in range(1, 4)]
    try:
        wait_for(lambda: logs[0].exists() and logs[0].read_text(), 120)
        doomed.kill()
        assert [one.wait(120) for one in others] == [0, 0, 0]
    finally:
        for one in (doomed, *others):
            one.kill()
            one.wait()
    lines = [
        line for log in logs if log.exists() for line in log.read_text().split("\n")
    ]
    done = collections.Counter(line for line in lines if line.startswith("done"))
    assert done == {f"done {number}": 1 for number in range(TRIALS)}
    (lost,) = logs[0].read_text().splitlines()
    begun = collections.Counter(line for line in lines if line.startswith("begin"))
    expected = {f"begin {number}": 1 for number in range(TRIALS)} | {lost: 2}
    assert begun == expected

    with contextlib.closing(
        drawn_study.make(tmp_path / "seen", TRIALS, server)
    ) as found:
        assert [one.state for one in found.trials()] == ["done"] * TRIALS
        assert [one.value for one in found.trials()] == list(map(float, range(TRIALS)))
        assert not found.is_open


def test_workers_outlive_that_the_server_closes_all_connections(server, tmp_path):
    import psycopg

    with psycopg.connect(server, autocommit=True) as own:
        own.execute("CREATE DATABASE unstable")
        url = server.replace("/postgres", "/unstable")
        both = [start(url, tmp_path / str(number)) for number in range(2)]
        closed = 0
        try:
            wait_for(lambda: any(tmp_path.glob("*.log")), 120)
            for _ in range(5):
                rows = own.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = 'unstable'"
                ).fetchall()
                closed += len(rows)
                time.sleep(0.3)
            assert [one.wait(120) for one in both] == [0, 0]
        finally:
            for one in both:
                one.kill()
                one.wait()
    assert closed >= 2
    with contextlib.closing(drawn_study.make(tmp_path / "seen", TRIALS, url)) as found:
        assert [one.state for one in found.trials()] == ["done"] * TRIALS


def test_a_server_that_does_not_answer_is_said_without_the_password(server, tmp_path):
    wrong = server.replace("/postgres", "/nowhere").replace("secret", "hidden")
    with (
        pytest.raises(OSError, match='database "nowhere" does not exist') as caught,
        database.errors(wrong),
    ):
        drawn_study.make(tmp_path, 2, wrong)
    assert "grader:***@127.0.0.1" in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert str(caught.value).endswith("Once it answers, the same command goes on.")
