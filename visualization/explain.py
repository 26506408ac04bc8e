"""Explains a trained run: pictures, and how far its heatmaps can be believed."""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import gin
import keras
import numpy as np
import tensorflow as tf

from evaluation import decision, intervals, networks
from input_pipeline import (
    annotated,
    audit,
    images,
    lesion_masks,
    records,
    tasks,
    whole_files,
)
from input_pipeline import splits as stored_splits
from input_pipeline.datasets import idrid_masks
from models import outputs
from visualization import (
    bound_methods,
    explained_model,
    explainer,
    grad_cam,
    guided_backprop,
    integrated_gradients,
    layer_cam,
    lesion_scores,
    occlusion,
    pictures,
    random_labels,
)

FILE = "scores.json"

_CHECKED = 8  # Photographs behind sanity and stability.


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
        originals: Whether the maps are also laid over the photographs as they came from
            the camera, in their own size.
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
    originals: bool = False
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

    def description(self, random_run: pathlib.Path | None = None) -> dict[str, Any]:
        """The settings, and the run on random labels, JSON-ready."""
        plain = (
            "explained",
            "photographs",
            "originals",
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
            "random_labels": None if random_run is None else str(random_run),
        }

    def explain(
        self,
        answering: networks.Answering,
        task: tasks.Task,
        output: outputs.Output,
        decided: decision.Decision | None,
        audited: audit.Audit,
        split: stored_splits.Split,
        data_dirs: Mapping[str, pathlib.Path],
        folder: pathlib.Path,
        board: pathlib.Path,
        random_run: pathlib.Path | None = None,
        masks_kept_in: pathlib.Path | None = None,
    ) -> dict[str, Any]:
        """Writes pictures, tables of lesions and last `scores.json`.

        Who is stopped and begins again finds the maps that took long.

        Args:
            answering: The run's networks.
            task: What they were trained for.
            output: How their logits become probabilities.
            decided: The run's calibration, or None before there is one.
            audited: The photographs.
            split: Which photographs are in which split.
            data_dirs: Dataset -> its folder, where lesion masks may lie.
            folder: Where the results go.
            board: Where TensorBoard looks for galleries.
            random_run: Directory of a run that was trained on random labels, for a
                check of the methods.
            masks_kept_in: Folder that keeps decoded lesion masks, for all runs.

        Returns:
            The content of `scores.json`.

        Raises:
            FileNotFoundError: `random_run` has no model.
            ValueError: None of the methods can explain this model, a split is empty,
                a photograph or a mask cannot be read, or `random_run` does not fit.
        """
        for name in self.splits:
            if not split[name]:
                raise ValueError(
                    f"The split has no photographs in {name!r}. Take it out of "
                    "`explain.splits`."
                )
        random = None
        if random_run is not None:
            random = random_labels.load(random_run, answering.together, task, output)
        folder.mkdir(parents=True, exist_ok=True)
        said = explained_model.ExplainedModel(
            answering, task, output, decided, self.explained
        )
        unfinished = folder / "unfinished"
        methods = bound_methods.BoundMethods(
            self.methods, answering.together, output, unfinished
        )
        content = {
            "settings": self.description(random_run),
            "task": task.description(),
            "pictures": {},
            "lesions": None,
            "sanity": {},
            "stability": {},
            "random_labels": {},
            "random_labels_learnt": None,
            "note": " ".join(filter(None, [_who(answering), said.note])),
        }
        writer = tf.summary.create_file_writer(str(board))
        with writer.as_default(step=0):
            for name in self.splits:
                content["pictures"][name] = pictures.write(
                    name,
                    said,
                    methods,
                    audited.collection,
                    split[name],
                    folder,
                    photographs=self.photographs,
                    opacity=self.opacity,
                    seed=self.seed,
                    originals=data_dirs if self.originals else None,
                )
        writer.close()
        found = [
            one
            for layout in self.masks
            for data_dir in data_dirs.values()
            for one in layout.read(data_dir)
            if one.masks
        ]
        if found:
            content["lesions"] = lesion_scores.write(
                annotated.read(found, audited, split, masks_kept_in),
                said,
                methods,
                audited.collection,
                folder,
                with_test="test" in self.splits,
                pictured=self.photographs,
                tolerance=self.tolerance,
                opacity=self.opacity,
                resamples=self.resamples,
                seed=self.seed,
            )
        # Before the checks, whose random networks are others.
        content["methods"] = methods.description()
        if self.splits:
            ids = split[self.splits[0]]
            checked = _checked(said, audited.collection, ids)
            content["sanity"] = methods.check_sanity(*checked, self.seed)
            content["stability"] = methods.check_stability(*checked)
            if random is not None:
                strange = [one for one in ids if one not in random.known]
                checked = _checked(said, audited.collection, strange or ids)
                content["random_labels"] = methods.check_random_labels(
                    random.model, *checked
                )
                content["random_labels_learnt"] = random_labels.by_heart(random_run)
        content["offered"] = _offered(content)
        whole_files.write_json(folder / FILE, content)
        shutil.rmtree(unfinished, ignore_errors=True)
        return content


def _who(answering: networks.Answering) -> str:
    """Which network explains which photograph, where that is not plain."""
    if not answering.by_turns:
        return ""
    return (
        f"Each photograph is predicted and explained by those of the "
        f"{len(answering.networks)} networks that have not trained on it."
    )


def _checked(
    said: explained_model.ExplainedModel,
    collection: records.Collection,
    ids: Sequence[str],
) -> tuple[np.ndarray, np.ndarray, list[keras.Model]]:
    """Some photographs, the classes that are explained, and the networks of each."""
    chosen = [ids[place] for place in pictures.evenly(np.arange(len(ids)), _CHECKED)]
    opened, by = images.open(collection, chosen), said.answering(chosen)
    shown = opened.take(np.arange(len(opened)))
    return shown, said.explained(said.of(shown, by)), by


def failed(path: pathlib.Path) -> set[str]:
    """The methods that were checked and are not to be shown, by a `scores.json`."""
    content = whole_files.read_json(path)
    return set(content["sanity"]) - set(content["offered"])


def lesion_agreement(path: pathlib.Path, method: str) -> dict[str, Any] | None:
    """How often a method pointed at lesions, by the `scores.json` of its run.

    Args:
        path: That file, there or not.
        method: The method's name.

    Returns:
        `method`, `photographs`, and `pointing`: lesion -> `photographs`, `value`,
        `low`, `high` and `chance`, on photographs that the model was not trained on;
        None where that was not measured.
    """
    lesions = whole_files.read_json(path)["lesions"] if path.exists() else None
    scores = (lesions or {"scores": {}})["scores"]
    by_lesion = scores.get(lesion_scores.NOT_TRAINED_ON, {}).get(method)
    if by_lesion is None:
        return None
    return {
        "method": method,
        "photographs": max(one["photographs"] for one in by_lesion.values()),
        "pointing": {
            lesion: {"photographs": one["photographs"]} | one["pointing"]
            for lesion, one in by_lesion.items()
        },
    }


def _offered(content: dict[str, Any]) -> list[str]:
    """The methods that pass all sanity checks; without a check none does."""
    return [
        name
        for name, found in content["sanity"].items()
        if found["passes"] and content["random_labels"].get(name, found)["passes"]
    ]
