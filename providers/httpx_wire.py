"""The wire on httpx: one connection for each call that is open at once, its start observed."""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import httpcore
import httpx
import trio

from providers.ports import Body, Headers, NotAnswered, NotSent, Reply, Response, Started, segments
from providers.proxies import Proxies
from providers.wire_bounds import BODY_BYTES, IDLE_SECONDS, TARGETS, body_deadline
from providers.wire_errors import DISCONNECTED, LOST, NOT_HTTP, unsent


class HttpxWire:
    """A `Wire` over stacks of httpx transports of one connection each.

    httpx's transports and not its clients: the redirects, cookies and authentication of a client
    are not wanted, and take a third of a call. A shared pool is scanned at every request, so
    each call takes the most lately used free transport of its host, or a new one. Proxies are
    read from the environment, as httpx does, but once.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` may be shared by all wires; it defaults to httpx's."""
        self._tls = tls or httpx.create_ssl_context()
        self._proxies = Proxies()
        self._targets: dict[str, _Target] = {}
        self._idle: dict[str, list[httpx.AsyncHTTPTransport]] = {}

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
        transport = target.idle.pop() if target.idle else self._connection(target.proxy)
        keep = False
        try:
            response = await transport.handle_async_request(request)
            content, keep = await _read(response, transport, start.gives_up_at)
        except httpx.TransportError as error:
            return NotAnswered(_unanswered(error)) if start.called else NotSent(_unsent(error))
        finally:
            # After an error or a cancellation nobody knows what is still on its way.
            if keep:
                target.idle.append(transport)
            else:
                await _close(transport)
        return Response(response.status_code, _read_headers(response), content)

    async def aclose(self) -> None:
        """Close every idle connection; calls that are open close their own."""
        for idle in self._idle.values():
            while idle:
                await _close(idle.pop())

    def _target(self, url: str) -> _Target:
        target = self._targets.get(url)
        if target is None:
            if len(self._targets) >= TARGETS:
                self._targets.clear()
            parsed = httpx.URL(url)
            origin = f"{parsed.scheme}://{parsed.netloc.decode()}"
            idle = self._idle.setdefault(origin, [])
            target = _Target(parsed, self._proxies.on_the_way_to(parsed), idle)
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
    """A parsed address, the proxy on its way, and the free connections of its host."""

    url: httpx.URL
    proxy: str | None
    idle: list[httpx.AsyncHTTPTransport]


class _Start:
    """Hears httpcore's documented trace and tells the caller when the first byte is to leave."""

    def __init__(self, started: Started) -> None:
        self.called = False
        self.gives_up_at = math.inf
        self._started = started

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        if event != "http11.send_request_headers.started":
            return
        request = info["request"]
        if isinstance(request, httpcore.Request) and request.method == b"CONNECT":
            return  # that one goes to a proxy, to open the connection
        # A cancellation that is already due must come before the start, not between it and the
        # first byte: nothing would have been sent, and it would count as sent.
        await trio.lowlevel.checkpoint_if_cancelled()
        self.called = True
        self.gives_up_at = self._started()


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


def _unsent(error: httpx.TransportError) -> str:
    return "the proxy did not connect" if isinstance(error, httpx.ProxyError) else unsent(error)


def _unanswered(error: httpx.TransportError) -> str:
    """What was seen instead of an answer."""
    if isinstance(error, httpx.RemoteProtocolError):
        return DISCONNECTED if "disconnected" in str(error) else NOT_HTTP
    return LOST
