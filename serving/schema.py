"""What FastAPI cannot know of the API: its forms, its problems, its pictures."""

import http
from collections.abc import Callable
from typing import Any

from serving import answers
from serving import problems as documents

PICTURE = {
    200: {
        "description": "The photograph with the heat map",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def problems(*statuses: int) -> dict[int, dict[str, Any]]:
    """The `responses` of an endpoint that answers with problems of these statuses."""
    return {
        status: {
            "model": answers.Problem,
            "description": "; ".join(
                kind.title
                for kind in documents.KINDS.values()
                if kind.status == status
            )
            or http.HTTPStatus(status).phrase,
        }
        for status in statuses
    }


UPLOAD_PROBLEMS = problems(400, 401, 408, 413, 415, 422, 503)
"""The `responses` of an endpoint that takes photographs."""


def form(name: str, most: int | None = None) -> dict[str, Any]:
    """The request body of an endpoint that takes photographs.

    Args:
        name: Of the form's parts.
        most: How many there may be; None if there must be one.

    Returns:
        A part of an OpenAPI description.
    """
    file: dict[str, Any] = {"type": "string", "format": "binary"}
    if most is not None:
        file = {"type": "array", "items": file, "minItems": 1, "maxItems": most}
    content = {
        "type": "object",
        "properties": {name: file},
        "required": [name],
        "additionalProperties": False,
    }
    body = {"content": {"multipart/form-data": {"schema": content}}, "required": True}
    return {"requestBody": body}


def with_problem_documents(openapi: Callable[[], dict]) -> Callable[[], dict]:
    """Gives the problems of an application's description their media type."""

    def described() -> dict:
        content = openapi()
        for path in content["paths"].values():
            for operation in path.values():
                for status, answer in operation["responses"].items():
                    if int(status) >= 400 and "application/json" in answer["content"]:
                        answer["content"] = {
                            documents.MEDIA_TYPE: answer["content"]["application/json"]
                        }
        return content

    return described
