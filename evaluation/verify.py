"""Whether a run agrees with itself: figures, predictions, model, split and report.

All of `metrics.json` is computed again from `predictions.csv`; the model's weights, the
checkpoints, the ledger, the split and the report are compared with what the run noted
of them. So a run shows that it was changed in some place. One that was written anew as
a whole agrees with itself: against that helps a checksum of `metrics.json` kept
elsewhere, or evaluating the model again.
"""

import collections
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
from absl import logging

from evaluation import (
    evaluate,
    findings,
    members,
    other_models,
    predictions,
    recompute,
    seal,
)
from input_pipeline import audit, records, splits, tasks, whole_files
from models import outputs
from train import checkpoints

REPORT = "report.html"

_NOTED = "history.json notes"

_UNKNOWN = (
    "Not to be known from a run alone: whether labels and predictions are those of the "
    "photographs (evaluating anew tells), whether the pictures in figures/ and the "
    "curves of training are as drawn, and whether all of it was written anew."
)


def verify(run: pathlib.Path, task: tasks.Task, output: outputs.Output) -> str:
    """Computes again what a run states, and compares.

    Args:
        run: The run's directory; the folders under its `evaluate/` are verified too.
        task: What the run's config trains for.
        output: How the logits of its model become probabilities.

    Returns:
        What was compared, a line each, how many numbers agree, and what such a
        comparison cannot know.

    Raises:
        ValueError: Something differs: file, key and both values. Or a file is damaged.
        FileNotFoundError: The run is not evaluated, or lacks a file.
    """
    folders = [
        one
        for one in (run, *sorted(run.glob("evaluate/*")))
        if (one / "metrics.json").exists()
    ]
    if not folders:
        raise FileNotFoundError(
            f"{run} has no metrics.json: there is nothing to verify. Evaluate the run "
            "first: the same command without --mode."
        )
    found = findings.Findings(run)
    own = [one for one in folders if not other_models.is_given(one)]
    if own:
        _verify_task(run, task, output, found)
        _verify_model(run, found)
    of_members = [run / members.FOLDER / one for one in members.histories(run)]
    for holder in dict.fromkeys([*(_holder(one, run) for one in folders), *of_members]):
        _verify_split(holder, found)
    parts = {}
    for folder in folders:
        logging.info("Computing the figures of %s again.", folder)
        parts[folder] = recompute.Recomputed(folder, _holder(folder, run), found)
        validation = _validation(parts.get(run), parts[folder])
        parts[folder].verify(output, validation)
        if folder != run and parts[folder].settings["on"]:
            parts[folder].verify_frozen(run)
        _verify_report(folder, found)
    _verify_ledgers(run, parts, found)
    return f"{found.conclude()}\n{_UNKNOWN}"


def _validation(
    own: recompute.Recomputed | None, part: recompute.Recomputed
) -> predictions.Predictions | None:
    """What the run said of the validation photographs, if an evaluation asked alike."""
    views = "test_time_augmentation"
    alike = own is not None and own.settings[views] == part.settings[views]
    return own.validation if alike else None


def _read(path: pathlib.Path) -> dict[str, Any]:
    content = whole_files.read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} is damaged: it must hold names and values. Restore it from a copy."
        )
    return content


def _holder(folder: pathlib.Path, run: pathlib.Path) -> pathlib.Path:
    """Where the split and the task of a folder of results are noted."""
    return folder if (folder / "split.json").exists() else run


def _verify_task(
    run: pathlib.Path,
    task: tasks.Task,
    output: outputs.Output,
    found: findings.Findings,
) -> None:
    """Compares what the model is for with the config."""
    path = run / "task.json"
    noted = _read(path)
    found.compare(
        path, "task", noted.get("task"), task.description(), "config.gin asks for"
    )
    found.compare(
        path, "output", noted.get("output"), output.name, "config.gin asks for"
    )
    found.note(path, f"{task.rule}, as config.gin asks")


def _verify_model(run: pathlib.Path, found: findings.Findings) -> None:
    """Compares model and checkpoints with the checksums that training ended with."""
    history = _read(_trained(run))
    for name, of_member in members.histories(run).items():
        _verify_model(run / members.FOLDER / name, found)
        weights, noted = history["members"][name], of_member.get("weights_sha256")
        key, by = f"the checksum of {name}", "its history.json notes"
        found.compare(run / members.ENSEMBLE, key, weights, noted, by)
    noted = history.get("weights_sha256", findings.NOTHING)
    path, by = run / "model.keras", f"{_trained(run).name} notes"
    if "model_sha256" in history and path.exists():
        checksum = records.file_sha256(path)
        found.compare(path, "its SHA-256", checksum, history["model_sha256"], by)
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, zip and HDF5 share none for damaged files.
        found.fail(path, _unreadable(error))
        return
    checksum = checkpoints.digest(model.weights)
    found.compare(path, "the checksum of its weights", checksum, noted, by)
    found.note(path, f"its weights have the checksum {noted} of {_trained(run).name}")
    if "members" in history:
        return

    folder = run / "checkpoints"
    checksums = history.get("checkpoints_sha256", {})
    there = {name: one for name, one in checksums.items() if (folder / name).exists()}
    for name, checksum in there.items():
        again = records.file_sha256(folder / name)
        found.compare(folder / name, "its SHA-256", again, checksum, _NOTED)
    text = f"{len(there)} of {len(checksums)} files are there, as training left them"
    found.note(folder, text if checksums else "history.json has no checksums of it")
    best = folder / "best.weights.h5"
    if history.get("kept") != "best" or not best.exists():
        return
    try:
        model.load_weights(best)
    except Exception as error:
        found.fail(best, _unreadable(error))
        return
    checksum = checkpoints.digest(model.weights)
    found.compare(best, "the checksum of its weights", checksum, noted, _NOTED)
    found.note(best, "the weights of the model")


def _trained(run: pathlib.Path) -> pathlib.Path:
    """Where a run notes what its training, or that of its members, ended with."""
    ensemble = run / members.ENSEMBLE
    return ensemble if ensemble.exists() else run / "history.json"


def _unreadable(error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"it cannot be read ({reason.removesuffix('.')})"


def _verify_split(holder: pathlib.Path, found: findings.Findings) -> None:
    """Compares the split with itself and with the certificate that it does not leak."""
    path = holder / "split.json"
    split = splits.Split.load(path)
    names = ("train", "valid", "test")
    everything = [one for name in names for one in split[name]]
    counted = len(everything), len({*everything})
    found.compare(path, "the number of its entries", *counted, "different ones are")
    certificate = audit.read_certificate(holder / audit.CERTIFICATE)
    kept, left_out = certificate.get("kept", {}), certificate.get("left_out", {})
    by = f"{audit.CERTIFICATE} certifies"
    count = len(everything) + len(split.not_drawn)
    for what, *counted in (
        ("all photographs", count, sum(kept.values())),
        ("test photographs", len(split.test), kept.get("test", 0)),
        ("photographs left out", len(split.left_out), sum(left_out.values())),
    ):
        found.compare(path, f"the number of {what}", *counted, by)
    disputed = certificate.get("disputed_test_photographs", findings.NOTHING)
    found.compare(path, "disputed", list(split.disputed), disputed, by)
    counts = ", ".join(f"{len(split[name])} {name}" for name in names)
    found.note(path, f"{counts}; as many as {audit.CERTIFICATE} certifies")


def _verify_report(folder: pathlib.Path, found: findings.Findings) -> None:
    """Compares a report with its own checksum, and with those of what it shows."""
    path = folder / REPORT
    if not path.exists():
        found.note(path, "there is none")
        return
    page = path.read_text(encoding="utf-8", errors="replace")
    sealed = seal.read(page)
    again = {
        name: records.file_sha256(folder / file) for name, file in seal.SHOWN.items()
    }
    again["report"] = seal.text_sha256(page)
    for name, checksum in again.items():
        key, by = f"the SHA-256 of the {name} that it shows", f"{name}'s now is"
        if name == "report":
            key, by = "the SHA-256 of its text as it was written", "its text's now is"
        found.compare(path, key, sealed.get(name, findings.NOTHING), checksum, by)
    found.note(path, "its text is as sealed, and shows these figures and predictions")


def _verify_ledgers(
    run: pathlib.Path,
    parts: Mapping[pathlib.Path, recompute.Recomputed],
    found: findings.Findings,
) -> None:
    """Compares each reading of test photographs with what read them."""
    needed: dict[pathlib.Path, collections.Counter] = {}
    for folder, part in parts.items():
        path = folder if part.is_given else run
        counter = needed.setdefault(path / "ledger.jsonl", collections.Counter())
        counter.update(_read_in(folder, run, parts))
    for path, at_least in needed.items():
        if not at_least and not path.exists():
            continue
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        read = collections.Counter({"test": 0})
        for number, line in enumerate(lines, start=1):
            read[_verify_reading(path, f"line {number}", line, found)] += 1
        for name, count in at_least.items():
            if read[name] < count:
                key = f"the number of readings of {name} photographs"
                by = "the evaluations that are there took at least"
                found.differ(path, key, read[name], count, by)
        others = (f", of {name}: {read[name]}" for name in read if name != "test")
        text = f"readings of the test photographs: {read['test']}{''.join(others)}"
        found.note(path, text)


def _read_in(
    folder: pathlib.Path,
    run: pathlib.Path,
    parts: Mapping[pathlib.Path, recompute.Recomputed],
) -> list[str]:
    """The test photographs, by split or dataset, that an evaluation read."""
    settings = parts[folder].settings
    names = [*settings["on"], *({"test"} & {*settings["splits"]})]
    # On other datasets the run's own predictions are taken as they are.
    if folder != run and settings["on"] and run in parts:
        own = parts[run].settings
        if "test" in own["splits"] and evaluate.says_the_same(own, settings):
            names = list(settings["on"])
    return names


def _verify_reading(
    path: pathlib.Path, key: str, line: str, found: findings.Findings
) -> str | None:
    """Compares a line of a ledger with what read; returns what was read."""
    try:
        entry = dict(json.loads(line))
    except (ValueError, TypeError):
        found.differ(path, key, repr(line), "an entry in JSON", "it must be")
        return None
    if other_models.is_given(path.parent):
        noted = _read(path.parent / other_models.SOURCE).get("sha256")
        name, by = "predictions_sha256", f"{other_models.SOURCE} notes"
    else:
        noted = _read(_trained(path.parent)).get("weights_sha256")
        name, by = "weights_sha256", f"{_trained(path.parent).name} notes"
    stored = entry.get(name, findings.NOTHING)
    found.compare(path, f"{name} in {key}", stored, noted, by)
    if "config_sha256" in entry:  # Those of earlier versions do not have it.
        again = records.file_sha256(path.parent / "bindings.json")
        stored, by = entry["config_sha256"], "bindings.json's now is"
        found.compare(path, f"config_sha256 in {key}", stored, again, by)
    return entry.get("split")
