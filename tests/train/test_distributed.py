"""Two worker processes on loopback, started as a user starts them."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]
STRATEGY = "train.strategy = @tf.distribute.MultiWorkerMirroredStrategy"
SECONDS = 540  # For a whole run; seldom more than 20 where the processors are idle.


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def experiment(tiny, tmp_path_factory):
    """A small network with synchronized statistics and without dropout."""
    file = tmp_path_factory.mktemp("gin") / "small.gin"
    file.write_text("""
import tests.train.mortal
resnet_v2.dropout = 0.0
resnet_v2.synchronized = True
train.epochs = 3
train.callbacks = [@Mortal(), @EarlyStopping()]
EarlyStopping.patience = 5
EarlyStopping.restore_best_weights = True
Adam.global_clipnorm = 1.0
Adam.use_ema = True
Adam.ema_momentum = 0.9
""")
    return tiny, file


@pytest.fixture(scope="module")
def workers(experiment, idrid_like, prepared, prepared_dir):
    """Starts both workers: `workers("train", run_dir, flags, environments)`."""
    del prepared  # So that they are.
    started = []

    def start(mode, run_dir, more=((), ()), environments=({}, {})):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        pair = []
        for index in range(2):
            task = {"type": "worker", "index": index}
            cluster = {"cluster": {"worker": addresses}, "task": task}
            command = [
                *(sys.executable, "main.py", f"--mode={mode}", f"--run_dir={run_dir}"),
                *(f"--gin_file={one}" for one in experiment),
                f"--gin_bindings={STRATEGY}",
                *(f"--data_dir={idrid_like}", f"--prepared_dir={prepared_dir}"),
                *more[index],
            ]
            pair.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=os.environ
                    | {"TF_CONFIG": json.dumps(cluster), "PYTHONDONTWRITEBYTECODE": "1"}
                    | environments[index],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        started.extend(pair)
        return pair

    yield start
    for one in started:
        one.kill()
        one.communicate()


def end(process, seconds=SECONDS):
    """Waits for a process; returns its status and what it wrote to both streams."""
    written = process.communicate(timeout=seconds)
    return process.returncode, *written


def finish(pair):
    """Waits for both, or until one fails; they have to succeed."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and None in (states := [one.poll() for one in pair]):
        if any(states):
            break
        time.sleep(0.1)
    said = []
    for one in pair:
        one.kill()
        said.append(end(one))
    assert [one[0] for one in said] == [0, 0], said
    return said


def history(run_dir):
    return json.loads((run_dir / "history.json").read_text())


def names(run_dir):
    """The files of a run; those of TensorBoard by their folders."""
    files = [one.relative_to(run_dir) for one in run_dir.rglob("*") if one.is_file()]
    return {str(one.parent if "events" in one.name else one) for one in files}


@pytest.fixture(scope="module")
def alone(start, experiment, tmp_path_factory):
    """The run of a single process."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    start("train", folder, gin_file=experiment)
    return folder


@pytest.fixture(scope="module")
def together(workers, tmp_path_factory):
    """The run of two workers, and what they said.

    One could write nothing, and would have stopped early by itself.
    """
    folder = tmp_path_factory.mktemp("runs") / "together"
    other = {"WRITES_NO_BYTE_FROM_EPOCH": "2", "WANTS_TO_STOP_IN_EPOCH": "2"}
    environments = {}, other
    pair = workers("train", folder, environments=environments)
    return folder, pair, finish(pair)


def test_two_workers_train_what_one_process_trains(alone, together):
    one, two = history(alone), history(together[0])
    for name in ("loss", "accuracy", "val_loss"):
        assert two["epochs"][0][name] == pytest.approx(one["epochs"][0][name], abs=1e-3)
    steps = 32 // 8
    compared = 0
    readers = [
        tf.train.load_checkpoint(str(folder / "checkpoints" / f"ckpt-{steps}"))
        for folder in (alone, together[0])
    ]
    for key, dtype in readers[0].get_variable_to_dtype_map().items():
        if dtype.is_floating and key.startswith("model/"):
            first, second = (reader.get_tensor(key) for reader in readers)
            np.testing.assert_allclose(second, first, rtol=0, atol=1e-3)
            compared += 1
    assert compared > 10


def test_only_the_chief_writes(alone, together):
    folder, pair, said = together
    assert names(folder) == names(alone)
    events = list((folder / "tensorboard").rglob("events*"))
    assert events
    assert all(f".{pair[0].pid}." in one.name for one in events)
    (start,) = json.loads((folder / "environment.json").read_text())
    assert len(start["training_devices"]) == 2
    assert said[0][1] == f"Trained: {folder / 'model.keras'}\n"
    assert said[1][1] == (
        f"Trained with the others; the chief writes {folder / 'model.keras'}.\n"
    )


def test_who_loses_a_worker_stops_and_all_together_go_on(workers, together, tmp_path):
    """First worker 1 dies, then the chief; in the end nothing shows of it."""
    folder = tmp_path / "run"
    survivors = {1: "the chief", 0: "worker 1"}
    for epoch, dying in ((2, 1), (3, 0)):
        environments = [{}, {}]
        environments[dying] = {"DIES_IN_EPOCH": str(epoch)}
        pair = workers("train", folder, environments=environments)
        assert end(pair[dying])[0] == -signal.SIGKILL
        status, _, errors = end(pair[1 - dying], seconds=60)
        assert status == 1
        message = errors[errors.index("error: ") :]
        assert message.startswith(f"error: {survivors[dying]} (127.0.0.1:")
        assert f"has lost {survivors[1 - dying]} (127.0.0.1:" in message
        assert "the same command on all workers again" in message
        assert "Traceback" not in errors
        assert len(message.splitlines()) == 1
    assert not (folder / "model.keras").exists()

    said = finish(workers("run", folder))
    assert "Going on from" in said[1][2]
    assert history(folder)["weights_sha256"] == history(together[0])["weights_sha256"]
    # The chief alone read the test photographs.
    assert len((folder / "ledger.jsonl").read_text().splitlines()) == 1
    assert "Report: " in said[0][1]


def test_workers_with_different_experiments_are_refused(workers, tmp_path):
    other = ("--gin_bindings=train.seed = 7", "--dry_run")
    for status, _, errors in map(end, workers("train", tmp_path / "run", ((), other))):
        assert status == 1
        assert "error: All workers must be started with the same experiment" in errors
        assert "train.seed: not set, 7" in errors
        assert "--dry_run: False, True" in errors
    assert not (tmp_path / "run").exists()


def test_a_folder_that_a_worker_does_not_share_stops_both(workers, tmp_path):
    empty = tmp_path / "empty"
    pair = workers("train", tmp_path / "run", ((), (f"--prepared_dir={empty}",)))
    (chief, _, chief_errors), (other, _, errors) = map(end, pair)
    assert (chief, other) == (1, 1)
    assert f"error: {empty}/" in errors
    assert "does not exist on this worker, but the chief has it" in errors
    assert "has lost worker 1 (127.0.0.1:" in chief_errors
    assert not empty.exists()
