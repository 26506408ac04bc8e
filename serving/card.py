"""The card of an exported model: all that a program must know to use it.

`card.json` lies beside the model's files and is written last. NumPy only.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import calibrations, metrics
from input_pipeline import fundus, whole_files
from models import probabilities
from serving import gate

FILE = "card.json"

PRETRAINED = pathlib.Path(__file__).parents[1] / "pretrained" / "idrid_referable"
"""The model that comes with the project, used where no other one is named."""

FORMAT = 2
"""Raise it when the card changes so that older programs would misread it."""

_SEAL = "card_sha256"

INTENDED_USE = (
    "Research on the grading of colour fundus photographs. Not a medical device: no "
    "diagnosis and no treatment may rest on what it says."
)


@dataclasses.dataclass(frozen=True)
class Variant:
    """A way to run the model with OpenVINO.

    Attributes:
        file: The model's file, relative to the card's folder.
        precision: OpenVINO's inference precision hint: "f32" or "bf16". On a processor
            without the latter OpenVINO computes in float32.
    """

    file: str
    precision: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deciding:
    """What makes a decision of a model's logits.

    Attributes:
        task: `name`, `rule` in words, `class_names` in order, `disease_classes`.
        output: What logits mean: "softmax", "ordinal" or "regression".
        decision: The frozen decision: `calibration`, `operating_point`, `chosen_on`,
            `note`, `test_time_augmentation`.
    """

    task: Mapping[str, Any]
    output: str
    decision: Mapping[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return tuple(self.task["class_names"])

    @property
    def threshold(self) -> float:
        """Least probability of disease that counts as diseased, 0-1."""
        return self.decision["operating_point"]["threshold"]

    @property
    def views(self) -> Mapping[str, bool] | None:
        """The views over which logits are averaged; None: the photograph alone."""
        return self.decision["test_time_augmentation"]

    @functools.cached_property
    def _calibration(self) -> calibrations.Calibration | None:
        described = self.decision["calibration"]
        return described and calibrations.from_description(described)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            logits: float array of shape `(n, num_outputs)`, averaged over the views.

        Returns:
            float64 array of shape `(n, num_classes)`, 0-1.
        """
        of_output = probabilities.by_output(self.output, len(self.class_names))
        if self._calibration is None:
            return of_output(logits)
        return self._calibration.apply(logits, of_output)

    def predicted(self, of_classes: np.ndarray) -> np.ndarray:
        """The predicted classes, `(n,)`, of probabilities `(n, num_classes)`.

        Of two classes by the threshold, of more the most probable, as the evaluation
        of the run has it.
        """
        if len(self.class_names) > 2:
            return of_classes.argmax(axis=1)
        (ill,) = self.task["disease_classes"]
        diseased = self.disease_probability(of_classes) >= self.threshold
        return np.where(diseased, ill, 1 - ill)

    def disease_probability(self, of_classes: np.ndarray) -> np.ndarray:
        """Probability of disease, `(n,)`, of probabilities `(n, num_classes)`."""
        return metrics.disease_probability(
            of_classes, tuple(self.task["disease_classes"])
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card(Deciding):
    """What is known of an exported model, beside what makes a decision.

    Attributes:
        name: The model's name, that of its run.
        preparation: How photographs were prepared: `image_size`, `fundus_version`, ...
        limits: Those of the quality check.
        heatmaps: Whether the model gives a Grad-CAM map of each class.
        variants: "float32", "bfloat16", "int8" -> how to run it.
        serves: The variant that is used unless another one is asked for.
        trained_on_drawings: Whether drawn photographs are among those it learnt from.
        photographs: Split -> how many photographs.
        datasets: Where they are from.
        figures: Split or part -> metric -> `value`, `low`, `high`, `n`; as in the
            run's `metrics.json`, of the original model.
        scores: `edges` and `counts`: a histogram of the probability of disease on the
            validation photographs, against which drift is seen.
        checked: What the comparison of every variant and format with the original
            model found, an entry each.
        checked_on: On what and by what that was.
        fingerprints: `data`, `config_sha256`, `weights_sha256`, `model_sha256`.
        files: File, relative to the card's folder -> its SHA-256.
        environment: Versions and processor that exported it.
        settings: Those of the export.
        lesion_agreement: How often a heat map's maximum was on lesions that experts
            outlined, in photographs that the model was not trained on: `method`,
            `photographs`, and `pointing`, lesion -> `photographs`, `value`, `low`,
            `high`, `chance`. None where nobody measured it.
        failed_methods: Methods of heat maps that failed a sanity check of this model,
            and are not offered; none where nothing was checked.
        intended_use: What it is for, and what not.
    """

    name: str
    preparation: Mapping[str, Any]
    limits: gate.Limits
    heatmaps: bool
    variants: Mapping[str, Variant]
    serves: str
    trained_on_drawings: bool
    photographs: Mapping[str, int]
    datasets: Sequence[str]
    figures: Mapping[str, Any]
    scores: Mapping[str, Sequence[float]]
    checked: Sequence[Mapping[str, Any]]
    checked_on: str
    fingerprints: Mapping[str, str]
    files: Mapping[str, str]
    environment: Mapping[str, Any]
    settings: Mapping[str, Any]
    lesion_agreement: Mapping[str, Any] | None = None
    failed_methods: Sequence[str] = ()
    intended_use: str = INTENDED_USE

    @property
    def image_size(self) -> int:
        """Side of the model's input in pixels."""
        return self.preparation["image_size"]

    def description(self) -> dict[str, Any]:
        """JSON-ready; `load` gives it back."""
        return {"format": FORMAT, "name": self.name} | dataclasses.asdict(self)

    def save(self, folder: pathlib.Path) -> None:
        """Writes `card.json`, whole or not at all, with its own checksum."""
        whole_files.write_json(folder / FILE, sealed(self.description()))

    def check_file(self, folder: pathlib.Path, name: str) -> pathlib.Path:
        """The path of one of the model's files.

        Raises:
            ValueError: It is not as it was exported.
            FileNotFoundError: It is missing.
        """
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist, though {folder / FILE} names it. Copy the "
                "whole folder again, or export the model anew."
            )
        if file_sha256(path) != self.files[name]:
            raise ValueError(
                f"{path} is not as it was exported: its checksum differs from that in "
                f"{FILE}. Copy the folder again, or export the model anew."
            )
        return path


def load(folder: pathlib.Path) -> Card:
    """Reads the card of an exported model.

    Args:
        folder: Where it was exported to.

    Returns:
        The card.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, or of a program that this one does not understand.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(_missing(folder))
    content = whole_files.read_json(path)
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{path} must have format {FORMAT}. Received: format={found!r}. Export the "
            "model with this version, or use the version that exported it."
        )
    kept = content.pop(_SEAL, None)
    if sealed(content)[_SEAL] != kept:
        raise ValueError(
            f"{path} is not as it was written: its checksum differs. Copy the folder "
            "again. What was changed by hand, such as the threshold or the limits, is "
            "to be bound where the model is evaluated or exported."
        )
    del content["format"]
    try:
        content["limits"] = gate.Limits(**content["limits"])
        content["variants"] = {
            name: Variant(**one) for name, one in content["variants"].items()
        }
        card = Card(**content)
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is damaged: {error}. Copy the folder again, or export the model "
            "anew."
        ) from error
    if card.preparation["fundus_version"] != fundus.VERSION:
        raise ValueError(
            f"{path} is of a model whose photographs were prepared by version "
            f"{card.preparation['fundus_version']} of the retina finder. This is "
            f"version {fundus.VERSION}: the same photograph would give other pixels. "
            "Use the version that exported it."
        )
    return card


def _missing(folder: pathlib.Path) -> str:
    """That a folder holds no exported model, and where perhaps one is."""
    if folder.is_file():
        near, what = folder.parent, f"{folder} is a file and holds"
    else:
        # The folder of a run or of several models, or a slip in the model's own name.
        near = next(one for one in (folder, *folder.parents) if one.is_dir())
        what = f"{folder / FILE} does not exist: {folder} holds"
    found = [
        one.parent
        for pattern in (FILE, f"*/{FILE}", f"export/*/{FILE}")
        for one in sorted(near.glob(pattern))
    ]
    if not found:
        return (
            f"{what} no exported model. Export one: python main.py --mode=export "
            "--run_dir=<the run>."
        )
    named = ", ".join(map(str, found[:3]))
    return f"{what} no exported model. Name the folder of one, such as {named}."


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A card's content with the checksum by which `load` knows that it is unchanged."""
    text = json.dumps(content, sort_keys=True)
    return dict(content) | {_SEAL: hashlib.sha256(text.encode()).hexdigest()}


def file_sha256(path: pathlib.Path) -> str:
    """Checksum of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
