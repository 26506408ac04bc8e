"""Where a model's decisions fall off as photographs get worse: behind `gate.Limits`.

    python benchmarks/quality_limits.py --data_dir=<IDRiD>

Training photographs, never those of the test set, are prepared and then made worse;
the limits do not stop the model here. It has learnt from them, so that the AUC is too
good: what counts is how soon its decisions are no longer those on the photographs as
they are. Blur is given in pixels of 256 across the retina, whatever the model sees.
"""

import csv
import functools
import pathlib
import sys
from collections.abc import Callable

from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import cv2
import numpy as np
import sklearn.metrics

from input_pipeline import quality
from serving import card, gate, predictor

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of IDRiD.", required=True)
EXPORTED = flags.DEFINE_string("exported", str(card.PRETRAINED), "An exported model.")
PHOTOGRAPHS = flags.DEFINE_integer("photographs", 60, "How many, evenly over all.")
ONLY = flags.DEFINE_multi_string(
    "only", ["blur", "brightness", "contrast", "retina"], "What is done to them."
)

Change = Callable[[np.ndarray], np.ndarray]
"""uint8 `(size, size, 3)`, RGB, 0-255 -> the same, worse."""

_MEASURED = ("sharpness", "brightness", "underexposed", "overexposed")


def main(argv: list[str]) -> None:
    """Prints a table."""
    del argv
    model = predictor.Predictor(pathlib.Path(EXPORTED.value))
    labels = referable(pathlib.Path(DATA_DIR.value))
    paths = list(labels)[:: max(1, len(labels) // PHOTOGRAPHS.value)]
    paths = paths[: PHOTOGRAPHS.value]
    prepared = [model.prepare(path.read_bytes()) for path in paths]
    diseased = np.array([labels[path] for path in paths])
    print(
        f"{len(paths)} training photographs, {diseased.sum()} referable; "
        f"{model.card.name}, {model.card.image_size} px, computed in {model.precision}"
    )
    print(
        f"{'':18} {'AUC':>6} {'same':>6} {'found':>6} {'passed':>6} {'answered':>8} "
        + " ".join(f"{one:>12}" for one in _MEASURED)
        + "  medians"
    )
    usual = None
    for what, change in changes(model.card.image_size).items():
        if usual is not None and not what.startswith(tuple(ONLY.value)):
            continue
        changed = [change(image) for image, _ in prepared]
        disease = np.array([probability(model, one) for one in changed])
        decided = disease >= model.card.threshold
        usual = decided if usual is None else usual
        measured = [
            quality.measure(image, crop)
            for image, (_, crop) in zip(changed, prepared, strict=True)
        ]
        medians = [
            np.median([getattr(one, of) for one in measured]) for of in _MEASURED
        ]
        print(
            f"{what:18} {sklearn.metrics.roc_auc_score(diseased, disease):6.3f} "
            f"{np.mean(decided == usual):6.2f} {decided[diseased].mean():6.2f} "
            f"{1 - decided[~diseased].mean():6.2f} "
            f"{np.mean([passes(model, one) for one in measured]):8.2f} "
            + " ".join(f"{one:12.4f}" for one in medians),
            flush=True,
        )


def referable(data_dir: pathlib.Path) -> dict[pathlib.Path, bool]:
    """Training photographs -> whether their grade is at least 2."""
    grading = data_dir / "B. Disease Grading"
    folder = grading / "1. Original Images" / "a. Training Set"
    (table,) = (grading / "2. Groundtruths").glob("*Training Labels.csv")
    with open(table, newline="", encoding="utf-8") as file:
        return {
            folder / f"{row['Image name']}.jpg": int(row["Retinopathy grade"]) >= 2
            for row in csv.DictReader(file)
        }


def changes(size: int) -> dict[str, Change]:
    """What is done to prepared photographs, by its name."""
    blurs, shares = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0), (0.75, 0.5, 0.375, 0.25)
    factors, contrasts = (0.7, 0.5, 0.35, 0.25, 1.5, 2.0), (0.7, 0.5, 0.35, 0.25)
    made = functools.partial
    return (
        {"as it is": lambda image: image}
        | {f"blur {by:g}": made(blur, pixels=by * size / 256) for by in blurs}
        | {
            f"brightness x {by:g}": made(cv2.convertScaleAbs, alpha=by)
            for by in factors
        }
        | {f"contrast x {by:g}": made(fade, factor=by) for by in contrasts}
        | {f"retina of {round(by * size)}": made(shrink, share=by) for by in shares}
    )


def blur(image: np.ndarray, pixels: float) -> np.ndarray:
    """Out of focus; the camera's stop, around the retina, stays sharp."""
    inside = np.float32(_retina(image))
    soft = cv2.GaussianBlur(image * inside, (0, 0), pixels)
    share = cv2.GaussianBlur(inside, (0, 0), pixels)[..., np.newaxis]
    return np.uint8(np.clip(inside * soft / np.maximum(share, 1e-6) + 0.5, 0, 255))


def fade(image: np.ndarray, factor: float) -> np.ndarray:
    """Behind a haze: all colours nearer to the retina's mean."""
    inside = _retina(image)
    mean = image[inside[..., 0]].mean(axis=0)
    return np.uint8(np.where(inside, mean + factor * (image - mean) + 0.5, image))


def shrink(image: np.ndarray, share: float) -> np.ndarray:
    """From a retina of fewer pixels, enlarged again as preparation does."""
    size = image.shape[0]
    small = (round(share * size),) * 2
    small = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def _retina(image: np.ndarray) -> np.ndarray:
    """Where the photograph shows any, `(size, size, 1)`, bool."""
    return image.max(axis=2, keepdims=True) > 20


def probability(model: predictor.Predictor, image: np.ndarray) -> float:
    """Probability of disease, whatever the limits say."""
    of_classes = model.card.probabilities(model.infer(image)[0][np.newaxis])
    return float(model.card.disease_probability(of_classes)[0])


def passes(model: predictor.Predictor, measured: quality.Quality) -> bool:
    """Whether a photograph is good enough by the model's limits."""
    try:
        model.card.limits.check_quality(measured)
    except gate.Unfit:
        return False
    return True


if __name__ == "__main__":
    app.run(main)
