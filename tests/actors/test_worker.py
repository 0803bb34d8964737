"""A route tries its providers in order, and never moves on what may have been sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest
import trio
from trio.testing import MockClock

from actors.guard import Guard, Later, Limits, Retry
from actors.quota import Quota
from actors.worker import Route
from messages.model import Receipt, Refused, Unanswered, Unavailable
from tests.actors.fakes import Script, envelope, ignore

ONCE = Limits(retry=Retry(attempts=2, first_delay=0.1, max_delay=1))


def route(*providers: Script) -> Route:
    return Route(
        [Guard(f"p{number}", it, ONCE, ignore) for number, it in enumerate(providers, start=1)]
    )


async def outcome(it: Route, identity: str = "a") -> Receipt:
    receipts: list[Receipt] = []
    assert await it.deliver(envelope(identity, receipts.append)) is None
    [receipt] = receipts
    return receipt


async def test_exhausted_attempts_move_on_to_the_next_provider(
    autojump_clock: MockClock,
) -> None:
    first, second = Script(a=[Unavailable("down")] * 2), Script()
    receipt = await outcome(route(first, second))
    assert (receipt.outcome, receipt.provider, receipt.attempts) == ("sent", "p2", 3)
    assert (first.ids, second.ids) == (["a", "a"], ["a"])


async def test_the_last_provider_ends_it(autojump_clock: MockClock) -> None:
    receipt = await outcome(
        route(Script(a=[Unavailable("down")] * 2), Script(a=[Unavailable("off")] * 2))
    )
    assert (receipt.outcome, receipt.reason) == ("failed", "exhausted")
    assert receipt.error == "off (4 attempts)"


@pytest.mark.parametrize("end", [Refused("bad number"), Unanswered("lost")])
async def test_a_refusal_or_a_doubt_stays_where_it_is(
    end: Refused | Unanswered, autojump_clock: MockClock
) -> None:
    second = Script()
    receipt = await outcome(route(Script(a=[end]), second))
    assert receipt.provider == "p1"
    assert second.ids == []


async def test_a_paused_provider_is_passed_over(autojump_clock: MockClock) -> None:
    first = Script(x=[Unavailable("429", retry_after=3, throttled=True)])
    second = Script()
    it = route(first, second)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcome, it, "x")
        await trio.sleep(0.5)
        assert (await outcome(it, "a")).provider == "p2"


async def test_a_provider_out_of_quota_is_passed_over() -> None:
    first, second = Script(), Script()
    scarce = replace(ONCE, quota=Quota(1, time(0, 0), "UTC"))
    it = Route([Guard("p1", first, scarce, ignore), Guard("p2", second, ONCE, ignore)])
    assert (await outcome(it, "a")).provider == "p1"
    assert (await outcome(it, "b")).provider == "p2"


async def test_a_message_stays_with_the_provider_that_has_tried_it(
    autojump_clock: MockClock,
) -> None:
    first = Script(x=[Unavailable("429", retry_after=3, throttled=True)])
    second = Script(a=[Unavailable("503")])
    limits = Limits(retry=Retry(attempts=2, first_delay=20, max_delay=60))
    it = Route(
        [
            Guard(name, provider, limits, ignore, draw=lambda: 1.0)
            for name, provider in (("p1", first), ("p2", second))
        ]
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.deliver, envelope("x"))
        await trio.sleep(0.5)
        one = envelope("a")
        assert await it.deliver(one) == Later(20)
    assert await it.deliver(one) is None
    assert second.ids == ["a", "a"]


async def test_there_are_as_many_workers_as_calls_may_be_open() -> None:
    assert route(Script(), Script()).workers == 40
