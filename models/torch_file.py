"""Reads arrays from PyTorch's files, with NumPy alone and without running their code.

A file of `torch.save` before version 1.6 is a row of pickles, and a pickle is a
program. This reader knows the four names that a dictionary of tensors needs and refuses
all others, so that no file can call anything.
"""

import collections
import os
import pathlib
import pickle
from typing import Any, NamedTuple

import numpy as np

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001


class _Storage(NamedTuple):
    """A row of numbers, which follow the pickles."""

    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    """A view on a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a dictionary of tensors.

    Args:
        path: A file as `torch.save(model.state_dict(), path)` wrote it before PyTorch
            1.6: no zip archive.

    Returns:
        Name -> array, in the order of the file, in PyTorch's layout: kernels of shape
        `(out, in, height, width)`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a file, is cut short, or holds something else than
            tensors of numbers.
    """
    path = pathlib.Path(path)
    try:
        with path.open("rb") as file:
            heads = [_Unpickler(file).load() for _ in range(3)]
            if heads[:2] != [_MAGIC_NUMBER, _PROTOCOL_VERSION]:
                raise ValueError("it is of another format")
            if heads[2]["little_endian"] is not True:
                raise ValueError("its numbers are big-endian")
            tensors = _Unpickler(file).load()
            if not isinstance(tensors, dict):
                raise ValueError("it holds no dictionary")
            storages = {one.storage.key: one.storage for one in tensors.values()}
            rows = {}
            for key in _Unpickler(file).load():
                rows[key] = _read_storage(file, storages[key])
        return {name: _view(one, rows) for name, one in tensors.items()}
    except FileNotFoundError:
        raise
    except Exception as error:  # A damaged pickle can fail in any way.
        raise ValueError(
            f"{path} cannot be read: {error}. Expected: a dictionary of tensors of "
            "numbers, written by torch.save() before PyTorch 1.6."
        ) from error


class _Unpickler(pickle.Unpickler):
    """Knows what a dictionary of tensors is made of, and refuses all else."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {name}, which is refused")
        return _KNOWN[name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, length, view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or view is not None:
            raise pickle.UnpicklingError(f"{pid!r} is no storage of numbers")
        return _Storage(str(key), dtype, int(length))


def _rebuild_tensor(storage, offset, shape, strides, requires_grad, hooks) -> _Tensor:
    del requires_grad, hooks
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


_KNOWN = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.LongStorage": np.dtype("<i8"),
}
"""Name in the pickle -> what stands for it here."""


def _read_storage(file, storage: _Storage) -> np.ndarray:
    length = int.from_bytes(file.read(8), "little")
    if length != storage.length:
        raise ValueError(f"a storage has {length} numbers, not {storage.length}")
    content = file.read(length * storage.dtype.itemsize)
    return np.frombuffer(content, storage.dtype, length)


def _view(tensor: _Tensor, rows: dict[str, np.ndarray]) -> np.ndarray:
    """A contiguous copy, after a check that the view stays within its storage."""
    shape, strides = tensor.shape, tensor.strides
    row = rows[tensor.storage.key][tensor.offset :]
    steps = [(n - 1) * step for n, step in zip(shape, strides, strict=True)]
    if min((tensor.offset, *shape, *strides), default=0) < 0 or sum(steps) >= len(row):
        raise ValueError(f"a tensor of shape {shape} reaches out of its storage")
    in_bytes = [step * row.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(row, shape, in_bytes).copy()
