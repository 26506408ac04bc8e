"""Draws the page's examples, one of each grade and one out of focus.

python -m serving.draw_examples
"""

import pathlib

import cv2
import numpy as np

from input_pipeline.datasets import synthetic

FOLDER = pathlib.Path(__file__).parent / "examples"

_WIDTH = 1072


def main() -> None:
    """Writes `examples/*.jpg`."""
    FOLDER.mkdir(exist_ok=True)
    for grade in range(5):
        image = synthetic.draw(grade, np.random.default_rng(grade), _WIDTH).image
        _write(f"grade_{grade}", image)
        if grade == 2:
            _write("out_of_focus", cv2.GaussianBlur(image, (0, 0), _WIDTH / 50))


def _write(name: str, image: np.ndarray) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
    cv2.imwrite(str(FOLDER / f"{name}.jpg"), image[..., ::-1], quality)


if __name__ == "__main__":
    main()
