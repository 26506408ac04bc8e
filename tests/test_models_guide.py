"""What docs/models.md says about one's own models works as it stands there."""

import pathlib
import re
import sys

import gin
import keras
import numpy as np
import pytest

from configs import loader, registry  # noqa: F401
from models import freezing
from train import experiment

ROOT = pathlib.Path(__file__).parents[1]
TINY = ROOT / "tests" / "train" / "tiny.gin"
GUIDE = (ROOT / "docs" / "models.md").read_text().partition("## Your own")[2]
(MODULE,) = re.findall(r"```python\n# my_models\.py\n(.*?)```", GUIDE, re.DOTALL)
GIN = re.findall(r"```\n(import my_models\n.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A current folder with the guide's module in it."""
    (tmp_path / "my_models.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("my_models", None)


def test_the_guide_shows_a_model_and_a_backbone():
    assert [re.search(r"train\.model = @(\w+)", one)[1] for one in GIN] == [
        "plain",
        "pretrained",
    ]


def test_a_users_own_model_and_backbone_train_and_load(
    beside, prepared_dir, idrid_like
):
    for number, lines in enumerate(GIN):
        own = beside / f"own{number}.gin"
        own.write_text(f"include '{TINY}'\n{lines}train.epochs = 1\n")
        mode, entry_points = experiment.MODES["train"]
        bindings = loader.load([str(own)], [], entry_points, experiment.ENTRY_POINTS)
        run_dir = beside / f"run{number}"
        mode(
            experiment.Where(
                data_dirs={"": idrid_like},
                prepared_dir=prepared_dir,
                run_dir=run_dir,
                bindings=experiment.deciding(bindings),
            )
        )
        model = keras.models.load_model(run_dir / "model.keras", compile=False)
        image = np.full((1, 64, 64, 3), 100.0, np.float32)
        assert np.isfinite(model(image)).all()
        freezing.freeze(model, "feature_map")
        assert len(model.trainable_variables) == 2
        gin.clear_config()
