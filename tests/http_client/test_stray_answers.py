"""An answer too many on a connection: whose outcome is told, and what becomes of it later."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from math import inf

import pytest
import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.errors import FOREIGN
from carillon.http_client.ports import NotAnswered, Reply, Response
from carillon.messages.model import Accepted, Attempt, JsonValue, Unanswered
from carillon.providers.responses import attempt
from tests.http_client.raw_http import Raw, Talk, raw_server
from tests.providers.deliveries import sms


@pytest.fixture
async def wire(tls: ssl.SSLContext, carried: str) -> AsyncIterator[Http1Wire]:
    wire = Http1Wire(tls)
    yield wire
    await wire.aclose()


def answer(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Said\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


class Asked:
    """A call: the status that the server means for it, and what its caller was told."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.reply: Reply | None = None
        self.doubted = False

    def __call__(self) -> float:
        return inf

    def doubt(self) -> None:
        self.doubted = True

    @property
    def is_wrong(self) -> bool:
        reply = self.reply
        return isinstance(reply, Response) and reply.status != self.status and not self.doubted


async def ask(
    wire: Http1Wire, raw: Raw, number: int, callers: int = 1, rests: float = 0.3
) -> list[Asked]:
    """Calls one after the other, of which the server takes every second one."""
    asked = [Asked(200 if at % 2 else 400) for at in range(number)]
    left = iter(asked)

    async def caller() -> None:
        for one in left:
            body = b"%d" % one.status
            one.reply = await wire.exchange("POST", raw.url, {}, body, one)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(caller)
    await trio.sleep(rests)
    return asked


@pytest.mark.slow
@pytest.mark.parametrize("callers", [1, 5])
@pytest.mark.parametrize(
    ("latency", "after"),
    [(0.0, 0.0), (0.0, 0.004), (0.01, 0.0), (0.01, 0.003), (0.01, 0.012), (0.003, 0.05)],
)
async def test_an_answer_too_many_makes_no_outcome_wrong(
    wire: Http1Wire, latency: float, after: float, callers: int
) -> None:
    """The first connection repeats one, at once or as the next call is open.

    What it carried until that is seen is in doubt, and no more.
    """

    async def peer(talk: Talk) -> None:
        turn = trio.Lock()

        async def say(status: int) -> None:
            async with turn:
                await talk.say(answer(status))

        async def once_more(status: int) -> None:
            await trio.sleep(after)
            await say(status)

        async with trio.open_nursery() as nursery:
            for count in range(1_000_000):
                status = int((await talk.request()).rpartition(b"\r\n\r\n")[2])
                await trio.sleep(latency)
                await say(status)
                if count == 5 and talk.number == 1:
                    nursery.start_soon(once_more, status)

    async with raw_server(peer) as raw:
        asked = await ask(wire, raw, 200, callers)
        answered = [one for one in asked if isinstance(one.reply, Response) and not one.doubted]
    assert [one for one in asked if one.is_wrong] == []
    assert len(answered) > 60


async def test_what_is_left_over_after_the_first_answer_only_ends_its_connection(
    wire: Http1Wire,
) -> None:
    async def peer(talk: Talk) -> None:
        while True:
            await talk.request()
            await talk.say(answer(200) + answer(400))

    async with raw_server(peer) as raw:
        asked = await ask(wire, raw, 5)
        assert [one.reply.status for one in asked if isinstance(one.reply, Response)] == [200] * 5
        assert raw.connections == 5
    assert not any(one.doubted for one in asked)


async def test_what_is_left_over_after_a_later_answer_puts_it_in_doubt(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(answer(200))
        await talk.request()
        await talk.say(answer(200) + answer(400))

    async with raw_server(peer) as raw:
        first, second = await ask(wire, raw, 2)
    assert isinstance(first.reply, Response)
    assert second.reply == NotAnswered(FOREIGN)


async def test_what_rested_in_silence_is_sure_for_good(wire: Http1Wire) -> None:
    """What comes later, as a farewell of a server, casts no doubt on what was before."""
    silent = trio.Event()

    async def peer(talk: Talk) -> None:
        for _ in range(3):
            await talk.request()
            await talk.say(answer(200))
        await silent.wait()
        await talk.say(answer(408))

    async with raw_server(peer) as raw:
        asked = await ask(wire, raw, 3)
        silent.set()
        await raw.until_ended(1)
        assert isinstance((await ask(wire, raw, 1))[0].reply, Response)
    assert not any(one.doubted for one in asked)


@pytest.mark.parametrize("rests", [0.0, 0.03], ids=["used at once", "looked at first"])
async def test_a_stop_of_this_process_is_no_silence(wire: Http1Wire, rests: float) -> None:
    """What the server says meanwhile is heard only later: it shows whose answer was told."""

    async def peer(talk: Talk) -> None:
        await talk.request()
        await talk.say(answer(400))
        await talk.request()
        await talk.say(answer(400))  # the first one's once more
        await trio.sleep(0.01)
        while True:
            await talk.say(answer(200))
            await talk.request()

    async with raw_server(peer) as raw:
        for _ in range(10):  # who runs first after the stop is a matter of chance
            asked = await ask(wire, raw, 2, rests=0.0)
            time.sleep(0.05)  # noqa: ASYNC251 - everything stands still, the server, too
            await trio.sleep(rests)
            await ask(wire, raw, 1, rests=0.1)
            assert [one for one in asked if one.is_wrong] == []
            await wire.aclose()


async def attempts(wire: Http1Wire, raw: Raw, number: int) -> list[Attempt]:
    def identify(body: dict[str, JsonValue]) -> JsonValue:
        return body["id"]

    async def one() -> Attempt:
        reply = await wire.exchange("POST", raw.url, {}, b"200", Asked(200))
        return attempt(reply, "sms", sms(), identify=identify)

    return [await one() for _ in range(number)]


def told(number: int) -> bytes:
    return answer(200, json.dumps({"id": f"m{number}"}).encode())


async def test_an_id_that_was_another_messages_is_no_acceptance(wire: Http1Wire) -> None:
    async def peer(talk: Talk) -> None:
        for number in (1, 2, 3, 2, 4):
            await talk.request()
            await talk.say(told(10 * (talk.number - 1) + number))

    async with raw_server(peer) as raw:
        ends = await attempts(wire, raw, 5)
        assert raw.connections == 2
    assert ends[:3] == [Accepted("m1"), Accepted("m2"), Accepted("m3")]
    assert ends[3:] == [Unanswered(f"sms: {FOREIGN}"), Accepted("m11")]


@pytest.mark.parametrize("unique", [1, 3])
async def test_ids_that_are_none_say_nothing(wire: Http1Wire, unique: int) -> None:
    """A service that names all its messages alike, or after who gets them."""

    async def peer(talk: Talk) -> None:
        for number in range(3):
            await talk.request()
            await talk.say(told(number % unique))

    async with raw_server(peer) as raw:
        assert all(isinstance(end, Accepted) for end in await attempts(wire, raw, 3))
        await wire.aclose()
        assert all(isinstance(end, Accepted) for end in await attempts(wire, raw, 3))
