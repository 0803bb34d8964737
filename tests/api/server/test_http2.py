"""HTTP/2 with prior knowledge, where it is asked for: what holds for HTTP/1.1 holds there too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import h2.connection
import h2.events
import httpx
import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.api.server.callers import caller, everything, watch_turns
from tests.api.server.fuzz import PREFACE, block, frame, request
from tests.running import Running, running, sandbox_configuration

H2C = {"HTTP_H2C": "true"}
ADA: Document = {"_id": "ada", "emailAddress": "ada@example.com"}
BODY: JsonValue = {
    "channels": ["email"],
    "recipients": ["ada"],
    "messageTitle": "T",
    "messageContent": "C",
}
PROBE = [(":method", "GET"), (":path", "/-/healthz"), (":scheme", "http"), (":authority", "x")]


@asynccontextmanager
async def serving(folder: Path, **changes: JsonValue) -> AsyncGenerator[Running]:
    configuration = sandbox_configuration(**changes)
    async with running(folder, configuration, users=[ADA], environ=H2C) as service:
        yield service
    assert [line for line in service.log_lines if line.get("kind") == "crash"] == []


class Caller:
    """A caller that sees each event of its connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.http = h2.connection.H2Connection()
        self.http.initiate_connection()

    async def flush(self) -> None:
        await self.stream.send_all(self.http.data_to_send())

    async def until(self, kind: type[h2.events.Event], stream_id: int | None = None) -> object:
        """The next event of a kind."""
        with trio.fail_after(10):
            while True:
                data = await self.stream.receive_some()
                assert data, f"no {kind} came"
                for event in self.http.receive_data(bytes(data)):
                    if isinstance(event, kind) and stream_id in {
                        None,
                        vars(event).get("stream_id"),
                    }:
                        return event
                await self.flush()

    async def probe(self, stream_id: int) -> int:
        """The status that the probe answers."""
        self.http.send_headers(stream_id, PROBE, end_stream=True)
        await self.flush()
        answer = await self.until(h2.events.ResponseReceived, stream_id)
        assert isinstance(answer, h2.events.ResponseReceived)
        return int(dict(answer.headers)[b":status"])


async def test_both_versions_are_spoken(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        async with httpx.AsyncClient(base_url=service.url, http1=False, http2=True) as client:
            answer = await client.post("/send", json=BODY)
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 200), answer.text
            assert answer.headers.get_list("cache-control") == ["no-store"]
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
            refused = await client.put("/send", json=BODY)
            assert (refused.status_code, refused.json()["statusCode"]) == (405, "405")
            long = await client.get("/documentation/json")
            assert long.json()["openapi"]
        assert (await service.send(recipients=["ada"])).http_version == "HTTP/1.1"
        assert len(service.sent) == 2


async def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        assert await everything(service.url, PREFACE + request(1, b"GET", b"/-/healthz")) == b""


HOSTILE = {
    "a path in raw UTF-8": request(1, b"GET", "/é".encode()),
    "no path": frame(1, 5, 1, block((b":method", b"GET"), (b":scheme", b"http"))),
    "a path that is none": request(1, b"GET", b"x"),
    "a tunnel": frame(1, 5, 1, block((b":method", b"CONNECT"), (b":authority", b"x:1"))),
    "a WebSocket": request(1, b"CONNECT", b"/x", (b":protocol", b"websocket")),
    "3,000 priorities": b"".join(frame(2, 0, at, b"\0\0\0\0\x10") for at in range(1, 6001, 2)),
    "headers that never end": request(1, b"GET", b"/", (b"x", b"1"))[:4]
    + b"\0"
    + request(1, b"GET", b"/", (b"x", b"1"))[5:]
    + frame(9, 0, 1, block((b"x", b"1"))) * 300,
    "a body for nobody": frame(0, 0, 1, b"x" * 100) + frame(0, 1, 7, b"x"),
    "no frame": b"\xff" * 64,
}


async def test_what_is_no_request_ends_itself_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for data in HOSTILE.values():
            async with caller(service.url) as stream:
                await stream.send_all(PREFACE + data)
                await stream.receive_some()
            async with caller(service.url) as stream:
                assert await Caller(stream).probe(1) == 200


FLOODS = {
    "pings": frame(6, 0, 0, b"x" * 8),
    "settings": frame(4, 0, 0, b""),
    "windows": frame(8, 0, 0, b"\0\0\0\1"),
    "frames of no known kind": frame(0x42, 0, 0, b""),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_many_small_frames_let_others_have_their_turn(flood: bytes, tmp_path: Path) -> None:
    goodbye = frame(7, 0, 0, b"\0" * 8)
    async with serving(tmp_path) as service, trio.open_nursery() as nursery:
        held: list[float] = []
        nursery.start_soon(watch_turns, held)
        await everything(service.url, PREFACE + flood * 10_000 + goodbye)
        nursery.cancel_scope.cancel()
    assert max(held) < 0.03


async def test_a_refused_body_costs_neither_the_answer_nor_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, caller(service.url) as stream:
        it = Caller(stream)
        headers = [(":method", "POST"), (":path", "/nope"), *PROBE[2:]]
        it.http.send_headers(1, headers)
        for _ in range(3):
            it.http.send_data(1, b"x" * 16_000)
        await it.flush()
        answer = await it.until(h2.events.ResponseReceived, 1)
        assert isinstance(answer, h2.events.ResponseReceived)
        assert dict(answer.headers)[b":status"] == b"404"
        assert b"connection" not in dict(answer.headers)
        assert await it.probe(3) == 200


async def test_requests_that_are_reset_at_once_do_not_pile_up(tmp_path: Path) -> None:
    latency: JsonValue = {
        "email-sandbox": {"type": "sandbox", "options": {"latency": "30s"}},
        **{f"{name}-sandbox": {"type": "sandbox"} for name in ("sms", "push", "voice")},
    }
    async with serving(tmp_path, providers=latency, drain=0) as service:
        async with caller(service.url) as stream:
            it = Caller(stream)
            headers = [(":method", "POST"), (":path", "/send"), *PROBE[2:]]
            headers += [("content-type", "application/json")]
            body = httpx.Request("POST", service.url, json=BODY).content
            for at in range(1, 1001, 2):
                it.http.send_headers(at, headers)
                it.http.send_data(at, body, end_stream=True)
                it.http.reset_stream(at)
                if at % 50 == 1:
                    await it.flush()
            await it.flush()
            await trio.sleep(1)
            accepted = [line for line in service.log_lines if line["msg"] == "dispatch accepted"]
            assert len(accepted) <= 100
        assert (await service.client.get("/-/healthz")).status_code == 200


async def test_an_answer_that_nobody_takes_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.api.server.http2.STALLED", 0.3)
    async with serving(tmp_path) as service, caller(service.url) as stream:
        it = Caller(stream)
        it.http.update_settings({4: 0})  # no window for any answer
        it.http.send_headers(1, [(":method", "GET"), (":path", "/documentation/json"), *PROBE[2:]])
        await it.flush()
        with trio.fail_after(10):
            while data := await stream.receive_some():
                assert data
        [line] = [line for line in service.log_lines if line.get("kind") == "stalled"]
    assert line["msg"] == "connection ended"


async def test_what_is_in_work_is_answered_when_it_stops(tmp_path: Path) -> None:
    latency: JsonValue = {
        "email-sandbox": {"type": "sandbox", "options": {"latency": "500ms"}},
        **{f"{name}-sandbox": {"type": "sandbox"} for name in ("sms", "push", "voice")},
    }
    async with serving(tmp_path, providers=latency) as service:
        async with httpx.AsyncClient(base_url=service.url, http1=False, http2=True) as client:

            async def stop_soon() -> None:
                await service.until(lambda: service.events)
                service.stop.asked.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop_soon)
                answer = await client.post("/send", json=BODY)
    assert (answer.status_code, answer.json()) == (200, {"failures": []})
