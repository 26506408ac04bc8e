"""Explains a trained model: pictures, and how far its heatmaps can be believed."""

import csv
import dataclasses
import io
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import gin
import keras
import numpy as np
import tensorflow as tf
from absl import logging

from evaluation import decision, intervals, predict
from input_pipeline import (
    annotated,
    audit,
    images,
    lesion_masks,
    progress,
    records,
    tasks,
)
from input_pipeline import splits as stored_splits
from input_pipeline.datasets import idrid_masks
from models import outputs
from visualization import (
    baselines,
    explainer,
    explanation_figures,
    figures,
    grad_cam,
    guided_backprop,
    insertion_deletion,
    integrated_gradients,
    layer_cam,
    lesion_agreement,
    occlusion,
    sanity,
)

FILE = "scores.json"

OUTCOMES = ("hits", "misses_by_one", "misses_by_more")
"""Galleries: by how many classes a prediction is off."""

_BATCH = 16
_CHECKED = 8  # Photographs behind the sanity check.
_ORDER = ("any_lesion", *lesion_masks.LESIONS, lesion_masks.CONTROL)
_POOLED = {"not trained on": ("valid", "unseen")}


def _every_method() -> tuple[explainer.Explainer, ...]:
    return (
        grad_cam.GradCam(),
        layer_cam.LayerCam(),
        integrated_gradients.IntegratedGradients(),
        guided_backprop.GuidedBackprop(),
        guided_backprop.GuidedGradCam(),
        occlusion.Occlusion(),
    )


@gin.register("explain")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanations:
    """What is explained, by which methods, and what it is measured against.

    Attributes:
        methods: The attribution methods; by default all there are.
        explained: Which class: the most probable one that means disease, or the one
            that is predicted.
        splits: Which splits are pictured.
        photographs: How many photographs of each outcome are pictured, at most.
        masks: Layouts in which lesion masks are looked for in the data folders.
        tolerance: Of the pointing game, as a share of the side.
        opacity: Of overlays, 0-1.
        resamples: Bootstrap resamples behind an interval.
        seed: Decides the resamples.
        name: Subfolder of `explanations/`, for settings other than the first.
    """

    methods: Sequence[explainer.Explainer] = dataclasses.field(
        default_factory=_every_method
    )
    explained: Literal["disease", "predicted"] = "disease"
    splits: Sequence[str] = ("valid",)
    photographs: int = 12
    masks: Sequence[lesion_masks.Source] = dataclasses.field(
        default_factory=lambda: (idrid_masks.idrid_masks(),)
    )
    tolerance: float = 0.02
    opacity: float = 0.6
    resamples: int = 2000
    seed: int = 0
    name: str = ""

    def __post_init__(self):
        known = {"train", "valid", "test"}
        if not set(self.splits) <= known or len(set(self.splits)) < len(self.splits):
            raise ValueError(
                "`explain.splits` must name some of 'train', 'valid', 'test', once. "
                f"Received: {self.splits!r}."
            )
        names = [one.name for one in self.methods]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "`explain.methods` must hold methods of different names. Received: "
                f"{names}."
            )
        if self.explained not in ("disease", "predicted"):
            raise ValueError(
                "`explain.explained` must be 'disease' or 'predicted'. Received: "
                f"{self.explained!r}."
            )
        for name, value in (("tolerance", self.tolerance), ("opacity", self.opacity)):
            if not 0 <= value <= 1:
                raise ValueError(f"`explain.{name}` must be 0-1. Received: {value}.")
        if self.photographs < 1 or self.seed < 0:
            raise ValueError(
                "`explain.photographs` must be at least 1 and `explain.seed` at least "
                f"0. Received: {self.photographs} and {self.seed}."
            )
        if "/" in self.name or self.name in (".", ".."):
            raise ValueError(
                f"`explain.name` must name a folder. Received: {self.name!r}."
            )
        intervals.check_settings(self.resamples, 0.95)

    def description(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        plain = (
            "explained",
            "photographs",
            "tolerance",
            "opacity",
            "resamples",
            "seed",
        )
        return {
            "methods": [repr(one) for one in self.methods],
            "splits": list(self.splits),
            "masks": [one.name for one in self.masks],
            **{name: getattr(self, name) for name in plain},
        }

    def explain(
        self,
        model: keras.Model,
        task: tasks.Task,
        output: outputs.Output,
        decided: decision.Decision | None,
        audited: audit.Audit,
        split: stored_splits.Split,
        data_dirs: Sequence[pathlib.Path],
        folder: pathlib.Path,
        board: pathlib.Path,
    ) -> dict[str, Any]:
        """Writes pictures, `lesion_scores.csv` and last `scores.json`.

        Args:
            model: A trained model.
            task: What it was trained for.
            output: How its logits become probabilities.
            decided: The run's calibration, or None before there is one.
            audited: The photographs.
            split: Which photographs are in which split.
            data_dirs: Folders in which lesion masks may lie.
            folder: Where the results go.
            board: Where TensorBoard looks for galleries.

        Returns:
            The content of `scores.json`.

        Raises:
            ValueError: None of the methods can explain this model, a split is empty, or
                a photograph or a mask cannot be read.
        """
        for name in self.splits:
            if not split[name]:
                raise ValueError(
                    f"The split has no photographs in {name!r}. Take it out of "
                    "`explain.splits`."
                )
        folder.mkdir(parents=True, exist_ok=True)
        said = _Said(model, task, output, decided, self.explained)
        methods = _Methods(self.methods, model, output)
        content = {
            "settings": self.description(),
            "task": task.description(),
            "pictures": {},
            "lesions": None,
            "sanity": {},
        }
        writer = tf.summary.create_file_writer(str(board))
        with writer.as_default(step=0):
            for name in self.splits:
                content["pictures"][name] = self._picture(
                    name, said, methods, audited, split, folder
                )
        writer.close()
        found = [
            one
            for layout in self.masks
            for data_dir in data_dirs
            for one in layout.read(data_dir)
            if one.masks
        ]
        if found:
            photographs = annotated.read(found, audited, split)
            content["lesions"] = self._lesions(photographs, said, methods, folder)
        if self.splits:
            images_of = images.open(audited.collection, split[self.splits[0]])
            chosen = _evenly(np.arange(len(images_of)), _CHECKED)
            pictures = images_of.take(chosen)
            classes = said.explained(said.of(pictures))
            content["sanity"] = methods.check(pictures, classes, self.seed)
        content["methods"] = methods.description()
        records.write_json(folder / FILE, content)
        return content

    def _picture(
        self,
        name: str,
        said: "_Said",
        methods: "_Methods",
        audited: audit.Audit,
        split: stored_splits.Split,
        folder: pathlib.Path,
    ) -> dict[str, Any]:
        """Galleries, figures and curves of a split's photographs."""
        collection = audited.collection
        labels = np.array(
            said.task.labels([collection.photograph(one) for one in split[name]])
        )
        photographs = images.open(collection, split[name])
        probabilities = said.probabilities(photographs)
        off = np.abs(probabilities.argmax(axis=1) - labels)
        counts, curves = {}, {}
        for outcome, these in zip(OUTCOMES, (off == 0, off == 1, off > 1), strict=True):
            chosen = _evenly(np.flatnonzero(these), self.photographs)
            counts[outcome] = {"photographs": int(these.sum()), "pictured": len(chosen)}
            if not len(chosen):
                continue
            pictures = photographs.take(chosen)
            classes = said.explained(probabilities[chosen])
            ids = [split[name][place] for place in chosen]
            titles = [
                said.title(one, row, explained, label)
                for one, row, explained, label in zip(
                    ids, probabilities[chosen], classes, labels[chosen], strict=True
                )
            ]
            maps = methods.explain(pictures, classes, f"explain {name}, {outcome}")
            for method, heatmaps in maps.items():
                grid = explanation_figures.gallery(
                    pictures, heatmaps, ids, opacity=self.opacity
                )
                explanation_figures.save(
                    grid, folder / name / f"{outcome}_{method}.png"
                )
                tf.summary.image(f"{name}, {outcome}/{method}", grid[None])
                areas = insertion_deletion.measure(
                    said.predict, pictures, heatmaps, classes
                ).areas
                curves.setdefault(method, []).append(areas)
            chance = insertion_deletion.random_maps(pictures.shape[:3], self.seed)
            curves.setdefault("chance", []).append(
                insertion_deletion.measure(
                    said.predict, pictures, chance, classes
                ).areas
            )
            for place, (one, title) in enumerate(zip(ids, titles, strict=True)):
                self._draw(
                    folder / name / "photographs" / f"{_file_name(one)}.png",
                    pictures[place],
                    {method: heatmaps[place] for method, heatmaps in maps.items()},
                    title,
                    {},
                )
        return counts | {"curves": _mean_areas(curves)}

    def _lesions(
        self,
        photographs: Sequence[annotated.Photograph],
        said: "_Said",
        methods: "_Methods",
        folder: pathlib.Path,
    ) -> dict[str, Any]:
        """Scores against lesion masks, by what the model has seen."""
        counts = {
            part: sum(one.seen == part for one in photographs)
            for part in annotated.SEEN
        }
        asked = "test" in self.splits
        used = [one for one in photographs if asked or one.seen != "test"]
        pictures = np.stack([one.image for one in used])
        probabilities = said.of(pictures)
        classes = said.explained(probabilities)
        maps = methods.explain(pictures, classes, "explain lesions")
        retinas = [baselines.retina(one) for one in pictures]
        rows = []
        for method, heatmaps in maps.items():
            for one, heatmap, retina in zip(used, heatmaps, retinas, strict=True):
                for lesion, shares in _with_any(one.shares).items():
                    score = lesion_agreement.score(
                        heatmap, shares, retina, self.tolerance
                    )
                    keys = {
                        "photograph": one.name,
                        "id": one.id or "",
                        "seen": one.seen,
                        "method": method,
                        "lesion": lesion,
                        "evidence": int(heatmap.max() > 0),
                    }
                    rows.append(keys | score)
        _write_csv(folder / "lesion_scores.csv", rows)
        for part in annotated.SEEN:
            places = [place for place, one in enumerate(used) if one.seen == part]
            for place in _evenly(np.array(places, int), self.photographs):
                one = used[place]
                part_name = annotated.SEEN[part].replace(" ", "_")
                label = said.task.class_names[classes[place]]
                self._draw(
                    folder / "lesions" / part_name / f"{one.name}.png",
                    one.image,
                    {method: heatmaps[place] for method, heatmaps in maps.items()},
                    f"{one.name}, {annotated.SEEN[part]}. Explained: {label}, "
                    f"{probabilities[place, classes[place]]:.2f}",
                    {
                        lesion: lesion_masks.binary(shares)
                        for lesion, shares in one.shares.items()
                    },
                )
        return {
            "photographs": counts,
            "left_out": 0 if asked else counts["test"],
            "scores": self._summarize(rows),
        }

    def _summarize(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Group -> method -> lesion -> figures."""
        groups = {words: (part,) for part, words in annotated.SEEN.items()} | _POOLED
        summary: dict[str, Any] = {}
        for group, parts in groups.items():
            within = [row for row in rows if row["seen"] in parts]
            for row in within:
                by_method = summary.setdefault(group, {}).setdefault(row["method"], {})
                by_method.setdefault(row["lesion"], []).append(row)
        for by_method in summary.values():
            for method, unordered in by_method.items():
                # In one order, whichever lesions the first photograph has.
                by_lesion = {one: unordered[one] for one in _ORDER if one in unordered}
                by_method[method] = by_lesion
                for lesion, some in by_lesion.items():
                    plain = [
                        {
                            key: one
                            for key, one in row.items()
                            if not isinstance(one, str)
                        }
                        for row in some
                    ]
                    by_lesion[lesion] = lesion_agreement.summarize(
                        plain, resamples=self.resamples, seed=self.seed
                    ) | {"empty_maps": sum(not row["evidence"] for row in some)}
        return summary

    def _draw(self, path, image, heatmaps, title, lesions) -> None:
        figure = explanation_figures.side_by_side(
            image, heatmaps, title, lesions=lesions, opacity=self.opacity
        )
        figures.save(figure, path, dpi=100)


class _Said:
    """What a model says of photographs, and which class of it is explained."""

    def __init__(self, model, task, output, decided, explained):
        self.task = task
        self._output, self._decided, self._explained = output, decided, explained
        self._forward = predict.Forward(model)
        self._whole = tf.function(
            lambda batch: model(batch, training=False), reduce_retracing=True
        )

    def probabilities(self, photographs: images.Images) -> np.ndarray:
        """float64 `(n, num_classes)` of opened photographs, calibrated."""
        return self._calibrated(self._forward(photographs))

    def of(self, pictures: np.ndarray) -> np.ndarray:
        """The same of uint8 images `(n, size, size, 3)`."""
        return self._calibrated(self._logits(pictures))

    def predict(self, pictures: np.ndarray) -> np.ndarray:
        """Uncalibrated probabilities, for curves of photographs that changed."""
        return self._output.probabilities(self._logits(pictures))

    def explained(self, probabilities: np.ndarray) -> np.ndarray:
        """The class of each photograph that is explained, int `(n,)`."""
        if self._explained == "predicted":
            return probabilities.argmax(axis=1)
        disease = np.array(self.task.disease_classes)
        return disease[probabilities[:, disease].argmax(axis=1)]

    def title(self, one: str, row: np.ndarray, explained: int, label: int) -> str:
        """Prediction, certainty and truth of a photograph."""
        names, predicted = self.task.class_names, int(row.argmax())
        return (
            f"{one}: {names[predicted]}, {row[predicted]:.2f}; truth: {names[label]}. "
            f"Explained: {names[explained]}"
        )

    def _logits(self, pictures: np.ndarray) -> np.ndarray:
        parts = [
            self._whole(tf.constant(pictures[start : start + 32], tf.float32)).numpy()
            for start in range(0, len(pictures), 32)
        ]
        return np.concatenate(parts)

    def _calibrated(self, logits: np.ndarray) -> np.ndarray:
        if self._decided is None:
            return self._output.probabilities(logits)
        return self._decided.probabilities(self._output, logits)


class _Methods:
    """The methods that can explain a model, and why the others cannot."""

    def __init__(self, methods, model, output):
        self._bound: dict[str, explainer.Explanation] = {}
        self._refused: dict[str, str] = {}
        self._maps: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        for one in methods:
            try:
                self._bound[one.name] = one.bind(model, output)
            except ValueError as error:
                self._refused[one.name] = str(error)
                logging.warning("%s is left out: %s", one.name, error)
        if not self._bound:
            reasons = " ".join(self._refused.values())
            raise ValueError(f"No method can explain {model.name!r}. {reasons}")

    def explain(
        self, pictures: np.ndarray, classes: np.ndarray, what: str
    ) -> dict[str, np.ndarray]:
        """Method -> heatmaps `(n, height, width)`."""
        steps = [
            (name, slice(start, start + _BATCH))
            for name in self._bound
            for start in range(0, len(pictures), _BATCH)
        ]
        maps: dict[str, list[np.ndarray]] = {name: [] for name in self._bound}
        for name, part in progress.bar(steps, what, unit="batch", delay=5, leave=False):
            start = time.perf_counter()
            maps[name].append(self._bound[name](pictures[part], classes[part]))
            spent = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0) + spent
            self._maps[name] = self._maps.get(name, 0) + len(maps[name][-1])
        return {name: np.concatenate(parts) for name, parts in maps.items()}

    def check(
        self, pictures: np.ndarray, classes: np.ndarray, seed: int
    ) -> dict[str, Any]:
        """Method -> what `sanity.check` says of it."""
        bar = progress.bar(self._bound.items(), "sanity", delay=5, leave=False)
        return {
            name: sanity.check(bound.model, bound, pictures, classes, seed=seed)
            for name, bound in bar
        }

    def description(self) -> dict[str, Any]:
        """Facts and time of each method, JSON-ready."""
        used = {
            name: bound.facts
            | {
                "maps": self._maps.get(name, 0),
                "seconds": round(self._seconds.get(name, 0), 2),
            }
            for name, bound in self._bound.items()
        }
        return used | {name: {"refused": why} for name, why in self._refused.items()}


def _with_any(shares: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The lesions of a photograph, and all of them as one."""
    found = [one for one in lesion_masks.LESIONS if one in shares]
    if not found:
        return dict(shares)
    every = np.max([shares[one] for one in found], axis=0)
    return {"any_lesion": every} | dict(shares)


def _evenly(places: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, spread evenly, in their order."""
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).round().astype(int)]


def _mean_areas(curves: Mapping[str, list]) -> dict[str, dict[str, float]]:
    """Method -> mean areas under its curves."""
    return {
        method: {
            name: float(np.concatenate([areas[place] for areas in some]).mean())
            for place, name in enumerate(("insertion", "deletion"))
        }
        for method, some in curves.items()
    }


def _file_name(photograph_id: str) -> str:
    return photograph_id.replace("/", "-")


def _write_csv(path: pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    records.write_text(path, text.getvalue())
