"""What is wrong with data folders, or missing, found before TensorFlow is imported.

The config is checked later, and strictly. Here only what it says plainly of datasets is
taken from it: readers of ours, bound to plain values.
"""

import contextlib
import glob
import pathlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

import gin

from configs import statements
from input_pipeline import sources, whole_files
from input_pipeline.datasets import (
    aptos2019,
    class_folders,
    csv_file,
    dataset,
    ddr,
    deepdrid,
    eyepacs,
    idrid,
    messidor2,
)

READERS = {
    one.__name__: one
    for one in (
        aptos2019.aptos2019,
        class_folders.class_folders,
        csv_file.csv_file,
        ddr.ddr,
        deepdrid.deepdrid,
        eyepacs.eyepacs,
        idrid.idrid,
        idrid.idrid_segmentation,
        messidor2.messidor2,
    )
}
"""Name -> the function that reads a dataset."""


def check(
    parsed: Sequence[statements.Statement], data_dirs: Mapping[str, pathlib.Path]
) -> None:
    """Lists the photographs of the folders that were named.

    Args:
        parsed: A config, as `syntax.parse` returns it.
        data_dirs: Dataset's name -> its folder; "" names that of the only one.

    Raises:
        ValueError: A folder is not laid out as published, or its labels are wrong.
    """
    bindings = [one for one in parsed if isinstance(one, statements.Binding)]
    own = _datasets(bindings, "prepare", "datasets")
    others = _datasets(bindings, "evaluate", "on")
    folders = dict(data_dirs)
    if "" in folders and len(own) == 1:
        folders.setdefault(own[0].name, folders[""])
    sources.read([*own, *others], folders)


def check_at_hand(
    parsed: Sequence[statements.Statement],
    data_dirs: Mapping[str, pathlib.Path],
    prepared_dir: pathlib.Path,
) -> None:
    """Refuses datasets whose folder was forgotten and that nobody prepared.

    What is prepared with other settings is found later, by `Preparation`.

    Args:
        parsed: A config, as `syntax.parse` returns it.
        data_dirs: Dataset's name -> its folder; "" names that of the only one.
        prepared_dir: Where prepared folders lie.

    Raises:
        NotPreparedError: Names all of them.
    """
    if "" in data_dirs:
        return
    bindings = [one for one in parsed if isinstance(one, statements.Binding)]
    own = [one.name for one in _datasets(bindings, "prepare", "datasets")]
    missing = [
        name
        for name in own
        if name not in data_dirs
        and not any(prepared_dir.glob(f"{glob.escape(name)}-*"))
    ]
    if missing:
        raise sources.not_prepared(missing, len(own) > 1, prepared_dir)


@contextlib.contextmanager
def reminding(run_dir: pathlib.Path) -> Iterator[None]:
    """Where photographs are missing in a `with` block, tells how a run found them.

    Args:
        run_dir: Directory of the run, which may not have been begun.

    Raises:
        ValueError: Adds to a `NotPreparedError` the command of the last start that
            named photographs.
    """
    try:
        yield
    except sources.NotPreparedError as error:
        starts = run_dir / "environment.json"
        found = whole_files.read_json(starts) if starts.exists() else []
        for command in (start["command"] for start in reversed(found)):
            if any(re.match("--?(data|prepared)_dir", one) for one in command):
                raise ValueError(
                    f"{error}\n{run_dir} was started with: {shlex.join(command)}"
                ) from error
        raise


def _datasets(
    bindings: Sequence[statements.Binding], name: str, parameter: str
) -> list[dataset.Dataset]:
    """The datasets that a parameter lists, or none where that is not plain."""
    value = _bound(bindings, name, "").get(parameter, ())
    if not isinstance(value, list | tuple):
        return []
    found = []
    for one in value:
        if not isinstance(one, statements.Reference) or not one.called:
            return []
        reader = READERS.get(_last(one.name))
        settings = _bound(bindings, one.name, one.scope)
        if reader is None or statements.references(list(settings.values())):
            return []
        try:
            with gin.config_scope(one.scope or None):
                found.append(reader(**settings))
        except (TypeError, ValueError):  # The loader says it better, with the line.
            return []
    return found


def _bound(
    bindings: Sequence[statements.Binding], name: str, scope: str
) -> dict[str, object]:
    """Parameter -> value, that of the inmost scope and of these the last."""
    holding = [
        one
        for one in bindings
        if not one.is_macro
        and _last(one.name) == _last(name)
        and (not one.scope or f"{scope}/".startswith(f"{one.scope}/"))
    ]
    holding.sort(key=lambda one: len(one.scope))
    return {one.parameter: one.value for one in holding}


def _last(name: str) -> str:
    """A configurable's name without its modules."""
    return name.rpartition(".")[2]
