"""The entry `tune`: what a hyperparameter search varies, measures and stores."""

import dataclasses
import importlib.util
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from configs import statements, syntax
from evaluation import evaluate, scoring
from input_pipeline import audit, prepare, splits
from train import averages, commands, ensemble, recipe, search_space, shares

_TRIAL = ("prepare", "audit", "split", "ensemble", "train", "evaluate")
"""What a trial calls: the entry points of `--mode=run`."""

_CACHE = "training_stream.cache_gigabytes"

_SAMPLERS = "train.samplers"

_REPEATS = {"split.fold": "tune.folds", "train.seed": "tune.seeds"}

_OF_OPTUNA = {
    "sampler": ("BaseSampler", "RandomSampler"),
    "pruner": ("BasePruner", "MedianPruner"),
}
"""Attribute -> the class it must be of, by name: Optuna may be missing; an example."""

_NEEDS = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}
"""What Optuna imports only when a sampler draws, by the sampler."""


@gin.register("tune")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuner:
    """A hyperparameter search.

    Attributes:
        space: Binding -> a list of values, `("categorical", value, ...)`, or a range:
            `("float", low, high)`, `("log_float", low, high)`, `("int", low, high)`.
        objective: The figure of the validation photographs that decides, by its name in
            `metrics.json`.
        trials: How many; None: all points of the grid, if the space is one.
        one_at_a_time: Whether trials are not all points of the grid but the one of all
            first choices, and those with one other choice; each is compared with it.
        sampler: An Optuna sampler that chooses the points; None: the grid, or for a
            space with ranges Optuna's TPE. `import train.samplers` brings them.
        pruner: An Optuna pruner that stops a trial by the curve of `train.monitor`, or
            None: each trial trains to its end.
        folds: Validation folds over which a trial is averaged; none: that of the
            config.
        seeds: Seeds of training over which a trial is averaged; none: that of the
            config.
        storage: Database URL, such as `postgresql://...`, shared by any number of
            machines; None: an SQLite file in the run directory.
        name: The study's name in the database; None: that of the run directory.
        workers: How many trials train at the same time on this machine; they divide
            its threads.
    """

    space: dict[str, Any]
    objective: str = "auc"
    trials: int | None = None
    one_at_a_time: bool = False
    sampler: Any = None
    pruner: Any = None
    folds: Sequence[int] = ()
    seeds: Sequence[int] = ()
    storage: str | None = None
    name: str | None = None
    workers: int = 1

    def __post_init__(self):
        for name in ("trials", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(
                    f"`tune.{name}` must be at least 1. Received: {value}."
                )
        for name in ("folds", "seeds"):
            given = list(getattr(self, name))
            if len(set(given)) < len(given):
                raise ValueError(
                    f"`tune.{name}` must list each number once. Received: {given}."
                )

        for name, (base, example) in _OF_OPTUNA.items():
            value = getattr(self, name)
            bases = {one.__name__ for one in type(value).__mro__}
            if value is not None and base not in bases:
                raise ValueError(
                    f"`tune.{name}` must be one of Optuna's {name}s, as in tune.{name} "
                    f"= @{example}(). Received: {value!r}."
                )
        sampler = type(self.sampler).__name__
        package = _NEEDS.get(sampler)
        if package and importlib.util.find_spec(package) is None:
            raise ValueError(
                f"`tune.sampler` is a {sampler}, which needs {package}. Install it: "
                f"pip install {package}."
            )

    @property
    def direction(self) -> str:
        """Which way the objective is better, as Optuna says it."""
        lower = self.objective in scoring.LOWER_IS_BETTER
        return "minimize" if lower else "maximize"

    @property
    def repeats(self) -> list[dict[str, str]]:
        """The runs of a trial: binding -> value, of one that is not averaged none."""
        folds = [{"split.fold": repr(one)} for one in self.folds] or [{}]
        seeds = [{"train.seed": repr(one)} for one in self.seeds] or [{}]
        return [fold | seed for fold in folds for seed in seeds]

    def averaged(self, of: int) -> averages.Folds | None:
        """The folds that a trial is averaged over, where they are several.

        Args:
            of: Into how many the photographs are cut.
        """
        several = len(self.folds) > 1
        return averages.Folds(len(self.folds), of) if several else None

    def run(
        self,
        data_dirs: Mapping[str, pathlib.Path],
        prepared_dir: pathlib.Path,
        run_dir: pathlib.Path,
        dry_run: bool = False,
    ) -> str:
        """Searches, or goes on with a search; the config is the one gin has loaded.

        Args:
            data_dirs: Dataset's name -> its folder.
            prepared_dir: Where prepared folders lie.
            run_dir: The search's own directory.
            dry_run: Whether to stop before the first trial.

        Returns:
            The table of trials.

        Raises:
            ConfigError: The space is wrong.
            ValueError: The search was begun with something else, or Optuna is missing.
        """
        if (run_dir / "bindings.json").exists():
            raise ValueError(
                f"{run_dir} is the directory of a run, and a search needs one of its "
                "own. Name another --run_dir."
            )
        # Trials need the GPUs; of one that this process sees it would take the memory.
        tf.config.set_visible_devices([], "GPU")
        config = gin.config_str(max_line_length=10**6)
        parameters = search_space.parse(_space(config))
        self._check_trials(parameters)
        self._check_repeats(parameters)
        experiment = experiment_text(config)
        judge, metrics = self._check(experiment, parameters)
        try:
            from train import search
        except ModuleNotFoundError as error:
            raise ValueError(
                f"--mode=tune needs Optuna ({error}). Install it: "
                "pip install 'optuna>=5'."
            ) from error
        bindings = []
        if self.workers > 1 and _leaves_cache_open(experiment, parameters):
            gigabytes = shares.cache_gigabytes(self.workers)
            bindings = [f"{_CACHE} = {gigabytes}"]
        started = search.Search(
            self,
            parameters,
            experiment,
            metrics,
            bindings,
            data_dirs,
            prepared_dir,
            run_dir,
            self.averaged(judge.splitter.folds),
        )
        return started.plan() if dry_run else started.run()

    def _check(
        self, experiment: str, parameters: Sequence[search_space.Parameter]
    ) -> tuple["_Judge", list[str]]:
        """Makes the objects of trials all over the space; raises if one is wrong.

        Returns:
            What decides how trials are judged, and the names of a trial's figures.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".gin") as file:
            file.write(experiment)
            file.flush()
            for key in self.repeats[0]:
                values = tuple(dict.fromkeys(int(one[key]) for one in self.repeats))
                averaged = search_space.Parameter(key, "choice", values)
                for text in averaged.texts:
                    one = dataclasses.replace(averaged, values=(int(text),))
                    name = _REPEATS[key]
                    search_space.check([one], file.name, _TRIAL, _build, name)
            judge = search_space.check(parameters, file.name, _TRIAL, _build)
        self._check_ensemble(judge, parameters)
        self._check_folds(judge.splitter)
        num_classes = len(judge.task["class_names"])
        metrics = scoring.Scorer(
            np.arange(num_classes),
            np.eye(num_classes),
            judge.task["disease_classes"],
            prevalence=judge.prevalence,
        ).figures
        if self.objective not in metrics:
            raise ValueError(
                f"`tune.objective` must be a figure of the task "
                f"{judge.task['name']!r}: {', '.join(metrics)}. Received: "
                f"{self.objective!r}."
                f"{statements.did_you_mean(self.objective, metrics)}"
            )
        return judge, list(metrics)

    def _check_ensemble(
        self, judge: "_Judge", parameters: Sequence[search_space.Parameter]
    ) -> None:
        if judge.seeds and "train.seed" in {one.key for one in parameters}:
            raise ValueError(
                "`tune.space` varies train.seed, and the members of the ensemble have "
                f"seeds of their own: ensemble.seeds = {tuple(judge.seeds)}. Take out "
                "one of both."
            )
        for name in ("folds", "seeds", "pruner"):
            if judge.members > 1 and getattr(self, name):
                raise ValueError(
                    f"`tune.{name}` is for trials of one training, and the experiment "
                    f"is an ensemble of {judge.members}. Take out one of both."
                )

    def _check_folds(self, splitter: splits.Splitter) -> None:
        for name in ("train_photographs", "valid_photographs"):
            if len(self.folds) > 1 and getattr(splitter, name) is not None:
                raise ValueError(
                    f"`tune.folds` averages over folds of which all photographs train "
                    f"or validate. Received: split.{name} = {getattr(splitter, name)}. "
                    "Take it out, or average over tune.seeds of one fold."
                )

    def _check_trials(self, parameters: Sequence[search_space.Parameter]) -> None:
        ranges = [one.key for one in parameters if one.kind != "choice"]
        if self.one_at_a_time and (ranges or self.sampler is not None):
            why = f"{ranges[0]} has a range" if ranges else "a sampler chooses them"
            raise ValueError(
                "`tune.one_at_a_time` lists the trials by the choices in `tune.space`, "
                f"and {why}. Give each binding a list of values and take out the "
                "sampler, or take out `tune.one_at_a_time`."
            )
        if self.trials is None and (ranges or self.sampler is not None):
            why = f"{ranges[0]} has a range" if ranges else "a sampler chooses them"
            raise ValueError(
                f"`tune.trials` must say how many trials there are: {why}. "
                "Bind it, as in tune.trials = 20."
            )
        if self.trials is not None and not ranges and self.sampler is None:
            if self.one_at_a_time:
                raise ValueError(
                    "`tune.trials` has no meaning where `tune.one_at_a_time` lists "
                    f"them by the choices. Received: {self.trials}. Take out one of "
                    "both."
                )
            raise ValueError(
                "`tune.trials` has no meaning for a grid, which is searched whole. "
                "Take it out, or name a sampler: tune.sampler = @RandomSampler()."
            )

    def _check_repeats(self, parameters: Sequence[search_space.Parameter]) -> None:
        for key in self.repeats[0]:
            if key in {one.key for one in parameters}:
                raise ValueError(
                    f"{key} is in `tune.space` and averaged over. Take out one of both."
                )


@dataclasses.dataclass(frozen=True)
class _Judge:
    """What decides by which labels of which photographs a trial is judged.

    Beside it, how many trainings answer together, and the seeds that they have.
    """

    splitter: splits.Splitter
    every_fold: bool
    auditor: audit.Auditor
    datasets: Sequence[str]
    task: Mapping[str, Any]
    prevalence: float | None
    members: int = dataclasses.field(compare=False)
    seeds: Sequence[int] = dataclasses.field(compare=False)


def _build() -> _Judge:
    """Makes all objects of a trial of the config that gin has loaded."""
    preparation = commands.configured(prepare.Preparation)
    splitter = commands.configured(splits.Splitter)
    several = commands.configured(ensemble.Ensemble)
    trained = commands.configured(recipe.Recipe)
    evaluator = commands.configured(evaluate.Evaluator)
    several.check(splitter, evaluator.splits)
    return _Judge(
        splitter,
        several.every_fold,
        commands.configured(audit.Auditor),
        [one.name for one in preparation.datasets],
        trained.task.description(),
        evaluator.prevalence,
        len(several.members(splitter, trained.seed)),
        several.seeds,
    )


def experiment_text(config: str) -> str:
    """A config without what it says about the search, as gin text."""
    parsed = syntax.parse([], [config])
    dropped = {"tune"}
    if any(getattr(one, "module", "") == _SAMPLERS for one in parsed):
        from train import samplers

        dropped |= samplers.NAMES
    lines = [syntax.COPY]
    for one in parsed:
        if isinstance(one, statements.Import):
            if one.module != _SAMPLERS:
                lines.append(f"import {one.module}\n")
        elif one.name.rpartition(".")[2] not in dropped:
            lines.append(f"{one.key} = {one.value!r}\n")
    return "".join(lines)


def _leaves_cache_open(
    experiment: str, parameters: Sequence[search_space.Parameter]
) -> bool:
    """Whether trials train from our own stream, and nothing says what it may cache."""
    parsed = syntax.parse([], [experiment])
    bound = {one.key for one in (*parsed, *parameters) if hasattr(one, "key")}
    streams = [one for one in parsed if getattr(one, "key", "") == "train.stream"]
    ours = any(repr(one.value) == "@training_stream()" for one in streams)
    return ours and _CACHE not in bound


def _space(config: str) -> Any:
    """`tune.space` as it is written: gin itself has called what it refers to."""
    for one in syntax.parse([], [config]):
        if isinstance(one, statements.Binding) and one.key == "tune.space":
            return one.value
    raise statements.ConfigError("tune.space has no value. Bind it: tune.space = ...")
