"""What happens around every request: its id, its log line, its counts, its headers."""

import asyncio
import http
import logging
import re
import time
import uuid

from starlette import datastructures, types

from serving import logs, monitoring, problems

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

# What is read of a refused upload before the answer, so that the client, which may
# only listen once it has sent everything, gets to hear it.
_DRAINED_BYTES = 64_000_000
_DRAINED_SECONDS = 5.0


class Observed:
    """An application, observed.

    A request's `X-Request-ID` is kept, if it is a plain word, or else made up. It is in
    the answer, in each line of the log, and, as `request_id`, in every problem.
    """

    def __init__(self, app: types.ASGIApp, monitor: monitoring.Monitor):
        """Wraps an application.

        Args:
            app: The application.
            monitor: Where requests are counted.
        """
        self._app = app
        self._monitor = monitor

    async def __call__(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        """Answers, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        token = logs.REQUEST_ID.set(exchange.request_id)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:  # It has been answered.
            logging.exception("failed")
        except asyncio.CancelledError:  # The server stops, and waits no longer.
            given_up = problems.Problem("stopping", "Try again.", {"Retry-After": "5"})
            if exchange.status is None:
                await given_up.response()(scope, exchange.receive, exchange.send)
        finally:
            self._finish(scope, exchange)
            logs.REQUEST_ID.reset(token)

    def _finish(self, scope: types.Scope, exchange: "_Exchange") -> None:
        seconds = time.perf_counter() - exchange.start
        # Not the path: there is no end of those that somebody may ask for.
        route = scope.get("route")
        endpoint = getattr(route, "path", None) or "unknown"
        status = exchange.status or 499  # As nginx logs it: the client went away.
        self._monitor.request(endpoint, status, seconds)
        facts = {
            "method": scope["method"] if scope["method"] in _METHODS else "unknown",
            "endpoint": endpoint,
            "status": status,
            "milliseconds": round(1e3 * seconds, 1),
            "bytes_received": exchange.received,
        }
        logging.info("request", extra={"facts": facts | scope.get("facts", {})})


_METHODS = {method.value for method in http.HTTPMethod}


class _Exchange:
    """A request and its answer."""

    def __init__(self, scope: types.Scope, receive: types.Receive, send: types.Send):
        headers = datastructures.Headers(scope=scope)
        given = headers.get("x-request-id", "")
        self.request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        self.start = time.perf_counter()
        self.status: int | None = None
        self.received = 0
        self._receive, self._send = receive, send
        self._has_body = "transfer-encoding" in headers or headers.get(
            "content-length", "0"
        ) not in ("", "0")
        self._expects = headers.get("expect", "").lower() == "100-continue"

    async def receive(self) -> types.Message:
        """Counts bytes."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            self._has_body = self._has_body and message.get("more_body", False)
        else:
            self._has_body = False
        return message

    async def send(self, message: types.Message) -> None:
        """Adds headers, once what the client still sends was read."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = datastructures.MutableHeaders(raw=message["headers"])
            headers["X-Request-ID"] = self.request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            await self._drain()
            if self._has_body:
                headers["Connection"] = "close"
        await self._send(message)

    async def _drain(self) -> None:
        if self._expects and not self.received:
            return  # It asked first, and need not send anything.
        most = self.received + _DRAINED_BYTES
        try:
            async with asyncio.timeout(_DRAINED_SECONDS):
                while self._has_body and self.received < most:
                    await self.receive()
        except TimeoutError:
            pass
