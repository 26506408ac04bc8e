"""One run of a trial: `main.py --mode=run` as a process with a run directory."""

import dataclasses
import errno
import math
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from input_pipeline import folder_lock, whole_files
from train import search_space, zygote

MAIN = pathlib.Path(__file__).parents[1] / "main.py"

POLL_SECONDS = 0.5


class TrialError(RuntimeError):
    """A run of a trial ended without figures; the text is the reason."""


@dataclasses.dataclass(frozen=True)
class Command:
    """What is the same in all processes of a search.

    Attributes:
        config: The experiment, a gin file.
        data_dirs: Dataset's name -> its folder.
        prepared_dir: Where prepared folders lie, shared by all trials.
        bindings: Lines of gin that change no weights of a trial.
    """

    config: pathlib.Path
    data_dirs: Mapping[str, pathlib.Path]
    prepared_dir: pathlib.Path
    bindings: Sequence[str] = ()

    @property
    def folders(self) -> list[str]:
        """The flags that say where photographs are."""
        named = [
            f"--data_dir={name}={folder}" if name else f"--data_dir={folder}"
            for name, folder in self.data_dirs.items()
        ]
        return [*named, f"--prepared_dir={self.prepared_dir}"]

    def call(
        self,
        mode: str,
        run_dir: pathlib.Path,
        point: Mapping[str, str],
        log: pathlib.Path,
        watch: Callable[[], None],
        processes: zygote.Zygote,
    ) -> None:
        """Runs `main.py` to its end.

        Args:
            mode: As `--mode` has it.
            run_dir: The run's directory.
            point: Binding -> value as gin text.
            log: Receives what the process says.
            watch: Called while it runs, about each second; what it raises ends it.
            processes: Begins the process.

        Raises:
            TrialError: The process failed; says why.
            OSError: The disk is full, which is no fault of the trial's.
        """
        bindings = [*self.bindings, *search_space.lines(point)]
        arguments = [
            f"--mode={mode}",
            f"--gin_file={self.config}",
            *(f"--gin_bindings={one}" for one in bindings),
            *self.folders,
            f"--run_dir={run_dir}",
        ]
        log.parent.mkdir(parents=True, exist_ok=True)
        start = log.stat().st_size if log.exists() else 0
        try:
            status = processes.run(MAIN, arguments, log, watch)
        except zygote.ZygoteError as error:
            status, reason = -1, str(error)
        else:
            reason = _reason(status, log, start) if status else ""
        if status < 0:  # Perhaps the search is told to end, too.
            time.sleep(POLL_SECONDS)
            watch()
        if status and _is_disk_full(reason, log.parent):
            raise OSError(
                f"The disk is full. {reason} Make room; then the same command goes on."
            )
        if status:
            raise TrialError(reason)


def run(
    command: Command,
    run_dir: pathlib.Path,
    point: Mapping[str, str],
    log: pathlib.Path,
    watch: Callable[[], None],
    processes: zygote.Zygote,
) -> dict[str, Any]:
    """Trains and validates one point, or goes on with what is begun.

    A process that outlived its search may still be at work in the directory; then this
    waits for it and takes its results.

    Args:
        command: What is the same in all processes.
        run_dir: The run's directory.
        point: Binding -> value as gin text.
        log: Receives what the process says.
        watch: Called while waiting; what it raises ends the run.
        processes: Begins the process.

    Returns:
        Metric -> its entry of `metrics.json`, of the validation photographs.

    Raises:
        TrialError: The process failed; says why.
    """
    metrics = run_dir / "metrics.json"
    while True:
        while not _free(run_dir):
            watch()
            time.sleep(POLL_SECONDS)
        try:
            command.call("run", run_dir, point, log, watch, processes)
            return whole_files.read_json(metrics)["results"]["valid"]["metrics"]
        except TrialError:
            if _free(run_dir):
                raise
            # It was still starting when the directory seemed free, and is first now.


def _free(run_dir: pathlib.Path) -> bool:
    try:
        with folder_lock.hold(run_dir, wait=False):
            return True
    except BlockingIOError:
        return False


def _is_disk_full(reason: str, folder: pathlib.Path) -> bool:
    codes = (errno.ENOSPC, errno.EDQUOT)
    return any(os.strerror(code) in reason for code in codes) or (
        shutil.disk_usage(folder).free < 2**20  # Nor could the process say so, then.
    )


def _reason(status: int, log: pathlib.Path, start: int) -> str:
    """Why a process failed, in one message for a person."""
    said = log.read_bytes()[start:].decode(errors="replace")
    lines = [one.strip() for one in said.replace("\r", "\n").splitlines()]
    lines = [one for one in lines if one]
    if status < 0:
        name = signal.Signals(-status).name
        memory = ": perhaps the memory was full" if -status == signal.SIGKILL else ""
        return f"Ended by {name}{memory}. It said: {log}"
    errors = [i for i, one in enumerate(lines) if one.startswith("error: ")]
    if errors:
        return " ".join(lines[errors[-1] :]).removeprefix("error: ")
    return f"{lines[-1] if lines else f'Exit status {status}.'} It said: {log}"


def folder(
    search_dir: pathlib.Path, number: int, repeat: Mapping[str, str]
) -> pathlib.Path:
    """The run directory of one of a trial's runs, as in "trials/3/fold-0-seed-1".

    Args:
        search_dir: The search's own directory.
        number: The trial's number.
        repeat: What tells the run from the trial's others: binding -> value.
    """
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, value in repeat.items()]
    return search_dir.joinpath("trials", str(number), *filter(None, ["-".join(parts)]))


def value(figures: Mapping[str, Mapping[str, Any]], objective: str) -> float:
    """The objective of a run.

    Args:
        figures: What `run` returned.
        objective: Name of the metric.

    Raises:
        TrialError: It is not defined.
    """
    entry = figures[objective]
    if entry["value"] is None or not math.isfinite(entry["value"]):
        why = entry.get("reason", f"it is {entry['value']}")
        raise TrialError(f"{objective} is not defined: {why}.")
    return entry["value"]
