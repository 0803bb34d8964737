"""Exchanges that begin without a task: at once on a connection that is there, or not at all."""

from __future__ import annotations

import select
import ssl
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

import pytest
import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.ports import OpenExchange, Reply, Request, Response, no_start
from tests.http_client.raw_http import Raw, Talk, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LARGE = b"x" * 8_000_000


@pytest.fixture
async def wire(certificate: Path) -> AsyncIterator[Http1Wire]:
    wire = Http1Wire(ssl.create_default_context(cafile=certificate))
    yield wire
    await wire.aclose()


async def echo(talk: Talk) -> None:
    while True:
        await talk.request()
        await talk.say(OK)


async def warm(wire: Http1Wire, raw: Raw) -> None:
    """Two calls: the second one waits until the connection has proven to be left open."""
    for _ in range(2):
        await wire.exchange("POST", raw.url, {}, b"warm", no_start)


def begun(wire: Http1Wire, raw: Raw, body: bytes = b"body") -> OpenExchange:
    exchange = wire.begin(Request(raw.url, {}, body), no_start)
    assert exchange is not None
    return exchange


async def heard(exchange: OpenExchange, epoll: select.epoll) -> Reply:
    exchange.watch(epoll)
    with trio.fail_after(5):
        while (reply := exchange.read()) is None:
            await trio.lowlevel.wait_readable(epoll.fileno())
            assert epoll.poll(0) == [(exchange.number, select.EPOLLIN)]
    return reply


@pytest.mark.parametrize("is_secure", [False, True])
async def test_it_begins_where_a_connection_is_there(
    wire: Http1Wire, server_tls: ssl.SSLContext, *, is_secure: bool
) -> None:
    async with raw_server(echo, server_tls if is_secure else None) as raw:
        assert wire.begin(Request(raw.url, {}, b"body"), no_start) is None
        await warm(wire, raw)
        with select.epoll() as epoll:
            for _ in range(3):
                exchange = begun(wire, raw)
                assert (exchange.is_written, exchange.until) == (True, inf)
                assert wire.begin(Request(raw.url, {}, b"body"), no_start) is None
                reply = await heard(exchange, epoll)
                assert isinstance(reply, Response)
                assert (reply.status, reply.body) == (200, b"ok")
        assert raw.connections == 1


async def test_two_watch_a_connection_in_turn(wire: Http1Wire) -> None:
    async with raw_server(echo) as raw:
        await warm(wire, raw)
        with select.epoll() as one, select.epoll() as other:
            for epoll in (one, other, one, other):
                assert isinstance(await heard(begun(wire, raw), epoll), Response)
                one.poll(0)
        assert raw.connections == 1


@pytest.mark.parametrize("is_secure", [False, True])
async def test_what_the_socket_does_not_take_is_written_by_who_waits(
    wire: Http1Wire, server_tls: ssl.SSLContext, *, is_secure: bool
) -> None:
    async with raw_server(echo, server_tls if is_secure else None) as raw:
        await warm(wire, raw)
        exchange = begun(wire, raw, LARGE)
        assert not exchange.is_written
        with trio.fail_after(30):
            reply = await exchange.complete()
        assert isinstance(reply, Response)
        assert raw.connections == 1


async def test_one_that_is_abandoned_closes_its_connection(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        for _ in range(2):
            await talk.request()
            await talk.say(OK)
        await talk.request()
        await talk.until_gone()

    async with raw_server(peer) as raw:
        await warm(wire, raw)
        exchange = begun(wire, raw)
        exchange.abandon()
        exchange.abandon()  # a second time is no harm
        await raw.until_ended(1)


async def test_no_byte_leaves_when_it_must_not_start(wire: Http1Wire) -> None:
    def late() -> float:
        raise TimeoutError

    received: list[bytes] = []

    async def peer(talk: Talk) -> None:
        while True:
            received.append(await talk.request())
            await talk.say(OK)

    async with raw_server(peer) as raw:
        await warm(wire, raw)
        with pytest.raises(TimeoutError):
            wire.begin(Request(raw.url, {}, b"late"), late)
        await raw.until_ended(1)
    assert len(received) == 2


async def test_a_body_that_does_not_end_is_cut_and_its_status_counts(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        for _ in range(2):
            await talk.request()
            await talk.say(OK)
        await talk.request()
        await talk.say(OK[:-1])
        await talk.until_gone()

    async with raw_server(peer) as raw:
        await warm(wire, raw)
        with select.epoll() as epoll:
            exchange = begun(wire, raw)
            exchange.watch(epoll)
            with trio.fail_after(5):
                while exchange.until == inf:
                    await trio.lowlevel.wait_readable(epoll.fileno())
                    epoll.poll(0)
                    assert exchange.read() is None
            assert exchange.until <= trio.current_time() + 2
            reply = exchange.cut()
            assert isinstance(reply, Response)
            assert (reply.status, reply.body) == (200, b"o")
            await raw.until_ended(1)


async def test_nothing_is_cut_short_that_has_not_begun(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        for _ in range(2):
            await talk.request()
            await talk.say(OK)
        await talk.until_gone()

    async with raw_server(peer) as raw:
        await warm(wire, raw)
        assert begun(wire, raw).cut() is None
        await raw.until_ended(1)
