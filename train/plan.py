"""What a run would do: found out from labels alone, before any photograph is opened."""

import pathlib
from collections.abc import Sequence

import numpy as np

from evaluation import metrics
from input_pipeline import photograph, prepare, splits
from train import recipe as recipes
from train import trainer


def photographs(
    preparation: prepare.Preparation,
    data_dir: pathlib.Path | None,
    prepared_dir: pathlib.Path,
) -> list[photograph.Photograph]:
    """Lists a dataset's photographs with their labels.

    Args:
        preparation: The dataset and its settings.
        data_dir: The dataset's folder; None if its photographs are prepared.
        prepared_dir: Where prepared folders lie.

    Returns:
        The photographs, none of them opened.

    Raises:
        ValueError: The data folder is not as published, or neither it nor prepared
            photographs are there.
    """
    if data_dir is not None:
        return preparation.dataset.read(data_dir)
    return preparation.run(None, prepared_dir).photographs


def check_labels(
    photographs: Sequence[photograph.Photograph],
    splitter: splits.Splitter,
    recipe: recipes.Recipe,
    names: Sequence[str],
) -> None:
    """Finds what a config gets wrong about a dataset.

    Args:
        photographs: The dataset's photographs.
        splitter: Makes the split.
        recipe: Its task, sampler and batch size are tried.
        names: The splits that will be used, "train" and "valid" among them.

    Raises:
        ValueError: The dataset does not answer the task, or has too few photographs
            for folds, a split, a batch or the monitored metric.
    """
    # Checksums would need the files, so that copies count as different here.
    split = splitter.make(photographs, {one.id: one.id for one in photographs})
    by_id = {one.id: one for one in photographs}
    labels = {}
    for name in names:
        if not split[name]:
            raise ValueError(
                f"The dataset has no photographs in its split {name!r}. Check "
                "--data_dir, or take the split out of `evaluate.splits`."
            )
        labels[name] = recipe.task.labels([by_id[one] for one in split[name]])
    _check_monitor(recipe, np.array(labels["valid"]))
    rng = np.random.default_rng(recipe.seed)
    epoch = len(recipe.stream.sampler(np.array(labels["train"]), rng))
    if epoch < recipe.stream.batch_size:
        raise ValueError(
            "`training_stream.batch_size` must not exceed the photographs of an epoch. "
            f"Received: {recipe.stream.batch_size} with {epoch} photographs. Lower it."
        )


def _check_monitor(recipe: recipes.Recipe, labels: np.ndarray) -> None:
    """Raises if even a perfect model would leave the monitored metric undefined."""
    probabilities = np.eye(len(recipe.task.class_names))[labels]
    scores = metrics.score(labels, probabilities, recipe.task.disease_classes)
    metric = scores.get(recipe.monitor.removeprefix("val_"))
    if metric is not None and metric.value is None:
        raise ValueError(
            f"`train.monitor` is {recipe.monitor!r}, which the validation photographs "
            "do not define: they lack a class. Choose 'val_loss', or other folds."
        )


def training(built: trainer.Trainer) -> str:
    """Lines on the model and its training, for a person."""
    recipe, model = built.recipe, built.model
    return (
        f"Model: {model.name}, {model.count_params():,} parameters, "
        f"{model.input_shape[1]} px.\n"
        f"Training: {recipe.epochs} epochs, batches of {recipe.stream.batch_size}, "
        f"{type(built.optimizer).__name__}, on "
        f"{built.strategy.num_replicas_in_sync} device(s)."
    )
