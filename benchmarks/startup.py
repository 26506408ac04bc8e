"""Start-up: how long a person waits for help or for a mistake on the command line.

    python benchmarks/startup.py

Each is a whole process, against `python -c pass`. Importing TensorFlow would take
seconds, so what can be said without it is said before.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
ROUNDS = 5


def main() -> None:
    """Prints a table."""
    with tempfile.NamedTemporaryFile("w", suffix=".gin") as broken:
        broken.write("train.epochs = (1,\n")
        broken.flush()
        program = [sys.executable, str(ROOT / "main.py")]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "--help": [*program, "--help"],
            "a wrong flag": [*program, "--gin_flie=x"],
            "a missing gin file": [*program, "--gin_file=missing.gin"],
            "a gin syntax error": [*program, f"--gin_file={broken.name}"],
            "a wrong data folder": [
                *[*program, "--gin_file=idrid_resnet_v2.gin", f"--data_dir={ROOT}"]
            ],
            "no data folder": [
                *[*program, "--gin_file=idrid_resnet_v2.gin", "--prepared_dir=none"]
            ],
            "import tensorflow": [sys.executable, "-c", "import tensorflow"],
        }
        print(f"{'':20} {'median':>8}")
        for name, command in commands.items():
            print(f"{name:20} {median_seconds(command):6.2f} s")


def median_seconds(command: list[str]) -> float:
    """Median wall time of whole processes."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=False)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
