"""The trials of a search in a database, which any number of workers share.

Each attempt at a trial is a trial of Optuna's. What a worker that died had begun is
attempted again in the same run directory, so that it goes on from its checkpoint.
"""

import contextlib
import math
import pathlib
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from train import database, outcomes, search_space

HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60
"""A trial without a heartbeat for so long has lost its worker."""

_STATES: Mapping[TrialState, outcomes.State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class LostError(Exception):
    """The trial was given to another worker, as this one had been silent."""


class Study:
    """The trials of a search.

    Attributes:
        name: Its name in the database.
        key: Tells it from all other studies, whatever their names and databases.
        direction: "maximize" or "minimize".
    """

    def __init__(
        self,
        name: str,
        url: str | None,
        folder: pathlib.Path,
        parameters: Sequence[search_space.Parameter],
        points: Sequence[Mapping[str, str]],
        about: Mapping[str, Any],
        direction: str,
        sampler: optuna.samplers.BaseSampler | None,
        pruner: optuna.pruners.BasePruner | None,
    ):
        """Opens the study, or creates it with all its trials.

        Args:
            name: Its name in the database.
            url: That of the database; None: an SQLite file in `folder`.
            folder: The search's own directory.
            parameters: The space.
            points: The trials: binding -> value as gin text; of one whose values are
                sampled when a worker takes it, nothing.
            about: What the study must have been begun with, JSON-ready, by name.
            direction: "maximize" or "minimize".
            sampler: Chooses the values of points that have none; None: Optuna's TPE.
            pruner: Gives up trials; None: none does.

        Raises:
            ValueError: It was begun with something else, or the URL is wrong.
        """
        self.name, self.direction = name, direction
        self._parameters, self._points = parameters, points
        self._database = database.Database(url, folder)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # Heartbeats are said to be experimental, at each call.
        ignored = optuna.exceptions.ExperimentalWarning
        warnings.filterwarnings("ignore", category=ignored)
        with self._database.alone():
            self._storage = optuna.storages.RDBStorage(
                self._database.url,
                engine_kwargs=self._database.settings,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                direction=direction,
                sampler=sampler,
                pruner=pruner or optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            self._id = self._storage.get_study_id_from_name(name)
            self._check_same(about)
            if "key" not in self._study.user_attrs:
                self._study.set_user_attr("key", uuid.uuid4().hex)
            self.key: str = self._study.user_attrs["key"]
            self._mine: set[int] = set()
            self._fill()

    def close(self) -> None:
        """Closes what it has opened."""
        self._storage.remove_session()
        self._storage.engine.dispose()
        self._database.close()

    @property
    @database.patient
    def is_open(self) -> bool:
        """Whether a trial is left, to be begun or to be finished."""
        return any(
            not one.state.is_finished() or _is_lost(one)
            for one in self._latest().values()
        )

    def check_photographs(self, fingerprint: str) -> None:
        """Notes which photographs all trials are of.

        Args:
            fingerprint: Of the photographs and their labels as they are here and now.

        Raises:
            ValueError: The study was begun with others.
        """
        with self._database.alone():
            known = self._study.user_attrs.get("photographs", fingerprint)
            if known != fingerprint:
                raise ValueError(
                    f"The study {self.name!r} was begun with other photographs or "
                    "labels than --data_dir holds, and its trials would not be judged "
                    "alike. Take the difference back, or name another --run_dir, and "
                    "another `tune.name` where that is bound."
                )
            self._study.set_user_attr("photographs", fingerprint)

    @database.patient
    def claim(self) -> "Attempt | None":
        """Takes a waiting trial, which nobody else has then; None: none is waiting."""
        with self._database.alone():
            optuna.storages.fail_stale_trials(self._study)
            self._fill()
            for number, one in self._latest().items():
                if one.state == TrialState.WAITING:
                    trial_id = self._storage.get_trial_id_from_study_id_trial_number(
                        self._id, one.number
                    )
                    # First: a worker that dies in between leaves a stale heartbeat.
                    self._storage.record_heartbeat(trial_id)
                    self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
                    self._vary(one.number)
                    return Attempt(
                        self._study, self._storage, trial_id, number, self._parameters
                    )
        return None

    @database.patient
    def trials(self) -> list[outcomes.Outcome]:
        """What became of all trials so far, in their order."""
        return [self._outcome(*pair) for pair in self._latest().items()]

    def importance(self) -> dict[str, float]:
        """How much each binding decides of the objective (fANOVA, Hutter et al., 2014).

        Returns:
            Binding -> its share, all of them summing to 1, the largest first, of those
            that vary among the trials that are done; nothing where these are fewer
            than two more than such bindings, or equally good.
        """
        every = self._latest().values()
        done = [one for one in every if one.state == TrialState.COMPLETE]
        keys = [one.key for one in self._parameters]
        varied = [key for key in keys if len({one.params[key] for one in done}) > 1]
        alike = len({one.value for one in done}) < 2
        if alike or not varied or len(done) < len(varied) + 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(
            self._study, evaluator=evaluator, params=varied
        )
        return {key: float(share) for key, share in found.items()}

    def _check_same(self, about: Mapping[str, Any]) -> None:
        """Notes what the study is about; raises if it was begun otherwise."""
        begun = self._study.user_attrs
        if self._study.trials and not about.keys() <= begun.keys():
            raise ValueError(
                f"The study {self.name!r} in the database is not one of --mode=tune. "
                "Name another: tune.name = ..."
            )
        for name, value in about.items():
            if begun.get(name, value) != value:
                old, new = _difference(str(begun[name]), str(value))
                raise ValueError(
                    f"The study {self.name!r} was begun with something else, its "
                    f"{name}:\n  there: {old}\n  here:  {new}\n"
                    "Take the difference back, or name another --run_dir, and another "
                    "`tune.name` where that is bound."
                )
            if name not in begun:
                self._study.set_user_attr(name, value)

    def _latest(self) -> dict[int, FrozenTrial]:
        """Trial's number -> the last attempt at it."""
        every = self._study.get_trials(deepcopy=False)
        latest = {one.user_attrs["number"]: one for one in every}
        return dict(sorted(latest.items()))

    def _fill(self) -> None:
        """Adds what is missing: trials, and attempts at what a dead worker has left."""
        latest = self._latest()
        for number, point in enumerate(self._points):
            if number not in latest:
                self._add(number, point)
        for number, one in latest.items():
            if _is_lost(one):
                # A worker may die when it has drawn some of the values.
                self._add(number, one.system_attrs["fixed_params"] | one.params)

    def _vary(self, taken: int) -> None:
        """Sees to it that a sampler with a seed draws nothing for the second time.

        Its generator begins anew with each process, here and on each machine.
        """
        self._mine.add(taken)
        every = self._study.get_trials(deepcopy=False)
        begun = {one.number for one in every if one.state != TrialState.WAITING}
        if not begun <= self._mine:
            self._study.sampler.reseed_rng()

    def _add(self, number: int, point: Mapping[str, Any]) -> None:
        self._study.enqueue_trial(dict(point), user_attrs={"number": number})

    def _outcome(self, number: int, one: FrozenTrial) -> outcomes.Outcome:
        known = [each for each in self._parameters if each.key in one.params]
        done = one.state == TrialState.COMPLETE
        return outcomes.Outcome(
            number=number,
            state="waiting" if _is_lost(one) else _STATES[one.state],
            point={each.key: each.text(one.params[each.key]) for each in known},
            values={each.key: each.shown(one.params[each.key]) for each in known},
            value=one.value if done else None,
            figures=one.user_attrs.get("figures", {}) if done else {},
            runs=tuple(one.user_attrs.get("runs", ())) if done else (),
            reason=one.user_attrs.get("reason", ""),
            start=one.datetime_start,
            end=one.datetime_complete,
        )


class Attempt:
    """A trial that this worker has; it ends with one of the methods that end it.

    Attributes:
        number: The trial's number.
        point: Binding -> value as gin text.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: optuna.storages.RDBStorage,
        trial_id: int,
        number: int,
        parameters: Sequence[search_space.Parameter],
    ):
        self._study, self._storage, self._id = study, storage, trial_id
        self._trial = optuna.Trial(study, trial_id)
        self._beaten = -math.inf
        self.number = number
        self.point = {one.key: one.suggest(self._trial) for one in parameters}

    @database.patient
    def beat(self) -> None:
        """Says that the worker lives, once in `HEARTBEAT_SECONDS`; call it often.

        Raises:
            LostError: Too late.
        """
        if time.monotonic() - self._beaten < HEARTBEAT_SECONDS:
            return
        if self._storage.get_trial(self._id).state.is_finished():
            raise LostError
        self._storage.record_heartbeat(self._id)
        self._beaten = time.monotonic()

    @database.patient
    def hopeless(self, epoch: int, value: float) -> bool:
        """Whether the pruner gives the trial up after this epoch.

        Args:
            epoch: Its number, from 1.
            value: The objective's direction holds for it too.
        """
        self._trial.report(value, epoch)
        return self._trial.should_prune()

    def complete(
        self,
        value: float,
        figures: Mapping[str, Mapping[str, Any]],
        runs: Sequence[float],
    ) -> None:
        """Ends the trial, as `Outcome` has it; raises LostError if it was too late."""
        self._tell(TrialState.COMPLETE, value, figures=figures, runs=list(runs))

    def fail(self, reason: str) -> None:
        """Ends the trial for a reason of its own; raises LostError if too late."""
        self._tell(TrialState.FAIL, reason=reason)

    def prune(self, reason: str) -> None:
        """Ends the trial as hopeless; raises LostError if too late."""
        self._tell(TrialState.PRUNED, reason=reason)

    def give_back(self) -> None:
        """Ends the attempt, not the trial: it waits for a worker again."""
        with contextlib.suppress(LostError):
            self._tell(TrialState.FAIL)

    @database.patient
    def _tell(self, state: TrialState, value: float | None = None, **known) -> None:
        try:
            for name, content in known.items():
                self._trial.set_user_attr(name, content)
            self._study.tell(self._trial, value, state=state)
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError) as error:
            if self._storage.get_trial(self._id).state.is_finished():
                raise LostError from error
            raise


def _is_lost(one: FrozenTrial) -> bool:
    """Whether an attempt ended with its worker, and not for a reason of its own."""
    return one.state == TrialState.FAIL and "reason" not in one.user_attrs


def _difference(old: str, new: str) -> tuple[str, str]:
    """The first lines in which two texts differ."""
    olds, news = old.splitlines(), new.splitlines()
    for index in range(max(len(olds), len(news))):
        first = olds[index] if index < len(olds) else "nothing"
        second = news[index] if index < len(news) else "nothing"
        if first != second:
            return first, second
    return old, new
