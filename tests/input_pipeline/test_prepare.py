import concurrent.futures
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zlib

import gin
import numpy as np
import pytest
from PIL import Image

from input_pipeline import fundus, photograph, prepare, records, shards
from input_pipeline.datasets import csv_file, dataset, idrid

ROOT = pathlib.Path(__file__).parents[2]


def identities(folder):
    """Changes when any file below is written again, with the same content or not."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


def relabel(folder, name, **labels):
    path = folder / "labels.json"
    known = json.loads(path.read_text())
    known[name] = labels
    path.write_text(json.dumps(known))


def remove(folder, name):
    path = folder / "labels.json"
    known = json.loads(path.read_text())
    del known[name]
    path.write_text(json.dumps(known))
    (folder / name).unlink()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "prepared"


# What is made.


def test_the_manifest_has_the_checksum_and_size_of_every_shard(few_prepared):
    manifest = json.loads((few_prepared.folder / "manifest.json").read_text())
    files = sorted(few_prepared.folder.glob("*.tfrecord"))
    assert [one["file"] for one in manifest["shards"]] == [path.name for path in files]
    for entry, path in zip(manifest["shards"], files, strict=True):
        assert entry["bytes"] == path.stat().st_size
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_manifest_names_every_photograph_with_path_size_and_checksum(
    few_prepared, few
):
    entries = few_prepared.manifest["photographs"]
    assert [one["path"] for one in entries] == [f"{letter}.jpg" for letter in "abcdefg"]
    for entry in entries:
        content = (few / entry["path"]).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert few_prepared.manifest["unreadable"] == []


def test_the_manifest_says_whether_the_photographs_are_drawn(
    few, few_preparation, few_prepared, prepared, target
):
    assert prepared.folders[0].drawn  # Its folder says so.
    assert not few_prepared.drawn  # These are drawn too, but copied out of theirs.
    (few / dataset.DRAWN).touch()
    marked = few_preparation.run({"few": few}, target / "marked").folders[0]
    assert marked.drawn
    assert marked.fingerprint == few_prepared.fingerprint


def test_the_same_photographs_make_the_same_bytes(
    few_preparation, few, few_prepared_once, target
):
    prepared = few_preparation.run({"few": few}, target).folders[0]
    assert prepared.fingerprint == few_prepared_once.fingerprint
    for path in few_prepared_once.folder.glob("*.tfrecord"):
        assert (prepared.folder / path.name).read_bytes() == path.read_bytes()


def test_photographs_of_any_split_are_prepared_and_none_twice(prepared, idrid_like):
    found = sorted(one.id for one in prepared.photographs)
    expected = sorted(one.id for one in idrid.idrid(name="drawn").read(idrid_like))
    assert found == expected
    assert len(found) == 52


def test_a_jpeg_quality_stores_jpeg(few_preparation, few, target):
    preparation = dataclasses.replace(few_preparation, jpeg_quality=90)
    prepared = preparation.run({"few": few}, target).folders[0]
    values = records.read_values(prepared.read_record("few/a.jpg"))
    image = Image.open(io.BytesIO(values["image/encoded"]))
    assert (image.format, image.size) == ("JPEG", (64, 64))
    exact, _ = fundus.prepare((few / "a.jpg").read_bytes(), 64)
    assert np.abs(prepared.read_image("few/a.jpg").astype(int) - exact).mean() < 10


def test_a_line_says_what_became_of_how_much(few_prepared, few):
    before = sum(path.stat().st_size for path in few.glob("*.jpg")) / 1e6
    after = (
        sum(path.stat().st_size for path in few_prepared.folder.glob("*.tfr*")) / 1e6
    )
    assert prepare.sizes(records.Collection([few_prepared])) == (
        f"7 photographs, {before:.1f} MB -> {after:.1f} MB in 3 shards: "
        f"{few_prepared.folder}"
    )


# What is there already.


def test_a_second_run_reuses_the_first_and_writes_nothing(
    few_preparation, few, few_prepared, tmp_path
):
    # The photographs were copied, times included, to another place: that is no change.
    before = identities(few_prepared.folder)
    again = few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    assert again.folder == few_prepared.folder
    assert again.fingerprint == few_prepared.fingerprint
    assert identities(few_prepared.folder) == before


def test_prepared_photographs_need_no_originals(
    few_preparation, few_prepared, tmp_path
):
    again = few_preparation.run({}, tmp_path / "prepared").folders[0]
    assert again.fingerprint == few_prepared.fingerprint


def test_without_originals_nothing_can_be_prepared(few_preparation, target):
    with pytest.raises(
        ValueError, match=r"holds no photographs of 'few' that .*, --data_dir=<folder>"
    ):
        few_preparation.run({}, target).folders[0]
    assert not target.exists()


@pytest.mark.parametrize(
    "change", [{"image_size": 65}, {"jpeg_quality": 90}, {"jpeg_quality": 91}]
)
def test_other_settings_have_another_folder(few_preparation, change):
    folder = few_preparation.folder(
        few_preparation.datasets[0], pathlib.Path("prepared")
    )
    assert folder.parent == pathlib.Path("prepared")
    assert folder.name.startswith("few-")
    other = dataclasses.replace(few_preparation, **change)
    assert other.folder(other.datasets[0], pathlib.Path("prepared")) != folder


def test_each_version_of_the_fundus_routine_has_another_folder(
    few_preparation, monkeypatch
):
    folder = few_preparation.folder(
        few_preparation.datasets[0], pathlib.Path("prepared")
    )
    monkeypatch.setattr(fundus, "VERSION", fundus.VERSION + 1)
    assert (
        few_preparation.folder(few_preparation.datasets[0], pathlib.Path("prepared"))
        != folder
    )


def test_skipping_is_no_setting_of_the_records(few_preparation):
    skipping = dataclasses.replace(few_preparation, skip_unreadable=True)
    assert skipping.folder(
        skipping.datasets[0], pathlib.Path()
    ) == few_preparation.folder(few_preparation.datasets[0], pathlib.Path())


@pytest.mark.parametrize("size", [15, 4097])
def test_an_image_size_beyond_reason_is_an_error(few_preparation, size):
    with pytest.raises(
        ValueError, match=rf"must be 16-4096 pixels\. Received: {size}\."
    ):
        dataclasses.replace(few_preparation, image_size=size)


@pytest.mark.parametrize("quality", [0, 101])
def test_a_jpeg_quality_beyond_its_range_is_an_error(few_preparation, quality):
    with pytest.raises(ValueError, match=rf"lossless PNG\. Received: {quality}\."):
        dataclasses.replace(few_preparation, jpeg_quality=quality)


# Originals that have changed.


def replace_photograph(folder):
    (folder / "b.jpg").write_bytes((folder / "c.jpg").read_bytes())
    return r"few/b\.jpg is another file"


def replace_by_one_of_the_same_size(folder):
    content = bytearray((folder / "b.jpg").read_bytes())
    content[-100] ^= 1
    (folder / "b.jpg").write_bytes(content)
    return r"few/b\.jpg is another file"


def add_photograph(folder):
    shutil.copy2(folder / "a.jpg", folder / "h.jpg")
    relabel(folder, "h.jpg", grade=0)
    return r"few/h\.jpg is new"


def remove_photograph(folder):
    remove(folder, "c.jpg")
    return r"few/c\.jpg is gone"


def change_grade(folder):
    relabel(folder, "c.jpg", grade=2, split="train")
    return r"few/c\.jpg has grade 2, was 1"


def change_split(folder):
    relabel(folder, "c.jpg", grade=1, split="test")
    return r"few/c\.jpg has split 'test', was 'train'"


def forget_edema(folder):
    relabel(folder, "f.jpg", split="test")
    return r"few/f\.jpg has macular_edema None, was 1"


@pytest.mark.parametrize(
    "change",
    [
        replace_photograph,
        replace_by_one_of_the_same_size,
        add_photograph,
        remove_photograph,
        change_grade,
        change_split,
        forget_edema,
    ],
    ids=lambda value: value.__name__,
)
def test_changed_originals_are_refused_with_the_difference(
    few_preparation, few, few_prepared, tmp_path, change
):
    difference = change(few)
    before = identities(few_prepared.folder)
    with pytest.raises(
        ValueError,
        match=rf"are not those that .* was prepared from:\n  {difference}\nRestore "
        r"them, or name another folder with --prepared_dir, or give another set "
        r"a name of its own, by its reader's `name`, or remove",
    ):
        few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    assert identities(few_prepared.folder) == before


def test_all_differences_are_listed_up_to_ten(few_preparation, few, tmp_path):
    few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    for number in range(12):
        shutil.copy2(few / "a.jpg", few / f"n{number:02d}.jpg")
        relabel(few, f"n{number:02d}.jpg", grade=0)
    with pytest.raises(ValueError, match=r"n00\.jpg is new") as error:
        few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    assert "n09.jpg is new\n  and 2 more\n" in str(error.value)
    assert "n10" not in str(error.value)


def test_touched_originals_are_the_same_and_are_read_only_once(
    few_preparation, few, few_prepared, tmp_path, monkeypatch
):
    for path in few.glob("*.jpg"):
        os.utime(path, ns=(0, 0))
    again = few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]
    assert again.fingerprint == few_prepared.fingerprint
    monkeypatch.setattr(records, "file_sha256", None)  # Nothing calls it any more.
    few_preparation.run({"few": few}, tmp_path / "prepared").folders[0]


def test_a_renamed_original_with_the_same_id_and_content_is_the_same(
    few_preparation, few, few_prepared, tmp_path
):
    def read(data_dir):
        return [
            dataclasses.replace(one, path=one.path.with_suffix(".jpeg"))
            for one in few_preparation.datasets[0].read(data_dir)
        ]

    for path in few.glob("*.jpg"):
        path.rename(path.with_suffix(".jpeg"))
    renamed = dataclasses.replace(few_preparation.datasets[0], read=read)
    again = (
        dataclasses.replace(few_preparation, datasets=[renamed])
        .run({"few": few}, tmp_path / "prepared")
        .folders[0]
    )
    assert again.fingerprint == few_prepared.fingerprint
    assert again.manifest["photographs"][0]["path"] == "a.jpeg"


# Sets of one's own, which grow and are corrected.


@pytest.fixture
def own(few_preparation):
    """The same seven photographs, as a set of one's own."""
    mine = dataclasses.replace(few_preparation.datasets[0], own=True, reader="mine")
    return dataclasses.replace(few_preparation, datasets=[mine])


@pytest.mark.parametrize(
    "change",
    [
        replace_by_one_of_the_same_size,
        add_photograph,
        remove_photograph,
        change_grade,
    ],
    ids=lambda value: value.__name__,
)
def test_a_changed_set_of_ones_own_is_prepared_beside_what_it_was(
    own, few, few_prepared, tmp_path, caplog, change
):
    before = identities(few_prepared.folder)
    difference = change(few)
    with caplog.at_level("INFO", logger="absl"):
        (now,) = own.run({"few": few}, tmp_path / "prepared").folders
    assert now.folder.name == f"{few_prepared.folder.name}-2"
    assert now.fingerprint != few_prepared.fingerprint
    assert identities(few_prepared.folder) == before
    assert re.search(rf"prepared from:\n  {difference}\nThey go into .*-2", caplog.text)
    assert "--gin_bindings=\"mine.name = 'few2'\"" in caplog.text
    again = own.run({"few": few}, tmp_path / "prepared").folders[0]
    assert again.folder == now.folder


def test_a_set_of_ones_own_that_is_as_it_was_is_found_again(
    own, few, few_prepared, tmp_path
):
    labels = (few / "labels.json").read_bytes()
    change_grade(few)
    second = own.run({"few": few}, tmp_path / "prepared").folders[0]
    assert second.photographs[2].grade == 2
    (few / "labels.json").write_bytes(labels)
    before = identities(tmp_path / "prepared")
    first = own.run({"few": few}, tmp_path / "prepared").folders[0]
    assert (first.folder, first.photographs[2].grade) == (few_prepared.folder, 1)
    assert identities(tmp_path / "prepared") == before
    change_grade(few)
    add_photograph(few)
    third = own.run({"few": few}, tmp_path / "prepared").folders[0]
    assert third.folder.name == f"{few_prepared.folder.name}-3"
    assert len(third.photographs) == 8


def test_of_several_states_the_photographs_tell_which_is_meant(
    own, few, few_prepared, tmp_path
):
    change_grade(few)
    second = own.run({"few": few}, tmp_path / "prepared").folders[0]
    with pytest.raises(
        ValueError,
        match=rf"states are prepared:\n  {few_prepared.folder}\n  {second.folder}\n.* "
        r"which is meant: --data_dir=<folder>\.",
    ):
        own.run({}, tmp_path / "prepared")


def test_a_killed_preparation_of_a_changed_set_goes_on(own, few, few_prepared, target):
    change_grade(few)
    second = own.run({"few": few}, target).folders[0]
    (second.folder / "manifest.json").unlink()
    again = own.run({"few": few}, target).folders[0]
    assert (again.folder, again.fingerprint) == (second.folder, second.fingerprint)


def test_two_sets_of_one_reader_need_names_and_the_lines_are_shown():
    twice = [csv_file.csv_file(), csv_file.csv_file()]
    with pytest.raises(ValueError, match=r"Received: \['csv', 'csv'\]") as error:
        prepare.Preparation(datasets=twice)
    shown = str(error.value).partition("own:\n")[2]
    gin.parse_config(shown)
    preparation = gin.get_configurable(prepare.Preparation)()
    assert [one.name for one in preparation.datasets] == ["first", "second"]
    assert [one.reader for one in preparation.datasets] == [
        "first/csv_file",
        "second/csv_file",
    ]


def test_two_photographs_of_one_id_are_refused(few_preparation, few, target):
    def read(data_dir):
        known = few_preparation.datasets[0].read(data_dir)
        return [*known, dataclasses.replace(known[0], path=data_dir / "b.jpg")]

    doubled = dataclasses.replace(few_preparation.datasets[0], read=read)
    with pytest.raises(
        ValueError,
        match=r"id of its own\. Received: 'few/a\.jpg' for .*a\.jpg, .*b\.jpg",
    ):
        dataclasses.replace(few_preparation, datasets=[doubled]).run(
            {"few": few}, target
        )
    assert not target.exists()


def test_a_wrong_layout_makes_no_folder(target, tmp_path):
    preparation = prepare.Preparation(datasets=[idrid.idrid()])
    with pytest.raises(ValueError, match="IDRiD lacks the folder"):
        preparation.run({"idrid": tmp_path}, target)
    assert not target.exists()


# Photographs that cannot be read.


def png_that_claims(width, height):
    """A complete PNG whose header gives a size."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


def half(content):
    return content[: len(content) // 2]


BAD = {
    "a.jpg": (half, "the JPEG is cut off"),
    "b.jpg": (lambda content: b"", "Received: an empty file"),
    "c.jpg": (lambda content: b"Not an image.\n", "Received: text"),
    "e.jpg": (lambda content: png_that_claims(20_000, 20_000), "Received: 20000x20000"),
    "f.jpg": (lambda content: b"%PDF-1.7 ...", "Received: a PDF document"),
}


@pytest.fixture
def spoiled(few):
    """Five photographs are spoiled, each in its own way; d and g are good."""
    for name, (spoil, _) in BAD.items():
        (few / name).write_bytes(spoil((few / name).read_bytes()))
    return few


def test_unreadable_photographs_are_all_named_with_reasons_when_the_rest_is_done(
    few_preparation, spoiled, target
):
    with pytest.raises(
        ValueError, match=r"^5 of 7 photographs in .*few cannot be"
    ) as error:
        few_preparation.run({"few": spoiled}, target).folders[0]
    message = str(error.value)
    listed = [line for line in message.splitlines() if line.startswith("  ")]
    for line, (name, (_, reason)) in zip(listed, BAD.items(), strict=True):
        assert line.startswith(f"  {name}: ")
        assert reason in line
    assert message.endswith(
        "Replace them and run the same command again, or go on without them: "
        "--gin_bindings='prepare.skip_unreadable = True'."
    )
    (folder,) = target.iterdir()
    assert len(list(folder.glob("shard-*-of-00003.tfrecord"))) == 3
    assert not (folder / "manifest.json").exists()


def test_a_thousand_damaged_photographs_among_good_ones_are_all_named(
    few_originals, target, tmp_path, caplog
):
    good = (few_originals / "a.jpg").read_bytes()
    rng = np.random.default_rng(0)
    spoil = (
        lambda: good[: rng.integers(1, len(good) - 2)],
        lambda: b"",
        lambda: rng.bytes(2000),
        lambda: good[:3] + rng.bytes(2000),
        lambda: png_that_claims(*rng.integers(30_000, 2**31, 2)),
        lambda: good[: len(good) // 2] + bytes(len(good) // 2),
        lambda: b"\x89PNG\r\n\x1a\n" + rng.bytes(500),
        lambda: b"RIFF\xff\xff\xff\xffWEBPVP8 " + rng.bytes(500),
        lambda: b"II*\0" + rng.bytes(500),
        lambda: b"PK\3\4" + rng.bytes(500),
    )
    data_dir = tmp_path / "many"
    data_dir.mkdir()
    damaged, rows = set(), ["path,grade"]
    for number in range(1100):
        name = f"{number:04d}.jpg"
        is_good = number % 11 == 5
        content = good if is_good else spoil[number % len(spoil)]()
        (data_dir / name).write_bytes(content)
        rows.append(f"{name},0")
        damaged |= set() if is_good else {name}
    (data_dir / "photographs.csv").write_text("\n".join(rows))
    preparation = prepare.Preparation(
        datasets=[csv_file.csv_file()], image_size=64, skip_unreadable=True
    )
    prepared = preparation.run({"csv": data_dir}, target).folders[0]
    assert len(prepared.photographs) == 100
    unreadable = prepared.manifest["unreadable"]
    assert {one["path"] for one in unreadable} == damaged
    assert len(damaged) == 1000
    assert all(one["reason"] and len(one["reason"]) < 300 for one in unreadable)
    named = [line for line in caplog.text.splitlines() if line.startswith("  ")]
    assert {line.split(":")[0].strip() for line in named} == damaged


def test_after_mending_only_the_shard_of_the_photograph_is_made_again(
    few_preparation, few, few_prepared_once, target
):
    good = (few / "d.jpg").read_bytes()
    (few / "d.jpg").write_bytes(half(good))
    with pytest.raises(ValueError, match=r"1 of 7 photographs"):
        few_preparation.run({"few": few}, target).folders[0]
    before = identities(target)
    (few / "d.jpg").write_bytes(good)
    prepared = few_preparation.run({"few": few}, target).folders[0]
    after = identities(target)
    name = f"{prepared.folder.name}/shard-0000{{}}-of-00003.tfrecord"
    for number, made_again in enumerate((False, True, False)):
        path = name.format(number)
        assert (before[path] != after[path]) == made_again
        expected = few_prepared_once.folder / pathlib.Path(path).name
        assert (target / path).read_bytes() == expected.read_bytes()


def test_a_config_can_skip_what_is_unreadable(few_preparation, spoiled, target, caplog):
    skipping = dataclasses.replace(few_preparation, skip_unreadable=True)
    prepared = skipping.run({"few": spoiled}, target).folders[0]
    assert [one.id for one in prepared.photographs] == ["few/d.jpg", "few/g.jpg"]
    unreadable = prepared.manifest["unreadable"]
    assert [one["path"] for one in unreadable] == list(BAD)
    for entry, (_, reason) in zip(unreadable, BAD.values(), strict=True):
        assert reason in entry["reason"]
    prepared.check(["few/d.jpg", "few/g.jpg"])
    assert "Going on although 5 of 7 photographs" in caplog.text
    assert "a.jpg: the JPEG is cut off" in caplog.text


def test_a_failed_preparation_is_finished_by_skipping_without_new_shards(
    few_preparation, spoiled, target
):
    with pytest.raises(ValueError, match=r"5 of 7 photographs"):
        few_preparation.run({"few": spoiled}, target).folders[0]
    before = identities(target)
    skipping = dataclasses.replace(few_preparation, skip_unreadable=True)
    skipping.run({"few": spoiled}, target).folders[0]
    after = identities(target)
    for path in before:
        if path.endswith(".tfrecord"):
            assert after[path] == before[path]


def test_what_was_skipped_is_no_more_accepted_by_a_config_that_does_not_skip(
    few_preparation, spoiled, target
):
    skipping = dataclasses.replace(few_preparation, skip_unreadable=True)
    folder = skipping.run({"few": spoiled}, target).folders[0].folder
    for data_dirs in ({"few": spoiled}, {}):
        skipping.run(data_dirs, target)
        with pytest.raises(
            ValueError,
            match=r"5 photographs are missing from (?s:.*)e\.jpg: .*20000x20000(?s:.*)"
            rf"Replace them, remove {folder} and prepare again, or go on without",
        ):
            few_preparation.run(data_dirs, target)


def test_unreadable_photographs_are_compared_with_what_they_were(
    few_preparation, spoiled, target
):
    skipping = dataclasses.replace(few_preparation, skip_unreadable=True)
    skipping.run({"few": spoiled}, target).folders[0]
    for path in spoiled.glob("*.jpg"):
        os.utime(path, ns=(0, 0))
    skipping.run({"few": spoiled}, target).folders[0]
    (spoiled / "c.jpg").write_bytes((spoiled / "d.jpg").read_bytes())
    with pytest.raises(ValueError, match=r"\n  few/c\.jpg is another file\nRestore"):
        skipping.run({"few": spoiled}, target).folders[0]


def test_a_png_named_jpg_is_read_by_its_content(few_preparation, few, target):
    Image.open(few / "a.jpg").save(few / "a.jpg", format="PNG")
    prepared = few_preparation.run({"few": few}, target).folders[0]
    expected, _ = fundus.prepare((few / "a.jpg").read_bytes(), 64)
    np.testing.assert_array_equal(prepared.read_image("few/a.jpg"), expected)


# Interrupted preparations. Kills are in test_shards.py.


def test_leftovers_of_another_number_of_photographs_are_removed(
    few_preparation, few, target
):
    (few / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 of 7 photographs"):
        few_preparation.run({"few": few}, target).folders[0]
    (folder,) = target.iterdir()
    (folder / "shard-00002-of-00003.partial").write_bytes(b"cut off")
    (folder / "manifest.json.partial").write_text("{")
    for name in ("a.jpg", "f.jpg", "g.jpg"):
        remove(few, name)
    few_preparation.run({"few": few}, target).folders[0]
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock",
        "manifest.json",
        "shard-00000-of-00002.tfrecord",
        "shard-00001-of-00002.tfrecord",
    ]


@pytest.mark.parametrize("change", [change_grade, replace_photograph])
def test_what_changed_since_an_interruption_is_made_again(
    few_preparation, few, target, change
):
    (few / "g.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 of 7 photographs"):
        few_preparation.run({"few": few}, target).folders[0]
    change(few)
    skipping = dataclasses.replace(few_preparation, skip_unreadable=True)
    prepared = skipping.run({"few": few}, target).folders[0]
    expected = {one.id: one.grade for one in few_preparation.datasets[0].read(few)}
    for one in prepared.photographs:
        assert one.grade == expected[one.id]
        image, _ = fundus.prepare((few / one.path).read_bytes(), 64)
        np.testing.assert_array_equal(prepared.read_image(one.id), image)


def test_memory_holds_a_few_photographs_however_many_there_are(
    few_preparation, few, target, monkeypatch
):
    waiting, most = 0, 0
    pool = concurrent.futures.ProcessPoolExecutor
    submit, to_example = pool.submit, shards._to_example

    def count_submitted(self, *args):
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        return submit(self, *args)

    def count_written(*args):
        nonlocal waiting
        waiting -= 1
        return to_example(*args)

    def read(data_dir):
        return [
            photograph.Photograph(id=f"many/{number}", path=data_dir / "a.jpg")
            for number in range(30)
        ]

    monkeypatch.setattr(pool, "submit", count_submitted)
    monkeypatch.setattr(shards, "_to_example", count_written)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    many = dataset.Dataset(name="many", tree="", read=read)
    dataclasses.replace(few_preparation, datasets=[many]).run({"many": few}, target)
    assert most == 8  # Four results a worker wait at most for the one to be written.


# A full disk: a real file system of about a megabyte, and the real command line.


@pytest.fixture
def in_own_mounts(tmp_path):
    """Runs a shell script where it may mount, unseen by everybody else."""
    for command in (
        ["unshare", "--user", "--map-root-user", "--mount"],
        ["unshare", "--mount"],
    ):
        probe = [*command, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
        try:
            result = subprocess.run(probe, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("no `unshare` to mount a small file system with")
        if result.returncode == 0:
            break
    else:
        pytest.skip(f"a file system may not be mounted here: {result.stderr.strip()}")

    def run(script):
        subprocess.run([*command, "sh", "-euc", script], check=True, cwd=ROOT)

    return run


def write_300_photographs(folder, drawn):
    """IDRiD's layout with more than two shards of photographs, for little disk."""
    grading = folder / idrid.GRADING
    (grading / idrid.LABELS).mkdir(parents=True)
    for split, count in (("train", 290), ("test", 10)):
        images = grading / idrid.IMAGES / idrid.FOLDERS[split]
        images.mkdir(parents=True)
        rows = [f"{idrid.NAME},{idrid.GRADE},{idrid.EDEMA} "]
        for number in range(count):
            name = f"IDRiD_{number:03d}"
            os.link(drawn[number % len(drawn)], images / f"{name}.jpg")
            rows.append(f"{name},{number % 5},0")
        labels = grading / idrid.LABELS / idrid.LABEL_FILES[split]
        labels.write_text("\n".join(rows))


def test_a_full_disk_is_one_message_and_the_same_command_goes_on_when_there_is_room(
    in_own_mounts, idrid_like, tmp_path
):
    drawn = sorted((idrid_like / idrid.GRADING).rglob("*.jpg"))
    write_300_photographs(tmp_path / "idrid", drawn)
    gin_file = tmp_path / "few.gin"
    gin_file.write_text("prepare.datasets = [@idrid()]\nprepare.image_size = 64\n")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = shlex.join(
        [
            *[sys.executable, "main.py", "--mode=prepare", f"--gin_file={gin_file}"],
            *[f"--data_dir={tmp_path / 'idrid'}", f"--prepared_dir={disk}"],
        ]
    )
    # At about 8 kB a photograph the first shard, of 128, has room, the second has not.
    in_own_mounts(
        f"""
        cd {shlex.quote(str(ROOT))}
        mount -t tmpfs -o size=1600k tmpfs {disk}
        status=0
        {command} >{tmp_path}/first.out 2>{tmp_path}/first.err || status=$?
        echo $status >{tmp_path}/first.status
        cp -r {disk}/. {tmp_path}/first
        mount -o remount,size=100m {disk}
        {command} >{tmp_path}/second.out 2>{tmp_path}/second.err
        cp -r {disk}/. {tmp_path}/second
        """
    )
    assert (tmp_path / "first.status").read_text() == "1\n"
    assert (tmp_path / "first.out").read_text() == ""
    errors = (tmp_path / "first.err").read_text()
    assert "Traceback" not in errors
    (message,) = [one for one in errors.splitlines() if one.startswith("error: ")]
    assert (
        "stopped: No space left on device. Finished shards are kept. Make room"
        in message
    )
    left = {path.name for path in (tmp_path / "first").rglob("*.*")}
    assert left == {
        ".lock",
        "shard-00000-of-00003.tfrecord",
        "shard-00000-of-00003.json",
    }
    assert "Going on: 1 of 3 shards are made." in (tmp_path / "second.err").read_text()
    assert (tmp_path / "second.out").read_text().startswith("300 photographs, ")

    preparation = prepare.Preparation(datasets=[idrid.idrid()], image_size=64)
    undisturbed = preparation.run(
        {"idrid": tmp_path / "idrid"}, tmp_path / "prepared"
    ).folders[0]
    found = tmp_path / "second" / undisturbed.folder.name
    assert {path.name for path in found.iterdir()} == {
        path.name for path in undisturbed.folder.iterdir()
    }
    for path in undisturbed.folder.iterdir():
        assert (found / path.name).read_bytes() == path.read_bytes()
