"""Messidor-2 with the grades that three retina specialists agreed on.

Photographs: Decenciere et al., "Feedback on a publicly distributed image database: the
Messidor database", Image Analysis & Stereology 33:231-234, 2014, doi:10.5566/ias.1155,
and Abramoff et al., JAMA Ophthalmology 131:351-357, 2013; kindly provided by the
Messidor program partners, https://www.adcis.net/en/third-party/messidor2/, for research
and education only. Grades: Krause et al., "Grader variability and the importance of
reference standards for evaluating machine learning models for diabetic retinopathy",
Ophthalmology 125:1264-1272, 2018, doi:10.1016/j.ophtha.2018.01.034,
https://www.kaggle.com/datasets/google-brain/messidor2-dr-grades.
"""

import functools
import pathlib
from typing import Literal

import gin

from input_pipeline import photograph
from input_pipeline.datasets import dataset
from input_pipeline.datasets import layout as layouts

IMAGES, LABELS, PAIRS = "IMAGES", "messidor_data.csv", "messidor-2.csv"
NAME, GRADE = "image_id", "adjudicated_dr_grade"
EDEMA, GRADABLE = "adjudicated_dme", "adjudicated_gradable"
LEFT, RIGHT = "left", "right"

TREE = f"""
{IMAGES}/              20051020_43808_0100_PP.png ... IM000012.JPG ...
{LABELS}    {NAME},{GRADE},{EDEMA},{GRADABLE}
{PAIRS}       {LEFT};{RIGHT}  (not needed with `messidor2.with_pairs = False`)
"""


@gin.register
def messidor2(*, name: str = "messidor2", with_pairs: bool = True) -> dataset.Dataset:
    """Messidor-2: 1,748 photographs, both eyes of 874 examinations; no official split.

    1,744 were found gradable; the other four have `gradable=False` and no grade.

    `adjudicated_dme` is not read as `macular_edema`: it says whether there are hard
    exudates within a disc diameter of the fovea. There yes is risk 2, but no is risk 0
    or 1, so that the labels would be nothing but twos.

    The grades' file writes `.jpg` where the photographs have `.JPG`: names are compared
    without extensions.

    Args:
        name: First part of every id.
        with_pairs: Whether to read which photographs are of one examination, and of
            which eye, from `messidor-2.csv`. Some copies of the set lack this file.
            Without it there are neither patients nor eyes, and two eyes of one patient
            can be on both sides of a split.

    Returns:
        The dataset. A patient has the name of the left eye's photograph.
    """
    read = functools.partial(_read, name=name, with_pairs=with_pairs)
    return dataset.Dataset(name=name, tree=TREE, read=read)


def _read(
    data_dir: pathlib.Path, name: str, with_pairs: bool
) -> list[photograph.Photograph]:
    layout = layouts.Layout("Messidor-2", TREE, data_dir)
    folder, label_file = layout.folder(IMAGES), layout.file(LABELS)
    table = layout.table(label_file, (NAME, GRADE, EDEMA, GRADABLE))
    rows = layout.by_name(table, NAME, has_extension=True)
    files = layout.images(folder)
    layout.match(rows, files, folder, label_file)
    eyes = _read_pairs(layout, files) if with_pairs else {}
    photographs = []
    for stem, row in rows.items():
        gradable = row.label(GRADABLE, {"1": True, "0": False})
        patient, eye = eyes.get(stem, (None, None))
        photographs.append(
            photograph.Photograph(
                id=f"{name}/{stem}",
                path=files[stem],
                grade=row.label(
                    GRADE, photograph.GRADE_OF_DIGIT if gradable else {"": None}
                ),
                gradable=gradable,
                patient=patient,
                eye=eye,
            )
        )
    return photographs


def _read_pairs(
    layout: layouts.Layout, files: dict[str, pathlib.Path]
) -> dict[str, tuple[str, Literal["left", "right"]]]:
    """Name of a photograph -> name of its patient, eye."""
    path = layout.file(PAIRS)
    table = layout.table(path, (LEFT, RIGHT), delimiter=";")
    left = layout.by_name(table, LEFT, has_extension=True)
    right = layout.by_name(table, RIGHT, has_extension=True)
    for name in left.keys() & right.keys():
        raise right[name].error(
            f"each photograph must be of one eye. Received: {name!r} as right eye, and "
            f"as left eye in line {left[name].line}."
        )
    layout.match([*left, *right], files, layout.data_dir / IMAGES, path)
    eyes = {}
    for patient, other in zip(left, right, strict=True):
        eyes[patient], eyes[other] = (patient, "left"), (patient, "right")
    return eyes
