"""One connection: requests go out, answers come in, whatever happens on the way."""

from __future__ import annotations

import fcntl
import math
import select
import socket
import ssl
import struct
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Final

import trio
from trio.lowlevel import wait_readable, wait_writable

from carillon.http_client.errors import body_deadline
from carillon.http_client.ports import Doubtable, Started
from carillon.http_client.response import Answers
from carillon.http_client.target import Origin
from carillon.http_client.tls import Secured, shake_hands

_READ_BYTES: Final = 64 * 1024
_REFUSED: Final = 300
_SHORT: Final = 14_000  # what a first flight of TCP carries

QUIET_SECONDS: Final = 0.02
"""A connection that was silent for so long, and longer than its answers took, owes none."""
_LONGEST_QUIET: Final = 3.5
_UNSURE_SECONDS: Final = 0.2
_MOST_IDS: Final = 1000
_FEWEST_IDS: Final = 2  # one and the same id again and again says nothing
_UNSURE_CALLS: Final = 64
"""After so much without a rest of that length a connection must have one."""
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)  # Linux
_BYTES_ACKED: Final = struct.Struct("120xQ")
"""Where Linux tells how much the other side's kernel has taken, its greeting (1) included."""


class SeenIds:
    """The latest message ids of an origin. They mean nothing where sure answers repeat them."""

    __slots__ = ("_are_unique", "_ids")

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._are_unique = True

    def is_new(self, message_id: str, *, sure: bool) -> bool:
        """Take one; False when it has been another message's."""
        ids = self._ids
        if message_id not in ids:
            ids[message_id] = None
            if len(ids) > _MOST_IDS:
                del ids[next(iter(ids))]
            return True
        if sure or len(ids) < _FEWEST_IDS:
            self._are_unique = False
        return not self._are_unique


class Connection:
    """A connected, non-blocking socket for one request at a time, and the answers it brings.

    trio's own sockets pass through the scheduler at every send; that is half of a request.
    """

    __slots__ = (
        "_broken",
        "_handed",
        "_handed_before",
        "_socket",
        "_tls",
        "all_sent",
        "answered_early",
        "answers",
        "begun_at",
        "exchanges",
        "gives_up_at",
        "has_ended",
        "idle_since",
        "ids",
        "is_spoilt",
        "lasts",
        "number",
        "opened_at",
        "poll",
        "rested",
        "rests_by",
        "send_failed",
        "slowest",
        "unsure",
        "unsure_since",
        "watched_by",
    )

    def __init__(self, connected: socket.socket, session: Secured | None, handed: int = 0) -> None:
        """`handed` is how many bytes were written before, to agree on TLS."""
        self._socket = connected
        self.number = connected.fileno()
        poll = select.poll()
        poll.register(self.number, select.POLLIN)
        self.poll = poll.poll
        self._tls = session
        self.has_ended = False
        self._broken = False
        self._handed = self._handed_before = handed
        self.answers = Answers()
        self.exchanges = 0
        self.all_sent = False
        self.answered_early = False
        self.gives_up_at = math.inf
        self.opened_at = trio.current_time()
        self.idle_since = 0.0
        self.rested = 0.0
        self.rests_by = math.inf
        self.lasts = math.inf
        self.begun_at = 0.0
        self.slowest = 0.0
        self.unsure: list[object] = []
        self.unsure_since = 0.0
        self.ids: SeenIds | None = None
        self.is_spoilt = False
        self.send_failed = False
        self.watched_by: select.epoll | None = None

    @property
    def reusable(self) -> bool:
        """Whether the exchange is over, without a byte missing or left over."""
        return self.all_sent and self.answers.reusable

    @property
    def is_lost(self) -> bool:
        """Whether it was used before, and ended under a request before a byte of an answer came."""
        gone = self.has_ended or self._broken or self.send_failed
        return gone and self.exchanges > 1 and not self.answers.begun

    @property
    def is_untouched(self) -> bool:
        """Whether no byte of the request was taken: the other side had closed before.

        Its farewell says up to where its kernel has received: without a byte of the request nobody
        can have read one. After a reset that can't be known, nor where the system does not tell.
        """
        if not self.has_ended or self._broken or _TCP_INFO is None:
            return False
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _BYTES_ACKED.size)
            (acked,) = _BYTES_ACKED.unpack(info)
        except (OSError, struct.error):
            return False
        return bool(acked <= self._handed_before + 1)

    def begin(self, *, bodiless: bool = False) -> None:
        """A request is about to leave; the answer to HEAD is `bodiless`."""
        self.exchanges += 1
        self.all_sent = False
        self.answered_early = False
        self.gives_up_at = math.inf
        self._handed_before = self._handed
        self.answers.begin(bodiless=bodiless)
        self.begun_at = perf_counter()

    @property
    def quiet(self) -> float:
        """After how many silent seconds nothing more can come of what was asked."""
        return min(max(QUIET_SECONDS, 1.5 * self.slowest), _LONGEST_QUIET)

    def trust_silence(self) -> None:
        """It was looked at and is silent: if it has rested for long enough, it owes no answer."""
        if self.rested >= self.quiet:
            self.unsure.clear()

    def must_rest(self, now: float) -> bool:
        """Whether too much that it carried is unsure for it to be used before it has rested.

        It is not before it `rests_by`.
        """
        if not self.unsure or now <= self.rests_by:
            return False
        longest = max(_UNSURE_SECONDS, 5 * self.quiet)
        return len(self.unsure) >= _UNSURE_CALLS or now - self.unsure_since > longest

    def has_left_over(self) -> bool:
        """Whether bytes are there that nobody asked for: an answer to who knows what."""
        try:
            data = self._socket.recv(_READ_BYTES)
            return bool(data if self._tls is None else self._tls.decrypt(data)[0])
        except OSError:
            return False

    def is_sure(self, started: Started) -> bool:
        """Whether the answer that was read can be told, as far as is known by now.

        The first on a connection is to the first request. A later one may be a stray one, or late,
        and then so are all that follow: they are kept in mind until a rest has shown that none is
        owed. What is left over shows that one was.
        """
        if self.exchanges == 1:
            return True
        if self.answers.surplus:
            self.doubt()
            return False
        unsure = self.unsure
        if not unsure:
            self.unsure_since = trio.current_time()
            self.rests_by = self.unsure_since + _UNSURE_SECONDS
        unsure.append(started)
        if len(unsure) >= _UNSURE_CALLS:
            self.rests_by = -math.inf
        return True

    def doubt(self) -> None:
        """What it carried since it was sure of its answers is in doubt; it carries no more."""
        self.is_spoilt = True
        unsure, self.unsure = self.unsure, []
        for started in unsure:
            if isinstance(started, Doubtable):
                started.doubt()

    def is_ours(self, message_id: str) -> bool:
        """Whether an answer with this message id can be to the latest request."""
        if self.ids is None or self.ids.is_new(message_id, sure=self.exchanges == 1):
            return True
        self.doubt()
        return False

    def is_silent(self) -> bool:
        """Whether nothing came since the last answer.

        What is readable before anything was asked is the server's farewell, or not for us.
        """
        return not self.poll(0)

    async def until_heard(self) -> None:
        """Wait until something comes, or the end of the stream."""
        await wait_readable(self.number)

    def watch(self, epoll: select.epoll) -> None:
        """Let `epoll` tell of each arrival once, as long as the connection is open."""
        if self.watched_by is not epoll:
            self.watched_by = epoll
            with suppress(FileExistsError):  # others watched it meanwhile
                epoll.register(self.number, select.EPOLLIN | select.EPOLLET)

    def look_at_request(self) -> None:
        """An answer came: see whether it is to a request of which a part has not been taken.

        Whoever has read all of it has said so at the latest with the answer. What is short leaves
        at once, and is taken by a kernel whoever reads it.
        """
        if self._handed - self._handed_before <= _SHORT:
            return
        with suppress(OSError):
            queued = fcntl.ioctl(self.number, termios.TIOCOUTQ, bytes(4))
            self.answered_early |= any(queued)

    async def send(self, data: bytes | memoryview) -> bool:
        """Whether all of it was written: the first of it before anything is waited for.

        It is not when the connection broke (`send_failed`), or when an answer came that makes
        the rest pointless. Raises what `receive` does.
        """
        left = self.write(data)
        return left is not None and (not left or await self.send_rest(left))

    def write(self, data: bytes | memoryview) -> bytes | memoryview | None:
        """Write without waiting; what is left to be written, None when the connection broke."""
        if self._tls is not None:
            data = self._tls.encrypt(data)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return data
        except OSError:
            self.send_failed = True
            return None
        self._handed += sent
        return b"" if sent == len(data) else memoryview(data)[sent:]

    async def send_rest(self, data: bytes | memoryview) -> bool:
        """Write what `write` left, as far as it is wanted; see `send`."""
        left = memoryview(data)
        while left:
            if not await self._may_go_on():
                return False
            try:
                sent = self._socket.send(left)
            except BlockingIOError:
                continue
            except OSError:
                self.send_failed = True
                return False
            self._handed += sent
            left = left[sent:]
        return True

    async def _may_go_on(self) -> bool:
        """Wait until there is room, or an answer in the middle of a request says to stop.

        A refusal ends the request. After a success the rest is still wanted, within bounds.
        """
        if not self.answers.status:
            await _first(self.number, wait_readable, wait_writable)
            if self.poll(0):
                self.read_some()
            self.answered_early = bool(self.answers.status)
            return not self.has_ended and self.answers.status < _REFUSED
        with trio.CancelScope(deadline=body_deadline(self.gives_up_at)) as scope:
            await wait_writable(self.number)
        return not scope.cancelled_caught

    async def receive(self) -> bool:
        """Wait for more of the answer; False at the end of the stream.

        Raises OSError when the connection broke, `NotHttp` for what is no answer.
        """
        # While others run, the answer of a neighbour that is fast arrives: that saves a
        # registration for its arrival, a fifth of a whole exchange.
        await trio.lowlevel.checkpoint()
        while not self.read_some():
            if self.has_ended:
                return False
            await wait_readable(self.number)
        return True

    def receive_what_is_there(self, most: int) -> None:
        """Read on without waiting, up to that many bytes of a body. Raises as `receive` does."""
        while not self.answers.whole and self.answers.size <= most and self.read_some():
            pass

    def read_some(self) -> bool:
        """Take what is there; False when that is nothing, perhaps as nothing will come."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            self._broken = True
            raise
        if self._tls is not None:
            data, self.has_ended = self._tls.decrypt(data)
        elif not data:
            self.has_ended = True
        if data:
            self.answers.feed(data)
        return bool(data)

    def close(self) -> None:
        """Close, whatever is under way."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            with suppress(OSError):  # what it says of the past matters to nobody
                self._socket.close()


async def open_connection(origin: Origin, tls: ssl.SSLContext) -> Connection:
    """Connect to the first of the host's addresses that answers, and verify its certificate.

    A cancellation that is due comes out of here, not between the start of a request and its
    first byte. Raises OSError, or UnicodeError for a host that no name can be like.
    """
    stream = await trio.open_tcp_stream(origin.host, origin.port)
    session = Secured(tls, origin.host) if origin.secure else None
    handed = 0
    try:
        if session is not None:
            handed = await shake_hands(stream.socket, session)
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        stream.socket.close()
        raise
    connected = socket.socket(fileno=stream.socket.detach())
    connected.setblocking(False)
    return Connection(connected, session, handed)


async def _first(number: int, *waits: Callable[[int], Awaitable[None]]) -> None:
    """Wait until one of these is over."""
    async with trio.open_nursery() as nursery:

        async def wait_for(wait: Callable[[int], Awaitable[None]]) -> None:
            await wait(number)
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(wait_for, wait)
