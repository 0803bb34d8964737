"""HTTP/2 with prior knowledge, for meshes: hypercorn's protocol over a stream of ours.

What hypercorn leaves to chance is decided here: a request that is none resets its stream,
priorities are not kept (RFC 9113 has given them up), callers who open requests faster than they are
answered are refused some, and an answer that nobody takes ends the connection.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import events as parts
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, ConnectionState, Scope
from hypercorn.utils import filter_pseudo_headers

from carillon.api.errors import UNEXPECTED, error_body
from carillon.api.server.caller_stream import STALLED, CallerStalled, CallerStream
from carillon.api.server.exchange import Application, Exchange, Peers
from carillon.api.server.http1 import IDLE

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST_REQUESTS: Final = 100
"""Requests of one connection that are worked on at once, those that were reset included."""
_PIECE: Final = 32_768
_TURN: Final = 1024
"""Bytes of a caller that are handled before others have their turn: a read holds 7,000 frames."""
_QUEUE: Final = 10
_OF_HTTP1: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)


class _Config(Config):
    """What hypercorn's protocol asks a configuration for."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.errorlog = None

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """The headers that every answer carries."""
        return list(self._exchange.answer_headers())


class Http2:
    """Speaks with one caller."""

    def __init__(
        self, app: Application, stream: CallerStream, peers: Peers, exchange: Exchange
    ) -> None:
        self._app = app
        self._stream = stream
        self._peers = peers
        self._exchange = exchange
        self._until = math.inf
        self._is_over = False
        stream.is_duplex = True

    async def run(self, first: bytes) -> None:
        """Answer until the caller or the service ends the connection.

        Raises:
            CallerGone: the caller hung up.
        """
        async with trio.open_nursery() as nursery:
            tasks = _Tasks(nursery, self._app, self._exchange)
            protocol = _Protocol(tasks, _Config(self._exchange), self._peers, self._send)
            self._be_idle(is_idle=True)
            await protocol.initiate()
            data: bytes | None = first
            while data and not self._is_over:
                await self._take(protocol, data)
                if not self._is_over:
                    data = await self._stream.receive(self._until)
            await protocol.end()
            nursery.cancel_scope.cancel()

    async def _take(self, protocol: _Protocol, data: bytes) -> None:
        """Handle what was read, piece by piece: others have their turn between."""
        for at in range(0, len(data), _TURN):
            await protocol.handle(RawData(data[at : at + _TURN]))
            if self._is_over:
                return
            await trio.lowlevel.checkpoint()

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._stream.send(event.data)
        elif isinstance(event, Closed):
            self._end()
        elif isinstance(event, Updated):
            self._be_idle(is_idle=event.idle)

    def _be_idle(self, *, is_idle: bool) -> None:
        self._stream.is_idle = is_idle
        if is_idle and self._exchange.is_leaving:
            self._end()
            return
        self._until = trio.current_time() + IDLE if is_idle else math.inf
        self._stream.wait_until(self._until)

    def _end(self) -> None:
        self._is_over = True
        self._stream.wait_until(-math.inf)


class _Tasks(TaskGroup):
    """Runs the application for hypercorn's streams, in the connection's nursery."""

    def __init__(self, nursery: trio.Nursery, app: Application, exchange: Exchange) -> None:
        super().__init__()
        self._nursery: trio.Nursery = nursery
        self.app = app
        self._exchange = exchange
        self.requests = 0

    async def spawn_app(
        self,
        app: object,
        config: object,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Begin a request; what it gives takes the parts of the body, and the caller's end."""
        sender, receiver = trio.open_memory_channel[ASGIReceiveEvent](_QUEUE)
        self.requests += 1
        self._nursery.start_soon(self._run, scope, receiver, send)

        async def put(event: ASGIReceiveEvent) -> None:
            if event["type"] == "http.disconnect":
                sender.close()  # what is queued is read before that is noticed
                return
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it is answered
                await sender.send(event)

        return put

    async def _run(
        self,
        scope: Scope,
        receiver: trio.MemoryReceiveChannel[ASGIReceiveEvent],
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> None:
        async def receive() -> ASGIReceiveEvent:
            try:
                return await receiver.receive()
            except trio.EndOfChannel:
                return {"type": "http.disconnect"}

        try:
            with receiver:
                await self._exchange.run(self.app, scope, receive, send)
            await send(None)
        finally:
            self.requests -= 1


class _Stream(HTTPStream):
    """One request of hypercorn's, whose own errors have our shape."""

    async def _send_error_response(self, status_code: int) -> None:
        body = error_body(status_code, UNEXPECTED)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self.send(parts.Response(self.stream_id, headers, status_code))
        await self.send(parts.Body(self.stream_id, body))
        await self.send(parts.EndBody(self.stream_id))
        self.state = ASGIHTTPState.CLOSED


class _Protocol(H2Protocol):
    def __init__(
        self,
        tasks: _Tasks,
        config: Config,
        peers: Peers,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._tasks = tasks
        self._answered: dict[int, trio.Event] = {}
        self._receiving: set[int] = set()
        super().__init__(
            ASGIWrapper(tasks.app),
            config,
            WorkerContext(None),
            tasks,
            ConnectionState({}),
            ssl=False,
            client=peers.client,
            server=peers.server,
            send=send,
        )
        del self.connection.local_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL]

    async def stream_send(self, event: parts.Event) -> None:
        """Send a part of an answer.

        Raises:
            CallerStalled: the caller takes nothing of it.
        """
        if isinstance(event, parts.Response):
            headers = [(name, value) for name, value in event.headers if name not in _OF_HTTP1]
            event = parts.Response(event.stream_id, headers, event.status_code)
        if isinstance(event, parts.Body):
            for at in range(0, len(event.data), _PIECE):
                piece = parts.Body(event.stream_id, event.data[at : at + _PIECE])
                await _in_time(super().stream_send(piece))
            return
        await _in_time(super().stream_send(event))
        if isinstance(event, parts.EndBody) and event.stream_id in self._answered:
            # hypercorn goes on before the end has left: what closes then would cut the answer.
            await _in_time(self._answered[event.stream_id].wait())

    async def _close_stream(self, stream_id: int) -> None:
        if (answered := self._answered.pop(stream_id, None)) is not None:
            answered.set()
        await super()._close_stream(stream_id)

    async def _send_data(self, stream_id: int) -> None:
        await super()._send_data(stream_id)
        if stream_id in self.stream_buffers:
            return
        if stream_id in self._receiving:  # of a body whose answer has left no more need come
            self._receiving.discard(stream_id)
            self._reset(stream_id, h2.errors.ErrorCodes.NO_ERROR)
            await self._flush()
        if (answered := self._answered.get(stream_id)) is not None:
            answered.set()

    async def end(self) -> None:
        """Say that nothing more comes, and let the application know that the caller is gone."""
        try:
            self.connection.close_connection()
            await self._flush()
        except h2.exceptions.ProtocolError:
            pass  # the caller said it first
        await self.handle(Closed())

    async def _handle_events(self, events: Sequence[h2.events.Event]) -> None:
        for event in events:
            match event:
                case h2.events.RequestReceived(stream_id=int(at)):
                    if self._tasks.requests >= MOST_REQUESTS:
                        self._reset(at, h2.errors.ErrorCodes.REFUSED_STREAM)
                    else:
                        await self._create_stream(event)
                case h2.events.DataReceived(stream_id=int(at), data=data):
                    if (stream := self.streams.get(at)) is not None:
                        await stream.handle(parts.Body(at, data or b""))
                    self.connection.acknowledge_received_data(event.flow_controlled_length, at)
                case h2.events.StreamEnded(stream_id=int(at)):
                    self._receiving.discard(at)
                    if (stream := self.streams.get(at)) is not None:
                        await stream.handle(parts.EndBody(at))
                case h2.events.StreamReset(stream_id=int(at)):
                    self._receiving.discard(at)
                    await self._close_stream(at)
                    await self._window_updated(at)
                case h2.events.WindowUpdated(stream_id=at):
                    await self._window_updated(at)
                case h2.events.RemoteSettingsChanged():
                    await self._window_updated(None)
                case h2.events.ConnectionTerminated():
                    await self.send(Closed())
        await self._flush()

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        at, headers = request.stream_id, list(request.headers or [])
        pseudo = dict(pair for pair in headers if pair[0].startswith(b":"))
        method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
        is_request = method.isascii() and path.isascii() and path.startswith(b"/")
        if not is_request or method == b"CONNECT":
            self._reset(at, h2.errors.ErrorCodes.PROTOCOL_ERROR)
            return
        stream = _Stream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            at,
        )
        self.streams[at] = stream
        self._answered[at] = trio.Event()
        self._receiving.add(at)
        self.stream_buffers[at] = StreamBuffer(self.context.event_class)
        self.priority.insert_stream(at)
        self.priority.block(at)
        await self.send(Updated(idle=False))
        await stream.handle(
            parts.Request(
                at,
                headers=filter_pseudo_headers(headers),
                http_version="2",
                method=method.decode("ascii").upper(),
                raw_path=path,
                state=self.connection_state,
            )
        )

    def _reset(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        with suppress(h2.exceptions.ProtocolError):  # it may be over on both sides already
            self.connection.reset_stream(stream_id, code)


async def _in_time(sending: Awaitable[None]) -> None:
    with trio.move_on_after(STALLED):
        await sending
        return
    raise CallerStalled(errno.ETIMEDOUT, "The caller takes nothing of its answer")
