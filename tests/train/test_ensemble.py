import dataclasses
import hashlib
import json
import shutil
import weakref

import keras
import numpy as np
import pytest

from configs import statements
from evaluation import decision, facts, predictions, remarks
from input_pipeline import pipeline, splits
from models import outputs
from tests.evaluation import trained_runs
from train import ensemble, trainer
from visualization import report_maps

FOLDS = ("split.folds = 3", "ensemble.every_fold = True")
NAMES = ["fold-0-seed-0", "fold-1-seed-0", "fold-2-seed-0"]


@pytest.fixture(scope="module")
def folds_once(start, tmp_path_factory):
    """Three folds of a tiny experiment and what was said, not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "folds"
    return folder, start("run", folder, *FOLDS)


@pytest.fixture
def folds(folds_once, tmp_path):
    """The same, of one test's own."""
    return shutil.copytree(folds_once[0], tmp_path / "folds")


def read(path):
    return json.loads(path.read_text())


def said(folder):
    names = read(folder / "metrics.json")["task"]["class_names"]
    return predictions.read_csv(folder / "predictions.csv", names)


def state(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts
    }


def test_each_photograph_validates_one_member_and_trains_the_others(folds_once, split):
    folder, _ = folds_once
    whole = splits.Split.load(folder / "split.json")
    parts = [splits.Split.load(folder / "members" / n / "split.json") for n in NAMES]
    assert whole.train == ()
    assert sorted(whole.valid) == sorted([*split.train, *split.valid])
    assert sorted(key for one in parts for key in one.valid) == sorted(whole.valid)
    for one in parts:
        assert {*one.train} == {*whole.valid} - {*one.valid}
        assert one.test == whole.test == split.test


def test_validation_is_predicted_by_the_member_that_has_not_seen_it(
    folds_once, audited
):
    folder, _ = folds_once
    of_all = dict(
        zip(said(folder)["valid"].ids, said(folder)["valid"].logits, strict=True)
    )
    for name in NAMES:
        member = folder / "members" / name
        model = keras.models.load_model(member / "model.keras", compile=False)
        ids = splits.Split.load(member / "split.json").valid
        pictures = np.stack([audited.collection.read_image(key) for key in ids])
        expected = model.predict(pictures.astype(np.float32), verbose=0)
        np.testing.assert_allclose([of_all[key] for key in ids], expected, atol=1e-5)


def test_test_photographs_are_answered_by_the_mean_of_all(folds_once, audited):
    folder, _ = folds_once
    test = said(folder)["test"]
    pictures = np.stack([audited.collection.read_image(key) for key in test.ids])
    models = [
        keras.models.load_model(folder / "members" / one / "model.keras", compile=False)
        for one in NAMES
    ]
    of_each = [one.predict(pictures.astype(np.float32), verbose=0) for one in models]
    np.testing.assert_allclose(test.logits, np.mean(of_each, axis=0), atol=1e-5)
    together = keras.models.load_model(folder / "model.keras", compile=False)
    whole = together.predict(pictures.astype(np.float32), verbose=0)
    np.testing.assert_allclose(whole, test.logits, atol=1e-5)
    decided = decision.load(folder)
    diseased = [
        decided.probabilities(outputs.Softmax(), one.astype(np.float32))[:, 1]
        for one in of_each
    ]
    spread = np.std(diseased, axis=0, ddof=1)
    np.testing.assert_allclose(test.disagreement["spread"], spread, atol=1e-5)
    assert said(folder)["valid"].disagreement == {}


def test_the_decision_is_made_out_of_fold(folds_once):
    folder, told = folds_once
    whole = splits.Split.load(folder / "split.json")
    chosen_on = read(folder / "decision.json")["chosen_on"]
    count = len(whole.valid)
    assert chosen_on == f"{count} validation photographs, predicted out of fold"
    assert "test: 3 members, each by itself\n" in told
    assert "Readings of the test photographs in this run: 1." in told
    for name in NAMES:  # They are trained and nothing else.
        assert not (folder / "members" / name / "ledger.jsonl").exists()


def test_a_member_is_the_run_that_a_fold_and_a_seed_give(folds_once, start, tmp_path):
    folder, _ = folds_once
    alone = tmp_path / "alone"
    lines = ("split.folds = 3", "split.fold = 1", "train.seed = 0")
    start("train", alone, *lines)
    member = folder / "members" / NAMES[1]
    assert read(alone / "bindings.json") == read(member / "bindings.json")
    key = "weights_sha256"
    assert read(alone / "history.json")[key] == read(member / "history.json")[key]
    # And goes by its own config, like any run.
    assert "Trained already" in start("train", member, gin_file=member / "config.gin")


def test_its_weights_have_seen_what_trained_any_member(folds_once, split):
    folder, _ = folds_once
    seen = read(folder / "seen.json")
    assert sorted(seen["train"]) == sorted([*split.train, *split.valid])


@pytest.fixture
def trainings(monkeypatch):
    """Calls a function with each Trainer that is built, after it is."""
    build = trainer.Trainer.__init__

    def each(note):
        def built(self, *arguments):
            build(self, *arguments)
            note(self)

        monkeypatch.setattr(trainer.Trainer, "__init__", built)

    return each


def test_a_member_leaves_neither_model_nor_photographs_behind(
    start, tmp_path, trainings, monkeypatch
):
    """They would add up from member to member."""
    known, left = [], []

    def note(training):
        left.append(sum(one() is not None for one in known))
        known.append(weakref.ref(training.model))

    def opened(*arguments):
        stream = open_stream(*arguments)
        known.append(weakref.ref(stream.images))
        return stream

    open_stream = pipeline.TrainingStream.open
    trainings(note)
    monkeypatch.setattr(pipeline.TrainingStream, "open", opened)
    start("train", tmp_path / "it", "ensemble.seeds = (0, 1)", "train.epochs = 1")
    assert len(known) == 1 + 2 * 2  # A model to check the config by, and of each both.
    assert left == [0, 0, 0]
    assert not any(one() for one in known[:-2])


def test_members_share_a_strategy(start, tmp_path, trainings):
    """The sums over devices of two could be taken for each other's."""
    strategies = []
    trainings(lambda training: strategies.append(training.strategy))
    lines = (
        "ensemble.seeds = (0, 1)",
        "train.epochs = 1",
        "train.strategy = @tf.distribute.MirroredStrategy",
    )
    start("train", tmp_path / "it", *lines)
    assert len(strategies) == 3
    assert len({*map(id, strategies)}) == 1


def test_what_was_used_is_what_the_ensemble_asks_for(folds_once):
    folder, _ = folds_once
    used = (folder / "operative_config.gin").read_text().splitlines()
    assert "ensemble.every_fold = True" in used
    assert "split.fold = 0" in used
    assert "train.seed = 0" in used


def test_a_member_answers_nothing_that_was_not_drawn_for_it(folds):
    path = folds / "members" / NAMES[0] / "split.json"
    part = splits.Split.load(path)
    drawn, rest = part.train[:5], part.train[5:]
    dataclasses.replace(part, train=drawn, not_drawn=rest).save(path)
    whole = splits.Split.load(folds / "split.json")
    first, *_ = ensemble.open_networks(folds, None, whole)
    assert first.known == {*part.train}
    assert first.train == drawn


def test_what_any_fold_validates_counts_as_drawn():
    parts = [
        splits.Split(("a",), ("b",), ("t",), {}, not_drawn=("c",)),
        splits.Split(("b",), ("a", "c"), ("t",), {}),
    ]
    expected = splits.Split((), ("b", "a", "c"), ("t",), {})
    assert ensemble.pool(parts) == expected


def test_a_finished_ensemble_is_shown_and_nothing_changes(folds, start):
    before = state(folds)
    assert "test: 3 members" in start("run", folds, *FOLDS)
    assert state(folds) == before


def test_only_the_missing_member_is_trained_again(folds, start):
    before = read(folds / "ensemble.json")
    kept = state(folds / "members" / NAMES[0])
    shutil.rmtree(folds / "members" / NAMES[1])
    for name in ("model.keras", "metrics.json", "report.html"):
        (folds / name).unlink()
    start("run", folds, *FOLDS)
    assert read(folds / "ensemble.json")["members"] == before["members"]
    assert state(folds / "members" / NAMES[0]) == kept


def test_members_that_were_trained_alone_are_taken(folds, start, tmp_path):
    fresh = tmp_path / "fresh"
    shutil.copytree(folds / "members", fresh / "members")
    before = state(fresh / "members")
    start("train", fresh, *FOLDS)
    assert state(fresh / "members") == before
    assert (
        read(fresh / "ensemble.json")["weights_sha256"]
        == read(folds / "ensemble.json")["weights_sha256"]
    )


def test_a_member_of_another_config_is_refused_before_others_are_trained(folds, start):
    (folds / "model.keras").unlink()
    shutil.rmtree(folds / "members" / NAMES[0])
    path = folds / "members" / NAMES[2] / "bindings.json"
    path.write_text(json.dumps(read(path) | {"train.epochs": "9"}))
    with pytest.raises(ValueError, match=r"train\.epochs"):
        start("train", folds, *FOLDS)
    assert not (folds / "members" / NAMES[0]).exists()


def test_a_member_is_trained_alone_as_the_guide_says(folds, start):
    """With the ensemble's own config, and one line that asks for no ensemble."""
    member = folds / "members" / NAMES[1]
    before = read(member / "history.json")["weights_sha256"]
    shutil.rmtree(member)
    lines = ("ensemble.every_fold = False", "split.fold = 1", "train.seed = 0")
    start("train", member, *FOLDS[:1], *lines)
    assert read(member / "history.json")["weights_sha256"] == before
    (folds / "model.keras").unlink()
    start("train", folds, *FOLDS)
    assert read(member / "history.json")["weights_sha256"] == before


def test_an_ensemble_is_not_trained_in_a_members_folder(start, tmp_path):
    folder = tmp_path / "members" / NAMES[1]
    with pytest.raises(ValueError, match=r"bind ensemble\.every_fold = False"):
        start("train", folder, *FOLDS, "split.fold = 1")
    assert not folder.exists()


def test_a_member_that_was_trained_on_other_labels_is_refused_at_once(folds, start):
    (folds / "model.keras").unlink()
    shutil.rmtree(folds / "members" / NAMES[0])
    path = folds / "members" / NAMES[2] / "task.json"
    content = read(path) | {"data_fingerprint": "before"}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"data_fingerprint, before there and .* here"):
        start("train", folds, *FOLDS)
    assert not (folds / "members" / NAMES[0]).exists()  # Nothing was trained.


def test_a_missing_member_is_named_with_the_way_out(folds, start):
    shutil.rmtree(folds / "members" / NAMES[1])
    remedy = r"fold-1-seed-0.*[Oo]r remove .*model\.keras: the command that trained"
    with pytest.raises(FileNotFoundError, match=remedy):
        start("verify", folds, *FOLDS)
    with pytest.raises(
        ValueError, match=r"fold-1-seed-0.*Or remove it and .*/model\.keras: "
    ):
        start("evaluate", folds, *FOLDS, "evaluate.resamples = 200")
    (folds / "report.html").unlink()
    with pytest.raises(FileNotFoundError, match=remedy):
        start("run", folds, *FOLDS)


def test_an_answer_of_a_member_that_knows_the_photograph_is_found(folds, start):
    path = folds / "members" / NAMES[0] / "split.json"
    part = splits.Split.load(path)
    moved = dataclasses.replace(
        part, train=(*part.train, part.valid[0]), valid=part.valid[1:]
    )
    moved.save(path)
    with pytest.raises(ValueError, match=r"no answer of fold-1-seed-0 to drawn/train"):
        start("verify", folds, *FOLDS)


def test_seeds_validate_on_one_fold_together(start, tmp_path, split):
    folder = tmp_path / "seeds"
    start("run", folder, "ensemble.seeds = (0, 1)")
    whole = splits.Split.load(folder / "split.json")
    assert (whole.train, whole.valid) == (split.train, split.valid)
    assert sorted(said(folder)["valid"].disagreement) == [
        "mutual_information",
        "spread",
    ]
    members = read(folder / "metrics.json")["members"]["valid"]["auc"]["members"]
    assert list(members) == ["fold-0-seed-0", "fold-0-seed-1"]
    chosen_on = read(folder / "decision.json")["chosen_on"]
    assert chosen_on == f"{len(split.valid)} validation photographs"
    assert "members.csv" in start("verify", folder, "ensemble.seeds = (0, 1)")


def test_an_ensemble_verifies_and_a_changed_member_does_not(folds, start):
    assert "members.csv: the logits of predictions.csv are" in start(
        "verify", folds, *FOLDS
    )
    other = folds / "members" / NAMES[0] / "model.keras"
    shutil.copy(folds / "members" / NAMES[1] / "model.keras", other)
    with pytest.raises(
        ValueError, match=r"members/fold-0-seed-0/model\.keras: its SHA"
    ):
        start("verify", folds, *FOLDS)


def test_a_changed_answer_of_a_member_is_found(folds, start):
    path = folds / "members.csv"
    header, row, *rows = path.read_text().splitlines()
    row = f"{row.rpartition(',')[0]},9.5"
    path.write_text("\n".join([header, row, *rows]) + "\n")
    with pytest.raises(
        ValueError, match=r"predictions\.csv: 'logit 1' of .*; the mean of"
    ):
        start("verify", folds, *FOLDS)


def test_another_members_model_is_not_evaluated(folds, start):
    other = folds / "members" / NAMES[0] / "model.keras"
    shutil.copy(folds / "members" / NAMES[1] / "model.keras", other)
    lines = (*FOLDS, "evaluate.resamples = 200")
    with pytest.raises(ValueError, match=r"is not the model that .* was made of"):
        start("evaluate", folds, *lines)


EXPLAIN = (*FOLDS, "explain.methods = [@grad_cam()]", "explain.photographs = 1")


def test_an_ensemble_is_explained_by_members_that_have_not_seen_it(folds, start):
    before = state(folds)
    told = start("explain", folds, *EXPLAIN)
    assert "explained by those of the 3 networks that have not trained on it." in told
    assert "Photographs with lesion masks: 0 trained on, " in told
    after = state(folds)
    assert {path: after[path] for path in before} == before
    rows = trained_runs.read_csv(folds / "explanations" / "lesion_scores.csv")
    valid = {
        name: splits.Split.load(folds / "members" / name / "split.json").valid
        for name in NAMES
    }
    assert {row["explained_by"] for row in rows} == {*NAMES}
    for row in rows:
        assert row["id"] in valid[row["explained_by"]]
    assert start("explain", folds, *EXPLAIN) == told
    assert state(folds) == after


def test_a_report_explains_each_photograph_by_who_has_not_seen_it(
    folds, start, monkeypatch
):
    make, made = report_maps.make, []

    def noted(model, output, found, ids):
        made.extend((model, key) for key in ids)
        return make(model, output, found, ids)

    monkeypatch.setattr(report_maps, "make", noted)
    (folds / "report.html").unlink()
    start("run", folds, *FOLDS)  # Shows photographs that test; this one does not.
    start("evaluate", folds, *FOLDS, "evaluate.splits = ('valid',)")
    whole = splits.Split.load(folds / "split.json")
    paths = [folds / "members" / name for name in NAMES]
    weights = {
        path: keras.models.load_model(path / "model.keras", compile=False).get_weights()
        for path in (folds, *paths)
    }
    parts = {path: splits.Split.load(path / "split.json") for path in paths}
    shown = {key for _, key in made}
    assert shown & {*whole.valid} and shown & {*whole.test}
    for model, key in made:
        (own,) = [path for path in paths if key in parts[path].valid] or [folds]
        for one, two in zip(model.get_weights(), weights[own], strict=True):
            np.testing.assert_array_equal(one, two)


def test_no_run_begins_with_an_ensemble(folds, start, tmp_path):
    line = f"train.init_from = {str(folds)!r}"
    with pytest.raises(ValueError, match=r"an ensemble\. Name one of the runs in"):
        start("train", tmp_path / "it", line)


def test_the_report_shows_each_member(folds_once):
    folder, _ = folds_once
    page = (folder / "report.html").read_text()
    assert "Each network by itself" in page
    for name in NAMES:
        assert f"{name}: Curves of 2 epochs" in page
    assert [*facts.read(folder, folder).members] == NAMES
    card = (folder / "model_card.md").read_text()
    assert "3 networks that answer" in card
    assert "| train and valid, each for one fold; it trains the" in card
    assert "| train, by" not in card


def test_the_report_says_what_out_of_fold_figures_do_not_show(folds_once):
    folder, _ = folds_once
    found = facts.read(folder, folder)
    assert any("fewer of the networks answer" in one for one in remarks.limits(found))
    valid = dataclasses.replace(found, said={"valid": found.said["valid"]})
    said = [
        one for one in remarks.limits(found) if "out-of-fold figures are too" in one
    ]
    assert len(said) == 1
    assert remarks.limits(valid)[0] == said[0]
    last = {name: {**one, "kept": "last"} for name, one in found.members.items()}
    valid = dataclasses.replace(valid, members=last)
    assert "networks that had not trained on it" in remarks.limits(valid)[0]
    assert not [one for one in remarks.limits(valid) if "out-of-fold figures" in one]


def test_an_export_measures_ranges_on_other_photographs_than_it_compares(folds, start):
    pytest.importorskip("openvino")
    told = start("export", folds, *FOLDS, "export.formats = []")
    assert "Most members have trained on these photographs" in told
    card = read(folds / "export" / "default" / "card.json")
    count = len(splits.Split.load(folds / "split.json").valid)
    assert card["checked_on"].startswith(f"{count // 2} validation photographs")
    # Against which drift is seen: what was said out of fold, of all.
    assert sum(card["scores"]["counts"]) == count


def test_a_plan_names_the_members(start, tmp_path):
    plan = start("run", tmp_path / "it", *FOLDS, dry_run=True)
    assert "Validation: each of 3 folds by the members not trained on it." in plan
    assert f"This for each of 3 members: {', '.join(NAMES)}." in plan
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        (FOLDS, True),
        ((*FOLDS, "train.keep = 'last'"), False),
        (("ensemble.seeds = (0, 1)",), False),
    ],
)
def test_epochs_that_folds_choose_are_warned_of(start, tmp_path, caplog, lines, warned):
    with caplog.at_level("WARNING", logger="absl"):
        start("run", tmp_path / "it", *lines, dry_run=True)
    texts = [one.message for one in caplog.records]
    assert [("train.keep = 'best'" in text) for text in texts] == [True] * warned


def test_members_do_not_repeat_what_is_true_of_all(start, tmp_path, caplog):
    with caplog.at_level("INFO", logger="absl"):
        start("train", tmp_path / "it", *FOLDS, "train.epochs = 1")
    texts = [one.message for one in caplog.records]
    for words in ("Reusing the prepared", "Audit: ", "out-of-fold figures are too"):
        assert sum(words in text for text in texts) == 1
    assert sum(text.startswith("Member ") for text in texts) == 3


def test_one_training_is_not_taken_for_an_ensemble(start, tmp_path):
    folder = tmp_path / "one"
    start("train", folder, "split.folds = 3")
    with pytest.raises(ValueError, match=r"ensemble\.every_fold: not set there, True"):
        start("train", folder, *FOLDS)


def test_passes_with_dropout_are_for_one_network(folds, start):
    lines = (*FOLDS, "evaluate.dropout_samples = 5")
    with pytest.raises(ValueError, match="an ensemble of 3, whose members already"):
        start("evaluate", folds, *lines)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ensemble.seeds = (1, 1)", r"must be different numbers.*\(1, 1\)"),
        ("ensemble.seeds = (-1, 1)", r"at least 0.*\(-1, 1\)"),
        ("ensemble.seeds = (4,)", r"bind train\.seed = 4 instead"),
        ("ensemble.every_fold = 3", "every_fold"),
    ],
)
def test_what_makes_no_ensemble_is_refused(start, tmp_path, line, message):
    with pytest.raises((ValueError, statements.ConfigError), match=message):
        start("run", tmp_path / "it", line, dry_run=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            (*FOLDS, "split.valid_photographs = 5"),
            r"has each photograph validate a member.*valid_photographs = 5: bind None",
        ),
        (
            (*FOLDS, "evaluate.splits = ('train', 'valid')"),
            r"no photograph trains every member.*'train', 'valid'",
        ),
        (
            ("SEED = 3", "train.seed = %SEED", "ensemble.seeds = (0, 1)"),
            r"`train\.seed` must be bound to a value in an ensemble.*%SEED",
        ),
    ],
)
def test_what_does_not_go_with_members_is_refused(start, tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        start("run", tmp_path / "it", *lines, dry_run=True)


def test_published_validation_photographs_leave_no_folds(split):
    several = ensemble.Ensemble(every_fold=True)
    with pytest.raises(ValueError, match="so that there are no folds"):
        several.validation(splits.Splitter(), {"a": "train", "b": "valid"})


@pytest.mark.parametrize(
    ("keep", "callbacks", "warned"),
    [
        ("last", [], []),
        ("last", [keras.callbacks.EarlyStopping(monitor="loss")], []),
        (
            "last",
            [keras.callbacks.EarlyStopping(monitor="val_auc", mode="max")],
            ["EarlyStopping goes by val_auc, the fold that validates each member"],
        ),
        ("best", [], ["The epoch of each member is chosen on the fold"]),
    ],
)
def test_what_chooses_by_the_folds_of_an_ensemble_is_warned_about(
    keep, callbacks, warned, caplog
):
    ensemble.Ensemble(every_fold=True).warn(keep, callbacks)
    assert len(caplog.messages) == len(warned)
    for message, expected in zip(caplog.messages, warned, strict=True):
        assert message.startswith(expected)
        assert "out-of-fold figures are too good" in message
    caplog.clear()
    ensemble.Ensemble(seeds=(0, 1)).warn(keep, callbacks)
    assert not caplog.messages
