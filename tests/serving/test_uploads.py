"""What an upload takes while it is read."""

import asyncio
import tracemalloc

from starlette import requests

from serving import settings, uploads


def test_a_batch_is_in_memory_once(tmp_path):
    head = b"--abc\r\nContent-Disposition: form-data; name=photographs; filename=x"
    part = head + b"\r\n\r\n" + bytes(4_000_000) + b"\r\n"
    body = part * 8 + b"--abc--\r\n"
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]

    async def receive():
        more_body = len(pieces) > 1
        return {
            "type": "http.request",
            "body": pieces.pop(0),
            "more_body": more_body,
        }

    kind = (b"content-type", b"multipart/form-data; boundary=abc")
    request = requests.Request({"type": "http", "headers": [kind]}, receive)
    limits, held = settings.Api(model=tmp_path), uploads.Held(100_000_000)

    async def read():
        with uploads.Upload(request, limits, held, 8) as upload:
            files = await upload.photographs("photographs")
            assert held.now == len(body)
            return files

    tracemalloc.start()
    try:
        assert asyncio.run(read()) == [bytes(4_000_000)] * 8
        assert tracemalloc.get_traced_memory()[1] < 1.6 * len(body)
    finally:
        tracemalloc.stop()
    assert held.now == 0
