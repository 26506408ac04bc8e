"""Exports a trained model: files, and a card with all that is needed to use them."""

import dataclasses
import functools
import os
import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import gin
import keras
import numpy as np
from absl import logging

from models import outputs
from serving import agreement, gate
from serving import card as cards
from serving import formats as file_formats
from visualization import grad_cam, layers

gin.register("quality_limits", module="serving.gate")(gate.Limits)

_SCORE_BINS = 20


def _every_format() -> tuple[file_formats.Format, ...]:
    return (
        file_formats.Int8(),
        file_formats.Onnx(),
        file_formats.LiteRt(),
        file_formats.SavedModel(),
    )


@gin.register("export")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Exporter:
    """What is exported, and how far it must agree with the trained model.

    OpenVINO's float32 is always among it: the predictor runs it.

    Attributes:
        formats: Other file formats; by default all there are.
        serves: The variant that the predictor takes unless it is told otherwise.
        half_weights: Whether OpenVINO's file has the weights in float16, at half the
            size. They are computed with as float32 all the same.
        heatmaps: Whether each class's Grad-CAM map is an output too. It is computed in
            the graph, from a head of global average pooling and dense layers.
        limits: What a photograph must have for a decision.
        least_agreement: Share of validation photographs, 0-1, on which a variant or
            format must decide as the trained model does. What does not is refused.
        most_auc_loss: What it may lose of the AUC on them, at least 0.
        photographs: How many validation photographs are compared, at most.
        name: Subfolder of the run's `export/`.
    """

    formats: Sequence[file_formats.Format] = dataclasses.field(
        default_factory=_every_format
    )
    serves: Literal["float32", "bfloat16", "int8"] = "float32"
    half_weights: bool = False
    heatmaps: bool = True
    limits: gate.Limits = dataclasses.field(default_factory=gate.Limits)
    least_agreement: float = 0.98
    most_auc_loss: float = 0.01
    photographs: int = 1000
    name: str = "default"

    def __post_init__(self):
        names = [one.name for one in self.formats]
        if len(set(names)) < len(names):
            raise ValueError(
                f"`export.formats` must name each format once. Received: {names}."
            )
        if self.serves not in ("float32", "bfloat16", "int8"):
            raise ValueError(
                "`export.serves` must be 'float32', 'bfloat16' or 'int8'. Received: "
                f"{self.serves!r}."
            )
        if self.serves == "int8" and file_formats.Int8.name not in names:
            raise ValueError(
                "`export.serves` is 'int8', which is not among `export.formats`. "
                f"Received: {names}. Add @int8()."
            )
        if not 0 <= self.least_agreement <= 1 or self.most_auc_loss < 0:
            raise ValueError(
                "`export.least_agreement` must be 0-1 and `export.most_auc_loss` at "
                f"least 0. Received: {self.least_agreement} and {self.most_auc_loss}."
            )
        if self.photographs < 1:
            raise ValueError(
                f"`export.photographs` must be at least 1. Received: {self.photographs}"
            )
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ValueError(
                f"`export.name` must name a folder. Received: {self.name!r}."
            )

    @property
    def every_format(self) -> list[file_formats.Format]:
        """OpenVINO, from which int8 is made, and then the others."""
        return [file_formats.OpenVino(self.half_weights), *self.formats]

    @property
    def training_photographs(self) -> int:
        """How many training photographs some format measures ranges on."""
        return max([getattr(one, "photographs", 1) for one in self.formats], default=1)

    def check_installed(self) -> None:
        """Raises ValueError, with the line for `pip`, if a format's package is not."""
        for one in self.every_format:
            one.check_installed()

    def description(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        return {
            "formats": [repr(one) for one in self.formats],
            "serves": self.serves,
            "half_weights": self.half_weights,
            "heatmaps": self.heatmaps,
            "limits": dataclasses.asdict(self.limits),
            "least_agreement": self.least_agreement,
            "most_auc_loss": self.most_auc_loss,
            "photographs": self.photographs,
        }

    def export(
        self,
        model: keras.Model,
        output: outputs.Output,
        about: Mapping[str, Any],
        training: np.ndarray,
        validation: np.ndarray,
        diseased: np.ndarray,
        folder: pathlib.Path,
        chances: np.ndarray | None = None,
        papers: Sequence[pathlib.Path] = (),
    ) -> cards.Card:
        """Writes the model and its card; the folder appears whole or not at all.

        Args:
            model: A trained model.
            output: What its logits mean.
            about: Those of the card's fields that are known of the run.
            training: uint8 training photographs `(n, size, size, 3)`, RGB, 0-255, in an
                order without meaning.
            validation: The same of validation photographs.
            diseased: bool array: which of the latter are diseased.
            folder: Where it goes; must not exist.
            chances: Probabilities of disease, 0-1, against which drift is to be seen;
                None for those of the photographs that are compared.
            papers: Files that tell of the model, to go with it.

        Returns:
            The card.

        Raises:
            ValueError: The folder is not empty, the head has no closed form for heat
                maps, or what the predictor needs was refused.
            RuntimeError: A file could not be written, such as on a full disk.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(
                f"{folder} must be empty or not exist: a model is exported whole or "
                'not at all. Remove it, or export elsewhere: --gin_bindings="export.'
                "name = 'other'\"."
            )
        deciding = cards.Deciding(
            **{name: about[name] for name in ("task", "output", "decision")}
        )
        same = _in_float32(model)
        graph = self._graph(same, output)
        logging.info("Asking Keras about %d photographs.", len(validation))
        asked = file_formats.of_keras(graph, None if same is model else model)
        reference = agreement.ask(asked, validation, deciding)
        compare = functools.partial(
            agreement.compare,
            reference=reference,
            diseased=diseased,
            threshold=deciding.threshold,
            least_agreement=self.least_agreement,
            most_auc_loss=self.most_auc_loss,
        )
        rows = [compare("Keras", None, reference)]
        variants, files, refused = {}, {}, {}
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # Of an export that was killed.
        partial.mkdir(parents=True)
        try:
            for one in self.every_format:
                logging.info("Exporting to %s.", one.name)
                before = _files(partial, ["."])
                _write(one, graph, partial, training)
                try:
                    opened = one.open(partial)
                except file_formats.UnopenedError as error:
                    rows.append(agreement.unopened(one.name, str(error)))
                    _remove(partial, _files(partial, ["."]).keys() - before)
                    continue
                written, kept = {}, []
                for runnable in opened:
                    sizes = _files(partial, runnable.files)
                    said = agreement.ask(runnable.run, validation, deciding)
                    row = compare(runnable.name, sum(sizes.values()) / 1e6, said)
                    rows.append(row)
                    written |= sizes
                    if not row.refused:
                        kept.append(runnable)
                if not kept:
                    refused |= written
                    continue
                files |= {name: cards.file_sha256(partial / name) for name in written}
                variants |= {one.variant: one.runs for one in kept if one.variant}
            checked = [dataclasses.asdict(one) for one in rows]
            self._check_served(variants, checked)
            _remove(partial, refused)  # Not before: int8 is made of OpenVINO's float32.
            for path in papers:
                shutil.copyfile(path, partial / path.name)
                files[path.name] = cards.file_sha256(path)
            chances = reference.disease if chances is None else chances
            counts, edges = np.histogram(chances, _SCORE_BINS, range=(0, 1))
            card = cards.Card(
                **about,
                limits=self.limits,
                heatmaps=reference.heatmaps is not None,
                variants=variants,
                serves=self.serves,
                scores={"edges": edges.tolist(), "counts": counts.tolist()},
                checked=checked,
                checked_on=f"{len(validation)} validation photographs",
                files=dict(sorted(files.items())),
                settings=self.description(),
            )
            card.save(partial)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return card

    def _check_served(
        self, variants: Mapping[str, Any], checked: Sequence[Mapping[str, Any]]
    ) -> None:
        """Raises unless the predictor has what it runs."""
        if self.serves not in variants:
            raise ValueError(
                f"`export.serves` is {self.serves!r}, which was refused, or which this "
                f"processor does not have:\n{agreement.table(checked)}\nBind another "
                "one of 'float32', 'bfloat16' and 'int8', or another gate: "
                "export.least_agreement, export.most_auc_loss."
            )

    def _graph(self, model: keras.Model, output: outputs.Output) -> keras.Model:
        """The model with all that is exported as outputs."""
        if self.heatmaps:
            try:
                return grad_cam.with_heatmaps(model, output)
            except ValueError as error:
                raise ValueError(
                    f"{error} Export it without: --gin_bindings='export.heatmaps = "
                    "False'."
                ) from error
        photograph = keras.Input(model.input_shape[1:], name=file_formats.INPUT)
        logits = keras.layers.Activation("linear", dtype="float32", name="as_float32")
        logits = logits(model(photograph, training=False))
        return keras.Model(photograph, {"logits": logits}, name=model.name)


def _in_float32(model: keras.Model) -> keras.Model:
    """The same weights in float32 throughout.

    Mixed precision puts casts between the layers, which not every run-time reads and
    behind which no head has a closed form.
    """
    if all(one.compute_dtype == "float32" for one in layers.leaves(model)):
        return model
    text = re.sub('"mixed_b?float16"', '"float32"', model.to_json())
    same = keras.models.model_from_json(text)
    same.set_weights(model.get_weights())
    return same


def _write(
    one: file_formats.Format,
    graph: keras.Model,
    folder: pathlib.Path,
    training: np.ndarray,
) -> None:
    """`Format.write`, whose libraries have each their own error for a full disk."""
    try:
        one.write(graph, folder, training)
    except Exception as error:
        free = shutil.disk_usage(folder).free / 1e6
        raise RuntimeError(
            f"{one.name} could not be written to {folder.parent}, where {free:,.1f} MB "
            "are free. Make room if that is little, or leave the format out of "
            f"`export.formats`. Received: {error}"
        ) from error


def _files(folder: pathlib.Path, names: Sequence[str]) -> dict[str, int]:
    """File, relative to the folder -> its bytes; of folders all that is in them."""
    paths = []
    for name in names:
        path = folder / name
        paths += [path] if path.is_file() else path.rglob("*")
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in paths
        if path.is_file()
    }


def _remove(folder: pathlib.Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink()
        parent = (folder / name).parent
        while parent != folder and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent
