"""A service in the place of the real one: HTTP/1.1 on a socket, with the faults that happen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import h11
import trio

_PART: Final = 65_536

Fault = Literal["disconnect", "cut-head", "cut-body", "garbage"]
"""What goes wrong after the request was read: the connection is closed, with nothing, half a head
or half a body of the answer before, or something comes that is not HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it was read; `began` is when its first byte came, on trio's clock."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    began: float


Reply = Callable[[Received], Answer]


@dataclass(slots=True)
class StandIn:
    """What it was asked, and what it answers from now on."""

    url: str
    reply: Reply
    received: list[Received] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer on one connection until one of the two closes it."""
        try:
            async with stream:
                while await self._one(stream):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # those under test go away whenever they like

    async def _one(self, stream: trio.SocketStream) -> bool:
        request = await _read(stream)
        if request is None:
            return False
        self.received.append(request)
        answer = self.reply(request)
        await stream.send_all(_written(answer))
        return answer.fault is None


async def _read(stream: trio.SocketStream) -> Received | None:
    """The next request; None if the other side closes before it is whole."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    head: h11.Request | None = None
    body, began = b"", 0.0
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            data = bytes(await stream.receive_some(_PART))
            began = began or trio.current_time()
            parser.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Received(head.method.decode(), head.target.decode(), headers, body, began)
        else:
            return None


def _written(answer: Answer) -> bytes:
    if answer.fault == "disconnect":
        return b""
    if answer.fault == "garbage":
        return b"\x16\x03\x01 this is not HTTP\r\n\r\n"
    lines = [f"HTTP/1.1 {answer.status} Stand-in", f"content-length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    if answer.fault == "cut-head":
        return head[: len(head) // 2]
    body = answer.body
    return head + (body[: len(body) // 2] if answer.fault == "cut-body" else body)


@asynccontextmanager
async def serving(reply: Answer | Reply) -> AsyncGenerator[StandIn]:
    """Serve on a port of the loopback interface while the block runs."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    stand_in = StandIn(url, (lambda _: reply) if isinstance(reply, Answer) else reply)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, stand_in.serve, [listener])
        try:
            yield stand_in
        finally:
            nursery.cancel_scope.cancel()
