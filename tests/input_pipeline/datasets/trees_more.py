"""Draws small datasets in exactly the layout of DDR, DeepDRiD, class folders and CSV.

About 40 photographs each, the same at every call. What is wrong with the published
sets is wrong with these.
"""

import csv
import hashlib
import io
import pathlib
import zipfile
from collections.abc import Iterable, Sequence
from xml.sax import saxutils

import cv2
import numpy as np

from input_pipeline.datasets import synthetic

WIDTH = 256

# Split -> how many of grade 0 to 4, and ungradable.
DDR_COUNTS = {
    "train": (8, 2, 6, 1, 2, 2),
    "valid": (3, 1, 3, 1, 1, 1),
    "test": (4, 1, 4, 1, 1, 1),
}


def write_ddr(folder: pathlib.Path, seed: int = 0) -> None:
    """43 photographs: DR_grading/, label files without a header, grade 5 ungradable."""
    index = 0
    for split, counts in DDR_COUNTS.items():
        lines = []
        for grade in np.repeat(np.arange(6), counts).tolist():
            index += 1
            name = f"007-{4 + 3 * index:04d}-{index % 3}00.jpg"
            if index % 4 == 0:  # Some names are the time of the photograph.
                name = f"20170323093305{600 + index}.jpg"
            drawing = _draw(grade % 5, seed, 1, index)
            image = drawing.image
            if index % 2:  # Some photographs are cut to the retina.
                image = _cut(drawing)
            if grade == 5:
                image = cv2.GaussianBlur(image, (0, 0), 9) // 2
            _save(folder / "DR_grading" / split / name, image)
            lines.append(f"{name} {grade}\n")
        (folder / "DR_grading" / f"{split}.txt").write_text("".join(lines))


# Patient -> grades of the left and the right eye, and whether each is good enough.
DEEPDRID_PATIENTS = {
    "regular-fundus-training": {
        "1": (0, 0, 0, 1),
        "2": (2, 2, 1, 1),
        "4": (3, 4, 0, 0),
        "14": (1, 0, 1, 0),
        "20": (0, 1, 1, 1),
        "56": (1, 0, 0, 1),
    },
    "regular-fundus-validation": {"265": (3, 4, 0, 1), "298": (0, 0, 1, 0)},
    "Online-Challenge1&2-Evaluation": {"347": (4, 2, 1, 0), "353": (0, 0, 1, 1)},
}
_HEADER = (
    "patient_id,image_id,image_path,Overall quality,left_eye_DR_Level,"
    "right_eye_DR_Level,patient_DR_Level,Clarity,Field definition,Artifact"
)


def write_deepdrid(folder: pathlib.Path, seed: int = 0) -> None:
    """40 views of 10 patients; of patient 56, two names say the other eye."""
    index = 0
    for part, patients in DEEPDRID_PATIENTS.items():
        home = folder / "regular_fundus_images" / part
        rows = []
        for patient, (left, right, left_good, right_good) in patients.items():
            views = ("l1", "l2", "r1", "r2")
            if patient == "56":
                views = ("l1", "r3", "l3", "r2")  # sic
            for number, view in enumerate(views):
                index += 1
                name = f"{patient}_{view}"
                grade = (left, right)[number // 2]
                quality = (left_good, right_good)[number // 2]
                image = _draw(grade, seed, 2, index).image
                _save(home / "Images" / patient / f"{name}.jpg", image)
                rows.append((patient, name, quality, grade, number // 2, left, right))
        if part.startswith("Online"):
            _write_evaluation_labels(home, rows)
        else:
            _write_deepdrid_labels(home, rows)


def _write_deepdrid_labels(home: pathlib.Path, rows: Iterable[tuple]) -> None:
    lines = [_HEADER]
    for patient, name, quality, grade, eye, left, right in rows:
        path = f"\\{home.name}\\{patient}\\{name}.jpg"
        grades = (f"{grade},", f",{grade}")[eye]
        lines.append(
            f"{patient},{name},{path},{quality},{grades},{max(left, right)},8,8,0"
        )
    (home / f"{home.name}.csv").write_text("\n".join(lines) + "\n")


def _write_evaluation_labels(home: pathlib.Path, rows: Sequence[tuple]) -> None:
    names = [name for _, name, *_ in rows]
    upload = "".join(f"{name},\n" for name in names)
    (home / "Challenge1_upload.csv").write_text("image_id,DR_Level\n" + upload)
    grades = [(name, grade) for _, name, _, grade, *_ in rows]
    write_spreadsheet(
        home / "Challenge1_labels.xlsx", ("image_id", "DR_Levels"), grades
    )
    columns = ("image_id", "Overall quality", "Artifact", "Clarity", "Field definition")
    quality = [(name, good, 0, 8, 8) for _, name, good, *_ in rows]
    write_spreadsheet(home / "Challenge2_labels.xlsx", columns, quality)


def write_spreadsheet(
    path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]
) -> None:
    """An Excel file as Excel writes it, with a table of its own for text."""
    texts: dict[str, int] = {}
    lines = []
    for number, row in enumerate([header, *rows], start=1):
        cells = ""
        for letter, value in zip("ABCDEFGHIJ", row, strict=False):
            kind = ""
            if isinstance(value, str):
                kind, value = ' t="s"', texts.setdefault(value, len(texts))
            cells += f'<c r="{letter}{number}"{kind}><v>{value}</v></c>'
        lines.append(f'<row r="{number}">{cells}</row>')
    shared = "".join(f"<si><t>{saxutils.escape(text)}</t></si>" for text in texts)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" '
        f'ContentType="{kind}.worksheet+xml"/>'
        '<Override PartName="/xl/sharedStrings.xml" '
        f'ContentType="{kind}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/worksheet" '
        'Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{office}/sharedStrings" '
        'Target="sharedStrings.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>'
        f"{''.join(lines)}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{shared}</sst>',
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in parts.items():
            archive.writestr(
                zipfile.ZipInfo(name), '<?xml version="1.0" encoding="UTF-8"?>\n' + text
            )
    path.write_bytes(content.getvalue())


# Split -> class -> grades of the sources, where they are not those of an APTOS folder.
CLASS_GRADES = {
    "train": {"DR": (1, 2, 2, 2, 2, 3, 4, 4), "No_DR": (0,) * 8},
    "valid": {"DR": (1, 2, 2, 4), "No_DR": (0,) * 4},
    "test": {"DR": (1, 2, 3, 4), "No_DR": (0,) * 4},
}


def write_class_folders(
    folder: pathlib.Path, seed: int = 0, aptos: pathlib.Path | None = None
) -> None:
    """A re-export of APTOS by Roboflow: DR and No_DR, 224x224 squashed, renamed.

    In training every fourth source has two more versions, one mirrored. One training
    source of each class is in the validation set too, from the same pixels.

    Args:
        folder: Where to write.
        seed: Seed of what is drawn.
        aptos: A folder in APTOS's layout whose photographs are re-exported; half of
            them train, a quarter each validates and tests. 40 photographs are drawn
            if it is None.
    """
    sources = _drawn_sources(seed) if aptos is None else _aptos_sources(aptos)
    count: dict[tuple[str, str], int] = {}
    for split, name, image, grade in sources:
        label = "DR" if grade else "No_DR"
        number = count[split, label] = count.get((split, label), 0) + 1
        squashed = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
        versions = [(split, squashed, 90)]
        if split == "train" and number % 4 == 0:
            versions += [(split, squashed[:, ::-1], 90), (split, squashed, 75)]
        if split == "train" and number == 1:
            versions += [("valid", squashed, 85)]
        for version, (where, pixels, quality) in enumerate(versions):
            digest = hashlib.md5(f"{name} {version}".encode()).hexdigest()
            file = f"{name}_png.rf.{digest}.jpg"
            _save(folder / where / label / file, pixels, quality)
    (folder / "README.roboflow.txt").write_text("Exported via roboflow.com\n")


def _drawn_sources(seed: int) -> Iterable[tuple[str, str, np.ndarray, int]]:
    """Split, APTOS id, RGB photograph and grade of each source."""
    index = 0
    for split, classes in CLASS_GRADES.items():
        for grades in classes.values():
            for grade in grades:
                index += 1
                name = hashlib.md5(f"source {index}".encode()).hexdigest()[:12]
                yield split, name, _draw(grade, seed, 3, index).image, grade


def _aptos_sources(aptos: pathlib.Path) -> Iterable[tuple[str, str, np.ndarray, int]]:
    with open(aptos / "train.csv", newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            path = aptos / "train_images" / f"{row['id_code']}.png"
            split = ("train", "valid", "train", "test")[index % 4]
            rgb = cv2.imread(str(path))[..., ::-1]
            yield split, row["id_code"], rgb, int(row["diagnosis"])


def write_csv(folder: pathlib.Path, seed: int = 0) -> None:
    """Both eyes of 20 patients of two clinics; one not graded, four patients test."""
    lines = ["path,grade,patient,eye,split"]
    for index in range(40):
        patient, eye = index // 2, ("left", "right")[index % 2]
        grade = (0, 0, 2, 3, 0, 1, 4, 2, 0, 2)[index % 10]
        path = f"clinic_{'ab'[patient % 2]}/p{patient:02d}_{eye}.jpg"
        _save(folder / path, _draw(grade, seed, 4, index).image)
        split = "test" if patient >= 16 else ""
        text = "" if index == 7 else grade
        lines.append(f"{path},{text},p{patient:02d},{eye},{split}")
    (folder / "photographs.csv").write_text("\n".join(lines) + "\n")


def _draw(grade: int, seed: int, dataset: int, index: int) -> synthetic.Drawing:
    rng = np.random.default_rng(np.random.SeedSequence((seed, dataset, index)))
    return synthetic.draw(grade, rng, WIDTH)


def _cut(drawing: synthetic.Drawing) -> np.ndarray:
    """The photograph's columns between the retina's left and right edge."""
    left = max(0, round(drawing.centre[0] - drawing.radius) - 2)
    right = round(drawing.centre[0] + drawing.radius) + 2
    return drawing.image[:, left:right]


def _save(path: pathlib.Path, rgb: np.ndarray, quality: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    assert cv2.imwrite(str(path), bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
