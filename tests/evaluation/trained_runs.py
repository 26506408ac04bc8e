"""Runs of a model that trains in seconds, and what a test does with their files."""

import csv
import json

from configs import loader, registry  # noqa: F401
from train import experiment

TINY = """
idrid.name = 'drawn'
prepare.image_size = 64
resnet_v2.widths = (4,)
resnet_v2.depths = (1,)
resnet_v2.stem_width = 4
resnet_v2.dropout = 0.5
train.epochs = 2
evaluate.resamples = 100
"""


def start(mode, folder, *lines, gin_file, **where):
    """Does what a command does, and returns what it says."""
    run_mode, entry_points = experiment.MODES[mode]
    gin_files = gin_file if isinstance(gin_file, tuple) else (gin_file,)
    bindings = loader.load(
        [str(one) for one in gin_files], lines, entry_points, experiment.ENTRY_POINTS
    )
    return run_mode(
        experiment.Where(
            run_dir=folder, bindings=experiment.deciding(bindings), **where
        )
    )


def write_gin(folder, *lines, include=""):
    """Writes `tiny.gin` with more lines at its end, and perhaps more to include."""
    file = folder / "tiny.gin"
    included = ("include 'synthetic_resnet_v2.gin'", include)
    file.write_text("\n".join([*included, TINY, *lines]))
    return file


def edit_json(path, *keys, value):
    """Changes one value of a file; returns what it was."""
    content = place = json.loads(path.read_text())
    for key in keys[:-1]:
        place = place[key]
    before, place[keys[-1]] = place[keys[-1]], value
    assert before != value
    path.write_text(json.dumps(content))
    return before


def read_csv(path):
    """The rows of a file, a list of dictionaries."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def edit_csv(path, change):
    """Lets a function change the rows of a file."""
    rows = read_csv(path)
    header = list(rows[0])
    change(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
