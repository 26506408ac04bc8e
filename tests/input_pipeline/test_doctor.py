import dataclasses
import json
import os

import pytest

from input_pipeline import doctor, prepare
from input_pipeline.datasets import idrid


def flip(path, position):
    """Turns one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def damage(prepared, photograph_id):
    place = prepared.place(photograph_id)
    flip(prepared.shard_path(place.shard), place.offset + 12 + place.length // 2)


def rewrite(prepared, change):
    """Changes the manifest behind the program's back."""
    path = prepared.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def target(tmp_path):
    return tmp_path / "prepared"


def test_healthy_records_are_said_to_be_intact(
    few_preparation, few, few_prepared, target
):
    before = content(few_prepared.folder)
    text = doctor.doctor(few_preparation, {"few": few}, target)
    assert text.endswith(
        f"{few_prepared.folder}: all 7 records in 3 shards are intact."
    )
    assert content(few_prepared.folder) == before
    # Records can be examined where the photographs are not.
    assert doctor.doctor(few_preparation, {}, target) == text.splitlines()[-1]


def test_a_right_layout_is_shown_with_the_number_of_photographs_of_each_grade(
    idrid_like, target
):
    preparation = prepare.Preparation(datasets=[idrid.idrid(name="drawn")])
    text = doctor.doctor(preparation, {"drawn": idrid_like}, target)
    assert f"{idrid_like} is laid out as published:\nB. Disease Grading/" in text
    assert (
        "train: 40 photographs (grade 0: 14, grade 1: 2, grade 2: 14, grade 3: 6, "
        "grade 4: 4)" in text
    )
    assert "test: 12 photographs (grade 0: 4" in text


def test_photographs_without_grade_or_split_are_counted_as_such(
    few_preparation, few, target
):
    text = doctor.doctor(few_preparation, {"few": few}, target)
    assert "no split: 4 photographs (grade 0: 1, grade 3: 1, no grade: 2)" in text
    assert "valid: 1 photographs (no grade: 1)" in text


def test_where_nothing_is_prepared_it_says_so_and_makes_no_folder(
    few_preparation, few, target
):
    text = doctor.doctor(few_preparation, {"few": few}, target)
    folder = few_preparation.folder(few_preparation.datasets[0], target)
    assert text.endswith(f"{folder}: nothing is prepared yet.")
    assert not target.exists()


def test_where_nothing_is_named_and_nothing_prepared_it_fails(few_preparation, target):
    with pytest.raises(ValueError, match=r"nothing of 'few' to examine: no --data_dir"):
        doctor.doctor(few_preparation, {}, target)


def test_a_set_of_ones_own_that_has_changed_is_examined_as_what_it_is(
    few_preparation, few, few_prepared, target
):
    mine = dataclasses.replace(few_preparation.datasets[0], own=True)
    own = dataclasses.replace(few_preparation, datasets=[mine])
    assert "are intact" in doctor.doctor(own, {"few": few}, target)
    (few / "c.jpg").write_bytes((few / "a.jpg").read_bytes())
    text = doctor.doctor(own, {"few": few}, target)
    assert text.endswith(
        f"{few} has changed since {few_prepared.folder} was prepared: the next run "
        f"prepares it into {few_prepared.folder}-2."
    )


def test_a_wrong_layout_shows_the_expected_tree_and_what_was_found(tmp_path, target):
    preparation = prepare.Preparation(datasets=[idrid.idrid()])
    (tmp_path / "data" / "Training").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"Expected in .*(?s:.*)Found:") as error:
        doctor.doctor(preparation, {"idrid": tmp_path / "data"}, target)
    expected, found = str(error.value).split("Found:")
    assert "b. IDRiD_Disease Grading_Testing Labels.csv" in expected
    assert "Training/" in found


def test_each_damaged_shard_is_named_with_its_first_damage(
    few_preparation, few, few_prepared, target
):
    damage(few_prepared, "few/b.jpg")
    damage(few_prepared, "few/c.jpg")
    few_prepared.shard_path(2).unlink()
    before = content(few_prepared.folder)
    with pytest.raises(ValueError, match=r"^2 of 3 shards are damaged:") as error:
        doctor.doctor(few_preparation, {"few": few}, target)
    _, first, second, remedy = str(error.value).splitlines()
    assert first == (
        f"{few_prepared.shard_path(0)}: record 1 (few/b.jpg) is damaged: its bytes do "
        "not match their checksum."
    )
    assert second == f"{few_prepared.shard_path(2)} is missing."
    assert remedy.endswith("--gin_bindings='doctor.repair = True'.")
    assert content(few_prepared.folder) == before


def test_repair_makes_just_the_damaged_shards_again_byte_for_byte(
    few_preparation, few, few_prepared, target
):
    before = content(few_prepared.folder)
    damage(few_prepared, "few/b.jpg")
    few_prepared.shard_path(2).unlink()
    untouched = few_prepared.shard_path(1).stat()
    text = doctor.doctor(few_preparation, {"few": few}, target, repair=True)
    assert "record 1 (few/b.jpg) is damaged" in text
    assert f"Made again: {few_prepared.shard_path(0)}, as it was." in text
    assert f"Made again: {few_prepared.shard_path(2)}, as it was." in text
    assert text.endswith("all 7 records in 3 shards are intact.")
    assert content(few_prepared.folder) == before
    now = few_prepared.shard_path(1).stat()
    assert (now.st_ino, now.st_mtime_ns) == (untouched.st_ino, untouched.st_mtime_ns)


def test_repair_of_healthy_records_does_nothing(
    few_preparation, few, few_prepared, target
):
    before = content(few_prepared.folder)
    text = doctor.doctor(few_preparation, {"few": few}, target, repair=True)
    assert "Made again" not in text
    assert content(few_prepared.folder) == before


def test_repair_leaves_out_what_was_unreadable(few_preparation, few, target):
    (few / "b.jpg").write_bytes(b"")
    (few / "g.jpg").write_bytes(b"")  # The only one of its shard.
    skipping = dataclasses.replace(few_preparation, skip_unreadable=True)
    prepared = skipping.run({"few": few}, target).folders[0]
    before = content(prepared.folder)
    text = doctor.doctor(skipping, {"few": few}, target)
    assert "all 5 records in 3 shards are intact." in text
    assert "2 photographs could not be read and have no record:\n" in text
    assert "  g.jpg: " in text and "an empty file" in text
    with pytest.raises(
        ValueError, match=r"have no record:\n(?s:.*)Replace them, remove"
    ):
        doctor.doctor(few_preparation, {"few": few}, target)
    damage(prepared, "few/c.jpg")
    prepared.shard_path(2).write_bytes(b"no record")
    doctor.doctor(skipping, {"few": few}, target, repair=True)
    assert content(prepared.folder) == before


def test_repair_needs_the_photographs(few_preparation, few_prepared, target):
    damage(few_prepared, "few/b.jpg")
    with pytest.raises(ValueError, match=r"few/b\.jpg(?s:.*)--data_dir=<folder of the"):
        doctor.doctor(few_preparation, {}, target, repair=True)


def test_repair_refuses_photographs_that_have_changed(
    few_preparation, few, few_prepared, target
):
    damage(few_prepared, "few/b.jpg")
    before = content(few_prepared.folder)
    (few / "c.jpg").write_bytes((few / "a.jpg").read_bytes())
    with pytest.raises(ValueError, match=r"few/c\.jpg is another file"):
        doctor.doctor(few_preparation, {"few": few}, target, repair=True)
    assert content(few_prepared.folder) == before


def test_repair_looks_into_photographs_whose_size_and_time_are_unchanged(
    few_preparation, few, few_prepared, target
):
    damage(few_prepared, "few/b.jpg")
    before = content(few_prepared.folder)
    time = (few / "c.jpg").stat().st_mtime_ns
    flip(few / "c.jpg", -50)
    os.utime(few / "c.jpg", ns=(time, time))
    with pytest.raises(
        ValueError,
        match=r"c\.jpg is not the photograph that was prepared, .* Restore it",
    ):
        doctor.doctor(few_preparation, {"few": few}, target, repair=True)
    assert content(few_prepared.folder) == before


def test_photographs_that_are_not_those_of_the_records_are_an_error(
    few_preparation, few, few_prepared, target
):
    (few / "c.jpg").write_bytes((few / "a.jpg").read_bytes())
    with pytest.raises(ValueError, match=r"few/c\.jpg is another file"):
        doctor.doctor(few_preparation, {"few": few}, target)


def other_grade(manifest):
    manifest["photographs"][2]["grade"] = 2
    return r"of few/c\.jpg it says .*'grade': 2.* record says .*'grade': 1"


def unknown_becomes_known(manifest):
    manifest["photographs"][6]["grade"] = 0
    return r"of few/g\.jpg it says .*'grade': 0"


def swapped_places(manifest):
    first, second = manifest["photographs"][:2]
    first["place"], second["place"] = second["place"], first["place"]
    return r"of few/a\.jpg it says .* record says .*'few/b\.jpg'"


def wrong_offset(manifest):
    manifest["photographs"][1]["place"]["offset"] += 5
    return r"of few/b\.jpg it says .* record says .*no tf\.train\.Example"


@pytest.mark.parametrize(
    "change",
    [other_grade, unknown_becomes_known, swapped_places, wrong_offset],
    ids=lambda value: value.__name__,
)
def test_a_manifest_that_contradicts_intact_records_is_damaged(
    few_preparation, few_prepared, target, change
):
    expected = change(json.loads(json.dumps(few_prepared.manifest)))
    rewrite(few_prepared, change)
    with pytest.raises(
        ValueError,
        match=rf"manifest\.json is damaged: {expected}.* Remove the manifest",
    ):
        doctor.doctor(few_preparation, {}, target)


def test_after_the_damaged_manifest_is_removed_preparing_restores_everything(
    few_preparation, few, few_prepared, target
):
    before = content(few_prepared.folder)
    (few_prepared.folder / "manifest.json").unlink()
    few_preparation.run({"few": few}, target).folders[0]
    assert content(few_prepared.folder).keys() == before.keys()
    for name, expected in before.items():
        if name.endswith(".tfrecord"):
            assert (few_prepared.folder / name).read_bytes() == expected
    assert "intact" in doctor.doctor(few_preparation, {"few": few}, target)
