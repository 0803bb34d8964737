"""The fast wire: plain HTTP/1.1 on trio, one connection for each call that is open at once."""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import inf
from time import perf_counter
from typing import Final

import httpx
import trio

from carillon.http_client.connection import Connection, open_connection
from carillon.http_client.errors import (
    BODY_BYTES,
    CLOSED,
    DISCONNECTED,
    EARLY,
    FOREIGN,
    LOST,
    NOT_HTTP,
    STALE_SECONDS,
    TARGETS,
    body_deadline,
    garbled,
    unsent_reply,
)
from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.pool import IdleConnections
from carillon.http_client.ports import (
    Body,
    Headers,
    NotAnswered,
    NotSent,
    Reply,
    Request,
    Response,
    Started,
    segments,
)
from carillon.http_client.proxies import Proxies
from carillon.http_client.reach import reach
from carillon.http_client.response import NotHttp
from carillon.http_client.target import Origin, Target

PIECE_BYTES: Final = 64 * 1024
"""What is copied together to leave in one write; more leaves in pieces of this size."""


def pieces(head: bytes, body: Body) -> Iterable[bytes | memoryview]:
    """A request as it is written; `head` ends where the body's length belongs."""
    if isinstance(body, bytes) and len(body) < PIECE_BYTES:
        return (b"%b%d\r\n\r\n%b" % (head, len(body), body),)
    parts = list(segments(body))
    size = sum(map(len, parts))
    head = b"%b%d\r\n\r\n" % (head, size)
    return (b"".join([head, *parts]),) if size < PIECE_BYTES else sliced(head, *parts)


def sliced(*parts: bytes) -> Iterator[memoryview]:
    """Shared, not copied: TLS would else hold a large attachment a second time."""
    for part in parts:
        for at in range(0, len(part), PIECE_BYTES):
            yield memoryview(part)[at : at + PIECE_BYTES]


_REDIRECTS: Final = 300  # a number, as each look at an enumeration is a call


class Http1Wire:
    """A `Wire` over TCP and TLS that costs little more than a loop over bare sockets.

    What is not plain HTTP/1.1 (a proxy of the environment's on the way, other schemes) is handed
    over to a wire on httpx.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` may be shared by all wires; it defaults to httpx's."""
        self._tls = tls or httpx.create_ssl_context()
        self._httpx = HttpxWire(self._tls)
        self._proxies = Proxies()
        self._targets: dict[str, Target] = {}
        self._idle = IdleConnections()

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: Body,
        started: Started,
    ) -> Reply:
        """One request, one answer; never raises for what the network or the other side does.

        Raises ValueError for a header that would not stay in its line.
        """
        target = self._targets.get(url) or self._target(url)
        head = target.head(method, headers)
        origin = target.origin
        if origin is None:
            return await self._httpx.exchange(method, url, headers, body, started)
        await trio.lowlevel.checkpoint_if_cancelled()
        connection = await self._idle.take(origin)
        if connection is None:
            try:
                connection = await open_connection(origin, self._tls)
            except (OSError, UnicodeError) as error:
                return unsent_reply(error)
        # Nothing is waited for between this and the first byte.
        exchange = Exchange(connection, origin, self._idle, started)
        exchange.begin(pieces(head, body), bodiless=method == "HEAD")
        return await exchange.complete()

    def begin(self, request: Request, started: Started) -> Exchange | None:
        """Write a request at once on a connection that is there; see `WaitsForNothing`."""
        target = self._targets.get(request.url) or self._target(request.url)
        head = target.head(request.method, request.headers)
        origin = target.origin
        connection = None if origin is None else self._idle.take_at_once(origin)
        if origin is None or connection is None:
            return None
        exchange = Exchange(connection, origin, self._idle, started)
        exchange.begin(pieces(head, request.body), bodiless=request.method == "HEAD")
        return exchange

    async def reach(self, url: str) -> NotSent | None:
        """See the port."""
        return await reach(url, self._proxies, self._tls)

    async def aclose(self) -> None:
        """Close every idle connection; calls that are open close their own."""
        self._idle.close()
        await self._httpx.aclose()

    def _target(self, url: str) -> Target:
        if len(self._targets) >= TARGETS:
            self._targets.clear()
        parsed = httpx.URL(url)
        direct = self._proxies.on_the_way_to(parsed.scheme, parsed.netloc.decode()) is None
        target = self._targets[url] = Target(parsed, direct=direct)
        return target


class Exchange:
    """A request on its way over a connection that it has for itself, and what came of it.

    See `OpenExchange`. The connection goes back to the idle ones with the reply, and is closed
    when there is none.
    """

    __slots__ = (
        "_answers",
        "_connection",
        "_idle",
        "_is_over",
        "_left",
        "_origin",
        "_pieces",
        "_started",
        "is_written",
        "number",
        "until",
    )

    def __init__(
        self, connection: Connection, origin: Origin, idle: IdleConnections, started: Started
    ) -> None:
        self.number = connection.number
        self.until = inf
        self.is_written = False
        self._connection = connection
        self._answers = connection.answers
        self._origin = origin
        self._idle = idle
        self._is_over = False
        self._started = started
        self._pieces: Iterator[bytes | memoryview] = iter(())
        self._left: bytes | memoryview | None = b""  # None when the connection broke

    def begin(self, pieces: Iterable[bytes | memoryview], *, bodiless: bool = False) -> None:
        """Start, and write as much as the socket takes. Raises what `started` does."""
        connection = self._connection
        try:
            connection.begin(bodiless=bodiless)
            connection.gives_up_at = self._started()
            self._pieces = iter(pieces)
            left = connection.write(next(self._pieces, b""))
            # The clock is read after the write: one read before it could itself be followed by a
            # stop of the process. Nothing else runs in between.
            if perf_counter() - connection.begun_at > STALE_SECONDS:
                self._started()
        except BaseException:
            self.abandon()
            raise
        self._write_on(left)

    def watch(self, epoll: select.epoll) -> None:
        """See the port."""
        self._connection.watch(epoll)

    def read(self) -> Reply | None:
        """See the port."""
        connection, answers = self._connection, self._answers
        try:
            while connection.read_some():
                if answers.whole or answers.size > BODY_BYTES:
                    return self._reply(DISCONNECTED)
        except NotHttp:
            return self._reply(NOT_HTTP)
        except OSError:
            return self._reply(LOST)
        if connection.has_ended:
            return self._reply(DISCONNECTED)
        if answers.status and self.until == inf:
            connection.look_at_request()
            self.until = body_deadline(connection.gives_up_at)
        return None

    def cut(self) -> Reply | None:
        """See the port."""
        reply = self.read()
        if reply is None and self._answers.status:
            reply = self._reply(DISCONNECTED)
        if reply is None:
            self.abandon()
        return reply

    def abandon(self) -> None:
        """See the port."""
        if not self._is_over:
            self._is_over = True
            self._idle.give_back(self._origin, self._connection)

    async def complete(self) -> Reply:
        """See the port."""
        connection = self._connection
        error = DISCONNECTED
        try:
            if not self.is_written:
                await self._write_rest()
            await _read(connection)
        except trio.Cancelled:
            # Time may have passed in one leap, this process stopped or its machine asleep: an
            # answer that came meanwhile counts, though its caller is about to give up.
            if not _has_come(connection):
                self.abandon()
                raise
        except NotHttp:
            error = NOT_HTTP
        except OSError:
            error = LOST
        except BaseException:
            self.abandon()
            raise
        return self._reply(error)

    def _write_on(self, left: bytes | memoryview | None) -> None:
        """Write what follows as far as the socket takes it; `left` was not of the last piece."""
        connection = self._connection
        while left is not None and not left:
            piece = next(self._pieces, None)
            if piece is None:
                connection.all_sent = self.is_written = True
                return
            left = connection.write(piece)
        self._left = left

    async def _write_rest(self) -> None:
        while self._left is not None and not self.is_written:
            if not await self._connection.send_rest(self._left):
                return
            self._write_on(b"")

    def _reply(self, error: str) -> Reply:
        """What the exchange came to; its connection is kept, or closed when it is half used."""
        connection, answers = self._connection, self._answers
        try:
            status = answers.status
            if not status:
                if connection.is_lost and connection.is_untouched:
                    return NotSent(CLOSED, again_in=0.0)
                return garbled(error) if error is NOT_HTTP else NotAnswered(error)
            connection.look_at_request()
            if status < _REDIRECTS and (connection.answered_early or not connection.all_sent):
                return garbled(EARLY)
            if not connection.is_sure(self._started):
                return garbled(FOREIGN)
            body = answers.take()[:BODY_BYTES]
            return Response(status, answers.headers, body, connection.is_ours)
        finally:
            self.abandon()


async def _read(connection: Connection) -> None:
    """Read as much of the answer as there is, and as much of its body as is wanted."""
    answers = connection.answers
    while not answers.status:
        if not await connection.receive():
            return
    connection.look_at_request()
    if not answers.whole:
        with trio.CancelScope(deadline=body_deadline(connection.gives_up_at)):
            while not answers.whole and answers.size <= BODY_BYTES:
                if not await connection.receive():
                    return


def _has_come(connection: Connection) -> bool:
    """Whether there is an answer, all of it read that can be read without waiting."""
    with suppress(NotHttp, OSError):
        connection.receive_what_is_there(BODY_BYTES)
    return bool(connection.answers.status)
