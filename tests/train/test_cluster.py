import json
import re
import signal

import keras
import pytest
import tensorflow as tf

from input_pipeline import records
from tests.train import tf_configs
from train import cluster, commands, data, run_dir


def test_without_tf_config_there_is_one_process(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    alone = cluster.Cluster(tf.distribute.get_strategy())
    assert (alone.count, alone.is_chief) == (1, True)
    content = object()
    assert alone.gather(content) == [content]
    assert alone.tell(content) is content


def test_a_strategy_of_one_machine_is_refused_where_there_are_several(monkeypatch):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    message = (
        r"TF_CONFIG names 2 workers, but `train.strategy` is .*each would train alone"
        r".*@tf.distribute.MultiWorkerMirroredStrategy, or unset"
    )
    with pytest.raises(ValueError, match=message):
        cluster.join(tf.distribute.get_strategy, {})


def test_what_keeps_workers_from_joining_is_told_with_all_addresses(monkeypatch):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO, index=1))

    def taken():
        raise tf.errors.UnknownError(None, None, "Could not start gRPC server")

    message = r"worker 1 \(b:2\) cannot join .*gRPC server.*port must be free.*a:1, b:2"
    with pytest.raises(RuntimeError, match=message):
        cluster.join(taken, {})


def test_a_worker_that_waits_for_others_can_be_stopped(monkeypatch):
    """Python's own handler would have its turn only when all are there."""
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    usual, handlers = signal.getsignal(signal.SIGINT), []

    def wait(*_):
        handlers.append(signal.getsignal(signal.SIGINT))
        raise RuntimeError

    with pytest.raises(RuntimeError, match="cannot join"):
        cluster.join(wait, {})
    two = cluster.Cluster(Strategy())
    two._sum = wait
    with pytest.raises(RuntimeError):
        two.gather(None)
    assert handlers == [signal.SIG_DFL] * 2
    assert signal.getsignal(signal.SIGINT) is usual


class Strategy:
    """As far as a cluster asks it."""

    cluster_resolver = object()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("tasks are unhealthy: /job:worker/replica:0/task:1 ...", r"worker 1 \(b:2\)"),
        ("from /job:worker/task:1 to /job:worker/task:0", r"worker 1 \(b:2\)"),
        ("Socket closed", "another worker"),
    ],
)
def test_a_lost_worker_is_named_if_it_is_known(monkeypatch, text, gone):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    two = cluster.Cluster(Strategy())
    message = rf"the chief \(a:1\) has lost {gone}, and stops.*same command on all"
    with pytest.raises(cluster.LostWorkerError, match=message), two.noticing_losses():
        raise tf.errors.UnavailableError(None, None, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (tf.errors.InvalidArgumentError, "another shape"),
        (tf.errors.CancelledError, "Function call was cancelled"),
        (tf.errors.CancelledError, "cancelled at /job:worker/replica:0/task:0"),
    ],
)
def test_other_errors_are_nobodys_loss(monkeypatch, kind, text):
    """What Ctrl-C stops here is cancelled too."""
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    two = cluster.Cluster(Strategy())
    with pytest.raises(kind, match=text), two.noticing_losses():
        raise kind(None, None, text)


@pytest.mark.parametrize(
    "text",
    [
        "from /job:worker/replica:0/task:1: Step was cancelled",
        "Collective ops is aborted by: Socket closed",
    ],
)
def test_what_another_worker_cancels_is_a_loss(monkeypatch, text):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    two = cluster.Cluster(Strategy())
    with pytest.raises(cluster.LostWorkerError, match="lost"), two.noticing_losses():
        raise tf.errors.CancelledError(None, None, text)


def test_workers_that_differ_are_refused_with_what_each_has(monkeypatch):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    own = {"train.seed": "1", "--dry_run": "True", "keras": "3.15.1"}
    other = {"train.seed": "1", "--dry_run": "False", "keras": "3.14.0", "a.b": "2"}
    monkeypatch.setattr(cluster.Cluster, "gather", lambda self, said: [said, other])
    message = (
        r"same experiment and the same flags, from the same code and versions.*\n"
        r"  --dry_run: True, False\n  a\.b: not set, 2\n  keras: 3\.15\.1, 3\.14\.0$"
    )
    with pytest.raises(ValueError, match=message):
        cluster.join(Strategy, own)


def test_workers_compare_all_that_decides_what_they_compute(
    start, tmp_path, monkeypatch
):
    class EnoughError(Exception):
        pass

    def join(_, wanted):
        raise EnoughError(wanted)

    monkeypatch.setattr(cluster, "join", join)
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    with pytest.raises(EnoughError) as caught:
        start("train", tmp_path / "run", dry_run=True)
    (wanted,) = caught.value.args
    assert wanted["--dry_run"] == "True"
    assert wanted["tensorflow"] == tf.__version__
    assert wanted["keras"] == keras.__version__
    assert wanted["train.epochs"] == "2"
    assert re.fullmatch("[0-9a-f]{12}", wanted["retinograd's code"])


def test_a_worker_opens_what_the_chief_prepared_and_says_where_it_is_not(
    audited, prepared_dir, tmp_path
):
    where = commands.Where({}, prepared_dir, tmp_path / "run", {})
    names = json.loads(json.dumps(data.names(audited, where)))
    opened = data.opened(names, where)
    assert opened.collection.fingerprint == audited.collection.fingerprint
    assert opened.folder == audited.folder
    elsewhere = commands.Where({}, tmp_path, tmp_path / "run", {})
    folder = tmp_path / names["prepared"][0]
    message = f"{folder} does not exist on this worker, but the chief has it.*share"
    with pytest.raises(FileNotFoundError, match=message):
        data.opened(names, elsewhere)


def test_a_run_directory_that_is_not_the_chiefs_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "SHARED_SECONDS", 0.0)
    chiefs, own = run_dir.RunDir(tmp_path / "chief"), run_dir.RunDir(tmp_path / "own")
    chiefs.path.mkdir()
    chiefs.begin("", {}, {})
    assert chiefs.start == records.file_sha256(chiefs.path / "environment.json")
    chiefs.check_shared(chiefs.start)
    with pytest.raises(FileNotFoundError, match="own on this worker is not the folder"):
        own.check_shared(chiefs.start)
    earlier = chiefs.start
    chiefs.begin("", {}, {})
    with pytest.raises(FileNotFoundError, match="folder that all workers share"):
        chiefs.check_shared(earlier)


@pytest.mark.parametrize(
    ("mode", "line", "message"),
    [
        ("run", "ensemble.seeds = (0, 1)", "ensemble are trained each by one process"),
        ("train", "", "TF_CONFIG names 2 workers, but `train.strategy` is"),
    ],
)
def test_what_several_workers_cannot_do_is_refused(
    start, tmp_path, monkeypatch, mode, line, message
):
    tf_configs.named(monkeypatch, tf_configs.of(tf_configs.TWO))
    with pytest.raises(ValueError, match=message):
        start(mode, tmp_path / "run", line)
    assert not (tmp_path / "run").exists()
