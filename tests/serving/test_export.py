"""Exported files, each in its own run-time, against what the run noted of itself."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
from typing import ClassVar

import keras
import numpy as np
import onnxruntime
import openvino
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter

from evaluation import predictions
from input_pipeline import images, splits
from models import efficientnet_lite, outputs, pretrained
from serving import agreement, export, formats
from serving import card as cards
from train import run_dir
from train.modes import explain as modes_explain
from visualization import explain, grad_cam

PAPERS = ("leakage.json", "ledger.jsonl", "model_card.md", "operative_config.gin")


def state(folder):
    return {
        path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def validation(exported_run, audited) -> np.ndarray:
    """The run's validation photographs, float32 as other programs give them."""
    ids = splits.Split.load(exported_run[0] / "split.json").valid
    opened = images.open(audited.collection, ids)
    return opened.take(np.arange(len(ids))).astype(np.float32)


@pytest.fixture(scope="module")
def trained(exported_run) -> keras.Model:
    return keras.models.load_model(exported_run[0] / "model.keras", compile=False)


def run_onnx(folder, batch):
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {"photograph": batch}), strict=True))


def run_litert(folder, batch):
    opened = interpreter.Interpreter(str(folder / "model.tflite"))
    return opened.get_signature_runner()(photograph=batch)


def run_saved_model(folder, batch):
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    return {name: one.numpy() for name, one in loaded.serve(batch).items()}


@pytest.mark.parametrize("run", [run_onnx, run_litert, run_saved_model])
def test_another_program_gets_the_models_logits_and_heat_maps(
    run, exported, trained, validation
):
    for batch in (validation[:1], validation[:3]):
        said = run(exported, batch)
        expected = trained(batch, training=False).numpy()
        np.testing.assert_allclose(said["logits"], expected, atol=1e-4)
        assert said["feature_map"].shape == (len(batch), 4, 4, 8)
        explainer = grad_cam.GradCam().bind(trained, outputs.Softmax())
        for number in (0, 1):
            evidence = explainer.evidence(batch, np.full(len(batch), number))
            evidence = np.maximum(evidence, 0)
            most = evidence.max(axis=(1, 2), keepdims=True)
            expected = np.divide(evidence, most, where=most > 0, out=evidence)
            found = np.asarray(said["heatmaps"])[:, number]
            np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_table_tells_of_every_run_time(exported_run, exported):
    said = exported_run[1]
    card = json.loads((exported / "card.json").read_text())
    rows = {row["name"]: row for row in card["checked"]}
    floats = {"Keras", "OpenVINO float32", "ONNX", "LiteRT", "SavedModel"}
    assert floats | {"OpenVINO int8"} <= rows.keys()
    assert rows.keys() <= floats | {"OpenVINO int8", "OpenVINO bfloat16"}
    for name in floats:
        assert rows[name]["agreement"] == 1
        assert rows[name]["logit_difference"] < 1e-4
        assert rows[name]["auc_difference"] == pytest.approx(0, abs=1e-9)
        assert rows[name]["images_per_second"] > 0
        assert f"\n{name} " in said
    assert rows["ONNX"]["megabytes"] == (exported / "model.onnx").stat().st_size / 1e6
    # Rounded to 8 bits it cannot be the same.
    assert rows["OpenVINO int8"]["logit_difference"] > 1e-3
    assert (
        rows["OpenVINO int8"]["megabytes"] < 2 * rows["OpenVINO float32"]["megabytes"]
    )
    assert f"Exported: {exported}; float32 is served." in said
    assert "It learnt from drawings" in said


def test_the_card_says_what_the_run_says(exported_run, exported, audited):
    run, card = exported_run[0], cards.load(exported)
    noted = json.loads((run / "task.json").read_text())
    assert card.task == noted["task"]
    assert card.output == noted["output"] == "softmax"
    assert card.preparation == noted["preparation"]
    assert card.decision == json.loads((run / "decision.json").read_text())
    assert card.views == {"flips": True, "quarter_turns": True}
    assert card.name == "tiny"
    assert card.datasets == ["drawn"]
    assert card.trained_on_drawings
    assert card.heatmaps
    assert card.photographs == {"train": 32, "valid": 8, "test": 12}
    assert card.fingerprints["data"] == audited.collection.fingerprint
    history = json.loads((run / "history.json").read_text())
    assert card.fingerprints["weights_sha256"] == history["weights_sha256"]
    metrics = json.loads((run / "metrics.json").read_text())["results"]
    for part in ("valid", "test"):
        expected = metrics[part]["metrics"]["auc"]
        assert card.figures[part]["auc"] == expected
    valid = predictions.read_csv(run / "predictions.csv", card.class_names)["valid"]
    counts, _ = np.histogram(valid.probabilities[:, 1], 20, range=(0, 1))
    assert card.scores["counts"] == counts.tolist()
    assert "Not a medical device" in card.intended_use
    # Whose machine it was is nobody's business.
    assert str(run) not in (exported / "card.json").read_text()


def test_the_runs_papers_go_with_the_model(exported_run, exported):
    run = exported_run[0]
    for name in PAPERS:
        copied = (exported / name).read_bytes()
        assert copied == (run / name).read_bytes()
        assert str(run.parent).encode() not in copied


def test_every_file_has_its_checksum(exported):
    found = {
        path.relative_to(exported).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in exported.rglob("*")
        if path.is_file() and path.name != "card.json"
    }
    assert cards.load(exported).files == found
    assert {"float32.xml", "int8.bin", "saved_model/saved_model.pb"} <= found.keys()


def test_the_same_command_again_changes_nothing(exported_run, exported, start):
    before = state(exported_run[0])
    assert start("export", exported_run[0]) == exported_run[1]
    assert state(exported_run[0]) == before


def test_other_settings_are_refused_or_go_elsewhere(exported_run, exported, start):
    run, line = exported_run[0], "export.formats = []"
    before = state(exported)
    with pytest.raises(
        ValueError, match=r"settings:\n  export\.formats: \[.*\] there, \[\] here\nTake"
    ):
        start("export", run, line)
    said = start("export", run, line, "export.name = 'small'", dry_run=True)
    assert said.endswith(f"to OpenVINO: {run / 'export' / 'small'}.")
    start("export", run, line, "export.name = 'small'")
    names = {path.name for path in (run / "export" / "small").iterdir()}
    assert names == {"card.json", "float32.bin", "float32.xml", *PAPERS}
    assert state(exported) == before
    shutil.rmtree(run / "export" / "small")


def test_the_card_says_how_far_heat_maps_agree_with_lesions(
    exported_run, exported, start, tmp_path
):
    assert cards.load(exported).lesion_agreement is None
    run = shutil.copytree(exported_run[0], tmp_path / "tiny")
    found = {"value": 0.88, "low": 0.8, "high": 0.96, "chance": 0.12}
    summary = {"photographs": 51, "pointing": found, "energy": {}, "empty_maps": 0}
    scores = {"not trained on": {"grad_cam": {"hard_exudates": summary}}}
    (run / "explanations").mkdir(exist_ok=True)
    path = run / "explanations" / "scores.json"
    checked = {"sanity": {"grad_cam": {}}, "offered": ["grad_cam"]}
    path.write_text(json.dumps({"lesions": {"scores": scores}} | checked))
    assert "remove the folder and export again" in start("export", run)
    line = "export.name = 'small'"
    start("export", run, "export.formats = []", line)
    assert cards.load(run / "export" / "small").lesion_agreement == {
        "method": "grad_cam",
        "photographs": 51,
        "pointing": {"hard_exudates": {"photographs": 51} | found},
    }
    path.write_text(json.dumps({"lesions": None}))
    assert explain.lesion_agreement(path, "grad_cam") is None


def test_the_card_says_which_methods_failed_a_check_of_the_run(
    exported_run, exported, start, tmp_path, caplog
):
    assert cards.load(exported).failed_methods == []
    run = shutil.copytree(exported_run[0], tmp_path / "tiny")
    for name, failed in (("", "occlusion"), ("other", "layer_cam")):
        checked = {"sanity": {"grad_cam": {}, failed: {}}, "offered": ["grad_cam"]}
        folder = run / "explanations" / name
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(checked | {"lesions": None})
        (folder / "scores.json").write_text(text)
    said = start("export", run)
    assert "new (which methods of heat maps fail a check): remove the folder" in said
    # A check that comes after an export names what it offers in vain.
    modes_explain.warn_of_exports(run_dir.RunDir(run))
    assert "default offers maps that failed a check: occlusion. Remove" in caplog.text
    caplog.clear()
    shutil.rmtree(run / "export")
    start("export", run, "export.formats = []")
    card = cards.load(run / "export" / "default")
    assert card.failed_methods == ["layer_cam", "occlusion"] and card.heatmaps
    modes_explain.warn_of_exports(run_dir.RunDir(run))
    assert "offers maps" not in caplog.text
    # What an earlier version has exported ends no explanation.
    (run / "export" / "default" / cards.FILE).write_text('{"format": 1}')
    modes_explain.warn_of_exports(run_dir.RunDir(run))
    assert "must have format" in caplog.text


def test_other_photographs_are_told_with_what_was_expected(
    exported_run, start, idrid_like, tmp_path
):
    data_dir = shutil.copytree(idrid_like, tmp_path / "idrid")
    labels = next(data_dir.rglob("b. IDRiD_Disease Grading_Testing Labels.csv"))
    labels.write_text(labels.read_text().replace("IDRiD_001,0,", "IDRiD_001,1,"))
    count = len(list(labels.parents[1].rglob("*.jpg")))
    folder = tmp_path / "prepared"
    expected = (
        rf"tiny was begun with other photographs: of 'drawn' it knows {count} with the "
        rf"fingerprint \w+, {folder}/drawn-\w+ holds {count} with \w+\. Name the "
        "folder of those with --data_dir, or where they are prepared"
    )
    where = {"data_dirs": {"": data_dir}, "prepared_dir": folder}
    with pytest.raises(ValueError, match=expected):
        start("export", exported_run[0], "export.name = 'other'", **where)


def test_a_model_that_was_trained_anew_is_not_taken_for_the_exported_one(
    exported_run, start, tmp_path
):
    run = shutil.copytree(exported_run[0], tmp_path / "tiny")
    with open(run / "model.keras", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match=r"default is of another model than"):
        start("export", run)


def test_a_model_that_decides_otherwise_since_is_not_taken_for_the_exported_one(
    exported_run, start, tmp_path
):
    run = shutil.copytree(exported_run[0], tmp_path / "tiny")
    decided = json.loads((run / "decision.json").read_text())
    decided["operating_point"]["threshold"] = 0.9
    (run / "decision.json").write_text(json.dumps(decided))
    with pytest.raises(
        ValueError, match=r"decides otherwise than .*decision\.json now"
    ):
        start("export", run)


def test_papers_that_grew_since_are_told_of(exported_run, start, tmp_path):
    assert "since then" not in exported_run[1].lower()
    run = shutil.copytree(exported_run[0], tmp_path / "tiny")
    with open(run / "ledger.jsonl", "a") as ledger:
        ledger.write((run / "ledger.jsonl").read_text())
    said = start("export", run)
    assert "something new (ledger.jsonl): remove the folder and export again" in said


def test_maps_that_fail_a_check_after_the_export_are_not_passed_over(
    exported_run, start, tmp_path
):
    run = shutil.copytree(exported_run[0], tmp_path / "tiny")
    (run / "explanations").mkdir(exist_ok=True)
    failed = {"offered": [], "sanity": {"grad_cam": {}}, "lesions": None}
    (run / "explanations" / "scores.json").write_text(json.dumps(failed))
    with pytest.raises(ValueError, match="failed a sanity check"):
        start("export", run)


def test_a_run_that_decided_nothing_is_refused_with_the_way_out(
    exported_run, start, tmp_path
):
    run = shutil.copytree(exported_run[0], tmp_path / "tiny")
    (run / "decision.json").unlink()
    with pytest.raises(FileNotFoundError, match="no threshold was chosen yet"):
        start("export", run)


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    exported_run, start, monkeypatch
):
    find = formats.importlib.util.find_spec
    missing = {"tf2onnx", "onnxruntime"}
    monkeypatch.setattr(
        formats.importlib.util,
        "find_spec",
        lambda name: None if name in missing else find(name),
    )
    message = r"to ONNX needs tf2onnx, onnxruntime\. Install them: pip install tf2onnx"
    with pytest.raises(ValueError, match=message):
        start("export", exported_run[0], "export.name = 'other'")
    assert not (exported_run[0] / "export" / "other").exists()


class Wrong(formats.Format):
    """A format whose run-time says the opposite."""

    name = "wrong"
    packages: ClassVar = {}

    def write(self, model, folder, training):
        (folder / "wrong").mkdir()
        (folder / "wrong" / "model.txt").write_text("no")
        self._model = model

    def open(self, folder):
        def run(images):
            said = self._model(np.float32(images), training=False)
            found = {name: one.numpy() for name, one in said.items()}
            return found | {"logits": -found["logits"]}

        return [formats.Runnable(self.name, ["wrong"], run)]


class Interrupted(Wrong):
    """A format that is killed while it is written."""

    def write(self, model, folder, training):
        super().write(model, folder, training)
        raise KeyboardInterrupt


ABOUT = {
    "name": "drawn",
    "task": {
        "name": "referable",
        "rule": "grade >= 2",
        "class_names": ["no", "yes"],
        "disease_classes": [1],
    },
    "output": "softmax",
    "decision": {
        "calibration": None,
        "operating_point": {"threshold": 0.5},
        "test_time_augmentation": None,
    },
    "preparation": {"image_size": 32, "fundus_version": cards.fundus.VERSION},
    "trained_on_drawings": False,
    "photographs": {},
    "datasets": [],
    "figures": {},
    "fingerprints": {},
    "environment": {},
}


def small_model(
    pooling=keras.layers.GlobalAveragePooling2D, policy="float32"
) -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 64, offset=-2.0, dtype=policy)(inputs)
    x = keras.layers.AveragePooling2D(8, name="feature_map", dtype=policy)(x)
    logits = keras.layers.Dense(2, dtype="float32")(pooling(dtype=policy)(x))
    return keras.Model(inputs, logits)


def cells(side):
    """24 photographs of 4 x 4 colours."""
    small = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3), np.uint8)
    return small.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


def export_small(folder, model=None, **settings):
    model = model or small_model()
    photographs = cells(model.input_shape[1])
    exporter = export.Exporter(**{"formats": ()} | settings)
    diseased = np.arange(24) % 2 == 0
    return exporter.export(
        model,
        outputs.Softmax(),
        ABOUT,
        photographs,
        photographs,
        diseased,
        folder,
    )


def test_what_disagrees_is_refused_and_its_files_are_gone(tmp_path):
    card = export_small(tmp_path / "model", formats=[Wrong()])
    row = card.checked[-1]
    assert row["name"] == "wrong"
    assert row["refused"].startswith(f"agreement {row['agreement']:.3f} < 0.98")
    assert row["agreement"] < 0.1
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"card.json", "float32.bin", "float32.xml"}
    assert card.files.keys() == {"float32.bin", "float32.xml"}
    # With a gate that lets all pass it stays.
    open_gate = {"least_agreement": 0.0, "most_auc_loss": 1.0}
    card = export_small(tmp_path / "all", formats=[Wrong()], **open_gate)
    assert card.checked[-1]["refused"] is None
    assert (tmp_path / "all" / "wrong" / "model.txt").exists()


def test_what_its_run_time_cannot_open_is_refused_and_the_rest_is_written(tmp_path):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 8, 8)(inputs)
    # tf2onnx writes grouped convolutions, as of ConvNeXt, as an operation of no one's.
    x = keras.layers.Conv2D(8, 3, groups=4, name="feature_map")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    two = [formats.Onnx(), formats.LiteRt()]
    card = export_small(tmp_path / "model", model, formats=two)
    rows = {row["name"]: row for row in card.checked}
    refused = rows["ONNX"]["refused"]
    assert refused.startswith("ONNX Runtime cannot open it: ")
    assert "StatefulPartitionedCall" in refused and "\n" not in refused
    assert {rows["ONNX"][name] for name in ("megabytes", "agreement", "auc")} == {None}
    assert rows["LiteRT"]["agreement"] == 1 and rows["LiteRT"]["refused"] is None
    # Whose machine it was is nobody's business.
    assert str(tmp_path) not in (tmp_path / "model" / "card.json").read_text()
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"card.json", "float32.bin", "float32.xml", "model.tflite"}
    assert card.files.keys() == names - {"card.json"}
    (line,) = [
        one for one in agreement.table(card.checked).splitlines() if "ONNX " in one
    ]
    assert line.split()[:9] == ["ONNX", *8 * ["-"]]


@pytest.mark.parametrize(
    "backbone",
    [
        functools.partial(keras.applications.MobileNetV3Small, minimalistic=True),
        keras.applications.EfficientNetV2B0,
        efficientnet_lite.efficientnet_lite,
    ],
    ids=["MobileNetV3", "EfficientNetV2", "EfficientNet-Lite"],
)
def test_every_family_has_maps_in_closed_form_and_openvino_says_the_same(
    tmp_path, backbone
):
    model = pretrained.pretrained(
        image_size=64, num_outputs=2, backbone=backbone, weights=None
    )
    batch = cells(64).astype(np.float32)
    for layer in model.layers:  # Else random weights say nothing of photographs.
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(batch, training=True)
    kernel = model.get_layer("logits").kernel
    scale = np.ptp(model(batch, training=False), axis=0).max()
    kernel.assign(4 * kernel / scale)

    # Of two classes the tape's gradient is that of the difference of the logits.
    both = keras.Model(
        model.input, [model.get_layer("feature_map").output, model.output]
    )
    with tf.GradientTape() as tape:
        feature_map, logits = both(batch, training=False)
        difference = logits[:, 1] - logits[:, 0]
    weights = tf.reduce_mean(tape.gradient(difference, feature_map), axis=(1, 2))
    expected = tf.einsum("bhwc,bc->bhw", feature_map, weights).numpy()
    bound = grad_cam.GradCam().bind(model, outputs.Softmax())
    assert bound.facts["gradient"] == "closed form"
    evidence = bound.evidence(batch, np.ones(len(batch), np.int32))
    largest = np.abs(expected).max()
    assert evidence.shape == (24, 2, 2) and largest > 0
    np.testing.assert_allclose(evidence, expected, atol=1e-4 * largest)

    card = export_small(tmp_path / "model", model)
    row = next(one for one in card.checked if one["name"] == "OpenVINO float32")
    assert card.heatmaps and row["agreement"] == 1
    assert row["logit_difference"] < 1e-3 and row["heatmap_difference"] < 1e-2
    path = tmp_path / "model" / "float32.xml"
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", exact)
    for place in (0, 1):
        said = compiled(batch[place : place + 1])["logits"][0]
        np.testing.assert_allclose(said, logits[place], atol=1e-3)


def test_int8_is_made_also_where_float32_is_refused(tmp_path, monkeypatch):
    opened = formats.OpenVino.open

    def contradict(self, folder):
        def run(images, one):
            said = one.run(images)
            return {**said, "logits": -said["logits"]}

        return [
            dataclasses.replace(one, run=functools.partial(run, one=one))
            for one in opened(self, folder)
        ]

    monkeypatch.setattr(formats.OpenVino, "open", contradict)
    # A gate for what 8 bits do, but not for the opposite.
    settings = {"formats": [formats.Int8()], "least_agreement": 0.5, "most_auc_loss": 1}
    with pytest.raises(ValueError, match=r"is 'float32', which was refused"):
        export_small(tmp_path / "model", **settings)
    card = export_small(tmp_path / "model", serves="int8", **settings)
    assert card.variants.keys() == {"int8"}
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"card.json", "int8.bin", "int8.xml"}


class Unwritable(Wrong):
    """A format whose library has an error of its own."""

    def write(self, model, folder, training):
        raise tf.errors.ResourceExhaustedError(None, None, "no space left")


def test_a_full_disk_is_told_whatever_the_library_calls_it(tmp_path):
    message = r"wrong could not be written to .*, where [\d,.]+ MB are free.*no space"
    with pytest.raises(RuntimeError, match=message):
        export_small(tmp_path / "model", formats=[Unwritable()])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"must be empty or not exist.*name = 'other'"):
        export_small(tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["notes.txt"]


def test_weights_of_half_precision_take_half_the_room(tmp_path):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(64, 8, 8, name="feature_map")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    card = export_small(tmp_path / "half", model, half_weights=True)
    export_small(tmp_path / "whole", model)
    names = {path.name for path in (tmp_path / "half").iterdir()}
    assert names == {"card.json", "float32.bin", "float32.xml"}
    half, whole = (
        (tmp_path / name / "float32.bin").stat().st_size for name in ("half", "whole")
    )
    parameters = model.count_params()
    assert 2 * parameters <= half < 2.1 * parameters and whole >= 4 * parameters
    row = next(one for one in card.checked if one["name"] == "OpenVINO float32")
    assert 0 < row["logit_difference"] < 1e-3  # float16 has 11 bits.


def test_nothing_is_exported_if_what_is_served_was_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_has_bfloat16", lambda: False)
    message = r"'bfloat16', which was refused, or which this\s+processor does not have:"
    with pytest.raises(ValueError, match=message):
        export_small(tmp_path / "model", serves="bfloat16")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        export_small(tmp_path / "model", formats=[Interrupted()])
    assert list(tmp_path.iterdir()) == []
    # What a killed one left behind is in nobody's way.
    (tmp_path / ".model.partial").mkdir()
    (tmp_path / ".model.partial" / "float32.xml").write_text("half")
    export_small(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_head_without_a_closed_form_is_exported_without_heat_maps(tmp_path):
    model = small_model(keras.layers.Flatten)
    message = r"not pooled by a global average.*export\.heatmaps = False"
    with pytest.raises(ValueError, match=message):
        export_small(tmp_path / "model", model)
    card = export_small(tmp_path / "model", model, heatmaps=False)
    assert not card.heatmaps
    assert card.checked[-1]["heatmap_difference"] is None
    assert card.checked[-1]["agreement"] == 1


def test_mixed_precision_is_exported_in_float32_and_compared_as_it_was_trained(
    tmp_path,
):
    model = small_model(policy="mixed_bfloat16")
    assert "bfloat16" in {one.compute_dtype for one in model.layers}
    card = export_small(tmp_path / "model", model)
    rows = {row["name"]: row for row in card.checked}
    # bfloat16 has 8 bits, float32 has 24.
    assert 1e-4 < rows["OpenVINO float32"]["logit_difference"] < 0.1
    assert rows["OpenVINO float32"]["heatmap_difference"] < 1e-4
    assert card.heatmaps


def test_validation_photographs_of_one_class_have_no_auc(tmp_path):
    exporter = export.Exporter(formats=())
    photographs = np.zeros((4, 32, 32, 3), np.uint8)
    card = exporter.export(
        small_model(),
        outputs.Softmax(),
        ABOUT,
        photographs,
        photographs,
        np.zeros(4, bool),
        tmp_path / "model",
    )
    assert card.checked[0]["auc"] is None
    assert card.checked[-1]["auc_difference"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": [formats.Onnx(), formats.Onnx()]}, "name each format once"),
        ({"serves": "float16"}, "must be 'float32', 'bfloat16' or 'int8'"),
        ({"serves": "int8", "formats": ()}, r"is 'int8', which is not among"),
        ({"least_agreement": 1.1}, "`export.least_agreement` must be 0-1"),
        ({"most_auc_loss": -0.1}, "must be 0-1 and `export.most_auc_loss` at least 0"),
        ({"photographs": 0}, "`export.photographs` must be at least 1"),
        ({"name": "../other"}, "`export.name` must name a folder"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        export.Exporter(**settings)


def test_int8_needs_a_photograph():
    with pytest.raises(ValueError, match=r"`int8\.photographs` must be at least 1"):
        formats.Int8(photographs=0)


OPENED_AND_CLOSED = """
import pathlib, sys
import numpy as np
from serving import formats
images = np.zeros((6, 64, 64, 3), np.uint8)
for _ in range(30):
    formats.OpenVino().open(pathlib.Path(sys.argv[1]))[0].run(images)
"""


def test_a_model_of_openvino_can_be_closed_at_any_moment(exported):
    # Threads of OpenVINO that need Python's lock to end would wait for ever.
    subprocess.run(
        [sys.executable, "-c", OPENED_AND_CLOSED, exported],
        cwd=pathlib.Path(__file__).parents[2],
        check=True,
        timeout=120,
    )


def test_only_what_stands_behind_the_feature_map_is_spared_rounding(tmp_path):
    export_small(tmp_path / "model")
    read = openvino.Core().read_model(pathlib.Path(tmp_path, "model", "float32.xml"))
    names = formats._behind_feature_map(read)
    kinds = {one.get_friendly_name(): one for one in read.get_ops()}
    kinds = [kinds[name].get_type_name() for name in names]
    assert "MatMul" in kinds and "AvgPool" not in kinds
