"""APTOS 2019 Blindness Detection, as Kaggle gives it out.

Karthik, Maggie and Dane, "APTOS 2019 Blindness Detection", Kaggle, 2019,
https://www.kaggle.com/competitions/aptos2019-blindness-detection. 3,662 labelled
photographs of Aravind Eye Hospital, India, under the competition's rules.
"""

import functools
import pathlib

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

LABELS, IMAGES = "train.csv", "train_images"
NAME, GRADE = "id_code", "diagnosis"

TREE = f"""
{LABELS}        {NAME},{GRADE}
{IMAGES}/    000c1434d8d7.png ...
"""


@gin.register
def aptos2019(*, name: str = "aptos2019") -> dataset.Dataset:
    """The labelled photographs of APTOS 2019; without an official split.

    One clinician gave each grade. The labels of the competition's `test_images` were
    never published: they and `test.csv` are left alone. Neither patients nor eyes are
    named, so that two eyes of one patient can be on both sides of a split. Known to be
    wrong: photographs that come twice, some with two grades, and sizes that go with the
    grade.

    Args:
        name: First part of every id.

    Returns:
        The dataset.
    """
    read = functools.partial(_read, name=name)
    return dataset.Dataset(name=name, tree=TREE, read=read)


def _read(data_dir: pathlib.Path, name: str) -> list[photograph.Photograph]:
    layout = layouts.Layout("APTOS 2019", TREE, data_dir)
    if (data_dir / "train_1.csv").exists():
        raise layout.error(
            f"{data_dir} holds train_1.csv, which is not Kaggle's: it is of a copy of "
            "APTOS 2019 that others have cut into three parts. Download the original."
        )
    label_file, folder = layout.file(LABELS), layout.folder(IMAGES)
    rows = layout.by_name(layout.table(label_file, (NAME, GRADE)), NAME)
    files = layout.images(folder)
    renamed = [path.name for path in files.values() if "_png.rf." in path.name]
    if renamed:
        raise layout.error(
            f"{folder} holds photographs that are not Kaggle's but copies, which "
            f"Roboflow renamed and compressed: {layouts.few(renamed)}. Remove them."
        )
    layout.match(rows, files, folder, label_file)
    return [
        photograph.Photograph(
            id=f"{name}/{code}",
            path=files[code],
            grade=row.label(GRADE, photograph.GRADE_OF_DIGIT),
        )
        for code, row in rows.items()
    ]
