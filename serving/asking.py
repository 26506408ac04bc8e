"""Where the page gets its answers: from the API, or from a model of its own."""

import concurrent.futures
import datetime
import functools
import os
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import requests

from serving import answers, predictor, settings

_TRIES = 5


class NoAnswer(Exception):  # noqa: N818, it is the page's to show
    """The model cannot be asked; the text is for the page's reader."""


class Source(Protocol):
    """Who answers.

    An answer is as `serving.answers.describe` gives it, with the heat maps, the time
    when it was `answered`, and the `request_id` that the API's log has, or None.

    Attributes:
        card: The model's card, as `GET /model` gives it.
    """

    card: dict[str, Any]

    def ask(self, photographs: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        """Answers, in order; raises `NoAnswer`."""

    def occlude(self, photograph: bytes, class_name: str) -> list[list[float]]:
        """Cells of the heat map of a class by occlusion; raises `NoAnswer`."""


def connect(page: settings.Page) -> Source:
    """Whom the settings name.

    Args:
        page: The settings.

    Returns:
        The source.

    Raises:
        NoAnswer: The API does not answer, or the model cannot be loaded.
    """
    return Api(page) if page.model is None else Embedded(page)


class Api:
    """The API, over HTTP."""

    def __init__(self, page: settings.Page):
        """Asks for the model's card."""
        self._page = page
        self._headers = {"Authorization": f"Bearer {page.key}"} if page.key else {}
        self.card, _ = self._request("GET", "/model")
        self._at_once = min(4, self.card["accepts"]["most_photographs"])

    def ask(self, photographs: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        """Answers, in order, a few photographs a request."""
        for start in range(0, len(photographs), self._at_once):
            some = photographs[start : start + self._at_once]
            # The API never sees what the files are called.
            files = [("photographs", ("photograph", one)) for one in some]
            content, request_id = self._request(
                "POST", "/predict/batch?heatmaps=true", files=files
            )
            for said in content["answers"]:
                if said["model"]["sha256"] != self.card["fingerprints"]["model_sha256"]:
                    raise NoAnswer("The API has another model by now. Try again.")
                yield said | _noted(request_id)

    def occlude(self, photograph: bytes, class_name: str) -> list[list[float]]:
        """Cells of the heat map of a class by occlusion."""
        query = urllib.parse.urlencode(
            {"method": "occlusion", "cells": "true", "class": class_name}
        )
        files = {"photograph": ("photograph", photograph)}
        content, _ = self._request("POST", f"/explain?{query}", files=files)
        return content["cells"]

    def _request(
        self, method: str, path: str, **content: Any
    ) -> tuple[dict[str, Any], str | None]:
        """What is answered, and the request's id."""
        for number in range(_TRIES):
            try:
                with requests.Session() as session:
                    # Photographs go to the API alone, through no proxy of HTTP_PROXY.
                    session.trust_env = False
                    session.verify = _authorities()
                    answer = session.request(
                        method,
                        self._page.api.rstrip("/") + path,
                        headers=self._headers,
                        timeout=self._page.seconds,
                        allow_redirects=False,
                        **content,
                    )
                said = answer.json()
            except requests.RequestException as error:
                raise NoAnswer(
                    f"The API at {self._page.api} does not answer "
                    f"({type(error).__name__}). Is it running?"
                ) from error
            # What took too long would take as long again; what is busy may not be.
            busy = isinstance(said, dict) and str(said.get("type")).endswith("/busy")
            if answer.status_code != 503 or not busy or number == _TRIES - 1:
                break
            time.sleep(min(10, int(answer.headers.get("Retry-After", "1"))))
        if answer.status_code != 200:
            detail = said.get("detail", "") if isinstance(said, dict) else ""
            if answer.status_code == 401:
                detail = f"Start API and page with the same {settings.KEY}."
            raise NoAnswer(
                f"No answer: {said.get('title', answer.status_code)}. {detail}"
            )
        return said, answer.headers.get("X-Request-ID")


class Embedded:
    """A model in the page's own process."""

    def __init__(self, page: settings.Page):
        """Loads the model."""
        try:
            self._model = predictor.Predictor(
                page.model,
                variant=page.variant,
                throughput=True,
                allow_drawings=page.allow_drawings,
            )
        except (ValueError, OSError) as error:
            raise NoAnswer(str(error)) from error
        self.card = self._model.card.description() | {
            "running": {
                "variant": self._model.variant,
                "precision": self._model.precision,
            }
        }

    def ask(self, photographs: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        """Answers, in order."""
        describe = functools.partial(answers.describe, self._model, heatmaps=True)
        with concurrent.futures.ThreadPoolExecutor(self._model.parallel) as pool:
            for said in map(describe, pool.map(self._model.predict, photographs)):
                yield said | _noted(None)

    def occlude(self, photograph: bytes, class_name: str) -> list[list[float]]:
        """Cells of the heat map of a class by occlusion."""
        image, _ = self._model.prepare(photograph)
        number = self._model.card.class_names.index(class_name)
        return answers.rounded(self._model.occlude(image, number))


def _authorities() -> str | bool:
    """Who may vouch for the API's certificate: a file or folder, or True, the usual."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return next(filter(None, map(os.environ.get, names)), True)


def _noted(request_id: str | None) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {"answered": now.isoformat(), "request_id": request_id}
