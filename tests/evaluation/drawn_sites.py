"""Another site: drawn photographs with a list of who is on them."""

import csv

import cv2
import numpy as np

from tests.input_pipeline.datasets import trees


def write_list(folder, rows):
    """Writes `photographs.csv` of rows of path, grade, patient, eye and split."""
    with open(folder / "photographs.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "grade", "patient", "eye", "split"))
        writer.writerows(rows)


def write_site(folder):
    """Draws both eyes of eight patients; one eye is not graded. Returns the rows."""
    rng = np.random.default_rng(5)
    rows = []
    for patient in range(8):
        for eye in ("left", "right"):
            grade = (0, 3, 2, 0)[patient % 4]
            name = f"p{patient}_{eye}.jpg"
            drawn = trees.photograph(grade, (300, 220), rng, eye)
            cv2.imwrite(str(folder / name), drawn[..., ::-1])
            rows.append((name, grade, f"p{patient}", eye, ""))
    rows[3] = (rows[3][0], "", *rows[3][2:])
    write_list(folder, rows)
    return rows
