"""Processes that begin with everything imported: forks of one that waits, a zygote."""

import contextlib
import gc
import importlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection

from train import terminal

PRELOADED = ("configs.registry", "train.experiment")
"""Modules that the zygote imports; TensorFlow among them, not yet at work."""

POLL_SECONDS = 0.5
TERMINATE_SECONDS = 10

_ROOT = str(pathlib.Path(__file__).parents[1])
_SERVE = """
import runpy, sys
sys.path[0] = {root!r}
from train import zygote
sys.argv = zygote.serve({descriptor}, {modules!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class ZygoteError(RuntimeError):
    """The zygote itself has ended; the next run begins another."""


class Zygote:
    """Runs Python scripts, one at a time, without the seconds that imports take.

    Each is a process of its own. TensorFlow cannot be forked once it has computed
    anything, so the zygote only imports it. It is begun by the first run.
    """

    def __init__(self, log: pathlib.Path, environment: Mapping[str, str] | None = None):
        """Begins nothing yet.

        Args:
            log: Receives what the zygote says, as when an import fails.
            environment: Variables for it and for what it runs.
        """
        self._log, self._environment = log, environment or {}
        self._process: subprocess.Popen | None = None
        self._channel: connection.Connection | None = None

    def run(
        self,
        script: pathlib.Path,
        arguments: Sequence[str],
        log: pathlib.Path,
        watch: Callable[[], None],
    ) -> int:
        """Runs a script to its end, on the processors of the thread that calls.

        Args:
            script: A Python file.
            arguments: Its command line.
            log: What it writes is appended to this.
            watch: Called while it runs, every `POLL_SECONDS`; what it raises ends the
                script.

        Returns:
            Exit status; that of a signal is negative.

        Raises:
            ZygoteError: The zygote has ended, and the script with it.
        """
        process = None
        if self._process is None or self._process.poll() is not None:
            self._begin()
        try:
            with self._lost():
                self._channel.send(([str(script), *arguments], str(log), _processors()))
            process = self._receive(watch)
            return self._receive(watch)
        except BaseException:
            self._end(process)
            raise

    def close(self) -> None:
        """Ends the zygote, which is idle."""
        if self._process is not None:
            self._channel.close()
            self._process.wait()

    def _begin(self) -> None:
        self._channel, theirs = connection.Pipe()
        code = _SERVE.format(
            root=_ROOT, descriptor=theirs.fileno(), modules=list(PRELOADED)
        )
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                pass_fds=[theirs.fileno()],
                # Ctrl-C is for the search, which then ends its trials: not failures.
                process_group=0,
            )

    def _receive(self, watch: Callable[[], None]) -> int:
        while not self._channel.poll(POLL_SECONDS):
            watch()
        with self._lost():
            return self._channel.recv()

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            raise ZygoteError(
                f"The process that begins others has ended. It said: {self._log}"
            ) from error

    def _end(self, process: int | None) -> None:
        """Ends a script, and the zygote too unless it can tell the script's end."""
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            with contextlib.suppress(EOFError, OSError):
                if not self._channel.poll(TERMINATE_SECONDS):
                    os.kill(process, signal.SIGKILL)
                self._channel.recv()
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)  # Of a zygote that was killed.
        self._process.kill()
        self._process.wait()


def serve(descriptor: int, modules: Sequence[str]) -> list[str]:
    """What a zygote does; its forks leave this function.

    Args:
        descriptor: Of the pipe to the one who asks.
        modules: To import first.

    Returns:
        In a fork, the script and its arguments.
    """
    asked = connection.Connection(descriptor)
    for name in modules:
        importlib.import_module(name)
    gc.freeze()  # So that a fork's collections touch, and copy, none of it.
    try:
        while True:
            arguments, log, processors = asked.recv()
            process = os.fork()
            if not process:
                asked.close()
                _write_to(log)
                if processors:
                    os.sched_setaffinity(0, processors)
                if "tensorflow" in sys.modules:
                    # Has absl look for GPUs before `main`, which would keep it quiet.
                    with terminal.quiet_import():
                        pass
                return arguments
            asked.send(process)
            asked.send(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    except (EOFError, OSError):  # Nobody asks any more.
        sys.exit()


def _processors() -> list[int]:
    """Those of this thread; none where a thread cannot be bound to any."""
    if not hasattr(os, "sched_getaffinity"):  # Linux has it.
        return []
    return sorted(os.sched_getaffinity(0))


def _write_to(log: str) -> None:
    """Lets all that this process writes go to the end of a file."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.close(file)
