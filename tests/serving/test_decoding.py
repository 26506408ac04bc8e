"""Memory that threads share while they decode."""

import concurrent.futures
import threading
import time

from input_pipeline import image_header
from serving import decoding


def until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never was so")


def test_no_more_is_taken_than_there_is():
    room, lock, now, most = decoding.Room(100), threading.Lock(), 0, 0

    def work(size):
        nonlocal now, most
        with room.taken(size):
            with lock:
                now += size
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= size

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [10, 60, 40, 30, 100] * 12))
    assert 60 < most <= 100 and now == 0


def test_what_is_small_does_not_go_before_what_is_large():
    room, order, leave = decoding.Room(100), [], threading.Event()

    def work(size):
        with room.taken(size):
            order.append(size)
            leave.wait(10)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        pool.submit(work, 30)
        until(lambda: order == [30])
        pool.submit(work, 80)
        until(room._first.locked)
        pool.submit(work, 20)
        time.sleep(0.1)
        assert order == [30]
        leave.set()
    assert order == [30, 80, 20]


def test_what_is_larger_than_all_takes_all_and_an_error_gives_back():
    room = decoding.Room(100)
    for _ in range(2):
        try:
            with room.taken(1000):
                raise OSError
        except OSError:
            pass
    with room.taken(100):
        pass


def test_a_drawing_counts_beside_its_photograph():
    header = image_header.ImageHeader("JPEG", 8000, 4000, complete=True)
    alone = decoding.of_file(header)
    # The largest that is accepted fits, and hardly another one beside it.
    assert alone / 32e6 * 50e6 <= decoding.MOST_BYTES
    # 1000 x 500 pixels of ten float32.
    assert decoding.of_drawing(header, 1000) == alone + 500_000 * 40
    assert decoding.of_drawing(header, 9000) == alone + 32_000_000 * 40
