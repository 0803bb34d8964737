"""Connections: how many, who gives way, and that none of them harms another."""

from __future__ import annotations

import errno
import logging
import os
import random
import socket
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from prometheus_client import CollectorRegistry

from carillon.api.server.exchange import Application, Exchange
from carillon.api.server.listener import Listener, ListenerSettings
from carillon.messages.model import Document
from carillon.telemetry.logs import JsonLines
from carillon.telemetry.metrics import Metrics
from tests.api.server.callers import address, ask, caller, everything, parse, reset
from tests.running import running, sandbox_configuration

PROBE = b"GET /-/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def empty(_: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def broken(_: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> NoReturn:
    await receive()
    raise RuntimeError("the secret of a caller")


async def broken_in_two(_: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    async def fail() -> NoReturn:
        await receive()
        raise RuntimeError("the secret of a caller")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        nursery.start_soon(trio.sleep_forever)


async def broken_in_its_answer(
    _: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> NoReturn:
    await receive()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]}
    )
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("the secret of a caller")


class Heard(logging.Handler):
    """Keeps the lines of a log."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Edge:
    """A listener around an application, its counts and its log."""

    def __init__(self, nursery: trio.Nursery, connections: int = 100) -> None:
        self.heard = Heard()
        logger = logging.Logger("edge")
        logger.addHandler(self.heard)
        registry = CollectorRegistry()
        self._registry = registry
        self.exchange = Exchange(logger, Metrics(registry))
        self.listener = Listener(ListenerSettings("127.0.0.1", 0, connections), self.exchange)
        self._nursery = nursery
        self.stop = trio.Event()
        self.at_once = trio.Event()

    async def serve(self, app: Application, last_words: float = 5.0) -> str:
        url: str = await self._nursery.start(
            self.listener.serve, app, self.stop.wait, last_words, self.at_once
        )
        return url

    def count(self, kind: str) -> float:
        name = "carillon_connection_errors_total"
        return self._registry.get_sample_value(name, {"kind": kind}) or 0.0


@pytest.mark.parametrize("app", [broken, broken_in_two])
async def test_a_bug_below_the_application_is_answered_logged_and_ends_nothing_else(
    app: Application, nursery: trio.Nursery
) -> None:
    edge = Edge(nursery)
    url = await edge.serve(app)
    for _ in range(2):
        answer = await ask(url, PROBE)
        assert (answer.status, answer.error["error"]) == (500, "Internal server error")
    assert edge.count("crash") == 2
    assert len(edge.heard.lines) == 2
    assert "RuntimeError" in edge.heard.lines[0]
    assert "secret" not in "".join(edge.heard.lines)
    nursery.cancel_scope.cancel()


async def test_an_answer_that_breaks_off_is_cut(nursery: trio.Nursery) -> None:
    edge = Edge(nursery)
    url = await edge.serve(broken_in_its_answer)
    assert (await everything(url, PROBE)).endswith(b"\r\n\r\nhalf")
    assert edge.count("crash") == 1
    nursery.cancel_scope.cancel()


async def test_all_places_taken_the_oldest_idle_caller_gives_way(nursery: trio.Nursery) -> None:
    edge = Edge(nursery, connections=3)
    url = await edge.serve(empty)
    async with caller(url) as first, caller(url) as second, caller(url) as third:
        for stream in (first, second, third):
            await stream.send_all(PROBE.replace(b"Connection: close\r\n", b""))
            await stream.receive_some()
        assert edge.listener.open_connections == 3
        assert parse(await everything(url, PROBE)).status == 204
        assert await first.receive_some() == b""
        await second.send_all(PROBE)
        assert b"204" in await second.receive_some()
    assert edge.heard.lines == []
    nursery.cancel_scope.cancel()


async def test_all_places_in_work_one_more_is_told_so(nursery: trio.Nursery) -> None:
    working = trio.Event()

    async def slow(_: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await working.wait()
        await empty(_, receive, send)

    edge = Edge(nursery, connections=2)
    url = await edge.serve(slow)
    async with caller(url) as first, caller(url) as second:
        await first.send_all(PROBE)
        await second.send_all(PROBE)
        await trio.testing.wait_all_tasks_blocked(0.05)
        answer = await ask(url, PROBE)
        assert (answer.status, answer.error["error"]) == (503, "Service unavailable")
        assert answer.headers["retry-after"] == "1"
        assert edge.count("full") == 1
    nursery.cancel_scope.cancel()


async def test_it_accepts_on_once_there_are_descriptors_again(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = [
        OSError(code, os.strerror(code)) for code in (errno.EMFILE, errno.ENFILE, errno.EMFILE)
    ]
    accept = trio.SocketListener.accept

    async def without(listener: trio.SocketListener) -> trio.SocketStream:
        if lacking:
            raise lacking.pop()
        return await accept(listener)

    monkeypatch.setattr(trio.SocketListener, "accept", without)
    edge = Edge(nursery)
    url = await edge.serve(empty)
    assert parse(await everything(url, PROBE)).status == 204
    assert edge.count("descriptors") == 1
    assert "Too many open files" in edge.heard.lines[0]
    nursery.cancel_scope.cancel()


async def test_what_idles_is_closed_at_once_when_it_stops(nursery: trio.Nursery) -> None:
    edge = Edge(nursery)
    url = await edge.serve(empty)
    async with caller(url) as silent, caller(url) as half:
        await half.send_all(PROBE[:20])
        await trio.testing.wait_all_tasks_blocked(0.05)
        edge.stop.set()
        with trio.fail_after(3):
            assert await silent.receive_some() == b""
            assert await half.receive_some() == b""


async def test_an_answer_that_nobody_takes_ends_its_connection(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.api.server.caller_stream.STALLED", 0.3)

    async def long(_: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(50_000_000), "more_body": False})

    edge = Edge(nursery)
    url = await edge.serve(long)
    async with caller(url) as stream:
        await stream.send_all(PROBE)
        with trio.fail_after(10):
            while not edge.count("stalled"):
                await trio.sleep(0.05)
    assert "takes nothing" in edge.heard.lines[0]
    async with caller(url) as slow:  # who takes some all the time is served to the end
        await slow.send_all(PROBE)
        taken = 0
        while part := await slow.receive_some(2_000_000):
            taken += len(part)
            await trio.sleep(0.02)
    assert taken > 50_000_000
    nursery.cancel_scope.cancel()


async def test_what_a_caller_sent_before_it_left_is_dropped(tmp_path: Path) -> None:
    body = b'{"channels":["email"],"recipients":["ada"],"messageTitle":"","messageContent":""}'
    head = b"POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    ada: Document = {"_id": "ada", "emailAddress": "ada@example.com"}
    async with running(tmp_path, users=[ada]) as service:
        async with caller(service.url) as stream:
            await stream.send_all(request * 20)
        await service.until(lambda: service.sent)
        await trio.sleep(0.5)
        assert len(service.sent) < 5
        async with caller(service.url) as stream:
            await stream.send_all(request * 20)
            reset(stream)
        await trio.sleep(0.5)
        assert len(service.sent) < 10


HEADS = (
    b"POST /nope HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n",
    b"POST /send HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 200000\r\n\r\n",
    b"POST /send HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n100\r\n",
    b"GET /providers HTTP/1.1\r\nhost: y\r\ncontent-length: 200000\r\n\r\n",
)


async def test_callers_who_hang_up_in_a_refused_body_end_nothing(tmp_path: Path) -> None:
    draw = random.Random(1)

    async def hang_up(url: str) -> None:
        with trio.socket.socket() as it:
            await it.connect(address(url))
            body = b"x" * draw.choice((0, 1, 1000, 65_000, 150_000))
            with trio.move_on_after(0.1):
                try:
                    await trio.SocketStream(it).send_all(draw.choice(HEADS) + body)
                    await trio.sleep(draw.choice((0, 0, 0.001, 0.005, 0.02, 0.022)))
                except trio.BrokenResourceError:
                    return
            if draw.random() < 0.3:
                reset(trio.SocketStream(it))

    async def hang_up_often(url: str) -> None:
        for _ in range(150):
            await hang_up(url)

    async with running(tmp_path) as service:
        async with trio.open_nursery() as hammering:
            for _ in range(12):
                hammering.start_soon(hang_up_often, service.url)
        with trio.fail_after(20):
            while (
                "carillon_open_connections 1.0" not in (await service.client.get("/-/metrics")).text
            ):
                await trio.sleep(0.1)
    crashes = [line for line in service.log_lines if line.get("kind") == "crash"]
    assert crashes == []


async def test_a_refused_body_that_is_on_its_way_costs_nobody_the_answer(tmp_path: Path) -> None:
    """As most clients do: all is written before anything is read."""
    size = 12_000_000
    configuration = sandbox_configuration(limits={"bodyBytes": 1_000_000})
    async with running(tmp_path, configuration) as service:

        def write_then_read(head: bytes) -> bytes:
            with socket.create_connection(address(service.url), timeout=10) as it:
                it.sendall(head + b"content-length: %d\r\n\r\n" % size)
                for _ in range(size // 100_000):
                    it.sendall(b"x" * 100_000)
                answer = b""
                while part := it.recv(65_536):
                    answer += part
                return answer

        post = b"POST /send HTTP/1.1\r\nhost: x\r\n"
        for head, status in {
            b"POST /nope HTTP/1.1\r\nhost: x\r\n": 404,
            b"PUT /send HTTP/1.1\r\nhost: x\r\n": 405,
            post + b"content-type: application/json\r\n": 413,
            post + b"content-type: text/plain\r\n": 415,
            post + b"x: 1\r\n 2\r\n": 400,
        }.items():
            answer = parse(await trio.to_thread.run_sync(write_then_read, head))
            assert answer.status == status
            assert answer.error["message"]
            assert answer.headers["connection"] == "close"


ANNOUNCED = (
    b"POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 16000000\r\n\r\n"
)


async def test_large_bodies_that_wait_for_room_leave_places_for_others(tmp_path: Path) -> None:
    answers: list[bytes] = []

    async def announce() -> None:
        async with caller(service.url) as stream:
            await stream.send_all(ANNOUNCED)
            answers.append(bytes(await stream.receive_some()))

    async with running(tmp_path) as service, trio.open_nursery() as nursery:
        for _ in range(80):
            nursery.start_soon(announce)
        await service.until(lambda: len(answers) >= 8)
        nursery.cancel_scope.cancel()
    assert {parse(answer).status for answer in answers} == {503}
    assert "large bodies" in str(parse(answers[0]).error["message"])


async def test_who_hangs_up_in_a_large_body_gives_its_room_back(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for _ in range(8):
            async with caller(service.url) as stream:
                await stream.send_all(ANNOUNCED + b" " * 100_000)
        with trio.fail_after(15):
            answer = await service.send(recipients=[], more="x" * 5_000_000)
    assert answer.status_code == 200, answer.text
