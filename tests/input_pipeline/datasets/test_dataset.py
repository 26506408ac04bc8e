import pathlib

import pytest

from input_pipeline.datasets import dataset


def test_a_folder_is_described_two_levels_deep(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(6):
        (tmp_path / "images" / f"{number}.jpg").touch()
    (tmp_path / "none").mkdir()
    (tmp_path / "labels.csv").touch()
    assert dataset.describe_folder(tmp_path).splitlines() == [
        f"{tmp_path}/",
        "  images/  (6 entries: 0.jpg, 1.jpg, 2.jpg, 3.jpg, ...)",
        "  labels.csv",
        "  none/  (empty)",
    ]


def test_of_many_entries_the_first_are_shown(tmp_path):
    for number in range(15):
        (tmp_path / f"{number:02d}.jpg").touch()
    lines = dataset.describe_folder(tmp_path).splitlines()
    assert lines[-2:] == ["  11.jpg", "  ... and 3 more"]


def test_an_empty_folder_is_called_empty(tmp_path):
    assert dataset.describe_folder(tmp_path) == f"{tmp_path}/\n  (empty)"


def test_of_a_missing_folder_the_nearest_that_exists_is_named(tmp_path, monkeypatch):
    missing = tmp_path / "a" / "b"
    assert dataset.describe_folder(missing) == (
        f"{missing} does not exist; {tmp_path} does."
    )
    monkeypatch.chdir(tmp_path)
    assert dataset.describe_folder(pathlib.Path("a")) == "a does not exist; . does."


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "labels.csv"
    path.touch()
    assert dataset.describe_folder(path) == f"{path} is a file, not a folder."


def test_a_layout_error_shows_what_was_expected_and_what_was_found(tmp_path):
    (tmp_path / "b.txt").touch()
    error = dataset.layout_error("It lacks a.txt.", "\na.txt\n  c.txt\n", tmp_path)
    with pytest.raises(ValueError, match=r"^It lacks a\.txt\.") as raised:
        raise error
    assert str(raised.value).splitlines()[1:] == [
        f"Expected in {tmp_path}:",
        "  a.txt",
        "    c.txt",
        "Found:",
        f"  {tmp_path}/",
        "    b.txt",
    ]
