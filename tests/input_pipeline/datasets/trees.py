"""Draws small copies of public datasets, in exactly the layouts they are published in.

Photographs are drawn at about an eighth of the published sizes. What a tree holds
follows from its arguments alone.
"""

import math
import pathlib
import shutil
import zlib

import cv2
import numpy as np

from input_pipeline.datasets import synthetic, synthetic_eye

# The commonest sizes of each set, scaled down: width, height.
APTOS_SIZES = ((262, 262), (302, 217), (320, 240), (402, 267), (324, 245), (376, 250))
EYEPACS_SIZES = ((396, 264), (324, 216), (324, 243), (410, 272), (256, 192))
MESSIDOR_SIZES = ((360, 240), (280, 186), (288, 192))

_CIRCLE = 0.84  # of a drawing's width: the photographed circle and a margin


def write_aptos2019(
    folder: pathlib.Path, *, per_grade: int = 8, copies: bool = True, seed: int = 0
) -> pathlib.Path:
    """Draws APTOS 2019: PNG of several sizes, and the unlabelled test part.

    Healthy eyes mostly have other sizes than diseased ones, as published.

    Args:
        folder: Where to write; it must be new.
        per_grade: How many photographs to draw of each grade.
        copies: Whether two of grade 2 come again under another name, as published: one
            with the same grade, one with grade 3.
        seed: Decides everything.

    Returns:
        The folder.
    """
    rng = _generator("aptos2019", seed)
    images, tested = folder / "train_images", folder / "test_images"
    images.mkdir(parents=True)
    tested.mkdir()
    rows = []
    for index in range(5 * per_grade):
        grade = index % 5
        healthy, diseased = APTOS_SIZES[:2], APTOS_SIZES[2:]
        usual = healthy if (grade == 0) == (rng.random() < 0.8) else diseased
        image = photograph(grade, usual[rng.integers(len(usual))], rng)
        code = rng.bytes(6).hex()
        _save(images / f"{code}.png", image)
        rows.append((code, grade))
    if copies:
        originals = [code for code, grade in rows if grade == 2]
        for original, grade in zip(originals, (2, 3), strict=False):
            code = rng.bytes(6).hex()
            shutil.copyfile(images / f"{original}.png", images / f"{code}.png")
            rows.append((code, grade))
    _write_csv(folder / "train.csv", ("id_code", "diagnosis"), sorted(rows))
    unlabelled = [rng.bytes(6).hex() for _ in range(2)]
    for code in unlabelled:
        _save(tested / f"{code}.png", photograph(0, APTOS_SIZES[2], rng))
    _write_csv(folder / "test.csv", ("id_code",), [(code,) for code in unlabelled])
    return folder


def write_eyepacs(
    folder: pathlib.Path,
    *,
    train_patients: int = 20,
    test_patients: int = 8,
    seed: int = 0,
) -> pathlib.Path:
    """Draws EyePACS: two eyes a patient, whose grades mostly agree.

    Args:
        folder: Where to write; it must be new.
        train_patients: How many patients to draw for training.
        test_patients: How many for the test half; 0 leaves this half out. Every fourth
            was on the public board.
        seed: Decides everything.

    Returns:
        The folder.
    """
    rng = _generator("eyepacs", seed)
    numbers = 1 + rng.permutation(train_patients + test_patients)
    halves = [
        ("train", "trainLabels.csv", numbers[:train_patients]),
        ("test", "retinopathy_solution.csv", numbers[train_patients:]),
    ]
    for half, label_file, patients in halves:
        if not len(patients):
            continue
        (folder / half).mkdir(parents=True)
        rows = []
        for index, number in enumerate(sorted(patients)):
            size = EYEPACS_SIZES[rng.integers(len(EYEPACS_SIZES))]
            usage = ("Private", "Public")[index % 4 == 0]
            for eye, grade in _grades_of_two_eyes(index).items():
                image = photograph(grade, size, rng, eye)
                _save(folder / half / f"{number}_{eye}.jpeg", image)
                row = (f"{number}_{eye}", grade, usage)
                rows.append(row if half == "test" else row[:2])
        header = ("image", "level", "Usage")
        _write_csv(folder / label_file, header[: len(rows[0])], rows)
    return folder


def write_messidor2(
    folder: pathlib.Path, *, examinations: int = 20, seed: int = 0
) -> pathlib.Path:
    """Draws Messidor-2: three fifths PNG, the others JPG; two are ungradable.

    The grades' file writes `.jpg` for what is `.JPG`, and the header of the pairs' file
    ends in a space, as published.

    Args:
        folder: Where to write; it must be new.
        examinations: How many pairs of eyes to draw, at least 5.
        seed: Decides everything.

    Returns:
        The folder.
    """
    rng = _generator("messidor2", seed)
    (folder / "IMAGES").mkdir(parents=True)
    columns = ("image_id", "adjudicated_dr_grade", "adjudicated_dme")
    rows, pairs = [], []
    for index in range(examinations):
        if index % 5 < 3:
            day = f"2005{10 + index % 3}{1 + index % 28:02d}"
            time = 40000 + 97 * index
            names = [f"{day}_{time + one}_0100_PP.png" for one in (0, 48)]
        else:
            names = [f"IM{12 + 44 * index + one:06d}.JPG" for one in (1, 0)]
        size = MESSIDOR_SIZES[rng.integers(len(MESSIDOR_SIZES))]
        eyes = _grades_of_two_eyes(index).items()
        for name, (eye, grade) in zip(names, eyes, strict=True):
            drawing = synthetic.draw(grade, rng, _drawn_width(size))
            image = _framed(drawing, size, eye)
            labels = (grade, int(drawing.macular_edema == 2), 1)
            if eye == "right" and index in (3, 4):
                image = cv2.GaussianBlur(image // 3, (0, 0), size[0] / 40)
                labels = ("", "", 0)
            _save(folder / "IMAGES" / name, image)
            rows.append((name.replace(".JPG", ".jpg"), *labels))
        pairs.append(tuple(names))
    header = (*columns, "adjudicated_gradable")
    _write_csv(folder / "messidor_data.csv", header, sorted(rows))
    _write_csv(folder / "messidor-2.csv", ("left", "right "), pairs, delimiter=";")
    return folder


def photograph(
    grade: int,
    size: tuple[int, int],
    rng: np.random.Generator,
    eye: str | None = None,
) -> np.ndarray:
    """Draws one photograph of a size of its own.

    Args:
        grade: ICDR grade 0-4.
        size: Width and height in pixels, about 1:1 to 3:2; in a squarer frame the
            circle has black above and below.
        rng: Where everything that varies is drawn from.
        eye: "left" or "right", to have the optic disc on this side.

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, 0-255.
    """
    return _framed(synthetic.draw(grade, rng, _drawn_width(size)), size, eye)


def _drawn_width(size: tuple[int, int]) -> int:
    width, height = size
    return math.ceil(min(height / synthetic_eye.ASPECT, width / _CIRCLE))


def _framed(
    drawing: synthetic.Drawing, size: tuple[int, int], eye: str | None
) -> np.ndarray:
    image, (width, height) = drawing.image, size
    left = max(0, round(drawing.centre[0] - width / 2))
    image = image[:, left : left + width]
    missing = max(0, height - len(image))
    image = np.pad(image, ((missing // 2, missing - missing // 2), (0, 0), (0, 0)))
    if eye and (drawing.disc[0] > drawing.fovea[0]) != (eye == "right"):
        image = image[:, ::-1]
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)


def _grades_of_two_eyes(index: int) -> dict[str, int]:
    """Every third patient's right eye is worse by one."""
    return {"left": index % 5, "right": min(4, index % 5 + (index % 3 == 0))}


def _generator(name: str, seed: int) -> np.random.Generator:
    """No two datasets draw the same photograph from one seed."""
    return np.random.default_rng((zlib.crc32(name.encode()), seed))


def _save(path: pathlib.Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def _write_csv(path, header, rows, delimiter=","):
    lines = [delimiter.join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
