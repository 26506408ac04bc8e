import functools

import pytest

from tests.evaluation import trained_runs

TINY = """
include 'synthetic_resnet_v2.gin'

idrid.name = 'drawn'
prepare.image_size = 64
resnet_v2.widths = (4,)
resnet_v2.depths = (1,)
resnet_v2.stem_width = 4
train.epochs = 2
train.checkpoint_every_epochs = 1
evaluate.resamples = 100
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A gin file whose training takes seconds."""
    file = tmp_path_factory.mktemp("gin") / "tiny.gin"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="session")
def start(tiny, prepared, prepared_dir, idrid_like):
    """Does what a command does: `start("run", folder, "train.seed = 3", ...)`."""

    return functools.partial(
        trained_runs.start,
        gin_file=tiny,
        data_dirs={"": idrid_like},
        prepared_dir=prepared_dir,
    )
