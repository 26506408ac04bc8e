import errno
import os
import pathlib

import numpy as np
import pytest

from input_pipeline import kept_arrays

ARRAYS = {
    "maps": np.random.default_rng(0).random((2, 30, 40), np.float32),
    "facts": np.array('{"a": 1}'),
    "seconds": np.array(2.5),
}


def test_what_was_kept_is_read_bit_for_bit(tmp_path):
    file = tmp_path / "new" / "some.npz"
    assert kept_arrays.load(file, ARRAYS) is None
    kept_arrays.save(file, ARRAYS)
    found = kept_arrays.load(file, ARRAYS)
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])
    assert list(file.parent.iterdir()) == [file]
    assert kept_arrays.load(file, ["maps", "others"]) is None


def test_no_damage_anywhere_in_a_file_is_taken_for_its_content(tmp_path):
    file = tmp_path / "some.npz"
    arrays = ARRAYS | {"maps": ARRAYS["maps"][:, :3, :4]}
    kept_arrays.save(file, arrays)
    whole = file.read_bytes()
    refused = 0
    for place in range(len(whole)):
        file.write_bytes(whole[:place])
        assert kept_arrays.load(file, arrays) is None
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(bytes(damaged))
        found = kept_arrays.load(file, arrays)
        refused += found is None
        for name, array in (found or {}).items():
            np.testing.assert_array_equal(array, arrays[name])
    assert refused > len(whole) / 2


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*some\.npz"):
        kept_arrays.save(tmp_path / "some.npz", ARRAYS)
    assert not list(tmp_path.iterdir())
