"""Photographs out of a request, within limits, in memory alone."""

import asyncio
import sys
from collections.abc import AsyncGenerator

import fastapi
from starlette import formparsers

from serving import problems, settings

# What a form may have around its photographs: boundaries and heads of parts.
_FORM_BYTES = 10_000

# Of what is received in error messages.
_SHOWN_NAMES, _SHOWN_LETTERS = 3, 40


class Held:
    """Bytes of all uploads that are in memory.

    Attributes:
        most: How many there may be.
        now: How many there are.
    """

    def __init__(self, most: int):
        self.most = most
        self.now = 0


class Upload:
    """The upload of one request; a context in whose end its memory counts as free."""

    def __init__(
        self, request: fastapi.Request, limits: settings.Api, held: Held, most: int
    ):
        """Prepares reading.

        Args:
            request: The request, nothing of which was read.
            limits: Of bytes and seconds.
            held: Where the bytes are counted.
            most: Photographs that the request may have.
        """
        self._request = request
        self._limits = limits
        self._held = held
        self._most = most
        self._received = 0

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *exception: object) -> None:
        self._held.now -= self._received

    async def photographs(self, name: str) -> list[bytes]:
        """Reads the form.

        Args:
            name: Of the form's parts that are photographs.

        Returns:
            The files' content, in order; at least one.

        Raises:
            problems.Problem: It is no such form, or beyond a limit.
        """
        kind = self._request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "multipart/form-data":
            raise problems.Problem("not-a-form", self._way_out(name))
        try:
            async with asyncio.timeout(self._limits.upload_seconds):
                return await self._parse(name)
        except TimeoutError:
            raise problems.Problem(
                "too-slow",
                f"It must arrive within {self._limits.upload_seconds:g} seconds.",
            ) from None

    async def _parse(self, name: str) -> list[bytes]:
        parser = _Parser(
            self._request.headers,
            self._stream(),
            max_files=self._most,
            max_fields=0,
            max_part_size=0,
        )
        try:
            form = await parser.parse()
        except formparsers.MultiPartException as error:
            raise self._unread(name, error.message) from None
        names = [one for one, _ in form.multi_items()]
        if not names or set(names) != {name}:
            received = list(dict.fromkeys(names))[:_SHOWN_NAMES]
            shown = ", ".join(repr(one[:_SHOWN_LETTERS]) for one in received)
            raise problems.Problem(
                "invalid-request",
                f"The form must have files named {name!r}, and nothing else. Received: "
                f"{shown or 'no file'}. {self._way_out(name)}",
            )
        files = []
        for _, one in form.multi_items():
            files.append(await one.read())
            await one.close()  # At once: the memory is limited for one copy of each.
        if any(len(one) > self._limits.most_bytes for one in files):
            raise self._too_large()
        return files

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        """The body, in pieces, as far as the limits allow."""
        most = self._most * self._limits.most_bytes + _FORM_BYTES
        announced = self._request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            raise self._too_large()
        async for piece in self._request.stream():
            self._received += len(piece)
            self._held.now += len(piece)
            if self._received > most:
                raise self._too_large()
            if self._held.now > self._held.most:
                raise problems.Problem(
                    "busy",
                    "Other uploads fill the memory that there is for them.",
                    {"Retry-After": "1"},
                )
            yield piece

    def _unread(self, name: str, message: str) -> problems.Problem:
        """What the parser means, where its words are not those of the API."""
        kind = "invalid-request"
        if message.startswith("Too many fields"):  # None is allowed.
            message = "A part of the form is text, where a file was expected."
        elif message.startswith("Too many files"):
            message = f"The form must have at most {self._most} of {name!r}."
        else:
            kind = "damaged-form"
        return problems.Problem(kind, f"{message} {self._way_out(name)}")

    def _way_out(self, name: str) -> str:
        sent = f"Send each as curl does, with the @: --form {name}=@file.jpg."
        if name == "photograph":
            sent += " Several photographs go to /predict/batch, each as photographs."
        return sent

    def _too_large(self) -> problems.Problem:
        megabytes = self._limits.most_bytes / 1e6
        limit = f"A photograph's file may have at most {megabytes:g} MB"
        if self._most > 1:
            limit += f", and a request {self._most} such files"
        return problems.Problem("too-large", f"{limit}. Save larger ones as JPEG.")


class _Parser(formparsers.MultiPartParser):
    """Never writes a photograph to a disk."""

    spool_max_size = sys.maxsize
