"""A stand-in for a provider that takes its time, and knows who got what how often.

`python -m bench.services.slow SECONDS` serves until killed; the first line printed is the address.
`GET /` tells how often each receiver got a message, how many calls were open at most, and when
each call came.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from functools import partial
from typing import Final

import trio

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RECEIVER: Final = re.compile(rb'"receiver":"([^"]*)"')
_READ: Final = 65_536


class Roll:
    """Who got a message, how often and when; times are in seconds of the machine's clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._counts: Counter[str] = Counter()
        self._arrivals: list[float] = []
        self._open = 0
        self._most_open = 0

    async def answer(self, head: bytes, body: bytes) -> bytes:
        """The answer to one request."""
        if head.startswith(b"GET"):
            told = {
                "counts": self._counts,
                "most_open": self._most_open,
                "arrivals": self._arrivals,
            }
            return _answer(json.dumps(told).encode())
        if (found := _RECEIVER.search(body)) is not None:
            self._counts[found[1].decode()] += 1
        self._arrivals.append(time.time())
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        try:
            await trio.sleep(self._seconds)
        finally:
            self._open -= 1
        return _answer(b"{}")


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


async def _serve(roll: Roll, stream: trio.SocketStream) -> None:
    data = b""
    try:
        async with stream:
            while more := await stream.receive_some(_READ):
                data += more
                end = data.find(b"\r\n\r\n") + 4
                found = _LENGTH.search(data, 0, end)
                length = int(found[1]) if found else 0
                if end < 4 or len(data) < end + length:
                    continue
                head, body, data = data[:end], data[end : end + length], data[end + length :]
                await stream.send_all(await roll.answer(head, body))
    except trio.BrokenResourceError:
        pass  # the caller was killed


async def _run(seconds: float) -> None:
    roll = Roll(seconds)
    async with trio.open_nursery() as nursery:
        serve = partial(_serve, roll)
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        print(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", flush=True)


if __name__ == "__main__":
    trio.run(_run, float(sys.argv[1]))
