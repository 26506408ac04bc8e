import asyncio
import threading

import pytest

from serving import waiting


class Gate:
    """Tasks wait for it, but not for ever."""

    def __init__(self):
        self._event = threading.Event()
        self.set = self._event.set

    def wait(self):
        return self._event.wait(10)


@pytest.fixture
def gate():
    return Gate()


def run(scenario, **settings):
    async def begin():
        line = waiting.Line(**settings)
        try:
            return await scenario(line)
        finally:
            line.close()

    return asyncio.run(begin())


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_results_come_in_order():
    async def scenario(line):
        tasks = [lambda n=n: n * n for n in range(20)]
        assert await line.work(tasks, 10) == [n * n for n in range(20)]
        await until(lambda: line.pending == 0)

    run(scenario, threads=4, most_waiting=16)


def test_what_finds_no_room_is_refused_and_not_begun(gate):
    async def scenario(line):
        first = asyncio.create_task(line.work([gate.wait] * 3, 10))
        await until(lambda: line.pending == 3)
        assert line.waiting == 2
        with pytest.raises(waiting.Full) as full:
            await line.work([gate.wait] * 2, 10)
        assert full.value.retry_after >= 1
        line.check_room(1)
        assert line.pending == 3
        gate.set()
        assert await first == [True] * 3
        await until(lambda: line.pending == 0)

    run(scenario, threads=1, most_waiting=3)


def test_what_is_late_is_given_up_and_makes_room(gate):
    begun = []

    async def scenario(line):
        tasks = [gate.wait, lambda: begun.append(1)]
        with pytest.raises(TimeoutError):
            await line.work(tasks, 0.05)
        await until(lambda: line.pending == 1)  # The first cannot be stopped.
        gate.set()
        assert await line.work([lambda: 5], 10) == [5]
        assert not begun

    run(scenario, threads=1, most_waiting=3)


def test_what_nobody_waits_for_is_never_done(gate):
    begun = []

    async def scenario(line):
        first = asyncio.create_task(line.work([gate.wait], 10))
        gone = asyncio.get_running_loop().create_future()
        other = asyncio.create_task(line.work([lambda: begun.append(1)], 10, gone))
        await until(lambda: line.pending == 2)
        gone.set_result(None)
        assert await other is None
        gate.set()
        assert await first == [True]
        await until(lambda: line.pending == 0)
        assert not begun

    run(scenario, threads=1, most_waiting=3)


def test_an_exception_is_the_askers():
    def fails():
        raise OSError("broken")

    async def scenario(line):
        with pytest.raises(OSError, match="broken"):
            await line.work([fails], 10)
        assert await line.work([lambda: 1], 10) == [1]

    run(scenario, threads=1, most_waiting=3)
