"""The API's description in OpenAPI: answers, forms, problems, pictures."""

import http
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic

from serving import gate
from serving import problems as documents


class _Answer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Quality(_Answer):
    """Measurements of a photograph."""

    brightness: float = pydantic.Field(description="Mean grey level, 0-255")
    sharpness: float = pydantic.Field(description="Fine detail of the green channel")
    overexposed: Share = pydantic.Field(description="Share of the retina, clipped")
    underexposed: Share = pydantic.Field(description="Share of the retina, too dark")
    retina_share: Share = pydantic.Field(description="Of the photograph")


class Crop(_Answer):
    """The square that the model saw, in pixels of the upright photograph."""

    left: int
    top: int
    right: int
    bottom: int
    width: int = pydantic.Field(description="Of the whole photograph")
    height: int = pydantic.Field(description="Of the whole photograph")


class Model(_Answer):
    """Which model answers."""

    name: str
    variant: str
    sha256: str = pydantic.Field(description="Of the trained model's file")


class Prediction(_Answer):
    """What the model says of a photograph."""

    answer: Literal["prediction"]
    diseased: bool = pydantic.Field(
        description="Whether the probability of disease is at or above the threshold"
    )
    disease_probability: Share = pydantic.Field(description="Calibrated")
    threshold: Share = pydantic.Field(description="The frozen operating point")
    predicted: str = pydantic.Field(
        description="Of two classes by the threshold, of more the most probable"
    )
    probabilities: dict[str, Share] = pydantic.Field(
        description="Of each class, calibrated"
    )
    uncertainty: Share = pydantic.Field(
        description="Entropy of the probabilities over that of a guess"
    )
    model: Model
    logits: list[float]
    explained: str = pydantic.Field(
        description="The class whose heat map is to be shown first"
    )
    crop: Crop
    quality: Quality
    heatmaps: dict[str, list[list[Share]]] | None = pydantic.Field(
        None,
        description="If asked for: Grad-CAM of each class, rows of cells on the crop",
    )


class Abstention(_Answer):
    """Why the model says nothing of a photograph."""

    answer: Literal["abstention"]
    reason: gate.Reason
    message: str = pydantic.Field(description="What was found and what was expected")
    quality: Quality | None
    model: Model


Answer = Annotated[Prediction | Abstention, pydantic.Field(discriminator="answer")]


class Batch(_Answer):
    """The answers to several photographs, in their order."""

    answers: list[Answer]


class Problem(pydantic.BaseModel):
    """A problem document, RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    request_id: str


Method = Literal["grad_cam", "occlusion"]
"""How a heat map is made."""


class Heatmap(_Answer):
    """What speaks for a class, and where."""

    method: Method
    explained: str = pydantic.Field(description="The class")
    cells: list[list[Share]] = pydantic.Field(description="Rows of cells on the crop")
    crop: Crop


PICTURE = {
    200: {
        "description": "The photograph with the heat map, or its cells",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "model": Heatmap,
    }
}


def problems(*statuses: int) -> dict[int, dict[str, Any]]:
    """The `responses` of an endpoint that answers with problems of these statuses."""
    return {
        status: {
            "model": Problem,
            "description": "; ".join(
                kind.title for kind in documents.KINDS.values() if kind.status == status
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
        of_problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
        for path in content["paths"].values():
            for operation in path.values():
                for status, answer in operation["responses"].items():
                    if int(status) >= 400:
                        answer["content"] = {documents.MEDIA_TYPE: of_problem}
        return content

    return described
