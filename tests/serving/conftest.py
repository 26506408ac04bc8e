import json
import os
import pathlib

import pytest

from configs import loader, registry  # noqa: F401
from input_pipeline import prepare
from input_pipeline.datasets import idrid
from serving import agreement
from serving import card as cards
from train import experiment

TINY = """
include 'synthetic_resnet_v2.gin'

idrid.name = 'drawn'
prepare.image_size = 64
resnet_v2.widths = (4, 8)
resnet_v2.depths = (1, 1)
resnet_v2.stem_width = 4
train.epochs = 2
evaluate.resamples = 100
evaluate.operating_point = @youden()
evaluate.test_time_augmentation = @symmetries()
export.formats = [@int8(), @onnx(), @litert(), @saved_model()]
int8.photographs = 16
# Of eight validation photographs one may be at the threshold.
export.least_agreement = 0.5
export.most_auc_loss = 0.5
"""
"""Averaged over views, and at a threshold of its own: what is easily forgotten."""


@pytest.fixture(scope="session", autouse=True)
def _hurried():
    """Nothing is timed for longer than it takes once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "_TIMED_SECONDS", 0.0)
        yield


@pytest.fixture(scope="session")
def start(tmp_path_factory, prepared, prepared_dir, idrid_like):
    """Does what a command does: `start("export", folder, "export.name = 'x'")`."""
    file = tmp_path_factory.mktemp("gin") / "tiny.gin"
    file.write_text(TINY)

    def run(mode, folder, *lines, **where):
        run_mode, entry_points = experiment.MODES[mode]
        bindings = loader.load(
            [str(file)], lines, entry_points, experiment.ENTRY_POINTS
        )
        return run_mode(
            experiment.Where(
                run_dir=folder,
                bindings=experiment.deciding(bindings),
                **{"data_dirs": {"": idrid_like}, "prepared_dir": prepared_dir} | where,
            )
        )

    return run


@pytest.fixture(scope="session")
def exported_run(start, tmp_path_factory) -> tuple[pathlib.Path, str]:
    """A run that is trained, evaluated and exported, and what that said."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    start("run", folder)
    return folder, start("export", folder)


@pytest.fixture(scope="session")
def exported(exported_run) -> pathlib.Path:
    """The exported model, not to be changed."""
    return exported_run[0] / "export" / "default"


@pytest.fixture(scope="session")
def originals(idrid_like) -> dict[str, pathlib.Path]:
    """Id of a drawn photograph -> its file."""
    preparation = prepare.Preparation(
        datasets=[idrid.idrid(name="drawn")], image_size=64
    )
    (photographs,) = preparation.read({"drawn": idrid_like}).values()
    return {one.id: one.path for one in photographs}


@pytest.fixture(scope="session")
def drawing(originals) -> bytes:
    """One drawn photograph, 536 x 356 pixels, as a JPEG file."""
    return originals["drawn/train/IDRiD_001"].read_bytes()


@pytest.fixture
def damaged_card(exported, tmp_path):
    """A copy of the export whose card is changed: `damaged_card(output="tanh")`."""

    def write(**changes):
        for path in exported.iterdir():
            if path.is_file():
                os.link(path, tmp_path / path.name)
        written = json.loads((tmp_path / "card.json").read_text())
        del written["card_sha256"]
        (tmp_path / "card.json").unlink()
        (tmp_path / "card.json").write_text(json.dumps(cards.sealed(written | changes)))
        return tmp_path

    return write
