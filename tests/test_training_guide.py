"""The experiment of docs/training.md is whole, and says what the guide says of it."""

import pathlib
import re

import gin
import keras

from configs import loader, registry  # noqa: F401
from train import experiment, phases

GUIDE = pathlib.Path(__file__).parents[1] / "docs" / "training.md"


def test_the_experiment_with_phases_stands_alone(tmp_path):
    section = GUIDE.read_text().partition("## Phases\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"```\n(include .*?)```", section, re.DOTALL)
    (tmp_path / "phases.gin").write_text(text)
    loader.load([str(tmp_path / "phases.gin")], [], experiment.MODES["run"][1])
    head = gin.get_configurable(phases.Phase)()
    assert (head.epochs, head.trains) == (5, "head")
    optimizer = head.optimizer()
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert float(optimizer.learning_rate) == float(keras.ops.cast(1e-3, "float32"))
