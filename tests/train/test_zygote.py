import contextlib
import os
import pathlib
import signal
import time

import pytest

from train import zygote


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """A zygote that has imported one module, and looks often."""
    monkeypatch.setattr(zygote, "PRELOADED", ("wave",))
    monkeypatch.setattr(zygote, "POLL_SECONDS", 0.02)
    with contextlib.closing(zygote.Zygote(tmp_path / "zygote.log")) as made:
        yield made


@pytest.fixture
def run(tmp_path, processes):
    """Runs a script; returns its exit status and what it wrote."""

    def call(text, *arguments, watch=lambda: None):
        script, log = tmp_path / "script.py", tmp_path / "script.log"
        script.write_text(text)
        start = log.stat().st_size if log.exists() else 0
        status = processes.run(script, arguments, log, watch)
        return status, log.read_bytes()[start:].decode()

    return call


def test_a_script_is_the_main_program_and_finds_things_imported(run, tmp_path):
    status, said = run(
        "import sys\nprint(__name__, sys.argv, 'wave' in sys.modules)", "--mode=run"
    )
    assert status == 0
    assert said == f"__main__ {[str(tmp_path / 'script.py'), '--mode=run']} True\n"


def test_each_script_is_a_process_of_its_own(run):
    told = [run("import os, wave\nprint(os.getpid())\nwave.kept = 1") for _ in "ab"]
    assert told[0][1] != told[1][1]
    assert run("import wave\nprint(hasattr(wave, 'kept'))") == (0, "False\n")


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("exit(3)", 3, ""),
        ("raise MemoryError('3 GiB')", 1, "MemoryError: 3 GiB\n"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
        ("import atexit; atexit.register(print, 'last')", 0, "last\n"),
        ("import os; os.system('echo from a child')", 0, "from a child\n"),
    ],
)
def test_how_a_script_ends(run, text, status, said):
    assert run(text)[0] == status
    assert run(text)[1].endswith(said)


def test_a_script_has_the_processors_of_the_thread_that_runs_it(run):
    mine = os.sched_getaffinity(0)
    ask = "import os\nprint(*sorted(os.sched_getaffinity(0)))"
    try:
        for one in mine:
            os.sched_setaffinity(0, {one})
            assert run(ask) == (0, f"{one}\n")
    finally:
        os.sched_setaffinity(0, mine)
    assert run(ask) == (0, " ".join(map(str, sorted(mine))) + "\n")


def test_an_error_of_the_watch_is_not_one_of_the_zygote(run):
    def watch():
        raise ConnectionError("The database does not answer.")

    with pytest.raises(ConnectionError, match="database"):
        run("import time\ntime.sleep(60)", watch=watch)
    assert run("print(1)") == (0, "1\n")


def test_variables_are_those_of_the_zygote(tmp_path, processes, run):
    processes._environment = {"SHARE": "half"}
    assert run("import os\nprint(os.environ['SHARE'])") == (0, "half\n")


@pytest.mark.parametrize("heeds", [True, False])
def test_what_the_watch_raises_ends_the_script_but_not_the_zygote(
    run, tmp_path, monkeypatch, heeds
):
    monkeypatch.setattr(zygote, "TERMINATE_SECONDS", 30 if heeds else 0.1)
    ignore = "" if heeds else "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    log = tmp_path / "script.log"

    def watch():
        if log.exists() and log.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            "import os, signal, time\n"
            f"{ignore}print(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)",
            watch=watch,
        )
    process, parent = map(int, log.read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert run("import os\nprint(os.getppid())") == (0, f"{parent}\n")


def _is_alive(process):
    stat = pathlib.Path("/proc", str(process), "stat")
    return stat.exists() and stat.read_text().rpartition(") ")[2][0] not in "ZX"


def test_a_zygote_that_is_killed_takes_its_script_along_and_another_follows(
    run, tmp_path
):
    log = tmp_path / "script.log"

    def watch():
        if log.exists() and log.read_text():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(log.read_text().split()[1]), signal.SIGKILL)

    with pytest.raises(zygote.ZygoteError, match=r"zygote\.log$"):
        run(
            "import os, time\nprint(os.getpid(), os.getppid(), flush=True)\n"
            "time.sleep(60)",
            watch=watch,
        )
    process = int(log.read_text().split()[0])
    deadline = time.monotonic() + 10  # Who adopted it may take a moment.
    while _is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_alive(process)
    assert run("print(1)") == (0, "1\n")


def test_an_import_that_fails_is_found_in_the_log(tmp_path, monkeypatch, run):
    monkeypatch.setattr(zygote, "PRELOADED", ("no_such_module",))
    with pytest.raises(zygote.ZygoteError):
        run("print(1)")
    assert "No module named 'no_such_module'" in (tmp_path / "zygote.log").read_text()


def test_a_zygote_without_its_search_ends_after_its_script(processes, run, tmp_path):
    run("print(1)")
    process = processes._process
    processes._channel.close()
    assert process.wait(30) == 0
