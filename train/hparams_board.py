"""A search in TensorBoard's HParams dashboard, and the curves that trials write there.

Everything is written from the trials' results, anew each time: a session a trial.
"""

import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf
from optuna.trial import FrozenTrial, TrialState
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import api_pb2, summary, summary_v2

from input_pipeline import records
from train import recipe, search_space

_ENDS = {"value": "", "low": " (low)", "high": " (high)"}


def write_experiment(
    folder: pathlib.Path,
    parameters: Sequence[search_space.Parameter],
    latest: Mapping[int, FrozenTrial],
    objective: str,
) -> None:
    """Writes which columns the dashboard has.

    Args:
        folder: The log directory of TensorBoard.
        parameters: The space.
        latest: Point -> the last attempt at it.
        objective: The metric that comes first.
    """
    found = [
        name for one in latest.values() for name in one.user_attrs.get("figures", ())
    ]
    metrics = list(dict.fromkeys([objective, *found]))
    columns = [
        summary_v2.Metric(name + end, display_name=name + end)
        for name in metrics
        for end in (_ENDS.values() if name == objective else [""])
    ]
    message = summary_v2.hparams_config_pb(
        hparams=[summary_v2.HParam(one.key, _domain(one)) for one in parameters],
        metrics=columns,
    )
    _write(folder / "experiment", [message], {}, 0)


def write_trial(
    folder: pathlib.Path,
    point: int,
    one: FrozenTrial,
    parameters: Sequence[search_space.Parameter],
) -> None:
    """Writes a finished trial; of another nothing.

    Args:
        folder: The log directory of TensorBoard.
        point: The trial's number.
        one: The last attempt at it.
        parameters: The space.
    """
    if not one.state.is_finished() or len(one.params) < len(parameters):
        return
    done = one.state == TrialState.COMPLETE
    values = {each.key: each.shown(one.params[each.key]) for each in parameters}
    status = api_pb2.STATUS_SUCCESS if done else api_pb2.STATUS_FAILURE
    start, end = one.datetime_start, one.datetime_complete
    messages = [
        summary_v2.hparams_pb(
            values, trial_id=f"trial {point}", start_time_secs=start.timestamp()
        ),
        summary.session_end_pb(status, end.timestamp()),
    ]
    scalars = {
        name + suffix: entry[end]
        for name, entry in one.user_attrs.get("figures", {}).items()
        for end, suffix in _ENDS.items()
        if entry.get(end) is not None
    }
    _write(folder / f"trial-{point:03d}", messages, scalars, 0)


class Curve:
    """The validation curve of a run under way, as far as it is written."""

    def __init__(self, run_dir: pathlib.Path, direction: str):
        """Watches `run_dir`; values are turned to be better in `direction`."""
        self._run_dir, self._direction = run_dir, direction
        self._seen = 0

    def new(self) -> Iterator[tuple[int, float]]:
        """Epochs that were not there at the last call, with their values."""
        folder = self._run_dir / "tensorboard" / "valid"
        if not folder.exists():
            return
        events = event_accumulator.EventAccumulator(
            str(folder), size_guidance={event_accumulator.TENSORS: 0}
        ).Reload()
        monitor = _monitor(self._run_dir)
        tag = monitor.removeprefix("val_")
        if tag not in events.Tags()["tensors"]:
            return
        better = {"min": "minimize", "max": "maximize"}[recipe.MONITORS[monitor]]
        sign = 1 if better == self._direction else -1
        for event in events.Tensors(tag):
            if event.step > self._seen:
                self._seen = event.step
                yield event.step, sign * float(tf.make_ndarray(event.tensor_proto))


def _monitor(run_dir: pathlib.Path) -> str:
    bindings = records.read_json(run_dir / "bindings.json")
    return bindings.get("train.monitor", repr(recipe.Recipe.monitor)).strip("'\"")


def _domain(one: search_space.Parameter) -> summary_v2.Domain | None:
    """The values of a column; of choices of several types none is said."""
    if one.kind == "int":
        return summary_v2.IntInterval(*one.values)
    if one.kind != "choice":
        return summary_v2.RealInterval(*map(float, one.values))
    shown = [one.shown(text) for text in one.texts]
    if all(type(value) in (int, float) for value in shown):
        shown = list(map(float, shown))
    if len({type(value) for value in shown}) > 1:
        shown = list(map(str, shown))
    return summary_v2.Discrete(shown)


def _write(
    folder: pathlib.Path,
    messages: Sequence,
    scalars: Mapping[str, float],
    step: int,
) -> None:
    """Makes a run of TensorBoard anew."""
    shutil.rmtree(folder, ignore_errors=True)
    with tf.summary.create_file_writer(str(folder)).as_default(step=step):
        for one in messages:
            tf.summary.experimental.write_raw_pb(one.SerializeToString(), step=step)
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
        tf.summary.flush()
