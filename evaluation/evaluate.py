"""Evaluation of a trained model: predictions, a decision, figures with intervals."""

import collections
import dataclasses
import pathlib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gin
import numpy as np

from evaluation import (
    assessment,
    decision,
    dropout,
    external,
    intervals,
    members,
    metrics,
    networks,
    predict,
    predictions,
    recalibration,
    sites,
    table,
    uncertainty,
)
from evaluation import operating_point as operating_points
from input_pipeline import (
    audit,
    images,
    photograph,
    records,
    shortcut,
    tasks,
    whole_files,
)
from input_pipeline import splits as stored_splits
from input_pipeline.datasets import dataset
from models import outputs
from visualization import curves, figures


@gin.register("evaluate")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluator:
    """How a model is evaluated.

    Attributes:
        splits: Which splits, in this order.
        operating_point: How the threshold is chosen, on the validation photographs.
        calibrate: How probabilities are calibrated, on the same, or None: one of the
            output's `calibrations`.
        test_time_augmentation: Views over which each prediction is averaged, those that
            choose the threshold too, or None.
        prevalence: Share of the diseased for which PPV and NPV are given besides those
            of the photographs at hand, 0-1 exclusive.
        resamples: Bootstrap resamples behind an interval.
        seed: Decides the resamples, and what passes with dropout drop.
        on: Other datasets to evaluate on, by the decision of the run as it is.
        on_splits: Which published splits of those; none: the published test split, or
            all of a dataset without one.
        recalibrate: How each of them chooses a threshold of its own too, or None.
        dropout_samples: Passes with dropout that tell how sure the model is; 0: none.
    """

    splits: Sequence[str] = ("valid", "test")
    operating_point: operating_points.Rule = dataclasses.field(
        default_factory=operating_points.Fixed
    )
    calibrate: decision.Method | None = "temperature"
    test_time_augmentation: predict.Symmetries | None = None
    prevalence: float | None = None
    resamples: int = 2000
    seed: int = 0
    on: Sequence[dataset.Dataset] = ()
    on_splits: Sequence[photograph.Split] = ()
    recalibrate: recalibration.Recalibration | None = None
    dropout_samples: int = 0

    def __post_init__(self):
        if not self.splits:
            raise ValueError("`evaluate.splits` must name a split. Received: ().")
        for name in ("splits", "on_splits"):
            given = getattr(self, name)
            known = {"train", "valid", "test"}
            if not set(given) <= known or len(set(given)) < len(given):
                raise ValueError(
                    f"`evaluate.{name}` must name some of 'train', 'valid', 'test', "
                    f"once. Received: {given!r}."
                )
        names = [one.name for one in self.on]
        if len(set(names)) < len(names):
            raise ValueError(
                "`evaluate.on` must list datasets with names of their own. "
                f"Received: {names}."
            )
        for name in ("on_splits", "recalibrate"):
            if getattr(self, name) and not self.on:
                raise ValueError(
                    f"`evaluate.{name}` is about other datasets, and `evaluate.on` "
                    "lists none. Name them, as in evaluate.on = [@messidor2()]."
                )
        if self.dropout_samples < 0 or self.dropout_samples == 1:
            raise ValueError(
                "`evaluate.dropout_samples` must be at least 2, or 0. "
                f"Received: {self.dropout_samples}."
            )
        if self.seed < 0:
            raise ValueError(
                f"`evaluate.seed` must be at least 0. Received: {self.seed}."
            )
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ValueError(
                "`evaluate.prevalence` must be between 0 and 1, or None. "
                f"Received: {self.prevalence}."
            )
        intervals.check_settings(self.resamples, 0.95)

    def description(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        return {
            "splits": list(self.splits),
            "operating_point": repr(self.operating_point),
            "calibrate": self.calibrate,
            "test_time_augmentation": self._views(),
            "prevalence": self.prevalence,
            "resamples": self.resamples,
            "seed": self.seed,
            "on": [one.name for one in self.on],
            "on_splits": list(self.on_splits),
            "recalibrate": self.recalibrate and repr(self.recalibrate),
            "dropout_samples": self.dropout_samples,
        }

    def _views(self) -> dict[str, bool] | None:
        views = self.test_time_augmentation
        return views and dataclasses.asdict(views)

    def check_networks(self, asked: Sequence[networks.Network]) -> None:
        """Raises ValueError if passes with dropout are asked of what has none."""
        if not self.dropout_samples:
            return
        if len(asked) > 1:
            raise ValueError(
                f"`evaluate.dropout_samples` is for one network. Received: an ensemble "
                f"of {len(asked)}, whose members already tell how sure they are. Take "
                "it back."
            )
        dropout.Passes(asked[0].model, self.dropout_samples, self.seed)

    def evaluate(
        self,
        asked: Sequence[networks.Network],
        task: tasks.Task,
        output: outputs.Output,
        audited: audit.Audit,
        split: stored_splits.Split,
        folder: pathlib.Path,
        others: Sequence[external.External] = (),
        frozen: "Frozen | None" = None,
        on_decided: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Predicts, decides and scores.

        Writes `decision.json`, `predictions.csv`, `figures/` and last `metrics.json`;
        of other datasets `external.json` too, and with a threshold of their own
        `local/<dataset>/decision.json`; of several networks `members.csv`.

        Args:
            asked: The trained networks; each photograph is answered by those that have
                not trained on it.
            task: What they were trained for.
            output: How their logits become probabilities.
            audited: The photographs.
            split: Which photographs are in which split.
            folder: Where the results go.
            others: The photographs of the datasets in `on`.
            frozen: What the run decided and said before; None: it decides now.
            on_decided: Called once calibration and threshold stand, before any
                photograph is read that must decide nothing.

        Returns:
            The content of `metrics.json`.

        Raises:
            ValueError: The model has no dropout, or a sample does not allow what its
                rule asks.
        """
        asked = _Asked(asked, task, output, self)
        folder.mkdir(parents=True, exist_ok=True)
        own, validation = audited.collection, None
        if frozen is not None:
            decided = frozen.decided
        else:
            validation = asked.answers(own, split.valid)
            out_of_fold = asked.is_ensemble and not split.train
            decided = decision.choose(
                self.operating_point,
                self.calibrate,
                task,
                output,
                asked.labels(own, split.valid),
                validation.logits,
                chosen_on=decision.chosen_on(len(split.valid), out_of_fold),
            )
            decided = dataclasses.replace(decided, test_time_augmentation=self._views())
        on_decided()
        said = []
        for name in self.splits:
            if frozen is not None and name in frozen.said:
                said.append(frozen.said[name])
                continue
            answers = validation if name == "valid" else None
            said.append(asked.say(name, own, split[name], split, decided, answers))
        for one in others:
            for name, ids in one.parts.items():
                said.append(asked.say(name, one.collection, ids, one, decided))
        decided.save(folder)
        if others:
            described = {one.name: one.description() for one in others}
            whole_files.write_json(folder / external.FILE, described)
        predictions.write_csv(folder / "predictions.csv", said, task.class_names)
        spread = {}
        if asked.is_ensemble:
            members.write_csv(folder / members.FILE, asked.said)
            settings = self.settings(task, decided)
            spread = {
                "members_sha256": records.file_sha256(folder / members.FILE),
                "members": members.score(asked.said, said, output, decided, settings),
            }
        return self.write(said, task, decided, folder, others, spread)

    def settings(
        self, task: tasks.Task, decided: decision.Decision
    ) -> assessment.Settings:
        """How figures are computed of a task at a decided threshold."""
        return assessment.Settings(
            disease_classes=task.disease_classes,
            threshold=decided.threshold,
            prevalence=self.prevalence,
            resamples=self.resamples,
            seed=self.seed,
        )

    def write(
        self,
        said: Sequence[predictions.Predictions],
        task: tasks.Task,
        decided: decision.Decision,
        folder: pathlib.Path,
        others: Sequence[external.External] = (),
        spread: Mapping[str, Any] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """Scores predictions; writes `figures/` and last `metrics.json`.

        Args:
            said: Those of each split.
            task: What they answer.
            decided: The threshold.
            folder: Where the results go, and where `predictions.csv` lies.
            others: The photographs of the datasets in `on`.
            spread: Of several networks, what is to be told of each.

        Returns:
            The content of `metrics.json`.
        """
        settings = self.settings(task, decided)
        local = self._recalibrate(said, task, decided, settings, folder)
        content = {
            "task": task.description(),
            "evaluation": self.description(),
            "decision": decided.description(),
            "predictions_sha256": records.file_sha256(folder / "predictions.csv"),
            "results": assessment.assess(said, settings),
        }
        if others:
            content["external_sha256"] = records.file_sha256(folder / external.FILE)
            content["others"] = {
                one.name: external.count(one.name, one.description()) for one in others
            }
        if local:
            content["recalibrated"] = local
        content |= spread
        for one in said:
            _draw(one, content["results"][one.split], task, folder / "figures")
        whole_files.write_json(folder / "metrics.json", content)
        return content

    def _recalibrate(
        self,
        said: Sequence[predictions.Predictions],
        task: tasks.Task,
        decided: decision.Decision,
        settings: assessment.Settings,
        folder: pathlib.Path,
    ) -> dict[str, dict]:
        """Other dataset -> its own threshold, and what that does; writes decisions."""
        if self.recalibrate is None:
            return {}
        by_name = {one.split: one for one in said}
        found = {}
        for name in [one.name for one in self.on]:
            local = self.recalibrate.choose(
                by_name[f"{name} sample"], task.disease_classes, decided, name
            )
            found[name] = recalibration.describe(local, by_name.get(name), settings)
            (folder / "local" / name).mkdir(parents=True, exist_ok=True)
            local.save(folder / "local" / name)
        return found


class _Asked:
    """Networks that are asked about photographs, once or in many passes."""

    def __init__(
        self,
        asked: Sequence[networks.Network],
        task: tasks.Task,
        output: outputs.Output,
        evaluator: Evaluator,
    ):
        evaluator.check_networks(asked)
        self.is_ensemble = len(asked) > 1
        self.said: list[members.Said] = []
        self._networks, self._task, self._output = asked, task, output
        self._passes = None
        if count := evaluator.dropout_samples:
            self._passes = dropout.Passes(asked[0].model, count, evaluator.seed)
        self._together = networks.Networks(asked, evaluator.test_time_augmentation)

    def labels(self, collection: records.Collection, ids: Sequence[str]) -> np.ndarray:
        return np.array(self._task.labels([collection.photograph(one) for one in ids]))

    def answers(
        self, collection: records.Collection, ids: Sequence[str]
    ) -> networks.Answers:
        return self._together(collection, ids)

    def say(
        self,
        name: str,
        collection: records.Collection,
        ids: Sequence[str],
        known: stored_splits.Split | external.External,
        decided: decision.Decision,
        answers: networks.Answers | None = None,
    ) -> predictions.Predictions:
        """What they say of the photographs of one part, and what is known of them."""
        if answers is None:
            answers = self.answers(collection, ids)
        if self.is_ensemble:
            names = [one.name for one in self._networks]
            self.said.append(members.Said(name, ids, names, answers.of_each))
        several = members.several(answers.of_each)
        if self._passes is not None:
            several = self._passes(images.open(collection, ids))
        disagreement = {}
        if several is not None:
            disagreement = uncertainty.disagreement(
                np.stack([decided.probabilities(self._output, one) for one in several]),
                self._task.disease_classes,
            )
        return predictions.Predictions(
            split=name,
            ids=ids,
            labels=self.labels(collection, ids),
            probabilities=decided.probabilities(self._output, answers.logits),
            uncalibrated=self._output.probabilities(answers.logits),
            logits=answers.logits,
            metadata=self._metadata(collection, ids),
            known=describe(collection, known, ids),
            disagreement=disagreement,
        )

    def _metadata(
        self, collection: records.Collection, ids: Sequence[str]
    ) -> np.ndarray:
        """What metadata alone tell, learnt on what the answering networks learnt on."""
        known_to = [one.known for one in self._networks]
        answering = networks.answering(known_to, ids)
        total = np.zeros((len(ids), len(self._task.class_names)))
        for network, places in zip(self._networks, answering, strict=True):
            if places.any():
                some = [key for key, place in zip(ids, places, strict=True) if place]
                total[places] += from_metadata_alone(
                    self._task, collection, network.train, some
                )
        return total / answering.sum(axis=0)[:, None]


def settings_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a `metrics.json`, as `Evaluator.description` gives them.

    Earlier versions had fewer: what they did not have is as by default.
    """
    return Evaluator().description() | content["evaluation"]


def says_the_same(done: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether two settings make a model say the same of a photograph."""
    names = ["test_time_augmentation", "dropout_samples"]
    names += ["seed"] if asked["dropout_samples"] else []
    return all(done[name] == asked[name] for name in names)


@dataclasses.dataclass(frozen=True)
class Frozen:
    """What an evaluated run decided and said, to be used as it is.

    Attributes:
        decided: Its calibration and threshold.
        said: Split -> what it said of it.
    """

    decided: decision.Decision
    said: Mapping[str, predictions.Predictions]


def describe(
    collection: records.Collection,
    split: stored_splits.Split | external.External,
    ids: Sequence[str],
) -> dict[str, list[str]]:
    """What is known of photographs, as `predictions.KNOWN` lists it."""
    photographs = [collection.photograph(one) for one in ids]
    entries = [collection.entries[one] for one in ids]
    disputed = set(split.disputed)
    return {
        "dataset": [one.origin for one in photographs],
        "grade": ["" if one.grade is None else str(one.grade) for one in photographs],
        "patient": [one.patient or "" for one in photographs],
        "eye": [one.eye or "" for one in photographs],
        "size": [f"{one['width']}x{one['height']}" for one in entries],
        "brightness": [f"{one['quality']['brightness']:.1f}" for one in entries],
        "sharpness": [f"{one['quality']['sharpness']:.4f}" for one in entries],
        "disputed": ["1" if one in disputed else "" for one in ids],
    }


def from_metadata_alone(
    task: tasks.Task,
    collection: records.Collection,
    train_ids: Sequence[str],
    ids: Sequence[str],
) -> np.ndarray:
    """What size, file type, camera and dataset tell of photographs.

    Returns:
        float64 array of shape `(n, num_classes)`, 0-1.
    """
    train = [collection.photograph(one) for one in train_ids]
    return shortcut.fit_predict(
        shortcut.columns(collection, train_ids),
        np.array(task.labels(train)),
        shortcut.columns(collection, ids),
        num_classes=len(task.class_names),
    )


def _draw(
    said: predictions.Predictions,
    scores: dict[str, Any],
    task: tasks.Task,
    folder: pathlib.Path,
) -> None:
    names = ", ".join(sorted(set(said.known["dataset"])))
    title = f"{names}, {said.split}: {task.rule}"
    disease = metrics.disease_probability(said.probabilities, task.disease_classes)
    auc = scores["metrics"]["auc"]
    interval = (auc["low"], auc["high"]) if auc.get("low") is not None else None
    pictures = {
        "confusion_matrix": figures.confusion_matrix(
            np.array(scores["confusion_matrix"]), task.class_names, title
        ),
        "roc": curves.roc(
            np.isin(said.labels, task.disease_classes),
            disease,
            title,
            interval=interval,
        ),
        "scores": figures.score_distribution(
            said.labels,
            disease,
            task.class_names,
            title,
            disease_classes=task.disease_classes,
            threshold=scores["threshold"],
        ),
    }
    for name, figure in pictures.items():
        file = f"{name}_{said.split.replace(' ', '_')}.png"
        figures.save(figure, folder / file)


def report(content: dict[str, Any]) -> str:
    """The tables of `metrics.json`, for the terminal."""
    names = content["task"]["class_names"]
    point = content["decision"]["operating_point"]
    how = operating_points.in_words(point, content["decision"]["chosen_on"])
    texts = [
        f"Task: {content['task']['rule']}",
        f"Threshold {point['threshold']:.3f} on the probability of disease: {how}.",
    ]
    if note := content["decision"]["note"]:
        texts.append(f"Probabilities are uncalibrated. {note}")
    for part, scores in content["results"].items():
        if part.partition(" ")[0] in content.get("others", ()):
            continue  # Of a dataset that stands beside the run's own.
        texts.append(f"{part}\n{table.render(scores, names)}")
        alone = scores["metadata_alone"]
        if alone is not None and alone["auc"] is not None:
            texts.append(
                f"Size, file type, camera and dataset alone: AUC {alone['auc']:.3f}, "
                f"balanced accuracy {alone['balanced_accuracy']:.3f}."
            )
        texts += [_said_of_referral(scores)] if "referral_by" in scores else []
    if "members" in content:
        texts.append(members.report(content["members"]))
    if "others" in content:
        texts += _report_on_others(content)
    if collapsed := _collapsed(content):
        texts.append(collapsed)
    return "\n\n".join(texts)


def _collapsed(content: dict[str, Any]) -> str:
    """A warning of parts whose photographs all get one class; "" without any."""
    found = collections.defaultdict(list)
    for part, scores in content["results"].items():
        only = metrics.only_class(np.array(scores["confusion_matrix"]))
        if only is not None:
            found[content["task"]["class_names"][only]].append(part)
    return "\n".join(
        f"Warning: the model has collapsed. In {', '.join(parts)} it gives every "
        f"photograph the same class, {name}."
        for name, parts in found.items()
    )


def _said_of_referral(scores: dict[str, Any]) -> str:
    """What referring the least certain gains, by each way to tell who they are."""
    curves = {"entropy": scores["referral"], **scores["referral_by"]}
    gains = [
        f"{'undefined' if one['gain'] is None else format(one['gain'], '+.3f')} "
        f"by {name.replace('_', ' ')}"
        for name, one in curves.items()
    ]
    return (
        "Mean gain in balanced accuracy where up to half, the least certain, are "
        f"referred: {', '.join(gains)}."
    )


def _report_on_others(content: dict[str, Any]) -> list[str]:
    """Other datasets beside the run's own photographs."""
    texts = []
    for name, one in content["others"].items():
        sample = f" and a sample of {one['sample']:,}" if one["sample"] else ""
        texts.append(
            f"{name}: {one['read']}, {one['photographs']:,} photographs{sample}. "
            f"Left out: {sites.left_out(one)}."
        )
        if local := content.get("recalibrated", {}).get(name):
            texts.append(f"{name}'s own threshold {sites.own_threshold(local)}")
    names = content["task"]["class_names"]
    texts = [textwrap.fill(one, table.WIDTH) for one in texts]
    beside = table.side_by_side(sites.columns(content), names)
    return [*texts, f"Side by side\n\n{beside}"]
