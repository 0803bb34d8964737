"""The bytes of one caller: nothing that a caller does, or leaves undone, holds them for long.

What is sent must make progress, what is read must come in time, and the end is polite: a caller
that still sends reads the answer first and not a reset.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Final

import trio

STALLED: Final = 30.0
"""Seconds in which a caller that is sent something must take some of it."""
LINGERING: Final = 2.0
"""Seconds in which what still comes after the last answer is read and dropped."""
LINGERING_BYTES: Final = 16_777_216
LEAVING: Final = 1.0
"""Seconds that any of the above may take once the service leaves."""
_MOST: Final = 65_536
_LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class CallerGone(OSError):
    """The caller hung up, or was let go."""


class CallerStalled(CallerGone):
    """The caller took nothing of its answer for too long."""


class CallerStream:
    """A connection's bytes. One task may read while others send, one after the other."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._stalled = STALLED
        self._lingering = LINGERING
        self._sending: trio.CancelScope | None = None
        self._reading: trio.CancelScope | None = None
        self._turn = trio.Lock()
        self._ended = False
        self._evicted = False
        self.is_idle = False
        """Whether no request has begun: nothing is lost if the connection ends."""
        self.is_duplex = False
        """Whether it is read while requests are worked on."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket below."""
        return self._stream.socket

    @property
    def waits_for_caller(self) -> bool:
        """Whether it is the caller's turn to send something."""
        return self._reading is not None and (self.is_idle or not self.is_duplex)

    async def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            CallerGone: the caller hung up.
            CallerStalled: it took nothing for `STALLED` seconds.
        """
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            await self._turn.acquire()
        try:
            left = memoryview(data)
            while left:
                left = left[await self._send_some(left) :]
        finally:
            self._turn.release()

    async def send_at_once(self, data: bytes) -> None:
        """Send all of it, as `send` does, and give nobody else a turn if the caller takes it.

        Raises as `send`.
        """
        sent = 0
        if not self._turn.locked():
            try:
                sent = os.write(self.socket.fileno(), data)
            except BlockingIOError:
                pass
            except OSError:
                raise CallerGone(errno.EPIPE, "The caller hung up") from None
        if sent < len(data):
            await self.send(data[sent:])

    async def _send_some(self, data: memoryview) -> int:
        self._sending = trio.CancelScope(deadline=trio.current_time() + self._stalled)
        with self._sending:
            try:
                return await self.socket.send(data)
            except (OSError, trio.ClosedResourceError):
                raise CallerGone(errno.EPIPE, "The caller hung up") from None
            finally:
                self._sending = None
        raise CallerStalled(errno.ETIMEDOUT, "The caller takes nothing of its answer")

    async def receive(self, until: float) -> bytes | None:
        """What comes next; nothing at the end, and None when nothing comes until then.

        `until` is a time of trio's clock.

        Raises:
            CallerGone: the caller hung up, or its place is needed.
        """
        data: bytes | None = None
        self._reading = trio.CancelScope(deadline=until)
        with self._reading:
            try:
                data = await self._read_some()
            except (OSError, *_LOST):
                raise CallerGone(errno.ECONNRESET, "The caller hung up") from None
            finally:
                self._reading = None
        if self._evicted:
            raise CallerGone(errno.EMFILE, "The place was needed")
        self._ended = data == b""
        return data

    async def _read_some(self) -> bytes:
        """What comes next, waited for at first: after an answer nothing is there yet."""
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            with suppress(BlockingIOError):
                return os.read(self.socket.fileno(), _MOST)

    @property
    def has_left(self) -> bool:
        """Whether the caller is known to read no answer any more.

        One that only says that it will send nothing more still reads.
        """
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def wait_until(self, until: float) -> None:
        """Let a read that goes on end at another time of trio's clock."""
        if self._reading is not None:
            self._reading.deadline = until

    def evict(self) -> None:
        """End a connection that waits for its caller."""
        self._evicted = True
        if self._reading is not None:
            self._reading.cancel()

    def leave(self) -> None:
        """Wait for the caller only as long as a service may that leaves."""
        self._stalled = self._lingering = LEAVING
        soon = trio.current_time() + LEAVING
        for scope in (self._sending, self._reading if self.waits_for_caller else None):
            if scope is not None:
                scope.deadline = min(scope.deadline, soon)
        if self.is_idle:
            self.evict()

    async def close(self) -> None:
        """Let the caller read what it was sent, drop what it still sends, and close."""
        left = 0 if self._ended else LINGERING_BYTES
        with suppress(OSError, *_LOST):
            await self._stream.send_eof()
            self._sending = trio.CancelScope(deadline=trio.current_time() + self._lingering)
            with self._sending:
                while left > 0 and (dropped := await self._stream.receive_some(_MOST)):
                    left -= len(dropped)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.socket.close()
