"""What became of the trials of a search, whatever database it was read from."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Literal

State = Literal["waiting", "running", "done", "pruned", "failed"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is known of a trial.

    Attributes:
        number: The trial's number, from 0.
        state: How far it is.
        point: Binding -> value as gin text; empty until a worker takes the trial.
        values: Binding -> the same value as a person reads it: a number as a number.
        value: The objective; None unless the trial is done.
        figures: Metric -> its entry of `metrics.json`, or the mean over the runs.
        runs: The objective of each run of the trial, in the order of the runs.
        reason: Why it failed or was given up, or "".
        start: When a worker took it.
        end: When it ended.
    """

    number: int
    state: State
    point: Mapping[str, str] = dataclasses.field(default_factory=dict)
    values: Mapping[str, float | bool | str] = dataclasses.field(default_factory=dict)
    value: float | None = None
    figures: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    runs: Sequence[float] = ()
    reason: str = ""
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "pruned", "failed")

    @property
    def seconds(self) -> float:
        """How long it took; of a trial that runs, how long it has taken so far."""
        if self.start is None:
            return 0.0
        end = self.end or datetime.datetime.now()
        return (end - self.start).total_seconds()

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The ends of a metric's 95 % interval, if it has one."""
        entry = self.figures.get(metric, {})
        if entry.get("low") is None:
            return None
        return entry["low"], entry["high"]


def ranked(outcomes: Sequence[Outcome], direction: str) -> list[Outcome]:
    """The trials that are done, the best first.

    Args:
        outcomes: Of all trials.
        direction: "maximize" or "minimize".
    """
    sign = -1 if direction == "maximize" else 1
    done = [one for one in outcomes if one.state == "done"]
    return sorted(done, key=lambda one: (sign * one.value, one.number))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Bindings by their parameter alone, as far as that tells them apart."""
    parameters = [key.rpartition(".")[2] for key in keys]
    return {
        key: name if parameters.count(name) == 1 else key
        for key, name in zip(keys, parameters, strict=True)
    }
