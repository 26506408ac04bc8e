"""A bounded queue in front of the threads that work on photographs."""

import asyncio
import concurrent.futures
import math
import time
from collections.abc import Callable, Sequence
from typing import Any


class Full(Exception):  # noqa: N818, this is an answer, not a fault
    """There is no room.

    Attributes:
        retry_after: Seconds after which there should be some.
    """

    def __init__(self, retry_after: int):
        super().__init__(retry_after)
        self.retry_after = retry_after


class Line:
    """Photographs that wait, and those that are worked on.

    All methods belong to one event loop.

    Attributes:
        threads: How many are worked on at once.
        most_waiting: How many may wait.
        pending: How many wait or are worked on.
    """

    def __init__(self, threads: int, most_waiting: int):
        self.threads = threads
        self.most_waiting = most_waiting
        self.pending = 0
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, "photographs")
        self._usual_seconds = 0.05

    @property
    def waiting(self) -> int:
        """How many wait."""
        return max(0, self.pending - self.threads)

    def check_room(self, count: int) -> None:
        """Raises `Full` unless there is room for so many more."""
        if self.pending + count > self.threads + self.most_waiting:
            seconds = self.pending * self._usual_seconds / self.threads
            raise Full(max(1, math.ceil(seconds)))

    async def work(
        self,
        tasks: Sequence[Callable[[], Any]],
        seconds: float,
        unwanted: asyncio.Future | None = None,
    ) -> list[Any] | None:
        """Has tasks done by the threads.

        Args:
            tasks: What to do, a call for each photograph.
            seconds: In which all must be done.
            unwanted: Done when nobody waits for the results any longer.

        Returns:
            Their results in order, or None if nobody wants them. What has not begun by
            then is never done.

        Raises:
            Full: There is no room; nothing is done.
            TimeoutError: The time is over.
        """
        self.check_room(len(tasks))
        loop = asyncio.get_running_loop()
        futures = []
        for task in tasks:
            future = self._pool.submit(self._timed, task)
            self.pending += 1
            future.add_done_callback(
                lambda done: loop.call_soon_threadsafe(self._finish, done)
            )
            futures.append(asyncio.wrap_future(future))
        everything = asyncio.ensure_future(asyncio.wait(futures))
        await asyncio.wait(
            [everything] if unwanted is None else [everything, unwanted],
            timeout=seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if everything.done():
            return [future.result()[0] for future in futures]
        for one in (everything, *futures):
            one.cancel()
        if unwanted is not None and unwanted.done():
            return None
        raise TimeoutError(f"not done within {seconds:g} seconds")

    def close(self) -> None:
        """Waits for what is being worked on; what only waits is never done."""
        self._pool.shutdown(cancel_futures=True)

    @staticmethod
    def _timed(task: Callable[[], Any]) -> tuple[Any, float]:
        start = time.perf_counter()
        return task(), time.perf_counter() - start

    def _finish(self, done: concurrent.futures.Future) -> None:
        self.pending -= 1
        if not done.cancelled() and done.exception() is None:
            # The last ten count most.
            self._usual_seconds += 0.1 * (done.result()[1] - self._usual_seconds)
