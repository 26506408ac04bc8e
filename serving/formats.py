"""File formats of an exported model: each is written, and run in its own run-time.

What a format needs is imported when it is used, so that the others do without.
"""

import abc
import contextlib
import dataclasses
import importlib.util
import logging as python_logging
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import gin
import keras
import numpy as np

from serving import card as cards

Outputs = Mapping[str, np.ndarray]

Run = Callable[[np.ndarray], Outputs]
"""uint8 `(n, size, size, 3)` -> float32 `logits` `(n, num_outputs)` and, of a model
that has them, `heatmaps` `(n, num_classes, rows, columns)`."""

FLOAT = "float32.xml"
"""OpenVINO's model, from which the others of OpenVINO come."""

BATCH = 16
"""Photographs at once, in the run-times that do not divide the processor themselves."""


class UnopenedError(ValueError):
    """A run-time cannot open the file that was written for it."""


@dataclasses.dataclass(frozen=True)
class Runnable:
    """One way to run an exported model.

    Attributes:
        name: For tables, such as "OpenVINO int8".
        files: Its files and folders, relative to the export's folder.
        run: What it says of photographs.
        variant: The name under which the predictor has it, if it does.
        runs: How the predictor runs it, if it does.
    """

    name: str
    files: Sequence[str]
    run: Run
    variant: str | None = None
    runs: cards.Variant | None = None


class Format(abc.ABC):
    """A file format.

    Attributes:
        name: What it is called.
        packages: Module -> what `pip` calls it, of all that writing and running needs.
    """

    name: ClassVar[str]
    packages: ClassVar[Mapping[str, str]]

    def check_installed(self) -> None:
        """Raises ValueError, with the line for `pip`, if a package is missing."""
        missing = [
            package
            for module, package in self.packages.items()
            if importlib.util.find_spec(module) is None
        ]
        if missing:
            raise ValueError(
                f"Exporting to {self.name} needs {', '.join(missing)}. Install them: "
                f"pip install {' '.join(missing)}. Or leave the format out of "
                "`export.formats`."
            )

    @abc.abstractmethod
    def write(
        self, model: keras.Model, folder: pathlib.Path, training: np.ndarray
    ) -> None:
        """Writes the model.

        Args:
            model: From float32 `photograph` `(batch, size, size, 3)`, 0-255, to a
                dictionary of outputs.
            folder: The export's folder.
            training: uint8 training photographs `(n, size, size, 3)`, in an order
                without meaning.
        """

    @abc.abstractmethod
    def open(self, folder: pathlib.Path) -> list[Runnable]:
        """Opens what was written; there may be several ways to run it.

        Raises:
            UnopenedError: Its run-time does not know all that the model computes.
        """


@dataclasses.dataclass(frozen=True)
class OpenVino(Format):
    """OpenVINO in float32 and, where the processor has it, bfloat16; always written.

    Attributes:
        half_weights: Whether the file has the weights in float16, at half the size.
            They are computed with in float32 all the same.
    """

    name: ClassVar[str] = "OpenVINO"
    packages: ClassVar[Mapping[str, str]] = {"openvino": "openvino"}

    half_weights: bool = False

    def write(self, model, folder, training):
        """Writes `float32.xml` and `float32.bin`, as `Format.write` says."""
        if not self.half_weights:
            _export(model, folder / FLOAT, "openvino")
            return
        import openvino

        whole = folder / "whole.xml"
        _export(model, whole, "openvino")
        read = openvino.Core().read_model(whole)
        openvino.save_model(read, folder / FLOAT, compress_to_fp16=True)
        del read  # It keeps the file of the weights open.
        whole.unlink()
        whole.with_suffix(".bin").unlink()

    def open(self, folder):
        """Opens it in each precision, as `Format.open` says."""
        precisions = {"float32": "f32"}
        if _has_bfloat16():
            precisions["bfloat16"] = "bf16"
        return [
            _of_openvino(folder, FLOAT, name, precision)
            for name, precision in precisions.items()
        ]


@gin.register("int8")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8(Format):
    """OpenVINO in int8: ranges are measured on training photographs (NNCF).

    What stands behind the feature map stays in floating point, as does all for which
    there is no int8; it runs in bfloat16 where the processor has it.

    Attributes:
        photographs: How many training photographs, at most.
    """

    name: ClassVar[str] = "OpenVINO int8"
    packages: ClassVar[Mapping[str, str]] = {"openvino": "openvino", "nncf": "nncf"}

    photographs: int = 300

    def __post_init__(self):
        if self.photographs < 1:
            raise ValueError(
                f"`int8.photographs` must be at least 1. Received: {self.photographs}."
            )

    def write(self, model, folder, training):
        """Writes `int8.xml` and `int8.bin`, as `Format.write` says."""
        with _quiet():
            import nncf
        import openvino

        some = training[: self.photographs]
        given = nncf.Dataset(some, lambda one: np.float32(one)[np.newaxis])
        read = openvino.Core().read_model(folder / FLOAT)
        with _quiet():
            quantized = nncf.quantize(
                read,
                given,
                subset_size=len(some),
                # It takes no time, and rounding there shows in logits and heat maps.
                ignored_scope=nncf.IgnoredScope(
                    names=_behind_feature_map(read), validate=False
                ),
            )
        openvino.save_model(quantized, folder / "int8.xml", compress_to_fp16=False)

    def open(self, folder):
        """Opens it, as `Format.open` says."""
        precision = "bf16" if _has_bfloat16() else "f32"
        return [_of_openvino(folder, "int8.xml", "int8", precision)]


@gin.register("onnx")
@dataclasses.dataclass(frozen=True)
class Onnx(Format):
    """ONNX, which most run-times read; checked in ONNX Runtime."""

    name = "ONNX"
    packages: ClassVar = {
        "tf2onnx": "tf2onnx",
        "onnx": "onnx",
        "onnxruntime": "onnxruntime",
    }

    def write(self, model, folder, training):
        """Writes `model.onnx`, as `Format.write` says."""
        _export(model, folder / "model.onnx", "onnx")

    def open(self, folder):
        """Opens it in ONNX Runtime, as `Format.open` says."""
        import onnxruntime

        path = os.fspath(folder / "model.onnx")
        try:
            session = onnxruntime.InferenceSession(
                path, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # Its own classes have no other parent.
            # The card goes to others, whose business the folder is not.
            said = str(error).replace(path, "model.onnx")
            raise UnopenedError(f"ONNX Runtime cannot open it: {said}") from error
        names = [one.name for one in session.get_outputs()]

        def run(batch):
            return dict(zip(names, session.run(None, {INPUT: batch}), strict=True))

        return [Runnable(self.name, ["model.onnx"], _in_batches(run))]


@gin.register("litert")
@dataclasses.dataclass(frozen=True)
class LiteRt(Format):
    """LiteRT, once TensorFlow Lite, for phones and small devices."""

    name = "LiteRT"
    packages: ClassVar = {"ai_edge_litert": "ai-edge-litert"}

    def write(self, model, folder, training):
        """Writes `model.tflite`, as `Format.write` says."""
        _export(model, folder / "model.tflite", "litert")

    def open(self, folder):
        """Opens it in LiteRT's interpreter, as `Format.open` says."""
        from ai_edge_litert import interpreter

        opened = interpreter.Interpreter(
            os.fspath(folder / "model.tflite"), num_threads=os.cpu_count()
        )
        signature = opened.get_signature_runner()

        def run(batch):
            return signature(**{INPUT: batch})

        return [Runnable(self.name, ["model.tflite"], _in_batches(run))]


@gin.register("saved_model")
@dataclasses.dataclass(frozen=True)
class SavedModel(Format):
    """TensorFlow's own format, for TensorFlow Serving."""

    name = "SavedModel"
    packages: ClassVar = {"tensorflow": "tensorflow"}

    def write(self, model, folder, training):
        """Writes `saved_model/`, as `Format.write` says."""
        _export(model, folder / "saved_model", "tf_saved_model")

    def open(self, folder):
        """Opens it in TensorFlow, as `Format.open` says."""
        import tensorflow as tf

        loaded = tf.saved_model.load(os.fspath(folder / "saved_model"))

        def run(batch):
            said = loaded.serve(tf.constant(batch))
            return {name: one.numpy() for name, one in said.items()}

        return [Runnable(self.name, ["saved_model"], _in_batches(run))]


INPUT = "photograph"
"""Name of the input of every exported model."""


def of_keras(graph: keras.Model, trained: keras.Model | None = None) -> Run:
    """What all others are compared with: the model as it was trained.

    Args:
        graph: What is exported.
        trained: The model that gives the logits in its stead, where it was trained and
            evaluated in another precision.

    Returns:
        How it is run.
    """
    import tensorflow as tf

    @tf.function
    def forward(batch):
        said = graph(batch, training=False)
        if trained is not None:
            logits = trained(batch, training=False)
            said = said | {"logits": tf.cast(logits, tf.float32)}
        return said

    def run(batch):
        said = forward(tf.constant(batch))
        return {name: one.numpy() for name, one in said.items()}

    return _in_batches(run)


def _in_batches(run: Callable[[np.ndarray], Outputs]) -> Run:
    """The same for any number of photographs, as float32 and `BATCH` at once."""

    def run_all(images: np.ndarray) -> Outputs:
        parts = [
            run(np.float32(images[start : start + BATCH]))
            for start in range(0, len(images), BATCH)
        ]
        names = [one for one in ("logits", "heatmaps") if one in parts[0]]
        return {name: np.concatenate([one[name] for one in parts]) for name in names}

    return run_all


def _of_openvino(
    folder: pathlib.Path, file: str, variant: str, precision: str
) -> Runnable:
    """A model of OpenVINO as it is served: single photographs, several at once."""
    from serving import predictor

    compiled = predictor.compile_file(folder / file, precision, throughput=True)
    known = {name for one in compiled.outputs for name in one.get_names()}
    names = [one for one in ("logits", "heatmaps") if one in known]

    count = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    # Not `AsyncInferQueue`: its threads need Python's lock to end a callback, and who
    # closes the model meanwhile waits for them with that lock, for ever.
    requests = [compiled.create_infer_request() for _ in range(count)]

    def run(images: np.ndarray) -> Outputs:
        said = []

        def keep() -> None:
            request = requests[len(said) % count]
            request.wait()
            said.append(
                {name: request.get_tensor(name).data[0].copy() for name in names}
            )

        for place, image in enumerate(images):
            if place >= count:
                keep()
            requests[place % count].start_async([image[np.newaxis]])
        while len(said) < len(images):
            keep()
        return {name: np.stack([one[name] for one in said]) for name in names}

    weights = file.replace(".xml", ".bin")
    runs = cards.Variant(file, precision)
    return Runnable(f"OpenVINO {variant}", [file, weights], run, variant, runs)


def _has_bfloat16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _export(model: keras.Model, path: pathlib.Path, name: str) -> None:
    """`Model.export`."""
    with _quiet():
        model.export(os.fspath(path), format=name, verbose=False)


def _behind_feature_map(model: Any) -> list[str]:
    """The operations between the feature map and the outputs, by name."""
    outputs = {name: one for one in model.outputs for name in one.get_names()}
    if "feature_map" not in outputs:
        return []
    source = outputs["feature_map"].node.input_value(0)
    while source.get_node().get_type_name() in ("Transpose", "Convert"):
        source = source.get_node().input_value(0)
    found, ahead = {}, [source]
    while ahead:
        for target in ahead.pop().get_target_inputs():
            node = target.get_node()
            if node.get_friendly_name() not in found:
                found[node.get_friendly_name()] = node
                ahead += node.outputs()
    return [name for name, one in found.items() if one.get_type_name() != "Result"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Shows nothing that libraries tell of themselves and of each other's versions."""
    root = python_logging.getLogger()
    handlers = list(root.handlers)
    python_logging.disable(python_logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        python_logging.disable(python_logging.NOTSET)
        root.handlers[:] = handlers  # Some bring one that shows everything twice.
