"""A search under way: points in a database, workers that take them, and what is found.

A point of the study is numbered, and so is each attempt at it; an attempt is a trial of
Optuna. What a worker that died has begun becomes the next attempt, in the same run
directory, so that it goes on from its checkpoint.
"""

import contextlib
import math
import os
import pathlib
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from absl import logging
from optuna.trial import FrozenTrial, TrialState

from input_pipeline import folder_lock, records
from train import hparams_board, search_space, study_table, trial

HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60
"""A trial without a heartbeat for so long has lost its worker."""

CONFIG = "experiment.gin"
BEST = "best.gin"


class _StoppedError(Exception):
    """The search was interrupted: nothing is wrong with the trial."""


class _PrunedError(Exception):
    """The pruner gives up the trial."""


class Search:
    """A study with its database, on this machine."""

    def __init__(
        self,
        tuner: Any,
        parameters: Sequence[search_space.Parameter],
        config: str,
        data_dirs: Mapping[str, pathlib.Path],
        prepared_dir: pathlib.Path,
        run_dir: pathlib.Path,
    ):
        """Opens nothing yet.

        Args:
            tuner: A `tuning.Tuner`, what the config says about the search.
            parameters: Its space.
            config: The experiment of all trials, gin text.
            data_dirs: Dataset's name -> its folder.
            prepared_dir: Where prepared folders lie.
            run_dir: The search's own directory.
        """
        self._tuner = tuner
        self._parameters = parameters
        self._config = config
        self._run_dir = run_dir
        self._is_grid = tuner.trials is None
        if self._is_grid:
            self._points = search_space.grid(parameters)
        else:
            self._points = [{} for _ in range(tuner.trials)]
        self._command = trial.Command(
            config=run_dir / CONFIG,
            data_dirs=data_dirs,
            prepared_dir=prepared_dir,
            threads=max(1, (os.cpu_count() or 1) // tuner.workers),
        )
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._began = time.monotonic()

    def plan(self) -> str:
        """What would be searched."""
        varied = ", ".join(one.key for one in self._parameters)
        runs = len(self._points) * len(self._tuner.repeats)
        return (
            f"Would search {varied}: {len(self._points)} trials, {runs} runs, "
            f"{self._tuner.workers} at a time, by {self._tuner.objective} of the "
            f"validation photographs. Results: {self._run_dir}."
        )

    def run(self) -> str:
        """Searches until no trial is left, here or with another worker.

        Returns:
            The table of trials.

        Raises:
            ValueError: The study was begun with something else, or no trial could run.
        """
        self._open()
        if any(self._is_open(one) for one in self._latest().values()):
            self._prepare()
            self._work()
        with self._alone():
            return self._report()

    def _open(self) -> None:
        """Opens the study, or creates it; refuses one of another space."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._run_dir.mkdir(parents=True, exist_ok=True)
        url = self._tuner.storage or f"sqlite:///{self._run_dir / 'study.db'}"
        waits = {"timeout": 60} if url.startswith("sqlite") else {}
        # Heartbeats are said to be experimental, at each call.
        warnings.filterwarnings(
            "ignore", category=optuna.exceptions.ExperimentalWarning
        )
        with self._alone():
            self._storage = optuna.storages.RDBStorage(
                url,
                engine_kwargs={"connect_args": waits},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )
            sampler = self._tuner.sampler
            if sampler is None and self._is_grid:
                sampler = optuna.samplers.RandomSampler()
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=self._tuner.name or self._run_dir.name,
                direction=self._tuner.direction,
                sampler=sampler,
                pruner=self._tuner.pruner or optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
        self._check_same()
        with self._alone():
            records.write_text(self._run_dir / CONFIG, self._config)
            self._fill()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else on this machine adds or takes a trial, or writes results.

        SQLite has no `SELECT ... FOR UPDATE`, by which Optuna lets one of two workers
        take a trial; PostgreSQL has, and so workers of other machines need no lock.
        """
        with self._lock, folder_lock.hold(self._run_dir, wait=True):
            yield

    def _check_same(self) -> None:
        """Notes what the study is about; raises if it was begun otherwise."""
        about = {
            "experiment": self._config,
            "space": repr(self._parameters),
            "objective": self._tuner.objective,
            "repeats": repr(self._tuner.repeats),
            "grid": self._is_grid,
        }
        begun = self._study.user_attrs
        for name, value in about.items():
            if begun.get(name, value) != value:
                old, new = _difference(str(begun[name]), str(value))
                raise ValueError(
                    f"The study {self._study.study_name!r} was begun with something "
                    f"else, its {name}:\n  {old} there\n  {new} here\n"
                    "Name another folder with --run_dir, or take back the difference."
                )
            if name not in begun:
                self._study.set_user_attr(name, value)

    def _latest(self) -> dict[int, FrozenTrial]:
        """Point -> the last attempt at it.

        Two workers may add the same attempt at the same time: then the trial with the
        lower number is the attempt, and nobody takes the other.
        """
        attempts: dict[tuple[int, int], FrozenTrial] = {}
        for one in self._study.get_trials(deepcopy=False):
            key = (one.user_attrs["point"], one.user_attrs["attempt"])
            attempts.setdefault(key, one)
        return {point: attempts[point, number] for point, number in sorted(attempts)}

    def _fill(self) -> None:
        """Adds what is missing: points, and attempts at what a dead worker has left."""
        latest = self._latest()
        for point, values in enumerate(self._points):
            last = latest.get(point)
            if last is None:
                self._add(point, 0, values)
            elif _is_lost(last):
                self._add(point, last.user_attrs["attempt"] + 1, values or last.params)

    def _add(self, point: int, attempt: int, values: Mapping[str, Any]) -> None:
        self._study.enqueue_trial(
            dict(values), user_attrs={"point": point, "attempt": attempt}
        )

    def _is_open(self, one: FrozenTrial) -> bool:
        return not one.state.is_finished() or _is_lost(one)

    def _prepare(self) -> None:
        """Prepares the photographs once, before workers would wait for each other."""
        log = self._run_dir / "logs" / "prepare.log"
        logging.info("Preparing what is missing.")
        try:
            self._command.call("prepare", self._run_dir, {}, log, self._check_stop)
        except trial.TrialError as error:
            raise ValueError(f"No trial was begun. {error}") from error

    def _work(self) -> None:
        threads = [
            threading.Thread(target=self._worker) for _ in range(self._tuner.workers)
        ]
        for one in threads:
            one.start()
        try:
            while any(one.is_alive() for one in threads):
                time.sleep(0.1)
        finally:  # Interrupted, perhaps.
            self._stopping.set()
            for one in threads:
                one.join()
        if self._error is not None:
            raise self._error

    def _worker(self) -> None:
        try:
            while not self._stopping.is_set():
                with self._alone():
                    claimed = self._claim()
                if claimed is not None:
                    self._attempt(claimed)
                elif any(self._is_open(one) for one in self._latest().values()):
                    self._stopping.wait(1.0)  # Another worker's; it may die.
                else:
                    return
        except BaseException as error:
            self._error = error
            self._stopping.set()

    def _claim(self) -> FrozenTrial | None:
        """Takes a waiting trial, which nobody else has then."""
        optuna.storages.fail_stale_trials(self._study)
        self._fill()
        for one in self._latest().values():
            if one.state != TrialState.WAITING:
                continue
            # Before: a worker that dies in between has a heartbeat that grows stale.
            self._storage.record_heartbeat(self._id(one))
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                if self._storage.set_trial_state_values(
                    self._id(one), TrialState.RUNNING
                ):
                    return one
        return None

    def _id(self, one: FrozenTrial) -> int:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, one.number)

    def _attempt(self, claimed: FrozenTrial) -> None:
        """Runs a trial and tells the study how it ended."""
        trial_id, point = self._id(claimed), claimed.user_attrs["point"]
        running = optuna.Trial(self._study, trial_id)
        values = {one.key: one.suggest(running) for one in self._parameters}
        runs, state, value = [], TrialState.FAIL, None
        try:
            for repeat in self._tuner.repeats:
                name = "/".join([str(point), *_name(repeat)])
                folder = self._run_dir / "trials" / name
                log = self._run_dir / "logs" / f"{name.replace('/', '-')}.log"
                watch = _Watch(self, trial_id, running, folder, prunes=not runs)
                runs.append(
                    trial.run(self._command, folder, values | repeat, log, watch)
                )
            figures = trial.average(runs)
            value = _value(figures, self._tuner.objective)
            running.set_user_attr("figures", figures)
            state = TrialState.COMPLETE
        except _StoppedError:  # Lost on purpose: the next start goes on with it.
            pass
        except _PrunedError:
            state = TrialState.PRUNED
        except optuna.exceptions.UpdateFinishedTrialError:
            logging.warning("Trial %d was given to another worker.", point)
            return
        except trial.TrialError as error:
            running.set_user_attr("failure", str(error))
            logging.warning("Trial %d failed: %s", point, error)
        self._study.tell(running, value, state=state, skip_if_finished=True)
        if not self._stopping.is_set():
            self._progress(point)

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise _StoppedError

    def _progress(self, point: int) -> None:
        """Says how far the search is, and shows the trial in TensorBoard."""
        latest = self._latest()
        with self._alone():
            hparams_board.write_trial(
                self._run_dir / "tensorboard", point, latest[point], self._parameters
            )
        logging.info(
            "%s",
            study_table.progress(
                latest,
                self._tuner.objective,
                self._tuner.direction,
                time.monotonic() - self._began,
            ),
        )

    def _report(self) -> str:
        """Writes `best.gin`, `trials.csv` and the dashboard; returns the table."""
        latest = self._latest()
        board = self._run_dir / "tensorboard"
        objective, direction = self._tuner.objective, self._tuner.direction
        hparams_board.write_experiment(board, self._parameters, latest, objective)
        for point, one in latest.items():
            hparams_board.write_trial(board, point, one, self._parameters)
        study_table.write_csv(self._run_dir / "trials.csv", latest, self._parameters)
        table = study_table.render(latest, self._parameters, objective, direction)
        ranked = study_table.ranking(latest, direction)
        if not ranked:
            raise ValueError(f"No trial has a result.\n{table}")
        point, best = ranked[0]
        lines = [f"{key} = {_text(best, key)}" for key in best.params]
        path = self._run_dir / BEST
        records.write_text(
            path,
            f"# Trial {point} of {self._study.study_name}: {objective} "
            f"{best.value:.4f} on the validation photographs.\n"
            f"\ninclude '{CONFIG}'\n\n" + "\n".join(lines) + "\n",
        )
        return (
            f"{table}\n\nTo train and test the winner: python main.py "
            f"--gin_file={path} --run_dir={self._run_dir / 'best'} and the folders of "
            f"the data.\nDashboard: tensorboard --logdir={board}"
        )


class _Watch:
    """What happens beside a running process: heartbeats, and pruning."""

    def __init__(self, search, trial_id, running, folder, prunes):
        self._search, self._trial_id, self._running = search, trial_id, running
        self._beaten = -math.inf
        self._curve = None
        if prunes and search._tuner.pruner is not None:
            self._curve = hparams_board.Curve(folder, search._tuner.direction)

    def __call__(self) -> None:
        self._search._check_stop()
        if time.monotonic() - self._beaten < HEARTBEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        storage = self._search._storage
        if storage.get_trial(self._trial_id).state.is_finished():
            raise optuna.exceptions.UpdateFinishedTrialError
        storage.record_heartbeat(self._trial_id)
        for epoch, value in self._curve.new() if self._curve else ():
            self._running.report(value, epoch)
            if self._running.should_prune():
                raise _PrunedError


def _is_lost(one: FrozenTrial) -> bool:
    """Whether a trial ended with its worker, and not for a reason of its own."""
    return one.state == TrialState.FAIL and "failure" not in one.user_attrs


def _name(repeat: Mapping[str, str]) -> list[str]:
    """A folder for each run of a trial, as in "fold-0-seed-1"."""
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, value in repeat.items()]
    return ["-".join(parts)] if parts else []


def _value(figures: Mapping[str, Mapping[str, Any]], objective: str) -> float:
    if objective not in figures:
        raise trial.TrialError(
            f"There is no {objective!r} of this task's validation photographs; there "
            f"are {', '.join(figures)}. Correct `tune.objective`."
        )
    value = figures[objective].get("value")
    if value is None or not math.isfinite(value):
        why = figures[objective].get("reason", f"it is {value}")
        raise trial.TrialError(f"{objective} is not defined: {why}.")
    return value


def _text(one: FrozenTrial, key: str) -> str:
    """A value as gin text: choices are stored so, numbers of ranges are not."""
    value = one.params[key]
    return value if isinstance(value, str) else repr(value)


def _difference(old: str, new: str) -> tuple[str, str]:
    """The first lines in which two texts differ."""
    olds, news = old.splitlines(), new.splitlines()
    for index in range(max(len(olds), len(news))):
        first = olds[index] if index < len(olds) else "nothing"
        second = news[index] if index < len(news) else "nothing"
        if first != second:
            return first, second
    return old, new
