import pytest

from input_pipeline import dataset_titles
from input_pipeline.datasets import (
    aptos2019,
    ddr,
    deepdrid,
    eyepacs,
    idrid,
    messidor2,
)

PUBLISHED = (
    aptos2019.aptos2019,
    ddr.ddr,
    deepdrid.deepdrid,
    eyepacs.eyepacs,
    idrid.idrid,
    idrid.idrid_segmentation,
    messidor2.messidor2,
)


@pytest.mark.parametrize("reader", PUBLISHED)
def test_what_was_published_is_called_as_its_publisher_calls_it(reader):
    name = reader().name
    title = dataset_titles.title(name)
    assert title != name
    assert title.lower().replace("-", "").replace(" ", "").startswith(name[:5])


def test_there_is_no_title_without_a_dataset():
    assert dataset_titles.TITLES.keys() == {reader().name for reader in PUBLISHED}


def test_what_somebody_named_keeps_its_name():
    assert dataset_titles.title("our clinic") == "our clinic"
