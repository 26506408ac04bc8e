"""Load on the API: throughput and latency against the bare OpenVINO loop.

    python benchmarks/serving.py --exported=<run>/export/default --photographs=<folder>

The loop prepares each photograph and runs the model, by as many threads as the API has
and nothing else: no HTTP, no quality check, no answer. The API is asked over loopback
by clients that keep their connections, on the same processors. They run in turns, so
that a machine that slows down does it to all of them.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from serving import folder, predictor

ROOT = pathlib.Path(__file__).parents[1]

EXPORTED = flags.DEFINE_string("exported", None, "Folder of an exported model.")
PHOTOGRAPHS = flags.DEFINE_string("photographs", None, "Folder of photographs.")
VARIANT = flags.DEFINE_string("variant", None, "float32, bfloat16 or int8.")
CLIENTS = flags.DEFINE_multi_integer("clients", [1, 16], "How many ask at once.")
REQUESTS = flags.DEFINE_integer("requests", 160, "Requests a measurement.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Measurements of each kind.")
SOAK = flags.DEFINE_integer("soak", 0, "Requests at the end, to see memory stay flat.")

_BOUNDARY = "between-the-parts"
_HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    paths = folder.find(pathlib.Path(PHOTOGRAPHS.value))[:64]
    photographs = [path.read_bytes() for path in paths]
    photographs = [photographs[n % len(paths)] for n in range(REQUESTS.value)]
    model = predictor.Predictor(
        pathlib.Path(EXPORTED.value),
        variant=VARIANT.value,
        throughput=True,
        allow_drawings=True,
    )
    threads = len(os.sched_getaffinity(0))
    kinds = {"bare loop, 1 thread": [], f"bare loop, {threads} threads": []}
    kinds |= {f"API, {_counted(number)}": [] for number in CLIENTS.value}
    with api() as (process, port):
        print(f"first answer {process.started:.1f} s after the start, ", end="")
        print(f"{_megabytes(process.pid):.0f} MB")
        bare = lambda data: model.infer(model.prepare(data)[0])  # noqa: E731
        for _ in range(ROUNDS.value + 1):
            for number in (1, threads):
                kinds[f"bare loop, {_counted(number, 'thread')}"].append(
                    in_threads(lambda: bare, photographs, number)
                )
            for number in CLIENTS.value:
                kinds[f"API, {_counted(number)}"].append(
                    in_threads(lambda: ask(port), photographs, number)
                )
        print(f"{model.card.name}, {model.variant}, {len(paths)} photographs")
        print(f"{'':24}  photographs/s  median ms    p99 ms  against the loop")
        # The first round is a warm-up. Ratios are those within a round.
        loop = [len(photographs) / one[0] for one in kinds[_loop(threads)]][1:]
        for name, rounds in kinds.items():
            speeds = [len(photographs) / one[0] for one in rounds[1:]]
            waits = sorted(wait for _, some in rounds[1:] for wait in some)
            ratio = statistics.median(a / b for a, b in zip(speeds, loop, strict=True))
            print(
                f"{name:24} {statistics.median(speeds):14.1f} "
                f"{1e3 * statistics.median(waits):10.1f} "
                f"{1e3 * waits[int(0.99 * len(waits))]:9.1f} {ratio:17.2f}"
            )
        if SOAK.value:
            soak(process.pid, port, photographs)


def _counted(number: int, what: str = "client") -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _loop(threads: int) -> str:
    return f"bare loop, {_counted(threads, 'thread')}"


@contextlib.contextmanager
def api() -> Iterator[tuple[subprocess.Popen, int]]:
    """The server, and its port."""
    environment = {
        "RETINOGRAD_API_MODEL": str(pathlib.Path(EXPORTED.value).resolve()),
        "RETINOGRAD_API_VARIANT": VARIANT.value or "",
        "RETINOGRAD_API_ALLOW_DRAWINGS": "true",
        "RETINOGRAD_API_PORT": "0",
    }
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.api"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            message = json.loads(line)["message"]
            if message.startswith("Uvicorn running on"):
                break
        port = int(message.split(":")[-1].split()[0])
        process.started = time.perf_counter() - start
        # It logs every request: somebody must read, or it would stop.
        with concurrent.futures.ThreadPoolExecutor(1) as reader:
            reader.submit(process.stdout.read)
            yield process, port
            process.terminate()
    finally:
        process.kill()
        process.wait()


def in_threads(
    make, photographs: Sequence[bytes], threads: int
) -> tuple[float, list[float]]:
    """Seconds for all, and those of each; every thread makes its own way to ask."""
    parts = [photographs[number::threads] for number in range(threads)]

    def work(part: Sequence[bytes]) -> list[float]:
        once, waits = make(), []
        for data in part:
            start = time.perf_counter()
            once(data)
            waits.append(time.perf_counter() - start)
        return waits

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waits = [wait for some in pool.map(work, parts) for wait in some]
    return time.perf_counter() - start, waits


def ask(port: int):
    """A client with a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def once(data: bytes) -> None:
        head = (
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=photograph; "
            "filename=photograph\r\n\r\n"
        )
        body = b"".join([head.encode(), data, f"\r\n--{_BOUNDARY}--\r\n".encode()])
        connection.request("POST", "/predict?heatmaps=true", body, _HEADERS)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status != 200 or content["answer"] != "prediction":
            raise RuntimeError(f"the API answered {answer.status}: {content}")

    return once


def soak(pid: int, port: int, photographs: Sequence[bytes]) -> None:
    """Prints the server's memory while many requests come."""
    for count in range(0, SOAK.value, max(1000, SOAK.value // 10)):
        print(f"after {count:6} more: {_megabytes(pid):.0f} MB", flush=True)
        some = [photographs[n % len(photographs)] for n in range(SOAK.value // 10)]
        in_threads(lambda: ask(port), some, max(CLIENTS.value))
    print(f"at the end: {_megabytes(pid):.0f} MB")


def _megabytes(pid: int) -> float:
    """Memory that a process has, the share in use."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1e3


if __name__ == "__main__":
    flags.mark_flags_as_required(["exported", "photographs"])
    app.run(main)
