"""Photographs sorted into one folder for each class, as re-uploads often are.

"Diagnosis of Diabetic Retinopathy" (Kaggle, pkdarabi) has `train/DR`, `train/No_DR` and
so on: 2,838 photographs of APTOS 2019, squashed to 224x224 pixels. Others have `val`
for `valid`, or the class folders alone.
"""

import functools
import pathlib
import re
from collections.abc import Iterable, Mapping

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

SPLITS: dict[str, photograph.Split] = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "test": "test",
}

TREE = """
train/<class>/*.jpg
valid/<class>/*.jpg   (or val; may be absent)
test/<class>/*.jpg    (may be absent)
or, without a split,
<class>/*.jpg
"""


@gin.register
def class_folders(
    *,
    name: str = "folders",
    grades: dict[str, int] | None = None,
    any_dr: dict[str, bool] | None = None,
) -> dataset.Dataset:
    """A set whose folders are its labels.

    Nothing is concluded from the order of the classes: alphabetically, `DR` comes
    before `No_DR` and `Mild` before `No_DR` too. Each folder's meaning is written down,
    and a name that says another one (`No_DR` as diseased) is refused. The class is part
    of an id, so that a photograph in two classes stays visible as a conflict.

    Args:
        name: First part of the photographs' ids.
        grades: Class folder -> ICDR grade, 0-4.
        any_dr: Class folder -> whether it shows any retinopathy, where no more is
            known. Either this or `grades`.

    Returns:
        The dataset; it is read from a folder that is laid out as `tree` shows.

    Raises:
        ValueError: The mapping is missing or contradicts the names.
    """
    if (grades is None) == (any_dr is None):
        raise ValueError(
            "`class_folders` must have either `grades` or `any_dr`. Received: "
            f"grades={grades}, any_dr={any_dr}. Say what each folder holds, as in "
            "class_folders.any_dr = {'DR': True, 'No_DR': False}."
        )
    if grades is not None:
        labels = {one: {"grade": grade} for one, grade in grades.items()}
        _check_grades(grades)
    else:
        labels = {one: {"any_dr": diseased} for one, diseased in any_dr.items()}
        _check_any_dr(any_dr)
    read = functools.partial(_read, name=name, labels=labels)
    return dataset.Dataset(
        name, TREE, read, own=True, reader=dataset.gin_name("class_folders")
    )


def _check_grades(grades: Mapping[str, int]) -> None:
    """Raises ValueError unless the mapping is to grades and the names agree."""
    for name, grade in grades.items():
        if type(grade) is not int or grade not in range(len(photograph.GRADES)):
            raise ValueError(
                "`class_folders.grades` must map each folder to an ICDR grade, 0-4. "
                f"Received: {name!r}: {grade!r}."
            )
        if name.lower() == "dr":
            raise ValueError(
                f"`class_folders.grades` maps {name!r} to {grade}, but it says only "
                "that there is retinopathy. Write class_folders.any_dr instead."
            )
        if _said(name) not in (None, grade):
            raise ValueError(
                f"`class_folders.grades` maps {name!r} to {grade}. By its name it is "
                f"{_said(name)}. Correct the mapping, or rename the folder."
            )
    _check_differ("grades", grades)


def _check_any_dr(any_dr: Mapping[str, bool]) -> None:
    """Raises ValueError unless the mapping is to booleans and the names agree."""
    for name, diseased in any_dr.items():
        if type(diseased) is not bool:
            raise ValueError(
                "`class_folders.any_dr` must map each folder to True (retinopathy) or "
                f"False. Received: {name!r}: {diseased!r}."
            )
        if _said_any_dr(name) not in (None, diseased):
            raise ValueError(
                f"`class_folders.any_dr` maps {name!r} to {diseased}. By its name it "
                f"is {not diseased}. Correct the mapping, or rename the folder."
            )
    _check_differ("any_dr", any_dr)


def _check_differ(parameter: str, mapping: Mapping[str, object]) -> None:
    if len(set(mapping.values())) < 2:
        raise ValueError(
            f"`class_folders.{parameter}` must tell classes apart. Received: {mapping}."
        )


def _said(name: str) -> int | None:
    """The grade that a folder's name says, or None where it is silent or unclear."""
    words = [word for word in re.split("[^a-z]+", name.lower()) if word]
    if words and words[0] in ("no", "nodr", "none", "normal", "healthy"):
        return 0
    grades = {
        photograph.GRADES.index(word)
        for word in ("mild", "moderate", "severe")
        if word in words
    }
    proliferative = any(word.startswith("prolif") for word in words)
    if "pdr" in words or (proliferative and "non" not in words):
        grades.add(4)
    return grades.pop() if len(grades) == 1 else None


def _said_any_dr(name: str) -> bool | None:
    """Whether a folder's name says retinopathy, or None where it does not say."""
    if name.lower() == "dr":
        return True
    grade = _said(name)
    return None if grade is None else grade >= 1


def _read(
    data_dir: pathlib.Path, name: str, labels: Mapping[str, Mapping[str, int | bool]]
) -> list[photograph.Photograph]:
    layout = layouts.Layout("This set of class folders", TREE, data_dir)
    if not any(_fits(data_dir / one, labels) for one in (".", *SPLITS)):
        question = layouts.meant(
            data_dir, lambda one: _fits(one, labels) or _fits(one / "train", labels)
        )
        if question:
            raise layout.error(
                f"{data_dir} does not hold the folders of the classes, "
                f"{', '.join(labels)}.{question}"
            )
    folders = _folders(layout, data_dir)
    if SPLITS.keys() & folders.keys():
        _check_splits(layout, folders)
        parts = [(SPLITS[one], _folders(layout, path)) for one, path in folders.items()]
    else:
        parts = [(None, folders)]
    _check_classes(layout, sorted(set().union(*(part for _, part in parts))), labels)
    return [
        photograph.Photograph(
            id="/".join((name, *([split] if split else []), one, stem)),
            path=path,
            split=split,
            **labels[one],
        )
        for split, classes in parts
        for one, folder in classes.items()
        for stem, path in _images(layout, folder).items()
    ]


def _fits(folder: pathlib.Path, classes: Iterable[str]) -> bool:
    """Whether a folder holds one for each class."""
    return all((folder / one).is_dir() for one in classes)


def _images(layout: layouts.Layout, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    deeper = [one.name for one in folder.iterdir() if one.is_dir() and not _junk(one)]
    if deeper:
        raise layout.error(
            f"{folder} must hold photographs and no folder. Received: {deeper[0]}/."
        )
    return layout.images(folder)


def _junk(path: pathlib.Path) -> bool:
    return path.name.startswith((".", "__"))  # as .DS_Store and __MACOSX


def _folders(layout: layouts.Layout, parent: pathlib.Path) -> dict[str, pathlib.Path]:
    """Name -> folder; photographs beside the folders have no class."""
    if not parent.is_dir():
        raise layout.error(f"{layout.title} lacks the folder {parent}.")
    folders, loose = {}, []
    for path in sorted(parent.iterdir()):
        if _junk(path):
            continue
        if path.is_dir():
            folders[path.name] = path
        elif path.suffix.lower() in layouts.IMAGE_SUFFIXES:
            loose.append(path.name)
    if loose:
        raise layout.error(
            f"{parent} holds {len(loose)} photographs beside its folders, {loose[0]} "
            "for one. Each must lie in the folder of its class."
        )
    if not folders:
        raise layout.error(f"{parent} holds no folder.")
    return folders


def _check_splits(layout: layouts.Layout, folders: Mapping[str, pathlib.Path]) -> None:
    splits = [one for one in folders if one in SPLITS]
    others = [one for one in folders if one not in SPLITS]
    if others:
        raise layout.error(
            f"Two layouts are mixed in {layout.data_dir}: folders of a split {splits} "
            f"and others {others}. Remove or move one kind."
        )
    if {"valid", "val"} <= folders.keys():
        raise layout.error(f"{layout.data_dir} has both valid and val. Keep one.")
    if "train" not in folders:
        raise layout.error(
            f"{layout.data_dir} has {splits} but no folder train. For test photographs "
            "only, point --data_dir at the folder that holds the classes."
        )


def _check_classes(
    layout: layouts.Layout, found: list[str], labels: Mapping[str, object]
) -> None:
    """Raises ValueError unless folders and mapping name the same classes."""
    unmapped = [one for one in found if one not in labels]
    absent = [one for one in labels if one not in found]
    if not unmapped and not absent:
        return
    parameter, said = "grades", {one: _said(one) for one in found}
    if None in said.values():
        parameter, said = "any_dr", {one: _said_any_dr(one) for one in found}
    mapping = ", ".join(
        f"{one!r}: {'...' if meaning is None else meaning}"
        for one, meaning in said.items()
    )
    raise layout.error(
        "Each class folder must be mapped, and each mapped class be a folder. Folders "
        f"without a meaning: {unmapped}. Mapped but not there: {absent}. Write "
        f"class_folders.{parameter} = {{{mapping}}}."
    )
