"""Retinograd grades diabetic retinopathy from fundus photographs, and shows why.

A gin file says what to do, flags say where:
python main.py --gin_file=configs/synthetic_resnet_v2.gin --data_dir=data/synthetic
"""

import importlib.util
import pathlib
import re
import sys

_INSTALL = (
    "`make demo` installs all that the project needs into .venv: source "
    ".venv/bin/activate. Anywhere else, with Python 3.11, 3.12 or 3.13, do: pip "
    "install --requirement requirements.txt"
)

try:
    from absl import app, flags, logging

    from configs import statements, syntax
    from train import terminal, tf_config
except ModuleNotFoundError as error:
    sys.exit(f"error: {sys.executable} lacks {error.name}. {_INSTALL}")

MODES = (
    "run",
    "prepare",
    "train",
    "evaluate",
    "explain",
    "tune",
    "export",
    "predict",
    "compare",
    "doctor",
    "verify",
)
"""The keys of `train.experiment.MODES`, which takes seconds to import."""

_OF_A_RUN = ("evaluate", "explain", "verify")
_READS_FOLDERS = ("run", "prepare", "train", "evaluate", "explain", "doctor")
_GOES_ON = ("run", "prepare", "train", "tune", "explain", "predict")
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz")

GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", [], "The experiment, a gin file; of several the later override"
)
GIN_BINDINGS = flags.DEFINE_multi_string(
    "gin_bindings", [], "A line of gin that overrides the files"
)
MODE = flags.DEFINE_enum(
    "mode",
    "run",
    MODES,
    "run: prepare what is missing, train or resume, evaluate. prepare, train, "
    "evaluate, explain: that step alone. tune: search hyperparameters. export: files "
    "that other programs run. predict: an exported model, of a folder. compare: "
    "evaluated runs, each with its --run_dir. doctor: examine the data folder and the "
    "records. verify: compute a run's figures again and say whether they agree.",
)
DATA_DIR = flags.DEFINE_multi_string(
    "data_dir",
    [],
    "Folder of the photographs; of several datasets one each, <name>=<folder>.",
)
PREPARED_DIR = flags.DEFINE_string(
    "prepared_dir", "prepared", "Folder of prepared photographs, shared by all runs."
)
RUN_DIR = flags.DEFINE_multi_string(
    "run_dir",
    [],
    "Folder of this experiment [runs/<name of the last gin file>]; several to compare.",
)
PREDICTIONS = flags.DEFINE_string(
    "predictions",
    None,
    "With --mode=evaluate: a CSV of another model's predictions, id,prob or "
    "id,prob_0,prob_1,..., which is evaluated instead of the run's model.",
)
RANDOM_LABELS = flags.DEFINE_string(
    "random_labels",
    None,
    "With --mode=explain: directory of a run whose task was @random_labels(), to check "
    "the methods by.",
)
EXPORTED = flags.DEFINE_string(
    "exported",
    None,
    "With --mode=predict: folder of an exported model [<run_dir>/export/default, "
    "pretrained/idrid_referable].",
)
PHOTOGRAPHS = flags.DEFINE_string(
    "photographs",
    None,
    "With --mode=predict: folder of the photographs, with its subfolders.",
)
OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "With --mode=predict: where the results go [predictions/<name of the folder>].",
)
DRY_RUN = flags.DEFINE_bool(
    "dry_run",
    False,
    "Check config and labels, build the model, print the plan; open no photograph.",
)
_PATHS = (PREPARED_DIR, PREDICTIONS, RANDOM_LABELS, EXPORTED, PHOTOGRAPHS, OUTPUT_DIR)


def main(argv: list[str]) -> None:
    """Runs one mode."""
    terminal.show_own_messages()
    if len(argv) > 1:
        _fail(f"error: unexpected {' '.join(argv[1:])}: flags begin with --.", 2)
    for flag in (*_PATHS, RUN_DIR):
        if "" in (flag.value if flag is RUN_DIR else [flag.value]):
            _fail(f"error: --{flag.name} is empty. Name a path, or leave it out.", 2)
    if PREDICTIONS.value is not None and MODE.value != "evaluate":
        _fail(f"error: --predictions needs --mode=evaluate, not {MODE.value}.", 2)
    if RANDOM_LABELS.value is not None and MODE.value != "explain":
        _fail(f"error: --random_labels needs --mode=explain, not {MODE.value}.", 2)
    for flag in (EXPORTED, PHOTOGRAPHS, OUTPUT_DIR):
        if flag.value is not None and MODE.value != "predict":
            _fail(f"error: --{flag.name} needs --mode=predict, not {MODE.value}.", 2)
    try:
        print(_run())
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or importlib.util.find_spec(package):  # A slip of ours.
            raise
        _fail(f"error: {sys.executable} lacks {package}. {_INSTALL}", 1)
    except KeyboardInterrupt:
        how = "begins anew"
        if MODE.value in _GOES_ON:
            how = "goes on from what is saved"
        _fail(f"Stopped. The same command {how}.", 130)
    except Exception as error:
        if logging.get_verbosity() >= logging.DEBUG or not terminal.is_told(error):
            raise
        _fail(f"error: {terminal.describe(error)}", 1)


def _run() -> str:
    tf_config.check_mode(MODE.value)
    gin_files = list(GIN_FILE.value)
    run_dirs = [pathlib.Path(one) for one in RUN_DIR.value]
    if MODE.value == "compare" and not gin_files:
        return _compare(run_dirs)
    if MODE.value != "compare" and len(run_dirs) > 1:
        raise ValueError(
            f"--mode={MODE.value} takes one --run_dir; only compare takes several. "
            f"Received: {', '.join(map(str, run_dirs))}."
        )
    run_dir = run_dirs[0] if run_dirs else None
    if MODE.value == "predict" and EXPORTED.value and run_dirs:
        raise ValueError(
            "--exported and --run_dir name two models. Name one of them. Received: "
            f"{EXPORTED.value} and {run_dirs[0]}."
        )
    if MODE.value == "predict" and not gin_files:
        return _predict(run_dir, **_asked())
    if not gin_files:
        stored = pathlib.Path(run_dir or "", "config.gin")
        if run_dir is None or not stored.exists():
            if run_dir and not run_dir.exists():
                raise FileNotFoundError(
                    f"--run_dir: there is no run {run_dir}. Name the folder of a run "
                    "that was begun, or an experiment with --gin_file."
                )
            holds_none = f"; {run_dir} holds none" if run_dir else ""
            raise statements.ConfigError(
                "No experiment. Name one, --gin_file=configs/synthetic_resnet_v2.gin, "
                f"or the --run_dir of a run that was begun{holds_none}."
            )
        gin_files = [str(stored)]
    needs_run = MODE.value in _OF_A_RUN and PREDICTIONS.value is None
    if needs_run and run_dir and not run_dir.is_dir():
        raise FileNotFoundError(
            f"--run_dir: there is no run {run_dir}. Name the folder of a trained run, "
            "or train it first: the same command without --mode."
        )
    data_dirs = _data_dirs(DATA_DIR.value)
    predictions = None
    if PREDICTIONS.value is not None:
        predictions = pathlib.Path(PREDICTIONS.value)
        if not predictions.is_file():
            raise FileNotFoundError(f"--predictions: there is no file {predictions}.")
    parsed = syntax.parse(gin_files, GIN_BINDINGS.value)
    run_dir = run_dir or pathlib.Path("runs", pathlib.Path(gin_files[-1]).stem)
    prepared_dir = pathlib.Path(PREPARED_DIR.value)

    from train import first_look

    if data_dirs and MODE.value in _READS_FOLDERS:
        first_look.check(parsed, data_dirs)
    if _needs_photographs(run_dir):
        with first_look.reminding(run_dir):
            first_look.check_at_hand(parsed, data_dirs, prepared_dir)

    with terminal.quiet_import():  # Seconds: so only once all of the above is right.
        from configs import loader, registry  # noqa: F401
        from train import experiment

    run_mode, entry_points = experiment.MODES[MODE.value]
    bindings = loader.load(
        gin_files,
        GIN_BINDINGS.value,
        entry_points,
        experiment.ENTRY_POINTS,
        written=True,
    )
    where = experiment.Where(
        data_dirs=data_dirs,
        prepared_dir=prepared_dir,
        run_dir=run_dir,
        compared=tuple(run_dirs),
        bindings=experiment.deciding(bindings),
        dry_run=DRY_RUN.value,
        predictions=predictions,
        random_labels=RANDOM_LABELS.value and pathlib.Path(RANDOM_LABELS.value),
        **_asked(),
    )
    with first_look.reminding(run_dir):
        return run_mode(where)


def _needs_photographs(run_dir: pathlib.Path) -> bool:
    """Whether nothing can be done without them or their records, that much is sure."""
    if tf_config.workers()[1] > 0:  # The chief prepares them.
        return False
    trains = MODE.value in ("run", "train") and not (run_dir / "model.keras").exists()
    return trains or MODE.value == "prepare"


def _compare(run_dirs: list[pathlib.Path]) -> str:
    """Compares runs in a second: TensorFlow is needed for gin files alone."""
    syntax.parse([], GIN_BINDINGS.value)

    import gin

    from configs import loader
    from evaluation import compare

    loader.load([], GIN_BINDINGS.value, ("compare",))
    comparer = gin.get_configurable(compare.Comparer)()
    return comparer.run(run_dirs, DRY_RUN.value)


def _asked() -> dict[str, pathlib.Path | None]:
    """What `predict` is asked: of which model, of which photographs, to which end."""
    named = {"exported": EXPORTED, "photographs": PHOTOGRAPHS, "output_dir": OUTPUT_DIR}
    paths = {
        name: flag.value and pathlib.Path(flag.value) for name, flag in named.items()
    }
    if MODE.value != "predict":
        return paths
    if paths["photographs"] is None:
        raise ValueError("--mode=predict needs --photographs=<folder>.")
    for name in ("exported", "photographs"):
        if paths[name] is not None and paths[name].is_file():
            raise NotADirectoryError(
                f"--{name}: {paths[name]} is a file. Name the folder that it lies in."
            )
        if paths[name] is not None and not paths[name].is_dir():
            raise FileNotFoundError(f"--{name}: there is no folder {paths[name]}.")
    return paths


def _predict(
    run_dir: pathlib.Path | None,
    exported: pathlib.Path | None,
    photographs: pathlib.Path,
    output_dir: pathlib.Path | None,
) -> str:
    """Predicts a folder without TensorFlow, which is needed for gin files alone."""
    syntax.parse([], GIN_BINDINGS.value)

    import gin

    from configs import loader
    from serving import card, folder

    loader.load([], GIN_BINDINGS.value, ("predict",))
    predictor = gin.get_configurable(folder.Folder)()
    model = exported or (run_dir and run_dir / folder.EXPORTED) or card.PRETRAINED
    return predictor.run(model, photographs, output_dir, DRY_RUN.value)


def _data_dirs(values: list[str]) -> dict[str, pathlib.Path]:
    """Dataset's name -> its folder; "" is the name of a folder that came without."""
    folders = {}
    for value in filter(None, values):
        match = re.fullmatch(r"(?:(\w[\w.-]*)=)?(.+)", value)
        name, folder = match[1] or "", pathlib.Path(match[2])
        if folder.is_file():
            packed = folder.suffix.lower() in _ARCHIVES
            remedy = "Unpack it" if packed else "Name the folder that it lies in"
            raise NotADirectoryError(
                f"--data_dir: {folder} is a file. {remedy}"
                f"{', and name the folder that comes of it' if packed else ''}."
            )
        if not folder.is_dir():
            raise FileNotFoundError(f"--data_dir: there is no folder {folder}.")
        if name in folders:
            raise ValueError(
                f"--data_dir names {folders[name]} and {folder} for the same dataset. "
                "Name one; of several datasets one each: --data_dir=<name>=<folder>."
            )
        folders[name] = folder
    return folders


def _parse_flags(argv: list[str]) -> list[str]:
    """Parses as absl does, but help is a success and a bad flag has status 2."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _fail(f"error: {error}\n--help lists all flags.", 2)
    except SystemExit:  # Help was asked for and given.
        sys.exit(0)


def _fail(message: str, status: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse_flags)
