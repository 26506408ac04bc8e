"""Retinograd's command line: flags say where, gin says what."""

import contextlib
import os
import pathlib
import sys
import tempfile

from absl import app, flags, logging

from configs import syntax

_MODES = ("run", "prepare", "train", "evaluate", "doctor")

GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", [], "Experiment, a gin file. Repeatable; later ones override."
)
GIN_BINDINGS = flags.DEFINE_multi_string(
    "gin_bindings", [], "A line of gin that overrides the files. Repeatable."
)
MODE = flags.DEFINE_enum(
    "mode",
    "run",
    _MODES,
    "run: prepare what is missing, train or resume, evaluate. prepare, train, evaluate: "
    "that step alone. doctor: examine the photographs' folder and the records.",
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the photographs.")
PREPARED_DIR = flags.DEFINE_string(
    "prepared_dir", "prepared", "Folder of prepared photographs, shared by all runs."
)
RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Folder of this experiment [runs/<name of the last gin file>]."
)
DRY_RUN = flags.DEFINE_bool(
    "dry_run",
    False,
    "Check everything, build the model, print the plan; write nothing.",
)


def main(argv: list[str]) -> None:
    """Runs one mode."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}. Flags begin with --.")
    try:
        print(_run())
    except (ValueError, OSError, RuntimeError) as error:
        if logging.get_verbosity() >= logging.DEBUG:
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command goes on from the last checkpoint.")


def _run() -> str:
    gin_files = list(GIN_FILE.value)
    run_dir = RUN_DIR.value
    if not gin_files:
        stored = pathlib.Path(run_dir or "", "config.gin")
        if run_dir is None or not stored.exists():
            raise syntax.ConfigError(
                "No experiment. Name one: --gin_file=configs/synthetic_resnet_v2.gin, "
                "or the --run_dir of a run that was begun."
            )
        gin_files = [str(stored)]
    run_dir = run_dir or f"runs/{pathlib.Path(gin_files[-1]).stem}"
    data_dir = DATA_DIR.value and pathlib.Path(DATA_DIR.value)
    if data_dir and not data_dir.is_dir():
        raise FileNotFoundError(f"--data_dir: there is no folder {data_dir}.")
    syntax.parse(gin_files, GIN_BINDINGS.value)

    with _quiet_import():  # Seconds, so only once all that can be checked before is.
        from configs import loader, registry  # noqa: F401
        from train import experiment

    mode, entry_points = experiment.MODES[MODE.value]
    statements = loader.load(gin_files, GIN_BINDINGS.value, entry_points)
    return mode(
        experiment.Where(
            data_dir=data_dir,
            prepared_dir=pathlib.Path(PREPARED_DIR.value),
            run_dir=pathlib.Path(run_dir),
            bindings=syntax.deciding(statements, experiment.DECIDING),
            dry_run=DRY_RUN.value,
        )
    )


@contextlib.contextmanager
def _quiet_import():
    """Keeps what TensorFlow writes while it is imported, unless the import fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


if __name__ == "__main__":
    app.run(main)
