"""Load on the API: throughput and latency against the bare OpenVINO loop.

    python benchmarks/serving.py --exported=<run>/export/default --photographs=<folder>

The loop prepares each photograph and runs the model, by as many threads as the API has
and nothing else: no HTTP, no quality check, no answer. The API is asked over loopback
by clients that keep their connections, on the same processors. They run in turns, so
that a machine that slows down does it to all of them.

What a photograph takes is from its file, such as a JPEG of 12 megapixels, to decision
and heat maps at the client; heat maps by occlusion are asked for last. Start-up is from
the process's beginning to its first `/readyz`, the median of `--rounds`; aimed at are 3
seconds and 500 MB. `--soak=10000` compares the memory after the first tenth of so many
requests of 16 clients with that after the last.
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
import urllib.request
from collections.abc import Iterator, Sequence

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from input_pipeline import image_header
from serving import folder, predictor

ROOT = pathlib.Path(__file__).parents[1]

AIM_SECONDS, AIM_MEGABYTES = 3, 500

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
    model = predictor.Predictor(
        pathlib.Path(EXPORTED.value),
        variant=VARIANT.value,
        throughput=True,
        allow_drawings=True,
    )
    every = [path.read_bytes() for path in paths]
    # Those without an answer would cost less.
    answered = [
        one for one in every if isinstance(model.predict(one), predictor.Prediction)
    ]
    photographs = [answered[n % len(answered)] for n in range(REQUESTS.value)]
    threads = len(os.sched_getaffinity(0))
    kinds = {"bare loop, 1 thread": [], f"bare loop, {threads} threads": []}
    kinds |= {f"API, {_counted(number)}": [] for number in CLIENTS.value}
    describe(photographs)
    start_up()
    with api() as (process, port):
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
        print(f"{model.card.name}, {model.variant}, {len(answered)} photographs")
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
        occlusion(port, photographs[:5])
        if SOAK.value:
            soak(process.pid, port, photographs)


def _counted(number: int, what: str = "client") -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _loop(threads: int) -> str:
    return f"bare loop, {_counted(threads, 'thread')}"


def describe(photographs: Sequence[bytes]) -> None:
    """Prints how large the photographs are."""
    headers = [image_header.read(data) for data in photographs]
    pixels = statistics.median(one.width * one.height for one in headers)
    size = statistics.median(map(len, photographs))
    print(f"median photograph: {pixels / 1e6:.1f} megapixels, {size / 1e3:.0f} kB")


def start_up() -> None:
    """Prints how long the server takes until it is ready, and its memory then."""
    seconds, memory = [], []
    for _ in range(ROUNDS.value):
        with api() as (process, _):
            seconds.append(process.started)
            memory.append(_megabytes(process.pid))
    print(
        f"ready after {statistics.median(seconds):.1f} s (aim: {AIM_SECONDS}), with "
        f"{statistics.median(memory):.0f} MB (aim: {AIM_MEGABYTES})"
    )


def occlusion(port: int, photographs: Sequence[bytes]) -> None:
    """Prints how long one client waits for a heat map by occlusion."""
    path = "/explain?method=occlusion&cells=true"
    _, waits = in_threads(lambda: ask(port, path), photographs, 1)
    print(f"heat map by occlusion, 1 client: median {statistics.median(waits):.2f} s")


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
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60):
            process.started = time.perf_counter() - start
        # It logs every request: somebody must read, or it would stop.
        with concurrent.futures.ThreadPoolExecutor(1) as reader:
            reader.submit(process.stdout.read)
            try:
                yield process, port
            finally:  # Or the reader would never come to an end.
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


def ask(port: int, path: str = "/predict?heatmaps=true"):
    """A client with a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def once(data: bytes) -> None:
        head = (
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=photograph; "
            "filename=photograph\r\n\r\n"
        )
        body = b"".join([head.encode(), data, f"\r\n--{_BOUNDARY}--\r\n".encode()])
        connection.request("POST", path, body, _HEADERS)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status != 200 or content.get("answer") == "abstention":
            raise RuntimeError(f"the API answered {answer.status}: {content}")

    return once


def soak(pid: int, port: int, photographs: Sequence[bytes]) -> None:
    """Prints the server's memory while many requests come, in ten parts."""
    some = [photographs[n % len(photographs)] for n in range(max(1, SOAK.value // 10))]
    memory = []
    for part in range(1, 11):
        in_threads(lambda: ask(port), some, max(CLIENTS.value))
        memory.append(_megabytes(pid))
        print(f"after {part * len(some):6} more: {memory[-1]:.0f} MB", flush=True)
    print(f"from the first tenth to the last: {memory[-1] - memory[0]:+.0f} MB")


def _megabytes(pid: int) -> float:
    """Memory that a process has, the share in use."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1e3


if __name__ == "__main__":
    flags.mark_flags_as_required(["exported", "photographs"])
    app.run(main)
