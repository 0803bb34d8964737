"""The fast wire's connections behind httpx's transport interface, for any httpx client on trio."""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import httpx
import trio

from carillon.http_client.client import sliced
from carillon.http_client.connection import Connection, open_connection
from carillon.http_client.errors import IDLE_SECONDS, unsent
from carillon.http_client.pool import IdleConnections
from carillon.http_client.proxies import Proxies
from carillon.http_client.response import NotHttp
from carillon.http_client.target import Origin, check_header, check_line, origin_of


class Framing:
    """The head of a request, and its body as its headers announce it: chunked or of a length."""

    def __init__(self, request: httpx.Request) -> None:
        """Raises `httpx.LocalProtocolError` for what would not stay in its line."""
        self.head = _head(request)
        self._chunked = "transfer-encoding" in request.headers
        self._left = 0 if self._chunked else int(request.headers.get("content-length", 0))

    def framed(self, part: bytes) -> bytes:
        """A part of the body as it is written.

        Raises `httpx.LocalProtocolError` for more than was announced.
        """
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(part), part) if part else b""
        self._left -= len(part)
        if self._left < 0:
            raise httpx.LocalProtocolError("the body is longer than its Content-Length")
        return part

    def end(self) -> bytes:
        """What follows the last part. Raises `httpx.LocalProtocolError` when some is missing."""
        if self._left:
            raise httpx.LocalProtocolError("the body is shorter than its Content-Length")
        return b"0\r\n\r\n" if self._chunked else b""


def _head(request: httpx.Request) -> bytes:
    target = request.url.raw_path.decode("ascii")
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
    ]
    try:
        check_line(request.method, target)
        for name, value in headers:
            check_header(name, value)
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from None
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"{request.method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


Timeouts = Mapping[str, float | None]
"""httpx's extension of this name: seconds for each `connect`, `read` and `write`, or None."""


class Http1Transport(httpx.AsyncBaseTransport):
    """Plain HTTP/1.1 over TCP and TLS; a connection for each call that is open at once.

    A call that ends gives its connection to the next one, so each caller in a loop stays on one.
    Bodies are streamed both ways. Nothing is repeated, and no redirect followed. What it does not
    speak (a proxy of the environment's on the way, other schemes, upgrades, extensions other than
    `timeout`) goes to httpx's own transport. `pool` of the timeouts has nothing to bound.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` may be shared; it defaults to httpx's."""
        self._tls = tls or httpx.create_ssl_context()
        self._proxies = Proxies()
        self._idle = IdleConnections()
        self._others: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and read the answer's head; the body is read by whoever wants it.

        Raises httpx's transport errors.
        """
        proxy = self._proxies.on_the_way_to(request.url.scheme, request.url.netloc.decode())
        origin = origin_of(request.url)
        if proxy or origin is None or _is_special(request):
            return await self._other(proxy).handle_async_request(request)
        timeouts: Timeouts = request.extensions.get("timeout", {})
        framing = Framing(request)
        await trio.lowlevel.checkpoint_if_cancelled()
        connection = await self._idle.take(origin) or await self._open(origin, timeouts)
        call = _Call(self._idle, origin, connection, timeouts)
        try:
            connection.begin(bodiless=request.method == "HEAD")
            await call.write(request, framing)
            return await call.answer()
        except BaseException:
            await call.aclose()
            raise

    async def aclose(self) -> None:
        """Close every idle connection; answers that are still being read close their own."""
        self._idle.close()
        for other in self._others.values():
            await other.aclose()

    async def _open(self, origin: Origin, timeouts: Timeouts) -> Connection:
        with _phase(timeouts.get("connect"), httpx.ConnectTimeout, httpx.ConnectError):
            return await open_connection(origin, self._tls)

    def _other(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        other = self._others.get(proxy)
        if other is None:
            # Nobody looks at what idles there: few may, until the next request.
            limits = httpx.Limits(max_keepalive_connections=2, keepalive_expiry=IDLE_SECONDS)
            other = httpx.AsyncHTTPTransport(
                verify=self._tls, trust_env=False, proxy=proxy, limits=limits
            )
            self._others[proxy] = other
        return other


class _Call(httpx.AsyncByteStream):
    """One request on its connection, then the body of its answer.

    It is its own iterator: an abandoned generator would warn.
    """

    def __init__(
        self, idle: IdleConnections, origin: Origin, connection: Connection, timeouts: Timeouts
    ) -> None:
        self._idle = idle
        self._origin = origin
        self._connection = connection
        self._timeouts = timeouts
        self._open = True

    async def write(self, request: httpx.Request, framing: Framing) -> None:
        """Send all of the request, or as much of it as is wanted when an answer comes early."""
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("the body must be asynchronous, as its client is")
        parts = aiter(request.stream)
        pending = framing.head
        try:
            async for part in parts:
                if not await self._send(pending + framing.framed(part)):
                    return
                pending = b""
        finally:
            if isinstance(parts, AsyncGenerator):
                await parts.aclose()
        self._connection.all_sent = await self._send(pending + framing.end())

    async def _send(self, data: bytes) -> bool:
        for piece in sliced(data):
            with _phase(self._timeouts.get("write"), httpx.WriteTimeout, httpx.WriteError):
                if not await self._connection.send(piece):
                    return False
        return True

    async def answer(self) -> httpx.Response:
        """The answer, its body unread."""
        answers = self._connection.answers
        while not answers.status:
            if not await self._receive():
                if self._connection.send_failed:
                    raise httpx.WriteError("the connection was lost while the request was sent")
                raise httpx.RemoteProtocolError("the server disconnected without an answer")
        head = answers.head()
        return httpx.Response(
            answers.status,
            headers=head.fields,
            stream=self,
            extensions={
                "http_version": b"HTTP/" + head.version.encode("ascii"),
                "reason_phrase": head.reason,
            },
        )

    async def _receive(self) -> bool:
        with _phase(self._timeouts.get("read"), httpx.ReadTimeout, httpx.ReadError):
            return await self._connection.receive()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        answers = self._connection.answers
        while self._open:
            if part := answers.take():
                return part
            if answers.whole:
                await self.aclose()
            elif not await self._receive():
                if not answers.until_end:
                    raise httpx.RemoteProtocolError("the server disconnected within a body")
                await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the connection back, or close it when it is half used."""
        if self._open:
            self._open = False
            self._idle.give_back(self._origin, self._connection)


def _is_special(request: httpx.Request) -> bool:
    return (
        request.method == "CONNECT"
        or "upgrade" in request.headers
        or not request.extensions.keys() <= {"timeout"}
    )


@contextmanager
def _phase(
    seconds: float | None,
    late: type[httpx.TimeoutException],
    broken: type[httpx.NetworkError],
) -> Iterator[None]:
    """Bounds a phase of a call, and tells its failures as httpx does; never with an address."""
    try:
        with trio.fail_after(math.inf if seconds is None else seconds):
            yield
    except trio.TooSlowError:
        raise late(f"longer than {seconds:g} s") from None
    except NotHttp:
        raise httpx.RemoteProtocolError("the answer is not HTTP/1.1") from None
    except (OSError, UnicodeError) as error:
        raise broken(unsent(error)) from error
