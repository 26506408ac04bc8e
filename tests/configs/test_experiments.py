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
def test_an_experiment_includes_dataset_task_model_training_in_this_order(path):
    folders = [pathlib.Path(name).parent.name for name in included(path)]
    assert folders in (
        ["datasets", "tasks", "models", "training"],
        ["datasets", "tasks", "models", "training", "outputs"],
        # Another experiment, and what its choices are varied by.
        ["", "training"],
        ["", "training", "outputs"],
    )


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
    experiments = {path.name for path in EXPERIMENTS}
    every = {name for path in EXPERIMENTS for name in included(path)}
    included_parts = every - experiments
    others = {
        "datasets": DATASETS,
        "tasks": TASKS,
        "outputs": OUTPUTS,
        "models": MODELS,
        "training": ["random_labels"],
    }
    tried = {
        f"{folder}/{name}.gin" for folder, names in others.items() for name in names
    }
    assert parts == included_parts | tried


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


TASKS = {
    "any_dr": "any diabetic retinopathy: grade >= 1",
    "icdr_grades": "ICDR grade 0-4; disease: grade >= 2",
    "macular_edema": "risk of macular edema 0-2; disease: risk >= 1",
    "sight_threatening": "sight-threatening diabetic retinopathy: grade >= 3",
}
"""Task's config -> the rule that is printed with it."""

OUTPUTS = ("ordinal", "regression")


def plan(names, lines, data_dir, tmp_path) -> str:
    """What a dry run says of configs, the later of which override."""
    files = [f"{syntax.CONFIGS}/{name}.gin" for name in names]
    mode, entry_points = experiment.MODES["run"]
    bindings = loader.load(
        files, lines, entry_points, experiment.ENTRY_POINTS, written=True
    )
    where = experiment.Where(
        data_dirs={"": data_dir},
        prepared_dir=tmp_path / "prepared",
        run_dir=tmp_path / "run",
        bindings=experiment.deciding(bindings),
        dry_run=True,
    )
    return mode(where)


@pytest.mark.parametrize("name", DATASETS)
def test_a_datasets_config_takes_the_place_of_another(name, tmp_path):
    write, lines = DATASETS[name]
    folder = tmp_path / name
    write(folder)
    said = plan(["idrid_resnet_v2", f"datasets/{name}"], lines, folder, tmp_path)
    assert said.startswith("Nothing is wrong with the config. The plan:\n")


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_config_takes_the_place_of_another(name, idrid_like, tmp_path):
    said = plan(["idrid_resnet_v2", f"tasks/{name}"], [], idrid_like, tmp_path)
    assert f"\nTask: {TASKS[name]}.\n" in said


@pytest.mark.parametrize("task", ["referable", *TASKS])
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_outputs_config_fits_every_task(name, task, idrid_like, tmp_path):
    names = ["idrid_resnet_v2", f"tasks/{task}", f"outputs/{name}"]
    said = plan(names, [], idrid_like, tmp_path)
    assert said.startswith("Nothing is wrong with the config. The plan:\n")


def test_an_output_without_its_calibration_is_refused(idrid_like, tmp_path):
    lines = ["train.output = @regression()", "train.loss = @Huber()"]
    message = r"'cut_points', 'isotonic' or None with the output 'regression'\. Recei"
    with pytest.raises(ValueError, match=message):
        plan(["idrid_resnet_v2"], lines, idrid_like, tmp_path)
    lines.append("evaluate.calibrate = 'cut_points'")
    assert "Nothing is wrong" in plan(["idrid_resnet_v2"], lines, idrid_like, tmp_path)


@pytest.mark.parametrize(
    "lines",
    [
        ["train.loss = @focal()", "focal.gamma = 1.0"],
        [
            "train.loss = @smoothed_crossentropy()",
            "smoothed_crossentropy.label_smoothing = 0.05",
        ],
        [
            "training_stream.class_weights = (1.0, 2.5)",
            "training_stream.sampler = @every_photograph_once",
        ],
    ],
    ids=["focal", "label smoothing", "class weights"],
)
def test_a_loss_is_a_line_of_a_config(lines, idrid_like, tmp_path):
    said = plan(["idrid_resnet_v2"], lines, idrid_like, tmp_path)
    assert said.startswith("Nothing is wrong with the config. The plan:\n")


MODELS = ("efficientnet_lite0", "mobilenet", "resnet50")


@pytest.mark.parametrize("name", MODELS)
def test_a_models_config_takes_the_place_of_another(name, idrid_like, tmp_path):
    lines = ["pretrained.weights = None", "prepare.image_size = 64"]
    said = plan(["idrid_resnet_v2", f"models/{name}"], lines, idrid_like, tmp_path)
    assert f"\nModel: {name.partition('_')[0]}" in said


def test_every_folder_of_configs_is_a_package_so_that_it_is_installed():
    folders = {path.parent for path in syntax.CONFIGS.rglob("*.gin")}
    assert all((folder / "__init__.py").exists() for folder in folders)
