"""What is said of a photograph, as JSON has it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving import predictor

QUALITY = ("brightness", "sharpness", "overexposed", "underexposed", "retina_share")
"""What is measured of a photograph, as `input_pipeline.quality` names it."""


FORMULA = tuple("=+-@\t\r")
"""With which a name begins that a spreadsheet would take for a formula."""


def columns(class_names: Sequence[str]) -> list[str]:
    """The columns that every CSV of answers has; docs/serving.md describes them."""
    named = ["file", "diseased", "disease_probability", "threshold", "predicted"]
    named += ["uncertainty", *(f"probability {one}" for one in class_names)]
    return [*named, "reason", "message", *QUALITY, "model", "variant", "model_sha256"]


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
        As `schema.Prediction` or `schema.Abstention` describe it.
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
    cells = [rounded(one) for one in said.heatmaps]
    return content | {"heatmaps": dict(zip(said.class_names, cells, strict=True))}


def rounded(heatmap: np.ndarray) -> list[list[float]]:
    """Cells `(rows, columns)`, 0-1, in decimals finer than a screen's 256 levels."""
    return heatmap.astype(float).round(3).tolist()
