import shutil

import numpy as np
import pytest

from evaluation import assessment, facts, predictions
from input_pipeline import tasks, whole_files
from tests.evaluation import trained_runs


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory, prepared, prepared_dir, idrid_like):
    """A trained run of the drawn photographs that is not evaluated; do not change."""
    folder = tmp_path_factory.mktemp("trained") / "tiny"
    trained_runs.start(
        "train",
        folder,
        gin_file=trained_runs.write_gin(folder.parent),
        data_dirs={"": idrid_like},
        prepared_dir=prepared_dir,
    )
    return folder


@pytest.fixture(scope="module")
def own_prepared_dir(tmp_path_factory, audited, prepared_dir):
    """The prepared photographs, to which a module may add those of other datasets."""
    folder = tmp_path_factory.mktemp("prepared") / "of_all"
    return shutil.copytree(prepared_dir, folder)


@pytest.fixture
def made_up(tmp_path):
    """Facts of made-up predictions: `made_up(labels, disease_probability, ...)`."""

    def make(
        labels,
        disease=None,
        *,
        task=None,
        probabilities=None,
        split="test",
        threshold=0.5,
        rule="fixed",
        promised=(None, None),
        known=None,
        metadata=None,
        note=None,
        **changes,
    ):
        task, labels = task or tasks.referable(), np.array(labels)
        n = len(labels)
        if probabilities is None:
            probabilities = np.stack([1 - np.array(disease), disease], axis=1)
        probabilities = np.array(probabilities, float)
        usual = dict.fromkeys(predictions.KNOWN, [""] * n) | {"dataset": ["far"] * n}
        said = predictions.Predictions(
            split=split,
            ids=[f"far/{split}/{number}" for number in range(n)],
            labels=labels,
            probabilities=probabilities,
            uncalibrated=probabilities,
            logits=np.zeros((n, 0), np.float32),
            metadata=metadata,
            known=usual | (known or {}),
        )
        predictions.write_csv(tmp_path / "predictions.csv", [said], task.class_names)
        settings = assessment.Settings(task.disease_classes, threshold, None, 100, 0)
        content = {
            "task": task.description(),
            "evaluation": {"prevalence": None, "resamples": 100, "seed": 0},
            "decision": {
                "calibration": None,
                "operating_point": {
                    "rule": rule,
                    "threshold": threshold,
                    "sensitivity": promised[0],
                    "specificity": promised[1],
                    "n_diseased": 10,
                    "n_healthy": 10,
                },
                "chosen_on": "20 validation photographs",
                "note": note,
            },
            "results": assessment.assess([said], settings),
        }
        for name, value in changes.items():
            content[name] = value
        whole_files.write_json(tmp_path / "metrics.json", content)
        return facts.read(tmp_path)

    return make
