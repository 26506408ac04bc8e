import functools

import pytest

from tests.evaluation import trained_runs


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A gin file whose training takes seconds."""
    folder = tmp_path_factory.mktemp("gin")
    return trained_runs.write_gin(folder, "train.checkpoint_every_epochs = 1")


@pytest.fixture(scope="session")
def start(tiny, prepared, prepared_dir, idrid_like):
    """Does what a command does: `start("run", folder, "train.seed = 3", ...)`."""

    return functools.partial(
        trained_runs.start,
        gin_file=tiny,
        data_dirs={"": idrid_like},
        prepared_dir=prepared_dir,
    )
