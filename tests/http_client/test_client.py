"""The fast wire against raw bytes: every shape of an answer, and whose connection lives on."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.errors import BODY_BYTES, DISCONNECTED, NOT_HTTP, TARGETS
from carillon.http_client.ports import NotAnswered, NotSent, Reply, Response, no_start
from tests.http_client.raw_http import Raw, Talk, answering, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HELLO = b"content-length: 5\r\n\r\nhello"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def wire(tls: ssl.SSLContext, carried: str) -> AsyncIterator[Http1Wire]:
    wire = Http1Wire(tls)
    yield wire
    await wire.aclose()


async def call(wire: Http1Wire, raw: Raw, method: str = "POST") -> Reply:
    return await wire.exchange(method, f"{raw.url}/send", {}, b"{}", no_start)


def status_and_body(reply: Reply) -> tuple[int, bytes]:
    assert isinstance(reply, Response), reply
    return reply.status, reply.body


@pytest.mark.parametrize(
    ("answer", "status", "body", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\n" + HELLO, 200, b"hello", 1),
        (b"HTTP/1.1 200\r\n" + HELLO, 200, b"hello", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + HELLO, 200, b"hello", 2),
        (
            b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + HELLO,
            200,
            b"hello",
            1,
        ),
        (b"HTTP/1.0 200 OK\r\n" + HELLO, 200, b"hello", 2),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + HELLO, 200, b"hello", 1),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b"", 1),
        (b"HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n", 204, b"", 1),
        (b"HTTP/1.1 304 No\r\ncontent-length: 5\r\n\r\n", 304, b"", 1),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"0\r\n\r\n", 200, b"", 1),
        (
            b"HTTP/1.1 200 OK\r\n"
            + CHUNKED
            + b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx: trailer\r\n\r\n",
            200,
            b"hello",
            1,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\n" + HELLO, 201, b"hello", 1),
        (
            b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 201 Made\r\n" + HELLO,
            201,
            b"hello",
            1,
        ),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 101, b"", 2),
        (b"HTTP/1.1 101 Switching\r\n\r\nsomething else", 101, b"", 2),
        (OK + b"HTTP/1.1 200 OK\r\n" + HELLO, 200, b"ok", 2),
        (OK + b"H", 200, b"ok", 2),
        (OK + b"\x00\x01", 200, b"ok", 2),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"2\r\nok\r\nnot a chunk", 200, b"ok", 2),
    ],
)
async def test_what_an_answer_is_and_whether_its_connection_stays(
    wire: Http1Wire, answer: bytes, status: int, body: bytes, connections: int
) -> None:
    async with raw_server(answering(answer, OK)) as raw:
        assert status_and_body(await call(wire, raw)) == (status, body)
        assert isinstance(await call(wire, raw), Response)
    assert raw.connections == connections


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.1 099 Early\r\n\r\n",
        b"HTTP/1.1 600 More\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 999 More\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"RTSP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"ICE/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"\r\nICE/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Go on\r\n\r\nRTSP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
async def test_what_is_no_answer_leaves_the_outcome_open(wire: Http1Wire, answer: bytes) -> None:
    async with raw_server(answering(answer)) as raw:
        assert await call(wire, raw) == NotAnswered(NOT_HTTP)
        await raw.until_ended(1)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_an_answer_to_head_has_no_body_and_the_next_one_is_read(
    wire: Http1Wire, method: str
) -> None:
    announced = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    body = b"" if method == "HEAD" else b"hello"
    second = b"HTTP/1.1 201 Made\r\ncontent-length: 5\r\n\r\n" + body
    async with raw_server(answering(announced, second)) as raw:
        assert status_and_body(await call(wire, raw, "HEAD")) == (200, b"")
        assert status_and_body(await call(wire, raw, method)) == (201, body)


async def test_a_body_after_head_is_surplus(wire: Http1Wire) -> None:
    async with raw_server(answering(b"HTTP/1.1 200 OK\r\n" + HELLO)) as raw:
        assert status_and_body(await call(wire, raw, "HEAD")) == (200, b"")
        await raw.until_ended(1)


async def test_an_answer_may_come_byte_by_byte(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say_slowly(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Taken\r\nX-One: a\r\n")
        await talk.say_slowly(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
        await talk.request()
        await talk.say_slowly(b"HTTP/1.1 201 Made\r\n" + HELLO)

    async with raw_server(peer) as raw:
        first = await call(wire, raw)
        assert status_and_body(first) == (202, b"hello")
        assert isinstance(first, Response)
        assert dict(first.headers) == {"x-one": "a", "transfer-encoding": "chunked"}
        assert status_and_body(await call(wire, raw)) == (201, b"hello")
    assert raw.connections == 1


@pytest.mark.parametrize(
    "endless", [b"x: " + bytes(1000).replace(b"\0", b"y") + b"\r\n", b"HTTP/1.1 100 Go\r\n\r\n"]
)
async def test_a_head_without_end_is_given_up(wire: Http1Wire, endless: bytes) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        if endless.startswith(b"x"):
            await talk.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            await talk.say(endless)

    async with raw_server(peer) as raw:
        with trio.fail_after(5):
            assert await call(wire, raw) == NotAnswered(NOT_HTTP)
            await raw.until_ended(1)


async def test_a_large_head_within_the_bound_is_read(wire: Http1Wire) -> None:
    lines = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 1000) for number in range(50))
    async with raw_server(answering(b"HTTP/1.1 200 OK\r\n" + lines + HELLO)) as raw:
        reply = await call(wire, raw)
    assert isinstance(reply, Response)
    assert (len(reply.headers), reply.headers["x-49"]) == (51, "y" * 1000)
    assert reply.headers.get("x-50") is None
    assert "x-7" in repr(reply.headers)


async def test_a_connection_closed_in_the_middle_of_a_head_left_the_outcome_open(
    wire: Http1Wire,
) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\ncontent-le")

    async with raw_server(peer) as raw:
        assert await call(wire, raw) == NotAnswered(DISCONNECTED)


async def test_an_endless_trickle_of_a_body_ends_after_its_bound(
    wire: Http1Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carillon.http_client.errors.BODY_SECONDS", 0.1)

    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await talk.say(b"x")
            await trio.sleep(0.01)

    async with raw_server(peer) as raw:
        called = trio.current_time()
        status, body = status_and_body(await call(wire, raw))
        assert 0.05 < trio.current_time() - called < 1
        await raw.until_ended(1)
    assert status == 200
    assert body == b"x" * len(body)


async def test_a_body_of_just_the_bound_leaves_its_connection_in_use(wire: Http1Wire) -> None:
    body = bytes(BODY_BYTES)
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES + body
    async with raw_server(answering(answer, OK)) as raw:
        assert status_and_body(await call(wire, raw)) == (200, body)
        assert status_and_body(await call(wire, raw)) == (200, b"ok")
    assert raw.connections == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nevil: 1"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0"),
        ("x: y\r\nz", "a"),
        ("", "a"),
    ],
)
async def test_a_header_cannot_leave_its_line(wire: Http1Wire, name: str, value: str) -> None:
    async with raw_server(answering(OK)) as raw:
        with pytest.raises(ValueError, match="HTTP header") as caught:
            await wire.exchange("POST", raw.url, {name: value}, b"", no_start)
    assert "evil" not in str(caught.value)
    assert raw.connections == 0


async def test_a_method_cannot_leave_its_line(wire: Http1Wire) -> None:
    with pytest.raises(ValueError, match="HTTP method"):
        await wire.exchange("GET / HTTP/1.1\r\nx:", "http://127.0.0.1:1/", {}, b"", no_start)


async def test_the_head_is_what_was_asked_for_and_carillons_own(wire: Http1Wire) -> None:
    heads: list[bytes] = []

    async def peer(talk: Talk) -> None:
        while True:
            heads.append(await talk.request())
            await talk.say(OK)

    async with raw_server(peer) as raw:
        for number in (1, 1, 2):
            headers = {"Api-Key": f"caf\xe9 {number}", "content-type": "application/json"}
            await wire.exchange(
                "PUT", f"{raw.url}/a b?c=\xe9#d", headers, b"[%d]" % number, no_start
            )
    host = raw.url.removeprefix("http://").encode()
    expected = [
        b"PUT /a%%20b?c=%%C3%%A9 HTTP/1.1\r\nhost: %b\r\nuser-agent: carillon\r\n"
        b"accept-encoding: identity\r\nApi-Key: caf\xe9 %d\r\ncontent-type: application/json\r\n"
        b"content-length: 3\r\n\r\n[%d]" % (host, number, number)
        for number in (1, 1, 2)
    ]
    assert heads == expected


async def test_a_host_that_no_name_can_be_like_was_not_sent(wire: Http1Wire) -> None:
    reply = await wire.exchange("POST", f"http://{'a' * 70}.invalid/", {}, b"", no_start)
    assert reply == NotSent("host name not found")


def can_listen_on_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not can_listen_on_ipv6(), reason="no IPv6 here")
async def test_ipv6_hosts_are_spoken_to(wire: Http1Wire) -> None:
    heads: list[bytes] = []

    async def peer(talk: Talk) -> None:
        heads.append(await talk.request())
        await talk.say(OK)

    async with raw_server(peer, host="::1") as raw:
        assert isinstance(await call(wire, raw), Response)
    assert b"host: %b\r\n" % raw.url.removeprefix("http://").encode() in heads[0]


async def test_other_schemes_are_for_httpx(wire: Http1Wire) -> None:
    reply = await wire.exchange("POST", "ftp://127.0.0.1/send", {}, b"", no_start)
    assert reply == NotSent("no connection")


async def test_addresses_that_vary_do_not_fill_the_memory(wire: Http1Wire) -> None:
    for number in range(TARGETS + 3):
        await wire.exchange("POST", f"ftp://127.0.0.1/{number}", {}, b"", no_start)
    assert len(wire._targets) <= TARGETS
