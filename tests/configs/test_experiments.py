import pathlib
import re

import pytest

from configs import loader, registry, syntax  # noqa: F401
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
            data_dir=idrid_like,
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


def test_every_config_is_included_by_an_experiment():
    parts = {
        path.relative_to(syntax.CONFIGS).as_posix()
        for path in syntax.CONFIGS.rglob("*.gin")
        if path not in EXPERIMENTS
    }
    assert parts == {name for path in EXPERIMENTS for name in included(path)}


def test_every_folder_of_configs_is_a_package_so_that_it_is_installed():
    folders = {path.parent for path in syntax.CONFIGS.rglob("*.gin")}
    assert all((folder / "__init__.py").exists() for folder in folders)
