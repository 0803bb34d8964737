"""HTTP/1.1 of one connection, by h11: requests one after the other, each answered in one task.

A request is read while the application asks for it, so that nothing of a caller piles up. What is
ambiguous is no request: proxies and servers that read one in two ways are how requests are
smuggled. It is answered in the error shape and the connection ends. `Upgrade` is ignored, as every
server may: neither WebSocket nor HTTP/2 begins here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

import h11
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, ConnectionState, HTTPScope

from carillon.api.errors import UNEXPECTED, error_body
from carillon.api.server.caller_stream import CallerStream
from carillon.api.server.exchange import Application, Exchange, Peers

IDLE: Final = 5.0
"""Seconds for a whole head to come, from the end of the request before it."""
LONGEST_HEAD: Final = 16_384
_PARTS: Final = 16
"""Parts of a body that may be looked at before others have their turn: one read of a body in chunks
of a byte has 11,000."""
_NO_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
# Before the blank line that ends the head: a line that begins with white space.
_FOLD: Final = re.compile(rb"\A(?:[^\r\n]+\r?\n)+?[ \t]")
_END: Final = re.compile(rb"\n\r?\n")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_WORDS: Final = {
    400: "This is no HTTP/1.1 request",
    408: "The request did not arrive in time",
    431: "The head of the request is too long",
    501: "This transfer coding is not known",
}


class NoRequest(Exception):
    """What came is no request that may be answered; the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Http1:
    """Speaks with one caller; `first` is what was read of it before.

    By `until`, of trio's clock, the first head has come.
    """

    def __init__(
        self,
        app: Application,
        stream: CallerStream,
        peers: Peers,
        exchange: Exchange,
        first: bytes = b"",
        until: float | None = None,
    ) -> None:
        self._app = app
        self._stream = stream
        self._peers = peers
        self._exchange = exchange
        self._http = _protocol()
        self._until = until
        self._start: h11.Response | None = None
        self._is_head = False
        self._is_late = False
        self._has_skipped = False
        self._parts = 0
        if first:
            self._http.receive_data(first)

    async def run(self) -> None:
        """Answer until the caller or the service ends the connection.

        Raises:
            CallerGone: the caller hung up.
        """
        try:
            while (scope := await self._next_request()) is not None:
                await self._answer(scope)
                if not self._goes_on():
                    return
        except NoRequest as error:
            await self._refuse(error)

    async def _next_request(self) -> HTTPScope | None:
        """The next request; None when the connection ends without one."""
        until = trio.current_time() + IDLE if self._until is None else self._until
        self._until = None
        self._is_head = self._has_skipped = False
        self._stream.is_idle = True
        try:
            while True:
                event = self._next_event()
                if isinstance(event, h11.Request):
                    break
                if event is not h11.NEED_DATA:
                    return None
                data = await self._stream.receive(until)
                if data is None and self._http.trailing_data[0]:
                    raise NoRequest(408, _WORDS[408])
                if data is None:
                    return None
                self._http.receive_data(data)
        finally:
            self._stream.is_idle = False
        return self._scope(event)

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """What h11 makes of what has come. Raises NoRequest."""
        if self._http.their_state is h11.IDLE:
            self._skip_empty_line()
            if (head := self._http.trailing_data[0]) == b"\r" and not self._has_skipped:
                return h11.NEED_DATA
            self._check_head(head)
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            raise NoRequest(status, _WORDS.get(status, _WORDS[400])) from None

    def _skip_empty_line(self) -> None:
        """Drop one before a request, which some callers send after a body (RFC 9112, 2.2)."""
        head, is_all = self._http.trailing_data
        if head.startswith(b"\r\n") and not self._has_skipped:
            self._has_skipped = True
            self._http = _protocol()  # from what h11 has read nothing can be taken back
            if len(head) > len(b"\r\n"):
                self._http.receive_data(head[2:])
            if is_all:
                self._http.receive_data(b"")

    def _check_head(self, head: bytes) -> None:
        """Refuse what h11 lets pass."""
        if len(head) > LONGEST_HEAD and not _END.search(head, 0, LONGEST_HEAD):
            raise NoRequest(431, _WORDS[431])
        if _FOLD.match(head):
            raise NoRequest(400, "A header must not go on on the next line")

    def _scope(self, request: h11.Request) -> HTTPScope | None:
        self._is_head = request.method == b"HEAD"
        version = request.http_version
        if request.method == b"PRI":
            return None  # the begin of HTTP/2: whoever speaks that reads no words of HTTP/1.1
        if version not in {b"1.0", b"1.1"}:
            raise NoRequest(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here")
        headers = list(request.headers)
        _check_framing(version, {name for name, _ in headers})
        path, _, query = _origin_form(request).partition(b"?")
        scope: HTTPScope = {
            "type": "http",
            "http_version": version.decode(),
            "asgi": {"spec_version": "2.3", "version": "3.0"},
            "method": request.method.decode("ascii").upper(),
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self._peers.client,
            "server": self._peers.server,
            "state": ConnectionState({}),
            "extensions": {},
        }
        return scope

    async def _answer(self, scope: HTTPScope) -> None:
        self._start = None
        await self._exchange.run(self._app, scope, self._receive, self._send)
        if self._http.our_state is h11.SEND_RESPONSE:
            if self._is_late:
                raise NoRequest(408, _WORDS[408])
            self._next_event()  # raises if the body is why there is no answer
            raise NoRequest(500, UNEXPECTED)

    async def _receive(self) -> ASGIReceiveEvent:
        """The next part of the body, for the application."""
        while True:
            if self._http.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                event = self._next_event()
            except NoRequest:
                return {"type": "http.disconnect"}
            if isinstance(event, h11.Data):
                self._parts += 1
                if self._parts % _PARTS == 0:
                    # Whoever reads may be cancelled by now: this part must not be lost with that.
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            if isinstance(event, h11.EndOfMessage):
                return {"type": "http.request", "body": b"", "more_body": False}
            if event is not h11.NEED_DATA or self._http.their_state is not h11.SEND_BODY:
                await trio.sleep_forever()  # the body is over; only the answer ends this
            data = await self._stream.receive(math.inf)  # the application bounds the whole body
            if data is None:
                self._is_late = True
                return {"type": "http.disconnect"}
            self._http.receive_data(data)

    async def _send(self, message: ASGISendEvent) -> None:
        """Send a part of the answer, for the application."""
        if message["type"] == "http.response.start":
            self._start = self._response(message["status"], message["headers"])
        elif message["type"] == "http.response.body":
            events: list[h11.Event] = []
            start, self._start = self._start, None
            if start is not None:
                events.append(start)
            body = message.get("body", b"")
            if body and not self._suppresses(start):
                events.append(h11.Data(data=body))
            if not message.get("more_body", False):
                events.append(h11.EndOfMessage())
            await self._write(*events)

    def _response(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> h11.Response:
        whole = [*headers, *self._exchange.answer_headers()]
        if not self._body_has_come():
            # What is left of the body would be taken for the next request.
            whole.append((b"connection", b"close"))
        return h11.Response(status_code=status, headers=whole)

    def _body_has_come(self) -> bool:
        with suppress(h11.RemoteProtocolError):
            for _ in range(_PARTS):
                if self._http.their_state is not h11.SEND_BODY:
                    break
                if self._http.next_event() is h11.NEED_DATA:
                    return False
        return self._http.their_state not in {h11.SEND_BODY, h11.ERROR}

    def _suppresses(self, start: h11.Response | None) -> bool:
        return self._is_head or (start is not None and start.status_code in _NO_BODY)

    async def _write(self, *events: h11.Event) -> None:
        await self._stream.send(b"".join([self._http.send(event) or b"" for event in events]))

    def _goes_on(self) -> bool:
        """Whether another request may come. What a caller sent before it left is dropped."""
        if not (self._http.our_state is h11.DONE and self._http.their_state is h11.DONE):
            return False
        if self._exchange.is_leaving or (self._http.trailing_data[0] and self._stream.has_left):
            return False
        self._http.start_next_cycle()
        return True

    async def _refuse(self, error: NoRequest) -> None:
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return  # an answer is on its way already: it is cut, and the connection ends
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR or str(error) is not UNEXPECTED:
            self._exchange.refused(error.status, str(error))
        body = error_body(error.status, str(error))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *self._exchange.answer_headers(),
        ]
        events = [h11.Response(status_code=error.status, headers=headers), h11.EndOfMessage()]
        if not self._is_head:
            events.insert(1, h11.Data(data=body))
        await self._write(*events)


def _protocol() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)


def _check_framing(version: bytes, names: set[bytes]) -> None:
    if b"transfer-encoding" in names:
        if version == b"1.0":
            raise NoRequest(400, "HTTP/1.0 has no Transfer-Encoding")
        if b"content-length" in names:
            raise NoRequest(400, "Content-Length and Transfer-Encoding exclude each other")


def _origin_form(request: h11.Request) -> bytes:
    """The path and query that are asked for. Raises NoRequest if it is none."""
    target = request.target
    if target.startswith(b"/"):
        return target
    if (absolute := _ABSOLUTE.match(target)) is not None:
        rest = target[absolute.end() :]
        return rest if rest.startswith(b"/") else b"/" + rest
    raise NoRequest(400, "The target of a request must be a path")
