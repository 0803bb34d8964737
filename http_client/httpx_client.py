"""The wire on httpx: one connection for each call that is open at once, its start observed."""

from __future__ import annotations

import math
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import Final, cast

import httpcore
import httpx
import trio

from carillon.http_client.errors import (
    BODY_BYTES,
    DISCONNECTED,
    EARLY,
    IDLE_SECONDS,
    LOST,
    NOT_HTTP,
    STALE_SECONDS,
    TARGETS,
    body_deadline,
    garbled,
    unsent_reply,
)
from carillon.http_client.ports import (
    Body,
    Headers,
    NotAnswered,
    NotSent,
    Reply,
    Response,
    Started,
    segments,
)
from carillon.http_client.proxies import Proxies
from carillon.http_client.reach import reach

_VERSIONS: Final = frozenset({b"HTTP/1.1", b"HTTP/1.0"})
_MOST: Final = 599


class HttpxWire:
    """A `Wire` over stacks of httpx transports of one connection each.

    httpx's transports and not its clients: the redirects, cookies and authentication of a client
    are not wanted, and take a third of a call. A shared pool is scanned at every request, so
    each call takes the free transport of its host that rested longest, or a new one. Proxies are
    read from the environment, as httpx does, but once.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` may be shared by all wires; it defaults to httpx's."""
        self._tls = tls or httpx.create_ssl_context()
        self._proxies = Proxies()
        self._targets: dict[str, _Target] = {}
        self._idle = _IdleTransports()

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: Body,
        started: Started,
    ) -> Reply:
        """One request, one answer; never raises for what the network or the other side does."""
        target = self._target(url)
        start = _Start(started)
        request = httpx.Request(
            method,
            target.url,
            headers=_raw_headers(target.url, headers, body),
            stream=_Segments(body),
            extensions={"trace": start.trace},
        )
        transport = self._idle.take(target.origin) or self._connection(target.proxy)
        keep = False
        try:
            response = await transport.handle_async_request(request)
            content, keep = await _read(response, transport, start.gives_up_at)
        except httpx.TransportError as error:
            return _unanswered(error) if start.called else _unsent(error)
        finally:
            # After an error or a cancellation nobody knows what is still on its way.
            if keep:
                self._idle.give_back(target.origin, transport)
            else:
                await _close(transport)
        return _reply(response, content, is_whole=start.is_whole)

    async def reach(self, url: str) -> NotSent | None:
        """See the port."""
        return await reach(url, self._proxies, self._tls)

    async def aclose(self) -> None:
        """Close every idle connection; calls that are open close their own."""
        await self._idle.aclose()

    def _target(self, url: str) -> _Target:
        target = self._targets.get(url)
        if target is None:
            if len(self._targets) >= TARGETS:
                self._targets.clear()
            parsed = httpx.URL(url)
            origin = f"{parsed.scheme}://{parsed.netloc.decode()}"
            target = _Target(
                parsed, self._proxies.on_the_way_to(parsed.scheme, parsed.netloc.decode()), origin
            )
            self._targets[url] = target
        return target

    def _connection(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._tls,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS
            ),
            proxy=proxy,
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """A parsed address, the proxy on its way, and what its connections are for."""

    url: httpx.URL
    proxy: str | None
    origin: str


class _IdleTransports:
    """A queue for each origin. A task closes what has rested too long, as long as any rests."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[tuple[float, httpx.AsyncHTTPTransport]]] = {}
        self._sweep: trio.CancelScope | None = None

    def take(self, origin: str) -> httpx.AsyncHTTPTransport | None:
        """The one that rested longest. It looks itself whether its connection is still there."""
        queue = self._queues.get(origin)
        return queue.popleft()[1] if queue else None

    def give_back(self, origin: str, transport: httpx.AsyncHTTPTransport) -> None:
        """Keep one whose exchange is over."""
        self._queues.setdefault(origin, deque()).append((trio.current_time(), transport))
        if self._sweep is None:
            self._sweep = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._close_what_rests_too_long, self._sweep)

    async def _close_what_rests_too_long(self, scope: trio.CancelScope) -> None:
        with scope:
            while times := [queue[0][0] for queue in self._queues.values() if queue]:
                await trio.sleep_until(min(times) + IDLE_SECONDS)
                with suppress(Exception):  # nobody is there to be told, and the process would end
                    await self._close_until(trio.current_time() - IDLE_SECONDS)
            self._sweep = None

    async def _close_until(self, time: float) -> None:
        for origin, queue in list(self._queues.items()):
            while queue and queue[0][0] <= time:
                await _close(queue.popleft()[1])
            if not queue:
                self._queues.pop(origin, None)

    async def aclose(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        await self._close_until(math.inf)


class _Start:
    """Hears httpcore's documented trace and tells the caller when the first byte is to leave.

    `is_whole` once the request was written to its end: httpcore goes on to the answer without.
    """

    def __init__(self, started: Started) -> None:
        self.called = False
        self.is_whole = False
        self.gives_up_at = math.inf
        self._started = started
        self._since = 0.0

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        if event == "http11.send_request_body.complete":
            self.is_whole = self.called
        elif event == "http11.send_request_headers.complete" and self.called:
            if perf_counter() - self._since > STALE_SECONDS:
                self._started()
        elif event == "http11.send_request_headers.started":
            await self._first_byte(info["request"])

    async def _first_byte(self, request: object) -> None:
        if isinstance(request, httpcore.Request) and request.method == b"CONNECT":
            return  # that one goes to a proxy, to open the connection
        # A cancellation that is already due must come before the start, not between it and the
        # first byte: nothing would have been sent, and it would count as sent.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._since = perf_counter()
        self.gives_up_at = self._started()
        self.called = True


class _Segments(httpx.AsyncByteStream):
    """A body as httpx sends it, part by part. No generator: an abandoned one warns."""

    def __init__(self, body: Body) -> None:
        self._parts = iter(segments(body))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


def _raw_headers(url: httpx.URL, headers: Headers, body: Body) -> list[tuple[bytes, bytes]]:
    length = len(body) if isinstance(body, bytes) else sum(map(len, body))
    return [
        (b"host", url.netloc),
        (b"user-agent", b"carillon"),
        (b"accept-encoding", b"identity"),
        (b"content-length", b"%d" % length),
        *((name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()),
    ]


def _read_headers(response: httpx.Response) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in response.headers.raw
    }


async def _read(
    response: httpx.Response, transport: httpx.AsyncHTTPTransport, gives_up_at: float
) -> tuple[bytes, bool]:
    """What was read of the body, and whether that is all of it and the connection still good."""
    parts: list[bytes] = []
    size = 0
    whole = False
    stream = cast("httpx.AsyncByteStream", response.stream)
    with suppress(httpx.TransportError), trio.CancelScope(deadline=body_deadline(gives_up_at)):
        async for part in stream:
            parts.append(part)
            size += len(part)
            if size > BODY_BYTES:
                # Leaving the loop would leave httpcore's generators to the garbage collector:
                # with the connection closed they end by themselves at the next read.
                await _close(transport)
        whole = size <= BODY_BYTES
    if whole:
        await stream.aclose()  # gives the connection back to its transport
    return b"".join(parts)[:BODY_BYTES], whole


async def _close(transport: httpx.AsyncHTTPTransport) -> None:
    with trio.CancelScope(shield=True):
        await transport.aclose()


def _reply(response: httpx.Response, content: bytes, *, is_whole: bool) -> Reply:
    status = response.status_code
    if response.extensions.get("http_version") not in _VERSIONS or status > _MOST:
        return garbled(NOT_HTTP)
    if status < HTTPStatus.MULTIPLE_CHOICES and not is_whole:
        return garbled(EARLY)
    return Response(status, _read_headers(response), content)


def _unsent(error: httpx.TransportError) -> NotSent:
    if isinstance(error, httpx.ProxyError):
        return NotSent("the proxy did not connect")
    return unsent_reply(error)


def _unanswered(error: httpx.TransportError) -> NotAnswered:
    """What was seen instead of an answer."""
    if isinstance(error, httpx.RemoteProtocolError):
        return NotAnswered(DISCONNECTED) if "disconnected" in str(error) else garbled(NOT_HTTP)
    return NotAnswered(LOST)
