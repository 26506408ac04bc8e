import contextlib
import errno
import math
import subprocess
import sys

import pytest

from train import trial, zygote


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Begins processes that have imported nothing."""
    monkeypatch.setattr(zygote, "PRELOADED", ())
    with contextlib.closing(zygote.Zygote(tmp_path / "worker.log")) as made:
        yield made


def command(tmp_path, script, monkeypatch):
    """A command whose `main.py` is a script."""
    main = tmp_path / "main.py"
    main.write_text(script)
    monkeypatch.setattr(trial, "MAIN", main)
    return trial.Command(tmp_path / "e.gin", {"idrid": tmp_path}, tmp_path / "prepared")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "print('error: The loss is not finite.\\nLower the rate.'); exit(1)",
            "The loss is not finite. Lower the rate.",
        ),
        (
            "raise MemoryError('Unable to allocate 3 GiB')",
            "MemoryError: Unable to a",
        ),
        ("import os; os.kill(os.getpid(), 9)", "Ended by SIGKILL: perhaps the memory"),
        ("import os; os.kill(os.getpid(), 11)", "Ended by SIGSEGV. It said: "),
        ("exit(3)", "Exit status 3. It said: "),
    ],
)
def test_a_process_that_fails_says_why(
    tmp_path, monkeypatch, processes, script, reason
):
    made = command(tmp_path, script, monkeypatch)
    log = tmp_path / "logs" / "0.log"
    with pytest.raises(trial.TrialError) as caught:
        made.call("run", tmp_path / "0", {}, log, lambda: None, processes)
    assert str(caught.value).startswith(reason)


def test_what_a_process_is_told(tmp_path, monkeypatch, processes):
    made = command(tmp_path, "import sys; print(*sys.argv[1:], sep='\\n')", monkeypatch)
    log = tmp_path / "0.log"
    made.call("run", tmp_path / "0", {"a.b": "1"}, log, lambda: None, processes)
    said = log.read_text().splitlines()
    assert said[:3] == (
        ["--mode=run", f"--gin_file={tmp_path / 'e.gin'}", "--gin_bindings=a.b = 1"]
    )
    assert "--gin_bindings=evaluate.splits = ('valid',)" in said
    assert said[-3:] == [
        f"--data_dir=idrid={tmp_path}",
        f"--prepared_dir={tmp_path / 'prepared'}",
        f"--run_dir={tmp_path / '0'}",
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_fault_of_the_trial(tmp_path, monkeypatch, processes, number):
    script = f"import os; print('error: ' + os.strerror({number}) + ': x.'); exit(1)"
    made = command(tmp_path, script, monkeypatch)
    with pytest.raises(
        OSError, match=r"The disk is full\. .*: x\. Make room; then the"
    ):
        made.call(
            "run", tmp_path / "0", {}, tmp_path / "0.log", lambda: None, processes
        )


def test_a_process_that_is_told_to_end_with_its_search_has_not_failed(
    tmp_path, monkeypatch, processes
):
    script = (
        "import os, signal\n"
        "print('ends', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    made, log = command(tmp_path, script, monkeypatch), tmp_path / "0.log"

    def watch():
        if log.exists() and log.read_text():  # The search hears of it after.
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.call("run", tmp_path / "0", {}, log, watch, processes)


def test_a_directory_that_another_process_holds_is_waited_for(
    tmp_path, monkeypatch, processes
):
    script = "import sys; sys.exit()"
    made = command(tmp_path, script, monkeypatch)
    monkeypatch.setattr(trial, "POLL_SECONDS", 0.02)
    folder = tmp_path / "0"
    folder.mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, sys\n"
            "from input_pipeline import folder_lock\n"
            "with folder_lock.hold(pathlib.Path(sys.argv[1]), wait=True):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.readline()\n"
            "    (pathlib.Path(sys.argv[1]) / 'metrics.json').write_text("
            '\'{"results": {"valid": {"metrics": {"auc": {"value": 0.5}}}}}\')',
            str(folder),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        looks = []

        def watch():
            looks.append(1)
            if len(looks) == 3:
                holder.stdin.write(b"\n")
                holder.stdin.close()

        found = trial.run(made, folder, {}, tmp_path / "0.log", watch, processes)
    assert found == {"auc": {"value": 0.5}}
    assert len(looks) >= 3


def test_a_process_that_was_still_starting_is_waited_for_too(
    tmp_path, monkeypatch, processes
):
    script = (
        "import pathlib, sys\n"
        "begun = pathlib.Path(sys.argv[0]).with_name('begun')\n"
        "if not begun.exists():\n"
        "    begun.touch()\n"
        "    sys.exit('error: Another process is at work.')\n"
        "folder = pathlib.Path(sys.argv[-1].partition('=')[2])\n"
        "folder.mkdir()\n"
        "(folder / 'metrics.json').write_text("
        '\'{"results": {"valid": {"metrics": {"auc": {"value": 0.5}}}}}\')'
    )
    made = command(tmp_path, script, monkeypatch)
    looks = iter([True, False, False, True])
    monkeypatch.setattr(trial, "_free", lambda folder: next(looks))
    found = trial.run(
        made, tmp_path / "0", {}, tmp_path / "0.log", lambda: None, processes
    )
    assert found == {"auc": {"value": 0.5}}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"value": None, "reason": "no diseased photograph"}, "no diseased photograph"),
        ({"value": math.inf}, "it is inf"),
    ],
)
def test_an_objective_that_is_not_defined_fails_the_trial(entry, reason):
    with pytest.raises(trial.TrialError, match=f"auc is not defined: {reason}"):
        trial.value({"auc": entry}, "auc")
