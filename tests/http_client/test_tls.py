"""The fast wire over TLS: what the sockets' tests say, with records in between."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.errors import DISCONNECTED, LOST
from carillon.http_client.ports import NotAnswered, NotSent, Response, no_start
from tests.http_client.raw_http import Talk, answering, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LARGE = bytes(range(256)) * 12_000  # 3 MB


@pytest.fixture
async def wire(certificate: Path, carried: str) -> AsyncIterator[Http1Wire]:
    wire = Http1Wire(ssl.create_default_context(cafile=certificate))
    yield wire
    await wire.aclose()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_connection_carries_one_exchange_after_another(
    wire: Http1Wire, server_tls: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    server_tls.minimum_version = server_tls.maximum_version = version
    async with raw_server(answering(OK, OK, OK), server_tls) as raw:
        for _ in range(3):
            reply = await wire.exchange("POST", raw.url, {}, b"{}", no_start)
            assert isinstance(reply, Response)
            assert (reply.status, reply.body) == (200, b"ok")
    assert raw.connections == 1


async def test_large_bodies_go_and_come_whole(wire: Http1Wire, server_tls: ssl.SSLContext) -> None:
    requests: list[bytes] = []

    async def peer(talk: Talk) -> None:
        requests.append(await talk.request())
        await talk.say(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n" + bytes(60_000))

    async with raw_server(peer, server_tls) as raw:
        reply = await wire.exchange("POST", raw.url, {}, [LARGE, b"z"], no_start)
    assert isinstance(reply, Response)
    assert reply.body == bytes(60_000)
    assert requests[0].endswith(b"\r\n\r\n" + LARGE + b"z")


async def test_a_refusal_in_the_middle_of_a_body_is_read(
    wire: Http1Wire, server_tls: ssl.SSLContext
) -> None:
    async def peer(talk: Talk) -> None:
        await talk.stream.receive_some(1000)
        await talk.say(b"HTTP/1.1 413 Too large\r\ncontent-length: 0\r\n\r\n")
        await trio.sleep_forever()

    async with raw_server(peer, server_tls) as raw:
        with trio.fail_after(5):
            reply = await wire.exchange("POST", raw.url, {}, LARGE * 3, no_start)
    assert isinstance(reply, Response)
    assert reply.status == 413


async def test_surplus_in_the_same_records_costs_the_connection(
    wire: Http1Wire, server_tls: ssl.SSLContext
) -> None:
    async with raw_server(answering(OK + OK, OK), server_tls) as raw:
        for _ in range(2):
            await wire.exchange("POST", raw.url, {}, b"{}", no_start)
    assert raw.connections == 2


async def test_another_hosts_certificate_is_sent_nothing(
    wire: Http1Wire, server_tls: ssl.SSLContext
) -> None:
    async with raw_server(answering(OK), server_tls) as raw:
        other = raw.url.replace("127.0.0.1", "localhost")
        reply = await wire.exchange("POST", other, {}, b"{}", no_start)
        await raw.until_ended(1)
    assert reply == NotSent("TLS certificate not accepted")


async def test_a_server_that_leaves_in_the_handshake_was_sent_nothing(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        await talk.stream.receive_some(10_000)

    async with raw_server(peer) as raw:
        url = raw.url.replace("http:", "https:")
        reply = await wire.exchange("POST", url, {}, b"{}", no_start)
    assert reply == NotSent("TLS failed")


@pytest.mark.parametrize("polite", [True, False], ids=["farewell", "cut"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\nuntil the end"])
async def test_the_end_of_a_session_is_the_end_of_an_answer(
    wire: Http1Wire, server_tls: ssl.SSLContext, said: bytes, *, polite: bool
) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        if said:
            await talk.say(said)
        if polite:
            with trio.move_on_after(0.5):  # a farewell that waits for the other one's
                await talk.stream.aclose()

    async with raw_server(peer, server_tls) as raw:
        reply = await wire.exchange("POST", raw.url, {}, b"{}", no_start)
    if said:
        assert isinstance(reply, Response)
        assert reply.body == b"until the end"
    else:
        assert reply == NotAnswered(DISCONNECTED)


async def test_a_session_that_was_closed_between_requests_is_noticed(
    wire: Http1Wire, server_tls: ssl.SSLContext
) -> None:
    async with raw_server(_one_answer, server_tls) as raw:
        for number in range(1, 4):
            reply = await wire.exchange("POST", raw.url, {}, b"{}", no_start)
            assert isinstance(reply, Response)
            await raw.until_ended(number)
    assert raw.connections == 3


async def _one_answer(talk: Talk) -> None:
    await talk.request()
    await talk.say(OK)


async def test_what_is_no_record_lost_the_connection(
    wire: Http1Wire, server_tls: ssl.SSLContext
) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        assert isinstance(talk.stream, trio.SSLStream)
        await talk.stream.transport_stream.send_all(b"plain text in the middle")
        await talk.until_gone()

    async with raw_server(peer, server_tls) as raw:
        reply = await wire.exchange("POST", raw.url, {}, b"{}", no_start)
    assert reply == NotAnswered(LOST)
