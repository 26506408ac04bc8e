"""Several trainings of one experiment that answer together.

Each member is a run of its own under `members/`: the same experiment with another fold,
another seed, or both. It is checkpointed, resumed, shown in TensorBoard and explained
like any other run. Those that have not trained on a photograph answer it together.
"""

import dataclasses
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import gin
import keras
from absl import logging

from evaluation import members, networks
from input_pipeline import photograph, records, splits, whole_files
from models import ensemble
from train import checkpoints, commands

_AGAIN = "Remove it: the same command then makes it again from the last checkpoint."


class Member(NamedTuple):
    """One of the trainings.

    Attributes:
        fold: Which fold validates it.
        seed: Its `train.seed`.
    """

    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Its folder, as in "fold-0-seed-1"."""
        return f"fold-{self.fold}-seed-{self.seed}"

    def where(self, whole: commands.Where) -> commands.Where:
        """What the command line would say to ask for this member alone."""
        own = {"split.fold": repr(self.fold), "train.seed": repr(self.seed)}
        kept = {
            name: value
            for name, value in whole.bindings.items()
            if not name.startswith("ensemble.")
        }
        return dataclasses.replace(
            whole,
            run_dir=whole.run_dir / members.FOLDER / self.name,
            bindings=kept | own,
        )

    def bind(self) -> None:
        """Has gin ask for this member alone, as its own `config.gin` then says."""
        _bind(
            {
                "ensemble.every_fold": False,
                "ensemble.seeds": (),
                "split.fold": self.fold,
                "train.seed": self.seed,
            }
        )


@gin.register("ensemble")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Which trainings an experiment has; by default one.

    Attributes:
        every_fold: Whether each of the `split.folds` folds validates a member, so that
            every training photograph is predicted by networks that have not seen it.
        seeds: A member each, or one for each fold; none: `train.seed` alone.
    """

    every_fold: bool = False
    seeds: Sequence[int] = ()

    def __post_init__(self):
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds, default=0) < 0:
            raise ValueError(
                "`ensemble.seeds` must be different numbers, at least 0. Received: "
                f"{tuple(self.seeds)}."
            )
        if len(self.seeds) == 1 and not self.every_fold:
            raise ValueError(
                "`ensemble.seeds` must name several. For one training bind "
                f"train.seed = {self.seeds[0]} instead."
            )

    def members(self, splitter: splits.Splitter, seed: int) -> tuple[Member, ...]:
        """The trainings: several, or that of the experiment itself.

        Args:
            splitter: Knows how many folds there are.
            seed: `train.seed`.
        """
        folds = range(splitter.folds) if self.every_fold else (splitter.fold,)
        seeds = self.seeds or (seed,)
        return tuple(Member(fold, one) for one in seeds for fold in folds)

    def check(self, splitter: splits.Splitter, evaluated: Sequence[str]) -> None:
        """Refuses what does not go with every fold.

        Args:
            splitter: Makes the members' splits.
            evaluated: The splits that will be evaluated.

        Raises:
            ValueError: Not all photographs of a fold would validate, or those that
                train every member, of which there are none, would be evaluated.
        """
        if not self.every_fold:
            return
        if splitter.valid_photographs is not None:
            raise ValueError(
                "`ensemble.every_fold` has each photograph validate a member. Received "
                f"split.valid_photographs = {splitter.valid_photographs}: bind None, "
                "or train one fold."
            )
        if "train" in evaluated:
            raise ValueError(
                "With `ensemble.every_fold` no photograph trains every member: each "
                "of them is in 'valid'. Take 'train' out of `evaluate.splits`. "
                f"Received: {tuple(evaluated)}."
            )

    def warn(self, keep: str, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Warns where out-of-fold figures will be too good.

        Args:
            keep: `train.keep`.
            callbacks: `train.callbacks`.
        """
        if not self.every_fold:
            return
        for one in callbacks:
            if str(getattr(one, "monitor", "")).startswith("val_"):
                logging.warning(
                    "%s goes by %s, the fold that validates each member: the "
                    "out-of-fold figures are too good, and calibration and threshold "
                    "are chosen on them. Take it out of train.callbacks.",
                    type(one).__name__,
                    one.monitor,
                )
        if keep == "best":
            logging.warning(
                "The epoch of each member is chosen on the fold that validates it "
                "(train.keep = 'best'), so that the out-of-fold figures are too good, "
                "and calibration and threshold are chosen on them. Bind train.keep = "
                "'last', with a schedule that ends."
            )

    def validation(
        self, splitter: splits.Splitter, split_of: Mapping[str, photograph.Split]
    ) -> str:
        """Which photographs validate, in words.

        Args:
            splitter: Makes the split.
            split_of: Id -> the split that the audit allows (`Decisions.split`).

        Raises:
            ValueError: There are no folds, since the publisher says what validates.
        """
        if not self.every_fold:
            return splitter.validation(split_of)
        if "valid" in split_of.values():
            raise ValueError(
                "`ensemble.every_fold` is True, but the publisher names the validation "
                "photographs, so that there are no folds. Bind ensemble.seeds instead, "
                "or take the validation split out of the labels."
            )
        return f"each of {splitter.folds} folds by the members not trained on it"

    def bind(self, splitter: splits.Splitter, seed: int) -> None:
        """Has gin ask for all of it again, after it asked for single members."""
        _bind(
            {
                "ensemble.every_fold": self.every_fold,
                "ensemble.seeds": tuple(self.seeds),
                "split.fold": splitter.fold,
                "train.seed": seed,
            }
        )


def check_bindings(bindings: Mapping[str, str]) -> None:
    """Refuses macros where members have values of their own.

    A member's config would hold a macro that nothing uses.

    Args:
        bindings: Those that decide training, binding -> value.

    Raises:
        ValueError: There is such a macro.
    """
    for name in ("ensemble.every_fold", "ensemble.seeds", "split.fold", "train.seed"):
        if "%" in bindings.get(name, ""):
            raise ValueError(
                f"`{name}` must be bound to a value in an ensemble, whose members have "
                f"their own. Received: the macro {bindings[name]}."
            )


def _bind(values: Mapping[str, object]) -> None:
    with gin.unlock_config():
        for name, value in values.items():
            gin.bind_parameter(name, value)


def pool(parts: Sequence[splits.Split]) -> splits.Split:
    """The split of an ensemble: what validates any member validates it.

    Args:
        parts: The members' splits, of the same photographs.

    Returns:
        A split that trains on what all members train on: nothing if each photograph
        validates one of them. All that validate it do so, drawn by a member or not.
    """
    valid = tuple(dict.fromkeys(key for one in parts for key in one.valid))
    validating = set(valid)
    train = tuple(key for key in parts[0].train if key not in validating)
    rest = tuple(key for key in parts[0].not_drawn if key not in validating)
    return dataclasses.replace(parts[0], train=train, valid=valid, not_drawn=rest)


def check_folder(run_dir: pathlib.Path) -> None:
    """Refuses an ensemble where one of its members belongs.

    Args:
        run_dir: Where it is to be trained.

    Raises:
        ValueError: That is the folder of a member.
    """
    if run_dir.absolute().parent.name == members.FOLDER:
        raise ValueError(
            f"{run_dir} is the folder of a member, but the config asks for a whole "
            "ensemble, whose members have folders of their own. To train this member "
            "alone bind ensemble.every_fold = False and ensemble.seeds = (), beside "
            "split.fold and train.seed."
        )


def check_member(folder: pathlib.Path, member: Member) -> None:
    """Refuses a member that is not for what its ensemble is for.

    It may have been trained alone, elsewhere, before a label or a photograph changed.

    Args:
        folder: The ensemble's.
        member: One that is trained.

    Raises:
        ValueError: Its photographs, labels or preparation are others.
    """
    path = folder / members.FOLDER / member.name / "task.json"
    whole, own = (
        whole_files.read_json(folder / "task.json"),
        whole_files.read_json(path),
    )
    differing = [
        f"{name}, {own.get(name)} there and {value} here"
        for name, value in whole.items()
        if own.get(name) != value
    ]
    if differing:
        raise ValueError(
            f"{path.parent} was trained for something else than {folder}: "
            f"{'; '.join(differing)}. Bring back what it was trained for, or remove "
            "it: the same command then trains this member again."
        )


def assemble(
    folder: pathlib.Path, trained: Sequence[Member], split: splits.Split
) -> None:
    """Writes `ensemble.json` and, last of all, `model.keras`: the members' average.

    Args:
        folder: That of the run; its members are trained.
        trained: All of them.
        split: That of the run.

    Raises:
        ValueError: A member's model cannot be read, or it was trained alone, on other
            photographs than the run's split says.
    """
    paths = [folder / members.FOLDER / one.name / "split.json" for one in trained]
    pooled = pool([splits.Split.load(path) for path in paths])
    for name in ("train", "valid", "test"):
        if {*pooled[name]} != {*split[name]}:
            raise ValueError(
                f"The members in {folder / members.FOLDER} have {len(pooled[name])} "
                f"photographs in {name!r}, and {folder / 'split.json'} has others, "
                f"{len(split[name])}. Their photographs or the audit changed since. "
                "Train all in another --run_dir."
            )
    models = {
        one.name: load_model(folder / members.FOLDER / one.name / "model.keras")
        for one in trained
    }
    averaged = ensemble.average(list(models.values()))
    partial = folder / "partial.keras"
    with records.as_os_error(partial):
        averaged.save(partial)
    content = {
        "members": {
            name: checkpoints.digest(one.weights) for name, one in models.items()
        },
        "weights_sha256": checkpoints.digest(averaged.weights),
        "model_sha256": records.file_sha256(partial),
    }
    whole_files.write_json(folder / members.ENSEMBLE, content)
    os.replace(partial, folder / "model.keras")


def open_networks(
    folder: pathlib.Path, model: keras.Model, split: splits.Split
) -> list[networks.Network]:
    """The networks of a finished run.

    Args:
        folder: That of the run.
        model: Its `model.keras`.
        split: Its split.

    Returns:
        The model; of an ensemble its members.

    Raises:
        ValueError: A member is not the one that the ensemble was made of.
    """
    found, path = [], folder / members.ENSEMBLE
    digests = whole_files.read_json(path)["members"] if path.exists() else {}
    for name, noted in digests.items():
        member = folder / members.FOLDER / name
        own = load_model(
            member / "model.keras",
            f"It is one of the networks of {folder}. Bring it back. Or remove it and "
            f"{folder / 'model.keras'}: the command that trained them then makes both "
            "again.",
        )
        if checkpoints.digest(own.weights) != noted:
            raise ValueError(
                f"{member / 'model.keras'} is not the model that {folder} was made of: "
                f"it has other weights than {path} notes. Bring "
                f"it back, or remove {folder / 'model.keras'}: the command that "
                "trained it then makes the ensemble anew."
            )
        part = splits.Split.load(member / "split.json")
        found.append(networks.Network(name, own, part.train, part.not_drawn))
    return found or [networks.Network(folder.name, model, split.train)]


def load_model(path: pathlib.Path, remedy: str = _AGAIN) -> keras.Model:
    """The trained model in a file of a run.

    Args:
        path: The file.
        remedy: The way out if it is damaged.

    Raises:
        ValueError: It is.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error} {remedy}") from error
