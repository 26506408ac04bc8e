"""Workers of a search on this machine: each takes one trial at a time."""

import contextlib
import threading
import time
from collections.abc import Callable

from absl import logging

from train import study, trial

WAIT_SECONDS = 1.0
"""Between two looks for a trial, while all that are left are with other workers."""


class PrunedError(Exception):
    """The pruner gives up the trial; the text is the reason."""


class StoppedError(Exception):
    """The search was interrupted: nothing is wrong with the trial."""


class Crew:
    """Some workers of one process."""

    def __init__(
        self,
        shared: study.Study,
        run: Callable[[study.Attempt, Callable[[], None], int], tuple],
        workers: int,
        *,
        on_change: Callable[[study.Attempt], None] = lambda attempt: None,
    ):
        """Starts nothing yet.

        Args:
            shared: The trials.
            run: `(attempt, watch, worker) -> (value, figures, runs)`, as
                `Attempt.complete` takes them; `worker` is the worker's number. It
                calls `watch` about each second, lets through what that raises, and
                raises `trial.TrialError` or `PrunedError`.
            workers: How many.
            on_change: Called when a trial has begun, and when it has ended.
        """
        self._shared, self._run, self._workers = shared, run, workers
        self._on_change = on_change
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    def work(self) -> None:
        """Works until no trial is left, here or with a worker elsewhere.

        Raises:
            Exception: What stopped a worker; its trial waits for another.
        """
        threads = [
            threading.Thread(target=self._work, args=(number,))
            for number in range(self._workers)
        ]
        for one in threads:
            one.start()
        try:
            while any(one.is_alive() for one in threads):
                time.sleep(0.1)
        except KeyboardInterrupt:
            logging.info("Stopping. What is running keeps its last checkpoint.")
            raise
        finally:
            self._stopping.set()
            for one in threads:
                one.join()
        if self._error is not None:
            raise self._error

    def check_stop(self) -> None:
        """Raises StoppedError if the search was interrupted."""
        if self._stopping.is_set():
            raise StoppedError

    def _work(self, number: int) -> None:
        try:
            while not self._stopping.is_set():
                if attempt := self._shared.claim():
                    self._attempt(attempt, number)
                elif self._shared.is_open:
                    self._stopping.wait(WAIT_SECONDS)  # Another's, who may die.
                else:
                    return
        except BaseException as error:
            self._error = error
            self._stopping.set()

    def _attempt(self, attempt: study.Attempt, worker: int) -> None:
        """Runs a trial and tells the study how it ended."""

        def watch() -> None:
            self.check_stop()
            attempt.beat()

        try:
            self._on_change(attempt)
            attempt.complete(*self._run(attempt, watch, worker))
        except trial.TrialError as error:
            attempt.fail(str(error))
            logging.warning("Trial %d failed: %s", attempt.number, error)
        except PrunedError as error:
            attempt.prune(str(error))
        except StoppedError:
            attempt.give_back()
            return
        except study.LostError:
            logging.warning("Trial %d was given to another worker.", attempt.number)
        except BaseException:
            with contextlib.suppress(Exception):  # The database itself, perhaps.
                attempt.give_back()
            raise
        self._on_change(attempt)
