"""The breaker opens on failures in a row, probes with one call, and closes on an answer."""

from __future__ import annotations

from math import inf

from trio.testing import MockClock

from carillon.actors.provider.breaker import Breaker, BreakerSettings, BreakerState


def breaker(moves: list[BreakerState] | None = None, failures: int = 2) -> Breaker:
    seen = [] if moves is None else moves
    return Breaker(BreakerSettings(failures=failures, cooldown=10), seen.append)


def opened(moves: list[BreakerState] | None = None) -> Breaker:
    it = breaker(moves)
    it.failed()
    it.failed()
    return it


async def test_it_opens_after_failures_in_a_row_only(mock_clock: MockClock) -> None:
    it = breaker()
    it.failed()
    it.succeeded()
    it.failed()
    assert it.opens_at() == -inf
    it.failed()
    assert (it.state, it.opens_at()) == ("open", 10.0)


async def test_one_call_probes_and_nothing_else_starts_meanwhile(mock_clock: MockClock) -> None:
    moves: list[BreakerState] = []
    it = opened(moves)
    mock_clock.jump(10)
    it.enter()
    assert it.opens_at() == inf
    it.succeeded()
    assert (it.opens_at(), it.failures) == (-inf, 0)
    assert moves == ["open", "half-open", "closed"]


async def test_a_failed_probe_opens_it_again_for_a_whole_cooldown(mock_clock: MockClock) -> None:
    moves: list[BreakerState] = []
    it = opened(moves)
    mock_clock.jump(12)
    it.enter()
    it.failed()
    assert it.opens_at() == 22.0
    assert moves == ["open", "half-open", "open"]


async def test_a_probe_that_tells_nothing_is_followed_by_another(mock_clock: MockClock) -> None:
    it = opened()
    mock_clock.jump(10)
    it.enter()
    it.abandoned()
    assert it.opens_at() <= 10.0
    it.enter()
    assert it.opens_at() == inf


async def test_calls_that_were_open_when_it_opened_do_not_prolong_it(
    mock_clock: MockClock,
) -> None:
    it = opened()
    mock_clock.jump(5)
    it.failed()
    it.abandoned()
    assert it.opens_at() == 10.0


async def test_an_answer_to_an_older_call_closes_it_too(mock_clock: MockClock) -> None:
    it = opened()
    it.succeeded()
    assert (it.state, it.opens_at()) == ("closed", -inf)


async def test_other_settings_count_from_the_next_failure_on(mock_clock: MockClock) -> None:
    it = breaker(failures=5)
    it.failed()
    it.failed()
    it.settings = BreakerSettings(failures=3, cooldown=60)
    assert it.state == "closed"
    it.failed()
    assert it.opens_at() == 60.0
