import json
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gin
import keras
import numpy as np
import pytest

from evaluation import (
    evaluate,
    external,
    networks,
    operating_point,
    recalibration,
)
from input_pipeline import audit, prepare, records, splits, tasks, whole_files
from input_pipeline.datasets import csv_file, idrid
from models import outputs

REAL_IDRID = pathlib.Path(__file__).parents[2] / "shared" / "data" / "idrid"


@pytest.fixture(autouse=True)
def _fresh_state():
    gin.clear_config()
    np.random.seed(0)
    keras.utils.set_random_seed(0)
    yield
    gin.clear_config()


@pytest.fixture(scope="session")
def real_idrid() -> pathlib.Path:
    """The real IDRiD photographs, which only some machines have."""
    if not REAL_IDRID.exists():
        pytest.skip(f"IDRiD's photographs are not in {REAL_IDRID}")
    return REAL_IDRID


@pytest.fixture(scope="session")
def idrid_like(tmp_path_factory) -> pathlib.Path:
    """40 training and 12 test photographs, drawn, in IDRiD's layout."""
    from input_pipeline.datasets import synthetic_idrid

    folder = tmp_path_factory.mktemp("drawn") / "idrid"
    synthetic_idrid.write_idrid(
        folder, train=(14, 2, 14, 6, 4), test=(4, 1, 4, 2, 1), seed=0, width=536
    )
    return folder


@pytest.fixture(scope="session")
def preparation() -> prepare.Preparation:
    return prepare.Preparation(datasets=[idrid.idrid(name="drawn")], image_size=64)


@pytest.fixture(scope="session")
def prepared_dir(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="session")
def prepared(preparation, idrid_like, prepared_dir) -> records.Collection:
    """The drawn photographs, prepared at 64 pixels."""
    return preparation.run({"drawn": idrid_like}, prepared_dir)


@pytest.fixture(scope="session")
def audited(prepared, prepared_dir) -> audit.Audit:
    """The same, audited: there is nothing to find in them."""
    return audit.Auditor().run(prepared, prepared_dir)


@pytest.fixture(scope="session")
def split(audited) -> splits.Split:
    """Fold 0 of 5 of the drawn photographs."""
    return splits.Splitter().split(audited)


@pytest.fixture(scope="session")
def write_run(audited, split):
    """Writes the files of an evaluated run: `write_run(folder, tasks.referable())`."""

    def write(folder, task, splits=("valid", "test"), others=(), **settings):
        inputs = keras.Input((64, 64, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(inputs)
        if "dropout_samples" in settings:
            pooled = keras.layers.Dropout(0.5)(pooled)
        # The mean colour, which an untrained model turns into some probabilities.
        logits = keras.layers.Dense(len(task.class_names))(pooled / 64)
        model = keras.Model(inputs, logits)
        evaluate.Evaluator(splits=splits, resamples=100, **settings).evaluate(
            [networks.Network("drawn", model, split.train)],
            task,
            outputs.Softmax(),
            audited,
            split,
            folder,
            others,
        )
        split.save(folder / "split.json")
        files = {
            "task.json": {
                "task": task.description(),
                "output": "softmax",
                "datasets": ["drawn"],
                "preparation": {"image_size": 64},
                "data_fingerprint": audited.collection.fingerprint,
            },
            "history.json": {
                "epochs": [
                    {
                        "loss": 0.7 / epoch,
                        "val_loss": 0.8 / epoch,
                        "val_auc": 0.5,
                        "epoch_seconds": 6.0,
                    }
                    for epoch in range(1, 21)
                ],
                "monitor": "val_auc",
                "best_epoch": 17,
                "kept": "best",
                "weights_sha256": "ab" * 32,
            },
            "environment.json": [
                {
                    "time": f"2026-01-0{day}T10:00:00+00:00",
                    "command": ["main.py", "--gin_file=my file.gin"],
                    "commit": None,
                    "python": "3.11.7",
                    "devices": ["CPU", "GPU"],
                    "tensorflow": version,
                    "keras": "3.15.1",
                }
                for day, version in ((1, "2.20.0"), (2, "2.21.0"))
            ],
        }
        for name, content in files.items():
            whole_files.write_json(folder / name, content)
        (folder / "config.gin").write_text(
            "# Parameters for train:\ntrain.epochs = 2\n"
        )
        (folder / "operative_config.gin").write_text("train.seed = 0\n")
        reading = {
            "time": "2026-01-02T11:12:13+00:00",
            "mode": "run",
            "split": "test",
            "photographs": 12,
            "weights_sha256": "ab" * 32,
        }
        if "test" in splits:
            (folder / "ledger.jsonl").write_text(json.dumps(reading) + "\n")
        return folder

    return write


@pytest.fixture(scope="session")
def drawn_run(write_run, tmp_path_factory) -> pathlib.Path:
    """An evaluated run of the drawn photographs, not to be changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "drawn_run", tasks.referable())


@pytest.fixture(scope="session")
def drawn_site(tmp_path_factory) -> tuple[pathlib.Path, list]:
    """A folder with both eyes of eight patients, and its rows; one is not graded."""
    from tests.evaluation import drawn_sites

    folder = tmp_path_factory.mktemp("site")
    return folder, drawn_sites.write_site(folder)


@pytest.fixture(scope="session")
def elsewhere(write_run, preparation, prepared, prepared_dir, drawn_site, split):
    """Writes a run that is evaluated on the site too, by its own threshold as well.

    `elsewhere(folder, ("valid", "test"))` returns the photographs, audited.
    """

    def write(folder, splits):
        own = shutil.copytree(prepared_dir, folder / "prepared")
        audited = audit.Auditor().run(preparation.run({}, own), own)
        site = csv_file.csv_file(name="site")
        sampling = recalibration.Recalibration(
            photographs=6,
            rule=operating_point.SensitivityAssured(value=0.5, confidence=0.7),
        )
        others = external.Others(
            [site], (), sampling, preparation, {"site": drawn_site[0]}, own
        )
        read = others.read(tasks.referable(), audited, audit.Auditor(), split, {})
        write_run(
            folder / "run",
            tasks.referable(),
            splits,
            others=read,
            on=[site],
            recalibrate=sampling,
            dropout_samples=3,
        )
        return audited

    return write
