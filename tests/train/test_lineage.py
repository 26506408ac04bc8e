import dataclasses
import shutil
import types

import PIL.Image
import pytest

from input_pipeline import prepare
from input_pipeline.datasets import idrid
from train import lineage

NOTHING = lineage.Seen({}, {}, {})


def check(seen, split, audited, prepared_dir):
    return lineage.check(seen, "runs/before", split, audited, prepared_dir)


def checksum(audited, photograph_id):
    return audited.collection.entries[photograph_id]["sha256"]


def test_a_run_that_shares_the_split_has_nothing_to_hide(audited, split, tmp_path):
    seen = lineage.Seen.of(split, audited.collection)
    found = check(seen, split, audited, tmp_path)
    assert (found["trained_on"], found["validated_on"]) == (32, 8)
    assert found["validating_then_and_now"] == 8
    assert found["not_compared_by_pixels"] == 0


@pytest.mark.parametrize("role", ["train", "valid"])
def test_a_test_photograph_that_was_seen_is_refused(audited, split, tmp_path, role):
    key = split.test[3]
    seen = dataclasses.replace(NOTHING, **{role: {key: checksum(audited, key)}})
    message = (
        r"The weights of runs/before have seen 1 of 12 photographs of this run's "
        rf"'test' split, such as {key}: figures there would say nothing\. Train that"
    )
    with pytest.raises(ValueError, match=message):
        check(seen, split, audited, tmp_path)


def test_a_validating_photograph_may_have_validated_but_not_trained(
    audited, split, tmp_path
):
    entry = {split.valid[0]: checksum(audited, split.valid[0])}
    found = check(dataclasses.replace(NOTHING, valid=entry), split, audited, tmp_path)
    assert found["validating_then_and_now"] == 1
    message = r"1 of 8 photographs of this run's 'valid' split, .* Bind split\.folds"
    with pytest.raises(ValueError, match=message):
        check(dataclasses.replace(NOTHING, train=entry), split, audited, tmp_path)
    folds = dataclasses.replace(split, train=(), valid=(*split.train, *split.valid))
    message = r"each photograph validates a member: .*ensemble\.every_fold = False"
    with pytest.raises(ValueError, match=message):
        check(dataclasses.replace(NOTHING, train=entry), folds, audited, tmp_path)


def test_the_same_bytes_are_the_same_photograph_whatever_its_name(
    audited, split, tmp_path
):
    seen = lineage.Seen({"else/1": checksum(audited, split.test[0])}, {}, {"else": "x"})
    with pytest.raises(ValueError, match=rf"such as {split.test[0]}"):
        check(seen, split, audited, tmp_path)


def test_what_belongs_to_a_seen_photograph_was_seen_too(audited, split, tmp_path):
    """Here a training photograph of the patient of a test photograph."""
    groups = {**audited.decisions.groups}
    groups[split.test[0]] = groups[split.train[0]]
    linked = types.SimpleNamespace(
        collection=audited.collection,
        certificate=audited.certificate,
        decisions=dataclasses.replace(audited.decisions, groups=groups),
    )
    seen = lineage.Seen.of(split, audited.collection)
    check(seen, split, audited, tmp_path)
    with pytest.raises(ValueError, match=rf"'test' split, such as {split.test[0]}"):
        check(seen, split, linked, tmp_path)


def test_a_copy_in_another_dataset_is_found_where_its_records_are(
    audited, split, idrid_like, tmp_path
):
    folder = shutil.copytree(idrid_like, tmp_path / "other")
    for path in folder.rglob("*.jpg"):
        PIL.Image.open(path).save(path, quality=70)
    preparation = prepare.Preparation(
        datasets=[idrid.idrid(name="other")], image_size=64
    )
    other = preparation.run({"other": folder}, tmp_path / "prepared")
    key = split.test[0].replace("drawn/", "other/")
    seen = lineage.Seen(
        {key: other.entries[key]["sha256"]}, {}, {"other": other.folders[0].fingerprint}
    )
    with pytest.raises(ValueError, match=rf"'test' split, such as {split.test[0]}"):
        check(seen, split, audited, tmp_path / "prepared")
    found = check(seen, split, audited, tmp_path)  # There are no records.
    assert found["not_compared_by_pixels"] == 1


def test_what_earlier_runs_saw_is_handed_on(audited, split, tmp_path):
    first = lineage.Seen({"a/1": "x"}, {"a/2": "y"}, {"a": "f"})
    own = lineage.Seen.of(split, audited.collection)
    own.after(first).save(tmp_path)
    seen = lineage.Seen.load(tmp_path)
    assert set(seen.train) == {"a/1", *split.train}
    assert set(seen.valid) == {"a/2", *split.valid}
    assert set(seen.datasets) == {"a", "drawn"}


def test_a_run_that_does_not_say_what_it_saw_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"seen\.json does not exist: nothing"):
        lineage.Seen.load(tmp_path)
