"""The transport behind a real httpx client, against real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from carillon.http_client.httpx_transport import Http1Transport
from tests.http_client.raw_http import Talk, answering, raw_server
from tests.neighbours.http import Answer, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LARGE = bytes(range(256)) * 20_000  # 5 MB


class InParts:
    """A body. No generator: one that is not read to its end warns."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = iter(parts)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


async def test_an_answer_is_httpxs_own(client: httpx.AsyncClient) -> None:
    answer = Answer(201, b'{"a": 1}', {"X-One": "a", "x-two": "caf\xe9"})
    async with serve(answer) as server:
        response = await client.post(f"{server.url}/a b?c=1", json={"b": 2})
    assert (response.status_code, response.json(), response.http_version) == (
        201,
        {"a": 1},
        "HTTP/1.1",
    )
    assert (response.reason_phrase, response.headers["x-one"]) == ("Stand-in", "a")
    (request,) = server.requests
    assert (request.method, request.target, request.json()) == ("POST", "/a%20b?c=1", {"b": 2})
    assert request.headers["user-agent"].startswith("python-httpx/")
    assert request.headers["host"] == server.url.removeprefix("http://")


async def test_a_caller_in_a_loop_stays_on_one_connection(client: httpx.AsyncClient) -> None:
    async with serve(Answer(200, b"hello", delay=0.01)) as server:

        async def caller() -> None:
            for _ in range(5):
                assert (await client.get(server.url)).text == "hello"

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(caller)
    assert (server.connections, len(server.requests)) == (3, 15)


async def test_bodies_are_streamed_both_ways(client: httpx.AsyncClient) -> None:
    sent: list[bytes] = []

    async def peer(talk: Talk) -> None:
        while not talk.received.endswith(b"0\r\n\r\n"):
            talk.received += await talk.stream.receive_some(1 << 16)
        sent.append(talk.received)
        talk.received = b""
        await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(3):
            await talk.say(b"%x\r\n%b\r\n" % (len(LARGE), LARGE))
        await talk.say(b"0\r\n\r\n")
        assert (await talk.request()).startswith(b"GET")
        await talk.say(OK)

    async with raw_server(peer) as raw:
        size = 0
        body = InParts(b"one", b"", LARGE, b"two")
        async with client.stream("POST", raw.url, content=body) as response:
            async for part in response.aiter_bytes():
                assert len(part) < 200_000
                size += len(part)
        assert (await client.get(raw.url)).text == "ok"
    assert size == 3 * len(LARGE)
    chunks = b"3\r\none\r\n%x\r\n%b\r\n3\r\ntwo\r\n0\r\n\r\n" % (len(LARGE), LARGE)
    assert sent[0].partition(b"\r\n\r\n")[2] == chunks
    assert raw.connections == 1


async def test_a_body_of_known_length_arrives_whole(client: httpx.AsyncClient) -> None:
    async with serve(Answer(204)) as server:
        await client.post(server.url, content=LARGE)
        await client.post(server.url, content=InParts(LARGE, LARGE))
    assert [len(request.body) for request in server.requests] == [len(LARGE), 2 * len(LARGE)]
    assert server.requests[0].headers["content-length"] == str(len(LARGE))
    assert server.connections == 1


@pytest.mark.parametrize(("said", "parts"), [("5", [b"too long"]), ("5", [b"abc"])])
async def test_a_body_that_is_not_of_the_length_it_says_is_a_callers_error(
    client: httpx.AsyncClient, said: str, parts: list[bytes]
) -> None:
    async with raw_server(answering(OK)) as raw:
        with pytest.raises(httpx.LocalProtocolError):
            await client.post(raw.url, headers={"content-length": said}, content=InParts(*parts))
        await raw.until_ended(1)


@pytest.mark.parametrize("value", ["a\r\nevil: 1", "a\0"])
async def test_a_header_cannot_leave_its_line(client: httpx.AsyncClient, value: str) -> None:
    async with raw_server(answering(OK)) as raw:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get(raw.url, headers={"x": value})
    assert raw.connections == 0


async def test_an_answer_that_is_not_read_to_its_end_costs_its_connection(
    client: httpx.AsyncClient,
) -> None:
    async with serve(Answer(200, LARGE)) as server:
        for _ in range(2):
            async with client.stream("GET", server.url) as response:
                assert response.status_code == 200
    assert server.connections == 2


async def test_a_body_that_ends_with_its_connection_is_whole(client: httpx.AsyncClient) -> None:
    async with serve(Answer(200, b"hello", framing="close")) as server:
        assert (await client.get(server.url)).text == "hello"


async def test_head_has_no_body(client: httpx.AsyncClient) -> None:
    async with raw_server(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", OK)) as raw:
        assert (await client.head(raw.url)).headers["content-length"] == "9"
        assert (await client.get(raw.url)).text == "ok"
    assert raw.connections == 1


async def test_a_refusal_in_the_middle_of_a_body_is_read(client: httpx.AsyncClient) -> None:
    async def peer(talk: Talk) -> None:
        await talk.stream.receive_some(1000)
        await talk.say(b"HTTP/1.1 413 Too large\r\ncontent-length: 3\r\n\r\nbig")
        await trio.sleep_forever()

    async with raw_server(peer) as raw:
        response = await client.post(raw.url, content=InParts(*[LARGE] * 3))
        assert (response.status_code, response.text) == (413, "big")
        await client.post(raw.url, content=LARGE)
    assert raw.connections == 2


async def test_the_environments_proxy_is_httpxs_affair(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(Answer(202)) as proxy, serve(Answer(201)) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with httpx.AsyncClient(transport=Http1Transport(tls)) as client:
            through = await client.get("http://mail.invalid/send")
            direct = await client.get(server.url)
    assert (through.status_code, direct.status_code) == (202, 201)
    assert proxy.requests[0].target == "http://mail.invalid/send"


async def test_what_it_does_not_speak_is_httpxs_affair(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await client.get("ftp://127.0.0.1/")
    events: list[str] = []

    async def trace(event: str, _: object) -> None:
        events.append(event)

    async with serve(Answer(200)) as server:
        await client.get(server.url, extensions={"trace": trace})
    assert "http11.send_request_headers.started" in events


async def test_closing_it_closes_every_idle_connection(tls: ssl.SSLContext) -> None:
    async with raw_server(answering(OK)) as raw:
        async with httpx.AsyncClient(transport=Http1Transport(tls)) as client:
            await client.get(raw.url)
        await raw.until_ended(1)
