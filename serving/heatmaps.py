"""A prediction's heat map on the photograph that it is of; OpenCV and NumPy alone."""

import numpy as np

from input_pipeline import fundus
from serving import predictor
from visualization import baselines
from visualization import overlay as overlays

LONGEST = 1024
"""Pixels of a picture's longer side: as many as a screen shows."""


def cells(
    prediction: predictor.Prediction, class_number: int | None = None
) -> np.ndarray:
    """A prediction's heat map of a class.

    Args:
        prediction: Of the photograph.
        class_number: Which class; by default the one that `explained` names.

    Returns:
        float32 array of shape `(rows, columns)`, 0-1, of the prepared square.

    Raises:
        ValueError: The model has no heat maps, or there is no such class.
    """
    if prediction.heatmaps is None:
        raise ValueError(
            "The model was exported without heat maps. Export it with "
            "export.heatmaps = True, if its head allows that."
        )
    if class_number is None:
        class_number = prediction.explained
    if not 0 <= class_number < len(prediction.heatmaps):
        raise ValueError(
            f"`class_number` must be from 0 to {len(prediction.heatmaps) - 1}. "
            f"Received: {class_number}."
        )
    return prediction.heatmaps[class_number]


def on_picture(
    heatmap: np.ndarray, crop: fundus.Crop, picture: np.ndarray
) -> np.ndarray:
    """Carries the cells of a heat map to a picture of the whole photograph.

    Cells at the edge reach beyond the retina, where they would show nothing. The
    picture tells where that is: the crop alone does not, where the retina fills it.

    Args:
        heatmap: float array of shape `(rows, columns)`, 0-1, of the prepared square.
        crop: Where that lies in the photograph.
        picture: uint8 array of shape `(height, width, 3)`, RGB, 0-255, such as
            `fundus.view` gives.

    Returns:
        float32 array of shape `(height, width)`, 0-1; 0 outside the retina.
    """
    height, width = picture.shape[:2]
    across, down = width / crop.width, height / crop.height
    left, top = round(crop.left * across), round(crop.top * down)
    scaled = fundus.Crop(
        left=left,
        top=top,
        # A small retina in a long picture has a pixel at least.
        right=max(left + 1, round(crop.right * across)),
        bottom=max(top + 1, round(crop.bottom * down)),
        width=width,
        height=height,
    )
    return overlays.on_original(heatmap, scaled) * baselines.retina(picture)


def legend(opacity: float = 0.6) -> np.ndarray:
    """A bar of the colours: nothing at the left, the map's maximum at the right.

    Args:
        opacity: As for `overlay`.

    Returns:
        uint8 array of shape `(16, 512, 3)`, RGB, 0-255.
    """
    ramp = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (16, 1))
    return overlays.overlay(np.full((16, 512, 3), 255, np.uint8), ramp, opacity)


def overlay(
    data: bytes,
    prediction: predictor.Prediction,
    class_number: int | None = None,
    *,
    longest: int = LONGEST,
    opacity: float = 0.6,
) -> np.ndarray:
    """Draws a heat map over its photograph.

    Args:
        data: The photograph's file.
        prediction: What was said of it.
        class_number: Which class; by default the one that `explained` names.
        longest: Pixels of the picture's longer side, at most.
        opacity: Of the colour where the heat map is 1; 0-1.

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, 0-255.

    Raises:
        ValueError: As `cells` says, or the opacity is out of range.
    """
    heatmap = cells(prediction, class_number)
    return draw(data, heatmap, prediction.crop, longest=longest, opacity=opacity)


def draw(
    data: bytes,
    heatmap: np.ndarray,
    crop: fundus.Crop,
    *,
    longest: int = LONGEST,
    opacity: float = 0.6,
) -> np.ndarray:
    """Draws cells of any origin over a photograph.

    Args:
        data: The photograph's file.
        heatmap: float array of shape `(rows, columns)`, 0-1, of the prepared square.
        crop: Where that lies in the photograph.
        longest: As for `overlay`.
        opacity: As for `overlay`.

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, 0-255.
    """
    picture = fundus.view(data, longest)
    enlarged = on_picture(heatmap, crop, picture)
    return overlays.overlay(picture, enlarged, opacity)
