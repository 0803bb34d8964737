"""The stand-in server itself: what it measures is what the limits' tests stand on."""

from __future__ import annotations

import pytest
import trio

from tests.neighbours.http import Answer, Request, Server, in_turn, json_answer, mia_error, serve


async def talk(server: Server, data: bytes) -> bytes:
    """Send these bytes and read until the server closes."""
    async with await trio.open_tcp_stream("127.0.0.1", int(server.url[-5:])) as stream:
        await stream.send_all(data)
        return b"".join([bytes(part) async for part in stream])


GET = b"GET /a?b=1&b=2 HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /z HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def test_requests_are_remembered_as_they_were() -> None:
    async with serve(json_answer({"ok": True}, 201, retry_after="3")) as server:
        answer = await talk(server, GET + LAST)
    first, last = server.requests
    assert (first.path, first.query, last.path) == ("/a", {"b": ["1", "2"]}, "/z")
    assert first.connection == last.connection == server.connections == 1
    assert answer.count(b"HTTP/1.1 201") == 2
    assert answer.count(b"retry-after: 3") == 2


async def test_a_request_arrives_with_its_first_byte_and_is_open_until_answered() -> None:
    async with serve(Answer(delay=0.03)) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, server, LAST)
            stream = await trio.open_tcp_stream("127.0.0.1", int(server.url[-5:]))
            async with stream:
                sent = trio.current_time()
                await stream.send_all(LAST[:10])
                await trio.sleep(0.05)
                await stream.send_all(LAST[10:])
                await stream.receive_some(1000)
    slow = server.requests[-1]
    assert slow.arrived - sent < 0.04
    assert slow.answered is not None
    assert slow.answered - slow.arrived > 0.07
    assert (server.max_open, server.open) == (2, 0)


async def test_a_client_that_hangs_up_is_no_longer_open_nor_answered() -> None:
    async with serve(Answer(fault="hang")) as server:
        async with await trio.open_tcp_stream("127.0.0.1", int(server.url[-5:])) as stream:
            await stream.send_all(GET)
            await server.until(1)
            assert server.open == 1
        while server.open:
            await trio.lowlevel.checkpoint()
    assert server.requests[0].answered is None


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([1.0], 1), ([0, 1, 2], 1), ([0, 0.5, 0.999, 1.0], 3), ([0, 0.9, 1.0, 1.8], 3)],
)
async def test_the_fullest_window_is_half_open(times: list[float], most: int) -> None:
    server = Server(in_turn(Answer()), "", trio.CancelScope())
    server.requests = [Request("GET", "/", {}, b"", time, 1) for time in reversed(times)]
    assert server.most_within(1.0) == most


async def test_what_a_handler_raises_ends_the_block() -> None:
    async def broken(_: Request) -> Answer:
        raise KeyError("a bug in a test")

    async def use_it() -> None:
        async with serve(broken) as server:
            await talk(server, LAST)
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await use_it()
    assert raised.group_contains(KeyError)


async def test_a_stopped_server_refuses_and_keeps_what_it_saw() -> None:
    async with serve(Answer()) as server:
        await talk(server, LAST)
        server.stop()
    with pytest.raises(OSError, match="failed"):
        await talk(server, LAST)
    assert len(server.requests) == 1


def test_mias_error_shape_has_its_status_as_a_string() -> None:
    body = mia_error(400, "no").body
    assert body == b'{"statusCode": "400", "error": "Bad request", "message": "no"}'
