"""Serves an application until the process is told to stop."""

import signal
from typing import Any

import uvicorn
from starlette import types
from uvicorn.protocols.http import h11_impl

_HEAD_SECONDS = 10
_READ_SECONDS = 60


def run(app: types.ASGIApp, host: str, port: int, shutdown_seconds: int) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was accepted.

    Args:
        app: What to serve.
        host: Address to listen on.
        port: Port to listen on.
        shutdown_seconds: What is not finished by then is given up.

    Raises:
        OSError: The address cannot be listened on.
    """
    # uvicorn raises the signal again at its end, which would look like a failure.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)
    uvicorn.Server(
        uvicorn.Config(
            app,
            host,
            port,
            http=_Protocol,
            loop="asyncio",  # uvloop saves nothing: the work is in the threads.
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_HEAD_SECONDS,
            timeout_graceful_shutdown=shutdown_seconds,
        )
    ).run()


class _Protocol(h11_impl.H11Protocol):
    """Closes connections whose client neither asks nor listens.

    Those on which the head of a request does not come to its end, and those on which an
    answer is not read: it would stay in memory for ever.

    h11 and not httptools: it has a limit for the size of that head.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # Writing counts as paused as long as anything is unread.
        transport.set_write_buffer_limits(high=0)
        self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(_READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_head()

    def _await_head(self) -> None:
        self.loop.call_later(_HEAD_SECONDS, self._close_without_head, self.cycle)

    def _close_without_head(self, before: object) -> None:
        if self.cycle is before:
            self.timeout_keep_alive_handler()
