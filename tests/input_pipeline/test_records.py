import errno
import hashlib
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from input_pipeline import fundus, images, records, whole_files

IDS = tuple(f"few/{letter}.jpg" for letter in "abcdefg")


def flip(path, position):
    """Turns one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_photographs_come_back_with_all_that_is_known_of_them(few_prepared):
    known = {
        one.id: (one.grade, one.any_dr, one.macular_edema, one.patient, one.eye)
        for one in few_prepared.photographs
    }
    assert known == {
        "few/a.jpg": (0, False, 0, "p1", "left"),
        "few/b.jpg": (3, True, 2, "p1", "right"),
        "few/c.jpg": (1, True, None, None, None),
        "few/d.jpg": (None, True, None, None, None),
        "few/e.jpg": (None, False, None, None, None),
        "few/f.jpg": (None, None, 1, None, None),
        "few/g.jpg": (None, None, None, None, None),
    }
    splits = [one.split for one in few_prepared.photographs]
    assert splits == [None, None, "train", "valid", None, "test", None]


def test_each_image_is_that_of_its_own_photograph(few_prepared, few):
    for one in few_prepared.photographs:
        expected, _ = fundus.prepare((few / one.path).read_bytes(), 64)
        np.testing.assert_array_equal(few_prepared.read_image(one.id), expected)


def test_the_place_of_a_record_is_where_tensorflow_finds_it(few_prepared):
    for shard, letters in enumerate(("abc", "def", "g")):
        dataset = tf.data.TFRecordDataset(str(few_prepared.shard_path(shard)))
        found = list(dataset.as_numpy_iterator())
        assert found == [
            few_prepared.read_record(f"few/{letter}.jpg") for letter in letters
        ]


def test_the_crop_comes_back(few_prepared, few):
    for one in few_prepared.photographs:
        _, expected = fundus.prepare((few / one.path).read_bytes(), 64)
        assert records.crop_of(few_prepared.read_record(one.id)) == expected


def test_the_fingerprint_changes_with_any_label_checksum_or_setting(few_prepared):
    path = few_prepared.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    fingerprints = {few_prepared.fingerprint}

    def changed(change):
        altered = json.loads(json.dumps(manifest))
        change(altered)
        path.write_text(json.dumps(altered))
        return records.Prepared(few_prepared.folder).fingerprint

    first = manifest["photographs"][2]
    assert first["grade"] == 1
    for change in (
        lambda new: new["photographs"][2].update(grade=2),
        lambda new: new["photographs"][2].update(sha256="0" * 64),
        lambda new: new["photographs"][2].update(split="test"),
        lambda new: new["photographs"].pop(),
        lambda new: new["settings"].update(fundus_version=-1),
    ):
        fingerprints.add(changed(change))
    assert len(fingerprints) == 6
    # Where the files lie, and when they were copied there, is no part of it.
    touched = changed(lambda new: new["photographs"][2].update(modified=1))
    assert touched == few_prepared.fingerprint


def damage_data(prepared):
    flip(prepared.shard_path(1), prepared.place("few/e.jpg").offset + 12 + 300)


def damage_length(prepared):
    flip(prepared.shard_path(1), prepared.place("few/e.jpg").offset)


def truncate(prepared):
    place = prepared.place("few/e.jpg")
    with open(prepared.shard_path(1), "rb+") as file:
        file.truncate(place.offset + 12 + place.length // 2)


def truncate_between_records(prepared):
    with open(prepared.shard_path(1), "rb+") as file:
        file.truncate(prepared.place("few/e.jpg").offset)


def swap(prepared):
    path = prepared.shard_path(1)
    middle, end = (prepared.place(f"few/{one}.jpg").offset for one in "ef")
    content = path.read_bytes()
    path.write_bytes(content[:middle] + content[end:] + content[middle:end])


DAMAGES = {
    damage_data: "its bytes do not match their checksum",
    damage_length: "its bytes do not match their checksum",
    truncate: "it is cut off",
    truncate_between_records: "the file ends before it",
    swap: "it holds b'few/f.jpg' instead",
}


@pytest.mark.parametrize(
    ("damage", "reason"),
    DAMAGES.items(),
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_first_damage_is_named_by_file_number_id_and_reason(
    few_prepared, damage, reason
):
    damage(few_prepared)
    with pytest.raises(
        ValueError,
        match=rf"shard-00001-of-00003\.tfrecord: record 1 \(few/e\.jpg\) is damaged: "
        rf"{reason}\. Make the damaged shards again: .*--mode=doctor",
    ):
        few_prepared.check(IDS)


def test_a_missing_shard_is_named(few_prepared):
    few_prepared.shard_path(1).unlink()
    with pytest.raises(
        ValueError, match=r"shard-00001-of-00003\.tfrecord is missing\."
    ):
        images.open(few_prepared, IDS)


@pytest.mark.parametrize("rest", [b"rest", bytes(100)])
def test_bytes_behind_the_last_record_are_damage_too(few_prepared, rest):
    with open(few_prepared.shard_path(2), "ab") as file:
        file.write(rest)
    with pytest.raises(
        ValueError, match="all 1 records can be read, but the file is n"
    ):
        few_prepared.check(IDS)


def test_a_record_of_another_kind_is_damage(few_prepared):
    with tf.io.TFRecordWriter(str(few_prepared.shard_path(2))) as writer:
        writer.write(b"\xff no example")
    with pytest.raises(
        ValueError, match=r"record 0 \(few/g\.jpg\) .* no tf\.train\.Exa"
    ):
        few_prepared.check(IDS)


def test_an_image_that_does_not_decode_is_damage(few_prepared):
    example = tf.train.Example()
    example.features.feature["id"].bytes_list.value.append(b"few/g.jpg")
    example.features.feature["image/encoded"].bytes_list.value.append(b"no image")
    with tf.io.TFRecordWriter(str(few_prepared.shard_path(2))) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(ValueError, match=r"record 0 .* no picture of 64 x 64 pixels"):
        few_prepared.check(IDS)


def test_only_the_shards_that_are_needed_are_checked(few_prepared):
    damage_data(few_prepared)
    few_prepared.check(["few/a.jpg", "few/g.jpg"])
    assert [few_prepared.is_intact(shard) for shard in range(3)] == [True, False, True]


def test_a_record_damaged_while_training_is_an_error_that_names_it(few_prepared):
    opened = images.open(few_prepared, IDS, cache_gigabytes=0.0)
    flip(few_prepared.shard_path(0), few_prepared.place("few/b.jpg").offset + 12)
    with pytest.raises(
        ValueError, match=r"00000-of-00003\.tfrecord: the record of few/b\.jpg is damag"
    ):
        opened.take([1])


def test_a_manifest_that_points_to_another_record_is_an_error(few_prepared):
    path = few_prepared.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    first, second = manifest["photographs"][:2]
    first["place"], second["place"] = second["place"], first["place"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"of few/a\.jpg is damaged: it holds b'few/b"):
        records.Prepared(few_prepared.folder).read_image("few/a.jpg")


def test_without_a_manifest_the_error_says_how_to_prepare(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"manifest\.json does not exist: .*--mode=prepare"
    ):
        records.Prepared(tmp_path)


def test_a_truncated_manifest_is_an_error_that_says_what_to_do(few_prepared):
    path = few_prepared.folder / "manifest.json"
    path.write_text(path.read_text()[:-100])
    with pytest.raises(
        ValueError,
        match=r"manifest\.json is damaged: .*\. Remove it and prepare the ph",
    ):
        records.Prepared(few_prepared.folder)


@pytest.mark.parametrize(
    ("content", "received"),
    [('{"format": 0}', "0"), ("{}", "None"), ("[1, 2]", "None"), ("null", "None")],
)
def test_a_manifest_of_another_format_is_an_error(few_prepared, content, received):
    (few_prepared.folder / "manifest.json").write_text(content)
    with pytest.raises(
        ValueError, match=rf"must have format 2\. Received: format={received}\. Remove"
    ):
        records.Prepared(few_prepared.folder)


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "some.json"
    whole_files.write_json(path, {"grade": 2})
    with pytest.raises(TypeError, match="not JSON serializable"):
        whole_files.write_json(path, {"grade": 3, "path": tmp_path})
    assert json.loads(path.read_text()) == {"grade": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_a_files_checksum_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"retina")
    expected = hashlib.sha256(b"retina").hexdigest()
    assert records.file_sha256(tmp_path / "file") == expected


def test_tensorflows_file_errors_become_pythons(tmp_path):
    with (
        pytest.raises(OSError, match="No space left") as full,
        records.as_os_error(tmp_path),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "some text")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="some text"), records.as_os_error(tmp_path):
        raise tf.errors.UnknownError(None, None, "some text")


def test_values_that_are_read_are_those_that_tensorflow_wrote():
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                "text": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=["Ä".encode()])
                ),
                "whole": tf.train.Feature(int64_list=tf.train.Int64List(value=[-3])),
                "part": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5])),
            }
        )
    )
    values = records.read_values(example.SerializeToString())
    assert values == {"text": "Ä".encode(), "whole": -3, "part": 0.5}


def test_a_record_without_its_values_is_an_error():
    empty = tf.train.Example()
    empty.features.feature["id"].bytes_list.SetInParent()
    with pytest.raises(ValueError, match=r"no tf\.train\.Example of single values"):
        records.read_values(empty.SerializeToString())


def test_records_hold_the_image_as_a_png_that_any_library_reads(few_prepared):
    values = records.read_values(few_prepared.read_record("few/a.jpg"))
    image = Image.open(io.BytesIO(values["image/encoded"]))
    np.testing.assert_array_equal(image, few_prepared.read_image("few/a.jpg"))
