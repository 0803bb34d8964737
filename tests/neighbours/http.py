"""A scriptable HTTP/1.1 server for tests, on a real socket, that remembers what it saw and when.

    async with serve(Answer(200, b"{}")) as server:      # or any `async def f(request) -> Answer`
        ... f"{server.url}/send" ...
    server.requests[0].json(), .arrived, .answered       # trio.current_time(), at the socket
    server.max_open, server.most_within(1.0)             # what a provider's limits are about

`Answer` plays the faults: delays, hangs, cut heads and bodies, garbage, closed connections.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from carillon.messages.model import JsonValue

Framing = Literal["length", "chunked", "close"]
Fault = Literal[
    "hang",  # read the request and never answer; ends when the client hangs up
    "disconnect",  # read the request and close
    "reset",  # read the request and reset the connection
    "cut-head",  # close in the middle of the answer's head
    "cut-body",  # announce twice the body, send it, close
    "endless-body",  # send the body again and again
    "stalled-body",  # announce twice the body, send it, then nothing
    "slow-head",  # the head a few bytes at a time over `delay` seconds
    "garbage",  # something that is not HTTP
    "close-after",  # a whole answer, then close without having said so
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer a request with, and what goes wrong on the way.

    `delay` is in seconds, before the first byte of the answer; `informational` are 1xx statuses
    sent before it.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    fault: Fault | None = None
    framing: Framing = "length"
    informational: Sequence[int] = ()


@dataclass(slots=True)
class Request:
    """A request as it was read; times are `trio.current_time()`.

    `arrived` is when the first byte of its head was there, `answered` when the last byte of the
    answer was written, None if it never was. `connection` numbers connections from 1.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    arrived: float
    connection: int
    answered: float | None = None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def json(self) -> JsonValue:
        value: JsonValue = json.loads(self.body)
        return value

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(), keep_blank_values=True)


Handler = Callable[[Request], Awaitable[Answer]]


def in_turn(*answers: Answer) -> Handler:
    """A handler that gives these answers one after the other, and the last one from then on."""
    left = list(answers)

    async def handler(_: Request) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return handler


def json_answer(value: JsonValue, status: int = 200, **headers: str) -> Answer:
    """An answer with a JSON body; underscores in header names stand for hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = json.dumps(value).encode()
    return Answer(status, body, {"content-type": "application/json", **named})


def mia_error(status: int, message: str, **headers: str) -> Answer:
    """The error shape of Mia-Platform services (contracts 1.3): `statusCode` is a string."""
    phrase = HTTPStatus(status).phrase.capitalize()
    error: JsonValue = {"statusCode": str(status), "error": phrase, "message": message}
    return json_answer(error, status, **headers)


def most_within(window: float, arrivals: Sequence[float]) -> int:
    """The most of these times that lie in any window of so many seconds."""
    times = sorted(arrivals)
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


class Server:
    """The server's memory. Close it by leaving `serve`, or early with `stop()`."""

    def __init__(self, handler: Handler, url: str, scope: trio.CancelScope) -> None:
        self.handler = handler
        self.url = url
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        self.max_open = 0
        self.unread = b""  # what had arrived when connections ended
        self._scope = scope
        self.seen = trio.lowlevel.ParkingLot()

    async def until(self, count: int, seconds: float = 5.0) -> None:
        """Wait until this many requests were read; fails after `seconds`."""
        with trio.fail_after(seconds):
            while len(self.requests) < count:
                await self.seen.park()

    def most_within(self, window: float) -> int:
        """The most requests that arrived in any window of this many seconds."""
        return most_within(window, [request.arrived for request in self.requests])

    def stop(self) -> None:
        """Close the port and every connection; what was seen stays."""
        self._scope.cancel()

    async def serve_connection(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        connection = _Connection(self, stream, self.connections)
        try:
            async with stream:
                while await connection.one_exchange():
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # the client went away in the middle, as clients under test do


class _Connection:
    """One connection: requests are read by h11, answers are written by hand to be breakable."""

    def __init__(self, server: Server, stream: trio.abc.Stream, number: int) -> None:
        self._server = server
        self._stream = stream
        self._number = number
        self._left = b""

    async def one_exchange(self) -> bool:
        """Serve one request; False when the connection is to be closed."""
        data = self._left or bytes(await self._stream.receive_some(65536))
        arrived = trio.current_time()
        if not data:
            return False
        self._server.open += 1
        self._server.max_open = max(self._server.max_open, self._server.open)
        try:
            request = await self._read(data, arrived)
            self._server.requests.append(request)
            self._server.seen.unpark_all()
            answer = await self._server.handler(request)
            if answer.delay and answer.fault != "slow-head" and await self._gone(answer.delay):
                return False
            stay = await self._write(request.method, answer)
            if answer.fault in (None, "slow-head", "close-after"):
                request.answered = trio.current_time()
            return stay and request.headers.get("connection") != "close"
        finally:
            self._server.open -= 1

    async def _read(self, data: bytes, arrived: float) -> Request:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        parser.receive_data(data)
        head, body = None, list[bytes]()
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(bytes(await self._stream.receive_some(1 << 18)))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                self._left = parser.trailing_data[0]
                return self._request(head, b"".join(body), arrived)
            else:  # the client closed before its request was whole
                raise trio.ClosedResourceError

    def _request(self, head: h11.Request, body: bytes, arrived: float) -> Request:
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        method, target = head.method.decode(), head.target.decode()
        return Request(method, target, headers, body, arrived, self._number)

    async def _gone(self, seconds: float) -> bool:
        """Wait; True as soon as the client hangs up."""
        with trio.move_on_after(seconds):
            while data := await self._stream.receive_some(65536):
                self._left += data
            return True
        return False

    async def _write(self, method: str, answer: Answer) -> bool:
        """Write the answer, faults and all; whether the connection stays open."""
        stream, fault = self._stream, answer.fault
        if fault == "hang":
            await self._gone(float("inf"))
        elif fault == "garbage":
            await stream.send_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        elif fault == "reset":
            await _reset(stream)
        if fault in ("hang", "garbage", "reset", "disconnect"):
            return False
        head = _head(answer)
        if fault == "cut-head":
            await stream.send_all(head[: len(head) // 2])
            return False
        if fault == "slow-head":
            for at in range(0, len(head), 16):
                await stream.send_all(head[at : at + 16])
                await trio.sleep(answer.delay * 16 / len(head))
            head = b""
        return await self._write_body(head, b"" if method == "HEAD" else answer.body, answer)

    async def _write_body(self, head: bytes, body: bytes, answer: Answer) -> bool:
        if answer.framing == "chunked" and body:
            body = b"%x\r\n%b\r\n" % (len(body), body)
        await self._stream.send_all(head + body)
        if answer.fault == "endless-body":
            while True:
                await self._stream.send_all(body)
        if answer.fault == "stalled-body":
            await self._gone(float("inf"))
        if answer.framing == "chunked" and answer.fault is None:
            await self._stream.send_all(b"0\r\n\r\n")
        return answer.fault is None and answer.framing != "close"


def _head(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {status} Interim\r\n\r\n" for status in answer.informational]
    lines.append(f"HTTP/1.1 {answer.status} Stand-in\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
    if answer.framing == "chunked":
        lines.append("transfer-encoding: chunked\r\n")
    elif answer.framing == "length" and answer.fault != "endless-body":
        cut = answer.fault in ("cut-body", "stalled-body")
        lines.append(f"content-length: {len(answer.body) * (2 if cut else 1)}\r\n")
    return "".join([*lines, "\r\n"]).encode()


async def _reset(stream: trio.abc.Stream) -> None:
    """Close with a RST: what is left unread or unsent is thrown away."""
    if isinstance(stream, trio.SocketStream):
        on_with_no_time = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, on_with_no_time)
    await trio.aclose_forcefully(stream)


def _unread(stream: trio.SocketStream) -> bytes:
    """What had arrived when the connection ended, and nobody had read."""
    with suppress(OSError):
        return os.read(stream.socket.fileno(), 1 << 20)
    return b""


@asynccontextmanager
async def serve(
    answer: Answer | Handler, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Serve on 127.0.0.1 while the block runs. What a handler raises ends the block."""
    handler = in_turn(answer) if isinstance(answer, Answer) else answer
    (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        server = Server(handler, url, nursery.cancel_scope)

        async def connected(stream: trio.SocketStream) -> None:
            secured = stream if tls is None else trio.SSLStream(stream, tls, server_side=True)
            try:
                await server.serve_connection(secured)
            finally:
                server.unread += _unread(stream)

        nursery.start_soon(trio.serve_listeners, connected, [listener])
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()
