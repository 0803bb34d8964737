"""What an HTTP client does for those who call providers, as a Protocol."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol, runtime_checkable

import trio

from carillon.messages.model import FailureKind
from carillon.messages.record import record

Started = Callable[[], float]
"""Called directly before the first byte of a request leaves, on an open connection.

Gives the moment, on trio's clock, at which the caller will give up waiting for the answer. Called
a second time directly after the byte, when that left so much later that it is the true start.
"""


@runtime_checkable
class Doubtable(Protocol):
    """What a `Started` may be besides: one that can be told more of its answer later."""

    def doubt(self) -> None:
        """The answer that was read may have been to another request."""
        ...


def is_ours(_: str) -> bool:
    """Where nobody keeps account of ids, each is new."""
    return True


Headers = Mapping[str, str]


Body = bytes | Sequence[bytes]
"""A request's body: whole, or in segments, so that a large attachment is shared, not copied."""


@record(frozen=True, slots=True)
class Response:
    """An answer that was read; header names are in lower case.

    `body` is cut at the wire's bound: an answer's status counts, never its length. `is_ours` is
    asked with the message id in it: False where that has been another message's, which puts
    everything in doubt that its connection has carried.
    """

    status: int
    headers: Headers
    body: bytes = field(repr=False)
    is_ours: Callable[[str], bool] = field(default=is_ours, repr=False, compare=False)


@record(frozen=True, slots=True)
class NotSent:
    """No byte of the request was taken: the name, the connection or its TLS failed.

    With `again_in` that says nothing of the other side: something of our own was lacking, or a
    connection had been closed before. The call may be made again after so many seconds.
    """

    error: str
    again_in: float | None = None
    kind: FailureKind = field(default="refused", compare=False)


@record(frozen=True, slots=True)
class NotAnswered:
    """Bytes left and no answer came: what the other side did is unknown."""

    error: str
    kind: FailureKind = field(default="reset", compare=False)


Reply = Response | NotSent | NotAnswered


@record(frozen=True, slots=True)
class Request:
    """What is asked of a server: `url` is absolute."""

    url: str
    headers: Headers
    body: Body = field(repr=False)
    method: str = "POST"


class OpenExchange(Protocol):
    """A request of which a part was written, at least, and whose answer is to be read.

    With the reply it is over, and its connection serves others. `number` is its descriptor;
    `is_written` says that all of the request has left. Once a part of the answer has come it is to
    be cut at the time `until`, on trio's clock.
    """

    number: int
    is_written: bool
    until: float

    def watch(self, epoll: select.epoll) -> None:
        """Let `epoll` tell of what arrives, each time once."""
        ...

    def read(self) -> Reply | None:
        """Take what has come, without waiting; the reply once it is there."""
        ...

    def cut(self) -> Reply | None:
        """Take what has come, and end it. None when no head of an answer is there."""
        ...

    def abandon(self) -> None:
        """End it, whatever has come, unless it is over."""
        ...

    async def complete(self) -> Reply:
        """Write what is left, and wait for the reply. Cancelling abandons it."""
        ...


@runtime_checkable
class WaitsForNothing(Protocol):
    """What a `Wire` may be besides: one that begins an exchange without a task of its own."""

    def begin(self, request: Request, started: Started) -> OpenExchange | None:
        """Write a request on a connection that is there; None where that would have to wait.

        Then nothing has happened, and `exchange` does it. Raises what `started` does, and as
        `exchange`.
        """
        ...


class Wire(Protocol):
    """Carries one HTTP request to one host and reads the answer.

    A wire has a connection for each call that is open at once, so a call never waits for
    another one's connection. It follows no redirect and repeats nothing.
    """

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: Body,
        started: Started,
    ) -> Reply:
        """One request, one answer. `url` is absolute. The caller bounds the time."""
        ...

    async def reach(self, url: str) -> NotSent | None:
        """Connect to where a URL leads, and close; why there is no connection, or None.

        The caller bounds the time.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


def no_start() -> float:
    """A `Started` for calls that no limit counts: its caller's own deadline holds."""
    return trio.current_effective_deadline()


def segments(body: Body) -> Iterable[bytes]:
    """The body's parts in order, empty ones left out."""
    return filter(None, (body,) if isinstance(body, bytes) else body)
