"""The fast wire's connections: which one is taken, when one is stale, what cancelling leaves."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from trio.lowlevel import Task, add_instrument, current_task, remove_instrument

from carillon.http_client.client import Http1Wire
from carillon.http_client.connection import Connection, open_connection
from carillon.http_client.errors import IDLE_SECONDS
from carillon.http_client.pool import IdleConnections
from carillon.http_client.ports import Response, no_start
from carillon.http_client.target import Origin
from tests.http_client.raw_http import Raw, Talk, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
async def wire(tls: ssl.SSLContext) -> AsyncIterator[Http1Wire]:
    wire = Http1Wire(tls)
    yield wire
    await wire.aclose()


async def echo(talk: Talk) -> None:
    """Answers each request with its body, in two parts."""
    while True:
        body = (await talk.request()).partition(b"\r\n\r\n")[2]
        await talk.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
        await trio.sleep(0.002)
        await talk.say(body)


def origin(raw: Raw) -> Origin:
    return Origin("127.0.0.1", int(raw.url.rpartition(":")[2]), secure=False)


async def used(raw: Raw, tls: ssl.SSLContext) -> Connection:
    """A connection that has carried one exchange."""
    connection = await open_connection(origin(raw), tls)
    connection.begin()
    connection.all_sent = await connection.send(b"GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
    while not connection.answers.whole:
        assert await connection.receive()
    return connection


async def test_small_packets_are_not_held_back(tls: ssl.SSLContext) -> None:
    async with raw_server(echo) as raw:
        connection = await open_connection(origin(raw), tls)
        at = connection._socket
        assert at.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert at.getblocking() is False
        connection.close()
        connection.close()  # a second time is no harm


async def test_an_idle_connection_grows_stale(tls: ssl.SSLContext) -> None:
    async with raw_server(echo) as raw:
        idle = IdleConnections()
        idle.give_back(origin(raw), connection := await used(raw, tls))
        connection.idle_since -= IDLE_SECONDS - 1
        assert await idle.take(origin(raw)) is connection
        idle.give_back(origin(raw), connection)
        connection.idle_since -= IDLE_SECONDS
        assert await idle.take(origin(raw)) is None
        await raw.until_ended(1)


async def test_the_connections_of_a_burst_are_closed_when_they_are_old(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a timer: nobody has to come by."""
    monkeypatch.setattr("carillon.http_client.pool.IDLE_SECONDS", 0.2)
    async with raw_server(echo) as raw, raw_server(echo) as other:
        idle = IdleConnections()
        for _ in range(3):
            idle.give_back(origin(raw), await used(raw, tls))
        idle.give_back(origin(other), await used(other, tls))
        await raw.until_ended(3)
        await other.until_ended(1)
        idle.give_back(origin(raw), await used(raw, tls))  # and again, when none was left
        await raw.until_ended(4)


async def test_closing_ends_what_rests_and_more_may_rest_afterwards(tls: ssl.SSLContext) -> None:
    async with raw_server(echo) as raw:
        idle = IdleConnections()
        for number in (1, 2):
            idle.give_back(origin(raw), await used(raw, tls))
            idle.close()
            await raw.until_ended(number)


@pytest.mark.parametrize("farewell", [b"", b"HTTP/1.1 408 Too slow\r\n\r\n", b"\r\n"])
async def test_what_comes_on_an_idle_connection_is_noticed_before_a_byte_is_written(
    wire: Http1Wire, farewell: bytes
) -> None:
    idle, said = trio.Event(), trio.Event()

    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(OK)
        await idle.wait()
        if farewell:
            await talk.say(farewell)
        else:
            await talk.stream.aclose()
        said.set()
        if farewell:
            await talk.until_gone()

    async with raw_server(peer) as raw:
        for _ in range(3):
            idle, said = trio.Event(), trio.Event()
            reply = await wire.exchange("POST", raw.url, {}, b"", no_start)
            assert isinstance(reply, Response)
            assert reply.status == 200
            idle.set()
            await said.wait()
    assert raw.connections == 3


class CancelAt(trio.abc.Instrument):
    """Cancels a scope as a task goes on for the n-th time, or when it waits again after that.

    In the first case it may have been woken by success: then it goes on, and is to be cancelled.
    """

    def __init__(self, task: Task, scope: trio.CancelScope, steps: int, moment: str) -> None:
        self._task = task
        self._scope = scope
        self._left = steps
        self._moment = moment

    def before_task_step(self, task: Task) -> None:
        self._count(task, "before_task_step")

    def after_task_step(self, task: Task) -> None:
        self._count(task, "after_task_step")

    def _count(self, task: Task, moment: str) -> None:
        if task is self._task and moment == self._moment:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


def start() -> float:
    """A cancellation that is due comes before a start."""
    assert trio.current_effective_deadline() > float("-inf")
    return float("inf")


async def cut_short(wire: Http1Wire, url: str, size: int, steps: int, moment: str) -> bool:
    """A call that is cancelled at its n-th step; False when it was over before.

    It is answered for all that when the answer has come by then.
    """
    with trio.CancelScope() as scope:
        instrument = CancelAt(current_task(), scope, steps, moment)
        add_instrument(instrument)
        try:
            await wire.exchange("POST", url, {}, b"A" * size, start)
        finally:
            remove_instrument(instrument)
    return scope.cancel_called


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("kind", ["idle", "new", "new, secure"])
@pytest.mark.parametrize("moment", ["before_task_step", "after_task_step"])
async def test_a_call_cancelled_at_any_await_leaves_no_half_used_connection(
    certificate: Path, server_tls: ssl.SSLContext, size: int, kind: str, moment: str
) -> None:
    """Each await in turn is cancelled; what comes next is answered with what was asked."""
    wire = Http1Wire(ssl.create_default_context(cafile=certificate))
    async with raw_server(echo, server_tls if "secure" in kind else None) as raw:
        await wire.exchange("POST", raw.url, {}, b"warm", no_start)
        cancelled, step = True, 0
        while cancelled:
            step += 1
            if "new" in kind:
                await wire.aclose()
            cancelled = await cut_short(wire, raw.url, size, step, moment)
            body = b"%d" % step
            reply = await wire.exchange("POST", raw.url, {}, body, no_start)
            assert isinstance(reply, Response)
            assert reply.body == body
        await wire.aclose()
        await raw.until_ended(raw.connections)
    assert step > 2


class NoHurry(trio.abc.HostnameResolver):
    """Looks for every name without end."""

    async def getaddrinfo(self, *_: object) -> NoReturn:
        await trio.sleep_forever()

    async def getnameinfo(self, *_: object) -> NoReturn:
        await trio.sleep_forever()


async def given_up(wire: Http1Wire, url: str) -> None:
    """A call that gets no connection and is cancelled."""
    starts: list[float] = []

    def start() -> float:
        starts.append(0.0)
        return 0.0

    with trio.move_on_after(0.1) as scope:
        await wire.exchange("POST", url, {}, b"", start)
    assert scope.cancelled_caught
    assert starts == []


async def test_a_look_up_can_be_given_up(wire: Http1Wire) -> None:
    trio.socket.set_custom_hostname_resolver(NoHurry())
    await given_up(wire, "http://slow.invalid/")


async def test_a_handshake_can_be_given_up(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        await talk.until_gone()

    async with raw_server(peer) as raw:
        await given_up(wire, raw.url.replace("http:", "https:"))
        await raw.until_ended(1)
    assert raw.connections == 1
