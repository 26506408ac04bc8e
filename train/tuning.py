"""The entry `tune`: what a hyperparameter search varies, measures and stores."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from configs import statements, syntax
from evaluation import scoring
from train import search_space

_TRIAL = ("prepare", "audit", "split", "train", "evaluate")
"""What a trial calls: the entry points of `--mode=run`."""


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
        config = gin.config_str(max_line_length=10**6)
        parameters = search_space.parse(_space(config))
        self._check_trials(parameters)
        self._check_repeats(parameters)
        with tempfile.NamedTemporaryFile("w", suffix=".gin") as file:
            file.write(experiment_text(config))
            file.flush()
            for repeat in self.repeats:
                fixed = [
                    search_space.Parameter(key, "choice", (int(value),))
                    for key, value in repeat.items()
                ]
                search_space.check([*parameters, *fixed], file.name, _TRIAL)
        try:
            from train import study
        except ImportError as error:
            raise ValueError(
                f"--mode=tune needs Optuna ({error}). Install it: "
                "pip install 'retinograd[tune]'."
            ) from error
        search = study.Search(
            self,
            parameters,
            experiment_text(config),
            data_dirs,
            prepared_dir,
            run_dir,
        )
        return search.plan() if dry_run else search.run()

    def _check_trials(self, parameters: Sequence[search_space.Parameter]) -> None:
        ranges = [one.key for one in parameters if one.kind != "choice"]
        if self.trials is None and (ranges or self.sampler is not None):
            why = f"{ranges[0]} has a range" if ranges else "a sampler chooses them"
            raise ValueError(
                f"`tune.trials` must say how many trials there are: {why}. "
                "Bind it, as in tune.trials = 20."
            )
        if self.trials is not None and not ranges and self.sampler is None:
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


def experiment_text(config: str) -> str:
    """A config without what it says about the search, as gin text."""
    return "".join(
        f"import {one.module}\n"
        if isinstance(one, statements.Import)
        else f"{one.key} = {one.value!r}\n"
        for one in syntax.parse([], [config])
        if isinstance(one, statements.Import) or one.name.split(".")[-1] != "tune"
    )


def _space(config: str) -> Any:
    """`tune.space` as it is written: gin itself has called what it refers to."""
    for one in syntax.parse([], [config]):
        if isinstance(one, statements.Binding) and one.key == "tune.space":
            return one.value
    raise statements.ConfigError("tune.space has no value. Bind it: tune.space = ...")
