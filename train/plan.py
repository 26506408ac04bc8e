"""What a run would do: found out from labels alone, before any photograph is opened."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from evaluation import metrics
from input_pipeline import audit, photograph, prepare, splits, tasks
from train import ensemble, optimizers, phases, trainer
from train import recipe as recipes


def photographs(
    preparation: prepare.Preparation,
    data_dirs: Mapping[str, pathlib.Path],
    prepared_dir: pathlib.Path,
) -> list[photograph.Photograph]:
    """Lists the photographs of all datasets with their labels.

    Args:
        preparation: The datasets and their settings.
        data_dirs: Dataset's name -> its folder; without one it must be prepared.
        prepared_dir: Where prepared folders lie.

    Returns:
        The photographs, none of them opened.

    Raises:
        ValueError: A data folder is not as published, or neither it nor prepared
            photographs are there.
    """
    preparation.check_at_hand(data_dirs, prepared_dir)
    read = preparation.read(data_dirs)
    return [
        one
        for dataset in preparation.datasets
        for one in (
            read.get(dataset.name)
            or preparation.open(dataset, prepared_dir).photographs
        )
    ]


def check_labels(
    photographs: Sequence[photograph.Photograph],
    auditor: audit.Auditor,
    splitter: splits.Splitter,
    recipe: recipes.Recipe,
    names: Sequence[str],
) -> None:
    """Finds what a config gets wrong about a dataset.

    Args:
        photographs: All photographs of the experiment.
        auditor: Says which of them test.
        splitter: Makes the split.
        recipe: Its task, sampler and batch size are tried.
        names: The splits that will be used, "train" and "valid" among them.

    Raises:
        ValueError: The dataset does not answer the task, or has too few photographs
            for folds, a split, a batch or the monitored metric.
    """
    # Copies show only once the files are read; then `check_split` looks again.
    split = splitter.make(photographs, auditor.decide(photographs))
    check_split(photographs, split, recipe, names)


def check_split(
    photographs: Sequence[photograph.Photograph],
    split: splits.Split,
    recipe: recipes.Recipe,
    names: Sequence[str],
) -> None:
    """Refuses a split that cannot train or validate.

    Args:
        photographs: All photographs of the experiment.
        split: Which of them are in which split.
        recipe: Its task, sampler and batch size are tried.
        names: The splits that will be used, "train" and "valid" among them.

    Raises:
        ValueError: A split has too few photographs, or lacks a label or a class.
    """
    by_id = {one.id: one for one in photographs}
    labels = {}
    for name in names:
        if not split[name]:
            raise ValueError(
                f"There are no photographs in the split {name!r}. Check --data_dir, "
                "name a dataset that tests in `audit.test_on`, or take the split out "
                "of `evaluate.splits`."
            )
        labels[name] = recipe.task.labels([by_id[one] for one in split[name]])
    _check_monitor(recipe, np.array(labels["valid"]))
    rng = np.random.default_rng(recipe.seed)
    epoch = len(recipe.stream.sampler(np.array(labels["train"]), 0, rng))
    recipe.stream.check_epoch(epoch, len(labels["train"]))


def check_copies(audited: audit.Audit, task: tasks.Task) -> None:
    """Refuses an audit that let copies pass which contradict each other in the task.

    Args:
        audited: All photographs of the experiment.
        task: What will be asked of them.

    Raises:
        ValueError: Two copies that train or validate have different labels, and the
            audit's policy does not look at what makes the difference.
    """
    official = audited.decisions.split
    for copy in [] if task.random else audited.findings["copies"]:
        if "test" in (official.get(copy["first"]), official.get(copy["second"])):
            continue  # It counts as disputed, whatever the policy looks at.
        pair = [audited.collection.photograph(copy[end]) for end in ("first", "second")]
        first, second = (task.label(one) for one in pair)
        if copy["conflict"] is None and None not in (first, second) and first != second:
            must_agree = audited.findings["policy"]["must_agree"]
            raise ValueError(
                f"{pair[0].id} and {pair[1].id} are copies and have different labels "
                f"in the task {task.name!r} ({task.rule}), which the audit does not "
                "count as a contradiction. `audit.must_agree` must name the labels "
                "that the task asks for, as in audit.must_agree = ('macular_edema',). "
                f"Received: {tuple(must_agree)}."
            )


def _check_monitor(recipe: recipes.Recipe, labels: np.ndarray) -> None:
    """Raises if even a perfect model would leave a monitored metric undefined."""
    probabilities = np.eye(len(recipe.task.class_names))[labels]
    scores = metrics.score(labels, probabilities, recipe.task.disease_classes)
    monitors = [("train", recipe.monitor)]
    monitors += [
        (type(one).__name__, monitor)
        for one in recipe.callbacks
        if (monitor := getattr(one, "monitor", None))
    ]
    for name, monitor in monitors:
        metric = scores.get(monitor.removeprefix("val_"))
        if metric is not None and metric.value is None:
            raise ValueError(
                f"`{name}.monitor` is {monitor!r}, which the validation photographs do "
                "not define: they lack a class. Choose 'val_loss', or other folds."
            )


def training(built: trainer.Trainer) -> str:
    """Lines on the model and its training, for a person."""
    recipe, model = built.recipe, built.model
    every = list(zip(recipe.phases, built.phase_optimizers, strict=True))
    parameters = f"{model.count_params():,} parameters"
    epochs = phases.count(recipe.total_epochs)
    batches = f"batches of {recipe.stream.batch_size}"
    after = []
    if len(every) == 1:
        ((_, optimizer),) = every
        known = optimizers.describe(optimizer)
        parameters += f", {known['trainable_parameters']:,} of them trained"
        batches += f", {known['optimizer']}"
        after.append(f"Learning rate: {optimizers.rate_in_words(optimizer)}.")
    lines = [f"Model: {model.name}, {parameters}, {model.input_shape[1]} px."]
    if built.beginning:
        lines.append(built.beginning)
    if recipe.distillation:
        learns = recipe.distillation
        lines.append(
            f"It learns from {learns.teacher}, which counts {learns.weight:g}, at a "
            f"temperature of {learns.temperature:g}."
        )
    if len(every) > 1:
        lines += [
            f"Phase {number} of {len(every)}: {phases.in_words(*one)}."
            for number, one in enumerate(every, start=1)
        ]
        epochs += " in all"
    lines.append(
        f"Training: {epochs}, {batches}, on {built.strategy.num_replicas_in_sync} "
        f"device(s): {', '.join(built.devices)}."
    )
    return "\n".join([*lines, *after])


def members(some: Sequence[ensemble.Member]) -> str:
    """A line on the members of an ensemble; none where there is one training."""
    if len(some) == 1:
        return ""
    return f"This for each of {len(some)} members: {', '.join(m.name for m in some)}."
