"""EyePACS, the photographs of Kaggle's Diabetic Retinopathy Detection of 2015.

Dugas, Jared, Jorge and Cukierski, "Diabetic Retinopathy Detection", Kaggle, 2015,
https://www.kaggle.com/c/diabetic-retinopathy-detection. 35,126 training and 53,576 test
photographs that EyePACS provided, under the competition's rules.
"""

import functools
import pathlib
import re
from collections.abc import Mapping

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

LABEL_FILES = {"train": "trainLabels.csv", "test": "retinopathy_solution.csv"}
NAME, GRADE, USAGE = "image", "level", "Usage"

TREE = f"""
{LABEL_FILES["train"]}             {NAME},{GRADE}
train/                      10_left.jpeg 10_right.jpeg ...
{LABEL_FILES["test"]}    {NAME},{GRADE},{USAGE}
test/                       1_left.jpeg 1_right.jpeg ...
The last two are not needed with `eyepacs.with_test = False`.
"""

_SPLIT_OF_USAGE: Mapping[str, photograph.Split] = {"Public": "valid", "Private": "test"}
_NAME = re.compile(r"(?P<patient>\d+)_(?P<eye>left|right)")


@gin.register
def eyepacs(*, name: str = "eyepacs", with_test: bool = True) -> dataset.Dataset:
    """EyePACS with the competition's split, by patient.

    The test labels were published after the competition. What was scored on its public
    board while it ran (10,906 photographs) is the validation part; what decided it on
    the private board (42,670) is the test set.

    One clinician gave each grade. Its publisher warns of noise in photographs and
    labels: some are blurred, too dark or too bright, and a few show no retina at all.

    Args:
        name: First part of every id.
        with_test: Whether to read the competition's test photographs too. Without them
            there is neither an official validation part nor a test set, and the test
            files need not be there.

    Returns:
        The dataset.
    """
    read = functools.partial(_read, name=name, with_test=with_test)
    return dataset.Dataset(name=name, tree=TREE, read=read)


def _read(
    data_dir: pathlib.Path, name: str, with_test: bool
) -> list[photograph.Photograph]:
    layout = layouts.Layout("EyePACS", TREE, data_dir)
    photographs = _read_half(layout, name, "train")
    if not with_test:
        return photographs
    tested = _read_half(layout, name, "test")
    both = {one.patient for one in photographs} & {one.patient for one in tested}
    if both:
        raise layout.error(
            f"{data_dir} has photographs of one patient in train and in test, which as "
            f"published it has not. Received: patients {layouts.few(sorted(both))}. "
            "Restore both folders and label files from the publisher's archives."
        )
    return photographs + tested


def _read_half(
    layout: layouts.Layout, dataset_name: str, half: str
) -> list[photograph.Photograph]:
    label_file, folder = layout.file(LABEL_FILES[half]), layout.folder(half)
    columns = (NAME, GRADE, USAGE) if half == "test" else (NAME, GRADE)
    rows = layout.by_name(layout.table(label_file, columns), NAME)
    files = layout.images(folder)
    layout.match(rows, files, folder, label_file)
    photographs = []
    for name, row in rows.items():
        parts = _NAME.fullmatch(name)
        if parts is None:
            raise row.error(
                f"`{NAME}` must be a patient's number and an eye, as in 10_left. "
                f"Received: {name!r}."
            )
        photographs.append(
            photograph.Photograph(
                id=f"{dataset_name}/{half}/{name}",
                path=files[name],
                grade=row.label(GRADE, photograph.GRADE_OF_DIGIT),
                patient=parts["patient"],
                eye=parts["eye"],
                split="train" if half == "train" else row.label(USAGE, _SPLIT_OF_USAGE),
            )
        )
    return photographs
