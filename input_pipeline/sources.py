"""The folders that photographs come from, listed with their labels; none is opened.

Imports no TensorFlow, so that a slip in a folder shows at once.
"""

import collections
import pathlib
from collections.abc import Mapping, Sequence

from input_pipeline import photograph
from input_pipeline.datasets import dataset as datasets


class NotPreparedError(ValueError):
    """Photographs are not prepared, and nobody says where the originals are."""


def name_folders(
    names: Sequence[str], given: Mapping[str, pathlib.Path]
) -> dict[str, pathlib.Path]:
    """Which folder is which dataset's.

    Args:
        names: Those of all datasets of an experiment.
        given: Dataset's name -> its folder; a single dataset's may be named "".

    Returns:
        Dataset's name -> its folder, for those that were given.

    Raises:
        ValueError: A name is of no dataset, or missing where there are several.
    """
    flags = " ".join(f"--data_dir={name}=<folder>" for name in names)
    if "" in given and len(names) > 1:
        raise ValueError(
            f"The experiment has {len(names)} datasets, so each folder needs the "
            f"name of its own: {flags}. Received: --data_dir={given['']}."
        )
    for name in given:
        if name and name not in names:
            raise ValueError(
                f"The experiment has no dataset {name!r}. Expected: {flags}. "
                f"Received: --data_dir={name}={given[name]}."
            )
    if "" in given:
        return {names[0]: given[""]}
    return dict(given)


def not_prepared(
    missing: Sequence[str], several: bool, prepared_dir: pathlib.Path
) -> NotPreparedError:
    """The error that says what to name, and where to get it.

    Args:
        missing: Names of datasets.
        several: Whether the experiment has more than one.
        prepared_dir: Where prepared folders were looked for.

    Returns:
        The error, to be raised.
    """
    flags = " ".join(
        f"--data_dir={f'{name}=' if several else ''}<folder>" for name in missing
    )
    return NotPreparedError(
        f"{prepared_dir} holds no photographs of {', '.join(map(repr, missing))} that "
        f"are prepared as this config asks. Name the folder of the originals, {flags}, "
        "or with --prepared_dir the one that holds them prepared. docs/data.md tells "
        "where to get a dataset and how its folder looks."
    )


def read(
    wanted: Sequence[datasets.Dataset], data_dirs: Mapping[str, pathlib.Path]
) -> dict[str, list[photograph.Photograph]]:
    """Lists photographs with their labels.

    Args:
        wanted: The datasets of an experiment.
        data_dirs: Dataset's name -> its folder, for some or all of them.

    Returns:
        Dataset's name -> its photographs.

    Raises:
        ValueError: A folder is not laid out as published.
    """
    found = {}
    for one in wanted:
        if one.name in data_dirs:
            found[one.name] = one.read(data_dirs[one.name])
            _check_ids(found[one.name], one.name)
    return found


def _check_ids(photographs: Sequence[photograph.Photograph], name: str) -> None:
    """Raises if two photographs share an id, so that one would hide the other."""
    if not photographs:
        raise ValueError(f"The dataset {name!r} lists no photograph.")
    counts = collections.Counter(one.id for one in photographs)
    shared = [one for one in photographs if counts[one.id] > 1]
    if shared:
        paths = ", ".join(str(one.path) for one in shared if one.id == shared[0].id)
        raise ValueError(
            f"Each photograph needs an id of its own. Received: {shared[0].id!r} for "
            f"{paths}. Correct the dataset's reader."
        )
    for one in photographs:
        if one.origin != name:
            raise ValueError(
                f"Ids of the dataset {name!r} must begin with '{name}/'. "
                f"Received: {one.id!r}. Correct the dataset's reader."
            )
