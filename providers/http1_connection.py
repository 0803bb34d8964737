"""One connection: requests go out, answers come in, whatever happens on the way."""

from __future__ import annotations

import math
import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio
from trio.lowlevel import wait_readable, wait_writable

from providers.http1_answer import Answers
from providers.http1_target import Origin
from providers.http1_tls import Secured, shake_hands
from providers.wire_bounds import IDLE_SECONDS, body_deadline

_READ_BYTES: Final = 64 * 1024
_REFUSED: Final = 300


class Connection:
    """A connected, non-blocking socket for one request at a time, and the answers it brings.

    trio's own sockets pass through the scheduler at every send; that is half of a request.
    """

    __slots__ = (
        "_ended",
        "_number",
        "_poll",
        "_socket",
        "_tls",
        "all_sent",
        "answers",
        "gives_up_at",
        "idle_since",
        "send_failed",
    )

    def __init__(self, connected: socket.socket, session: Secured | None) -> None:
        self._socket = connected
        self._number = connected.fileno()
        self._poll = select.poll()
        self._poll.register(self._number, select.POLLIN)
        self._tls = session
        self._ended = False
        self.answers = Answers()
        self.all_sent = False
        self.gives_up_at = math.inf
        self.idle_since = 0.0
        self.send_failed = False

    @property
    def reusable(self) -> bool:
        """Whether the exchange is over, without a byte missing or left over."""
        return self.all_sent and self.answers.reusable

    def begin(self, *, bodiless: bool = False) -> None:
        """A request is about to leave; the answer to HEAD is `bodiless`."""
        self.all_sent = False
        self.gives_up_at = math.inf
        self.answers.begin(bodiless=bodiless)

    def fresh(self, now: float) -> bool:
        """Whether an idle connection may be used again.

        What is readable before anything was asked is the server's farewell, or not for us.
        """
        return now - self.idle_since < IDLE_SECONDS and not self._poll.poll(0)

    async def send_all(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Send a whole request, as far as it is wanted. Raises what `send` does."""
        for piece in pieces:
            if not await self.send(piece):
                return
        self.all_sent = True

    async def send(self, data: bytes | memoryview) -> bool:
        """Whether all of it was written: the first of it before anything is waited for.

        It is not when the connection broke (`send_failed`), or when an answer came that makes
        the rest pointless. Raises what `receive` does.
        """
        if self._tls is not None:
            data = self._tls.encrypt(data)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.send_failed = True
            return False
        return sent == len(data) or await self._send_rest(memoryview(data)[sent:])

    async def _send_rest(self, left: memoryview) -> bool:
        while left:
            if not await self._may_go_on():
                return False
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                continue
            except OSError:
                self.send_failed = True
                return False
        return True

    async def _may_go_on(self) -> bool:
        """Wait until there is room, or an answer in the middle of a request says to stop.

        A refusal ends the request. After a success the rest is still wanted, within bounds.
        """
        if not self.answers.status:
            await _first(self._number, wait_readable, wait_writable)
            if self._poll.poll(0):
                self._read()
            return not self._ended and self.answers.status < _REFUSED
        with trio.CancelScope(deadline=body_deadline(self.gives_up_at)) as scope:
            await wait_writable(self._number)
        return not scope.cancelled_caught

    async def receive(self) -> bool:
        """Wait for more of the answer; False at the end of the stream.

        Raises OSError when the connection broke, `NotHttp` for what is no answer.
        """
        # While others run, the answer of a neighbour that is fast arrives: that saves a
        # registration for its arrival, a fifth of a whole exchange.
        await trio.lowlevel.checkpoint()
        while not self._read():
            if self._ended:
                return False
            await wait_readable(self._number)
        return True

    def _read(self) -> bool:
        """Take what is there; False when that is nothing, perhaps as nothing will come."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        if self._tls is not None:
            data, self._ended = self._tls.decrypt(data)
        elif not data:
            self._ended = True
        if data:
            self.answers.feed(data)
        return bool(data)

    def close(self) -> None:
        """Close, whatever is under way."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


async def open_connection(origin: Origin, tls: ssl.SSLContext) -> Connection:
    """Connect to the first of the host's addresses that answers, and verify its certificate.

    A cancellation that is due comes out of here, not between the start of a request and its
    first byte. Raises OSError, or UnicodeError for a host that no name can be like.
    """
    stream = await trio.open_tcp_stream(origin.host, origin.port)
    session = Secured(tls, origin.host) if origin.secure else None
    try:
        if session is not None:
            await shake_hands(stream.socket, session)
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        stream.socket.close()
        raise
    connected = socket.socket(fileno=stream.socket.detach())
    connected.setblocking(False)
    return Connection(connected, session)


async def _first(number: int, *waits: Callable[[int], Awaitable[None]]) -> None:
    """Wait until one of these is over."""
    async with trio.open_nursery() as nursery:

        async def wait_for(wait: Callable[[int], Awaitable[None]]) -> None:
            await wait(number)
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(wait_for, wait)
