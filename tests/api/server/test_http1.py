"""Requests as they stand on the wire: what is ambiguous or no HTTP is answered, and closed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from carillon.api.server.connection import SOON
from tests.api.server.callers import ask, caller, everything, parse, reset, watch_turns
from tests.running import running

HOST = b" HTTP/1.1\r\nHost: x\r\n"
PROBE = b"GET /-/healthz" + HOST
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED: Mapping[str, tuple[bytes, int]] = {
    "length and chunks": (
        b"POST /send" + HOST + JSON + CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks and length": (
        b"POST /send" + HOST + JSON + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
        400,
    ),
    "chunks in HTTP/1.0": (b"POST /send HTTP/1.0\r\n" + JSON + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "a folded header": (PROBE + b"X: 1\r\n 2\r\n\r\n", 400),
    "a header folded with a tab": (PROBE + b"X: 1\n\tTransfer-Encoding: chunked\n\n", 400),
    "a fold at the first header": (b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    "two lengths": (b"POST /send" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "a length that is none": (b"POST /send" + HOST + b"Content-Length: +1\r\n\r\n", 400),
    "another coding": (b"POST /send" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "a chunk that is none": (b"POST /send" + HOST + JSON + CHUNKED + b"\r\nz\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (PROBE + b"Host: y\r\n\r\n", 400),
    "a space before the colon": (PROBE + b"X : 1\r\n\r\n", 400),
    "a NUL": (PROBE + b"X: \0\r\n\r\n", 400),
    "no method": (b"\r\n\r\n", 400),
    "two empty lines": (b"\r\n\r\n" + PROBE + b"\r\n", 400),
    "half an empty line": (b"\r" + PROBE + b"\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a path in raw UTF-8": ("GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
    "only a query": (b"GET ?x" + HOST + b"\r\n", 400),
    "a tunnel": (b"CONNECT x:1" + HOST + b"\r\n", 400),
    "all of the server": (b"OPTIONS *" + HOST + b"\r\n", 400),
    "HTTP/3": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    "a head too long": (PROBE + b"X: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    "a head without end": (PROBE + b"X: " + b"x" * 20_000, 431),
}


async def test_what_may_not_be_answered_is_refused_in_the_error_shape(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answers = {name: await ask(service.url, request) for name, (request, _) in REFUSED.items()}
        metrics = (await service.client.get("/-/metrics")).text
    expected = {name: status for name, (_, status) in REFUSED.items()}
    assert {name: answer.status for name, answer in answers.items()} == expected
    for answer in answers.values():
        assert answer.error["message"]
        assert answer.headers["connection"].lower() == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert f'carillon_connection_errors_total{{kind="protocol"}} {len(REFUSED)}.0' in metrics
    lines = [line for line in service.log_lines if line["msg"] == "request refused"]
    assert [line["status"] for line in lines] == list(expected.values())
    assert {line["kind"] for line in lines} == {"protocol"}


UPGRADES = {
    "WebSocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n",
}


@pytest.mark.parametrize(("path", "status"), [(b"/-/healthz", 200), (b"/x", 404)])
async def test_an_upgrade_is_ignored(path: bytes, status: int, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for upgrade in UPGRADES.values():
            request = b"GET " + path + HOST + upgrade + b"\r\nx \r\n\r\n"
            answers = await everything(service.url, request)
            assert parse(answers).status == status
            assert b"HTTP/1.1 400 " in answers  # what follows is no request
            assert (await service.client.get("/-/ready")).status_code == 200


async def test_http2_is_closed_without_a_word(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        assert await everything(service.url, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == b""


async def test_a_host_that_is_none_is_refused(tmp_path: Path) -> None:
    host = b"GET / HTTP/1.1\r\nConnection: close\r\nHost: x..y\r\n\r\n"
    async with running(tmp_path) as service:
        answer = await ask(service.url, host)
    assert answer.status == 400
    assert "Host" in str(answer.error["message"])


async def test_the_whole_address_of_a_request_to_a_proxy_is_its_path(tmp_path: Path) -> None:
    request = b"GET http://x/-/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with running(tmp_path) as service:
        assert (await ask(service.url, request)).status == 200


async def test_requests_that_come_together_are_answered_in_turn(tmp_path: Path) -> None:
    last = PROBE + b"Connection: close\r\n\r\n"
    async with running(tmp_path) as service:
        answers = await everything(
            service.url, (PROBE + b"\r\n") * 5 + b"HEAD /x" + HOST + b"\r\n" + last
        )
    assert [answers.count(b"HTTP/1.1 %d" % status) for status in (200, 404)] == [6, 1]
    assert answers.count(b'"status":"OK"') == 6


@pytest.mark.parametrize("pieces", [[b"\r\n" + PROBE], [b"\r", b"\n" + PROBE], [b"\r\n", PROBE]])
async def test_an_empty_line_before_a_request_is_skipped(
    pieces: list[bytes], tmp_path: Path
) -> None:
    async with running(tmp_path) as service, caller(service.url) as stream:
        await stream.send_all(PROBE + b"\r\n")
        for piece in pieces:
            await trio.sleep(0.05)
            await stream.send_all(piece)
        await stream.send_all(b"Connection: close\r\n\r\n")
        with trio.fail_after(10):
            answers = b"".join([part async for part in stream])
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") == 2


async def test_a_caller_who_ends_its_side_is_answered_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as service, caller(service.url) as stream:
        await stream.send_all((PROBE + b"\r\n") * 3)
        await stream.send_eof()
        with trio.fail_after(5):
            answers = b"".join([part async for part in stream])
    assert answers.count(b"HTTP/1.1 200 ") == 3


async def test_a_caller_who_asks_first_is_told_to_go_on(tmp_path: Path) -> None:
    body = json.dumps({"channels": ["email"], "messageTitle": "T", "messageContent": "C"})
    head = b"POST /send" + HOST + JSON + b"Expect: 100-continue\r\nConnection: close\r\n"
    async with running(tmp_path) as service, caller(service.url) as stream:
        await stream.send_all(head + b"Content-Length: %d\r\n\r\n" % len(body))
        assert await stream.receive_some() == b"HTTP/1.1 100 \r\n\r\n"
        await stream.send_all(body.encode())
        answer = b"".join([part async for part in stream])
    assert parse(answer).error["message"]


async def test_a_head_that_does_not_come_in_time_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.api.server.http1.IDLE", 0.1)
    async with running(tmp_path) as service:
        assert (await ask(service.url, PROBE)).status == 408
        assert await everything(service.url, b"") == b""


@pytest.mark.parametrize("ending", [b"", b"\r\n"], ids=["head", "body"])
async def test_who_hangs_up_in_a_request_is_no_error(ending: bytes, tmp_path: Path) -> None:
    head = b"POST /send" + HOST + JSON + b"Content-Length: 9\r\n" + ending
    async with running(tmp_path) as service:
        for _ in range(5):
            async with caller(service.url) as stream:
                await stream.send_all(head)
                reset(stream)
        await service.client.get("/-/metrics")
        metrics = (await service.client.get("/-/metrics")).text
    assert "carillon_open_connections 1.0" in metrics
    assert "carillon_connection_errors_total{" not in metrics


async def test_a_long_request_id_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await service.client.get("/x", headers={"X-Request-Id": "a" * 5000})
        [line] = [line for line in service.log_lines if line["msg"] == "request completed"]
    assert line["reqId"] == "a" * 100


async def test_no_answer_is_kept_or_guessed_at(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for path in ("/-/healthz", "/x", "/dispatches/x", "/documentation/", "/send"):
            answer = await service.client.get(path)
            assert answer.headers.get_list("cache-control") == ["no-store"]
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_a_byte_order_mark_before_a_body_is_dropped(tmp_path: Path) -> None:
    body = {"channels": ["email"], "recipients": [], "messageTitle": "", "messageContent": ""}
    content = b"\xef\xbb\xbf" + json.dumps(body).encode()
    async with running(tmp_path) as service:
        headers = {"Content-Type": "application/json"}
        answer = await service.client.post("/send", content=content, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_a_packed_body_is_refused(tmp_path: Path) -> None:
    body = {"channels": ["email"], "recipients": [], "messageTitle": "", "messageContent": ""}
    async with running(tmp_path) as service:
        for coding, status in {"identity": 200, "Identity": 200, "gzip": 415, "x, br": 415}.items():
            headers = {"Content-Encoding": coding}
            answer = await service.client.post("/send", json=body, headers=headers)
            assert answer.status_code == status
            assert status == 200 or "Content-Encoding" in answer.json()["message"]
        lines = [("Content-Encoding", "identity"), ("Content-Encoding", "br")]
        assert (await service.client.post("/send", json=body, headers=lines)).status_code == 415


@pytest.mark.parametrize(("path", "status"), [(b"/send", 400), (b"/x", 404)])
async def test_a_body_in_chunks_of_a_byte_lets_others_have_their_turn(
    path: bytes, status: int, tmp_path: Path
) -> None:
    head = b"POST " + path + HOST + JSON + CHUNKED + b"Connection: close\r\n\r\n"
    body = b"1\r\n{\r\n" * 20_000 + b"0\r\n\r\n"
    async with running(tmp_path) as service, trio.open_nursery() as nursery:
        held: list[float] = []
        nursery.start_soon(watch_turns, held)
        assert (await ask(service.url, head + body)).status == status
        nursery.cancel_scope.cancel()
    assert max(held) < 0.03


async def test_no_part_of_a_body_is_lost_while_others_hold_the_loop(tmp_path: Path) -> None:
    body = {"recipients": [], "channels": ["sms"], "messageTitle": "t", "messageContent": "c"}
    text = json.dumps(body).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in text)
    head = b"POST /send" + HOST + JSON + CHUNKED + b"Connection: close\r\n\r\n"
    async with running(tmp_path) as service, trio.open_nursery() as nursery:
        nursery.start_soon(_hold_the_loop)
        answer = await ask(service.url, head + chunks + b"0\r\n\r\n")
        nursery.cancel_scope.cancel()
    assert (answer.status, answer.body) == (200, b'{"failures":[]}')


async def _hold_the_loop() -> None:
    """Take longer in each turn than a body that is on its way is waited for."""
    while True:
        time.sleep(2 * SOON)  # noqa: ASYNC251 - it is to hold it
        await trio.lowlevel.checkpoint()
