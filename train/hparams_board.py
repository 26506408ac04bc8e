"""A search in TensorBoard's HParams dashboard: a session for each trial that ended."""

import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorboard.plugins.hparams import api_pb2, summary, summary_v2

from train import outcomes, search_space

FOLDER = "tensorboard"
"""The log directory, in that of the search."""

_ENDS = {"value": "", "low": " (low)", "high": " (high)"}


def write_experiment(
    run_dir: pathlib.Path,
    parameters: Sequence[search_space.Parameter],
    metrics: Sequence[str],
    objective: str,
) -> None:
    """Writes which columns the dashboard has.

    Args:
        run_dir: The search's own directory.
        parameters: The space.
        metrics: Names of the figures that a trial has.
        objective: That which comes first; its interval has columns too.
    """
    # The dashboard begins with the first five, and its plots leave out a trial that
    # lacks one: a model that says the same of all photographs has no interval.
    columns = [objective, *(one for one in metrics if one != objective)]
    columns += [f"{objective}{end}" for end in _ENDS.values() if end]
    names = outcomes.short_names([one.key for one in parameters])
    message = summary_v2.hparams_config_pb(
        hparams=[
            summary_v2.HParam(one.key, _domain(one), display_name=names[one.key])
            for one in parameters
        ],
        metrics=[summary_v2.Metric(name, display_name=name) for name in columns],
    )
    _write(run_dir / FOLDER / "experiment", [message], {})


def write_trial(run_dir: pathlib.Path, one: outcomes.Outcome) -> None:
    """Writes a trial that has ended, unless that was done; of another nothing.

    Args:
        run_dir: The search's own directory.
        one: The trial.
    """
    folder = run_dir / FOLDER / f"trial-{one.number:03d}"
    if not one.ended or folder.exists():
        return
    status = api_pb2.STATUS_FAILURE
    if one.state == "done":
        status = api_pb2.STATUS_SUCCESS
    messages = [
        summary_v2.hparams_pb(
            dict(one.values),
            trial_id=f"trial {one.number}",
            start_time_secs=one.start.timestamp(),
        ),
        summary.session_end_pb(status, one.end.timestamp()),
    ]
    scalars = {
        name + suffix: entry[end]
        for name, entry in one.figures.items()
        for end, suffix in _ENDS.items()
        if entry.get(end) is not None
    }
    _write(folder, messages, scalars)


def _domain(one: search_space.Parameter) -> summary_v2.Domain:
    """The values of a column, all of one type."""
    if one.kind == "int":
        return summary_v2.IntInterval(*one.values)
    if one.kind != "choice":
        return summary_v2.RealInterval(*map(float, one.values))
    return summary_v2.Discrete([one.shown(text) for text in one.texts])


def _write(
    folder: pathlib.Path, messages: Sequence, scalars: Mapping[str, float]
) -> None:
    """Makes a run of TensorBoard, whole or not at all."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tf.summary.create_file_writer(str(partial)).as_default(step=0):
        for one in messages:
            tf.summary.experimental.write_raw_pb(one.SerializeToString(), step=0)
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
        tf.summary.flush()
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
