"""A search's overhead: what a trial takes beyond its training.

    python benchmarks/search.py --data_dir=<drawn photographs>

A whole search by the command line, one trial at a time. Of each trial:

- trial: from its start to its end, by the clock.
- epochs: what its training loop took, the tracing of its first step included.
- start: until the first epoch: Python, TensorFlow, the config, the audit, the model.
- end: from the last epoch on: the figures, their intervals, the report.
- between: from the end of the trial before to its start.

Overhead is start, end and between. Beside it, that of the first trial's experiment by
itself, `--mode=run`. Processor seconds count what a busy machine delays.
"""

import csv
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

ROOT = pathlib.Path(__file__).parents[1]

GIN_FILE = flags.DEFINE_string(
    "gin_file", str(ROOT / "configs/synthetic_resnet_v2.gin"), "Experiment."
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the photographs.")
PREPARED_DIR = flags.DEFINE_string("prepared_dir", "prepared", "Prepared photographs.")
TRIALS = flags.DEFINE_integer("trials", 5, "Trials to measure.")
EPOCHS = flags.DEFINE_integer("epochs", 3, "Epochs a trial.")

COLUMNS = ("trial", "start", "epochs", "end", "between", "overhead")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        run_dir = pathlib.Path(folder) / "search"
        before = time.monotonic(), _processor_seconds()
        search(pathlib.Path(folder) / "search.gin", run_dir)
        took, used = time.monotonic() - before[0], _processor_seconds() - before[1]
        rows = measure(run_dir)
        by_itself = alone(run_dir, pathlib.Path(folder) / "run")
    print(
        f"Load of the machine: {os.getloadavg()[1]:.1f} on {os.cpu_count()} processors"
    )
    print(f"{'seconds':8}" + "".join(f"{name:>10}" for name in COLUMNS))
    for number, row in enumerate(rows):
        print(f"{number:<8}" + "".join(f"{row[name]:10.1f}" for name in COLUMNS))
    medians = [statistics.median(row[name] for row in rows) for name in COLUMNS]
    print(f"{'median':8}" + "".join(f"{value:10.1f}" for value in medians))
    print(
        f"The search: {took:.1f} s, {used:.1f} processor seconds, "
        f"{used / len(rows):.1f} a trial with its training."
    )
    print(
        f"A trial by itself, --mode=run: {by_itself:.1f} s of overhead; in the search "
        f"{medians[-1] / by_itself:.2f} of that."
    )


def search(gin_file: pathlib.Path, run_dir: pathlib.Path) -> None:
    """Trains the same trial again and again, by other seeds."""
    gin_file.write_text(
        f"include '{pathlib.Path(GIN_FILE.value).resolve()}'\n"
        f"train.epochs = {EPOCHS.value}\n"
        f"tune.space = {{'train.seed': {list(range(TRIALS.value))}}}\n"
    )
    command = [sys.executable, str(ROOT / "main.py"), "--mode=tune"]
    command += [f"--gin_file={gin_file}", f"--run_dir={run_dir}", *_folders()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def alone(search_dir: pathlib.Path, run_dir: pathlib.Path) -> float:
    """Seconds beyond its epochs of the first trial's experiment by itself."""
    command = [sys.executable, str(ROOT / "main.py"), f"--run_dir={run_dir}"]
    command += [f"--gin_file={search_dir / 'experiment.gin'}"]
    command += ["--gin_bindings=train.seed = 0"]
    command += ["--gin_bindings=evaluate.splits = ('valid',)"]
    command += _folders()
    before = time.monotonic()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.monotonic() - before - _epochs(run_dir)


def measure(run_dir: pathlib.Path) -> list[dict[str, float]]:
    """Seconds of each part of each trial."""
    rows, ended = [], None
    for start, end, folder in times(run_dir):
        epochs = _epochs(folder)
        trained = (folder / "history.json").stat().st_mtime
        row = {
            "trial": end - start,
            "start": trained - epochs - start,
            "epochs": epochs,
            "end": end - trained,
            "between": 0.0 if ended is None else start - ended,
        }
        row["overhead"] = row["start"] + row["end"] + row["between"]
        rows.append(row)
        ended = end
    return rows


def times(run_dir: pathlib.Path) -> list[tuple[float, float, pathlib.Path]]:
    """Start, end and directory of each trial."""
    with open(run_dir / "trials.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (float(row["start"]), float(row["end"]), run_dir / "trials" / row["trial"])
        for row in rows
    ]


def _folders() -> list[str]:
    data = [f"--data_dir={DATA_DIR.value}"] if DATA_DIR.value else []
    return [*data, f"--prepared_dir={PREPARED_DIR.value}"]


def _epochs(run_dir: pathlib.Path) -> float:
    """Seconds of a run's epochs."""
    history = json.loads((run_dir / "history.json").read_text())
    return sum(one["epoch_seconds"] for one in history["epochs"])


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    app.run(main)
