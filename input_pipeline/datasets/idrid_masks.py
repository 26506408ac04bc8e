"""IDRiD's lesion masks: part A of the dataset, with photographs numbered on their own.

Porwal et al., "Indian Diabetic Retinopathy Image Dataset (IDRiD)", Data 3(3):25, 2018,
doi:10.3390/data3030025.
"""

import pathlib

import gin

from input_pipeline import lesion_masks
from input_pipeline.datasets import idrid, layout

MASKS = "2. All Segmentation Groundtruths"
FOLDERS = {
    "microaneurysms": ("1. Microaneurysms", "MA"),
    "haemorrhages": ("2. Haemorrhages", "HE"),
    "hard_exudates": ("3. Hard Exudates", "EX"),
    "soft_exudates": ("4. Soft Exudates", "SE"),
    "optic_disc": ("5. Optic Disc", "OD"),
}

TREE = f"""{idrid.SEGMENTATION_TREE}  {MASKS}/
    {idrid.FOLDERS["train"]}/
      1. Microaneurysms/    IDRiD_01_MA.tif ...
      2. Haemorrhages/      IDRiD_01_HE.tif ...
      3. Hard Exudates/     IDRiD_01_EX.tif ...
      4. Soft Exudates/     IDRiD_03_SE.tif ...
      5. Optic Disc/        IDRiD_01_OD.tif ...
    {idrid.FOLDERS["test"]}/     (may be absent)
"""


@gin.register
def idrid_masks() -> lesion_masks.Source:
    """The photographs of IDRiD's segmentation part with their masks.

    A lesion without a file was not outlined in that photograph.

    Returns:
        The source.
    """
    return lesion_masks.Source("IDRiD", _read)


def _read(data_dir: pathlib.Path) -> list[lesion_masks.Annotated]:
    if not (data_dir / idrid.SEGMENTATION).exists():
        return []
    tree = layout.Layout("IDRiD's segmentation part", TREE, data_dir)
    annotated = []
    for half in idrid.FOLDERS.values():
        if half != idrid.FOLDERS["train"]:
            there = data_dir / idrid.SEGMENTATION / MASKS / half
            if not there.exists():
                continue
        photographs = tree.folder(idrid.SEGMENTATION, idrid.IMAGES, half)
        masks = tree.folder(idrid.SEGMENTATION, MASKS, half)
        for stem, path in tree.images(photographs).items():
            files = {
                lesion: masks / folder / f"{stem}_{suffix}.tif"
                for lesion, (folder, suffix) in FOLDERS.items()
            }
            found = {lesion: file for lesion, file in files.items() if file.exists()}
            annotated.append(lesion_masks.Annotated(stem, path, found))
    return annotated
