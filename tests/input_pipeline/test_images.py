import logging
import threading

import numpy as np
import pytest

from input_pipeline import images, memory

IDS = tuple(f"few/{letter}.jpg" for letter in "abcdefg")
GIGABYTES = 7 * 64 * 64 * 3 / 1e9


@pytest.fixture
def expected(few_prepared):
    return np.stack([few_prepared.read_image(one) for one in IDS])


@pytest.fixture(params=[0.0, 1.0], ids=["read from disk", "kept in memory"])
def cache_gigabytes(request):
    return request.param


def test_images_are_taken_by_position_in_any_order_and_number(
    few_prepared, expected, cache_gigabytes
):
    opened = images.open(few_prepared, IDS, cache_gigabytes)
    assert len(opened) == 7
    for positions in ([3], [6, 0, 6], (5, 1), np.arange(2, 5), []):
        taken = opened.take(positions)
        assert (taken.shape, taken.dtype) == ((len(positions), 64, 64, 3), np.uint8)
        np.testing.assert_array_equal(taken, expected[list(positions)])


def test_positions_are_those_of_the_ids(few_prepared, expected, cache_gigabytes):
    opened = images.open(few_prepared, IDS[::-1], cache_gigabytes)
    np.testing.assert_array_equal(opened.take(range(7)), expected[::-1])


@pytest.mark.parametrize("size", [1, 3, 7, 10])
def test_batches_are_all_photographs_in_order(
    few_prepared, expected, cache_gigabytes, size
):
    batches = list(images.open(few_prepared, IDS, cache_gigabytes).batches(size))
    np.testing.assert_array_equal(np.concatenate(batches), expected)
    assert {len(one) for one in batches[:-1]} <= {size}
    assert len(batches) == -(-7 // size)


def test_the_next_batch_is_read_while_the_caller_works(few_prepared, monkeypatch):
    opened = images.open(few_prepared, IDS)
    second, take = threading.Event(), opened.take

    def noted_take(positions):
        if positions[0] == 1:
            second.set()
        return take(positions)

    monkeypatch.setattr(opened, "take", noted_take)
    batches = opened.batches(1)
    next(batches)
    assert second.wait(timeout=30)


def test_few_batches_are_in_memory_at_a_time(few_prepared, monkeypatch):
    monkeypatch.setattr(images.processors, "count", lambda: 2)
    opened = images.open(few_prepared, IDS)
    too_far, take = threading.Event(), opened.take

    def noted_take(positions):
        if positions[0] > 1:
            too_far.set()
        return take(positions)

    monkeypatch.setattr(opened, "take", noted_take)
    batches = opened.batches(1)
    next(batches)
    assert not too_far.wait(timeout=0.3)
    next(batches)
    assert too_far.wait(timeout=30)


def test_the_cache_is_used_up_to_its_size_and_changes_nothing(few_prepared, expected):
    cached = images.open(few_prepared, IDS, 1.001 * GIGABYTES)
    decoding = images.open(few_prepared, IDS, 0.999 * GIGABYTES)
    assert cached.cached_gigabytes == pytest.approx(GIGABYTES)
    assert decoding.cached_gigabytes == 0
    np.testing.assert_array_equal(decoding.take(range(7)), expected)
    for path in few_prepared.folder.glob("shard-*"):
        path.unlink()
    np.testing.assert_array_equal(cached.take(range(7)), expected)
    with pytest.raises(FileNotFoundError, match="shard-00000-of-00003"):
        decoding.take(range(7))
    with pytest.raises(FileNotFoundError, match="shard-00000-of-00003"):
        list(decoding.batches(3))


def test_what_is_taken_can_be_changed_without_changing_the_cache(few_prepared):
    opened = images.open(few_prepared, IDS, 1.0)
    taken = opened.take([0])
    before = taken.copy()
    taken[...] = 0
    np.testing.assert_array_equal(opened.take([0]), before)


def test_the_log_says_where_the_photographs_are_and_why(few_prepared, caplog):
    with caplog.at_level(logging.INFO, logger="absl"):
        images.open(few_prepared, IDS, 1.0)
        images.open(few_prepared, IDS, 0.5 * GIGABYTES)
    assert [one.getMessage() for one in caplog.records] == [
        "7 photographs, 0.1 MB decoded, 1.0 GB of memory for them: kept in memory.",
        "7 photographs, 0.1 MB decoded, 0.0 MB of memory for them: read from disk in "
        "each epoch.",
    ]


def test_what_is_read_once_by_intention_is_not_logged(few_prepared, caplog):
    with caplog.at_level(logging.INFO, logger="absl"):
        images.open(few_prepared, IDS)
    assert not caplog.records


def test_the_budget_is_what_the_config_says_or_half_of_the_available(monkeypatch):
    monkeypatch.setattr(memory, "available_gigabytes", lambda: 22.4)
    assert images.budget(None) == pytest.approx(11.2)
    assert images.budget(0.0) == 0
    assert images.budget(3.5) == 3.5


def test_a_damaged_shard_is_found_when_photographs_are_opened(few_prepared):
    few_prepared.shard_path(1).unlink()
    with pytest.raises(
        ValueError, match=r"shard-00001-of-00003\.tfrecord is missing\."
    ):
        images.open(few_prepared, IDS)


def test_a_record_damaged_while_training_is_an_error_that_names_it(few_prepared):
    opened = images.open(few_prepared, IDS, cache_gigabytes=0.0)
    path = few_prepared.shard_path(0)
    content = bytearray(path.read_bytes())
    content[few_prepared.place("few/b.jpg").offset + 12] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"00000-of-00003\.tfrecord: the record of few/b\.jpg is damag"
    ):
        opened.take([1])
