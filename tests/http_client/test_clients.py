"""Both wires against a real socket: what counts as started, sent and answered."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from carillon.http_client.errors import BODY_BYTES, TARGETS
from carillon.http_client.ports import Body, NotAnswered, NotSent, Reply, Response, Wire
from tests.http_client.fixtures import MakeWire
from tests.neighbours.http import Answer, Fault, Server, in_turn, serve

SECRET = "?token=s3cret"


class Caller:
    """Calls a server over one wire and counts the starts."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.started: list[float] = []
        self.gives_up_at = float("inf")

    def start(self) -> float:
        self.started.append(trio.current_time())
        return self.gives_up_at

    async def post(self, url: str, body: Body = b"{}") -> Reply:
        headers = {"content-type": "application/json"}
        return await self.wire.exchange("POST", url, headers, body, self.start)


@pytest.fixture
async def caller(make_wire: MakeWire) -> AsyncIterator[Caller]:
    wire = make_wire()
    yield Caller(wire)
    await wire.aclose()


async def refused_port() -> int:
    async with serve(Answer()) as server:
        return int(server.url.rpartition(":")[2])


async def test_an_answer_is_read_with_its_status_headers_and_body(caller: Caller) -> None:
    answer = Answer(429, b'{"message": "slow"}', {"Retry-After": "3"})
    async with serve(answer) as server:
        reply = await caller.post(f"{server.url}/send?x=1", b'{"a": 1}')
    assert isinstance(reply, Response)
    assert (reply.status, reply.headers["retry-after"], reply.body) == (429, "3", answer.body)
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/send?x=1", b'{"a": 1}')
    assert request.headers["content-type"] == "application/json"


async def test_the_start_is_told_directly_before_the_first_byte_arrives(caller: Caller) -> None:
    async with serve(Answer()) as server:
        for _ in range(5):
            await caller.post(server.url)
    assert server.connections == 1
    assert len(caller.started) == 5
    for started, request in zip(caller.started, server.requests, strict=True):
        assert 0 <= request.arrived - started < 0.5


async def test_segments_go_out_in_order_with_a_content_length(caller: Caller) -> None:
    shared = bytes(300_000)
    async with serve(Answer()) as server:
        await caller.post(server.url, [b"--a", b"", shared, b"z--"])
    (request,) = server.requests
    assert request.body == b"--a" + shared + b"z--"
    assert request.headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in request.headers


async def test_calls_at_once_have_a_connection_each_and_use_it_again(caller: Caller) -> None:
    async with serve(Answer(delay=0.03)) as server:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(caller.post, server.url)
    assert (server.max_open, server.connections, len(server.requests)) == (4, 4, 12)


async def test_the_connection_that_rested_longest_is_taken(caller: Caller) -> None:
    async with serve(Answer(delay=0.01)) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.post, server.url)
            nursery.start_soon(caller.post, server.url)
        for _ in range(4):
            await caller.post(server.url)
    first, second, *rest = (request.connection for request in server.requests)
    assert {*rest[::2], *rest[1::2]} == {first, second}
    assert rest[0] == rest[2] != rest[1] == rest[3]


async def test_a_refused_connection_was_not_sent(caller: Caller) -> None:
    reply = await caller.post(f"http://127.0.0.1:{await refused_port()}/{SECRET}")
    assert reply == NotSent("connection refused")
    assert caller.started == []


async def test_an_unknown_host_was_not_sent(caller: Caller) -> None:
    reply = await caller.post(f"http://nobody.invalid/{SECRET}")
    assert reply == NotSent("host name not found")
    assert caller.started == []


async def test_a_server_that_speaks_no_tls_was_sent_nothing(caller: Caller) -> None:
    async with serve(Answer()) as server:
        reply = await caller.post(server.url.replace("http:", "https:"))
    assert reply == NotSent("TLS failed")
    assert caller.started == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("disconnect", "no answer: server disconnected"),
        ("cut-head", "no answer: server disconnected"),
        ("reset", "no answer: connection lost"),
        ("garbage", "no answer: not HTTP"),
    ],
)
async def test_without_a_whole_head_there_is_no_answer(
    caller: Caller, fault: Fault, error: str
) -> None:
    async with serve(in_turn(Answer(fault=fault), Answer(204))) as server:
        assert await caller.post(f"{server.url}/{SECRET}") == NotAnswered(error)
        assert len(caller.started) == 1
        after = await caller.post(server.url)
    assert isinstance(after, Response)
    assert after.status == 204


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_every_framing_of_a_body_is_read(caller: Caller, framing: str) -> None:
    answer = Answer(200, b"hello", framing="chunked" if framing == "chunked" else "length")
    if framing == "close":
        answer = Answer(200, b"hello", framing="close")
    async with serve(in_turn(answer, answer)) as server:
        for _ in range(2):
            reply = await caller.post(server.url)
            assert isinstance(reply, Response)
            assert reply.body == b"hello"
    assert server.connections == (2 if framing == "close" else 1)


async def test_interim_answers_are_passed_over(caller: Caller) -> None:
    async with serve(Answer(201, informational=[100, 103])) as server:
        reply = await caller.post(server.url)
    assert isinstance(reply, Response)
    assert reply.status == 201


@pytest.mark.parametrize("fault", ["cut-body", "endless-body", "slow-head", "close-after"])
async def test_a_status_that_was_read_counts_whatever_comes_of_the_body(
    caller: Caller, fault: Fault
) -> None:
    broken = Answer(200, bytes(3000), fault=fault, delay=0.02)
    async with serve(in_turn(broken, Answer(204))) as server:
        reply = await caller.post(server.url)
        assert isinstance(reply, Response)
        assert reply.status == 200
        assert 3000 <= len(reply.body) <= BODY_BYTES
        await trio.sleep(0.01)  # a farewell that is still on its way cannot be seen
        after = await caller.post(server.url)
    assert isinstance(after, Response)
    assert after.status == 204


async def test_a_body_over_the_bound_is_cut_and_its_connection_closed(caller: Caller) -> None:
    async with serve(Answer(200, bytes(BODY_BYTES * 3))) as server:
        for _ in range(2):
            reply = await caller.post(server.url)
            assert isinstance(reply, Response)
            assert len(reply.body) == BODY_BYTES
    assert server.connections == 2


async def test_a_stalled_body_ends_before_the_callers_deadline(caller: Caller) -> None:
    async with serve(Answer(202, b"half", fault="stalled-body")) as server:
        with trio.move_on_after(0.2) as scope:
            reply = await caller.post(server.url)
    assert not scope.cancelled_caught
    assert isinstance(reply, Response)
    assert (reply.status, reply.body) == (202, b"half")


async def test_a_stalled_body_ends_before_the_caller_gives_up_of_itself(caller: Caller) -> None:
    async with serve(Answer(202, b"half", fault="stalled-body")) as server:
        called = trio.current_time()
        caller.gives_up_at = called + 0.2
        reply = await caller.post(server.url)
        assert trio.current_time() < called + 0.2
    assert isinstance(reply, Response)
    assert (reply.status, reply.body) == (202, b"half")


async def test_a_connection_that_the_server_closed_is_not_used_again(caller: Caller) -> None:
    async with serve(Answer(200, fault="close-after")) as server:
        for _ in range(3):
            assert isinstance(await caller.post(server.url), Response)
            await trio.sleep(0.01)
    assert server.connections == 3


async def test_a_redirect_is_an_answer_like_any_other(caller: Caller) -> None:
    async with serve(Answer(302, headers={"location": "/elsewhere"})) as server:
        reply = await caller.post(server.url)
    assert isinstance(reply, Response)
    assert reply.status == 302
    assert len(server.requests) == 1


async def cancelled_in_the_middle(caller: Caller, server: Server) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.post, server.url)
        await server.until(len(server.requests) + 1)
        await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fault", ["hang", "slow-head"])
async def test_a_cancelled_call_leaves_no_half_used_connection(
    caller: Caller, fault: Fault
) -> None:
    slow = Answer(fault=fault, delay=0.2)
    async with serve(in_turn(slow, Answer(204), slow, Answer(204))) as server:
        for _ in range(2):
            await cancelled_in_the_middle(caller, server)
            after = await caller.post(server.url)
            assert isinstance(after, Response)
            assert after.status == 204


async def test_a_call_cancelled_before_it_is_made_never_starts(caller: Caller) -> None:
    async with serve(Answer()) as server:
        await caller.post(server.url)
        with trio.CancelScope() as scope:
            scope.cancel()
            await caller.post(server.url)
        assert scope.cancelled_caught
        await caller.post(server.url)
    assert len(server.requests) == len(caller.started) == 2


async def test_closing_the_wire_closes_every_idle_connection(make_wire: MakeWire) -> None:
    caller = Caller(make_wire())
    async with serve(Answer(delay=0.01)) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(caller.post, server.url)
        await caller.wire.aclose()
        await caller.post(server.url)
        await caller.wire.aclose()
    assert server.connections == 4


async def test_addresses_that_vary_share_their_hosts_connections(caller: Caller) -> None:
    async with serve(Answer()) as server:
        for number in range(TARGETS + 3):
            if number % 16 == 15:
                await trio.sleep(0.05)  # a connection must rest now and then to be sure
            await caller.post(f"{server.url}/{number}")
    assert server.connections == 1


async def test_a_server_may_refuse_a_large_body_without_reading_it(caller: Caller) -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(1000)
            await stream.send_all(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n")
            with trio.move_on_after(0.05):
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, refuse, [listener])
        port = listener.socket.getsockname()[1]
        reply = await caller.post(f"http://127.0.0.1:{port}", [bytes(8 << 20)])
        nursery.cancel_scope.cancel()
    # The reset that follows may overtake the answer: either way it is not reported as unsent.
    assert isinstance(reply, Response | NotAnswered)
