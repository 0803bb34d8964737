"""HTTP/1.1 of plain requests, read and answered without a framework: nearly all that come are such.

A request is plain when it is for the one route that has a shorter way, is whole, and is written in
the one form that nobody reads in two ways; a header is plain when it is known to say nothing of how
the request is to be read. At the first request that is not, the connection goes to `Http1` with
what was read of it, for the rest of its life: whatever is unusual is judged there, and only there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from carillon.api.answers import JSON, Answer
from carillon.api.server.caller_stream import CallerStream
from carillon.api.server.connection import SOON
from carillon.api.server.exchange import Exchange, Peers
from carillon.api.server.http1 import IDLE, LONGEST_HEAD

_PLAIN: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "origin",
        "pragma",
        "prefer",
        "referer",
        "traceparent",
        "tracestate",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    }
)
_TYPES: Final = frozenset({JSON, f"{JSON};charset=utf-8", f"{JSON}; charset=utf-8"})
_HOST: Final = re.compile(r"[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*(?::[0-9]{1,5})?")
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_END: Final = b"\r\n\r\n"


class FastRoute(Protocol):
    """The route with a shorter way."""

    method: str
    path: str
    most_bytes: int
    """Of a body; a longer one goes the long way."""

    async def answer(self, headers: Mapping[str, str], body: bytes, client: str) -> Answer | None:
        """The answer to a request; None if it is not for here, and then nothing has happened."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What came of a request that is not plain; its head must be whole by a time of trio's."""

    data: bytes
    until: float


class FastPath:
    """Speaks with one caller as long as its requests are plain; `first` is what was read before."""

    def __init__(
        self,
        route: FastRoute,
        stream: CallerStream,
        peers: Peers,
        exchange: Exchange,
        first: bytes = b"",
    ) -> None:
        self._route = route
        self._stream = stream
        self._client = peers.client[0] if peers.client else ""
        self._exchange = exchange
        self._data = first
        self._line = f"{route.method} {route.path} HTTP/1.1\r\n".encode()
        self._head = b""
        self._headers: Mapping[str, str] = {}

    async def run(self) -> Unread | None:
        """Answer; gives what is not for here, or None when the connection ends without.

        Raises:
            CallerGone: the caller hung up.
        """
        stream = self._stream
        while True:
            until = trio.current_time() + IDLE
            if not (self._data or await self._begins(until)):
                return None
            answer = await self._answer()
            if answer is None:
                return Unread(self._data, until)
            await stream.send_at_once(_written(answer, self._exchange.answer_lines()))
            if self._exchange.is_leaving or (self._data and stream.has_left):
                return None
            if self._data:
                await trio.lowlevel.checkpoint()  # others have their turn before the next one

    async def _begins(self, until: float) -> bool:
        """Wait for the next request."""
        self._stream.is_idle = True
        try:
            self._data = await self._stream.receive(until) or b""
        finally:
            self._stream.is_idle = False
        return bool(self._data)

    async def _answer(self) -> Answer | None:
        """The answer to the request at hand, whose bytes are taken away; None if it is not plain.

        Then they are still there.
        """
        line = len(self._line)
        if not self._data.startswith(self._line):
            return None
        end = self._data.find(_END, line, LONGEST_HEAD)
        if end < 0 or not self._read_head(self._data[line:end]):
            return None
        begin, length = end + len(_END), int(self._headers["content-length"])
        if length > self._route.most_bytes or not await self._comes(begin + length):
            return None
        body = self._data[begin : begin + length]
        answer = await self._route.answer(self._headers, body, self._client)
        if answer is not None:
            self._data = self._data[begin + length :]
        return answer

    def _read_head(self, head: bytes) -> bool:
        """Read the lines between the first one and the body; False if they are not plain."""
        if head != self._head:  # callers send the same one again and again
            headers = _plain_headers(head)
            if headers is None:
                return False
            self._head, self._headers = head, headers
        return True

    async def _comes(self, size: int) -> bool:
        """Whether so many bytes have come, or come at once: some send head and body apart."""
        until = trio.current_time() + SOON
        while len(self._data) < size:
            data = await self._stream.receive(until)
            if not data:
                return False
            self._data += data
        return True


def _plain_headers(head: bytes) -> Mapping[str, str] | None:
    """Headers by their names in lower case; None if one is not plain."""
    if not head.isascii():
        return None
    found: dict[str, str] = {}
    for line in head.decode("ascii").split("\r\n"):
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or name not in _PLAIN or name in found or not value.isprintable():
            return None
        found[name] = value
    is_plain = (
        found.get("content-type", "").lower() in _TYPES
        and found.get("connection", "keep-alive").lower() == "keep-alive"
        and _HOST.fullmatch(found.get("host", ""))
        and _LENGTH.fullmatch(found.get("content-length", ""))
    )
    return found if is_plain else None


def _written(answer: Answer, always: bytes) -> bytes:
    """The bytes of an answer, as `Http1` writes it."""
    lines = [f"{name.lower()}: {value}\r\n" for name, value in answer.headers.items()]
    return (
        f"HTTP/1.1 {answer.status} \r\n{''.join(lines)}content-type: {JSON}\r\n"
        f"content-length: {len(answer.body)}\r\n"
    ).encode() + b"%b\r\n%b" % (always, answer.body)
