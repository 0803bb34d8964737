"""What callers see of a server under load, and how to have them call.

Some call again as soon as they are answered, others at a fixed pace, whatever the server does: a
caller that waits for an answer would ask less often while the server is slow, and so hide how slow
it is. There each latency counts from when the request was due.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from bench.by_hand import Connection, is_last, request_head
from bench.children import answer_of, module
from bench.workload import WrongResultError


@dataclass(frozen=True, slots=True)
class Load:
    """What callers saw; latencies are in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    most_ms: float


def load_of(latencies: Sequence[float], seconds: float) -> Load:
    """What is said of so many latencies, in seconds; there must be one at least."""
    ordered = sorted(latencies)
    marks = (ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.99, 1))
    return Load(len(ordered), seconds, *(mark * 1000 for mark in marks))


SEND: Final = "/send"
SAGA: Final = "/saga/send"


def call(url: str, callers: int, seconds: float, path: str = SEND) -> Load:
    """Let callers in a process of their own post dispatches to one user, or commands, for so long.

    Raises ChildError when an answer is none of success.
    """
    seen = answer_of(module("bench.services.caller", url, callers, seconds, path))
    return Load(int(seen.pop("requests")), **seen)


_PATIENCE: Final = 60.0  # of one answer, in seconds
_FRESH: Final = 2.0  # hypercorn hangs up on a connection that nobody used for 5 seconds
_SENT_ALL: Final = b'{"failures":[]}'

Bodies = Iterator[dict[str, object]]


async def at_pace(url: str, bodies: Bodies, pace: float, enough: Callable[[], bool]) -> Load:
    """Post a body to `/send` so many times a second until it is enough, and at least one.

    Waits for all answers.

    Raises WrongResultError when an answer is late by a minute or is none of success.
    """
    callers = _Callers(url)
    started = trio.current_time()
    due = started
    try:
        async with trio.open_nursery() as nursery:
            is_enough = False
            while not is_enough:
                nursery.start_soon(callers.call, next(bodies), due)
                due += 1 / pace
                await trio.sleep_until(due)
                is_enough = enough()
    finally:
        callers.close()
    return load_of(callers.latencies, trio.current_time() - started)


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Enough after so long, counted from now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


class _Callers:
    """Connections that are free, and what was seen on all of them."""

    def __init__(self, url: str) -> None:
        self.latencies: list[float] = []
        self._url = url
        self._head = request_head(url, "/send")
        self._free: list[tuple[Connection, float]] = []

    async def call(self, body: dict[str, object], due: float) -> None:
        """Post one body. Raises WrongResultError."""
        content = json.dumps(body).encode()
        try:
            with trio.fail_after(_PATIENCE):
                await self._exchange(b"%b%d\r\n\r\n%b" % (self._head, len(content), content))
        except OSError as error:
            raise WrongResultError(f"a small request failed: {error}") from error
        except trio.TooSlowError:
            raise WrongResultError(f"no answer to a small request in {_PATIENCE:g} s") from None
        self.latencies.append(trio.current_time() - due)

    async def _exchange(self, request: bytes) -> None:
        connection = await self._connection()
        answer = await connection.exchange(request)
        if _SENT_ALL not in answer:
            raise OSError(answer.decode("latin-1"))
        if is_last(answer):  # hypercorn serves a thousand requests a connection
            connection.close()
        else:
            self._free.append((connection, trio.current_time()))

    def close(self) -> None:
        """Close what is free."""
        while self._free:
            self._free.pop()[0].close()

    async def _connection(self) -> Connection:
        """The one that was used last, or a new one when that was too long ago for it too."""
        if self._free and self._free[-1][1] > trio.current_time() - _FRESH:
            return self._free.pop()[0]
        self.close()
        connection = Connection(self._url)
        await connection.open()
        return connection
