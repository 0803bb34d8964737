"""The bytes to an SMTP server and back, in the clear or, from some moment on, over TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio
from trio.lowlevel import wait_readable, wait_writable

from carillon.http_client.tls import Secured

_READ_BYTES: Final = 64 * 1024

Connect = Callable[[str, int], Awaitable[socket.socket]]
"""A connected, non-blocking socket to a host and a port. Raises OSError or UnicodeError."""


async def connected_socket(host: str, port: int) -> socket.socket:
    """One to the first of the host's addresses that answers. Raises OSError or UnicodeError."""
    stream = await trio.open_tcp_stream(host, port)
    connected = socket.socket(fileno=stream.socket.detach())
    connected.setblocking(False)
    return connected


class Stream:
    """A connected, non-blocking socket. What breaks it raises OSError, also as `ssl.SSLError`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._number = connected.fileno()
        self._tls: Secured | None = None
        self._read = bytearray()
        self._ended = False

    @property
    def own_address(self) -> str:
        """The address at this end, as far as it is one of the Internet."""
        name = self._socket.getsockname()
        return name[0] if isinstance(name, tuple) else "127.0.0.1"

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on; the certificate must be for `host`."""
        session = Secured(context, host)
        records, done = session.greet(None)
        while True:
            await self._send_records(records)
            if done:
                break
            records, done = session.greet(await self._receive_records())
        self._tls = session
        self._take(None)

    def look(self) -> bool:
        """Whether something is there, or the end of it all; nothing is waited for."""
        while not (self._read or self._ended):
            try:
                records = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return False
            self._take(records)
        return True

    async def receive(self) -> bytes:
        """What comes next; nothing at the end of the stream."""
        await trio.lowlevel.checkpoint()
        while not self.look():
            await wait_readable(self._number)
        return self.read_now()

    def read_now(self) -> bytes:
        """What was there when somebody looked."""
        data = bytes(self._read)
        self._read.clear()
        return data

    async def send(self, data: bytes, on_first: Callable[[], None] | None = None) -> bool:
        """Whether all of it was written; it is not when the other side speaks before.

        Its first bytes are written, and `on_first` is called, before anything is waited for.
        """
        left = self._write(data if self._tls is None else self._tls.encrypt(data))
        if on_first is not None:
            on_first()
        while left:
            await _first(self._number, wait_readable, wait_writable)
            if self.look():
                return False
            left = self._write(left)
        return True

    def send_now(self, data: bytes) -> None:
        """Write what can be written without waiting; whatever becomes of it."""
        with suppress(OSError):
            self._write(data if self._tls is None else self._tls.encrypt(data))

    def close(self) -> None:
        """Close, whatever is under way."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            with suppress(OSError):
                self._socket.close()

    def _take(self, records: bytes | None) -> None:
        if self._tls is not None:
            records, self._ended = self._tls.decrypt(records)
        else:
            self._ended = not records
        self._read += records or b""

    def _write(self, data: bytes | memoryview) -> memoryview:
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                break
        return left

    async def _send_records(self, records: bytes) -> None:
        left = self._write(records)
        while left:
            await wait_writable(self._number)
            left = self._write(left)

    async def _receive_records(self) -> bytes:
        while True:
            await wait_readable(self._number)
            with suppress(BlockingIOError):
                return self._socket.recv(_READ_BYTES)


async def _first(number: int, *waits: Callable[[int], Awaitable[None]]) -> None:
    """Wait until one of these is over."""
    async with trio.open_nursery() as nursery:

        async def wait_for(wait: Callable[[int], Awaitable[None]]) -> None:
            await wait(number)
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(wait_for, wait)
