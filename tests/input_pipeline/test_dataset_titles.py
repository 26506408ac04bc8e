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


def test_what_somebody_named_keeps_its_name():
    assert dataset_titles.title("our clinic") == "our clinic"
