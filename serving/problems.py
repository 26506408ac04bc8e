"""Errors as problem documents (RFC 9457), `application/problem+json`."""

import dataclasses
import http
from collections.abc import Mapping
from typing import Any

from fastapi import responses

from serving import logs

MEDIA_TYPE = "application/problem+json"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        status: Its HTTP status.
        title: What it is, the same words each time.
        way_out: What whoever asked can do.
    """

    status: int
    title: str
    way_out: str


KINDS = {
    "invalid-request": Kind(
        422,
        "The request is not as the API describes it",
        "Correct what `detail` names; /docs has all parameters.",
    ),
    "not-a-form": Kind(
        415,
        "The photograph must be sent as multipart/form-data",
        "Send the file as a part of a form, as curl --form does.",
    ),
    "damaged-form": Kind(
        400,
        "The form cannot be read",
        "Send it again, whole; let a library write the form.",
    ),
    "too-large": Kind(
        413,
        "The upload is too large",
        "Send fewer photographs at once, or smaller ones; GET /model has the limits.",
    ),
    "too-slow": Kind(
        408,
        "The upload took too long",
        "Send it again by a faster connection, or fewer photographs at once.",
    ),
    "key-needed": Kind(
        401,
        "The API key is missing or wrong",
        "Ask whoever runs the server for the key.",
    ),
    "no-prediction": Kind(
        422,
        "The model says nothing of this photograph",
        "Take or send another photograph, as `detail` says.",
    ),
    "no-heat-map": Kind(
        409,
        "The model was exported without heat maps",
        "Ask for the method that `detail` names, or without heat maps.",
    ),
    "method-failed": Kind(
        409,
        "The method failed a sanity check of this model",
        "Ask for the method that `detail` names, or without heat maps.",
    ),
    "busy": Kind(
        503,
        "The server has too much to do",
        "Send it again after the seconds in Retry-After.",
    ),
    "stopping": Kind(
        503,
        "The server was stopped before it could answer",
        "Send it again after the seconds in Retry-After.",
    ),
    "timeout": Kind(
        503,
        "The photograph could not be answered in time",
        "Send it again later; if it goes on, whoever runs the server can allow more "
        "time or give it more processors.",
    ),
}
"""Name, the last part of a problem's `type` -> kind."""


class Problem(Exception):  # noqa: N818, as the standard calls it
    """An answer that is a problem.

    Attributes:
        name: Of `KINDS`.
        detail: What happened this time, and the way out.
        headers: Of the answer.
        more: Further members of the document.
    """

    def __init__(
        self, name: str, detail: str, headers: Mapping[str, str] | None = None, **more
    ):
        super().__init__(detail)
        self.name = name
        self.detail = detail
        self.headers = headers
        self.more = more

    def response(self) -> responses.JSONResponse:
        """The document."""
        kind = KINDS[self.name]
        return document(
            kind.status,
            kind.title,
            self.detail,
            self.headers,
            type=f"/problems/{self.name}",
            **self.more,
        )


def document(
    status: int,
    title: str | None = None,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> responses.JSONResponse:
    """A problem document; without a `type` it means no more than its status.

    Args:
        status: HTTP status.
        title: By default the status in words.
        detail: What happened.
        headers: Of the answer.
        **more: Further members.

    Returns:
        The answer.
    """
    content = {
        "type": "about:blank",
        "title": title or http.HTTPStatus(status).phrase,
        "status": status,
        "request_id": logs.REQUEST_ID.get(),
    }
    if detail is not None:
        content["detail"] = detail
    return responses.JSONResponse(
        content | more, status, dict(headers or {}), MEDIA_TYPE
    )
