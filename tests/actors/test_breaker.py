"""The breaker opens on failures in a row, probes with one call, and closes on an answer."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from actors.breaker import Breaker, BreakerSettings, BreakerState


def breaker(moves: list[BreakerState] | None = None) -> Breaker:
    seen = [] if moves is None else moves
    return Breaker(BreakerSettings(failures=2, cooldown=10), seen.append)


async def test_it_opens_after_failures_in_a_row_only(autojump_clock: MockClock) -> None:
    it = breaker()
    it.failed()
    it.succeeded()
    it.failed()
    assert it.admits
    it.failed()
    assert not it.admits


async def test_one_call_probes_and_the_others_wait(autojump_clock: MockClock) -> None:
    it, entered = breaker(), list[float]()
    it.failed()
    it.failed()

    async def caller(seconds: float) -> None:
        await it.until_admits()
        it.enter()
        entered.append(trio.current_time())
        await trio.sleep(seconds)
        it.succeeded()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(caller, 5.0)
    assert entered == pytest.approx([10.0, 15.0, 15.0])


async def test_a_failed_probe_opens_it_again(autojump_clock: MockClock) -> None:
    moves: list[BreakerState] = []
    it = breaker(moves)
    it.failed()
    it.failed()
    await it.until_admits()
    it.enter()
    it.failed()
    await it.until_admits()
    assert trio.current_time() == pytest.approx(20.0)
    assert moves == ["open", "half-open", "open"]


async def test_a_probe_that_tells_nothing_is_followed_by_another(
    autojump_clock: MockClock,
) -> None:
    it = breaker()
    it.failed()
    it.failed()
    await it.until_admits()
    it.enter()
    it.abandoned()
    assert it.admits
