"""Where callers come in: accepts connections, bounds their number, keeps each to itself.

Whatever one connection raises ends that connection alone. When all places are taken, the longest
wait for a caller gives way to a new one: whoever only holds connections open keeps nobody out.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio
from hypercorn.utils import parse_socket_addr, repr_socket_addr

from carillon.api.errors import error_body
from carillon.api.server.caller_stream import CallerGone, CallerStream
from carillon.api.server.exchange import Application, Exchange, Peers
from carillon.api.server.fast_path import FastPath, FastRoute
from carillon.api.server.http1 import IDLE, Http1
from carillon.api.server.http2 import PREFACE, Http2

BACKLOG: Final = 1024
PAUSE: Final = 0.05
"""Seconds until the next attempt, when nothing can be accepted."""
_MOST_TURNED_AWAY: Final = 64
_FULL: Final = "All connections are in use"


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Where to listen, and to whom. Port 0 is any free one."""

    host: str
    port: int
    connections: int
    h2c: bool = False
    """Whether HTTP/2 with prior knowledge is spoken besides HTTP/1.1."""


class Listener:
    """The connections of all callers."""

    def __init__(self, settings: ListenerSettings, exchange: Exchange) -> None:
        self._settings = settings
        self._exchange = exchange
        self._open: dict[CallerStream, None] = {}
        self._turned_away = 0

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def serve(
        self,
        app: Application,
        until: Callable[[], Awaitable[None]],
        last_words: float,
        at_once: trio.Event,
        fast: FastRoute | None = None,
        *,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer callers until that returns, and give answers so many seconds to leave.

        `at_once` ends these seconds. Plain requests to the `fast` route are answered without the
        application. Gives the address once it listens.

        Raises:
            OSError: nothing can listen on the address.
        """
        listening = _listen(self._settings.host, self._settings.port)
        async with trio.open_nursery() as watching:
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting, trio.SocketListener(listening) as it:
                    accepting.start_soon(self._accept, it, app, fast, connections)
                    name = repr_socket_addr(listening.family, listening.getsockname())
                    task_status.started(f"http://{name}")
                    await until()
                    accepting.cancel_scope.cancel()
                self._exchange.is_leaving = True
                for stream in list(self._open):
                    stream.leave()
                connections.cancel_scope.deadline = trio.current_time() + last_words
                watching.start_soon(_cancel_on, at_once, connections.cancel_scope)
            watching.cancel_scope.cancel()

    async def _accept(
        self,
        listener: trio.SocketListener,
        app: Application,
        fast: FastRoute | None,
        connections: trio.Nursery,
    ) -> None:
        is_lacking = False
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if not is_lacking:
                    self._exchange.lacking(os.strerror(error.errno or 0))
                is_lacking = True
                self._make_room()
                await trio.sleep(PAUSE)
                continue
            is_lacking = False
            if len(self._open) < self._settings.connections or self._make_room():
                caller = CallerStream(stream)
                self._open[caller] = None
                connections.start_soon(self._converse, app, fast, caller)
            else:
                self._exchange.full(self._settings.connections)
                if self._turned_away < _MOST_TURNED_AWAY:
                    self._turned_away += 1
                    connections.start_soon(self._turn_away, CallerStream(stream))
                else:
                    stream.socket.close()

    def _make_room(self) -> bool:
        """End the oldest connection whose caller is waited for; one without a request first."""
        waiting = [stream for stream in self._open if stream.waits_for_caller]
        for stream in waiting:
            if stream.is_idle:
                break
        else:
            if not waiting:
                return False
            stream = waiting[0]
        stream.evict()
        return True

    async def _converse(
        self, app: Application, fast: FastRoute | None, stream: CallerStream
    ) -> None:
        """Speak with a caller. Nothing that goes wrong comes further than this."""
        try:
            await self._speak(app, fast, stream)
            await stream.close()
        except Exception as error:
            self._exchange.failed(error)
        except BaseExceptionGroup as group:
            errors, others = group.split(Exception)
            if errors is not None:
                self._exchange.failed(errors)
            if others is not None:
                raise others from None
        finally:
            stream.abort()
            del self._open[stream]

    async def _speak(self, app: Application, fast: FastRoute | None, stream: CallerStream) -> None:
        peers = _peers(stream.socket)
        first = b""
        if self._settings.h2c:
            first = await _first_bytes(stream)
            if first.startswith(PREFACE):
                await Http2(app, stream, peers, self._exchange).run(first)
                return
        until = None
        if fast is not None:
            unread = await FastPath(fast, stream, peers, self._exchange, first).run()
            if unread is None:
                return
            first, until = unread.data, unread.until
        await Http1(app, stream, peers, self._exchange, first, until).run()

    async def _turn_away(self, stream: CallerStream) -> None:
        """Say that there is no place, as long as a caller may take to hear it."""
        body = error_body(503, _FULL)
        head = (
            b"HTTP/1.1 503 \r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"retry-after: 1\r\nconnection: close\r\n" % len(body)
        )
        stream.leave()
        try:
            await stream.send(head + self._exchange.answer_lines() + b"\r\n" + body)
            await stream.close()
        except CallerGone:
            pass
        finally:
            stream.abort()
            self._turned_away -= 1


def check_address(host: str, port: int) -> None:
    """See that a service could listen there, without doing so. Raises OSError."""
    _bound(host, port).close()


def _listen(host: str, port: int) -> trio.socket.SocketType:
    listening = _bound(host, port)
    try:
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return trio.socket.from_stdlib_socket(listening)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _peers(of: trio.socket.SocketType) -> Peers:
    try:
        client = parse_socket_addr(of.family, of.getpeername())
        return Peers(client, parse_socket_addr(of.family, of.getsockname()))
    except OSError:
        raise CallerGone(errno.ENOTCONN, "The caller hung up") from None


async def _cancel_on(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _first_bytes(stream: CallerStream) -> bytes:
    """What tells HTTP/2 from HTTP/1.1."""
    first, until = b"", trio.current_time() + IDLE
    stream.is_idle = True
    while len(first) < len(PREFACE) and PREFACE.startswith(first):
        data = await stream.receive(until)
        if not data:
            break
        first += data
    stream.is_idle = False
    return first
