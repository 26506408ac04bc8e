"""What the API answers, as JSON: how it is made, and its schema."""

from typing import Annotated, Any, Literal

import pydantic

from serving import gate, predictor


def describe(
    predicting: predictor.Predictor,
    said: predictor.Prediction | predictor.Abstention,
    heatmaps: bool = False,
) -> dict[str, Any]:
    """An answer as JSON has it.

    Args:
        predicting: Who gave it.
        said: Of a photograph.
        heatmaps: Whether with the cells of the heat maps.

    Returns:
        As `Prediction` or `Abstention` of this module describe it.
    """
    content = said.description() | {
        "model": {
            "name": predicting.card.name,
            "variant": predicting.variant,
            "sha256": predicting.card.fingerprints["model_sha256"],
        }
    }
    if not heatmaps or isinstance(said, predictor.Abstention):
        return content
    if said.heatmaps is None:
        return content | {"heatmaps": None}
    # Three decimals are finer than a screen's 256 levels.
    cells = [one.astype(float).round(3).tolist() for one in said.heatmaps]
    return content | {"heatmaps": dict(zip(said.class_names, cells, strict=True))}


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
    predicted: str = pydantic.Field(description="The most probable class")
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
