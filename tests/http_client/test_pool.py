"""Connections between two requests: who closes them, when, and what is learnt of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest
import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.ports import NotAnswered, Reply, Response, no_start
from tests.http_client.raw_http import Raw, Talk, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n%b\r\nok"


@pytest.fixture
async def wire(tls: ssl.SSLContext) -> AsyncIterator[Http1Wire]:
    wire = Http1Wire(tls)
    yield wire
    await wire.aclose()


async def call(wire: Http1Wire, raw: Raw) -> Reply:
    with trio.fail_after(10):
        return await wire.exchange("POST", raw.url, {}, b"{}", no_start)


async def calls(wire: Http1Wire, raw: Raw, each: int, callers: int = 4) -> list[Reply]:
    """So many calls one after the other, by callers at once."""
    replies: list[Reply] = []

    async def caller() -> None:
        replies.extend([await call(wire, raw) for _ in range(each)])

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(caller)
    return replies


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.001, 0.004])
async def test_a_server_that_closes_after_each_answer_loses_nothing(
    wire: Http1Wire, after: float
) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(OK % b"")
        if after:
            await trio.sleep(after)

    async with raw_server(peer) as raw:
        replies = await calls(wire, raw, each=100)
    assert len(replies) == 400
    assert not [reply for reply in replies if isinstance(reply, NotAnswered)]


async def test_a_server_that_ends_connections_under_requests_is_learnt(wire: Http1Wire) -> None:
    """It takes a second request on each and goes: two are lost, then none is used again."""

    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(OK % b"")
        await talk.request()

    async with raw_server(peer) as raw:
        replies = await calls(wire, raw, each=100, callers=1)
        assert [isinstance(reply, NotAnswered) for reply in replies].count(True) == 2
        assert raw.connections == 98


@pytest.mark.parametrize(
    ("keep_alive", "connections"),
    [
        (b"Keep-Alive: timeout=1\r\n", 2),
        (b"keep-alive: max=5, timeout = 0\r\n", 2),
        (b"Keep-Alive: timeout=60\r\n", 1),
        (b"Keep-Alive: max=100\r\n", 1),
        (b"Keep-Alive: timeout=soon\r\n", 1),
    ],
)
async def test_what_a_server_says_of_its_patience_is_obeyed(
    wire: Http1Wire, keep_alive: bytes, connections: int
) -> None:
    async def peer(talk: Talk) -> None:
        while True:
            await talk.request()
            await talk.say(OK % keep_alive)

    async with raw_server(peer) as raw:
        await call(wire, raw)
        await trio.sleep(0.6)
        assert isinstance(await call(wire, raw), Response)
        assert raw.connections == connections


async def test_a_server_that_restarts_is_trusted_again(wire: Http1Wire) -> None:
    """All of its connections end at once: that is one experience, and not many."""
    stop = trio.Event()

    async def peer(talk: Talk) -> None:
        while True:
            with trio.CancelScope() as scope, trio.move_on_after(60):
                async with trio.open_nursery() as nursery:

                    async def until_stopped(scope: trio.CancelScope = scope) -> None:
                        await stop.wait()
                        scope.cancel()

                    if talk.number <= 3:
                        nursery.start_soon(until_stopped)
                    await talk.request()
                    await trio.sleep(0.03)
                    await talk.say(OK % b"")
                    nursery.cancel_scope.cancel()
            if scope.cancelled_caught:
                return

    async with raw_server(peer) as raw:
        await calls(wire, raw, each=2, callers=3)
        assert raw.connections == 3
        stop.set()
        await raw.until_ended(3)
        assert all(isinstance(one, Response) for one in await calls(wire, raw, each=20, callers=1))
        assert raw.connections <= 5  # one has to rest now and then


async def test_a_request_of_which_no_byte_was_taken_may_be_made_again_at_once(
    wire: Http1Wire,
) -> None:
    """The server's farewell was on its way already, as it would have been over a network."""
    taken = trio.Event()

    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(OK % b"")
        await taken.wait()
        await talk.stream.aclose()

    async with raw_server(peer) as raw:
        await call(wire, raw)
        await trio.sleep(0.05)
        connection = await wire._idle.take(next(iter(wire._idle._rests)))
        assert connection is not None
        taken.set()
        await raw.until_ended(1)
        connection.begin()
        connection.all_sent = await connection.send(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        assert not await connection.receive()
        assert connection.is_lost
        assert connection.is_untouched
        connection.close()


async def test_a_request_that_was_taken_is_unanswered_whatever_comes(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(OK % b"")
        await talk.request()

    async with raw_server(peer) as raw:
        await call(wire, raw)
        assert isinstance(await call(wire, raw), NotAnswered)
