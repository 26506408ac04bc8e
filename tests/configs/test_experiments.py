import pathlib
import re

import pytest

from configs import loader, registry, syntax  # noqa: F401
from tests.input_pipeline.datasets import trees, trees_more
from train import experiment

EXPERIMENTS = sorted(syntax.CONFIGS.glob("*.gin"))


def included(path: pathlib.Path) -> list[str]:
    return re.findall(r"^include '(.*)'$", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_a_shipped_experiment_passes_its_dry_run(path, idrid_like, tmp_path):
    mode, entry_points = experiment.MODES["run"]
    bindings = loader.load([str(path)], [], entry_points, experiment.ENTRY_POINTS)
    plan = mode(
        experiment.Where(
            data_dirs={"": idrid_like},
            prepared_dir=tmp_path / "prepared",
            run_dir=tmp_path / "runs" / path.stem,
            bindings=experiment.deciding(bindings),
            dry_run=True,
        )
    )
    assert plan.startswith("Nothing is wrong with the config. The plan:\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_includes_dataset_task_model_training_in_this_order(path):
    folders = [pathlib.Path(name).parent.name for name in included(path)]
    assert folders == ["datasets", "tasks", "models", "training"]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_says_how_it_is_run(path):
    header = path.read_text().partition("\ninclude")[0]
    assert all(line.startswith("#") for line in header.strip().splitlines())
    assert f"# python main.py --gin_file=configs/{path.name}" in header


def test_every_config_is_included_by_an_experiment_or_takes_anothers_place():
    parts = {
        path.relative_to(syntax.CONFIGS).as_posix()
        for path in syntax.CONFIGS.rglob("*.gin")
        if path not in EXPERIMENTS
    }
    included_parts = {name for path in EXPERIMENTS for name in included(path)}
    others = {f"datasets/{name}.gin" for name in DATASETS}
    others |= {f"models/{name}.gin" for name in MODELS}
    assert parts - included_parts == others


VALID_ONLY = "evaluate.splits = ('valid',)"
DATASETS = {
    "aptos2019": (trees.write_aptos2019, [VALID_ONLY]),
    "class_folders": (trees_more.write_class_folders, ["train.task = @any_dr()"]),
    "csv_file": (trees_more.write_csv, []),
    "ddr": (trees_more.write_ddr, []),
    "deepdrid": (trees_more.write_deepdrid, []),
    "eyepacs": (trees.write_eyepacs, []),
    "messidor2": (trees.write_messidor2, [VALID_ONLY]),
}
"""Dataset's config -> what draws its folder, and what a run on it alone needs."""


@pytest.mark.parametrize("name", DATASETS)
def test_a_datasets_config_takes_the_place_of_another(name, tmp_path):
    write, lines = DATASETS[name]
    folder = tmp_path / name
    write(folder)
    files = [
        f"{syntax.CONFIGS}/{one}" for one in ("idrid_resnet_v2", f"datasets/{name}")
    ]
    mode, entry_points = experiment.MODES["run"]
    bindings = loader.load(
        [f"{file}.gin" for file in files], lines, entry_points, experiment.ENTRY_POINTS
    )
    where = experiment.Where(
        data_dirs={"": folder},
        prepared_dir=tmp_path / "prepared",
        run_dir=tmp_path / "run",
        bindings=experiment.deciding(bindings),
        dry_run=True,
    )
    assert mode(where).startswith("Nothing is wrong with the config. The plan:\n")


MODELS = {
    "efficientnet_lite0": ["pretrained.weights = None"],
    "mobilenet": ["pretrained.weights = None"],
    "resnet50": ["pretrained.weights = None", "pretrained.freeze_up_to = None"],
}
"""Model's config -> what a dry run of it needs where there is no network."""


@pytest.mark.parametrize("name", MODELS)
def test_a_models_config_takes_the_place_of_another(name, idrid_like, tmp_path):
    files = [f"{syntax.CONFIGS}/{one}" for one in ("idrid_resnet_v2", f"models/{name}")]
    lines = [*MODELS[name], "prepare.image_size = 64"]
    mode, entry_points = experiment.MODES["run"]
    bindings = loader.load(
        [f"{file}.gin" for file in files], lines, entry_points, experiment.ENTRY_POINTS
    )
    where = experiment.Where(
        data_dirs={"": idrid_like},
        prepared_dir=tmp_path / "prepared",
        run_dir=tmp_path / "run",
        bindings=experiment.deciding(bindings),
        dry_run=True,
    )
    plan = mode(where)
    assert plan.startswith("Nothing is wrong with the config. The plan:\n")
    assert f"\nModel: {name.partition('_')[0]}" in plan


def test_every_folder_of_configs_is_a_package_so_that_it_is_installed():
    folders = {path.parent for path in syntax.CONFIGS.rglob("*.gin")}
    assert all((folder / "__init__.py").exists() for folder in folders)
