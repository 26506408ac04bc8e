"""A finished run that another one begins with: its weights, or all of its state.

`train.init_from` takes the weights that the run kept, and begins anew in all else.
`train.extend_from` goes on from its last checkpoint, as if it had not ended there.
"""

import pathlib
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from evaluation import members
from input_pipeline import audit, splits, whole_files
from train import checkpoints, lineage, optimizers, phases
from train import recipe as recipes

_LISTED = 10  # Layers in an error; a network may have hundreds.


class EarlierRun:
    """A finished run.

    Attributes:
        path: Its directory, as the config has it.
        role: Under which name it stands in the leakage certificate.
        model: Its trained model.
        target: The content of its `task.json`: what the model is for.
        phases: Its phases, as `history.json` has them.
        seen: The photographs that its weights have seen.
        weights_sha256: Checksum of the model's weights.
    """

    def __init__(self, path: str, parameter: str, role: str = "earlier_run"):
        """Reads a run.

        Args:
            path: Its directory.
            parameter: The parameter that names it, for errors.
            role: What it is to the run that takes it.

        Raises:
            FileNotFoundError: There is no such run, or it is not finished.
            ValueError: Its model cannot be read.
        """
        self.path = path
        self.role = role
        self._folder = pathlib.Path(path)
        self._parameter = parameter
        if self._folder.is_file():
            raise FileNotFoundError(
                f"`{parameter}` is {path!r}, a file. Name the folder of the run: "
                f"{str(self._folder.parent)!r}."
            )
        if (self._folder / members.ENSEMBLE).exists():
            raise ValueError(
                f"`{parameter}` is {path!r}, an ensemble. Name one of the runs in "
                f"{self._folder / members.FOLDER}."
            )
        for name in ("model.keras", "history.json", "task.json"):
            if not (self._folder / name).exists():
                raise FileNotFoundError(
                    f"`{parameter}` is {path!r}, but {self._folder / name} does not "
                    "exist: that is no finished run. Train it first, or name another."
                )
        self.seen = lineage.Seen.load(self._folder)
        model_file = self._folder / "model.keras"
        try:
            self.model = keras.models.load_model(model_file, compile=False)
        except (ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"`{parameter}` is {path!r}, whose {model_file} cannot be read: {error}"
            ) from error
        self.target = whole_files.read_json(self._folder / "task.json")
        self.phases = whole_files.read_json(self._folder / "history.json")["phases"]
        self.weights_sha256 = checkpoints.digest(self.model.weights)

    def bequeath(
        self, split: splits.Split, audited: audit.Audit, prepared_dir: pathlib.Path
    ) -> lineage.Inheritance:
        """What a run with a split takes over.

        Args:
            split: Which photographs train, validate and test there.
            audited: Its photographs.
            prepared_dir: Where records of this run may lie.

        Returns:
            What belongs into that run's certificate.

        Raises:
            ValueError: The weights have seen what they may not have seen.
        """
        found = lineage.check(self.seen, self.path, split, audited, prepared_dir)
        run = {
            "path": self.path,
            "taken_by": self._parameter,
            "weights_sha256": self.weights_sha256,
        }
        return lineage.Inheritance(self.role, self.seen, run | found)

    def answers(self, recipe: recipes.Recipe) -> bool:
        """Whether its head gives what a recipe asks for."""
        task, output = self.target["task"], self.target["output"]
        return task == recipe.task.description() and output == recipe.output.name

    def initialize(self, model: keras.Model, recipe: recipes.Recipe) -> None:
        """Gives a new model the weights, layer by layer, by their names.

        The head, which lies behind `feature_map`, is left as it is if the task or the
        output is another. Another image size is no hindrance to layers that fit.

        Args:
            model: The new model.
            recipe: What it is to learn.

        Raises:
            ValueError: A layer is missing or has other shapes; lists them.
        """
        mine, theirs = model.layers, self.model.layers
        if not self.answers(recipe):
            logging.info(
                "The head is made anew: %s answers %r with %r.",
                self.path,
                self.target["task"]["name"],
                self.target["output"],
            )
            mine, theirs = phases.trunk(model), phases.trunk(self.model)
        self._check_layers(mine, theirs)
        for layer in mine:
            if layer.weights:
                layer.set_weights(self.model.get_layer(layer.name).get_weights())

    def extend(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        recipe: recipes.Recipe,
    ) -> tuple[int, int]:
        """Takes the state at the run's end: model, optimizer, epochs done.

        History, best epoch and the memory of callbacks begin anew, and the learning
        rate is the new run's.

        Args:
            model: The new model.
            optimizer: The new optimizer, its variables built.
            recipe: What the new run does.

        Returns:
            How many epochs are done, and how many were before the run's last phase.

        Raises:
            ValueError: The run has another task, image size, architecture or optimizer,
                or as many epochs.
        """
        self._check_extensible(model, optimizer, recipe)
        latest = tf.train.latest_checkpoint(self._folder / "checkpoints")
        if latest is None:
            raise FileNotFoundError(
                f"{self._folder / 'checkpoints'} holds no checkpoint, and so no state "
                "of the optimizer. Bring it back, which a run that goes on from it "
                "needs until it is finished, or begin with the weights alone in "
                "another --run_dir: train.init_from in place of train.extend_from."
            )
        before = checkpoints.Progress([])
        checkpoint = tf.train.Checkpoint(
            model=[one.value for one in model.variables],
            optimizers=[{} for _ in self.phases[1:]]
            + [{"variables": optimizers.state(optimizer)["variables"]}],
            progress=before,
        )
        try:
            status = checkpoint.restore(latest).expect_partial()
            status.assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, IndexError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"The checkpoint {latest}, which `{self._parameter}` names, cannot be "
                f"read: {reason}"
            ) from error
        phase_start = before.phase_starts[-1]
        done = before.epoch - phase_start
        if recipe.epochs <= done:
            raise ValueError(
                f"`train.epochs` must be above the {done} that {self.path} was trained "
                f"for, which count. Received: {recipe.epochs}."
            )
        return before.epoch, phase_start

    def _check_extensible(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        recipe: recipes.Recipe,
    ) -> None:
        self._check_same(
            {
                "task": (recipe.task.description(), self.target["task"]),
                "output": (recipe.output.name, self.target["output"]),
                "image size": (model.input_shape[1], self.model.input_shape[1]),
            }
        )
        self._check_layers(model.layers, self.model.layers)
        self._check_same(
            {
                name.replace("_", " "): (value, self.phases[-1][name])
                for name, value in optimizers.describe(optimizer).items()
            }
        )

    def _check_same(self, pairs: Mapping[str, tuple[Any, Any]]) -> None:
        """Raises at the first thing that is not here as it is there."""
        for name, (here, there) in pairs.items():
            if here != there:
                raise ValueError(
                    f"`{self._parameter}` is {self.path!r}, which differs in its "
                    f"{name}: {there} there, {here} here. Take back the difference, or "
                    "begin with its weights alone: train.init_from."
                )

    def _check_layers(
        self, mine: Iterable[keras.Layer], theirs: Iterable[keras.Layer]
    ) -> None:
        """Raises, with a list, unless layers have the same names and shapes."""
        here, there = _shapes(mine), _shapes(theirs)
        lines = [
            f"  {name}: {there.get(name, 'none')} there, {here.get(name, 'none')} here"
            for name in (here | there)
            if here.get(name) != there.get(name)
        ]
        if lines:
            more = len(lines) - _LISTED
            shown = lines[:_LISTED] + ([f"  and {more} more"] if more > 0 else [])
            listing = "\n".join(shown)
            raise ValueError(
                f"`{self._parameter}` is {self.path!r}, whose layers do not fit those "
                f"of `train.model`:\n{listing}\nBuild the same model, its layers named."
            )


def named(recipe: recipes.Recipe) -> EarlierRun | None:
    """The run that a recipe begins with, if any."""
    for parameter in ("init_from", "extend_from"):
        if path := getattr(recipe, parameter):
            return EarlierRun(path, f"train.{parameter}")
    return None


def _shapes(layers: Iterable[keras.Layer]) -> dict[str, list[tuple[int, ...]]]:
    """Name -> shapes of the weights, of layers that have any."""
    return {
        one.name: [tuple(w.shape) for w in one.weights] for one in layers if one.weights
    }
