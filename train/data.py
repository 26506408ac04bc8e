"""The photographs of an experiment: listed, planned, prepared, audited."""

import collections
import pathlib
from collections.abc import Mapping
from typing import Any

from input_pipeline import audit, photograph, prepare, records
from train import commands
from train import plan as plans
from train import recipe as recipes


def photographs(
    preparation: prepare.Preparation, where: commands.Where
) -> list[photograph.Photograph]:
    """All photographs with their labels, none of them opened."""
    data_dirs = preparation.name_folders(where.data_dirs)
    return plans.photographs(preparation, data_dirs, where.prepared_dir)


def folders(
    preparation: prepare.Preparation, where: commands.Where
) -> list[pathlib.Path]:
    """The prepared folder of each dataset, there or not yet."""
    data_dirs = preparation.name_folders(where.data_dirs)
    read = preparation.read(data_dirs)
    return [
        preparation.place(
            one, where.prepared_dir, read.get(one.name), data_dirs.get(one.name)
        )
        for one in preparation.datasets
    ]


def states(
    preparation: prepare.Preparation, where: commands.Where
) -> dict[str, str | None]:
    """The state of each set of one's own whose folder is named.

    Returns:
        Dataset's name -> fingerprint of the records that are of its photographs and
        labels as they are now, None where only others are prepared; without those of
        which nothing is prepared, or that are published.
    """
    data_dirs, found = preparation.name_folders(where.data_dirs), {}
    for one, folder in zip(
        preparation.datasets, folders(preparation, where), strict=True
    ):
        own = one.own and one.name in data_dirs
        if own and preparation.folders(one, where.prepared_dir):
            there = is_prepared(folder)
            found[one.name] = records.Prepared(folder).fingerprint if there else None
    return found


def is_prepared(folder: pathlib.Path) -> bool:
    """Whether a prepared folder is there, whole."""
    return (folder / records.MANIFEST).exists()


def plan(preparation: prepare.Preparation, where: commands.Where) -> str:
    """A line a dataset; raises if its folder is not as published."""
    data_dirs = preparation.name_folders(where.data_dirs)
    counts = collections.Counter(one.origin for one in photographs(preparation, where))
    lines = []
    for one, folder in zip(
        preparation.datasets, folders(preparation, where), strict=True
    ):
        what = f"Photographs: {counts[one.name]} of {one.name}"
        if is_prepared(folder):
            lines.append(f"{what}, prepared already in {folder}.")
        else:
            lines.append(f"{what}, {data_dirs[one.name]} -> {folder}.")
    return "\n".join(lines)


def audited(
    preparation: prepare.Preparation, auditor: audit.Auditor, where: commands.Where
) -> audit.Audit:
    """Prepares what is missing, and audits it unless that was done."""
    data_dirs = preparation.name_folders(where.data_dirs)
    collection = preparation.run(data_dirs, where.prepared_dir)
    return auditor.run(collection, where.prepared_dir)


def names(audited: audit.Audit, where: commands.Where) -> dict[str, Any]:
    """By what `opened` finds on another machine what is audited here, JSON-ready."""
    root = where.prepared_dir
    folders = [one.folder for one in audited.collection.folders]
    return {
        "prepared": [str(one.relative_to(root)) for one in folders],
        "audit": str(audited.folder.relative_to(root)),
    }


def opened(names: Mapping[str, Any], where: commands.Where) -> audit.Audit:
    """Opens what another worker prepared and audited; writes nothing.

    Args:
        names: As the function `names` tells them.
        where: Where this worker looks.

    Raises:
        FileNotFoundError: It is not there.
    """
    root = where.prepared_dir
    folders = [root / one for one in names["prepared"]]
    for one in (*folders, root / names["audit"]):
        if not one.exists():
            raise FileNotFoundError(
                f"{one} does not exist on this worker, but the chief has it. Name with "
                "--prepared_dir a folder that all workers share."
            )
    collection = records.Collection([records.Prepared(one) for one in folders])
    return audit.Audit(collection, root / names["audit"])


def describe(
    recipe: recipes.Recipe, preparation: prepare.Preparation, audited: audit.Audit
) -> dict:
    """What travels with a model: what it was trained for, on which photographs."""
    return {
        "task": recipe.task.description(),
        "output": recipe.output.name,
        "datasets": [one.name for one in preparation.datasets],
        "preparation": preparation.settings,
        "data_fingerprint": audited.collection.fingerprint,
    }
