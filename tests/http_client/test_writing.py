"""The fast wire while it writes: early answers, large bodies, and what a start is."""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import AsyncIterator

import pytest
import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.errors import DISCONNECTED, EARLY
from carillon.http_client.ports import Body, NotAnswered, Reply, Response, no_start
from tests.http_client.raw_http import Raw, Talk, answering, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LARGE = bytes(range(256)) * 40_000  # 10 MB: more than any socket buffers


@pytest.fixture
async def wire(tls: ssl.SSLContext, carried: str) -> AsyncIterator[Http1Wire]:
    wire = Http1Wire(tls)
    yield wire
    await wire.aclose()


async def post(wire: Http1Wire, raw: Raw, body: Body) -> Reply:
    with trio.fail_after(5):
        return await wire.exchange("POST", raw.url, {}, body, no_start)


def whole(request: bytes, body: bytes) -> bool:
    return request.partition(b"\r\n\r\n")[2] == body


@pytest.mark.slow
@pytest.mark.parametrize("body", [LARGE, [LARGE[:1], LARGE[1:77], b"", LARGE[77:]]])
async def test_a_large_body_arrives_whole(wire: Http1Wire, body: Body) -> None:
    requests: list[bytes] = []

    async def peer(talk: Talk) -> None:
        for _ in range(2):
            requests.append(await talk.request())
            await talk.say(OK)

    async with raw_server(peer) as raw:
        for _ in range(2):
            assert isinstance(await post(wire, raw, body), Response)
    assert raw.connections == 1
    assert all(whole(request, LARGE) for request in requests)


async def test_a_refusal_in_the_middle_of_a_body_is_read_at_once(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        await talk.stream.receive_some(1000)
        await talk.say(b"HTTP/1.1 413 Too large\r\ncontent-length: 3\r\n\r\nbig")
        await trio.sleep_forever()  # neither reads on nor closes

    async with raw_server(peer) as raw:
        reply = await post(wire, raw, LARGE)
        assert isinstance(reply, Response)
        assert (reply.status, reply.body) == (413, b"big")
        assert isinstance(await post(wire, raw, LARGE), Response)
    assert raw.connections == 2


async def test_a_refusal_before_a_reset_is_read(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        await talk.stream.receive_some(1000)
        await talk.say(b"HTTP/1.1 413 Too large\r\nconnection: close\r\n\r\n")

    async with raw_server(peer) as raw:
        reply = await post(wire, raw, LARGE)
    assert isinstance(reply, Response)
    assert reply.status == 413


@pytest.mark.slow
async def test_an_interim_answer_in_the_middle_of_a_body_does_not_end_it(wire: Http1Wire) -> None:
    requests: list[bytes] = []

    async def peer(talk: Talk) -> None:
        await talk.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await trio.sleep(0.05)
        requests.append(await talk.request())
        await talk.say(OK)

    async with raw_server(peer) as raw:
        assert isinstance(await post(wire, raw, LARGE), Response)
    assert whole(requests[0], LARGE)


@pytest.mark.slow
async def test_a_success_in_the_middle_of_a_body_does_not_cut_it_and_is_no_acceptance(
    wire: Http1Wire,
) -> None:
    requests: list[bytes] = []

    async def peer(talk: Talk) -> None:
        await talk.say(OK)
        await trio.sleep(0.05)
        requests.append(await talk.request())
        requests.append(await talk.request())
        await talk.say(OK)

    async with raw_server(peer) as raw:
        assert await post(wire, raw, LARGE) == NotAnswered(EARLY)
        assert isinstance(await post(wire, raw, b"small"), Response)
    assert raw.connections == 1
    assert [whole(requests[0], LARGE), whole(requests[1], b"small")] == [True, True]


@pytest.mark.parametrize("size", [len(LARGE), 3_000_000])
async def test_a_success_whose_server_reads_no_further_is_no_acceptance(
    wire: Http1Wire, size: int
) -> None:
    """Not even of what sockets buffer: it was written, and nobody has taken all of it."""

    async def peer(talk: Talk) -> None:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await talk.stream.receive_some(2000)
        await talk.say(OK)
        await trio.sleep_forever()

    async with raw_server(peer) as raw:
        with trio.move_on_after(0.5) as scope:
            reply = await wire.exchange("POST", raw.url, {}, LARGE[:size], no_start)
        assert not scope.cancelled_caught
        assert reply == NotAnswered(EARLY)
        await wire.exchange("POST", raw.url, {}, b"", no_start)
    assert raw.connections == 2


async def test_a_server_that_goes_in_the_middle_of_a_body_left_the_outcome_open(
    wire: Http1Wire,
) -> None:
    async def peer(talk: Talk) -> None:
        await talk.stream.receive_some(1000)

    async with raw_server(peer) as raw:
        assert isinstance(await post(wire, raw, LARGE), NotAnswered)


async def test_a_server_that_ends_its_side_in_the_middle_of_a_body_is_gone(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        assert isinstance(talk.stream, trio.SocketStream)
        await talk.stream.send_eof()
        await trio.sleep_forever()

    async with raw_server(peer) as raw:
        assert await post(wire, raw, LARGE) == NotAnswered(DISCONNECTED)


async def test_nothing_is_waited_for_between_the_start_and_the_first_byte(wire: Http1Wire) -> None:
    requests: list[bytes] = []
    answered = trio.Event()

    async def peer(talk: Talk) -> None:
        while True:
            requests.append(await talk.request())
            answered.set()
            await talk.say(OK)

    async with raw_server(peer) as raw:
        for _ in range(2):  # on a new connection, then on one that was idle
            answered = trio.Event()
            with trio.CancelScope() as scope:

                def cancel(scope: trio.CancelScope = scope) -> float:
                    scope.cancel()
                    return 0.0

                await wire.exchange("POST", raw.url, {}, b"{}", cancel)
            with trio.fail_after(5):
                await answered.wait()
            assert isinstance(await post(wire, raw, b"[]"), Response)
    assert [request[-2:] for request in requests] == [b"{}", b"[]", b"{}", b"[]"]


async def test_a_start_that_raises_sends_nothing(wire: Http1Wire) -> None:
    def refuse() -> float:
        raise LookupError("a bug")

    async with raw_server(answering(OK)) as raw:
        for _ in range(2):
            with pytest.raises(LookupError):
                await wire.exchange("POST", raw.url, {}, b"{}", refuse)
        assert isinstance(await post(wire, raw, b"{}"), Response)
        await raw.until_ended(2)
    assert raw.connections == 3


@pytest.mark.stale
async def test_a_request_that_leaves_late_starts_anew(wire: Http1Wire) -> None:
    """The process may be stopped between the stamp and the byte: the stamp is then no start."""
    starts: list[float] = []

    def start() -> float:
        starts.append(trio.current_time())
        if len(starts) == 1:
            time.sleep(0.05)
        return math.inf

    arrived: list[float] = []

    async def peer(talk: Talk) -> None:
        while await talk.request():
            arrived.append(trio.current_time())
            await talk.say(OK)

    async with raw_server(peer) as raw:
        assert isinstance(await wire.exchange("POST", raw.url, {}, b"", start), Response)
    first, second = starts
    assert second - first >= 0.05
    assert second <= arrived[0]


async def stand_still(seconds: float) -> None:
    """As a process does that is stopped: nothing of it runs, and time goes on."""
    time.sleep(seconds)  # noqa: ASYNC251


@pytest.mark.parametrize("answer", [OK, OK[:-1], OK[:25]], ids=["whole", "cut-body", "cut-head"])
async def test_an_answer_that_came_while_the_process_stood_still_counts(
    wire: Http1Wire, answer: bytes
) -> None:
    """The server is a thread, so it goes on; the caller's time is over when the process wakes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connected, _ = listener.accept()
        with connected:
            connected.recv(1000)
            time.sleep(0.05)
            connected.sendall(answer)
            time.sleep(0.5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, serve)
        replies: list[Reply] = []
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        async def call() -> None:
            with trio.move_on_after(0.2):
                replies.append(await wire.exchange("POST", url, {}, b"{}", no_start))

        nursery.start_soon(call)
        await trio.sleep(0.02)
        await stand_still(0.4)
    listener.close()
    statuses = [reply.status for reply in replies if isinstance(reply, Response)]
    assert statuses == ([] if answer == OK[:25] else [200])
