"""What TensorBoard shows of a run."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from visualization import figures


class Board:
    """Scalars and pictures of one run, for training and validation side by side."""

    def __init__(self, folder: pathlib.Path | None):
        """Opens a board.

        Args:
            folder: Where it is written; None: nowhere.
        """
        self._train, self._valid = (
            tf.summary.create_file_writer(str(folder / name))
            if folder
            else tf.summary.create_noop_writer()
            for name in ("train", "valid")
        )

    def start(self, config: str, images: np.ndarray, titles: Sequence[str]) -> None:
        """Shows the config and a batch of augmented training photographs.

        Args:
            config: gin text.
            images: uint8 array of shape `(batch, size, size, 3)`, RGB, 0-255.
            titles: One for each.
        """
        grid = figures.photograph_grid(images, titles, columns=4)
        with self._train.as_default(step=0):
            indented = "\n".join(f"    {line}" for line in config.splitlines())
            tf.summary.text("config", indented)
            tf.summary.image("augmented training photographs", grid[None])

    def epoch(
        self,
        epoch: int,
        logs: Mapping[str, float],
        confusion: np.ndarray,
        class_names: Sequence[str],
    ) -> None:
        """Adds the figures of one epoch.

        Args:
            epoch: Its number, from 1.
            logs: Names and values; `val_` marks what belongs to validation.
            confusion: int array of shape `(num_classes, num_classes)`, of validation.
            class_names: Names of the classes.
        """
        with self._train.as_default(step=epoch):
            for name, value in logs.items():
                if not name.startswith("val_"):
                    tf.summary.scalar(name, value)
        figure = figures.confusion_matrix(confusion, class_names, f"epoch {epoch}")
        with self._valid.as_default(step=epoch):
            for name, value in logs.items():
                if name.startswith("val_"):
                    tf.summary.scalar(name.removeprefix("val_"), value)
            tf.summary.image("confusion matrix", figures.to_rgb(figure)[None])

    def flush(self) -> None:
        """Writes what is still in memory."""
        self._train.flush()
        self._valid.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._train.close()
        self._valid.close()
