import sys

import pytest

from input_pipeline import dataset_titles
from train import first_look

_NAMED_BY_USERS = ("class_folders", "csv_file")
PUBLISHED = [
    reader for name, reader in first_look.READERS.items() if name not in _NAMED_BY_USERS
]


@pytest.mark.parametrize("reader", PUBLISHED)
def test_what_was_published_is_called_as_its_publisher_calls_it(reader):
    name = reader().name
    title = dataset_titles.title(name)
    assert title != name
    assert title.lower().replace("-", "").replace(" ", "").startswith(name[:5])


def test_there_is_no_title_without_a_dataset():
    assert dataset_titles.TITLES.keys() == {reader().name for reader in PUBLISHED}


def test_whoever_is_to_be_named_for_a_dataset_is():
    assert dataset_titles.SOURCES.keys() == dataset_titles.TITLES.keys()
    for reader in PUBLISHED:
        name = reader().name
        source = dataset_titles.SOURCES[name]
        # The readers cite their papers in prose of their own.
        cited = " ".join(sys.modules[reader.__module__].__doc__.split())
        assert source.split()[0].strip(",") in cited
        for licence in ("CC BY 4.0", "CC BY-SA 4.0", "education only", "rules"):
            assert (licence in source) == (licence in cited), name


def test_what_somebody_named_keeps_its_name():
    assert dataset_titles.title("our clinic") == "our clinic"
