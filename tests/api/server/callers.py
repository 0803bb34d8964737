"""Callers of a service who write to its socket themselves."""

from __future__ import annotations

import gc
import json
import socket
import struct
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio

from carillon.messages.model import Document


def address(url: str) -> tuple[str, int]:
    """Where a service listens."""
    at = urlsplit(url)
    return at.hostname or "", at.port or 0


@asynccontextmanager
async def caller(url: str) -> AsyncGenerator[trio.SocketStream]:
    """A connection."""
    stream = await trio.open_tcp_stream(*address(url))
    async with stream:
        yield stream


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, of a connection that ended after it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Document:
        """The body of an error."""
        error: Document = json.loads(self.body)
        assert list(error) == ["statusCode", "error", "message"]
        assert error["statusCode"] == str(self.status)
        return error


async def everything(url: str, request: bytes) -> bytes:
    """What a caller reads until the service closes, keeping its own end open."""
    async with caller(url) as stream:
        await stream.send_all(request)
        with trio.fail_after(10):
            return b"".join([part async for part in stream])


async def ask(url: str, request: bytes) -> Answer:
    """The only answer to a request after which the service closes."""
    return parse(await everything(url, request))


def parse(answer: bytes) -> Answer:
    """An answer as it was read."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def reset(stream: trio.SocketStream) -> None:
    """Hang up without a goodbye."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def watch_turns(held: list[float]) -> None:
    """Note the processor time that others take from one turn of this task to the next."""
    gc.collect()
    gc.freeze()  # what other tests left is not looked through in one of the turns
    try:
        while True:
            before = time.thread_time()
            await trio.lowlevel.checkpoint()
            held.append(time.thread_time() - before)
    finally:
        gc.unfreeze()
