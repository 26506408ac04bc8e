"""The views of a photograph over which a model's logits are averaged, in NumPy alone.

The same as `evaluation.predict.Symmetries`, which training has for TensorFlow.
"""

from collections.abc import Iterator, Mapping

import numpy as np


def views(
    images: np.ndarray, chosen: Mapping[str, bool] | None
) -> Iterator[np.ndarray]:
    """Every view of photographs, the photographs themselves first.

    Args:
        images: Array of shape `(batch, size, size, 3)`.
        chosen: `flips` and `quarter_turns`, as a run's decision has them, or None for
            the photographs alone.

    Yields:
        Arrays of the same shape.
    """
    if chosen is None:
        yield images
        return
    for turns in range(4 if chosen["quarter_turns"] else 1):
        turned = np.rot90(images, turns, axes=(1, 2))
        yield turned
        if chosen["flips"]:
            yield turned[:, :, ::-1]
