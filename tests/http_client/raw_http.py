"""A server for tests that speaks bytes: each connection is handed to a function of the test's."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

Peer = Callable[["Talk"], Awaitable[None]]


@dataclass(slots=True)
class Talk:
    """One connection, seen from the server. `number` counts them from 1."""

    stream: trio.abc.Stream
    number: int
    received: bytes = b""

    async def request(self) -> bytes:
        """One whole request with a length; what came after it stays."""
        while (head := self.received.find(b"\r\n\r\n")) < 0:
            await self._more()
        length = re.search(rb"content-length: (\d+)", self.received[:head])
        end = head + 4 + int(length[1] if length else 0)
        while len(self.received) < end:
            await self._more()
        request, self.received = self.received[:end], self.received[end:]
        return request

    async def _more(self) -> None:
        data = await self.stream.receive_some(1 << 16)
        if not data:
            raise trio.EndOfChannel
        self.received += data

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def say_slowly(self, data: bytes) -> None:
        """Byte by byte, each in a packet of its own."""
        for at in range(len(data)):
            await self.stream.send_all(data[at : at + 1])
            await trio.lowlevel.checkpoint()

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket beneath."""
        stream = self.stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        assert isinstance(stream, trio.SocketStream)
        return stream.socket

    async def until_gone(self) -> None:
        """Wait until the client hangs up."""
        while await self.stream.receive_some(1 << 16):
            pass


@dataclass(slots=True)
class Raw:
    """What the server saw: `ended` counts the connections that are over."""

    url: str
    connections: int = 0
    ended: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def until_ended(self, count: int) -> None:
        """Wait until so many connections were closed; fails after 5 s."""
        with trio.fail_after(5):
            while self.ended < count:
                await trio.sleep(0.005)


def answering(*answers: bytes) -> Peer:
    """Answers the requests of each connection with these, then waits for the client to go."""

    async def peer(talk: Talk) -> None:
        for answer in answers:
            await talk.request()
            await talk.say(answer)
        await talk.until_gone()

    return peer


@asynccontextmanager
async def raw_server(
    peer: Peer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Raw]:
    """Serve while the block runs; a client that goes away in the middle is no error."""
    (listener,) = await trio.open_tcp_listeners(0, host=host)
    port = listener.socket.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    raw = Raw(f"{'https' if tls else 'http'}://{name}:{port}")

    async def connected(stream: trio.SocketStream) -> None:
        raw.connections += 1
        said = stream if tls is None else trio.SSLStream(stream, tls, server_side=True)
        try:
            await peer(Talk(said, raw.connections))
        except* (trio.BrokenResourceError, trio.EndOfChannel):
            pass
        finally:
            await trio.aclose_forcefully(stream)
            raw.ended += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, connected, [listener])
        try:
            yield raw
        finally:
            nursery.cancel_scope.cancel()
