"""DDR: 13,673 photographs from 147 hospitals in China, with grades.

Li et al., "Diagnostic assessment of deep learning algorithms for diabetic retinopathy
screening", Information Sciences 501:511-522, 2019, doi:10.1016/j.ins.2019.06.011.
"""

import functools
import pathlib

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

GRADING = "DR_grading"
SPLITS: tuple[photograph.Split, ...] = ("train", "valid", "test")
UNGRADABLE = "5"
NAME, GRADE = "file name", "grade"

TREE = f"""
{GRADING}/
  train.txt
  train/*.jpg
  valid.txt
  valid/*.jpg
  test.txt
  test/*.jpg
"""


@gin.register
def ddr(*, name: str = "ddr") -> dataset.Dataset:
    """DDR's grading part with the official split: 6,835 / 2,733 / 4,105 photographs.

    Each line of a label file is a file name and a grade. Grade 5 says that a photograph
    cannot be graded: it is read with `gradable=False` and without a grade. Patients
    (9,598) are not named.

    Args:
        name: First part of the photographs' ids.

    Returns:
        The dataset; it is read from a folder that is laid out as `tree` shows.
    """
    return dataset.Dataset(name, TREE, functools.partial(_read, name=name))


def _read(data_dir: pathlib.Path, name: str) -> list[photograph.Photograph]:
    layout = layouts.Layout("DDR", TREE, data_dir)
    return [one for split in SPLITS for one in _read_split(layout, name, split)]


def _read_split(
    layout: layouts.Layout, dataset_name: str, split: photograph.Split
) -> list[photograph.Photograph]:
    label_file = layout.file(GRADING, f"{split}.txt")
    folder = layout.folder(GRADING, split)
    rows = layout.by_name(_labels(layout, label_file), NAME, has_extension=True)
    files = layout.images(folder)
    layout.match(rows, files, folder, label_file)
    meanings = {**photograph.GRADE_OF_DIGIT, UNGRADABLE: None}
    photographs = []
    for name, row in rows.items():
        grade = row.label(GRADE, meanings)
        photographs.append(
            photograph.Photograph(
                id=f"{dataset_name}/{split}/{name}",
                path=files[name],
                grade=grade,
                gradable=grade is not None,
                split=split,
            )
        )
    return photographs


def _labels(layout: layouts.Layout, path: pathlib.Path) -> list[layouts.Row]:
    """Rows of a label file, which has no header."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise layout.error(
            f"{path} cannot be read as text: {error}. Restore it from DDR's archive."
        ) from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if words := line.split():
            cells = {NAME: words[0], GRADE: " ".join(words[1:])}
            rows.append(layouts.Row(path, number, cells, layout.tree))
    if not rows:
        raise layout.error(f"{path} holds no label. Restore it from DDR's archive.")
    return rows
