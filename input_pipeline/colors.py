"""Measures the colours of prepared photographs, for `pretrained.mean` and `deviation`.

python -m input_pipeline.colors --prepared=prepared/<dataset>-<fingerprint>
"""

import pathlib
import sys

import numpy as np
from absl import app, flags

from input_pipeline import images, progress, records

_BATCH = 16


def measure(collection: records.Collection) -> tuple[list[float], list[float], int]:
    """Mean and deviation of pixels, the black surround included.

    Args:
        collection: Prepared photographs. Those that the publisher tests on are left
            out: they decide nothing.

    Returns:
        Mean and standard deviation of red, green and blue, 0-255, and the number of
        photographs.

    Raises:
        ValueError: There is no photograph to measure, or a record is damaged.
    """
    ids = [one.id for one in collection.photographs if one.split != "test"]
    if not ids:
        raise ValueError("All photographs are test photographs, which decide nothing.")
    counts = np.zeros((3, 256), np.int64)
    with progress.bar(total=len(ids), desc="measure", unit="photo", delay=2) as bar:
        for batch in images.open(collection, ids).batches(_BATCH):
            for channel, count in enumerate(counts):
                count += np.bincount(batch[..., channel].ravel(), minlength=256)
            bar.update(len(batch))
    shares = counts / counts.sum(axis=1, keepdims=True)
    levels = np.arange(256)
    mean = shares @ levels
    deviation = np.sqrt(shares @ levels**2 - mean**2)
    return mean.tolist(), deviation.tolist(), len(ids)


def main(argv: list[str]) -> None:
    """Prints the lines of a gin file."""
    if len(argv) > 1:
        sys.exit(f"This command takes flags only. Received: {' '.join(argv[1:])}.")
    try:
        folders = [records.Prepared(pathlib.Path(one)) for one in _PREPARED.value]
        mean, deviation, count = measure(records.Collection(folders))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"# Of {count} photographs, without those of the test split.")
    print(f"pretrained.mean = {tuple(round(one, 1) for one in mean)}")
    print(f"pretrained.deviation = {tuple(round(one, 1) for one in deviation)}")


if __name__ == "__main__":
    _PREPARED = flags.DEFINE_multi_string(
        "prepared", None, "A folder of prepared photographs.", required=True
    )
    app.run(main)
