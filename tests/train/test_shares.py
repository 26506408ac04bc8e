import os

import pytest

from train import shares


@pytest.mark.parametrize(
    ("processors", "workers", "expected"),
    [
        (range(8), 2, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ([1, 3, 5], 2, [[1], [3, 5]]),
        ([0, 1], 4, [[0], [0], [1], [1]]),
    ],
)
def test_processors_are_divided_and_shared_where_they_are_too_few(
    monkeypatch, processors, workers, expected
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda of: set(processors))
    found = shares.divide(workers, gpus=0)
    assert [one.processors for one in found] == expected
    assert [one.environment for one in found] == [{}] * workers


def test_a_worker_alone_is_bound_to_nothing():
    assert shares.divide(1, gpus=4) == [shares.Share()]


@pytest.mark.parametrize(
    ("seen", "workers", "visible"),
    [
        (None, 2, ["0,1", "2,3"]),
        ("4,5,6,7", 2, ["4,5", "6,7"]),
        (None, 8, ["0", "0", "1", "1", "2", "2", "3", "3"]),
    ],
)
def test_gpus_are_divided_by_what_a_process_sees(monkeypatch, seen, workers, visible):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    found = [one.environment for one in shares.divide(workers, gpus=4)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == visible
    assert all(one["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for one in found)


def test_a_share_holds_for_the_processes_of_its_thread_alone():
    import subprocess
    import sys
    import threading

    first = min(os.sched_getaffinity(0))
    script = "from input_pipeline import processors; print(processors.count())"
    counts = []

    def work():
        shares.Share([first]).take()
        said = subprocess.run([sys.executable, "-c", script], capture_output=True)
        counts.append(int(said.stdout))

    thread = threading.Thread(target=work)
    before = os.sched_getaffinity(0)
    thread.start()
    thread.join()
    assert counts == [1]
    assert os.sched_getaffinity(0) == before


def test_memory_for_photographs_is_divided(monkeypatch):
    monkeypatch.setattr(shares.memory, "available_gigabytes", lambda: 24.0)
    assert shares.cache_gigabytes(4) == 3.0
