"""What a command says: where things are, and what its config makes of gin."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import gin


@dataclasses.dataclass(frozen=True)
class Where:
    """What the command line says: where things are.

    Attributes:
        data_dirs: Dataset's name -> its folder; "" names that of the only dataset.
        prepared_dir: Where prepared folders lie.
        run_dir: The experiment's own directory.
        bindings: The bindings that decide training, binding -> value.
        dry_run: Whether to stop before any photograph is opened or file written.
        compared: Directories of the runs that `compare` takes.
        predictions: A CSV of another model's predictions, to be evaluated in place of
            the run's own model; or None.
        random_labels: Directory of a run that was trained on random labels, to check
            explanations by; or None.
        exported: Folder of an exported model; None: the run's own.
        photographs: Folder of photographs that are predicted, or None.
        output_dir: Where what is said of them goes; None: where it usually does.
    """

    data_dirs: Mapping[str, pathlib.Path]
    prepared_dir: pathlib.Path
    run_dir: pathlib.Path
    bindings: Mapping[str, str]
    dry_run: bool = False
    compared: tuple[pathlib.Path, ...] = ()
    predictions: pathlib.Path | None = None
    random_labels: pathlib.Path | None = None
    exported: pathlib.Path | None = None
    photographs: pathlib.Path | None = None
    output_dir: pathlib.Path | None = None


def configured(what: Callable, *args) -> Any:
    """Calls a registered function or class with what gin binds to it."""
    return gin.get_configurable(what)(*args)
