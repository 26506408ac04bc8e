import json
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed")

from configs import loader, registry  # noqa: F401
from train import experiment

ROOT = pathlib.Path(__file__).parents[2]
GIN = f"""
include '{ROOT}/tests/train/tiny.gin'
train.first_phases = ()
train.epochs = 2
train.callbacks = []
tune.space = {{'Adam.learning_rate': [1e-3, 1e30]}}
tune.workers = 2
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory, idrid_like, prepared_dir, prepared):
    """The folder of a whole search by the command line, and what it said."""
    folder = tmp_path_factory.mktemp("tune")
    (folder / "tiny_search.gin").write_text(GIN)
    child = subprocess.run(
        [
            sys.executable,
            str(ROOT / "main.py"),
            "--mode=tune",
            f"--gin_file={folder / 'tiny_search.gin'}",
            f"--data_dir={idrid_like}",
            f"--prepared_dir={prepared_dir}",
        ],
        cwd=folder,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert child.returncode == 0, child.stderr
    return folder / "runs" / "tiny_search", child.stdout, child.stderr


def test_a_trial_that_diverges_fails_alone_and_with_its_reason(searched):
    _, said, log = searched
    rows = [line.split() for line in said.split("\n\n")[0].splitlines()[1:]]
    assert [(row[0], row[-1]) for row in rows] == [("0", "done"), ("1", "failed")]
    assert "Trial 1 failed: The loss or a weight is no longer a finite number" in said
    assert "Trial 0 has the best AUC" in said
    assert "Traceback" not in log


def test_progress_is_shown(searched):
    _, _, log = searched
    assert "Trial 0 begins: Adam.learning_rate = 0.001. Of 2 trials 0 done" in log
    assert "Of 2 trials 1 done, 0 running, 1 failed; best AUC" in log


def test_no_trial_has_read_a_test_photograph(searched):
    folder = searched[0]
    assert not list(folder.glob("trials/*/ledger.jsonl"))
    predictions = (folder / "trials" / "0" / "predictions.csv").read_text()
    assert "/train/" in predictions
    assert "/test/" not in predictions


def test_nothing_was_prepared_again(searched, prepared_dir):
    folder = searched[0]
    assert not list(folder.glob("**/prepared"))
    manifests = list(prepared_dir.glob("drawn-*/manifest.json"))
    assert len(manifests) == 1
    begun = (folder / "experiment.gin").stat().st_mtime
    assert manifests[0].stat().st_mtime < begun


def test_the_winners_file_trains_the_very_weights_of_the_trial(searched):
    folder = searched[0]
    _, entry_points = experiment.MODES["run"]
    bindings = loader.load([str(folder / "best.gin")], [], entry_points)
    stored = json.loads((folder / "trials" / "0" / "bindings.json").read_text())
    assert experiment.deciding(bindings) == stored
    assert stored["Adam.learning_rate"] == "0.001"
    assert stored["train.epochs"] == "2"


def test_nothing_in_a_trials_log_is_tensorflows_own(searched):
    log = (searched[0] / "logs" / "0.log").read_text()
    assert log.startswith("Reusing the prepared photographs")
    assert "cuda" not in log.lower()
