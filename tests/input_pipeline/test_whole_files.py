import errno
import os

import pytest

from input_pipeline import whole_files


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "audit.json"
    whole_files.write_json(path, [1])

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*audit\.json"):
        whole_files.write_json(path, [2])
    assert whole_files.read_json(path) == [1]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[1, 2"])
def test_a_damaged_json_file_is_named(tmp_path, content):
    path = tmp_path / "audit.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"audit\.json is damaged: .* start anew\."):
        whole_files.read_json(path)
