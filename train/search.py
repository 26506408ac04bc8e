"""A hyperparameter search on this machine: trials as processes, and what is found."""

import contextlib
import math
import pathlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from configs import loader
from evaluation import table
from input_pipeline import folder_lock, prepare, records, whole_files
from train import (
    averages,
    commands,
    curve,
    data,
    database,
    experiment,
    hparams_board,
    outcomes,
    search_results,
    search_space,
    shares,
    study,
    study_table,
    trial,
    workers,
    zygote,
)

LOOK_SECONDS = 5.0
"""Between two looks at a validation curve."""

NOTE = ".study"
"""Of which study the trials in a run directory are."""


class Search:
    """A search under way."""

    def __init__(
        self,
        tuner: Any,
        parameters: Sequence[search_space.Parameter],
        config: str,
        metrics: Sequence[str],
        bindings: Sequence[str],
        data_dirs: Mapping[str, pathlib.Path],
        prepared_dir: pathlib.Path,
        run_dir: pathlib.Path,
        folds: averages.Folds | None,
    ):
        """Opens nothing yet.

        Args:
            tuner: A `tuning.Tuner`, what the config says about the search.
            parameters: Its space.
            config: The experiment of all trials, gin text.
            metrics: Names of the figures that a trial will have.
            bindings: Lines of gin that change no weights of a trial.
            data_dirs: Dataset's name -> its folder.
            prepared_dir: Where prepared folders lie.
            run_dir: The search's own directory.
            folds: Those that a trial is averaged over, where they are several.
        """
        self._tuner, self._parameters, self._config = tuner, parameters, config
        self._metrics, self._run_dir, self._folds = metrics, run_dir, folds
        self._showing, self._said = threading.Lock(), ""
        if tuner.one_at_a_time:
            self._points = search_space.one_at_a_time(parameters)
        elif tuner.trials is None:
            self._points = search_space.grid(parameters)
        else:
            self._points = [{} for _ in range(tuner.trials)]
        self._command = trial.Command(
            config=run_dir / search_results.CONFIG,
            data_dirs=data_dirs,
            prepared_dir=prepared_dir,
            bindings=bindings,
        )

    def plan(self) -> str:
        """What would be searched."""
        varied = ", ".join(one.key for one in self._parameters)
        runs = len(self._points) * len(self._tuner.repeats)
        return (
            f"Nothing is wrong with the config. The search: {len(self._points)} trials "
            f"of {varied}, {runs} runs, {self._workers} at a time, by "
            f"{table.label(self._tuner.objective)} of the validation photographs. "
            f"Results: {self._run_dir}."
        )

    @property
    def _workers(self) -> int:
        return min(self._tuner.workers, len(self._points))

    def run(self) -> str:
        """Searches until no trial is left, here or with another worker.

        Returns:
            The table of trials.

        Raises:
            ValueError: The study was begun with something else, or no trial could run.
            OSError: The database does not answer.
        """
        with (
            database.errors(self._tuner.storage),
            contextlib.closing(self._open()) as self._study,
        ):
            with folder_lock.hold(self._run_dir, wait=True):
                self._check_folder()
                whole_files.write_text(self._command.config, self._config)
                hparams_board.write_experiment(
                    self._run_dir,
                    self._parameters,
                    self._metrics,
                    self._tuner.objective,
                )
            if self._study.is_open:
                self._work()
            with folder_lock.hold(self._run_dir, wait=True):
                return search_results.write(
                    self._study.name,
                    self._study.trials(),
                    self._study.importance(),
                    self._tuner,
                    self._parameters,
                    self._metrics,
                    self._run_dir,
                    self._command.folders,
                    self._folds,
                )

    def _check_folder(self) -> None:
        """Notes whose trials lie in the run directory; raises if another study's do."""
        note = self._run_dir / NOTE
        if note.exists() and note.read_text(encoding="utf-8") != self._study.key:
            raise ValueError(
                f"{self._run_dir} holds the trials of another search than the study "
                f"{self._study.name!r}. Name another --run_dir, or take back what has "
                "changed: `tune.name`, `tune.storage`, or the database itself."
            )
        whole_files.write_text(note, self._study.key)

    def _open(self) -> study.Study:
        tuner = self._tuner
        spelled = [one.spelled for one in self._parameters]
        if tuner.one_at_a_time:
            spelled.append("one at a time")
        return study.Study(
            tuner.name or self._run_dir.resolve().name,
            tuner.storage,
            self._run_dir,
            self._parameters,
            self._points,
            about={
                "experiment": self._config,
                "space": "\n".join(spelled),
                "objective": tuner.objective,
                "repeats": repr(tuner.repeats),
                "grid": tuner.trials is None,
            },
            direction=tuner.direction,
            sampler=tuner.sampler,
            pruner=tuner.pruner,
        )

    def _work(self) -> None:
        gpus = len(tf.config.list_physical_devices("GPU"))
        if self._workers < self._tuner.workers:
            logging.info("There are %d trials for as many workers.", self._workers)
        self._shares = shares.divide(self._workers, gpus)
        crew = workers.Crew(
            self._study, self._attempt, self._workers, on_change=self._show
        )
        logs = self._run_dir / "logs"
        with contextlib.ExitStack() as ended:
            self._zygotes = [
                ended.enter_context(
                    contextlib.closing(
                        zygote.Zygote(logs / f"worker-{number}.log", one.environment)
                    )
                )
                for number, one in enumerate(self._shares)
            ]
            self._prepare(crew.check_stop)
            crew.work()

    def _attempt(
        self, attempt: study.Attempt, watch: Callable[[], None], worker: int
    ) -> tuple[float, Mapping[str, Mapping[str, Any]], list[float]]:
        """All runs of a trial: the objective, all figures, the objective of each."""
        self._shares[worker].take()
        objective = self._tuner.objective
        figures = []
        for repeat in self._tuner.repeats:
            folder = trial.folder(self._run_dir, attempt.number, repeat)
            name = "-".join(folder.relative_to(self._run_dir / "trials").parts)
            watch_run = watch
            if self._tuner.pruner is not None and not figures:
                watch_run = _Pruning(attempt, watch, folder, self._tuner)
            figures.append(
                trial.run(
                    self._command,
                    folder,
                    {**attempt.point, **repeat},
                    self._run_dir / "logs" / f"{name}.log",
                    watch_run,
                    self._zygotes[worker],
                )
            )
        runs = [trial.value(one, objective) for one in figures]
        averaged = averages.average(figures, self._folds)
        return averaged[objective]["value"], averaged, runs

    def _prepare(self, watch: Callable[[], None]) -> None:
        """Prepares the photographs once, before workers would wait for each other."""
        log = self._run_dir / "logs" / "prepare.log"
        point = search_space.first(self._parameters)
        logging.info("Seeing to it that all photographs are prepared.")
        try:
            self._command.call(
                "prepare", self._run_dir, point, log, watch, self._zygotes[0]
            )
        except trial.TrialError as error:
            raise ValueError(f"No trial was begun. {error}") from error
        self._study.check_photographs(fingerprint(self._command, point))

    def _show(self, attempt: study.Attempt) -> None:
        """Says how far the search is, and shows an ended trial in TensorBoard."""
        with self._showing:  # One worker after the other.
            self._show_alone(attempt)

    def _show_alone(self, attempt: study.Attempt) -> None:
        every, tuner = self._study.trials(), self._tuner
        now = next(one for one in every if one.number == attempt.number)
        if now.ended:
            # Another process of this search may write it, too, at the end.
            with folder_lock.hold(self._run_dir, wait=True):
                hparams_board.write_trial(self._run_dir, now)
        said = study_table.progress(
            every, tuner.objective, tuner.direction, self._workers
        )
        if not now.ended:
            folder = trial.folder(self._run_dir, now.number, tuner.repeats[0])
            verb = "goes on" if folder.exists() else "begins"
            logging.info("Trial %d %s: %s. %s", now.number, verb, self._told(now), said)
        # While a trial waits, the one that begins next says it.
        elif said != self._said and all(one.state != "waiting" for one in every):
            logging.info("%s", said)
        self._said = said

    def _told(self, now: outcomes.Outcome) -> str:
        """A trial's point for a person: four digits of what was drawn from a range."""
        drawn = {one.key for one in self._parameters if "float" in one.kind}
        shown = {
            key: f"{float(text):.4g}" if key in drawn else text
            for key, text in now.point.items()
        }
        return ", ".join(f"{key} = {text}" for key, text in shown.items())


def fingerprint(command: trial.Command, point: Mapping[str, str]) -> str:
    """That of the photographs and labels which are prepared for a point of the space.

    Args:
        command: Of which config, and where photographs are.
        point: Binding -> value as gin text.
    """
    _, entry_points = experiment.MODES["prepare"]
    bindings, every = search_space.lines(point), experiment.ENTRY_POINTS
    loader.load([str(command.config)], bindings, entry_points, every)
    preparation = commands.configured(prepare.Preparation)
    where = commands.Where(command.data_dirs, command.prepared_dir, command.config, {})
    folders = data.folders(preparation, where)
    return records.Collection([records.Prepared(one) for one in folders]).fingerprint


class _Pruning:
    """Watches the validation curve of a run; hopeless trials are given up."""

    def __init__(
        self,
        attempt: study.Attempt,
        watch: Callable[[], None],
        folder: pathlib.Path,
        tuner: Any,
    ):
        self._attempt, self._watch = attempt, watch
        self._pruner = type(tuner.pruner).__name__
        self._curve = curve.Curve(folder, tuner.direction)
        self._looked = -math.inf

    def __call__(self) -> None:
        self._watch()
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for epoch, value in self._curve.new():
            if self._attempt.hopeless(epoch, value):
                raise workers.PrunedError(f"After epoch {epoch}, by {self._pruner}.")
