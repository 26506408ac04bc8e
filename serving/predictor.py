"""From the bytes of a photograph to a decision, with OpenVINO, OpenCV and NumPy alone.

    predictor = Predictor(pathlib.Path("runs/idrid_referable/export"))
    answer = predictor.predict(data)

The answer is a `Prediction`, or an `Abstention` that says why there is none. It is the
same as that of an evaluation of the same photograph: the same preparation, views,
calibration and threshold, which the model's card has.
"""

import dataclasses
import pathlib
import queue
from collections.abc import Callable
from typing import Any

import numpy as np

from input_pipeline import fundus
from input_pipeline import quality as qualities
from serving import card as cards
from serving import decoding, gate, occlusion, views


@dataclasses.dataclass(frozen=True)
class Abstention:
    """A photograph of which nothing is said.

    Attributes:
        reason: Why, as a code; `gate.REASONS` has them in words.
        message: Why, in words: what was found, what was expected.
        quality: Measurements of the photograph, if it came so far.
    """

    reason: gate.Reason
    message: str
    quality: qualities.Quality | None = None

    def description(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"answer": "abstention"} | dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says of a photograph.

    Attributes:
        diseased: Whether `disease_probability` is at or above `threshold`: the frozen
            decision.
        disease_probability: Sum of the probabilities of the classes that mean disease,
            calibrated, 0-1.
        threshold: The operating point, 0-1.
        predicted: Number of the predicted class: of two by the threshold, of more the
            most probable.
        class_names: Names of the classes.
        probabilities: Of each class, calibrated, 0-1.
        uncertainty: Entropy of these over that of a mere guess: 0 of a sure answer, 1
            where all classes are equally likely.
        logits: As the model gives them, averaged over the views.
        explained: Number of the class whose heat map is shown first: of those that mean
            disease the most probable one.
        heatmaps: float32 array of shape `(num_classes, rows, columns)`, 0-1, Grad-CAM
            of each class on the prepared square, not enlarged, all 0 where nothing
            speaks for the class; None of a model that has none. `heatmaps.overlay`
            draws one.
        crop: Where the prepared square lies in the upright photograph.
        quality: Measurements of the photograph.
    """

    diseased: bool
    disease_probability: float
    threshold: float
    predicted: int
    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]
    uncertainty: float
    logits: tuple[float, ...]
    explained: int
    crop: fundus.Crop
    quality: qualities.Quality
    heatmaps: np.ndarray | None = dataclasses.field(repr=False, compare=False)

    def description(self) -> dict[str, Any]:
        """JSON-ready; without the heat maps."""
        named = zip(self.class_names, self.probabilities, strict=True)
        return {
            "answer": "prediction",
            "diseased": self.diseased,
            "disease_probability": self.disease_probability,
            "threshold": self.threshold,
            "predicted": self.class_names[self.predicted],
            "probabilities": dict(named),
            "uncertainty": self.uncertainty,
            "logits": list(self.logits),
            "explained": self.class_names[self.explained],
            "crop": dataclasses.asdict(self.crop),
            "quality": dataclasses.asdict(self.quality),
        }


class Predictor:
    """An exported model, ready for photographs from any number of threads.

    Attributes:
        card: What is known of the model.
        variant: Which of the card's variants runs.
        precision: In which precision it really computes here: "f32" or "bf16".
        parallel: How many photographs the model works on at once; more wait.
        room: Memory for those that are decoded at once.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        variant: str | None = None,
        throughput: bool = False,
        allow_drawings: bool = False,
    ):
        """Loads a model.

        Args:
            folder: Where it was exported to.
            variant: "float32", "bfloat16" or "int8"; by default what the card says.
            throughput: Whether many threads ask at once, and all of them matter more
                than each: the processor is divided among them.
            allow_drawings: Whether a model that was trained on drawings answers.

        Raises:
            FileNotFoundError: There is no exported model, or a file is missing.
            ValueError: The card or a file is damaged, or there is no such variant.
        """
        self.card = cards.load(folder)
        self.variant = variant or self.card.serves
        if self.variant not in self.card.variants:
            known = ", ".join(map(repr, self.card.variants))
            raise ValueError(
                f"The model in {folder} has the variants {known}. Received: "
                f"variant={variant!r}. Others were refused, or not exported."
            )
        self._drawings = self.card.trained_on_drawings and not allow_drawings
        chosen = self.card.variants[self.variant]
        path = self.card.check_file(folder, chosen.file)
        weights = pathlib.PurePosixPath(chosen.file).with_suffix(".bin")
        self.card.check_file(folder, str(weights))
        compiled = compile_file(path, chosen.precision, throughput)
        computed = compiled.get_property("INFERENCE_PRECISION_HINT")
        self.precision: str = computed.get_type_name()
        self.parallel: int = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self.room = decoding.Room()
        self._requests: queue.LifoQueue = queue.LifoQueue()
        for _ in range(self.parallel):
            self._requests.put(compiled.create_infer_request())
        # The first run takes longer than any other, and OpenVINO's binding may lock up
        # for ever where two threads have it at once.
        size = self.card.image_size
        self.infer(np.zeros((size, size, 3), np.uint8))

    def predict(self, data: bytes) -> Prediction | Abstention:
        """Decides on one photograph; may be called by several threads at once.

        Args:
            data: A JPEG, PNG, TIFF or WebP file.

        Returns:
            What the model says, or why it says nothing.
        """
        measured = None
        try:
            self._check_model()
            image, crop = self.prepare(data)
            measured = self._measure(data, image, crop)
            self.card.limits.check_quality(measured)
        except gate.Unfit as unfit:
            return Abstention(unfit.reason, unfit.message, measured)
        logits, heatmaps = self.infer(image)
        return self._decide(logits, heatmaps, crop, measured)

    def prepare(self, data: bytes) -> tuple[np.ndarray, fundus.Crop]:
        """Prepares a photograph as those that the model learnt from.

        Args:
            data: A JPEG, PNG, TIFF or WebP file.

        Returns:
            A uint8 array of shape `(size, size, 3)`, RGB, 0-255, and where it lies in
            the photograph.

        Raises:
            gate.Unfit: It cannot be read, shows no retina, or too small a one.
        """
        image, crop = self._decode(data, self.card.image_size)
        self.card.limits.check_size(crop, self.card.image_size)
        return image, crop

    def infer(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs the model on a prepared photograph, in all the views of its decision.

        Args:
            image: uint8 array of shape `(size, size, 3)`, RGB, 0-255.

        Returns:
            float32 logits of shape `(num_outputs,)`, and heat maps as `Prediction` has
            them, of the photograph as it is.
        """
        batch = np.concatenate(list(views.views(image[np.newaxis], self.card.views)))
        request = self._requests.get()
        try:
            request.infer([batch])
            logits = request.get_tensor("logits").data.mean(axis=0)
            heatmaps = None
            if self.card.heatmaps:
                heatmaps = request.get_tensor("heatmaps").data[0].copy()
        finally:
            self._requests.put(request)
        return logits, heatmaps

    def occlude(
        self,
        image: np.ndarray,
        class_number: int,
        wanted: Callable[[], bool] = lambda: True,
    ) -> np.ndarray:
        """Explains a class by taking away patches: about 300 runs of the model.

        Args:
            image: As for `infer`.
            class_number: Which class.
            wanted: Asked now and then whether to go on.

        Returns:
            A heat map, as `occlusion.heatmap` says; needs none in the model.

        Raises:
            occlusion.Unwanted: `wanted` said no.
        """

        def score(batch: np.ndarray) -> np.ndarray:
            request = self._requests.get()
            try:
                request.infer([batch])
                logits = request.get_tensor("logits").data.copy()
            finally:
                self._requests.put(request)
            return occlusion.speaks_for(self.card.output, logits, class_number)

        return occlusion.heatmap(score, image, wanted)

    def _check_model(self) -> None:
        if self._drawings:
            raise gate.Unfit(
                "trained_on_drawings",
                f"the model {self.card.name!r} learnt from drawn photographs, to try "
                "the software out. It says nothing of real eyes. Take a model that was "
                "trained on photographs.",
            )

    def _measure(
        self, data: bytes, image: np.ndarray, crop: fundus.Crop
    ) -> qualities.Quality:
        """Measurements; of a small model's photograph at the size of all others."""
        if self.card.image_size < gate.MEASURED_AT:
            image, crop = self._decode(data, gate.MEASURED_AT)
        return qualities.measure(image, crop)

    def _decode(self, data: bytes, size: int) -> tuple[np.ndarray, fundus.Crop]:
        """As `fundus.prepare` does, once there is memory for it."""
        header = self.card.limits.check_file(data)
        with self.room.taken(decoding.of_file(header)):
            return _prepare(data, size)

    def _decide(
        self,
        logits: np.ndarray,
        heatmaps: np.ndarray | None,
        crop: fundus.Crop,
        measured: qualities.Quality,
    ) -> Prediction:
        card = self.card
        of_classes = card.probabilities(logits[np.newaxis])
        disease = float(card.disease_probability(of_classes)[0])
        row = of_classes[0]
        diseased_classes = card.task["disease_classes"]
        return Prediction(
            diseased=disease >= card.threshold,
            disease_probability=disease,
            threshold=card.threshold,
            predicted=int(card.predicted(of_classes)[0]),
            class_names=card.class_names,
            probabilities=tuple(row.tolist()),
            uncertainty=_uncertainty(row),
            logits=tuple(logits.tolist()),
            explained=max(diseased_classes, key=lambda number: row[number]),
            crop=crop,
            quality=measured,
            heatmaps=heatmaps,
        )


def compile_file(path: pathlib.Path, precision: str, throughput: bool) -> Any:
    """Compiles a model's file for this processor; its input is uint8 then.

    Args:
        path: The `.xml` file; the `.bin` file lies beside it.
        precision: OpenVINO's inference precision hint: "f32" or "bf16".
        throughput: Whether many photographs matter more than each.

    Returns:
        An `openvino.CompiledModel`.

    Raises:
        ValueError: OpenVINO is not installed.
    """
    try:
        import openvino
        from openvino import preprocess
    except ImportError as error:
        raise ValueError(
            "An exported model is run by OpenVINO, which is not installed. Install "
            "it: pip install openvino."
        ) from error
    core = openvino.Core()
    processor = preprocess.PrePostProcessor(core.read_model(path))
    # As float32 it would be four times as much to copy.
    processor.input().tensor().set_element_type(openvino.Type.u8)
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT" if throughput else "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    return core.compile_model(processor.build(), "CPU", hints)


def _prepare(data: bytes, size: int) -> tuple[np.ndarray, fundus.Crop]:
    try:
        return fundus.prepare(data, size)
    except fundus.UnreadableImageError as error:
        raise gate.Unfit("unreadable", str(error)) from None
    except fundus.NoColourError as error:
        raise gate.Unfit("no_colour", str(error)) from None
    except fundus.NotAFundusPhotographError as error:
        raise gate.Unfit("not_a_fundus_photograph", str(error)) from None


def _uncertainty(row: np.ndarray) -> float:
    """Entropy over the largest there can be, 0-1."""
    known = row[row > 0]
    entropy = -(known * np.log(known)).sum() / np.log(len(row))
    return float(min(max(entropy, 0.0), 1.0))
