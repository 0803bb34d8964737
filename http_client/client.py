"""The fast wire: plain HTTP/1.1 on trio, one connection for each call that is open at once."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
    Response,
    Started,
    segments,
)
from carillon.http_client.proxies import Proxies
from carillon.http_client.reach import reach
from carillon.http_client.response import NotHttp
from carillon.http_client.target import Target

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
        request = pieces(head, body)
        await trio.lowlevel.checkpoint_if_cancelled()
        connection = await self._idle.take(origin)
        if connection is None:
            try:
                connection = await open_connection(origin, self._tls)
            except (OSError, UnicodeError) as error:
                return unsent_reply(error)
        # Nothing is waited for between this and the first byte.
        try:
            connection.begin(bodiless=method == "HEAD")
            connection.gives_up_at = started()
            return await _exchange(connection, request, started)
        finally:
            # One that was interrupted is not fit to be kept, and is closed.
            self._idle.give_back(origin, connection)

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


async def _exchange(
    connection: Connection, request: Iterable[bytes | memoryview], started: Started
) -> Reply:
    answers = connection.answers
    error = DISCONNECTED
    try:
        await connection.send_all(request, started, connection.begun_at)
        await _read(connection)
    except trio.Cancelled:
        # Time may have passed in one leap, this process stopped or its machine asleep: an answer
        # that came meanwhile counts, though its caller is about to give up.
        if not _has_come(connection):
            raise
    except NotHttp:
        error = NOT_HTTP
    except OSError:
        error = LOST
    status = answers.status
    if not status:
        if connection.is_lost and connection.is_untouched:
            return NotSent(CLOSED, again_in=0.0)
        return garbled(error) if error is NOT_HTTP else NotAnswered(error)
    if status < _REDIRECTS and (connection.answered_early or not connection.all_sent):
        return garbled(EARLY)
    if not connection.is_sure(started):
        return garbled(FOREIGN)
    body = answers.take()[:BODY_BYTES]
    return Response(status, answers.headers, body, connection.is_ours)


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
    if not connection.answers.status:
        return False
    connection.look_at_request()
    return True
