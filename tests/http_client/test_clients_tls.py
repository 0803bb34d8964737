"""Both wires over TLS and through proxies: what leaves before the request is no start."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from carillon.http_client.ports import NotSent, Reply, Response, Wire
from tests.http_client.fixtures import MakeWire
from tests.neighbours.http import Answer, in_turn, serve
from tests.providers.deliveries import Starts


async def post(wire: Wire, url: str, starts: Starts) -> Reply:
    try:
        return await wire.exchange("POST", url, {}, b"{}", starts)
    finally:
        await wire.aclose()


async def test_a_trusted_certificate_is_spoken_to(
    make_wire: MakeWire, certificate: Path, server_tls: ssl.SSLContext
) -> None:
    starts = Starts()
    trusting = ssl.create_default_context(cafile=certificate)
    async with serve(Answer(201), tls=server_tls) as server:
        reply = await post(make_wire(trusting), server.url, starts)
    assert isinstance(reply, Response)
    assert reply.status == 201
    assert len(starts.times) == 1


async def test_an_unknown_certificate_is_sent_nothing(
    make_wire: MakeWire, server_tls: ssl.SSLContext
) -> None:
    starts = Starts()
    async with serve(Answer(201), tls=server_tls) as server:
        reply = await post(make_wire(), server.url, starts)
    assert reply == NotSent("TLS certificate not accepted")
    assert (starts.times, server.requests) == ([], [])


async def test_the_environments_proxy_is_used_but_not_for_no_proxy(
    make_wire: MakeWire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(Answer(202)) as proxy, serve(Answer(201)) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        through = await post(make_wire(), "http://mail.invalid/send", Starts())
        direct = await post(make_wire(), server.url, Starts())
    assert isinstance(through, Response)
    assert isinstance(direct, Response)
    assert (through.status, direct.status) == (202, 201)
    assert proxy.requests[0].target == "http://mail.invalid/send"


async def test_a_proxy_that_does_not_connect_was_sent_nothing_of_ours(
    make_wire: MakeWire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = Starts()
    async with serve(in_turn(Answer(407))) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        reply = await post(make_wire(), "https://mail.invalid/send", starts)
    assert reply == NotSent("the proxy did not connect")
    assert starts.times == []
    assert proxy.requests[0].method == "CONNECT"


@asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[str]:
    """A proxy that takes CONNECT for one port, after a while."""

    async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()

    async def connected(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        await trio.sleep(0.05)
        onward = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream, onward, trio.open_nursery() as nursery:
            await stream.send_all(b"HTTP/1.1 200 Connected\r\n\r\n")
            nursery.start_soon(pump, stream, onward)
            nursery.start_soon(pump, onward, stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, connected, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_opening_a_tunnel_is_no_start(
    make_wire: MakeWire,
    certificate: Path,
    server_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = Starts()
    trusting = ssl.create_default_context(cafile=certificate)
    async with serve(Answer(201), tls=server_tls) as server:
        async with tunnel(int(server.url.rpartition(":")[2])) as proxy:
            monkeypatch.setenv("https_proxy", proxy)
            called = trio.current_time()
            reply = await post(make_wire(trusting), server.url, starts)
    assert isinstance(reply, Response)
    (start,) = starts.times
    assert called + 0.05 <= start <= server.requests[0].arrived
