import contextlib
import csv
import dataclasses
import json
import math

import cv2
import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator

from evaluation import decision, networks, operating_point
from input_pipeline import annotated, lesion_masks, records, tasks
from input_pipeline.datasets import idrid_masks
from models import ensemble, outputs, resnet_v2
from visualization import (
    bound_methods,
    explain,
    explained_model,
    explainer,
    explanation_table,
    grad_cam,
    guided_backprop,
    lesion_scores,
    occlusion,
    pictures,
    stability,
)

METHODS = (
    grad_cam.GradCam(),
    guided_backprop.GuidedBackprop(),
    occlusion.Occlusion(patch=0.5, stride=0.25),
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return resnet_v2.resnet_v2(image_size=64, num_outputs=2, widths=(4,), depths=(1,))


def alone(model, split):
    return networks.Answering([networks.Network("drawn", model, split.train)], model)


@pytest.fixture(scope="module")
def start(model, audited, split, tmp_path_factory):
    """Explains the drawn photographs: `start(folder, photographs=1, ...)`."""

    def run(
        data_dir,
        model=model,
        split=split,
        random_run=None,
        decided=None,
        answering=None,
        folder=None,
        **settings,
    ):
        folder = folder or tmp_path_factory.mktemp("run")
        settings = {"methods": METHODS, "photographs": 2, "resamples": 100} | settings
        content = explain.Explanations(**settings).explain(
            answering or alone(model, split),
            tasks.referable(),
            outputs.Softmax(),
            decided,
            audited,
            split,
            {"drawn": data_dir},
            folder,
            folder / "tensorboard",
            random_run,
        )
        assert json.loads((folder / explain.FILE).read_text()) == content
        return content, folder

    return run


@pytest.fixture(scope="module")
def done(start, idrid_like):
    return start(idrid_like)


def test_each_photograph_with_masks_is_looked_up_in_the_split(
    audited, split, idrid_like
):
    found = annotated.read(idrid_masks.idrid_masks().read(idrid_like), audited, split)
    with open(idrid_like / "segmentation_to_grading.csv", newline="") as file:
        twins = {row["segmentation_id"]: row for row in csv.DictReader(file)}
    assert len(found) == len(twins)
    for one in found:
        twin = twins[one.name]
        expected = f"drawn/{twin['grading_split']}/{twin['grading_id']}"
        assert one.id == expected
        assert one.seen == ("valid" if expected in split.valid else "train")
        np.testing.assert_array_equal(
            one.image, audited.collection.read_image(expected)
        )
    assert {one.seen for one in found} == {"train", "valid"}


def test_a_copy_that_was_saved_anew_is_recognized_and_a_stranger_is_not(
    audited, split, idrid_like, tmp_path
):
    (first, second, *_) = idrid_masks.idrid_masks().read(idrid_like)
    anew, mirrored = tmp_path / "anew.png", tmp_path / "mirrored.png"
    cv2.imwrite(str(anew), cv2.imread(str(first.path)))
    cv2.imwrite(str(mirrored), cv2.imread(str(second.path))[::-1, ::-1])
    found = annotated.read(
        [
            lesion_masks.Annotated("anew", anew, first.masks),
            lesion_masks.Annotated("stranger", mirrored, {}),
        ],
        audited,
        split,
    )
    (known,) = annotated.read([first], audited, split)
    assert (found[0].id, found[0].seen) == (known.id, known.seen)
    assert (found[1].id, found[1].seen) == (None, "unseen")


def test_masks_are_decoded_once_and_anew_when_a_file_has_changed(
    audited, split, idrid_like, tmp_path, monkeypatch
):
    first = idrid_masks.idrid_masks().read(idrid_like)[0]
    own = dict(first.masks)
    (lesion, path), *_ = own.items()
    own[lesion] = tmp_path / path.name
    own[lesion].write_bytes(path.read_bytes())
    found = [dataclasses.replace(first, masks=own)]
    decoded = []
    decode = lesion_masks.read

    def noted(file, *others):
        decoded.append(file)
        return decode(file, *others)

    monkeypatch.setattr(lesion_masks, "read", noted)

    def read(kept_in=tmp_path / "kept"):
        decoded.clear()
        (one,) = annotated.read(found, audited, split, kept_in)
        return one.shares

    plain = read(None)
    assert len(decoded) == len(own)
    for times in (len(own), 0):
        again = read()
        assert len(decoded) == times and list(again) == list(plain)
        for name, shares in again.items():
            np.testing.assert_array_equal(shares, plain[name])
            assert shares.dtype == np.float32
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(kept.read_bytes()[:50])  # Cut off.
    np.testing.assert_array_equal(read()[lesion], plain[lesion])
    assert len(decoded) == len(own)
    mask = np.asarray(Image.open(path).convert("L")) > 0
    Image.fromarray(mask[:, ::-1]).save(own[lesion])
    changed = read()[lesion]
    assert len(decoded) == len(own) and (changed != plain[lesion]).any()


def test_pictures_are_written_for_each_outcome(done, split):
    content, folder = done
    written = content["pictures"]["valid"]
    counts = [written[one]["photographs"] for one in pictures.OUTCOMES]
    assert sum(counts) == len(split.valid) and counts[2] == 0
    for outcome, count in zip(pictures.OUTCOMES, counts, strict=True):
        for method in METHODS:
            path = folder / "valid" / f"{outcome}_{method.name}.png"
            assert path.exists() == (count > 0)
    pictured = sum(min(one, 2) for one in counts)
    assert len(list((folder / "valid/photographs").iterdir())) == pictured
    assert set(written["curves"]) == {*(one.name for one in METHODS), "chance"}
    for areas in written["curves"].values():
        assert set(areas) == {"insertion", "deletion", "outside_retina"}
        assert all(0 <= one <= 1 for one in areas.values())


def test_the_galleries_are_in_tensorboard_as_they_are_on_disk(done):
    _, folder = done
    board = event_accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    files = {
        f"valid, {outcome}/{method.name}": path
        for outcome in pictures.OUTCOMES
        for method in METHODS
        if (path := folder / "valid" / f"{outcome}_{method.name}.png").exists()
    }
    assert files and set(board.Tags()["tensors"]) == set(files)
    for tag, path in files.items():
        (event,) = board.Tensors(tag)
        width, height, encoded = event.tensor_proto.string_val
        shown = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        assert shown.shape == (int(height), int(width), 3)
        np.testing.assert_array_equal(shown, cv2.imread(str(path)))


def test_mean_curves_are_kept_and_drawn_and_have_the_areas_of_the_table(done):
    content, folder = done
    written = content["pictures"]["valid"]
    curves = written["mean_curves"]
    changed = curves["changed"]
    np.testing.assert_allclose(changed, np.arange(17) / 16)
    for kind in ("insertion", "deletion"):
        assert set(curves[kind]) == set(written["curves"])
        for method, values in curves[kind].items():
            area = np.trapezoid(values, changed)
            assert area == pytest.approx(written["curves"][method][kind])
    # Whole photographs and blurred ones: the same ends for all, and both ways.
    starts = {values[0] for values in curves["insertion"].values()}
    ends = {values[-1] for values in curves["deletion"].values()}
    assert np.ptp([*starts, *ends]) < 1e-6
    assert (folder / "valid" / "insertion_deletion.png").exists()


def test_lesions_are_scored_apart_by_what_the_model_has_seen(done):
    content, folder = done
    lesions = content["lesions"]
    assert lesions["photographs"]["unseen"] == lesions["photographs"]["test"] == 0
    assert set(lesions["scores"]) == {"trained on", "validated on", "not trained on"}
    with open(folder / "lesion_scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for group, parts in (("trained on", ["train"]), ("not trained on", ["valid"])):
        for method in METHODS:
            for lesion in ("any_lesion", "hard_exudates", "optic_disc"):
                some = [
                    float(row["pointing"])
                    for row in rows
                    if row["seen"] in parts
                    and (row["method"], row["lesion"]) == (method.name, lesion)
                ]
                found = lesions["scores"][group][method.name][lesion]
                assert found["photographs"] == len(some)
                assert found["pointing"]["value"] == pytest.approx(np.mean(some))
    assert len(list((folder / "lesions/trained_on").iterdir())) == 2


def test_the_table_names_every_method_and_lesion(done):
    text = explanation_table.report(done[0])
    assert text.startswith(
        "The heat maps show what speaks for “referable”, also where it is not predicted"
    )
    for word in ("grad_cam", "occlusion", "hard_exudates", "never seen", "chance"):
        assert word in text
    assert "Agreement with lesions, photographs not trained on\n" in text
    assert "Likeness of maps to those of a network with all weights in random" in text
    assert "Likeness of maps to those of a photograph that was changed" in text
    failed = {name: {**one, "passes": False} for name, one in done[0]["sanity"].items()}
    marked = explanation_table.report(done[0] | {"sanity": failed})
    assert marked.count("FAILS") == len(METHODS) > text.count("FAILS")


def test_the_summary_of_lesions_has_every_figure_with_chance_and_interval(done):
    content, folder = done
    with open(folder / "lesion_agreement.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = content["lesions"]["scores"]
    for row in rows:
        found = scores[row["group"]][row["method"]][row["lesion"]]
        assert int(row["photographs"]) == found["photographs"]
        for metric in ("pointing", "energy", "enrichment", "precision", "iou"):
            assert float(row[metric]) == found[metric]["value"]
            assert float(row[f"{metric}_chance"]) == found[metric]["chance"]
            low = row[f"{metric}_low"]
            assert (float(low) if low else None) == found[metric]["low"]
    assert len(rows) == sum(
        len(one) for some in scores.values() for one in some.values()
    )


def figure(value, low, high, chance):
    return {"value": value, "low": low, "high": high, "chance": chance}


def test_the_table_says_in_words_what_the_intervals_allow(done):
    content = json.loads(json.dumps(done[0]))
    base = content["lesions"]["scores"]["not trained on"]["grad_cam"]["any_lesion"]
    more = base | {
        "enrichment": figure(3.0, 2.0, 4.0, 1.0),
        "pointing": figure(0.5, 0.2, 0.8, 0.3),
        "empty_maps": 2,
    }
    less = base | {
        "enrichment": figure(0.5, 0.3, 0.9, 1.0),
        "pointing": figure(0.5, 0.4, 0.8, 0.3),
        "empty_maps": 0,
    }
    content["lesions"]["scores"] = {
        "not trained on": {
            "grad_cam": {"hard_exudates": more, "optic_disc": more},
            "occlusion": {
                "hard_exudates": less,
                "optic_disc": more | {"empty_maps": 0},
            },
        }
    }
    content["pictures"]["valid"]["curves"] = {
        name: dict(zip(("insertion", "deletion", "outside_retina"), one, strict=True))
        for name, one in {
            "grad_cam": (0.6, 0.4, 0.25),
            "occlusion": (0.8, 0.5, 0.01),
            "chance": (0.7, 0.7, 0.2),
        }.items()
    }
    text = explanation_table.report(content)
    assert (
        "  hard_exudates: more evidence there by grad_cam; less by occlusion; pointed "
        "at more often by occlusion.\n"
        "  optic_disc: more evidence there by all; pointed at more often by none. It "
        "is no lesion.\n"
        "Maps without evidence, which miss everything: grad_cam 2."
    ) in text
    assert (
        "Better than a random map in both: occlusion. What grad_cam points at brings "
        "the class no sooner than random places do. Much evidence outside the retina, "
        "so none: grad_cam 25%."
    ) in text
    counts = [content["pictures"]["valid"][one] for one in pictures.OUTCOMES]
    every = sum(one["photographs"] for one in counts)
    assert f"Of the {every} photographs of 'valid', " in text
    assert f" of {counts[0]['photographs']} hits" in text or not counts[0]["pictured"]


def test_stability_is_in_the_file_and_the_table(done):
    content, _ = done
    table = explanation_table.report(content).partition("changed harmlessly")[2]
    table = table.partition("\n\n")[0]
    for method in METHODS:
        found = content["stability"][method.name]
        assert set(found) == {one.name for one in stability.CHANGES}
        correlation = found["saved as JPEG"]["correlation"]
        (line,) = (
            line for line in table.splitlines() if line.startswith(f"{method.name} ")
        )
        assert f" {correlation:.2f} " in line


def test_what_passes_every_check_is_offered(done):
    content, _ = done
    passed = {name for name, one in content["sanity"].items() if one["passes"]}
    assert set(content["offered"]) == passed
    assert content["random_labels"] == {}
    assert f"Offered: {', '.join(content['offered']) or 'none'}." in (
        explanation_table.report(content)
    )


def test_a_prediction_of_several_views_is_the_runs_own_and_said_so(
    start, tmp_path, model, split
):
    point = operating_point.OperatingPoint("a rule", 0.5, None, None, 1, 1)
    views = {"flips": True, "quarter_turns": False}
    decided = decision.Decision(None, point, "photographs", None, views)
    content, _ = start(tmp_path, methods=METHODS[:1], photographs=1, decided=decided)
    assert content["note"].startswith("The prediction averages mirrored and turned")
    assert content["note"] in explanation_table.report(content)
    said = explained_model.ExplainedModel(
        alone(model, split), tasks.referable(), outputs.Softmax(), decided
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    both = [model(one.astype(np.float32)) for one in (images, images[:, :, ::-1])]
    logits = np.mean([one.numpy() for one in both], axis=0, dtype=np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(said.of(images, [model] * 3), expected, atol=1e-5)


def test_maps_are_laid_over_the_originals_in_their_own_size(start, idrid_like, audited):
    _, folder = start(idrid_like, methods=METHODS[:1], photographs=1, originals=True)
    files = list((folder / "valid/originals").iterdir())
    assert files
    for file in files:
        one = file.stem.removesuffix("_grad_cam").replace("-", "/")
        photograph = audited.collection.photograph(one)
        original = cv2.imread(str(idrid_like / photograph.path))
        laid = cv2.imread(str(file))
        assert laid.shape == original.shape
        # Outside the crop nothing is laid over; inside something is.
        crop = records.crop_of(audited.collection.read_record(one))
        difference = np.abs(laid.astype(int) - original)
        assert difference[:, : max(crop.left, 0)].max(initial=0) < 40  # JPEG.
        assert difference.max() > 60
    with pytest.raises(FileNotFoundError):
        start(folder, methods=METHODS[:1], photographs=1, originals=True)


class Bright(explainer.Explainer):
    """Shows brightness, whatever the model has learnt."""

    name = "bright"

    def bind(self, model, output):
        class Bound(explainer.Explanation):
            def _evidence(self, images, classes):
                return images.numpy().mean(axis=-1)

        return Bound(model, output)


def test_a_method_that_fails_a_check_is_not_offered(start, tmp_path):
    methods = (Bright(), occlusion.Occlusion(patch=0.5, stride=0.25))
    content, _ = start(tmp_path, methods=methods, photographs=1)
    assert not content["sanity"]["bright"]["passes"]
    assert "bright" not in content["offered"]
    assert content["stability"]["bright"]["mirrored"]["correlation"] > 0.99


class Spy(explainer.Explainer):
    """Notes which network is asked to explain which photograph."""

    name = "spy"

    def __init__(self):
        self.asked = []

    def __repr__(self):
        return "Spy()"

    def bind(self, model, output):
        asked = self.asked

        class Bound(explainer.Explanation):
            def _evidence(self, images, classes):
                asked.extend((model, one.tobytes()) for one in images.numpy())
                return images.numpy().mean(axis=-1)

        return Bound(model, output)


@pytest.fixture(scope="module")
def folds(split):
    """Three networks, of which each has trained on two thirds, and their split."""
    every = (*split.train, *split.valid)
    found = []
    for fold in range(3):
        keras.utils.set_random_seed(10 + fold)
        own = resnet_v2.resnet_v2(
            image_size=64, num_outputs=2, widths=(4,), depths=(1,)
        )
        trained = [key for place, key in enumerate(every) if place % 3 != fold]
        found.append(networks.Network(f"fold-{fold}", own, trained))
    together = ensemble.average([one.model for one in found])
    whole = dataclasses.replace(split, train=(), valid=every)
    return networks.Answering(found, together), whole


def test_no_photograph_is_explained_by_a_network_that_has_trained_on_it(
    start, idrid_like, audited, folds
):
    answering, whole = folds
    spy = Spy()
    content, folder = start(
        idrid_like,
        answering=answering,
        split=whole,
        methods=(spy,),
        photographs=3,
        splits=("valid", "test"),
    )
    ids = {
        audited.collection.read_image(key).astype(np.float32).tobytes(): key
        for key in (*whole.valid, *whole.test)
    }
    asked = [(model, ids[one]) for model, one in spy.asked if one in ids]
    trained_on = {one.model: one.train for one in answering.networks}
    for model, key in asked:
        if key in whole.test:
            assert model is answering.together
        else:
            assert key not in trained_on[model]
    assert content["note"].startswith("Each photograph is predicted and explained by")
    assert content["note"] in explanation_table.report(content)
    # All that have masks, at once.
    lesions = content["lesions"]
    with open(idrid_like / "segmentation_to_grading.csv", newline="") as file:
        count = len(list(csv.DictReader(file)))
    assert lesions["photographs"] == {
        "train": 0,
        "valid": count,
        "unseen": 0,
        "test": 0,
    }
    assert set(lesions["scores"]) == {"validated on", "not trained on"}
    with open(folder / "lesion_scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    trained_on = {one.name: one.train for one in answering.networks}
    assert {row["explained_by"] for row in rows} == set(trained_on)
    seen = {key for _, key in asked}
    assert {row["id"] for row in rows} <= seen and seen & {*whole.test}
    assert not [row for row in rows if row["id"] in trained_on[row["explained_by"]]]


def test_predictions_of_an_ensemble_are_those_of_the_networks_that_explain(
    audited, folds
):
    answering, whole = folds
    said = explained_model.ExplainedModel(
        answering, tasks.referable(), outputs.Softmax(), None
    )
    ids = [*whole.valid[:5], *whole.test[:2]]
    images = np.stack([audited.collection.read_image(key) for key in ids])
    expected = []
    for key, image in zip(ids, images.astype(np.float32), strict=True):
        logits = [
            one.model(image[None])[0]
            for one in answering.networks
            if key not in one.train
        ]
        both = np.exp(np.mean(logits, axis=0, dtype=np.float64))
        expected.append(both / both.sum())
    found = said.probabilities(audited.collection, ids)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    by = said.answering(ids)
    np.testing.assert_allclose(said.of(images, by), expected, atol=1e-5)
    np.testing.assert_allclose(said.predict(images, by), expected, atol=1e-5)


def test_what_every_network_has_trained_on_counts_as_trained_on(
    start, idrid_like, folds
):
    answering, whole = folds
    knowing = [
        dataclasses.replace(one, train=[*one.train, *whole.valid])
        for one in answering.networks
    ]
    content, _ = start(
        idrid_like,
        answering=networks.Answering(knowing, answering.together),
        split=whole,
        methods=METHODS[:1],
    )
    assert content["lesions"]["photographs"]["valid"] == 0
    assert set(content["lesions"]["scores"]) == {"trained on"}
    assert content["note"] == ""


def test_random_labels_are_compared_where_neither_network_has_trained(
    start, tmp_path, folds, random_run, audited, split
):
    answering, whole = folds
    spy = Spy()
    start(
        tmp_path,
        answering=answering,
        split=whole,
        methods=(spy,),
        photographs=1,
        random_run=random_run,
    )
    known = {one.model for one in answering.networks} | {answering.together}
    ids = {
        audited.collection.read_image(key).astype(np.float32).tobytes(): key
        for key in whole.valid
    }
    asked = [ids[one] for model, one in spy.asked if model not in known]
    assert len(asked) == 8 and {*asked} <= {*split.valid}


def test_without_a_check_nothing_is_offered(start, idrid_like):
    content, _ = start(idrid_like, methods=METHODS[:1], splits=())
    assert content["sanity"] == {} and content["offered"] == []


@pytest.fixture
def random_run(tmp_path, split):
    """What explain reads of a run on random labels."""
    keras.utils.set_random_seed(5)
    folder = tmp_path / "random"
    folder.mkdir()
    other = resnet_v2.resnet_v2(image_size=64, num_outputs=2, widths=(4,), depths=(1,))
    other.save(folder / "model.keras")
    split.save(folder / "split.json")
    task = tasks.random_labels(task=tasks.referable()).description()
    (folder / "task.json").write_text(json.dumps({"task": task, "output": "softmax"}))
    return folder


def test_a_run_on_random_labels_is_a_second_check(start, tmp_path, random_run):
    methods = (Bright(), *METHODS[:1])
    content, _ = start(tmp_path, methods=methods, photographs=1, random_run=random_run)
    found = content["random_labels"]
    assert set(found) == {"bright", "grad_cam"}
    assert found["bright"]["correlation"] == pytest.approx(1)
    assert not found["bright"]["passes"]
    assert ("grad_cam" in content["offered"]) == (
        found["grad_cam"]["passes"] and content["sanity"]["grad_cam"]["passes"]
    )
    assert content["settings"]["random_labels"] == str(random_run)
    text = explanation_table.report(content)
    assert f"a network that learnt random labels, {random_run}: is to be low" in text


def test_without_masks_there_are_pictures_and_no_agreement(start, tmp_path):
    content, folder = start(tmp_path, methods=METHODS[:1], photographs=1)
    assert content["lesions"] is None
    assert "No lesion masks were found" in explanation_table.report(content)
    assert not (folder / "lesion_scores.csv").exists()


def test_a_split_without_photographs_is_refused(start, tmp_path, split):
    assert split.test  # The drawn photographs have all three.
    nothing = dataclasses.replace(split, test=())
    with pytest.raises(ValueError, match=r"has no photographs in 'test'\. Take it out"):
        start(tmp_path, split=nothing, splits=("test",))


def test_a_method_that_cannot_explain_a_model_is_left_out_and_named(start, tmp_path):
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(4, 5, 8, activation="tanh", name="feature_map")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    smooth = keras.Model(inputs, keras.layers.Dense(2)(x))
    content, _ = start(tmp_path, model=smooth, methods=METHODS[:2], photographs=1)
    assert "must have ReLU layers" in content["methods"]["guided_backprop"]["refused"]
    assert "guided_backprop is left out" in explanation_table.report(content)
    assert "maps" in content["methods"]["grad_cam"]
    with pytest.raises(ValueError, match="No method can explain"):
        start(tmp_path, model=smooth, methods=METHODS[1:2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"splits": ("dev",)}, r"`explain\.splits` must name some of 'train'"),
        ({"methods": ()}, r"`explain\.methods` must hold methods of different names"),
        ({"methods": METHODS[:1] * 2}, r"Received: \['grad_cam', 'grad_cam'\]"),
        (
            {"explained": "all"},
            r"`explain\.explained` must be 'disease' or 'predicted'",
        ),
        ({"tolerance": 2}, r"`explain\.tolerance` must be 0-1\. Received: 2"),
        ({"photographs": 0}, r"`explain\.photographs` must be at least 1"),
        ({"name": "a/b"}, r"`explain\.name` must name a folder\. Received: 'a/b'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        explain.Explanations(**settings)


def deciding(threshold):
    point = operating_point.OperatingPoint("a rule", threshold, None, None, 1, 1)
    return decision.Decision(None, point, "photographs")


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_hits_and_misses_are_those_of_the_runs_threshold(
    start, tmp_path, audited, split, threshold
):
    content, _ = start(
        tmp_path,
        methods=METHODS[:1],
        photographs=1,
        decided=deciding(threshold),
    )
    labels = tasks.referable().labels(
        [audited.collection.photograph(one) for one in split.valid]
    )
    # From a probability of 0 on all are referable, and from 1 on none.
    right = sum(one == (threshold == 0) for one in labels)
    assert content["pictures"]["valid"]["hits"]["photographs"] == right
    assert 0 < right < len(labels)


def test_of_two_classes_the_threshold_decides_what_is_predicted(model, split):
    def said(task, output, threshold, explained="predicted"):
        return explained_model.ExplainedModel(
            alone(model, split), task, output, deciding(threshold), explained
        )

    chances = np.array([[0.75, 0.25], [0.85, 0.15]])
    two = said(tasks.referable(), outputs.Softmax(), 0.2)
    assert two.predicted(chances).tolist() == [1, 0]
    assert two.explained(chances).tolist() == [1, 0]
    assert two.said(chances[0], 1) == "referable 0.25, right"
    assert "predicted “referable” (0.25)" in two.title("a", chances[0], 1, 0)
    # Of more the most probable one.
    grades = np.array([[0.5, 0.1, 0.1, 0.1, 0.2]])
    five = said(tasks.icdr_grades(), outputs.Softmax(), 0.2)
    assert five.predicted(grades).tolist() == [0]


def test_what_the_checks_do_is_no_fact_of_the_maps(start, tmp_path):
    content, _ = start(tmp_path, methods=(Counting(),), photographs=1)
    pictured = sum(one["pictured"] for one in counts_of(content))
    assert content["methods"]["counting"]["explained"] == pictured


def test_who_is_stopped_and_begins_again_makes_no_map_twice(
    start, tmp_path, idrid_like, monkeypatch
):
    monkeypatch.setattr(bound_methods, "_WORTH_KEEPING", 0)
    whole = Stopping(math.inf)
    expected, folder = start(idrid_like, methods=(whole,), photographs=1)
    assert not (folder / "unfinished").exists()
    made = 0
    for most in (1, 3, whole.made // 2, math.inf):
        again = Stopping(most)
        beginning = contextlib.nullcontext()
        if most < math.inf:
            beginning = pytest.raises(KeyboardInterrupt)
        with beginning:
            content, _ = start(
                idrid_like, methods=(again,), photographs=1, folder=tmp_path
            )
        made += again.made
    assert made == whole.made > 10
    assert not (tmp_path / "unfinished").exists()
    for one in (content, expected):
        assert one["methods"]["stopping"].pop("seconds") > 0
    assert content == expected


class Stopping(explainer.Explainer):
    """Is stopped, like a user would, after so many batches."""

    name = "stopping"

    def __init__(self, most):
        self.most, self.made = most, 0

    def __repr__(self):
        return "Stopping()"  # The same method each time.

    def bind(self, model, output):
        method = self

        class Bound(explainer.Explanation):
            def _evidence(self, images, classes):
                if method.made == method.most:
                    raise KeyboardInterrupt
                method.made += 1
                brightest = float(images.numpy().mean(axis=(1, 2, 3)).max())
                self.facts["brightest"] = max(
                    self.facts.get("brightest", 0.0), brightest
                )
                logits = self.logits(images)[:, 0]
                return images.numpy().mean(axis=-1) * logits[:, None, None]

        return Bound(model, output)


def counts_of(content):
    return [content["pictures"]["valid"][one] for one in pictures.OUTCOMES]


class Counting(explainer.Explainer):
    """Counts in its facts what it is asked."""

    name = "counting"

    def bind(self, model, output):
        class Bound(explainer.Explanation):
            def _evidence(self, images, classes):
                asked = self.facts.get("explained", 0)
                self.facts["explained"] = asked + len(images)
                return images.numpy().mean(axis=-1)

        return Bound(model, output)


def test_many_photographs_with_masks_are_explained_a_few_at_a_time(
    done, start, idrid_like, monkeypatch
):
    monkeypatch.setattr(lesion_scores, "_AT_ONCE", 3)
    _, folder = start(idrid_like)
    with open(folder / "lesion_scores.csv", newline="") as file:
        found = list(csv.DictReader(file))
    with open(done[1] / "lesion_scores.csv", newline="") as file:
        expected = list(csv.DictReader(file))
    for one, other in zip(found, expected, strict=True):
        assert one["photograph"] == other["photograph"]
        assert float(one["energy"]) == pytest.approx(float(other["energy"]), abs=1e-4)
    part = "lesions/trained_on"
    names = [
        {one.name for one in (each / part).iterdir()} for each in (folder, done[1])
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("why", ["of the test set", "nothing outlined"])
def test_without_a_lesion_to_score_there_is_no_table(
    start, tmp_path, idrid_like, split, why
):
    (first, *_) = idrid_masks.idrid_masks().read(idrid_like)
    if why == "nothing outlined":
        own = {}
        for lesion, path in first.masks.items():
            own[lesion] = tmp_path / path.name
            with Image.open(path) as mask:
                Image.fromarray(np.zeros(mask.size[::-1], np.uint8)).save(own[lesion])
        first = dataclasses.replace(first, masks=own)
    else:
        every = (*split.train, *split.valid)
        split = dataclasses.replace(split, train=split.test, valid=(), test=every)
    layout = lesion_masks.Source("own", lambda data_dir: [first])
    content, folder = start(
        tmp_path,
        split=split,
        masks=(layout,),
        methods=METHODS[:1],
        photographs=1,
        splits=(),
    )
    assert content["lesions"]["scores"] == {}
    assert not (folder / "lesion_scores.csv").exists()
    assert "Photographs with lesion masks: " in explanation_table.report(content)


def test_what_cannot_be_checked_is_not_offered_and_said_so(start, tmp_path):
    class Nothing(Bright):
        name = "nothing"

        def bind(self, model, output):
            bound = super().bind(model, output)
            bound._evidence = lambda images, classes: np.zeros(images.shape[:3])
            return bound

    methods = (Nothing(), METHODS[2])
    content, folder = start(tmp_path, methods=methods, photographs=1)
    assert "nothing" not in content["offered"]
    assert "nothing" in explain.failed(folder / explain.FILE)
    assert not explain.failed(folder / explain.FILE) & set(content["offered"])
    text = explanation_table.report(content)
    assert "unknown: no map has evidence" in text
