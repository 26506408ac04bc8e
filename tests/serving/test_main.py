"""`python -m serving`, which is what `make serve` starts."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import requests

from tests.serving import servers


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *map(str, arguments)],
        cwd=servers.ROOT,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(address) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(address, timeout=30).ok
    return False


def test_api_and_page_come_and_go_together(exported):
    api, page = free_port(), free_port()
    variables = {"RETINOGRAD_API_PORT": str(api), "RETINOGRAD_PAGE_PORT": str(page)}
    addresses = (
        f"http://127.0.0.1:{api}/readyz",
        f"http://127.0.0.1:{page}/_stcore/health",
    )
    with start(exported, **variables) as process:
        for _ in range(300):
            if all(map(answers, addresses)):
                break
            assert process.poll() is None
            time.sleep(0.2)
        assert all(map(answers, addresses))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stderr.read()
    assert not any(map(answers, addresses))


def test_without_a_model_it_says_what_is_missing(tmp_path):
    with start(tmp_path, RETINOGRAD_API_PORT=str(free_port())) as process:
        message = process.stderr.read()
    assert process.returncode == 1
    assert "holds no exported model" in message and "Traceback" not in message


def test_it_takes_one_folder():
    with start("one", "two") as process:
        assert process.stderr.read().startswith("usage: python -m serving [folder")
    assert process.returncode == 2


def test_a_port_that_the_page_cannot_know_is_refused(exported):
    with start(exported, RETINOGRAD_API_PORT="0") as process:
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.terminate()
    assert process.returncode == 1
    assert "RETINOGRAD_API_PORT must be a port that the page can know" in said
