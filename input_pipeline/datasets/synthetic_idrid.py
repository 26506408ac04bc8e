"""Writes drawn photographs in the folder layout of IDRiD, for its own reader.

    python -m input_pipeline.datasets.synthetic_idrid --output_dir=data/synthetic

Part A holds the lesion masks of the training photographs, part B every photograph and
its grade. `segmentation_to_grading.csv`, which is not IDRiD's, says which photographs
of A are which of B.
"""

import concurrent.futures
import csv
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import uuid
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from absl import app, flags

from input_pipeline import progress
from input_pipeline.datasets import dataset, synthetic

_VERSION = 1  # of the drawings: one more whenever a seed comes to draw other pixels

_IMAGES = "1. Original Images"
_FOLDERS = {"train": "a. Training Set", "test": "b. Testing Set"}
_GRADING = "B. Disease Grading"
_LABELS = "2. Groundtruths"
_LABEL_FILES = {
    "train": "a. IDRiD_Disease Grading_Training Labels.csv",
    "test": "b. IDRiD_Disease Grading_Testing Labels.csv",
}
_HEADER = ("Image name", "Retinopathy grade", "Risk of macular edema ")  # sic, a space
_EMPTY_COLUMNS = {"train": 9, "test": 0}
_SEGMENTATION = "A. Segmentation"
_MASKS = "2. All Segmentation Groundtruths"
_MASK_FOLDERS = {
    "microaneurysms": ("1. Microaneurysms", "MA"),
    "haemorrhages": ("2. Haemorrhages", "HE"),
    "hard_exudates": ("3. Hard Exudates", "EX"),
    "soft_exudates": ("4. Soft Exudates", "SE"),
    "optic_disc": ("5. Optic Disc", "OD"),
}
_SETTINGS = dataset.DRAWN


@dataclasses.dataclass(frozen=True)
class _Photograph:
    """One photograph to draw; `segmentation` is its name in part A, if it is there."""

    split: str
    index: int
    grade: int
    segmentation: str | None

    @property
    def name(self) -> str:
        return f"IDRiD_{self.index:03d}"


def write_idrid(
    folder: str | os.PathLike,
    *,
    train: Sequence[int],
    test: Sequence[int],
    seed: int,
    width: int = 1072,
    quality: int = 90,
    workers: int | None = None,
) -> bool:
    """Draws photographs into a new folder, laid out as IDRiD's publisher does.

    What a photograph shows follows from the seed, its split, its number and its grade.
    The folder appears when it is complete.

    Args:
        folder: Where to write. If these very drawings are there, nothing happens.
        train: Number of training photographs of grade 0, 1, 2, 3 and 4.
        test: Number of test photographs of each grade.
        seed: Seed of everything that is drawn, and of the order of grades.
        width: Width of the photographs in pixels.
        quality: JPEG quality, 0-100.
        workers: Number of threads; as many as there are cores by default.

    Returns:
        Whether it was written; False if these drawings were there.

    Raises:
        ValueError: If a number is out of range, or the folder holds anything else.
    """
    folder = pathlib.Path(folder)
    settings = {
        "version": _VERSION,
        "seed": seed,
        "train": _checked_counts("train", train),
        "test": _checked_counts("test", test),
        "width": width,
        "quality": quality,
    }
    if seed < 0:
        raise ValueError(f"`seed` must not be negative. Received: seed={seed}.")
    if width < synthetic.MIN_WIDTH:
        raise ValueError(
            f"`width` must be at least {synthetic.MIN_WIDTH} pixels. "
            f"Received: width={width}."
        )
    if quality not in range(101):
        raise ValueError(f"`quality` must be 0-100. Received: quality={quality}.")
    if _holds(folder, settings):
        return False
    photographs = _plan("train", train, seed) + _plan("test", test, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    try:
        risks = _draw_all(unfinished, photographs, seed, width, quality, workers)
        _write_labels(unfinished, photographs, risks)
        _write_segmentation_to_grading(unfinished, photographs)
        (unfinished / _SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
        if folder.exists():
            folder.rmdir()  # an empty one; not every system renames over it
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _checked_counts(name: str, counts: Sequence[int]) -> list[int]:
    counts = list(counts)
    if len(counts) != 5 or min(counts) < 0 or not any(counts):
        raise ValueError(
            f"`{name}` must be how many photographs to draw of each grade 0-4: five "
            f"numbers, none negative, not all 0. Received: {name}={counts}."
        )
    return counts


def _holds(folder: pathlib.Path, settings: dict) -> bool:
    """Whether `folder` is what `settings` ask for; an error if it is anything else."""
    if not folder.exists():
        return False
    if folder.is_dir() and not any(folder.iterdir()):
        return False
    file = folder / _SETTINGS
    try:
        found = json.loads(file.read_text()) if file.is_file() else None
    except ValueError:
        found = "unreadable"
    if found == settings:
        return True
    raise ValueError(
        f"{folder} must be new or empty, or its {_SETTINGS} must say "
        f"{json.dumps(settings)}. Received: "
        f"{'no such file' if found is None else json.dumps(found)}. "
        "Name another folder, or remove this one."
    )


def _plan(split: str, counts: Sequence[int], seed: int) -> list[_Photograph]:
    """Shuffles grades, and numbers the photographs that part A shows too."""
    rng = _generator(seed, split, 0)
    grades = rng.permutation(np.repeat(np.arange(5), counts)).tolist()
    diseased = [i for i, grade in enumerate(grades) if grade and split == "train"]
    names = {
        i: f"IDRiD_{number:02d}"
        for number, i in enumerate(rng.permutation(diseased).tolist(), start=1)
    }
    return [
        _Photograph(split, i + 1, grade, names.get(i)) for i, grade in enumerate(grades)
    ]


def _generator(seed: int, split: str, index: int) -> np.random.Generator:
    """One photograph's own generator; index 0 is the plan's."""
    entropy = (seed, list(_FOLDERS).index(split), index)
    return np.random.default_rng(np.random.SeedSequence(entropy))


def _draw_all(
    folder: pathlib.Path,
    photographs: list[_Photograph],
    seed: int,
    width: int,
    quality: int,
    workers: int | None,
) -> list[int]:
    """Writes photographs and masks; returns each one's risk of macular edema."""
    for split in _FOLDERS:
        (folder / _GRADING / _IMAGES / _FOLDERS[split]).mkdir(parents=True)
    (folder / _GRADING / _LABELS).mkdir()
    (folder / _SEGMENTATION / _IMAGES / _FOLDERS["train"]).mkdir(parents=True)
    for lesion, _ in _MASK_FOLDERS.values():
        path = folder / _SEGMENTATION / _MASKS / _FOLDERS["train"] / lesion
        path.mkdir(parents=True)

    def draw(photograph: _Photograph) -> int:
        rng = _generator(seed, photograph.split, photograph.index)
        drawing = synthetic.draw(photograph.grade, rng, width)
        _write_photograph(folder, photograph, drawing, quality)
        return drawing.macular_edema

    executor = concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count())
    try:
        return list(
            progress.bar(
                executor.map(draw, photographs),
                total=len(photographs),
                desc="Drawing",
                unit="photograph",
            )
        )
    finally:
        executor.shutdown(cancel_futures=True)


def _write_photograph(
    folder: pathlib.Path,
    photograph: _Photograph,
    drawing: synthetic.Drawing,
    quality: int,
) -> None:
    bgr = np.ascontiguousarray(drawing.image[..., ::-1])
    jpeg = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
    images = folder / _GRADING / _IMAGES / _FOLDERS[photograph.split]
    (images / f"{photograph.name}.jpg").write_bytes(jpeg)
    if photograph.segmentation is None:
        return
    part, split = folder / _SEGMENTATION, _FOLDERS[photograph.split]
    (part / _IMAGES / split / f"{photograph.segmentation}.jpg").write_bytes(jpeg)
    for name, (lesion, suffix) in _MASK_FOLDERS.items():
        if drawing.masks[name].any():
            mask = drawing.masks[name] * np.uint8(255)
            deflate = (cv2.IMWRITE_TIFF_COMPRESSION, 8)
            tiff = cv2.imencode(".tif", mask, deflate)[1].tobytes()
            path = part / _MASKS / split / lesion
            (path / f"{photograph.segmentation}_{suffix}.tif").write_bytes(tiff)


def _write_labels(
    folder: pathlib.Path, photographs: list[_Photograph], risks: list[int]
) -> None:
    for split, name in _LABEL_FILES.items():
        empty = ("",) * _EMPTY_COLUMNS[split]
        rows = [
            (photograph.name, photograph.grade, risk, *empty)
            for photograph, risk in zip(photographs, risks, strict=True)
            if photograph.split == split
        ]
        _write_csv(folder / _GRADING / _LABELS / name, [(*_HEADER, *empty), *rows])


def _write_segmentation_to_grading(
    folder: pathlib.Path, photographs: list[_Photograph]
) -> None:
    rows = sorted(
        (photograph.segmentation, photograph.split, photograph.name)
        for photograph in photographs
        if photograph.segmentation
    )
    header = ("segmentation_id", "grading_split", "grading_id")
    _write_csv(folder / "segmentation_to_grading.csv", [header, *rows])


def _write_csv(path: pathlib.Path, rows: Iterable[Sequence]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _define_flags() -> None:
    # The default counts are IDRiD's proportions.
    flags.DEFINE_string("output_dir", None, "The folder to write.", required=True)
    flags.DEFINE_list("train", "39,6,40,21,14", "Training photographs per grade 0-4.")
    flags.DEFINE_list("test", "10,1,9,6,4", "Test photographs per grade 0-4.")
    flags.DEFINE_integer("seed", 0, "Seed of all that is drawn.")
    flags.DEFINE_integer("width", 1072, "Width of the photographs in pixels.")


def main(argv: list[str]) -> None:
    """Runs the command; a user's mistake is one message and exit status 1."""
    if argv[1:]:
        sys.exit(f"This command takes flags only. Received: {' '.join(argv[1:])}.")
    options = flags.FLAGS
    try:
        train, test = _counts("train", options.train), _counts("test", options.test)
        written = write_idrid(
            options.output_dir,
            train=train,
            test=test,
            seed=options.seed,
            width=options.width,
        )
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    what = f"{sum(train)} training and {sum(test)} test photographs"
    if written:
        print(f"Wrote {what} to {options.output_dir}.")
    else:
        print(f"{options.output_dir} holds these {what} already; nothing was written.")


def _counts(name: str, numbers: list[str]) -> list[int]:
    if not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(
            f"--{name} must be five numbers, as in 39,6,40,21,14. "
            f"Received: --{name}={','.join(numbers)}."
        )
    return [int(number) for number in numbers]


if __name__ == "__main__":
    _define_flags()
    app.run(main)
