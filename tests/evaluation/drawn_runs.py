"""Evaluated runs without a model: folders as training and evaluation leave them."""

import json

import numpy as np

from evaluation import decision, evaluate, operating_point, predictions
from input_pipeline import tasks

BINDINGS = {"prepare.image_size": "64", "train.epochs": "2"}


def grades(n=60, seed=0):
    """Grades 0-4 of drawn photographs."""
    return np.random.default_rng(seed).choice(5, n, p=[0.35, 0.1, 0.3, 0.15, 0.1])


def ids(n, split="test"):
    return [f"drawn/{split}/{number:03}" for number in range(n)]


def logits_of(labels, num_classes, skill, seed):
    """Higher for the true class, the more so the greater the skill."""
    noise = np.random.default_rng(seed).normal(size=(len(labels), num_classes))
    return (skill * np.eye(num_classes)[labels] + noise).astype(np.float32)


def predicted(labels, names, num_classes, *, skill=1.5, seed=0, split="test", **known):
    """What a model of some skill says; `known` is listed, or of all alike."""
    logits = logits_of(labels, num_classes, skill, seed)
    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    usual = {"dataset": "drawn", "size": "536x356"} | known
    values = {name: usual.get(name, "") for name in predictions.KNOWN}
    return predictions.Predictions(
        split=split,
        ids=list(names),
        labels=np.asarray(labels),
        probabilities=shares,
        uncalibrated=shares,
        logits=logits,
        metadata=None,
        known={
            name: [value] * len(names) if isinstance(value, str) else list(value)
            for name, value in values.items()
        },
    )


def write_evaluation(folder, task, said, threshold=0.5):
    """`predictions.csv` and `metrics.json`, the latter without its results."""
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write_csv(folder / "predictions.csv", said, task.class_names)
    diseased = np.isin(said[0].labels, task.disease_classes)
    point = operating_point.Fixed(threshold=threshold)(
        diseased, said[0].probabilities[:, list(task.disease_classes)].sum(axis=1)
    )
    content = {
        "task": task.description(),
        "evaluation": evaluate.Evaluator().description(),
        "decision": decision.Decision(None, point, "drawn").description(),
        "results": {},
    }
    (folder / "metrics.json").write_text(json.dumps(content))


def write_run(
    folder,
    *,
    task=None,
    label=lambda grade: int(grade >= 2),
    skill=1.5,
    seed=0,
    n=60,
    names=None,
    train=(),
    valid=(),
    bindings=(),
    threshold=0.5,
    split="test",
    **known,
):
    """Writes a run of `referable`, or of another task with its label of a grade."""
    task = task or tasks.referable()
    names = ids(n, split) if names is None else names
    labels = np.array([label(grade) for grade in grades(len(names))])
    said = predicted(
        labels,
        names,
        len(task.class_names),
        skill=skill,
        seed=seed,
        split=split,
        **known,
    )
    write_evaluation(folder, task, [said], threshold)
    held = {name: list(some) for name, some in (("train", train), ("valid", valid))}
    contents = {
        "bindings.json": BINDINGS | dict(bindings),
        "task.json": {"task": task.description(), "data_fingerprint": "0" * 16},
        "split.json": held | {"test": list(names), "left_out": {}, "disputed": []},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "config.gin").write_text("")
    return folder
