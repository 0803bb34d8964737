"""How long a token is used, on trio's virtual clock (contracts 2.3)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from carillon.http_client.ports import Body, Headers, Reply, Response, Started
from carillon.messages.model import Unavailable
from carillon.providers.firebase.token import AGAIN_SECONDS, EARLY_SECONDS, GoogleToken, Token
from carillon.providers.firebase.token import read_service_account as account
from tests.neighbours.fcm import Fcm
from tests.providers.deliveries import ScriptedWire

AWAY = Response(503, {}, b"")


def issued(name: str) -> Response:
    return Response(200, {}, b'{"access_token": "%b", "expires_in": 3600}' % name.encode())


def tokens(wire: ScriptedWire) -> GoogleToken:
    return GoogleToken(account(Fcm().credentials("http://google.example").encode()), wire)


async def value(tokens: GoogleToken) -> str:
    token = await tokens.get()
    return token.value if isinstance(token, Token) else token.error


async def test_a_token_is_used_until_shortly_before_it_ends(autojump_clock: MockClock) -> None:
    wire = ScriptedWire([issued("one"), issued("two")])
    source = tokens(wire)
    assert await value(source) == "one"
    await trio.sleep(3600 - EARLY_SECONDS - 1)
    assert await value(source) == "one"
    await trio.sleep(1)
    assert await value(source) == "two"
    assert wire.urls == ["http://google.example/token"] * 2


@pytest.mark.slow
async def test_a_token_that_holds_outlives_a_failed_renewal(autojump_clock: MockClock) -> None:
    wire = ScriptedWire([issued("one"), AWAY])
    source = tokens(wire)
    await value(source)
    await trio.sleep(3600 - EARLY_SECONDS)
    assert await value(source) == await value(source) == "one"
    assert len(wire.urls) == 2
    await trio.sleep(AGAIN_SECONDS)
    assert await value(source) == "one"
    assert len(wire.urls) == 3
    await trio.sleep(EARLY_SECONDS)
    assert isinstance(await source.get(), Unavailable)


class SlowWire(ScriptedWire):
    """A wire that takes a second."""

    async def exchange(
        self, method: str, url: str, headers: Headers, body: Body, started: Started
    ) -> Reply:
        await trio.sleep(1)
        return await super().exchange(method, url, headers, body, started)


async def test_nobody_waits_for_an_early_renewal_but_who_makes_it(
    autojump_clock: MockClock,
) -> None:
    source = tokens(SlowWire([issued("one"), issued("two")]))
    await value(source)
    await trio.sleep(3600 - EARLY_SECONDS)
    seen: list[tuple[str, float]] = []

    async def worker() -> None:
        asked = trio.current_time()
        seen.append((await value(source), trio.current_time() - asked))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(worker)
    assert sorted(seen) == [("one", 0.0), ("one", 0.0), ("two", 1.0)]
