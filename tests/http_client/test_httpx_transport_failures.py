"""The transport behind a real httpx client when things go wrong, are late or are cancelled."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from carillon.http_client.httpx_transport import Http1Transport
from tests.http_client.raw_http import Talk, answering, raw_server
from tests.neighbours.http import Answer, in_turn, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LARGE = bytes(range(256)) * 20_000  # 5 MB


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(fault="disconnect"), httpx.RemoteProtocolError),
        (Answer(fault="cut-head"), httpx.RemoteProtocolError),
        (Answer(fault="garbage"), httpx.RemoteProtocolError),
        (Answer(200, b"half", fault="cut-body"), httpx.RemoteProtocolError),
        (Answer(200, b"half", fault="cut-body", framing="chunked"), httpx.RemoteProtocolError),
        (Answer(fault="reset"), httpx.ReadError),
    ],
)
async def test_what_goes_wrong_is_told_as_httpx_tells_it(
    client: httpx.AsyncClient, answer: Answer, error: type[httpx.TransportError]
) -> None:
    async with serve(in_turn(answer, Answer(204))) as server:
        with pytest.raises(error) as caught:
            await client.get(f"{server.url}/secret")
        assert "127.0.0.1" not in str(caught.value)
        assert caught.value.request.url.path == "/secret"
        assert (await client.get(server.url)).status_code == 204


async def test_a_connection_lost_while_writing_is_a_write_error(client: httpx.AsyncClient) -> None:
    async def peer(talk: Talk) -> None:
        await talk.stream.receive_some(1000)

    async with raw_server(peer) as raw:
        with pytest.raises((httpx.WriteError, httpx.RemoteProtocolError)):
            await client.post(raw.url, content=LARGE)


async def test_no_connection_is_a_connect_error(client: httpx.AsyncClient) -> None:
    async with raw_server(answering(OK)) as raw:
        pass
    with pytest.raises(httpx.ConnectError, match="connection refused"):
        await client.get(raw.url)
    with pytest.raises(httpx.ConnectError, match="host name not found"):
        await client.get("http://nobody.invalid/")


async def test_tls_is_verified(
    client: httpx.AsyncClient, certificate: Path, server_tls: ssl.SSLContext
) -> None:
    trusting = Http1Transport(ssl.create_default_context(cafile=certificate))
    async with raw_server(answering(OK, OK), server_tls) as raw:
        with pytest.raises(httpx.ConnectError, match="TLS certificate not accepted"):
            await client.get(raw.url)
        async with httpx.AsyncClient(transport=trusting) as other:
            for _ in range(2):
                assert (await other.get(raw.url)).text == "ok"
    assert raw.connections == 2


class Slow:
    """A server that takes its time at one place."""

    def __init__(self, place: str) -> None:
        self.place = place

    async def __call__(self, talk: Talk) -> None:
        if self.place == "write":
            await trio.sleep_forever()
        await talk.request()
        if self.place == "body":
            await talk.say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe")
        await trio.sleep_forever()


@pytest.mark.parametrize(
    ("place", "timeout", "error"),
    [
        ("write", httpx.Timeout(None, write=0.1), httpx.WriteTimeout),
        ("head", httpx.Timeout(None, read=0.1), httpx.ReadTimeout),
        ("body", httpx.Timeout(None, read=0.1), httpx.ReadTimeout),
    ],
)
async def test_each_phase_has_its_timeout(
    client: httpx.AsyncClient,
    place: str,
    timeout: httpx.Timeout,
    error: type[httpx.TimeoutException],
) -> None:
    body = LARGE * 3 if place == "write" else b""
    async with raw_server(Slow(place)) as raw:
        with trio.fail_after(5), pytest.raises(error):
            await client.post(raw.url, content=body, timeout=timeout)


async def test_a_handshake_counts_as_connecting(client: httpx.AsyncClient) -> None:
    async def peer(talk: Talk) -> None:
        await talk.until_gone()

    async with raw_server(peer) as raw:
        url = raw.url.replace("http:", "https:")
        with trio.fail_after(5), pytest.raises(httpx.ConnectTimeout):
            await client.get(url, timeout=httpx.Timeout(None, connect=0.1))
        await raw.until_ended(1)


async def test_a_slow_answer_within_each_reads_time_is_read(client: httpx.AsyncClient) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        for part in (b"HTTP/1.1 200 OK\r\n", b"content-length: 2\r\n\r\n", b"o", b"k"):
            await trio.sleep(0.15)
            await talk.say(part)

    async with raw_server(peer) as raw:
        response = await client.get(raw.url, timeout=httpx.Timeout(None, read=0.4))
    assert response.text == "ok"


@pytest.mark.parametrize("place", ["write", "head", "body"])
async def test_a_cancelled_call_closes_its_connection(
    client: httpx.AsyncClient, place: str
) -> None:
    async def peer(talk: Talk) -> None:
        if talk.number > 1:
            await answering(OK)(talk)
        with trio.move_on_after(0.2):
            await Slow(place)(talk)
        await talk.until_gone()

    async with raw_server(peer) as raw:
        with trio.move_on_after(0.1) as scope:
            await client.post(raw.url, content=LARGE if place == "write" else b"")
        assert scope.cancelled_caught
        assert (await client.get(raw.url)).text == "ok"
        await raw.until_ended(1)
    assert raw.connections == 2


async def test_a_body_that_fails_closes_its_connection(client: httpx.AsyncClient) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise OSError("the disk is gone")

    async with raw_server(answering(OK)) as raw:
        with pytest.raises(OSError, match="the disk is gone"):
            await client.post(raw.url, content=broken())
        await raw.until_ended(1)
