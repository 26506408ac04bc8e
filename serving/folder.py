"""Predicts all photographs of a folder: a CSV, heat maps, and a summary."""

import collections
import concurrent.futures
import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import cv2
import gin

from input_pipeline import progress, whole_files
from serving import answers, gate, heatmaps
from serving import card as cards
from serving import predictor as predictors

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
"""Of the files that are taken for photographs, in small letters or large."""

FILE = "predictions.csv"

EXPORTED = pathlib.Path("export", "default")
"""Where a run has its exported model, unless it was given another name."""


@gin.register("predict")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """How the photographs of a folder are predicted.

    Attributes:
        overlays: Of which photographs the heat map is drawn.
        longest: Pixels of the longer side of those pictures, at most.
        opacity: Of the heat map where it is strongest, 0-1.
        variant: How the model runs, "float32", "bfloat16" or "int8"; by default as
            its card says.
        allow_drawings: Whether a model that was trained on drawings answers.
    """

    overlays: Literal["all", "diseased", "none"] = "all"
    longest: int = heatmaps.LONGEST
    opacity: float = 0.6
    variant: str | None = None
    allow_drawings: bool = False

    def __post_init__(self):
        if self.overlays not in ("all", "diseased", "none"):
            raise ValueError(
                "`predict.overlays` must be 'all', 'diseased' or 'none'. Received: "
                f"{self.overlays!r}."
            )
        if not 0 <= self.opacity <= 1 or self.longest < 1:
            raise ValueError(
                "`predict.opacity` must be 0-1 and `predict.longest` at least 1. "
                f"Received: {self.opacity} and {self.longest}."
            )

    def run(
        self,
        model: pathlib.Path,
        photographs: pathlib.Path,
        output: pathlib.Path | None = None,
        dry_run: bool = False,
    ) -> str:
        """Writes heat maps and last `predictions.csv`, a row a file.

        Args:
            model: Folder of an exported model.
            photographs: Folder of photographs, with those in its subfolders.
            output: Where the results go; by default `predictions/<photographs>`.
            dry_run: Whether to say only what would be done.

        Returns:
            A summary.

        Raises:
            FileNotFoundError: There is no model, or no photograph.
            ValueError: The model is damaged, or has no such variant.
        """
        paths = find(photographs)
        output = output or pathlib.Path("predictions", photographs.resolve().name)
        if photographs.resolve() in (output.resolve(), *output.resolve().parents):
            raise ValueError(
                f"--output_dir must not be inside --photographs, {photographs}: its "
                f"pictures would be taken for photographs. Received: {output}."
            )
        if dry_run:
            name = cards.load(model).name
            return f"Would ask {name} about {len(paths)} photographs: {output}."
        predictor = predictors.Predictor(
            model,
            variant=self.variant,
            throughput=True,
            allow_drawings=self.allow_drawings,
        )
        output.mkdir(parents=True, exist_ok=True)

        def row(path: pathlib.Path) -> dict[str, Any]:
            return self._row(predictor, path, path.relative_to(photographs), output)

        rows = list(
            progress.bar(_in_threads(row, paths), "predict", len(paths), unit="photo")
        )
        text = io.StringIO()
        columns = [*answers.columns(predictor.card.class_names), "overlay"]
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        # Names of files may be bytes that are no letters.
        content = text.getvalue().encode(errors="backslashreplace").decode()
        whole_files.write_text(output / FILE, content)
        return _summary(rows, predictor, output)

    def _row(
        self,
        predictor: predictors.Predictor,
        path: pathlib.Path,
        name: pathlib.Path,
        output: pathlib.Path,
    ) -> dict[str, Any]:
        """Predicts one file; draws its heat map."""
        card = predictor.card
        file = name.as_posix()
        row: dict[str, Any] = {
            "file": f"./{file}" if file.startswith(answers.FORMULA) else file,
            "model": card.name,
            "variant": predictor.variant,
            "model_sha256": card.fingerprints["model_sha256"],
        }
        try:
            data = path.read_bytes()
        except OSError as error:
            return row | {"reason": "unreadable", "message": str(error)}
        said = predictor.predict(data)
        if said.quality is not None:
            measured = ((one, getattr(said.quality, one)) for one in answers.QUALITY)
            row |= {one: f"{value:.4f}" for one, value in measured}
        if isinstance(said, predictors.Abstention):
            return row | {"reason": said.reason, "message": said.message}
        row |= {
            "diseased": int(said.diseased),
            "disease_probability": f"{said.disease_probability:.6f}",
            "threshold": f"{said.threshold:.6f}",
            "predicted": said.class_names[said.predicted],
            "uncertainty": f"{said.uncertainty:.4f}",
        }
        for one, value in zip(said.class_names, said.probabilities, strict=True):
            row[f"probability {one}"] = f"{value:.6f}"
        wanted = self.overlays == "all" or (
            self.overlays == "diseased" and said.diseased
        )
        if wanted and said.heatmaps is not None:
            row["overlay"] = self._draw(data, said, name, output)
        return row

    def _draw(
        self,
        data: bytes,
        said: predictors.Prediction,
        name: pathlib.Path,
        output: pathlib.Path,
    ) -> str:
        """Writes a heat map on its photograph; returns its path in the output."""
        # With the suffix it had: 1.jpg and 1.png may lie side by side.
        path = pathlib.Path("overlays", name.parent, f"{name.name}.jpg")
        picture = heatmaps.overlay(
            data, said, longest=self.longest, opacity=self.opacity
        )
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        (output / path).write_bytes(encoded.tobytes())
        return path.as_posix()


def find(folder: pathlib.Path) -> list[pathlib.Path]:
    """The photographs in a folder and its subfolders, in order.

    Raises:
        FileNotFoundError: There is none.
    """
    paths = sorted(
        one
        for one in folder.rglob("*")
        if one.suffix.lower() in SUFFIXES
        and one.is_file()
        and not one.name.startswith(".")
    )
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no photograph: no file that ends in "
            f"{', '.join(SUFFIXES)}. Name the folder of the photographs with "
            "--photographs."
        )
    return paths


def _in_threads(function, paths: Sequence[pathlib.Path]) -> Iterator[dict[str, Any]]:
    """Results in order; a few files are worked on at once, so that memory is flat."""
    threads = os.cpu_count() or 1
    ahead: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for path in paths:
            ahead.append(pool.submit(function, path))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _summary(
    rows: Sequence[dict[str, Any]],
    predictor: predictors.Predictor,
    output: pathlib.Path,
) -> str:
    decided = [one for one in rows if "diseased" in one]
    diseased = sum(one["diseased"] for one in decided)
    card = predictor.card
    lines = [
        f"{card.name}, {card.task['rule']}; {predictor.variant}, computed in "
        f"{predictor.precision}.",
        f"{len(rows)} files: {diseased} with the disease at the threshold "
        f"{card.threshold:.3f}, {len(decided) - diseased} without, "
        f"{len(rows) - len(decided)} without an answer.",
    ]
    reasons = collections.Counter(one["reason"] for one in rows if "reason" in one)
    width = len(str(len(rows)))
    lines += [
        f"  {count:{width}} {reason}: {gate.REASONS[reason]}"
        for reason, count in reasons.most_common()
    ]
    lines += [card.intended_use, f"Everything is in {output}."]
    return "\n".join(lines)
