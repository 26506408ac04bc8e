"""What the API's endpoints share: a model, its queue, its counts, its limits."""

import asyncio
import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any

import cv2
import fastapi
import numpy as np
from starlette import requests

from input_pipeline import fundus, image_header
from serving import (
    decoding,
    gate,
    heatmaps,
    monitoring,
    predictor,
    problems,
    settings,
    uploads,
    waiting,
)

Said = predictor.Prediction | predictor.Abstention


class Service:
    """Reads uploads and has the model work on them.

    Attributes:
        predicting: The model.
        limits: The settings.
        of_files: What a file must have: the model's limits, and the server's own.
        line: Photographs that wait, and those that are worked on.
        monitor: What is counted.
    """

    def __init__(self, predicting: predictor.Predictor, limits: settings.Api):
        """Starts the threads.

        Args:
            predicting: The model.
            limits: The settings.
        """
        self.predicting = predicting
        self.limits = limits
        self.line = waiting.Line(limits.workers, limits.most_waiting)
        self.monitor = monitoring.Monitor(predicting, self.line)
        self._held = uploads.Held(limits.most_held_bytes)
        self._occluding = threading.Semaphore(max(1, limits.workers // 2))
        of_model = predicting.card.limits
        most = limits.most_megapixels or of_model.most_megapixels
        self.of_files = dataclasses.replace(
            of_model, most_megapixels=min(of_model.most_megapixels, most)
        )

    async def answer(
        self,
        request: fastapi.Request,
        work: Callable[[bytes], Any],
        name: str = "photograph",
        most: int = 1,
        seconds: float | None = None,
    ) -> list[Any]:
        """Reads a request's photographs and has each worked on in a thread.

        Args:
            request: The request.
            work: What to do with a photograph's file.
            name: Of the form's parts that are photographs.
            most: How many there may be.
            seconds: In which all must be done; by default `answer_seconds`.

        Returns:
            What `work` returned of each.

        Raises:
            problems.Problem: There is no room, no such form, or no time.
            requests.ClientDisconnect: Nobody waits for the answer any longer.
        """
        # Before anything is read: who has to come again need send nothing now.
        self.check_room()
        with uploads.Upload(request, self.limits, self._held, most) as upload:
            files = await upload.photographs(name)
            tasks = [functools.partial(work, one) for one in files]
            return await self._work(request, tasks, seconds)

    def check_room(self) -> None:
        """Raises `problems.Problem` unless there is room for a photograph."""
        try:
            self.line.check_room(1)
        except waiting.Full as full:
            raise _busy(full) from None

    def predict(self, data: bytes) -> Said:
        """What the model says, within the server's own limit of pixels."""
        try:
            self.of_files.check_file(data)
        except gate.Unfit as unfit:
            return predictor.Abstention(unfit.reason, unfit.message)
        return self.predicting.predict(data)

    def occlude(
        self, data: bytes, class_number: int, unwanted: threading.Event
    ) -> np.ndarray:
        """The heat map of a class by occlusion; belongs to the threads.

        It takes a hundred times as long as a prediction: at most half of the threads
        do it, so that others are answered meanwhile.

        Args:
            data: A photograph's file, of which there is a prediction.
            class_number: Which class.
            unwanted: Set when nobody waits for it any longer; it ends soon then.

        Returns:
            As `Predictor.occlude` gives it.

        Raises:
            problems.Problem: Others are being made.
        """
        if not self._occluding.acquire(blocking=False):
            raise problems.Problem(
                "busy", "Other such heat maps are being made.", {"Retry-After": "5"}
            )
        try:
            image, _ = self.predicting.prepare(data)
            return self.predicting.occlude(
                image, class_number, lambda: not unwanted.is_set()
            )
        finally:
            self._occluding.release()

    def draw(
        self,
        data: bytes,
        cells: np.ndarray,
        crop: fundus.Crop,
        longest: int,
        opacity: float,
    ) -> bytes:
        """A heat map on its photograph, as a PNG file.

        Args:
            data: The photograph's file.
            cells: The heat map, as `heatmaps.draw` takes it.
            crop: Where it lies in the photograph.
            longest: Pixels of the picture's longer side, at most.
            opacity: Of the colour where the heat map is 1; 0-1.

        Returns:
            The file.
        """
        size = decoding.of_drawing(image_header.read(data), longest)
        with self.predicting.room.taken(size):
            picture = heatmaps.draw(data, cells, crop, longest=longest, opacity=opacity)
            done, encoded = cv2.imencode(".png", picture[..., ::-1])
        if not done:
            raise RuntimeError(f"a picture of shape {picture.shape} cannot be encoded")
        return encoded.tobytes()

    async def _work(
        self,
        request: fastapi.Request,
        tasks: list[Callable[[], Any]],
        seconds: float | None,
    ) -> list[Any]:
        seconds = seconds or self.limits.answer_seconds
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            done = await self.line.work(tasks, seconds, gone)
        except waiting.Full as full:
            raise _busy(full) from None
        except TimeoutError:
            raise problems.Problem(
                "timeout",
                f"It took more than {seconds:g} seconds. Try again later.",
                {"Retry-After": f"{seconds:.0f}"},
            ) from None
        finally:
            gone.cancel()
        if done is None:
            raise requests.ClientDisconnect
        return done


def _busy(full: waiting.Full) -> problems.Problem:
    after = str(full.retry_after)
    return problems.Problem(
        "busy", f"Try again in {after} seconds.", {"Retry-After": after}
    )


async def _disconnected(request: fastapi.Request) -> None:
    """Ends when the client goes away; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
