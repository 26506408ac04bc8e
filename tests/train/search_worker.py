"""A worker of a search as a process of its own, whose trials take a blink.

    python -m tests.train.search_worker <URL> <folder> <trials> [endless]

It appends a line to `<folder>.log` when a trial begins, and one when it is done. With
"endless" its first trial never ends.
"""

import pathlib
import sys
import time

from tests.train import drawn_study
from train import database, study, workers

study.HEARTBEAT_SECONDS, study.GRACE_SECONDS = 1, 8
workers.WAIT_SECONDS = database.RETRY_SECONDS = 0.1


def main(url: str, folder: pathlib.Path, trials: int, endless: bool) -> None:
    """Works until no trial is left."""
    log = folder.with_suffix(".log")

    def run(attempt, watch, worker):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"begin {attempt.number}\n")
        for _ in range(10**9 if endless else 3):
            watch()
            time.sleep(0.1)
        value = float(attempt.number)
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"done {attempt.number}\n")
        return value, {"auc": {"value": value}}, [value]

    shared = drawn_study.make(folder, trials, url)
    workers.Crew(shared, run, 1).work()


if __name__ == "__main__":
    main(
        sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), "endless" in sys.argv
    )
