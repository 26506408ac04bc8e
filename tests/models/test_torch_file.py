import collections
import os
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest

from models import torch_file


class FakeTorch:
    """Writes files as torch.save() did before PyTorch 1.6, without PyTorch."""

    def __init__(self, monkeypatch):
        torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

        def _rebuild_tensor_v2():
            pass

        _rebuild_tensor_v2.__module__ = "torch._utils"
        _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
        utils._rebuild_tensor_v2 = self.rebuild = _rebuild_tensor_v2
        torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
        torch.LongStorage = type("LongStorage", (), {"__module__": "torch"})
        self.torch = torch
        monkeypatch.setitem(sys.modules, "torch", torch)
        monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def write(self, path, tensors, rows, heads=None):
        """`tensors`: name -> (row's key, offset, shape, strides)."""

        class Tensor:
            def __init__(self, key, *view):
                self.storage, self.view = Storage(key), view

            def __reduce__(inner):  # noqa: N805
                hooks = collections.OrderedDict()
                return self.rebuild, (inner.storage, *inner.view, False, hooks)

        class Storage:
            def __init__(self, key):
                self.key = key

        class Pickler(pickle.Pickler):
            def persistent_id(inner, one):  # noqa: N805
                if not isinstance(one, Storage):
                    return None
                row = rows[one.key]
                kinds = {"f": self.torch.FloatStorage, "i": self.torch.LongStorage}
                kind = kinds[row.dtype.kind]
                return "storage", kind, one.key, "cpu", len(row), None

        with path.open("wb") as file:
            sizes = {"protocol_version": 1001, "little_endian": True}
            for one in heads or (0x1950A86A20F9469CFC6C, 1001, sizes):
                pickle.dump(one, file, protocol=2)
            state = collections.OrderedDict(
                (name, Tensor(*one)) for name, one in tensors.items()
            )
            Pickler(file, protocol=2).dump(state)
            pickle.dump(sorted(rows), file, protocol=2)
            for key in sorted(rows):
                file.write(len(rows[key]).to_bytes(8, "little"))
                file.write(rows[key].tobytes())


@pytest.fixture
def fake_torch(monkeypatch):
    return FakeTorch(monkeypatch)


def test_a_dictionary_of_tensors_is_read(fake_torch, tmp_path):
    path = tmp_path / "weights.pth"
    rows = {
        "10": np.arange(24, dtype="<f4"),
        "20": np.array([7], "<i8"),
    }
    tensors = {
        "whole": ("10", 0, (2, 3, 4), (12, 4, 1)),
        "part": ("10", 5, (2, 2), (4, 1)),
        "transposed": ("10", 0, (4, 6), (1, 4)),
        "scalar": ("20", 0, (), ()),
    }
    fake_torch.write(path, tensors, rows)
    read = torch_file.read(path)
    assert list(read) == list(tensors)
    np.testing.assert_array_equal(read["whole"], np.arange(24).reshape(2, 3, 4))
    np.testing.assert_array_equal(read["part"], [[5, 6], [9, 10]])
    np.testing.assert_array_equal(read["transposed"], np.arange(24).reshape(6, 4).T)
    assert read["scalar"] == 7
    assert read["whole"].dtype == np.float32
    read["whole"][...] = 0  # Of its own: others do not change.
    assert read["part"].tolist() == [[5, 6], [9, 10]]


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("place", range(4))
def test_a_pickle_that_calls_something_is_refused_and_nothing_is_called(
    place, tmp_path
):
    path, target = tmp_path / "hostile.pth", tmp_path / "touched"
    heads = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}]
    heads[place] = Hostile(target)
    path.write_bytes(b"".join(pickle.dumps(one, protocol=2) for one in heads))
    with pytest.raises(ValueError, match=r"it asks for \w+\.system, which is refused"):
        torch_file.read(path)
    assert not target.exists()
    pickle.loads(pickle.dumps(Hostile(target)))  # What pickle itself would have done.
    assert target.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "torch.load", "numpy.core.x"])
def test_names_beside_the_four_are_refused(name, tmp_path):
    module, _, attribute = name.rpartition(".")
    path = tmp_path / "hostile.pth"
    path.write_bytes(f"c{module}\n{attribute}\n(S'1'\ntR.".encode())
    with pytest.raises(ValueError, match=f"it asks for {name}, which is refused"):
        torch_file.read(path)


@pytest.mark.parametrize(
    "view", [(20, (5,), (1,)), (0, (5, 6), (6, 1)), (-1, (2,), (1,)), (0, (3,), (-1,))]
)
def test_a_tensor_that_reaches_out_of_its_storage_is_refused(
    view, fake_torch, tmp_path
):
    path = tmp_path / "weights.pth"
    fake_torch.write(path, {"w": ("1", *view)}, {"1": np.arange(24, dtype="<f4")})
    with pytest.raises(ValueError, match=r"reaches out of its storage\. Expected: a"):
        torch_file.read(path)


def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(fake_torch, tmp_path):
    path = tmp_path / "weights.pth"
    rows = {"1": np.arange(24, dtype="<f4")}
    fake_torch.write(path, {"w": ("1", 0, (24,), (1,))}, rows)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"weights\.pth cannot be read: "):
            torch_file.read(path)


def test_another_format_is_refused(tmp_path, fake_torch):
    path = tmp_path / "weights.pth"
    fake_torch.write(path, {}, {}, heads=(1, 1001, {"little_endian": True}))
    with pytest.raises(ValueError, match=r"it is of another format"):
        torch_file.read(path)
    path.write_bytes(b"PK\3\4")
    with pytest.raises(ValueError, match=r"written by torch\.save\(\) before"):
        torch_file.read(path)
    with pytest.raises(FileNotFoundError):
        torch_file.read(pathlib.Path(tmp_path / "none.pth"))
