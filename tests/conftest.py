import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gin
import keras
import numpy as np
import pytest

from input_pipeline import audit, prepare, records, splits
from input_pipeline.datasets import idrid

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
