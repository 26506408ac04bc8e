"""Does a heatmap depend on what the labels mean?

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 4.2: data
randomisation. A second model learns the same photographs by heart with labels that mean
nothing (`tasks.random_labels`). A method whose maps of the two models are alike shows
the photographs, not the relation of what is seen to what is asked.
"""

import pathlib
import zipfile
from typing import Any

import keras
import numpy as np

from evaluation import members, networks
from input_pipeline import splits, tasks, whole_files
from models import outputs
from visualization import sanity


def load(
    folder: pathlib.Path, model: keras.Model, task: tasks.Task, output: outputs.Output
) -> networks.Network:
    """Loads the network of a run that was trained on random labels.

    Args:
        folder: Its run directory.
        model: The model that is explained.
        task: What that one was trained for.
        output: How its logits become probabilities.

    Returns:
        The other network.

    Raises:
        FileNotFoundError: The folder has no trained model.
        ValueError: It was trained for other classes or on labels that mean something,
            has another output or another size, is the same model, or an ensemble.
    """
    file, described = folder / "model.keras", folder / "task.json"
    split = folder / "split.json"
    for one in (file, described, split):
        if not one.exists():
            raise FileNotFoundError(
                f"--random_labels: {one} does not exist. Name the directory of a "
                "finished run with `train.task = @random_labels()`."
            )
    content = whole_files.read_json(described)
    received = content["task"]["class_names"], content["output"]
    expected = list(task.class_names), output.name
    if received != expected:
        raise ValueError(
            f"--random_labels: {folder} must have the classes and the output of this "
            f"run, {expected[0]} and {expected[1]!r}. Received: {received[0]} and "
            f"{received[1]!r}."
        )
    name = content["task"]["name"]
    if name != f"{task.name}_random_labels":
        raise ValueError(
            f"--random_labels: {folder} must have learnt labels that mean nothing: "
            f"`train.task = @random_labels()` of the task {task.name!r}. Received: the "
            f"task {name!r}. Train it with configs/training/random_labels.gin behind "
            "the run's own gin file."
        )
    if (folder / members.ENSEMBLE).exists():
        names = list(members.histories(folder))
        raise ValueError(
            f"--random_labels: {folder} must be one training. Received: an ensemble of "
            f"{len(names)}. Name one of them: {folder / members.FOLDER / names[0]}."
        )
    try:
        other = keras.models.load_model(file, compile=False)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"--random_labels: {file} cannot be read: {error}") from error
    if other.input_shape != model.input_shape:
        raise ValueError(
            f"--random_labels: {file} must take photographs of this run's size, "
            f"{model.input_shape[1:3]}. Received: {other.input_shape[1:3]}."
        )
    weights = zip(model.get_weights(), other.get_weights(), strict=False)
    if all(np.array_equal(one, two) for one, two in weights):
        raise ValueError(
            f"--random_labels: {file} must be another model. Received: the one that is "
            "explained."
        )
    return networks.Network(folder.name, other, splits.Split.load(split).train)


def by_heart(folder: pathlib.Path) -> float | None:
    """How well a run learnt its random labels.

    Args:
        folder: Its run directory.

    Returns:
        The accuracy of its last epoch of training, 0-1; None if nobody noted it. What
        was not learnt by heart is no network to compare with.
    """
    history = folder / "history.json"
    if not history.exists():
        return None
    return whole_files.read_json(history)["epochs"][-1].get("accuracy")


def compare(
    learnt: np.ndarray, random: np.ndarray, images: np.ndarray
) -> dict[str, Any]:
    """Compares the maps of a model with those of one that learnt random labels.

    Args:
        learnt: float array of shape `(batch, height, width)`, 0-1.
        random: The same, of the other model.
        images: uint8 array of shape `(batch, height, width, 3)`, RGB, 0-255.

    Returns:
        What `sanity.likeness` says, and `passes`.
    """
    found = sanity.likeness(learnt, random, images)
    return found | {"passes": sanity.differs(found)}
