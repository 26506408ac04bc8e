"""An experiment: the modes, what each needs of a config, and what decides training.

Everything that a config can get wrong is found when its objects are made, before any
photograph is opened.
"""

from collections.abc import Callable, Iterable, Mapping

from configs import statements
from train import commands
from train.modes import (
    compare,
    doctor,
    evaluate,
    explain,
    export,
    predict,
    prepare,
    run,
    tune,
    verify,
)

Where = commands.Where

MODES: Mapping[str, tuple[Callable[[Where], str], tuple[str, ...]]] = {
    "run": (
        run.run_mode,
        ("prepare", "audit", "split", "ensemble", "train", "evaluate"),
    ),
    "prepare": (prepare.prepare_mode, ("prepare", "audit")),
    "train": (run.train_mode, ("prepare", "audit", "split", "ensemble", "train")),
    "evaluate": (
        evaluate.evaluate_mode,
        ("prepare", "audit", "split", "ensemble", "train", "evaluate"),
    ),
    "explain": (
        explain.explain_mode,
        ("prepare", "audit", "split", "ensemble", "train", "explain"),
    ),
    "tune": (tune.tune_mode, ("tune",)),
    "export": (
        export.export_mode,
        ("prepare", "audit", "split", "ensemble", "train", "export"),
    ),
    "predict": (predict.predict_mode, ("predict",)),
    "compare": (compare.compare_mode, ("compare",)),
    "doctor": (doctor.doctor_mode, ("prepare", "doctor")),
    "verify": (verify.verify_mode, ("train",)),
}
"""Mode -> (function, the configurables that it needs)."""

ENTRY_POINTS = tuple(
    dict.fromkeys(name for _, needed in MODES.values() for name in needed)
)
"""The configurables that some mode needs."""

_NEUTRAL = (
    "prepare.skip_unreadable",  # The data's fingerprint tells what was left out.
    "train.checkpoint_every_epochs",
    "train.checkpoint_every_minutes",
    "train.keep_checkpoints",
    "train.require_gpu",
    "training_stream.cache_gigabytes",
)
"""Parameters that change the way to the weights, but not the weights."""


def deciding(bindings: Iterable[statements.Binding]) -> dict[str, str]:
    """The bindings that decide which weights a training ends with.

    Args:
        bindings: As `loader.load` returns them.

    Returns:
        Binding -> value, both as gin text.
    """
    entry_points = ("prepare", "audit", "split", "ensemble", "train")
    found = statements.deciding(bindings, entry_points, _NEUTRAL)
    # So begins each member of an ensemble, and it is the same as saying nothing.
    alone = {"ensemble.every_fold": "False", "ensemble.seeds": "()"}
    return {name: text for name, text in found.items() if alone.get(name) != text}
