"""Predicts all photographs of a folder: a CSV, heat maps, and a summary."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Literal

import cv2
import gin
from absl import logging

from input_pipeline import folder_lock, progress
from serving import answers, gate, heatmaps, predicted
from serving import card as cards
from serving import predictor as predictors

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
"""Of the files that are taken for photographs, in small letters or large."""

EXPORTED = pathlib.Path("export", "default")
"""Where a run has its exported model, unless it was given another name."""

_SHOWN = 10


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
        """Writes heat maps and `predictions.csv`, a row a file as soon as it is done.

        What was begun before, with the same model, settings and photographs, goes on
        where it stopped; what is finished changes nothing.

        Args:
            model: Folder of an exported model.
            photographs: Folder of photographs, with those in its subfolders.
            output: Where the results go; by default `predictions/<photographs>`.
            dry_run: Whether to say only what would be done.

        Returns:
            A summary.

        Raises:
            FileNotFoundError: There is no model, or no photograph.
            ValueError: The model is damaged, or has no such variant; or the folder of
                the results holds others.
            BlockingIOError: Another process is at work there.
        """
        paths = find(photographs)
        output = output or pathlib.Path("predictions", photographs.resolve().name)
        if photographs.resolve() in (output.resolve(), *output.resolve().parents):
            raise ValueError(
                f"--output_dir must not be inside --photographs, {photographs}: its "
                f"pictures would be taken for photographs. Received: {output}."
            )
        card = cards.load(model)
        asked = {
            "the model": card.name,
            "the checksum of its card": cards.file_sha256(model / cards.FILE),
            "the folder of the photographs": os.fspath(photographs.resolve()),
        }
        settings = dataclasses.asdict(self) | {"variant": self.variant or card.serves}
        asked |= {f"`predict.{name}`": value for name, value in settings.items()}
        columns = [*answers.columns(card.class_names), "overlay"]
        states = {_named(one.relative_to(photographs)): _state(one) for one in paths}
        results = predicted.Predicted(output, asked, states, columns)
        done = len(results.read())
        if dry_run:
            there = f", {done} of which are done" if done else ""
            return (
                f"Would ask {card.name} about {len(paths)} photographs{there}: "
                f"{output}."
            )
        predictor = predictors.Predictor(
            model,
            variant=self.variant,
            throughput=True,
            allow_drawings=self.allow_drawings,
        )
        with folder_lock.hold(output, wait=False, flag="--output_dir"):
            rows = results.read()
            if len(rows) < len(paths):
                self._go_on(predictor, photographs, paths, results, rows)
        return _summary(rows, predictor, output)

    def _go_on(
        self,
        predictor: predictors.Predictor,
        photographs: pathlib.Path,
        paths: Sequence[pathlib.Path],
        results: predicted.Predicted,
        rows: list[dict[str, str]],
    ) -> None:
        """Adds the rows that are missing, to the CSV and to `rows`."""
        if rows:
            logging.info("Going on: %d of %d files are done.", len(rows), len(paths))

        def row(path: pathlib.Path) -> dict[str, str]:
            name = path.relative_to(photographs)
            return self._row(predictor, path, name, results.folder)

        work = _in_threads(row, paths[len(rows) :])
        bar = progress.bar(work, "predict", len(paths), initial=len(rows), unit="photo")
        try:
            with contextlib.closing(work), bar, results.go_on(rows) as add:
                for one in bar:
                    add(one)
                    rows.append(one)
        except (KeyboardInterrupt, OSError):
            logging.info(
                "%d of %d files are in %s.", len(rows), len(paths), results.path
            )
            raise

    def _row(
        self,
        predictor: predictors.Predictor,
        path: pathlib.Path,
        name: pathlib.Path,
        output: pathlib.Path,
    ) -> dict[str, str]:
        """Predicts one file; draws its heat map."""
        card = predictor.card
        row = {
            "file": _named(name),
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
            "diseased": str(int(said.diseased)),
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
        path = pathlib.Path("overlays", name.parent, f"{name.name}.heatmap.jpg")
        picture = heatmaps.overlay(
            data, said, longest=self.longest, opacity=self.opacity
        )
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            (output / path).write_bytes(encoded.tobytes())
        except OSError as error:
            error.filename = error.filename or str(output / path)
            raise
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


def _named(name: pathlib.Path) -> str:
    """As the CSV names a file: in letters, and no formula of a spreadsheet."""
    file = name.as_posix().encode(errors="backslashreplace").decode()
    return f"./{file}" if file.startswith(answers.FORMULA) else file


def _state(path: pathlib.Path) -> tuple[int, int]:
    """By what a file is known again: its bytes, and when they were written."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _in_threads(function, paths: Sequence[pathlib.Path]) -> Iterator[dict[str, str]]:
    """Results in order; a few files are worked on at once, so that memory is flat."""
    threads = os.cpu_count() or 1
    ahead: collections.deque = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        for path in paths:
            ahead.append(pool.submit(function, path))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _summary(
    rows: Sequence[dict[str, str]],
    predictor: predictors.Predictor,
    output: pathlib.Path,
) -> str:
    decided = [one["diseased"] for one in rows if one.get("diseased")]
    diseased = decided.count("1")
    card = predictor.card
    lines = [
        f"{card.name}, {card.task['rule']}; {predictor.variant}, computed in "
        f"{predictor.precision}.",
        f"{len(rows)} files: {diseased} with the disease at the threshold "
        f"{card.threshold:.3f}, {len(decided) - diseased} without, "
        f"{len(rows) - len(decided)} without an answer.",
    ]
    unanswered = collections.defaultdict(list)
    for one in rows:
        if one.get("reason"):
            unanswered[one["reason"]].append(one["file"])
    width = len(str(len(rows)))
    for reason, files in sorted(unanswered.items(), key=lambda item: -len(item[1])):
        lines.append(f"  {len(files):{width}} {reason}: {gate.REASONS[reason]}")
        lines += [f"    {file}" for file in files[:_SHOWN]]
        if len(files) > _SHOWN:
            lines.append(f"    and {len(files) - _SHOWN} more, {reason} in the CSV")
    lines += [card.intended_use, f"Everything is in {output}."]
    return "\n".join(lines)
