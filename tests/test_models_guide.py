"""What docs/models.md says about one's own models works as it stands there."""

import json
import pathlib
import re
import sys

import gin
import keras
import numpy as np
import pytest

from models import freezing
from tests.evaluation import trained_runs

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


SHORT = """
train.epochs = 1
phase.epochs = 1
evaluate.resamples = 100
evaluate.operating_point = @youden()
explain.methods = [@grad_cam()]
explain.photographs = 1
explain.resamples = 100
export.formats = ()
"""


def test_a_users_own_model_and_backbone_train_load_export_and_explain(
    beside, prepared_dir, idrid_like
):
    for number, lines in enumerate(GIN):
        own = beside / f"own{number}.gin"
        own.write_text(f"include '{TINY}'\n{lines}{SHORT}")
        run_dir = beside / f"run{number}"
        for mode in ("run", "export", "explain"):
            trained_runs.start(
                mode,
                run_dir,
                gin_file=own,
                data_dirs={"": idrid_like},
                prepared_dir=prepared_dir,
            )
            gin.clear_config()
        model = keras.models.load_model(run_dir / "model.keras", compile=False)
        image = np.full((1, 64, 64, 3), 100.0, np.float32)
        logits = model(image).numpy()
        assert np.isfinite(logits).all()
        folder = run_dir / "export" / "default"
        import openvino  # Behind `serving`, which keeps it from telling of itself.

        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        read = openvino.Core().compile_model(folder / "float32.xml", "CPU", exact)
        served = read(image)
        np.testing.assert_allclose(served["logits"], logits, atol=1e-4)
        assert served["heatmaps"].shape[:2] == (1, 2)
        scores = json.loads((run_dir / "explanations" / "scores.json").read_text())
        assert scores["settings"]["methods"] == ["GradCam(layer='feature_map')"]
        assert list((run_dir / "explanations").glob("**/*.png"))
        freezing.freeze(model, "feature_map")
        assert len(model.trainable_variables) == 2
