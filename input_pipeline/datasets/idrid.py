"""IDRiD, the Indian Diabetic Retinopathy Image Dataset, as its publisher lays it out.

Porwal et al., "Indian Diabetic Retinopathy Image Dataset (IDRiD)", Data 3(3):25, 2018,
doi:10.3390/data3030025. 516 photographs with grades and 81 with lesion masks, 4288x2848
pixels, CC BY 4.0.
"""

import functools
import pathlib
from typing import Literal

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

GRADING, SEGMENTATION = "B. Disease Grading", "A. Segmentation"
IMAGES = "1. Original Images"
LABELS = "2. Groundtruths"
FOLDERS = {"train": "a. Training Set", "test": "b. Testing Set"}
LABEL_FILES = {
    "train": "a. IDRiD_Disease Grading_Training Labels.csv",
    "test": "b. IDRiD_Disease Grading_Testing Labels.csv",
}
NAME, GRADE, EDEMA = "Image name", "Retinopathy grade", "Risk of macular edema"

TREE = f"""
{GRADING}/
  {IMAGES}/
    {FOLDERS["train"]}/    IDRiD_001.jpg ...
    {FOLDERS["test"]}/     IDRiD_001.jpg ...  (numbers restart)
  {LABELS}/
    {LABEL_FILES["train"]}
    {LABEL_FILES["test"]}
"""

SEGMENTATION_TREE = f"""
{SEGMENTATION}/
  {IMAGES}/
    {FOLDERS["train"]}/    IDRiD_01.jpg ...
    {FOLDERS["test"]}/     IDRiD_55.jpg ...  (may be absent)
"""


@gin.register
def idrid(*, name: str = "idrid") -> dataset.Dataset:
    """IDRiD's disease grading part, with the official split.

    Args:
        name: First part of every id. Photographs in IDRiD's layout that are not
            IDRiD's, as the drawn ones, need a name of their own.

    Returns:
        The dataset.
    """
    read = functools.partial(_read, name=name)
    return dataset.Dataset(
        name=name, tree=TREE, read=read, reader=dataset.gin_name("idrid")
    )


@gin.register
def idrid_segmentation(*, name: str = "idrid_segmentation") -> dataset.Dataset:
    """IDRiD's photographs with lesion masks, without any label.

    60 of the 81 are photographs of the grading part under other numbers, three of its
    test set among the training masks' 54. An experiment that names this dataset beside
    `idrid` has the audit compare them.

    The 27 photographs of the testing set are read where they are there: copies of the
    training set alone are common.

    Args:
        name: First part of every id.

    Returns:
        The dataset.
    """
    read = functools.partial(_read_segmentation, name=name)
    return dataset.Dataset(name=name, tree=SEGMENTATION_TREE, read=read)


def _read_segmentation(
    data_dir: pathlib.Path, name: str
) -> list[photograph.Photograph]:
    layout = layouts.Layout("IDRiD's segmentation part", SEGMENTATION_TREE, data_dir)
    folders = {"train": layout.folder(SEGMENTATION, IMAGES, FOLDERS["train"])}
    if (data_dir / SEGMENTATION / IMAGES / FOLDERS["test"]).exists():
        folders["test"] = layout.folder(SEGMENTATION, IMAGES, FOLDERS["test"])
    return [
        # Which half has masks is no split of a grading task.
        photograph.Photograph(id=f"{name}/{half}/{stem}", path=path)
        for half, folder in folders.items()
        for stem, path in layout.images(folder).items()
    ]


def _read(data_dir: pathlib.Path, name: str) -> list[photograph.Photograph]:
    layout = layouts.Layout("IDRiD", TREE, data_dir)
    return [
        one for split in ("train", "test") for one in _read_split(layout, name, split)
    ]


def _read_split(
    layout: layouts.Layout, dataset_name: str, split: Literal["train", "test"]
) -> list[photograph.Photograph]:
    folder = layout.folder(GRADING, IMAGES, FOLDERS[split])
    label_file = layout.file(GRADING, LABELS, LABEL_FILES[split])
    # The published header ends in "Risk of macular edema " with a space, and the
    # training file has nine more empty columns.
    rows = layout.by_name(layout.table(label_file, (NAME, GRADE, EDEMA)), NAME)
    files = layout.images(folder)
    layout.match(rows, files, folder, label_file)
    return [
        photograph.Photograph(
            # Names restart in the test set, so the split is part of the id.
            id=f"{dataset_name}/{split}/{name}",
            path=files[name],
            grade=row.label(GRADE, photograph.GRADE_OF_DIGIT),
            macular_edema=row.label(EDEMA, {"0": 0, "1": 1, "2": 2}),
            split=split,
        )
        for name, row in rows.items()
    ]
