"""The API as a process of its own, and a client that sends what browsers would not."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import requests

ROOT = pathlib.Path(__file__).parents[2]


class Server:
    """A running API.

    Attributes:
        address: Where it is.
        port: Its port on loopback.
        process: Its process.
        log: The lines that it wrote so far.
    """

    def __init__(self, process: subprocess.Popen):
        self.process = process
        self.log: list[dict[str, Any]] = []
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._started.wait(60)
        assert process.poll() is None, self.log
        (line,) = (one["message"] for one in self.log if "running on" in one["message"])
        self.address = line.split()[3]
        self.port = int(self.address.rpartition(":")[2])

    def _read(self) -> None:
        for line in self.process.stdout:
            self.log.append(json.loads(line))
            if "running on" in self.log[-1]["message"]:
                self._started.set()
        self._started.set()

    def post(self, path: str, *photographs: bytes, **settings: Any):
        """Sends photographs as a form."""
        name = "photographs" if path.startswith("/predict/batch") else "photograph"
        files = [(name, ("a.jpg", one)) for one in photographs]
        return requests.post(self.address + path, files=files, timeout=60, **settings)

    def get(self, path: str, **settings: Any):
        """Asks."""
        return requests.get(self.address + path, timeout=60, **settings)

    def metrics(self) -> dict[str, float]:
        """`name{label="value"}` -> value."""
        lines = self.get("/metrics").text.splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def connect(self) -> socket.socket:
        """A connection on which anything can be sent."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def join(self) -> int:
        """Waits for its end; returns its exit status."""
        status = self.process.wait(60)
        self._reader.join()
        return status


@contextlib.contextmanager
def serve(
    exported: pathlib.Path,
    settings: Mapping[str, Any] | None = None,
    command: tuple[str, ...] = (sys.executable, "-m", "serving.api"),
    folder: pathlib.Path = ROOT,
) -> Iterator[Server]:
    """Serves an exported model on a free port.

    Args:
        exported: Its folder.
        settings: Such as `{"most_waiting": 2}`.
        command: What starts it.
        folder: Where it is started.
    """
    chosen = {"model": exported, "port": 0, "allow_drawings": True} | (settings or {})
    environment = {
        f"RETINOGRAD_API_{name.upper()}": str(value) for name, value in chosen.items()
    }
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Server(process)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
