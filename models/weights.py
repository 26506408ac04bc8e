"""Gives a backbone the weights of a local file, or says which layers differ."""

import contextlib
import io
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import h5py
import keras
import numpy as np

from models import flatten


class Stored(NamedTuple):
    """What a file holds.

    Attributes:
        layers: Name of each layer that has weights -> them, in Keras' order.
        named: Whether the names are sure to be those of the layers. Where they are
            not, layers are told by their order, as Keras itself does.
    """

    layers: dict[str, list[np.ndarray]]
    named: bool


def load(
    backbone: keras.Model,
    path: str | os.PathLike,
    *,
    partial: bool = False,
    ignore: Sequence[str] = (),
) -> list[str]:
    """Gives layers the weights that a file has for them.

    Args:
        backbone: The model.
        path: A file of Keras: `.weights.h5`, `.keras`, or `.h5` as of
            keras.applications.
        partial: Whether layers may stay as they are because the file lacks them, and
            the file may have layers that the model lacks. What both have must fit.
        ignore: Names of layers that the file may always have.

    Returns:
        Names of the layers that stayed as they were.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, or does not fit. Says which layers differ.
    """
    path = pathlib.Path(path)
    stored, named = read(path)
    names = flatten.stable_names(backbone)
    ours = {names[id(one)]: one for one in flatten.leaves(backbone) if one.weights}
    missing = [name for name in ours if name not in stored]
    unused = [name for name in stored if name not in ours and name not in ignore]
    differing = {
        name: (_shapes(layer.weights), _shapes(stored[name]))
        for name, layer in ours.items()
        if name in stored and _shapes(layer.weights) != _shapes(stored[name])
    }
    if differing or ((missing or unused) and not partial) or len(missing) == len(ours):
        if not named and not partial and _load_in_order(backbone, path):
            return []
        raise ValueError(_misfit(path, backbone, differing, missing, unused, partial))
    for name in ours.keys() - set(missing):
        ours[name].set_weights(stored[name])
        if isinstance(ours[name], keras.layers.Normalization):
            ours[name].finalize_state()  # Else it goes on with its old statistics.
    return missing


def read(path: pathlib.Path) -> Stored:
    """Reads the weights of a file of Keras.

    Args:
        path: As of `load`.

    Returns:
        Its layers, those of models within the model included.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of weights {path.absolute()}.")
    try:
        with _open(path) as file:
            stored = _read(file)
            reason = "it holds no layers with weights"
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        stored, reason = Stored({}, named=True), str(error)
    if not stored.layers:
        raise ValueError(
            f"{path} cannot be read: {reason}. Expected: a file of Keras, .weights.h5, "
            ".h5 or .keras."
        )
    return stored


@contextlib.contextmanager
def _open(path: pathlib.Path) -> Iterator[h5py.File]:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content, "r") as file:
            yield file
    else:
        with h5py.File(path, "r") as file:
            yield file


def _read(file: h5py.File) -> Stored:
    legacy = file.get("model_weights", file)
    if _texts(legacy, "layer_names"):
        layers = {}
        for name in _texts(legacy, "layer_names"):
            group = legacy[name]
            arrays = [group[one][()] for one in _texts(group, "weight_names")]
            if arrays:
                layers[name] = arrays
        return Stored(layers, named=False)  # Names of layers have changed since.
    groups = list(_groups(file))
    return Stored(
        {
            vars_.attrs.get("name", key): [vars_[f"{i}"][()] for i in range(len(vars_))]
            for key, vars_ in groups
        },
        named=all("name" in vars_.attrs for _, vars_ in groups),
    )


def _groups(group: h5py.Group) -> Iterator[tuple[str, h5py.Group]]:
    """Groups of arrays, which Keras numbers by the class of their layer."""
    for key, inner in group.get("layers", {}).items():
        if len(inner.get("vars", ())):
            yield key, inner["vars"]
        yield from _groups(inner)


def _texts(group: h5py.Group, name: str) -> list[str]:
    """A list of texts, which HDF5 takes only in pieces if it is long."""
    pieces = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(pieces)}" in group.attrs:
        pieces.append(group.attrs[f"{name}{len(pieces)}"])
    return [
        one.decode() if isinstance(one, bytes) else str(one)
        for piece in pieces
        for one in piece
    ]


def _load_in_order(backbone: keras.Model, path: pathlib.Path) -> bool:
    """Lets Keras load a file that does not say which layers it means."""
    try:
        backbone.load_weights(path)
    except (ValueError, KeyError, OSError):
        return False
    return True


def _shapes(arrays: Iterable) -> list[tuple[int, ...]]:
    return [tuple(one.shape) for one in arrays]


def _misfit(path, backbone, differing, missing, unused, partial: bool) -> str:
    """Says which layers differ, and what helps."""
    differences = [
        f"{name} (the model's {ours}, the file's {theirs})"
        for name, (ours, theirs) in differing.items()
    ]
    lines = [f"{path} does not fit {backbone.name}."]
    if differences:
        lines.append(f"Of another shape: {listed(differences, 4)}.")
    if missing:
        lines.append(f"Only in the model: {listed(missing)}.")
    if unused:
        lines.append(f"Only in the file: {listed(unused)}.")
    if differing or partial:
        lines.append("Name the backbone, and its width, that the file was made with.")
    else:
        lines.append(
            "To load what both have and leave the rest random: pretrained.partial = "
            "True"
        )
    return "\n".join(lines)


def listed(names: Sequence[str], limit: int = 12) -> str:
    """The first few of a list, as text."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
